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
        each_cell(user, day, counts, names, |cell| self.cells.push(cell));
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

    /// Has nothing any more, but its memory.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.last = None;
        self.user_last.clear();
    }
}

/// A user's counts of a day, from [`FIRST_DAY`] on, as cells.
fn each_cell(user: Id, day: Day, counts: &[(Id, i64)], names: &Names<'_>, mut take: impl FnMut(Cell)) {
    let day = (day.0 - FIRST_DAY) as u16;
    for (event, count) in counts {
        let event = names.event_today(*event);
        let mut left = if event == 0 { 0 } else { *count };
        while left != 0 {
            let part = left.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
            take(Cell { user, event, day, count: part });
            left -= i64::from(part);
        }
    }
}

/// So many cells of one account lie together while they wait.
const TOGETHER: usize = 15;
/// So many blocks of cells lie together.
const BLOCKS: usize = 1024;

/// Some cells of one account.
#[derive(Debug, Clone, Copy)]
struct Block {
    cells: [Cell; TOGETHER],
    /// The number of the block that follows; 0: none.
    next: u32,
}

/// One account that waits: its blocks are a chain.
#[derive(Debug)]
struct Waits {
    account: Id,
    first: u32,
    last: u32,
    /// How many cells the last block has.
    used: usize,
    rest: Raw,
}

/// What accounts have that wait for more, found by their numbers without a hash. All of them grow at once, a few cells at a
/// time: blocks cost them neither copies nor room for twice as much.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By account, its place among `all` and one; 0: it doesn't wait.
    places: Vec<u32>,
    all: Vec<Waits>,
    /// Numbered from 1 on.
    blocks: Vec<Vec<Block>>,
}

impl Waiting {
    /// Takes a user's counts of a day for an account, which waits from now on. What is left to be kept of it besides cells.
    pub fn push(&mut self, account: Id, user: Id, day: Day, counts: &[(Id, i64)], names: &Names<'_>) -> &mut Raw {
        let id = account as usize;
        if self.places.len() <= id {
            self.places.resize(id + 1, 0);
        }
        if self.places[id] == 0 {
            self.all.push(Waits { account, first: 0, last: 0, used: TOGETHER, rest: Raw::default() });
            self.places[id] = self.all.len() as u32;
        }
        let own = &mut self.all[self.places[id] as usize - 1];
        let blocks = &mut self.blocks;
        each_cell(user, day, counts, names, |cell| {
            if own.used == TOGETHER {
                let number = add_block(blocks, cell);
                match own.last {
                    0 => own.first = number,
                    last => block(blocks, last).next = number,
                }
                (own.last, own.used) = (number, 0);
            }
            block(blocks, own.last).cells[own.used] = cell;
            own.used += 1;
        });
        &mut own.rest
    }

    /// Adds all that waits of an account, which does so no longer.
    pub fn take(&mut self, account: Id, raw: &mut Raw) {
        let place = self.places.get_mut(account as usize).map(std::mem::take).unwrap_or_default();
        let Some(own) = (place as usize).checked_sub(1).and_then(|place| self.all.get_mut(place)) else { return };
        let mut number = own.first;
        while number != 0 {
            let block = block(&mut self.blocks, number);
            let used = if number == own.last { own.used } else { TOGETHER };
            raw.cells.extend_from_slice(&block.cells[..used]);
            number = block.next;
        }
        raw.last = raw.last.max(own.rest.last);
        for (user, last) in std::mem::take(&mut own.rest.user_last) {
            let own = raw.user_last.entry(user).or_insert(last);
            *own = (*own).max(last);
        }
    }

    /// All accounts that wait.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        let waits = |id: &Id| self.places.get(*id as usize).is_some_and(|place| *place != 0);
        self.all.iter().map(|waits| waits.account).filter(move |id| waits(id))
    }
}

fn block(blocks: &mut [Vec<Block>], number: u32) -> &mut Block {
    let place = number as usize - 1;
    &mut blocks[place / BLOCKS][place % BLOCKS]
}

/// A block more, filled with a cell: its number.
fn add_block(blocks: &mut Vec<Vec<Block>>, cell: Cell) -> u32 {
    if blocks.last().is_none_or(|last| last.len() == BLOCKS) {
        blocks.push(Vec::with_capacity(BLOCKS));
    }
    let full = (blocks.len() - 1) * BLOCKS;
    blocks.last_mut().map_or(0, |last| {
        last.push(Block { cells: [cell; TOGETHER], next: 0 });
        (full + last.len()) as u32
    })
}
