//! Counting of [`Activity`], one account after the other.

use rustc_hash::FxHashMap;

use super::{Activity, DAYS, FIRST_DAYS, LATELY, Use};
use crate::gather::Cell;
use crate::time::Day;
use crate::today::Names;
use crate::usage::Id;

/// From so many pairs of event and user on, repetitions among them are looked for.
const MANY: usize = 1 << 20;

/// One account's use of an event in its first days, and ever.
struct Start {
    first: Day,
    event: Id,
    early: u64,
    ever: u64,
}

/// What is counted so far.
pub(crate) struct Counter {
    over: Day,
    /// By the event's number.
    uses: Vec<Use>,
    /// By the event's number, the last account that did it lately, as told by [`Counter::passed`].
    done_by: Vec<u32>,
    /// How many accounts have passed.
    passed: u32,
    active_accounts: u32,
    active_days: u64,
    /// Event and user, lately.
    pairs: Vec<(Id, Id)>,
    /// Of these so many are known to be distinct.
    distinct: usize,
    starts: Vec<Start>,
    firsts: Vec<Day>,
    /// What an account did in its first days, and ever: memory that serves all of them.
    own: FxHashMap<Id, (u64, u64)>,
}

impl Counter {
    /// Nothing yet. `over` is the last day that is over.
    pub fn new(over: Day) -> Self {
        Self {
            over,
            uses: Vec::new(),
            done_by: Vec::new(),
            passed: 0,
            active_accounts: 0,
            active_days: 0,
            pairs: Vec::new(),
            distinct: 0,
            starts: Vec::new(),
            firsts: Vec::new(),
            own: FxHashMap::default(),
        }
    }

    fn is_lately(&self, day: Day) -> bool {
        day <= self.over && day.0 > self.over.0 - LATELY
    }

    /// Takes counts that belong to an account or to none.
    fn take(&mut self, cell: &Cell) {
        let (place, day, count) = (cell.event as usize, cell.day(), u64::from(cell.count.unsigned_abs()));
        if self.uses.len() <= place {
            self.uses.resize(place + 1, Use::default());
            self.done_by.resize(place + 1, 0);
        }
        let is_lately = self.is_lately(day);
        let used = &mut self.uses[place];
        used.ever += count;
        used.first = Some(used.first.map_or(day, |first| first.min(day)));
        used.last = used.last.max(Some(day));
        if let Ok(ago) = usize::try_from(self.over.0 - day.0)
            && ago < DAYS as usize
        {
            used.daily.resize(DAYS as usize, 0);
            used.daily[DAYS as usize - 1 - ago] += count;
        }
        if is_lately {
            used.lately += count;
            self.pairs.push((cell.event, cell.user));
        }
    }

    /// Takes an account's own counts.
    pub fn account(&mut self, cells: &[Cell]) {
        let Some(first) = cells.iter().filter(|cell| cell.count > 0).map(|cell| cell.day()).min() else { return };
        self.passed += 1;
        self.firsts.push(first);
        let mut days = [false; LATELY as usize];
        for cell in cells.iter().filter(|cell| cell.count > 0) {
            self.take(cell);
            let (day, count) = (cell.day(), u64::from(cell.count.unsigned_abs()));
            let own = self.own.entry(cell.event).or_default();
            own.0 += if day.0 - first.0 < FIRST_DAYS { count } else { 0 };
            own.1 += count;
            if self.is_lately(day) {
                days[(self.over.0 - day.0) as usize] = true;
            }
        }
        let active = days.iter().filter(|active| **active).count() as u64;
        self.active_accounts += u32::from(active > 0);
        self.active_days += active;
        for cell in cells.iter().filter(|cell| cell.count > 0) {
            let place = cell.event as usize;
            if self.is_lately(cell.day()) && self.done_by[place] != self.passed {
                self.done_by[place] = self.passed;
                self.uses[place].accounts += 1;
                self.uses[place].active_days += active;
            }
        }
        let starts = self.own.drain().map(|(event, (early, ever))| Start { first, event, early, ever });
        self.starts.extend(starts);
        self.settle_pairs(MANY);
    }

    /// Takes counts that belong to no account.
    pub fn nobodys(&mut self, cells: &[Cell]) {
        cells.iter().filter(|cell| cell.count > 0).for_each(|cell| self.take(cell));
    }

    /// Drops repeated pairs where there may be many.
    fn settle_pairs(&mut self, many: usize) {
        if self.pairs.len() - self.distinct > self.distinct.max(many) {
            self.pairs.sort_unstable();
            self.pairs.dedup();
            self.distinct = self.pairs.len();
        }
    }

    /// What it came to.
    pub fn finish(mut self, names: &Names<'_>) -> Activity {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        for (event, _) in &self.pairs {
            self.uses[*event as usize].users += 1;
        }
        let mut users: Vec<Id> = self.pairs.iter().map(|(_, user)| *user).collect();
        users.sort_unstable();
        users.dedup();
        // Who was there when the data begin did not begin then.
        let begun = self.firsts.iter().min().map_or(self.over, |first| first.plus(FIRST_DAYS));
        let can_be_seen = |first: &Day| *first >= begun && first.0 + FIRST_DAYS - 1 <= self.over.0;
        for start in self.starts.iter().filter(|start| can_be_seen(&start.first)) {
            let used = &mut self.uses[start.event as usize];
            used.starters += u32::from(start.early > 0);
            used.started.0 += start.early;
            used.started.1 += start.ever;
        }
        let uses = self.uses.into_iter().enumerate().filter(|(_, used)| used.ever > 0);
        Activity {
            events: uses.map(|(event, used)| (names.event(event as Id).to_owned(), used)).collect(),
            active_accounts: self.active_accounts,
            active_users: users.len() as u32,
            active_days: self.active_days,
            started: self.firsts.iter().filter(|first| can_be_seen(first)).count() as u32,
        }
    }
}
