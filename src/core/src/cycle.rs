//! The cycle of a profile's use, and how an account was at the same phase of it before.
//!
//! Who closes books at the end of each month, or sells for four months of the year, falls and goes silent by the calendar. With
//! a cycle a score, a risk and an alert are held against the account's own past at the same phase, one cycle earlier. A phase
//! is never hit to the day (weekends, short months), so it is looked for within [`Cycle::slack`]. An account that has not lived
//! through a whole cycle has nothing to be held against and is compared as one without.
//!
//! Deliberately not here: cycles that are found in the data, and a mean of several earlier cycles; what was so once before is
//! no surprise, and can be shown.

use std::fmt;
use std::ops::RangeInclusive;

use crate::model::Profile;
use crate::time::Day;

/// After how long use repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cycle {
    /// Seven days: the same weekday.
    Week,
    /// The same day of the month before, or that one's last.
    Month,
    /// Likewise three months before.
    Quarter,
    /// Likewise a year before.
    Year,
}

impl Cycle {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Week, Self::Month, Self::Quarter, Self::Year];
    /// Their names in the config, in the same order.
    pub const NAMES: [&'static str; 4] = ["week", "month", "quarter", "year"];

    /// The day at the same phase, one cycle earlier.
    pub fn before(self, day: Day) -> Day {
        match self {
            Self::Week => day.plus(-7),
            Self::Month => day.minus_months(1),
            Self::Quarter => day.minus_months(3),
            Self::Year => day.minus_months(12),
        }
    }

    /// Within so many days on either side a phase is the same: a weekday is one to the day, a date of the month may fall on a
    /// weekend.
    pub fn slack(self) -> i32 {
        if self == Self::Week { 0 } else { 3 }
    }

    /// The days at the same phase, one cycle earlier.
    pub fn around(self, day: Day) -> RangeInclusive<Day> {
        let before = self.before(day);
        before.plus(-self.slack())..=before.plus(self.slack())
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Self::ALL.iter().position(|cycle| cycle == self);
        f.write_str(place.and_then(|place| Self::NAMES.get(place)).copied().unwrap_or_default())
    }
}

/// What a window is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Against {
    /// The window before, of so many days.
    Before(i32),
    /// The window of the same length at the same phase, one cycle earlier.
    Phase(Cycle),
}

impl Against {
    /// What the window that ends on a day is held against under a profile, of an account with its first event on a day.
    pub fn of(profile: &Profile, first: Option<Day>, over: Day) -> Self {
        let whole = |cycle: &Cycle| first.is_some_and(|first| first <= cycle.before(over).plus(1 - profile.window));
        profile.cycle.filter(whole).map_or(Self::Before(profile.window), Self::Phase)
    }

    /// The last day of that window.
    pub fn end(self, over: Day) -> Day {
        match self {
            Self::Before(window) => over.plus(-window),
            Self::Phase(cycle) => cycle.before(over),
        }
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(window) => write!(f, "the {window} days before"),
            Self::Phase(cycle) => write!(f, "the same phase of the {cycle} before"),
        }
    }
}

/// The lowest and the highest score around a phase; `None` where the account had none.
pub type Usual = Option<(f64, f64)>;

/// Scores around the phase of each of some recent days, of a course of scores by day.
pub(crate) fn scores(cycle: Cycle, recent: &[(Day, f64)], of: impl Fn(Day) -> Option<f64>) -> Vec<Usual> {
    let (Some((first, _)), Some((last, _))) = (recent.first(), recent.last()) else { return Vec::new() };
    let (from, to) = (cycle.around(*first).start().0, cycle.around(*last).end().0);
    let scores: Vec<Option<f64>> = (from..=to).map(|day| of(Day(day))).collect();
    let around = |day: Day| {
        let around = cycle.around(day);
        let span = (around.start().0 - from) as usize..=(around.end().0 - from) as usize;
        let known = scores.get(span).unwrap_or_default().iter().flatten();
        known.fold(None, |found: Usual, score| match found {
            Some((low, high)) => Some((low.min(*score), high.max(*score))),
            None => Some((*score, *score)),
        })
    };
    recent.iter().map(|(day, _)| around(*day)).collect()
}

/// The most days without an event on any of some days, given the days with one, in any order; `left_out` says how many days
/// after the first and up to the second leave the windows. `None`: there was no event by then.
pub(crate) fn silence(
    around: RangeInclusive<Day>,
    active: impl Iterator<Item = Day> + Clone,
    left_out: impl Fn(Day, Day) -> i32,
) -> Option<i32> {
    let silent = |on: Day| {
        let last = active.clone().filter(|day| *day <= on).max()?;
        Some(on.0 - last.0 - left_out(last, on))
    };
    (around.start().0..=around.end().0).filter_map(|day| silent(Day(day))).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    #[test]
    fn a_phase_is_the_same_date_or_weekday_one_cycle_before() {
        for (cycle, on, before) in [
            (Cycle::Week, "2026-03-01", "2026-02-22"),
            (Cycle::Month, "2026-03-15", "2026-02-15"),
            (Cycle::Month, "2026-03-31", "2026-02-28"),
            (Cycle::Month, "2026-01-31", "2025-12-31"),
            (Cycle::Quarter, "2026-05-31", "2026-02-28"),
            (Cycle::Year, "2024-02-29", "2023-02-28"),
        ] {
            assert_eq!(cycle.before(day(on)), day(before), "{cycle} {on}");
        }
        assert_eq!(Cycle::Month.around(day("2026-03-15")), day("2026-02-12")..=day("2026-02-18"));
        assert_eq!(Cycle::Week.around(day("2026-03-08")), day("2026-03-01")..=day("2026-03-01"));
        assert_eq!(Cycle::ALL.map(|cycle| cycle.to_string()), Cycle::NAMES);
    }

    #[test]
    fn scores_around_a_phase_are_the_lowest_and_the_highest_of_its_days() {
        let recent: Vec<(Day, f64)> = (10..=12).map(|offset| (day("2026-03-01").plus(offset), 50.0)).collect();
        let begins = day("2026-02-10");
        let of = |on: Day| (on >= begins).then(|| f64::from(on.0 - begins.0));
        // From 8 to 14, 9 to 15 and 10 to 16 February; nothing before the tenth.
        assert_eq!(scores(Cycle::Month, &recent, of), [Some((0.0, 4.0)), Some((0.0, 5.0)), Some((0.0, 6.0))]);
        assert_eq!(scores(Cycle::Year, &recent, of), [None; 3]);
        assert!(scores(Cycle::Month, &[], of).is_empty());
    }

    #[test]
    fn silence_around_a_phase_is_the_longest_of_its_days() {
        let active = [day("2026-01-30"), day("2026-02-14")];
        let longest =
            |from: &str, to: &str, left_out: i32| silence(day(from)..=day(to), active.iter().copied(), |_, _| left_out);
        assert_eq!(longest("2026-02-09", "2026-02-15", 0), Some(14), "the day before it came back");
        assert_eq!(longest("2026-02-09", "2026-02-15", 4), Some(10));
        assert_eq!(longest("2026-01-20", "2026-01-26", 0), None, "it was not there");
    }
}
