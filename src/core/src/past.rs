//! What was said of days that are over: snapshots.
//!
//! A snapshot is what a run said of an account on the last day that was over then. It is never made again, so a trend that
//! is read from it stays what it was when weights are edited, data comes late or accounts are renamed. The evaluation is
//! handed the snapshots that it may look at; where they are kept, and when one is made, is not decided here.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::evaluate::{Daily, Health};
use crate::health::{self, CURVE, Holding};
use crate::model::{Band, Bands, MICRO, Profile};
use crate::time::Day;
use crate::usage::Id;

/// What was said of one account under one profile on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot {
    /// Σ count × weight in the window, in millionths of a point.
    pub raw: i64,
    /// What the raw score was divided by, if by anything.
    pub divisor: Option<f64>,
    /// The raw score, in points, that counted as 100; 0: there was none.
    pub benchmark: f64,
    /// The share of usage in the score, 0–1; the rest is that of components.
    pub usage: f64,
    /// 1–100, unrounded.
    pub score: f64,
    /// The band, with hold.
    pub band: Option<Band>,
}

impl Snapshot {
    /// Of figures that have a score.
    pub fn of(health: &Health) -> Option<Self> {
        Some(Self {
            raw: (health.raw.unwrap_or_default() * MICRO as f64).round() as i64,
            divisor: health.size,
            benchmark: health.benchmark.unwrap_or_default(),
            usage: health.usage_share.unwrap_or(1.0),
            score: health.score?,
            band: health.band,
        })
    }
}

/// Snapshots of one profile by account; of each account in the order of days.
#[derive(Debug, Clone, Default)]
pub struct Days(FxHashMap<Id, Vec<(Day, Snapshot)>>);

impl Days {
    /// Adds a snapshot. Days come in their order.
    pub fn push(&mut self, account: Id, day: Day, snapshot: Snapshot) {
        self.0.entry(account).or_default().push((day, snapshot));
    }

    /// An account's.
    pub fn of(&self, account: Id) -> &[(Day, Snapshot)] {
        self.0.get(&account).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The snapshots that an evaluation may look at, by profile: only such as were made before its as-of time.
#[derive(Debug, Clone, Default)]
pub struct Past(pub BTreeMap<String, Days>);

impl Past {
    /// An account's under a profile, in the order of days.
    pub fn of(&self, profile: &str, account: Id) -> &[(Day, Snapshot)] {
        self.0.get(profile).map(|days| days.of(account)).unwrap_or_default()
    }
}

/// The snapshot of a day among those of one account.
pub fn on(told: &[(Day, Snapshot)], day: Day) -> Option<&Snapshot> {
    told.binary_search_by_key(&day, |(day, _)| *day).ok().and_then(|place| told.get(place)).map(|(_, told)| told)
}

/// What is said of each day from `first` on up to `over`: what was said of it then, where that is known, and its band is
/// held from there; else by the score that `of` computes. Days of which there is neither are left out.
pub fn days<'a>(
    (first, over): (Day, Day),
    told: &'a [(Day, Snapshot)],
    bands: Bands,
    of: impl Fn(Day) -> Option<f64> + 'a,
) -> impl Iterator<Item = Daily> + 'a {
    let first = told.first().map_or(first, |(day, _)| first.min(*day)).min(over);
    let mut told = told.iter().peekable();
    let mut hold = Holding::new(bands);
    (first.0..=over.0).map(Day).filter_map(move |day| {
        let told = told.next_if(|(other, _)| *other == day && day < over).map(|(_, told)| told);
        let score = told.map(|told| told.score).or_else(|| of(day))?;
        let band = hold.step_told(score, told.and_then(|told| told.band));
        Some(Daily { day, score, band: told.map_or(Some(band), |told| told.band), stored: told.is_some() })
    })
}

/// What is said of one day, as [`days`] says it, where its band does not depend on the days before
/// ([`Bands::forgets`]).
pub fn day(
    day: Day,
    over: Day,
    told: &[(Day, Snapshot)],
    bands: Bands,
    of: impl Fn(Day) -> Option<f64>,
) -> Option<Daily> {
    let told = on(told, day).filter(|_| day < over);
    let score = told.map(|told| told.score).or_else(|| of(day))?;
    let band = told.map_or_else(|| Some(bands.plain(score)), |told| told.band);
    Some(Daily { day, score, band, stored: told.is_some() })
}

/// Since which day of a history the band is what it is on the last.
pub fn band_since(history: &[Daily]) -> Option<Day> {
    let now = history.last()?.band?;
    history.iter().rev().take_while(|daily| daily.band == Some(now)).last().map(|daily| daily.day)
}

/// The days whose snapshots the measures of a day need: those of the trends, and those that a band is held since.
pub fn needed(over: Day, profile: &Profile) -> impl Iterator<Item = Day> {
    let held = i32::try_from(profile.bands.hold_days).unwrap_or(i32::MAX).clamp(1, 60);
    let mut days: Vec<Day> = (1..=held).chain([7, 30]).map(|days| over.plus(-days)).collect();
    days.extend(profile.cycle.map(|cycle| cycle.before(over)));
    days.sort_unstable();
    days.dedup();
    days.into_iter()
}

/// The score of a raw score in millionths that is divided by something, against a benchmark in points.
pub fn score(raw: i64, divisor: Option<f64>, benchmark: f64) -> f64 {
    health::score(health::points(raw) / divisor.unwrap_or(1.0), benchmark, CURVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cycle::Cycle;

    #[test]
    fn a_snapshot_is_found_by_its_day() {
        let snapshot = Snapshot { raw: 1, divisor: None, benchmark: 2.0, usage: 1.0, score: 3.0, band: None };
        let mut days = Days::default();
        [3, 5, 9].into_iter().for_each(|day| days.push(7, Day(day), Snapshot { raw: day.into(), ..snapshot }));
        let found = |day| on(days.of(7), Day(day)).map(|told| told.raw);
        assert_eq!([2, 3, 4, 9, 10].map(found), [None, Some(3), None, Some(9), None]);
        assert!(days.of(8).is_empty());
    }

    #[test]
    fn a_day_alone_is_what_it_is_among_all_where_no_band_is_held() {
        let bands = Bands { hold_days: 1, hold_points: 0.0, ..Bands::default() };
        assert!(bands.forgets() && !Bands::default().forgets());
        let told = |score: f64, band| Snapshot { raw: 1, divisor: None, benchmark: 2.0, usage: 1.0, score, band };
        let told = [(2, told(90.0, None)), (5, told(20.0, Some(Band::Healthy))), (9, told(50.0, Some(Band::Normal)))];
        let told = told.map(|(day, snapshot)| (Day(day), snapshot));
        let of = |day: Day| [Some(80.0), Some(39.9), None, Some(40.0), Some(70.0)][day.0 as usize % 5];
        for over in [4, 9, 10, 13].map(Day) {
            let all: Vec<Daily> = days((Day(3), over), &told, bands, of).collect();
            let alone: Vec<Daily> = (2..=over.0).filter_map(|on| day(Day(on), over, &told, bands, of)).collect();
            assert_eq!(all, alone);
        }
    }

    #[test]
    fn what_is_needed_of_the_past_are_the_trends_and_the_hold() {
        let profile = |hold_days| Profile { bands: Bands { hold_days, ..Bands::default() }, ..Profile::default() };
        let days = |hold| needed(Day(100), &profile(hold)).map(|day| day.0).collect::<Vec<_>>();
        assert_eq!(days(2), [70, 93, 98, 99]);
        assert_eq!(days(1), [70, 93, 99]);
        assert_eq!(days(8), [70, 92, 93, 94, 95, 96, 97, 98, 99]);
        let yearly = Profile { cycle: Some(Cycle::Year), ..profile(1) };
        assert_eq!(needed(Day(400), &yearly).next(), Some(Day(35)));
    }
}
