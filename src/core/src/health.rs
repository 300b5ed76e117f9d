//! The arithmetic of health: score, benchmark, bands with hold, drop.
//!
//! All functions are total and exact: raw scores are integers of 1e-6, percentiles interpolate as type 7, and nothing
//! rounds before it is shown.

use crate::cycle::Usual;
use crate::model::{Band, Bands, MICRO};
use crate::time::Day;

/// The curvature of the score's curve.
pub const CURVE: f64 = 2.0;
/// With fewer accounts the benchmark is the maximum instead of the percentile.
pub const FEW: usize = 10;

/// A raw score in points.
pub fn points(micro: i64) -> f64 {
    micro as f64 / MICRO as f64
}

/// The health score, 1–100: `1 + 99 (1 − e^(−kx)) / (1 − e^(−k))` with `x = min(raw / benchmark, 1)`.
///
/// `raw` and `benchmark` are in the same unit. A benchmark of 0 or less gives 1 for raw 0 and 100 for more.
pub fn score(raw: f64, benchmark: f64, k: f64) -> f64 {
    if raw <= 0.0 {
        return 1.0;
    }
    let x = if benchmark > 0.0 { (raw / benchmark).min(1.0) } else { 1.0 };
    if x >= 1.0 {
        return 100.0;
    }
    let part = if k.abs() < 1e-9 { x } else { (1.0 - (-k * x).exp()) / (1.0 - (-k).exp()) };
    (1.0 + 99.0 * part).clamp(1.0, 100.0)
}

/// Rounded half up, as shown.
pub fn shown(score: f64) -> i64 {
    (score + 0.5).floor() as i64
}

/// A percentile with linear interpolation (type 7) over values in any order, which it changes; `None` without values.
pub fn percentile(values: &mut [f64], percent: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let at = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let (_, low, above) = values.select_nth_unstable_by(below.min(last), f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*low);
    Some(*low + (at - below as f64) * (high - *low))
}

/// A benchmark over raw scores, and what it was computed from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pegged {
    /// The raw score, in points (for each user or seat, where it is divided by them), that counts as 100.
    pub raw: f64,
    /// How many accounts had raw > 0.
    pub accounts: usize,
    /// True if it is the maximum, because accounts were few or the percentile was 0.
    pub is_maximum: bool,
}

/// The benchmark over accounts with raw > 0; `None` where there is none.
pub fn benchmark(raws: impl Iterator<Item = f64>, percent: f64) -> Option<Pegged> {
    let mut positive: Vec<f64> = raws.filter(|raw| *raw > 0.0).collect();
    let accounts = positive.len();
    let value = percentile(&mut positive, percent)?;
    let maximum = positive.into_iter().max_by(f64::total_cmp)?;
    let is_maximum = accounts < FEW || value <= 0.0;
    let raw = if is_maximum { maximum } else { value };
    Some(Pegged { raw, accounts, is_maximum })
}

impl Bands {
    /// The band of a score by the bounds alone.
    pub fn plain(&self, score: f64) -> Band {
        if score >= self.healthy {
            Band::Healthy
        } else if score < self.at_risk {
            Band::AtRisk
        } else {
            Band::Normal
        }
    }

    /// True if a band is never held: that of a day is the one of its score.
    pub fn forgets(&self) -> bool {
        self.hold_days <= 1 && self.hold_points <= 0.0
    }

    /// How many points a score lies beyond the bounds of a band; 0 or less within.
    fn beyond(&self, band: Band, score: f64) -> f64 {
        match band {
            Band::Healthy => self.healthy - score,
            Band::AtRisk => score - self.at_risk,
            Band::Normal => (score - self.healthy).max(self.at_risk - score),
        }
    }

    /// The band after a series of daily scores; `None` for an empty series.
    pub fn held(&self, scores: impl IntoIterator<Item = f64>) -> Option<Band> {
        let mut holding = Holding::new(*self);
        scores.into_iter().map(|score| holding.step(score)).last()
    }
}

/// A band from day to day: left only after `hold_days` days in a row more than `hold_points` beyond its bound, on the same
/// side. The first score's band is by the bounds alone.
#[derive(Debug)]
pub struct Holding {
    bands: Bands,
    band: Option<Band>,
    /// Days in a row well beyond the band's bound, and whether above it.
    beyond: (u32, bool),
    /// Days in a row in the band.
    days: u32,
}

impl Holding {
    /// No day yet.
    pub fn new(bands: Bands) -> Self {
        Self { bands, band: None, beyond: (0, false), days: 0 }
    }

    /// The next day's score, and its band.
    pub fn step(&mut self, score: f64) -> Band {
        self.step_told(score, None)
    }

    /// The same of a day of which a band was said: that stands, whatever the bounds say now.
    pub fn step_told(&mut self, score: f64, told: Option<Band>) -> Band {
        let plain = self.bands.plain(score);
        let band = self.band.or(told).unwrap_or(plain);
        let far = self.bands.hold_points <= 0.0 || self.bands.beyond(band, score) > self.bands.hold_points;
        let mut next = band;
        if plain == band || !far {
            self.beyond.0 = 0;
        } else {
            let up = plain > band;
            self.beyond = if self.beyond.0 > 0 && self.beyond.1 == up { (self.beyond.0 + 1, up) } else { (1, up) };
            if self.beyond.0 >= self.bands.hold_days.max(1) {
                (next, self.beyond.0) = (plain, 0);
            }
        }
        if let Some(told) = told.filter(|told| *told != next) {
            (next, self.beyond.0) = (told, 0);
        }
        self.days = if self.band == Some(next) { self.days.saturating_add(1) } else { 1 };
        self.band = Some(next);
        next
    }

    /// So many days with the same score: after the first few of them nothing moves any more.
    pub fn stay(&mut self, score: f64, days: u32) {
        let moving = days.min(self.bands.hold_days.saturating_add(1));
        (0..moving).for_each(|_| _ = self.step(score));
        self.days = self.days.saturating_add(days - moving);
    }

    /// The band now.
    pub fn band(&self) -> Option<Band> {
        self.band
    }

    /// How many days in a row it has been a band, today included; 0 if it is another now.
    pub fn days_in(&self, band: Band) -> u32 {
        if self.band == Some(band) { self.days } else { 0 }
    }
}

/// A fall of the score within a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drop {
    /// How many points: highest daily score of the span − now; 0 where it did not fall. With a cycle less what it fell at the
    /// same phase before.
    pub points: f64,
    /// The score that it fell from most.
    pub from: f64,
    /// Its day, the latest of equals.
    pub day: Day,
}

/// The drop within the last days: over scores of days from `since` on, `now` being the last of them. `series` is in the
/// order of days, `usual` has the scores around the same phase of the cycle before of each, or none. A fall between two days
/// is less by what it was at most between their phases then, so that what comes around each time is none.
pub fn drop_within(series: &[(Day, f64)], usual: &[Usual], since: Day) -> Option<Drop> {
    let (_, now) = *series.last()?;
    let at = |place: usize| usual.get(place).copied().flatten();
    let usual_now = at(series.len() - 1);
    let fall = |(place, (day, from)): (usize, &(Day, f64))| {
        let expected = at(place).zip(usual_now).map_or(0.0, |((_, high), (low, _))| (high - low).max(0.0));
        Drop { points: (from - now - expected).max(0.0), from: *from, day: *day }
    };
    let falls = series.iter().enumerate().filter(|(_, (day, _))| *day >= since).map(fall);
    falls.max_by(|a, b| a.points.total_cmp(&b.points).then(a.day.cmp(&b.day)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_has_the_model_files_values() {
        let shift = |raw: f64| (score(raw, 208.0, 2.0) - 1.0) / 99.0 * 100.0;
        for (raw, value) in [(1.0, 1.1), (13.0, 13.6), (37.0, 34.6), (101.0, 71.9), (149.0, 88.0), (223.0, 100.0)] {
            assert!((shift(raw) - value).abs() < 0.05, "raw {raw}: {} instead of {value}", shift(raw));
        }
        assert_eq!(score(0.0, 208.0, 2.0), 1.0);
        assert_eq!(score(50.0, 100.0, 0.0), 50.5);
        assert!((score(50.0, 100.0, 1e-7) - 50.5).abs() < 1e-4);
    }

    #[test]
    fn the_benchmark_is_the_90th_percentile_by_linear_interpolation() {
        let mut values = [475, 89, 101, 7, 3, 21, 2, 149, 223, 1, 13, 9, 37].map(f64::from);
        assert!((percentile(&mut values, 90.0).unwrap() - 208.2).abs() < 1e-9);
        let pegged = benchmark(values.into_iter().chain([0.0, 0.0]), 90.0).unwrap();
        assert!((pegged.raw - 208.2).abs() < 1e-9 && !pegged.is_maximum && pegged.accounts == 13);
    }

    #[test]
    fn few_accounts_are_measured_by_the_best_of_them() {
        let pegged = benchmark([3.0, 9.0, 0.0].into_iter(), 90.0).unwrap();
        assert_eq!((pegged.raw, pegged.is_maximum, pegged.accounts), (9.0, true, 2));
        assert_eq!(benchmark([0.0, 0.0].into_iter(), 90.0), None);
    }

    #[test]
    fn bands_are_half_open_on_the_unrounded_score() {
        let bands = Bands::default();
        assert_eq!(
            [70.0, 69.999, 40.0, 39.999].map(|s| bands.plain(s)),
            [Band::Healthy, Band::Normal, Band::Normal, Band::AtRisk]
        );
    }

    #[test]
    fn a_band_is_left_after_two_days_in_a_row_well_beyond_its_bound() {
        let bands = Bands::default();
        let held = |scores: &[f64]| bands.held(scores.iter().copied()).unwrap();
        assert_eq!(held(&[80.0, 66.0, 66.0, 66.0]), Band::Healthy, "within five points");
        assert_eq!(held(&[80.0, 64.9]), Band::Healthy, "one day");
        assert_eq!(held(&[80.0, 64.9, 66.0, 64.9]), Band::Healthy, "not in a row");
        assert_eq!(held(&[80.0, 64.9, 64.9]), Band::Normal);
        assert_eq!(held(&[80.0, 64.9, 20.0]), Band::AtRisk, "the band of the day it is left");
        assert_eq!(held(&[20.0, 45.0, 45.0]), Band::AtRisk, "exactly five is not more than five");
        assert_eq!(held(&[20.0, 45.1, 45.1]), Band::Normal);
        assert_eq!(held(&[50.0, 76.0, 30.0]), Band::Normal, "one day on each side");
        assert_eq!(bands.held([]), None);
        let mut hold = Holding::new(bands);
        let days = [(50.0, Some(Band::Healthy)), (50.0, Some(Band::Healthy)), (69.0, None), (64.0, None), (64.0, None)];
        assert_eq!(
            days.map(|(score, told)| hold.step_told(score, told)),
            [Band::Healthy, Band::Healthy, Band::Healthy, Band::Healthy, Band::Normal],
            "what was said of a day stands, and what comes after goes on from there"
        );
        let off = Bands { hold_days: 1, hold_points: 0.0, ..bands };
        assert_eq!(
            [39.9, 40.0, 70.0, 69.9].map(|s| off.held([50.0, s]).unwrap()),
            [Band::AtRisk, Band::Normal, Band::Healthy, Band::Normal]
        );
    }

    #[test]
    fn days_of_the_same_score_are_as_one_by_one() {
        for hold_days in 0..4 {
            let bands = Bands { hold_days, ..Bands::default() };
            for before in [20.0, 44.0, 50.0, 80.0] {
                for (score, days) in (0..12).flat_map(|days| [10.0, 37.0, 50.0, 68.0, 90.0].map(|score| (score, days)))
                {
                    let (mut one, mut all) = (Holding::new(bands), Holding::new(bands));
                    [before, 50.0, 81.0].into_iter().for_each(|score| {
                        one.step(score);
                        all.step(score);
                    });
                    (0..days).for_each(|_| _ = one.step(score));
                    all.stay(score, days);
                    assert_eq!(format!("{one:?}"), format!("{all:?}"), "{days} days of {score} after {before}");
                }
            }
        }
    }

    #[test]
    fn days_in_a_band_count_from_the_day_it_was_entered() {
        let bands = Bands::default();
        let days = |scores: &[f64]| {
            let mut holding = Holding::new(bands);
            scores.iter().for_each(|score| _ = holding.step(*score));
            (holding.days_in(Band::Healthy), holding.days_in(Band::AtRisk))
        };
        assert_eq!((days(&[]), days(&[80.0]), days(&[50.0])), ((0, 0), (1, 0), (0, 0)));
        assert_eq!(days(&[80.0, 64.0, 66.0, 90.0]), (4, 0), "held");
        assert_eq!(days(&[50.0, 80.0, 80.0, 80.0]), (2, 0), "the second day above is the first in the band");
        assert_eq!(days(&[80.0, 20.0, 20.0]), (0, 1));
    }

    #[test]
    fn a_drop_is_measured_from_the_highest_day_of_the_span() {
        let series: Vec<(Day, f64)> =
            [90.0, 60.0, 75.0, 75.0, 50.0].into_iter().enumerate().map(|(i, s)| (Day(i as i32), s)).collect();
        assert_eq!(drop_within(&series, &[], Day(0)).unwrap().points, 40.0);
        assert_eq!(drop_within(&series, &[], Day(1)).unwrap(), Drop { points: 25.0, from: 75.0, day: Day(3) });
        assert_eq!(drop_within(&series, &[], Day(4)).unwrap().points, 0.0);
        assert_eq!(drop_within(&[], &[], Day(0)), None);
    }
}
