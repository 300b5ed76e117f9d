//! The arithmetic of health: score, benchmark, bands with hold, drop.
//!
//! All functions are total and exact: raw scores are integers of 1e-6, percentiles interpolate as type 7, and nothing
//! rounds before it is shown.

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

/// A percentile with linear interpolation (type 7) over values in any order; `None` without values.
pub fn percentile(values: &mut [f64], percent: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let low = *values.get(below)?;
    let high = *values.get((below + 1).min(last))?;
    Some(low + (at - below as f64) * (high - low))
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
    let maximum = *positive.last()?;
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

    /// How many points a score lies beyond the bounds of a band; 0 or less within.
    fn beyond(&self, band: Band, score: f64) -> f64 {
        match band {
            Band::Healthy => self.healthy - score,
            Band::AtRisk => score - self.at_risk,
            Band::Normal => (score - self.healthy).max(self.at_risk - score),
        }
    }

    /// The band after a series of daily scores: left only after `hold_days` days in a row more than `hold_points` beyond
    /// its bound, on the same side. The first score's band is by the bounds alone. `None` for an empty series.
    pub fn held(&self, scores: impl IntoIterator<Item = f64>) -> Option<Band> {
        let mut held: Option<Band> = None;
        let mut run: (u32, bool) = (0, false);
        for score in scores {
            let plain = self.plain(score);
            let Some(band) = held else {
                held = Some(plain);
                continue;
            };
            let far = self.hold_points <= 0.0 || self.beyond(band, score) > self.hold_points;
            if plain == band || !far {
                run.0 = 0;
                continue;
            }
            let up = plain > band;
            run = if run.0 > 0 && run.1 == up { (run.0 + 1, up) } else { (1, up) };
            if run.0 >= self.hold_days.max(1) {
                held = Some(plain);
                run.0 = 0;
            }
        }
        held
    }
}

/// A fall of the score within a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drop {
    /// How many points: highest daily score of the span − now; 0 where it did not fall.
    pub points: f64,
    /// The highest daily score.
    pub from: f64,
    /// Its day, the latest of equals.
    pub day: Day,
}

/// The drop within the last days: over scores of days from `since` on, `now` being the last of them. `series` is in the
/// order of days.
pub fn drop_within(series: &[(Day, f64)], since: Day) -> Option<Drop> {
    let (_, now) = *series.last()?;
    let span = series.iter().filter(|(day, _)| *day >= since);
    let (day, from) = *span.max_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))?;
    Some(Drop { points: from - now, from, day })
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
        let off = Bands { hold_days: 1, hold_points: 0.0, ..bands };
        assert_eq!(
            [39.9, 40.0, 70.0, 69.9].map(|s| off.held([50.0, s]).unwrap()),
            [Band::AtRisk, Band::Normal, Band::Healthy, Band::Normal]
        );
    }

    #[test]
    fn a_drop_is_measured_from_the_highest_day_of_the_span() {
        let series: Vec<(Day, f64)> =
            [90.0, 60.0, 75.0, 75.0, 50.0].into_iter().enumerate().map(|(i, s)| (Day(i as i32), s)).collect();
        assert_eq!(drop_within(&series, Day(0)).unwrap().points, 40.0);
        assert_eq!(drop_within(&series, Day(1)).unwrap(), Drop { points: 25.0, from: 75.0, day: Day(3) });
        assert_eq!(drop_within(&series, Day(4)).unwrap().points, 0.0);
        assert_eq!(drop_within(&[], Day(0)), None);
    }
}
