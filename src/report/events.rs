//! What is said of events: how each is used, what it counts for, and what is odd about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vitalsync_core::activity::{self, Event};
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::health;
use vitalsync_core::model::Model;

/// All events of the data and of the config.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EventsReport {
    /// The as-of time.
    pub as_of: String,
    /// Accounts that did anything in the last 30 days that are over.
    pub active_accounts_30d: u32,
    /// Users who did.
    pub active_users_30d: u32,
    /// The most frequent in these days first, then by name.
    pub events: Vec<EventReport>,
}

/// One event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EventReport {
    /// Its name of today, or the chosen one of an event on a condition.
    pub event: String,
    /// How often in the last 30 days that are over.
    pub count_30d: u64,
    /// How often up to the as-of time.
    pub count: u64,
    /// Accounts that did it in these days.
    pub accounts_30d: u32,
    /// Users who did.
    pub users_30d: u32,
    /// The first day with it; null if it was never seen.
    pub first_seen: Option<String>,
    /// The last day with it.
    pub last_seen: Option<String>,
    /// By profile its weight; 0: excluded, null: not named.
    pub weights: BTreeMap<String, Option<f64>>,
    /// Steps of the checklist that ask for it.
    pub steps: Vec<String>,
    /// `unscored_frequent`, `never_seen`, `silent`.
    pub flags: Vec<String>,
    /// The first day of its silence, if it is silent.
    pub silent_since: Option<String>,
    /// The nearest name that was seen, if it never was itself.
    pub nearest: Option<String>,
}

impl EventsReport {
    /// The report of an evaluation that was asked for its activity.
    pub fn of(evaluation: &Evaluation, model: &Model) -> Self {
        let activity = evaluation.activity.as_ref();
        Self {
            as_of: evaluation.at.to_string(),
            active_accounts_30d: activity.map_or(0, |activity| activity.active_accounts),
            active_users_30d: activity.map_or(0, |activity| activity.active_users),
            events: activity::events(model, evaluation).into_iter().map(EventReport::of).collect(),
        }
    }
}

impl EventReport {
    fn of(event: Event) -> Self {
        Self {
            event: event.name,
            count_30d: event.used.lately,
            count: event.used.ever,
            accounts_30d: event.used.accounts,
            users_30d: event.used.users,
            first_seen: event.used.first.map(|day| day.to_string()),
            last_seen: event.used.last.map(|day| day.to_string()),
            weights: event.weights.into_iter().map(|(name, weight)| (name, weight.map(health::points))).collect(),
            steps: event.steps,
            flags: event.flags.into_iter().map(|flag| flag.name().to_owned()).collect(),
            silent_since: event.silent_since.map(|day| day.to_string()),
            nearest: event.nearest,
        }
    }

    /// Its flags in words.
    pub fn said(&self) -> String {
        let word = |flag: &String| match (flag.as_str(), &self.silent_since, &self.nearest) {
            ("unscored_frequent", ..) => "frequent, and no profile scores it".to_owned(),
            ("silent", Some(since), _) => format!("silent for everybody since {since}"),
            ("never_seen", _, Some(near)) if *near != self.event => format!("never seen; did you mean `{near}`?"),
            ("never_seen", ..) => "never seen".to_owned(),
            (other, ..) => other.to_owned(),
        };
        self.flags.iter().map(word).collect::<Vec<_>>().join("; ")
    }
}
