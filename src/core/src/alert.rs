//! Alert rules, and the alerts that they fire: edges, not levels.
//!
//! A rule looks for something that was not so and is so now: a fall, a band, a segment, a step. It starts silent: the first
//! time it meets an account it only remembers how the account stands. It never fires twice for one occasion, and only for
//! what the customer did: [`edge`] says how that is told from what a config, a benchmark or late data do.
//!
//! Deliberately not here: alerts about users, and about several accounts together.

mod edge;
pub mod read;
mod renewal;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::edge::{Edge, EdgeState, Pass, Past, data_stopped, edge, may_fire, settled, stopped_subject};
pub use self::renewal::{Renewal, renewals};
use crate::evaluate::{Account, Health};
use crate::expr::Expr;
use crate::model::{Band, Model};
use crate::segments;
use crate::time::{Day, Timestamp};

/// An occasion that is older is not told any more.
pub const STALE_MS: i64 = 48 * 3_600_000;

/// A rule of a destination's `alerts:`.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Its name in the config.
    pub name: String,
    /// What fires it.
    pub trigger: Trigger,
    /// Only for accounts where this holds.
    pub only: Option<Expr>,
    /// Where it goes: a channel's name or id.
    pub to: String,
    /// How long the same rule stays silent for the same account after it fired, in milliseconds.
    pub cooldown_ms: i64,
}

impl AlertRule {
    /// Whether it looks at what a score has come to: then more than the customer can move it.
    pub fn is_about_scores(&self, model: &Model) -> bool {
        match &self.trigger {
            Trigger::Band(..) => true,
            Trigger::Segment(name, _) => segments::rests_on_scores(model, name),
            _ => false,
        }
    }
}

/// What fires a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// The score fell by so many points from the highest daily score of so many days.
    Drop {
        /// Points, above 0.
        points: f64,
        /// Days, at least 1.
        within_days: i32,
    },
    /// The score rose by so many points from the lowest daily score of so many days.
    Rise {
        /// Points, above 0.
        points: f64,
        /// Days, at least 1.
        within_days: i32,
    },
    /// The account came into a band, or left it.
    Band(Band, Side),
    /// The account came into a segment, or left it.
    Segment(String, Side),
    /// A named step of activation was done.
    Step(String),
    /// All steps of activation are done.
    Activated,
    /// The first scored event ever.
    FirstValue,
    /// Nothing was heard of the account for so many days.
    Quiet(i32),
    /// It is back after at least so many days.
    Back(i32),
    /// The account was never seen before.
    NewAccount,
    /// An event was done so often, by all of its users together, ever.
    Milestone {
        /// The event's name of today.
        event: String,
        /// How often, at least 1.
        count: u32,
    },
    /// A source fell silent; of no account.
    DataStopped,
}

/// Which way a border is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In.
    Entered,
    /// Out.
    Left,
}

impl Trigger {
    /// How many days of daily scores it looks back over.
    pub fn within_days(&self) -> i32 {
        match self {
            Self::Drop { within_days, .. } | Self::Rise { within_days, .. } => *within_days,
            _ => 0,
        }
    }

    /// Whether it is so of an account, of those that are not about the score's course; `None` where that can't be said, as of
    /// a band without a score. A band and a silence that the account had at the same phase of its cycle before are not so: what
    /// comes around each time is no news, until it stays for longer than it did.
    pub fn holds(&self, account: &Account) -> Option<bool> {
        let quiet = |days: i32| account.silent_days.map(|silent| silent >= days);
        let Health { band, phase_bands, .. } = &account.health;
        match self {
            Self::Drop { .. } | Self::Rise { .. } => None,
            Self::Band(wanted, side) => band.map(|now| {
                let is = |band: &Band| (band == wanted) == (*side == Side::Entered);
                is(&now) && !phase_bands.iter().any(is)
            }),
            Self::Segment(name, side) => Some(account.in_rule(&format!("segments.{name}")) == (*side == Side::Entered)),
            Self::Step(_) | Self::Activated | Self::Milestone { .. } => Some(self.day(account).is_some()),
            Self::FirstValue => account.adoption_all_time.map(|ever| ever > 0.0),
            Self::Quiet(days) => quiet(*days).map(|quiet| quiet && !account.rests(*days)),
            Self::Back(days) => quiet(*days).map(|quiet| !quiet),
            Self::NewAccount => Some(true),
            Self::DataStopped => None,
        }
    }

    /// True if it may come about because nothing was heard, whoever fell silent.
    fn may_come_of_silence(&self) -> bool {
        matches!(self, Self::Drop { .. } | Self::Band(..) | Self::Segment(..) | Self::Quiet(_))
    }

    /// The day on which it became so, of those that know it.
    fn day(&self, account: &Account) -> Option<Day> {
        match self {
            Self::Step(step) => account.steps.iter().find(|(name, _)| name == step).and_then(|(_, day)| *day),
            Self::Activated => account.activated_at,
            Self::Milestone { event, count } => account.milestones.get(&(event.clone(), *count)).copied(),
            _ => None,
        }
    }

    /// What is said of the account after its name, of those that are not about the score's course.
    fn said(&self) -> String {
        match self {
            Self::Drop { .. } => "fell".into(),
            Self::Rise { .. } => "rose".into(),
            Self::Band(band, Side::Entered) => format!("is {} now", words(band.name())),
            Self::Band(band, Side::Left) => format!("is no longer {}", words(band.name())),
            Self::Segment(name, Side::Entered) => format!("is now one of {}", words(name)),
            Self::Segment(name, Side::Left) => format!("is no longer one of {}", words(name)),
            Self::Step(step) => format!("has done the step {}", words(step)),
            Self::Activated => "is activated: all steps are done".into(),
            Self::FirstValue => "has used a core feature for the first time".into(),
            Self::Quiet(days) => format!("has been quiet for {days} days"),
            Self::Back(days) => format!("is back after {days} quiet days or more"),
            Self::NewAccount => "is a new account".into(),
            Self::DataStopped => "has stopped".into(),
            Self::Milestone { event, count } => format!("has reached {count} × {event}"),
        }
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// An alert that fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The occasion: the same occasion is never sent twice.
    pub occasion: String,
    /// The rule that fired.
    pub rule: String,
    /// The account's id; empty where it is about a source.
    pub account: String,
    /// The account's name, or its id where it has none.
    pub name: String,
    /// Where it goes.
    pub to: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// The score now, 1–100, unrounded; none where it is unknown.
    pub score: Option<f64>,
    /// The band now.
    pub band: Option<String>,
    /// What is behind it, one line each: which events fell, who stopped.
    pub reasons: Vec<String>,
    /// The last activity of the account, or of the source.
    pub last_active: Option<Timestamp>,
    /// When it fired: the run's as-of time.
    pub at: Timestamp,
}

/// What happened. States of old hold the first kind without a mark, so the kinds are told apart by their fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// The score fell or rose.
    Moved {
        /// The highest daily score of the span before, or the lowest.
        from_score: f64,
        /// The day of that score.
        from_day: Day,
        /// The rule's points.
        threshold: f64,
        /// The rule's span in days.
        within_days: i32,
    },
    /// A source fell silent.
    Stopped {
        /// Its name.
        source: String,
    },
    /// Anything else.
    Said {
        /// What is said after the account's name.
        said: String,
    },
}
