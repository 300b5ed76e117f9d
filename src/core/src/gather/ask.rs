//! What an evaluation is to find out.

use std::collections::BTreeMap;

use crate::identity::Horizon;
use crate::model::Model;
use crate::past::Past;
use crate::time::{Day, Timestamp};

/// What an evaluation is to find out.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is known.
    pub horizon: Horizon,
    /// How far back daily scores are wanted.
    pub recent_days: i32,
    /// … of users, where they are measured.
    pub recent_user_days: i32,
    /// Whether users are measured too.
    pub users: bool,
    /// Whether it will be asked what moved a score: each account's scored events by day are kept for it.
    pub reasons: bool,
    /// … of one account alone, by its id, and under a profile, by its name, which may not be its own then.
    pub reasons_of: Option<(String, String)>,
    /// … and on which day it is to be measured too, by what is known now ([`crate::figures::Account::measured`]).
    pub measured_on: Option<Day>,
    /// Whether it will be asked what is done, event by event.
    pub activity: bool,
    /// Whether it will be asked what each account did by name and day.
    pub deeds: bool,
    /// What was said of days before.
    pub past: Past,
    /// Whose daily history is wanted, by its id, name or domain.
    pub history_of: Option<String>,
    /// Since which day of receipt derived events are counted, by their key; one that isn't named always was.
    pub since: BTreeMap<String, Day>,
    /// Benchmarks are not renewed, seats are not told and values of components do not grow too old after this time: what an
    /// account is as far as it moves by itself. `None`: everything is as it is.
    pub unrenewed_since: Option<Timestamp>,
    /// Windows end with this day, if it is earlier: the last one on which a source that fell silent was heard of.
    pub windows_end: Option<Day>,
    /// Milestones that are asked for: an event of today, and how often.
    pub milestones: Vec<(String, u32)>,
}

impl Ask {
    /// The figures of accounts at a horizon, and nothing besides.
    pub fn of(horizon: Horizon) -> Self {
        Self {
            horizon,
            recent_days: 0,
            recent_user_days: 0,
            users: false,
            reasons: false,
            activity: false,
            deeds: false,
            reasons_of: None,
            measured_on: None,
            past: Past::default(),
            history_of: None,
            since: BTreeMap::new(),
            unrenewed_since: None,
            windows_end: None,
            milestones: Vec::new(),
        }
    }

    /// The last day of every window.
    pub fn over(&self, model: &Model) -> Day {
        let over = model.calendar.last_over(self.horizon.at);
        self.windows_end.map_or(over, |end| over.min(end))
    }
}
