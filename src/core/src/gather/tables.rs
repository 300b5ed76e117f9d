//! Tables that serve one account after the other, where a hash or a sort for each would take longest of all.

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

    /// True if it was marked in this round.
    pub(super) fn has(&self, id: Id) -> bool {
        self.marks.get(id as usize).is_some_and(|round| *round == self.round)
    }
}

/// Adds up counts in a table of which each account uses a part.
#[derive(Debug, Default)]
pub(super) struct Sums {
    sums: Vec<u32>,
    used: Vec<u32>,
}

impl Sums {
    pub(super) fn add(&mut self, place: usize, count: u32) {
        if self.sums.len() <= place {
            self.sums.resize(place + 1, 0);
        }
        let sum = &mut self.sums[place];
        if *sum == 0 {
            self.used.push(place as u32);
        }
        *sum = sum.saturating_add(count);
    }

    /// All sums that are not 0, in order; from then on none.
    pub(super) fn drain(&mut self) -> Vec<(usize, u32)> {
        // Where most of the table is in use, going through it is less than sorting.
        let until = self.used.iter().max().map_or(0, |last| *last as usize + 1);
        if self.used.len() * 16 > until {
            self.used.clear();
            self.used.extend((0..until as u32).filter(|place| self.sums[*place as usize] != 0));
        } else {
            self.used.sort_unstable();
        }
        let sums = &mut self.sums;
        self.used.drain(..).map(|place| (place as usize, std::mem::take(&mut sums[place as usize]))).collect()
    }
}
