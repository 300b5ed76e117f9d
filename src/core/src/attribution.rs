//! What moved a score between two days: parts that add up to its change, to the last millionth of a point.
//!
//! The way from one score to the other is walked step by step, and each step changes one thing: what came late, what users
//! did, what the raw score is divided by, the benchmark, the config, who is who. How much an event moved the score is its
//! part of the raw score's change times the curve's mean slope between the two. The evaluations that the steps need are
//! made elsewhere; here is only the arithmetic. The path decides where joint effects go: the model's order does.

use serde::{Deserialize, Serialize};

use crate::health::{CURVE, points};
use crate::past::{self, Snapshot};

/// Whose doing a part of a change is, in the order in which parts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Data of the first day's window that came after it.
    Late,
    /// More or less of a scored event.
    Event,
    /// What the raw score is divided by.
    Size,
    /// What the score is made of beside use.
    Component,
    /// The raw score that counts as 100.
    Benchmark,
    /// An edited profile.
    Config,
    /// Who belongs to the account, what was erased or made small, which names stand for the same.
    Identity,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Late, Self::Event, Self::Size, Self::Component, Self::Benchmark, Self::Config, Self::Identity];
}

/// How a raw score is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ruler {
    /// What it is divided by, if by anything.
    pub divisor: Option<f64>,
    /// The raw score, in points and so divided, that counts as 100.
    pub benchmark: f64,
    /// The share of usage in the score, 0–1.
    pub usage: f64,
    /// What components bring into the score, in points.
    pub beside: f64,
}

impl Ruler {
    /// By which a day was measured.
    pub fn of(snapshot: &Snapshot) -> Self {
        let Snapshot { raw, divisor, benchmark, usage, score, .. } = *snapshot;
        // Of a score without components there is nothing beside, whatever was rounded.
        let beside = if usage == 1.0 { 0.0 } else { score - usage * past::score(raw, divisor, benchmark) };
        Self { divisor, benchmark, usage, beside }
    }

    /// The score of a raw score in millionths.
    pub fn score(self, raw: i64) -> f64 {
        self.usage * past::score(raw, self.divisor, self.benchmark) + self.beside
    }

    /// Points of score for a millionth of raw score, on the average between two raw scores; where they are the same, there:
    /// `99 k e^(−kx) / (1 − e^(−k))` for a whole benchmark.
    fn slope(self, from: i64, to: i64) -> f64 {
        if from != to {
            return (self.score(to) - self.score(from)) / (to as f64 - from as f64);
        }
        let whole = self.benchmark * self.divisor.unwrap_or(1.0);
        let x = points(from) / whole;
        if !(0.0..1.0).contains(&x) {
            return 0.0;
        }
        self.usage * 99.0 * CURVE * (-CURVE * x).exp() / (1.0 - (-CURVE).exp()) / whole * points(1)
    }
}

/// How often a scored event happened in the windows of both days.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// What people call it.
    pub event: String,
    /// In the window that ends on the first day.
    pub before: u64,
    /// In the window that ends on the second.
    pub now: u64,
    /// Its weight, in millionths.
    pub weight: i64,
}

impl Counted {
    fn raw(&self) -> i64 {
        let more = i128::from(self.now) - i128::from(self.before);
        let raw = more * i128::from(self.weight);
        raw.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// The way from the score of one day to that of another. Raw scores are in millionths, under the first day's config.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// The first day's score.
    pub from: f64,
    /// How it was measured.
    pub ruler: Ruler,
    /// The first day's raw score from what was received by then.
    pub then: i64,
    /// The same with what was received since.
    pub received: i64,
    /// The same with everybody where the second day sees them.
    pub resolved: i64,
    /// What users did.
    pub events: Vec<Counted>,
    /// How the second day is measured, still under the first day's config.
    pub next: Ruler,
    /// The second day's score as it is measured.
    pub measured: f64,
    /// The second day's score as it was said.
    pub to: f64,
    /// Whose doing it is if the first day's score is not what its raw score gives now. What came late is not always seen to: a
    /// file may be found long after its calls were received.
    pub then_by: Kind,
    /// True if an event joined the score between the days, after it was counted for a whole window: the config's, too.
    pub joined: bool,
    /// True if the second day's score was said while its last data came in: what that makes out is late.
    pub early: bool,
}

/// A part of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whose doing it is.
    pub kind: Kind,
    /// Which of [`Way::events`], for an event.
    pub event: Option<usize>,
    /// Millionths of a point.
    pub micro: i64,
}

impl Way {
    /// The change, in millionths of a point.
    pub fn change(&self) -> i64 {
        micro(self.to - self.from).round() as i64
    }

    /// What the change is made of, none of it 0: in the order of kinds, and of events those that moved most first.
    pub fn parts(&self) -> Vec<Part> {
        let own: i64 = self.events.iter().fold(0, |sum, event| sum.saturating_add(event.raw()));
        let raw = self.resolved.saturating_add(own);
        let slope = self.ruler.slope(self.resolved, raw);
        let sized = Ruler { divisor: self.next.divisor, ..self.ruler };
        let blended = Ruler { benchmark: self.ruler.benchmark, ..self.next };
        let first = self.ruler.score(self.then);
        let steps = [
            (Kind::Late, self.ruler.score(self.received) - first),
            (Kind::Size, sized.score(raw) - self.ruler.score(raw)),
            (Kind::Component, blended.score(raw) - sized.score(raw)),
            (Kind::Benchmark, self.next.score(raw) - blended.score(raw)),
            (Kind::Config, self.measured - self.next.score(raw)),
            (self.then_by, first - self.from),
            (
                if self.joined { Kind::Config } else { Kind::Identity },
                self.ruler.score(self.resolved) - self.ruler.score(self.received),
            ),
            (if self.early { Kind::Late } else { Kind::Identity }, self.to - self.measured),
        ];
        let mut exact: Vec<(Kind, Option<usize>, f64)> = Vec::new();
        for kind in Kind::ALL {
            if kind == Kind::Event {
                let events = self.events.iter().enumerate();
                exact.extend(events.map(|(place, event)| (kind, Some(place), event.raw() as f64 * slope)));
            } else {
                let sum = steps.iter().filter(|(other, _)| *other == kind).map(|(_, part)| part).sum();
                exact.push((kind, None, sum));
            }
        }
        let rounded = largest_remainder(exact.iter().map(|(.., part)| micro(*part)).collect(), self.change());
        let parts = exact.into_iter().zip(rounded).map(|((kind, event, _), micro)| Part { kind, event, micro });
        let mut parts: Vec<Part> = parts.filter(|part| part.micro != 0).collect();
        parts.sort_by_key(|part| (part.kind, std::cmp::Reverse(part.micro.unsigned_abs()), part.event));
        parts
    }
}

fn micro(points: f64) -> f64 {
    points * 1e6
}

/// Whole numbers near others, that add up to a total: each is rounded down, and what is missing goes to those that lost
/// most, of equals to the first. Parts of 0 stay so, unless there is nothing else.
fn largest_remainder(parts: Vec<f64>, total: i64) -> Vec<i64> {
    let mut whole: Vec<i64> = parts.iter().map(|part| part.floor() as i64).collect();
    let mut order: Vec<usize> = (0..parts.len()).filter(|place| parts[*place] != 0.0).collect();
    if order.is_empty() {
        order = (0..parts.len()).collect();
    }
    let lost = |place: usize| parts[place] - parts[place].floor();
    order.sort_by(|a, b| lost(*b).total_cmp(&lost(*a)).then(a.cmp(b)));
    let missing = total.saturating_sub(whole.iter().fold(0i64, |sum, part| sum.saturating_add(*part)));
    // The parts add up to the total but for rounding, so it is less than one for each; if not, all share.
    let count = order.len() as i64;
    for (rank, place) in order.into_iter().enumerate() {
        let more = i64::from((rank as i64) < missing.rem_euclid(count));
        whole[place] = whole[place].saturating_add(missing.div_euclid(count).saturating_add(more));
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::MICRO;

    fn ruler(benchmark: f64) -> Ruler {
        Ruler { divisor: None, benchmark, usage: 1.0, beside: 0.0 }
    }

    fn counted(event: &str, before: u64, now: u64, weight: i64) -> Counted {
        Counted { event: event.into(), before, now, weight: weight * MICRO }
    }

    /// Nothing but events moved: 112 points to 187 of 208.
    fn events_alone() -> Way {
        let (ruler, then) = (ruler(208.0), 112 * MICRO);
        let events = vec![counted("Logged In", 0, 15, 1), counted("Opened", 10, 10, 5), counted("Shared", 0, 3, 20)];
        let to = ruler.score(187 * MICRO);
        let from = ruler.score(then);
        Way {
            from,
            ruler,
            then,
            received: then,
            resolved: then,
            events,
            next: ruler,
            measured: to,
            to,
            then_by: Kind::Late,
            joined: false,
            early: false,
        }
    }

    #[test]
    fn events_share_a_change_by_weight_and_count() {
        let way = events_alone();
        let parts = way.parts();
        let [shared, logged] = &parts[..] else { panic!("two events moved: {parts:?}") };
        assert_eq!((shared.event, logged.event), (Some(2), Some(0)), "the larger part first");
        assert_eq!(shared.micro + logged.micro, way.change());
        assert!((shared.micro as f64 / logged.micro as f64 - 4.0).abs() < 1e-5, "60 points of 75, and 15");
        // 1 + 99 (1 − e^(−2·187/208)) / (1 − e^(−2)) less the same of 112.
        assert_eq!(way.change(), 20_039_527);
    }

    #[test]
    fn what_makes_up_for_each_other_is_told_by_the_slope_there() {
        let way = Way {
            events: vec![counted("a", 10, 4, 5), counted("b", 0, 10, 3)],
            measured: events_alone().from,
            to: events_alone().from,
            ..events_alone()
        };
        let slope = 99.0 * 2.0 * (-2.0 * 112.0 / 208.0f64).exp() / (1.0 - (-2.0f64).exp()) / 208.0;
        let parts: Vec<i64> = way.parts().iter().map(|part| part.micro).collect();
        assert_eq!(parts, [-(30.0 * slope * 1e6).round() as i64, (30.0 * slope * 1e6).round() as i64]);
        let above = Way {
            then: 300 * MICRO,
            received: 300 * MICRO,
            resolved: 300 * MICRO,
            from: 100.0,
            measured: 100.0,
            to: 100.0,
            ..way
        };
        assert_eq!(above.parts(), [], "beyond the benchmark nothing moves a score");
    }

    #[test]
    fn each_step_goes_to_its_kind() {
        let base = events_alone();
        let kinds = |way: Way| {
            let parts = way.parts();
            assert_eq!(parts.iter().map(|part| part.micro).sum::<i64>(), way.change());
            parts.into_iter().map(|part| part.kind).collect::<Vec<_>>()
        };
        let still = Way { events: Vec::new(), measured: base.from, to: base.from, ..base };
        assert_eq!(kinds(still.clone()), []);
        let more = 120 * MICRO;
        let at = |raw, ruler: Ruler| ruler.score(raw);
        let later = Way {
            received: more,
            resolved: more,
            measured: at(more, still.ruler),
            to: at(more, still.ruler),
            ..still.clone()
        };
        assert_eq!(kinds(later.clone()), [Kind::Late]);
        assert_eq!(kinds(Way { received: still.then, ..later.clone() }), [Kind::Identity]);
        assert_eq!(kinds(Way { received: still.then, joined: true, ..later }), [Kind::Config]);
        let other =
            |next: Ruler| Way { next, measured: at(still.then, next), to: at(still.then, next), ..still.clone() };
        assert_eq!(kinds(other(ruler(100.0))), [Kind::Benchmark]);
        assert_eq!(kinds(other(Ruler { divisor: Some(2.0), ..still.ruler })), [Kind::Size]);
        assert_eq!(kinds(other(Ruler { usage: 0.5, beside: 20.0, ..still.ruler })), [Kind::Component]);
        assert_eq!(kinds(Way { measured: 50.0, to: 50.0, ..still.clone() }), [Kind::Config]);
        assert_eq!(kinds(Way { to: 50.0, ..still.clone() }), [Kind::Identity]);
        assert_eq!(kinds(Way { to: 50.0, early: true, ..still.clone() }), [Kind::Late]);
        assert_eq!(kinds(Way { from: 50.0, ..still.clone() }), [Kind::Late]);
        assert_eq!(kinds(Way { from: 50.0, then_by: Kind::Identity, ..still }), [Kind::Identity]);
    }

    fn any_way() -> impl Strategy<Value = Way> {
        let score = || prop_oneof![1.0..100.0f64, Just(1.0), Just(100.0)];
        let raw = || prop_oneof![Just(0), (0..400i64).prop_map(|points| points * MICRO), 0..400_000_000i64];
        let ruler = (
            prop_oneof![3 => Just(None), 1 => (0.5..50.0f64).prop_map(Some)],
            prop_oneof![9 => 0.1..500.0f64, 1 => Just(0.0)],
        );
        let ruler = (ruler, 0.0..=1.0f64, 0.0..100.0f64).prop_map(|((divisor, benchmark), usage, beside)| Ruler {
            divisor,
            benchmark,
            usage,
            beside,
        });
        let event = (0..60u64, 0..60u64, 1..10_000_000i64);
        let events = prop::collection::vec(event, 0..12);
        let flags =
            (prop::sample::select(&[Kind::Late, Kind::Config, Kind::Identity][..]), any::<bool>(), any::<bool>());
        ((score(), score(), score()), (raw(), raw(), raw()), (ruler.clone(), ruler), events, flags).prop_map(
            |((from, measured, to), (then, received, resolved), (ruler, next), events, (then_by, joined, early))| {
                let events = events.into_iter().map(|(before, now, weight)| Counted {
                    event: String::new(),
                    before,
                    now,
                    weight,
                });
                Way {
                    from,
                    ruler,
                    then,
                    received,
                    resolved,
                    events: events.collect(),
                    next,
                    measured,
                    to,
                    then_by,
                    joined,
                    early,
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_add_up_to_the_change_exactly(way in any_way()) {
            let parts = way.parts();
            prop_assert_eq!(parts.iter().map(|part| part.micro).sum::<i64>(), way.change());
            prop_assert!(parts.windows(2).all(|pair| pair[0].kind <= pair[1].kind));
        }

        #[test]
        fn whole_numbers_lie_next_to_the_exact_ones(parts in prop::collection::vec(-1e6..1e6f64, 1..30)) {
            let total = parts.iter().sum::<f64>().round() as i64;
            let whole = largest_remainder(parts.clone(), total);
            prop_assert_eq!(whole.iter().sum::<i64>(), total);
            prop_assert!(whole.iter().zip(&parts).all(|(whole, part)| (*whole as f64 - part).abs() <= 1.0));
        }
    }
}
