//! Other weights for the churn risk: logistic regression with a ridge on the signals, learned from the earlier snapshots and
//! judged by the later ones. Only proposed: whoever reads the config decides.
//!
//! There is deliberately no resampling and no search over settings: with as few as twenty ends both find accidents.

use super::rank::{Draws, Ranking};
use super::{Book, FEWEST, Interval, Refused, Row, Terms, distinct};
use crate::risk::{SIGNS, Values, Weights, risk};
use crate::time::Day;

/// How strongly weights are drawn to 0: as much as ten rows' worth of doubt, on signals scaled to a spread of 1.
const RIDGE: f64 = 10.0;
/// The later third is held out.
const HELD_OUT: usize = 3;
/// Newton's method needs fewer; weights that still move then are as good.
const STEPS: usize = 50;
/// The signals and the base.
const SIZE: usize = SIGNS.len() + 1;

/// What the held-out snapshots say of weights.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Of the config's weights.
    pub now: Option<Interval>,
    /// Of the proposed ones.
    pub proposed: Option<Interval>,
    /// Accounts that left in the held-out snapshots.
    pub churned: usize,
}

/// Proposed weights.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The weights, rounded to hundredths. A signal that never varied keeps its own.
    pub weights: Weights,
    /// The first and the last snapshot that was learned from.
    pub learned: (Day, Day),
    /// The first and the last that judged.
    pub judged: (Day, Day),
    /// What they say.
    pub held: Held,
}

impl Book {
    /// Learns weights from the earlier snapshots whose days after end before the first of the later third, which judge.
    pub fn fit(&self, now: &Weights, terms: &Terms) -> Result<Fitted, Refused> {
        let cut = self.dates.len() - self.dates.len().div_ceil(HELD_OUT);
        let first_judge = *self.dates.get(cut).ok_or(Refused::NoPast)?;
        let learners = self.dates.partition_point(|date| date.plus(terms.horizon) <= first_judge);
        let (Some(first), Some(last), Some(last_judge)) =
            (self.dates.first(), learners.checked_sub(1).and_then(|at| self.dates.get(at)), self.dates.last())
        else {
            return Err(Refused::NoPast);
        };
        let all = || self.rows.iter().zip(&self.values);
        let early: Vec<(&Row, &Values)> = all().filter(|(row, _)| row.snapshot < learners).collect();
        let late: Vec<(&Row, &Values)> = all().filter(|(row, _)| row.snapshot >= cut).collect();
        for (rows, snapshots, part) in [(&early, learners, "earlier "), (&late, self.dates.len() - cut, "later ")] {
            let churned = distinct(rows.iter().map(|(row, _)| *row).filter(|row| row.left));
            if churned < FEWEST {
                return Err(Refused::TooFew { churned, snapshots, part });
            }
        }
        let weights = learn(&early, now);
        let draws = Draws::of(late.iter().map(|(row, _)| row.account));
        let area = |weights: &Weights| {
            let scored = late.iter().map(|(row, values)| (row.account, row.left, risk(values, weights)));
            Ranking::new(scored).interval(&draws)
        };
        let churned = distinct(late.iter().map(|(row, _)| *row).filter(|row| row.left));
        let held = Held { now: area(now), proposed: area(&weights), churned };
        Ok(Fitted { weights, learned: (*first, *last), judged: (first_judge, *last_judge), held })
    }
}

/// The signals as the model takes them: what is missing is neutral.
fn filled(values: &Values) -> [f64; SIGNS.len()] {
    values.map(Option::unwrap_or_default)
}

fn learn(rows: &[(&Row, &Values)], now: &Weights) -> Weights {
    let count = rows.len() as f64;
    let mut spread = [0.0; SIGNS.len()];
    for (at, spread) in spread.iter_mut().enumerate() {
        let of = |values: &Values| filled(values)[at];
        let mean = rows.iter().map(|(_, values)| of(values)).sum::<f64>() / count;
        *spread = (rows.iter().map(|(_, values)| (of(values) - mean).powi(2)).sum::<f64>() / count).sqrt();
    }
    // What never varied tells nothing: it takes no part and keeps its weight.
    let varies = spread.map(|spread| spread > 1e-9);
    let scaled = |values: &Values| -> [f64; SIZE] {
        let values = filled(values);
        std::array::from_fn(|at| match at.checked_sub(1) {
            None => 1.0,
            Some(at) if varies[at] => values[at] / spread[at],
            Some(_) => 0.0,
        })
    };
    let data: Vec<([f64; SIZE], f64)> =
        rows.iter().map(|(row, values)| (scaled(values), f64::from(u8::from(row.left)))).collect();
    let found = regress(&data);
    let hundredths = |weight: f64| (weight * 100.0).round() / 100.0;
    let mut weights = Weights { base: hundredths(found[0]), ..*now };
    for (at, weight) in weights.signs.iter_mut().enumerate().filter(|(at, _)| varies[*at]) {
        *weight = hundredths(found[at + 1] / spread[at]);
    }
    weights
}

/// Logistic regression by Newton's method with a ridge on all but the first coefficient.
fn regress(data: &[([f64; SIZE], f64)]) -> [f64; SIZE] {
    let mut found = [0.0; SIZE];
    for _ in 0..STEPS {
        let mut slope = [0.0; SIZE];
        let mut curve = [[0.0; SIZE]; SIZE];
        for (x, y) in data {
            let z: f64 = x.iter().zip(found).map(|(x, weight)| x * weight).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            let sure = p * (1.0 - p);
            for i in 0..SIZE {
                slope[i] += (y - p) * x[i];
                for j in 0..=i {
                    curve[i][j] += sure * x[i] * x[j];
                }
            }
        }
        for i in 0..SIZE {
            let ridge = if i == 0 { 1e-6 } else { RIDGE };
            slope[i] -= ridge * found[i];
            curve[i][i] += ridge;
        }
        let step = solve(curve, slope);
        let length = step.iter().map(|part| part.abs()).fold(0.0, f64::max);
        // A long step from far away may overshoot.
        let scale = (4.0 / length.max(4.0)).min(1.0);
        found.iter_mut().zip(step).for_each(|(weight, part)| *weight += scale * part);
        if length < 1e-9 {
            break;
        }
    }
    found
}

/// Solves `curve · x = slope` for a symmetric positive definite matrix of which the lower half is given (Cholesky).
fn solve(mut curve: [[f64; SIZE]; SIZE], mut slope: [f64; SIZE]) -> [f64; SIZE] {
    for i in 0..SIZE {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| curve[i][k] * curve[j][k]).sum();
            let rest = curve[i][j] - known;
            curve[i][j] = if i == j { rest.max(1e-12).sqrt() } else { rest / curve[j][j] };
        }
        let known: f64 = (0..i).map(|k| curve[i][k] * slope[k]).sum();
        slope[i] = (slope[i] - known) / curve[i][i];
    }
    for i in (0..SIZE).rev() {
        let known: f64 = (i + 1..SIZE).map(|k| curve[k][i] * slope[k]).sum();
        slope[i] = (slope[i] - known) / curve[i][i];
    }
    slope
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose chance of leaving follows known weights on two signals; a third is noise, the others are missing.
    fn rows(count: usize) -> Vec<(Row, Values)> {
        let mut state = 7u64;
        let mut dice = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        (0..count)
            .map(|account| {
                let mut values = Values::default();
                let x = [dice() * 4.0 - 2.0, dice() * 4.0 - 2.0, dice() * 4.0 - 2.0];
                values[..3].iter_mut().zip(x).for_each(|(value, x)| *value = Some(x));
                let chance = 1.0 / (1.0 + (1.0 - 1.5 * x[0] + 0.5 * x[1]).exp());
                let left = dice() < chance;
                (Row { account, snapshot: account % 12, left, scores: Default::default() }, values)
            })
            .collect()
    }

    #[test]
    fn regression_finds_the_weights_that_made_the_data() {
        let rows = rows(6000);
        let pairs: Vec<(&Row, &Values)> = rows.iter().map(|(row, values)| (row, values)).collect();
        let now = Weights::default();
        let found = learn(&pairs, &now);
        let near = |found: f64, made: f64| assert!((found - made).abs() < 0.12, "{found} instead of {made}");
        near(found.base, -1.0);
        near(found.signs[0], 1.5);
        near(found.signs[1], -0.5);
        near(found.signs[2], 0.0);
        assert_eq!(found.signs[3..], now.signs[3..], "signals that are never known keep their weights");
    }

    #[test]
    fn weights_are_learned_from_the_past_and_judged_by_what_comes_after_it() {
        let mut rows = rows(3000);
        rows.sort_by_key(|(row, _)| (row.snapshot, row.account));
        let (rows, values) = rows.into_iter().unzip();
        let dates: Vec<Day> = (0..12).map(|month| Day(30 * month)).collect();
        let book = Book { dates: dates.clone(), rows, values };
        let terms = Terms::default();
        let fitted = book.fit(&Weights::default(), &terms).expect("weights");
        assert_eq!(fitted.judged, (dates[8], dates[11]));
        assert_eq!(fitted.learned, (dates[0], dates[5]), "the days after the last end before the first that judges");
        let (now, proposed) = (fitted.held.now.expect("an area"), fitted.held.proposed.expect("an area"));
        assert!(proposed.value > now.value + 0.02, "{now:?} {proposed:?}");

        let short = Book { dates: dates[..3].to_vec(), rows: Vec::new(), values: Vec::new() };
        assert_eq!(short.fit(&Weights::default(), &terms).unwrap_err(), Refused::NoPast);
        let mut few = book;
        few.rows.iter_mut().for_each(|row| row.left &= row.account < 40);
        assert!(matches!(few.fit(&Weights::default(), &terms), Err(Refused::TooFew { .. })));
    }
}
