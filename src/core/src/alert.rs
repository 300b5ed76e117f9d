//! Alert rules, and the alerts that they fire: edges, not levels.
//!
//! An alert fires when a score fell by at least so much within so many days. It starts silent: the first time a rule
//! meets an account it only remembers where the account stands. It is armed again once half of the drop is regained,
//! and never fires twice for one occasion.

use serde::{Deserialize, Serialize};

use crate::expr::Expr;
use crate::time::{Day, Timestamp};

/// A rule of a destination's `alerts:`.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Its name in the config.
    pub name: String,
    /// Fires when the score fell by at least so many points …
    pub drop: f64,
    /// … from the highest daily score of so many days.
    pub within_days: i32,
    /// Only for accounts where this holds.
    pub only: Option<Expr>,
    /// Where it goes: a channel's name or id.
    pub to: String,
    /// How long the same rule stays silent for the same account after it fired, in milliseconds.
    pub cooldown_ms: i64,
}

/// An alert that fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The occasion: the same occasion is never sent twice.
    pub occasion: String,
    /// The rule that fired.
    pub rule: String,
    /// The account's id.
    pub account: String,
    /// The account's name, or its id where it has none.
    pub name: String,
    /// Where it goes.
    pub to: String,
    /// The score now, 1–100, unrounded.
    pub score: f64,
    /// The band now.
    pub band: Option<String>,
    /// The highest daily score of the span before, and its day.
    pub from_score: f64,
    /// The day of that score.
    pub from_day: Day,
    /// The rule's points.
    pub threshold: f64,
    /// The rule's span in days.
    pub within_days: i32,
    /// What is behind it, one line each: which events fell, who stopped.
    pub reasons: Vec<String>,
    /// The last activity of the account.
    pub last_active: Option<Timestamp>,
    /// When it fired: the run's as-of time.
    pub at: Timestamp,
}
