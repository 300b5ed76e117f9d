//! Tables that serve one account after the other, where a hash or a sort for each would take longest of all.

use super::Cell;
use super::left_out::LeftOut;
use crate::time::Day;
use crate::usage::Id;

/// Counts distinct numbers without hashing: a number is marked with the round it was last seen in.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: Vec<u32>,
    round: u32,
}

impl Marks {
    pub(super) fn clear(&mut self) {
        self.round += 1;
    }

    /// True the first time in this round.
    pub(super) fn mark(&mut self, id: Id) -> bool {
        let place = id as usize;
        if self.marks.len() <= place {
            self.marks.resize(place + 1, 0);
        }
        std::mem::replace(&mut self.marks[place], self.round) != self.round
    }
}

/// Adds up in a table of which each account uses a part.
#[derive(Debug, Default)]
pub(super) struct Sums {
    sums: Vec<i64>,
    used: Vec<u32>,
}

impl Sums {
    pub(super) fn add(&mut self, place: usize, amount: i64) {
        if self.sums.len() <= place {
            self.sums.resize(place + 1, 0);
        }
        let sum = &mut self.sums[place];
        if *sum == 0 {
            self.used.push(place as u32);
        }
        *sum = sum.saturating_add(amount);
    }

    /// All sums that are not 0, in order; from then on none.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (usize, i64)> {
        // Where most of the table is in use, going through it is less than sorting.
        let until = self.used.iter().max().map_or(0, |last| *last as usize + 1);
        if self.used.len() * 16 > until {
            self.used.clear();
            self.used.extend((0..until as u32).filter(|place| self.sums[*place as usize] != 0));
        } else {
            self.used.sort_unstable();
        }
        let sums = &mut self.sums;
        let all = self.used.drain(..).map(|place| (place as usize, std::mem::take(&mut sums[place as usize])));
        all.filter(|(_, sum)| *sum != 0)
    }
}

/// When an event was done in an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// The first day.
    pub first: Day,
    /// The last day of those that are over and in windows.
    pub last: Day,
}

impl When {
    const NEVER: Self = Self { first: Day(i32::MAX), last: Day(i32::MIN) };
}

/// Who acted in an account and what was done, as its cells tell. Its users are numbered from 0 on, in the order of their
/// first cells: what is kept of each by its number stays near, however many users there are in all.
#[derive(Debug, Default)]
pub(super) struct Muster {
    /// By user, the round in which it was numbered last, and its number then.
    numbers: Vec<(u32, u32)>,
    round: u32,
    /// By number.
    pub users: Vec<Id>,
    /// Cells of one user mostly follow each other: of each such run the number of the user, and where it ends.
    runs: Vec<(u32, u32)>,
    /// By event.
    when: Vec<When>,
    /// The events that were done.
    done: Vec<Id>,
    /// True if a cell takes back more than there was.
    takes_back: bool,
}

impl Muster {
    /// For so many events.
    pub(super) fn new(events: usize) -> Self {
        Self { when: vec![When::NEVER; events], ..Self::default() }
    }

    /// Takes the cells of another account.
    pub(super) fn call(&mut self, cells: &[Cell], over: Day, left_out: &LeftOut) {
        self.round += 1;
        self.users.clear();
        self.runs.clear();
        self.done.drain(..).for_each(|event| self.when[event as usize] = When::NEVER);
        self.takes_back = false;
        let mut end = 0;
        for run in cells.chunk_by(|a, b| a.user == b.user) {
            let Some(first) = run.first() else { continue };
            let number = self.number_of(first.user);
            end += run.len() as u32;
            self.runs.push((number, end));
            for cell in run {
                if cell.count > 0 {
                    self.note(cell.event, cell.day(), cell.day() <= over && !left_out.has(cell.day()));
                } else {
                    self.takes_back = true;
                }
            }
        }
    }

    fn note(&mut self, event: Id, day: Day, in_windows: bool) {
        let Some(when) = self.when.get_mut(event as usize) else { return };
        if when.first == When::NEVER.first {
            self.done.push(event);
        }
        when.first = when.first.min(day);
        when.last = when.last.max(if in_windows { day } else { When::NEVER.last });
    }

    fn number_of(&mut self, user: Id) -> u32 {
        let place = user as usize;
        if self.numbers.len() <= place {
            self.numbers.resize(place + 1, (0, 0));
        }
        let number = &mut self.numbers[place];
        if number.0 != self.round {
            *number = (self.round, self.users.len() as u32);
            self.users.push(user);
        }
        number.1
    }

    /// The cells that were taken, run by run, with the number of the user of each.
    pub(super) fn runs<'c>(&self, cells: &'c [Cell]) -> impl Iterator<Item = (&'c [Cell], usize)> {
        let mut from = 0;
        self.runs.iter().map(move |(number, end)| {
            let run = cells.get(from..*end as usize).unwrap_or_default();
            from = *end as usize;
            (run, *number as usize)
        })
    }

    /// The events that were done, and when.
    pub(super) fn events(&self) -> impl Iterator<Item = (Id, When)> {
        self.done.iter().map(|event| (*event, self.when[*event as usize]))
    }

    /// The first day on which anything was done.
    pub(super) fn first(&self) -> Option<Day> {
        self.events().map(|(_, when)| when.first).min()
    }

    /// The first day on which an event was done.
    pub(super) fn first_of(&self, event: Id) -> Option<Day> {
        self.when.get(event as usize).map(|when| when.first).filter(|first| *first != When::NEVER.first)
    }

    /// Whether a cell takes back more than there was: then the first day of an event is not the one by which it was done.
    pub(super) fn takes_back(&self) -> bool {
        self.takes_back
    }
}
