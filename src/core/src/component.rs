//! What enters a score beside usage: a survey's answer, a person's pulse, open tickets; each from a trait, read as a share of
//! its range.
//!
//! Missing is not zero: a component without a value, or with one that is too old, is left out and its weight is shared by the
//! rest. Whose trait it is and what it was on which day is found in [`crate::gather`]; here is only the arithmetic.

use std::collections::BTreeMap;

use crate::value::Value;

/// The name under which usage itself stands among the components.
pub const USAGE: &str = "usage";

/// One component of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Whose trait it is.
    pub whose: Whose,
    /// The trait's dotted name.
    pub from: String,
    /// How its values are read.
    pub reads: Reads,
    /// Its weight among all components, from 0 up; of 0 it is shown and counts for nothing.
    pub weight: f64,
    /// A value counts for so many days after the day of its statement; without end, if there is none.
    pub max_age: Option<i32>,
}

/// Whose trait a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The account's own.
    Account,
    /// That of the account's users: of those who count in its total users on the day.
    Users(Combine),
}

/// How the values of several users become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combine {
    /// Their mean.
    #[default]
    Mean,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The one in the middle, or the mean of the two there.
    Median,
    /// The one that was stated last.
    Latest,
}

/// How values are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Reads {
    /// Numbers from the worst to the best; the worst may be the greater one. What lies outside counts as the nearer end.
    Range(f64, f64),
    /// Words, each with its share from 0, the worst, to 1.
    Words(BTreeMap<String, f64>),
}

/// A share of a range, 0 at its lesser end, in units of 2⁻⁴⁰: sums are exact in any order.
pub(crate) type Share = i64;

/// The whole range.
const WHOLE: f64 = (1u64 << 40) as f64;

impl Component {
    /// Whether it asks when something was last said, and not only what.
    pub(crate) fn asks_when(&self) -> bool {
        self.max_age.is_some() || self.whose == Whose::Users(Combine::Latest)
    }

    /// A value as a share of the range; `None` if it can't be read: no number or none that is finite, or an unknown word.
    pub(crate) fn share(&self, value: &Value) -> Option<Share> {
        let share = match &self.reads {
            Reads::Range(worst, best) => {
                let (low, high) = (worst.min(*best), worst.max(*best));
                let number = value.as_number().filter(|number| number.is_finite())?;
                (number.clamp(low, high) - low) / (high - low)
            }
            Reads::Words(words) => match value {
                Value::Bool(flag) => *words.get(if *flag { "true" } else { "false" })?,
                value => *words.get(&value.as_key()?)?,
            },
        };
        Some((share * WHOLE).round() as Share)
    }

    /// Points, 1–100, of a share of the range that may lie between two units.
    pub(crate) fn points(&self, share: f64) -> f64 {
        let share = (share / WHOLE).clamp(0.0, 1.0);
        let falls = matches!(self.reads, Reads::Range(worst, best) if worst > best);
        1.0 + 99.0 * if falls { 1.0 - share } else { share }
    }
}

/// The values of several users while they come and go.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    sum: i128,
    count: u64,
    /// How many have a share.
    shares: BTreeMap<Share, u64>,
    /// The same by the moment of their statement.
    stated: BTreeMap<(i64, Share), u64>,
}

impl Crowd {
    /// A value comes, stated at a moment.
    pub fn add(&mut self, share: Share, at: i64) {
        self.sum += i128::from(share);
        self.count += 1;
        *self.shares.entry(share).or_default() += 1;
        *self.stated.entry((at, share)).or_default() += 1;
    }

    /// One that came goes.
    pub fn remove(&mut self, share: Share, at: i64) {
        self.sum -= i128::from(share);
        self.count = self.count.saturating_sub(1);
        take_one(&mut self.shares, &share);
        take_one(&mut self.stated, &(at, share));
    }

    /// All as one; `None` for nobody.
    pub fn combined(&self, combine: Combine) -> Option<f64> {
        match combine {
            Combine::Mean => (self.count > 0).then(|| self.sum as f64 / self.count as f64),
            Combine::Min => self.shares.keys().next().map(|share| *share as f64),
            Combine::Max => self.shares.keys().next_back().map(|share| *share as f64),
            Combine::Latest => self.stated.keys().next_back().map(|(_, share)| *share as f64),
            Combine::Median => {
                let low = self.nth(self.count.checked_sub(1)? / 2)?;
                Some((low + self.nth(self.count / 2)?) / 2.0)
            }
        }
    }

    fn nth(&self, place: u64) -> Option<f64> {
        let mut before = 0;
        let found = self.shares.iter().find(|(_, count)| {
            before += **count;
            before > place
        });
        found.map(|(share, _)| *share as f64)
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What a score is made of came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Blend {
    /// 1–100; `None` where nothing has a value.
    pub score: Option<f64>,
    /// The weight of what has a value.
    pub weight: f64,
    /// Its share of all weight.
    pub coverage: f64,
}

/// Several parts as one: `Σ weight × points ÷ Σ weight` over those that have points, and the share of the weight that had
/// some; `None` where none has, or none of them weighs anything. Parts are weight and points.
pub(crate) fn blend(parts: impl Iterator<Item = (f64, Option<f64>)>) -> Blend {
    let (mut sum, mut weight, mut whole) = (0.0, 0.0, 0.0);
    for (part, points) in parts {
        whole += part;
        if let Some(points) = points {
            weight += part;
            sum += part * points;
        }
    }
    let score = (weight > 0.0).then(|| (sum / weight).clamp(1.0, 100.0));
    Blend { score, weight, coverage: if whole > 0.0 { weight / whole } else { 0.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(reads: Reads) -> Component {
        let (name, from) = ("nps".to_owned(), "nps".to_owned());
        Component { name, whose: Whose::Account, from, reads, weight: 1.0, max_age: None }
    }

    #[test]
    fn a_value_is_a_share_of_its_range() {
        let points = |reads: &Reads, value: Value| {
            let component = component(reads.clone());
            component.share(&value).map(|share| (component.points(share as f64) * 1e6).round() / 1e6)
        };
        let nps = Reads::Range(0.0, 10.0);
        for (value, expected) in [(0.0, 1.0), (10.0, 100.0), (7.0, 70.3), (-5.0, 1.0), (99.0, 100.0)] {
            assert_eq!(points(&nps, value.into()), Some(expected), "{value}");
            let reversed = points(&Reads::Range(10.0, 0.0), value.into());
            assert!(reversed.is_some_and(|points| (points + expected - 101.0).abs() < 1e-9), "{value}: {reversed:?}");
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(points(&nps, value.into()), None);
        }
        assert_eq!(points(&nps, "9".into()), None, "text is no number");

        let pulse = Reads::Words(
            [("green", 1.0), ("yellow", 0.5), ("red", 0.0), ("true", 0.25)].map(|(a, b)| (a.to_owned(), b)).into(),
        );
        for (value, expected) in [("green", Some(100.0)), (" yellow ", Some(50.5)), ("red", Some(1.0)), ("blue", None)]
        {
            assert_eq!(points(&pulse, value.into()), expected, "{value}");
        }
        assert_eq!((points(&pulse, true.into()), points(&pulse, false.into())), (Some(25.75), None));
    }

    #[test]
    fn several_values_become_one() {
        let mut crowd = Crowd::default();
        assert!(
            [Combine::Mean, Combine::Min, Combine::Max, Combine::Median, Combine::Latest]
                .iter()
                .all(|how| crowd.combined(*how).is_none())
        );
        for (share, at) in [(2, 40), (9, 10), (2, 50), (7, 50)] {
            crowd.add(share, at);
        }
        let all = |crowd: &Crowd| {
            [Combine::Mean, Combine::Min, Combine::Max, Combine::Median, Combine::Latest]
                .map(|how| crowd.combined(how).expect("a value"))
        };
        assert_eq!(all(&crowd), [5.0, 2.0, 9.0, 4.5, 7.0]);
        crowd.remove(7, 50);
        assert_eq!(all(&crowd), [13.0 / 3.0, 2.0, 9.0, 2.0, 2.0]);
        crowd.remove(2, 50);
        crowd.remove(2, 40);
        assert_eq!(all(&crowd), [9.0; 5]);
    }

    #[test]
    fn what_is_missing_leaves_its_weight_to_the_rest() {
        let blend = |parts: &[(f64, Option<f64>)]| {
            let Blend { score, coverage, .. } = blend(parts.iter().copied());
            (score, coverage)
        };
        assert_eq!(blend(&[(70.0, Some(40.0)), (20.0, Some(100.0)), (10.0, Some(1.0))]), (Some(48.1), 1.0));
        assert_eq!(blend(&[(70.0, Some(40.0)), (20.0, None), (10.0, Some(80.0))]), (Some(45.0), 0.8));
        assert_eq!(blend(&[(70.0, None), (20.0, Some(60.0)), (10.0, None)]), (Some(60.0), 0.2));
        assert_eq!(blend(&[(70.0, None), (30.0, None)]), (None, 0.0));
        assert_eq!(blend(&[(0.0, Some(50.0)), (30.0, None)]), (None, 0.0));
        assert_eq!(blend(&[]), (None, 0.0));
    }
}
