//! An account's counts while they are gathered: small, since millions may wait.

use rustc_hash::FxHashMap;

use crate::time::{Day, Timestamp};
use crate::today::Names;
use crate::usage::Id;

/// Counts of one event by one user on one day, resolved; small, since millions may wait. Days count from 2000 on. More
/// than a cell holds is in several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub user: Id,
    pub event: Id,
    day: u16,
    pub count: i16,
}

/// 2000-01-01: no call is older.
pub(super) const FIRST_DAY: i32 = 10_957;

impl Cell {
    pub fn day(self) -> Day {
        Day(i32::from(self.day) + FIRST_DAY)
    }
}

/// One account's counts while they are gathered.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub cells: Vec<Cell>,
    pub last: Option<Timestamp>,
    pub user_last: FxHashMap<Id, Timestamp>,
}

impl Raw {
    /// Takes a user's counts of a day, from [`FIRST_DAY`] on.
    pub fn push(&mut self, user: Id, day: Day, counts: &[(Id, i64)], names: &Names<'_>) {
        let day = (day.0 - FIRST_DAY) as u16;
        for (event, count) in counts {
            let event = names.event_today(*event);
            let mut left = if event == 0 { 0 } else { *count };
            while left != 0 {
                let part = left.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
                self.cells.push(Cell { user, event, day, count: part });
                left -= i64::from(part);
            }
        }
    }

    /// Adds up what belongs together where a part of a spot takes back what another one has: nothing is counted by what was
    /// taken back.
    pub fn net(&mut self) {
        if self.cells.iter().all(|cell| cell.count > 0) {
            return;
        }
        self.cells.sort_unstable_by_key(|cell| (cell.user, cell.event, cell.day, cell.count));
        self.cells.dedup_by(|next, kept| {
            let same = (next.user, next.event, next.day) == (kept.user, kept.event, kept.day);
            let sum = kept.count.checked_add(next.count).filter(|_| same);
            kept.count = sum.unwrap_or(kept.count);
            sum.is_some()
        });
        self.cells.retain(|cell| cell.count != 0);
    }

    /// Takes what is rolled up into the account: its users' own figures are those of the account below.
    pub fn roll_up(&mut self, below: &Self) {
        self.cells.extend_from_slice(&below.cells);
        self.last = self.last.max(below.last);
    }

    pub fn append(&mut self, other: &Self) {
        self.roll_up(other);
        for (user, last) in &other.user_last {
            let own = self.user_last.entry(*user).or_insert(*last);
            *own = (*own).max(*last);
        }
    }
}

/// What accounts have that wait for more, found by their numbers without a hash.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By account, its place among `raws` and one; 0: it doesn't wait.
    places: Vec<u32>,
    raws: Vec<(Id, Raw)>,
}

impl Waiting {
    /// An account's, which waits from now on.
    pub fn of(&mut self, account: Id) -> &mut Raw {
        let id = account as usize;
        if self.places.len() <= id {
            self.places.resize(id + 1, 0);
        }
        if self.places[id] == 0 {
            self.raws.push((account, Raw::default()));
            self.places[id] = self.raws.len() as u32;
        }
        &mut self.raws[self.places[id] as usize - 1].1
    }

    /// An account's, which waits no longer.
    pub fn take(&mut self, account: Id) -> Option<Raw> {
        let place = std::mem::take(self.places.get_mut(account as usize)?);
        self.raws.get_mut((place as usize).checked_sub(1)?).map(|(_, raw)| std::mem::take(raw))
    }

    /// All accounts that wait.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        let waits = |id: &Id| self.places.get(*id as usize).is_some_and(|place| *place != 0);
        self.raws.iter().map(|(id, _)| *id).filter(move |id| waits(id))
    }
}
