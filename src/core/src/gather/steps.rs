//! On which day a step of a checklist was done, from counts and from dated traits.

use std::collections::BTreeMap;

use super::tables::Muster;
use super::{Cell, Frame};
use crate::checklist::{Done, Step};
use crate::identity::Traits;
use crate::time::Day;
use crate::usage::{Id, Stated};
use crate::value::Value;

impl Frame<'_> {
    /// The day on which an account with these traits that was mustered had done a step; `cells` are those of events that it
    /// is not enough to do once. Where so many users are asked for, each has to have done it alone, and the account's own
    /// trait is nobody's.
    pub(super) fn done_by_account(
        &self,
        step: &Step,
        traits: &[Stated<Traits>],
        muster: &Muster,
        cells: &[Cell],
    ) -> Option<Day> {
        let mut days: Vec<Day> = match &step.done {
            Done::Event { event, .. } if is_first_time(step) && !muster.takes_back() => {
                return muster.first_of(self.names.find_event(event)?);
            }
            Done::Event { event, count } => {
                let event = self.names.find_event(event)?;
                let of_event = cells.iter().filter(|cell| cell.event == event && cell.day() <= self.today);
                let whose = |cell: &Cell| if step.by.is_some() { cell.user } else { 0 };
                let mut counts: Vec<(Id, Day, i64)> =
                    of_event.map(|cell| (whose(cell), cell.day(), i64::from(cell.count))).collect();
                counts.sort_unstable();
                counts.chunk_by(|a, b| a.0 == b.0).filter_map(|own| reached(own, *count)).collect()
            }
            Done::Trait(name) => {
                let own = self.first_set(traits, name).filter(|_| step.by.is_none());
                muster.users.iter().filter_map(|user| self.user_set(*user, name)).chain(own).collect()
            }
        };
        days.sort_unstable();
        days.get(step.by.unwrap_or(1).saturating_sub(1) as usize).copied()
    }

    /// Whether a user with these counts has done a step alone; an account's trait is not the user's.
    pub(super) fn done_by_user(&self, step: &Step, user: Id, cells: &[Cell]) -> bool {
        match &step.done {
            Done::Event { event, count } => self.names.find_event(event).is_some_and(|event| {
                let of_event = cells.iter().filter(|cell| cell.event == event && cell.day() <= self.today);
                of_event.map(|cell| i64::from(cell.count)).sum::<i64>() >= i64::from(*count)
            }),
            Done::Trait(name) => self.user_set(user, name).is_some(),
        }
    }

    fn user_set(&self, user: Id, name: &str) -> Option<Day> {
        self.first_set(self.user_traits.get(&user)?, name)
    }

    /// Since which day a trait is set (to anything but null, false or empty text), if it still is. What counts of a day is how
    /// it ended: nothing else is kept of it.
    fn first_set(&self, statements: &[Stated<Traits>], name: &str) -> Option<Day> {
        let mut since: Option<Day> = None;
        let mut ends: BTreeMap<Day, bool> = BTreeMap::new();
        for stated in statements {
            if let Some(value) = stated.value.get(name) {
                let set = !matches!(value, Value::Null | Value::Bool(false)) && value.as_text() != Some("");
                ends.insert(self.model.calendar.day(stated.time()), set);
            }
        }
        for (day, set) in ends {
            since = if set { since.or(Some(day)) } else { None };
        }
        since
    }
}

/// Whether a step is done as soon as anybody does its event once.
pub(super) fn is_first_time(step: &Step) -> bool {
    step.by.is_none() && matches!(step.done, Done::Event { count: ..=1, .. })
}

/// The day on which counts, in the order of their days, come to so many.
fn reached(counts: &[(Id, Day, i64)], count: u32) -> Option<Day> {
    let mut so_often = 0;
    let found = counts.iter().find(|(_, _, more)| {
        so_often += more;
        so_often >= i64::from(count)
    });
    found.map(|(_, day, _)| *day)
}
