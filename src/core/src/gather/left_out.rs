//! The days that leave the windows of a profile, looked up for every cell.

use super::cells::FIRST_DAY;
use crate::gaps::Gaps;
use crate::time::Day;

/// By day from [`FIRST_DAY`] on, whether it is left out; empty where none is.
#[derive(Debug)]
pub(super) struct LeftOut(Vec<bool>);

/// No profile, no days.
static NONE: LeftOut = LeftOut(Vec::new());

impl LeftOut {
    /// A profile's, up to `last`.
    pub fn of(gaps: &Gaps, profile: &str, last: Day) -> Self {
        match gaps.is_empty() {
            true => Self(Vec::new()),
            false => Self((FIRST_DAY..=last.0).map(|day| gaps.has(profile, Day(day))).collect()),
        }
    }

    /// Those of the profile at a place, if there is one.
    pub fn under(all: &[Self], place: Option<usize>) -> &Self {
        place.and_then(|place| all.get(place)).unwrap_or(&NONE)
    }

    /// True if a day is left out.
    pub fn has(&self, day: Day) -> bool {
        usize::try_from(day.0 - FIRST_DAY).is_ok_and(|at| self.0.get(at) == Some(&true))
    }
}
