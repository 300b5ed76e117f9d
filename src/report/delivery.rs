//! How a destination stands with its tool: braked, refused, broken, changed by others.

use serde::{Deserialize, Serialize};

use super::PlannedOperation;
use crate::deliver::brake::Held;
use crate::store::records::Parked;

/// A run that waits for somebody to release it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeReport {
    /// Since when.
    pub since: String,
    /// Records that it may create.
    pub creates: u64,
    /// Accounts that change their band.
    pub moved: u64,
    /// Accounts that had a band.
    pub had: u64,
    /// Alerts that wait with it.
    pub alerts: u64,
    /// That in words.
    pub what: String,
}

impl BrakeReport {
    /// The report of what is held; without its alerts.
    pub fn of(held: &Held) -> Self {
        let Held { since, creates, moved, had, .. } = held;
        let (creates, moved, had) = (*creates, *moved, *had);
        Self { since: since.to_string(), creates, moved, had, alerts: 0, what: held.said() }
    }

    /// In words, with what to do.
    pub fn said(&self, destination: &str) -> String {
        let alerts = match self.alerts {
            0 => String::new(),
            1 => ", 1 alert waits with it".into(),
            count => format!(", {count} alerts wait with it"),
        };
        format!(
            "braked: {}{alerts}; nothing is written; look with `vitalsync plan {destination}`, release with `vitalsync approve {destination}`",
            self.what
        )
    }
}

/// That a tool lets a destination in no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedReport {
    /// Since when.
    pub since: String,
    /// Why, and what to do.
    pub why: String,
}

impl ParkedReport {
    /// The report of it.
    pub fn of(parked: &Parked) -> Self {
        Self { since: parked.since.to_string(), why: parked.why.clone() }
    }

    /// In words.
    pub fn said(&self) -> String {
        format!("stopped since {}: {}; tried again every hour and at every start", self.since, self.why)
    }
}

/// That a tool fails, and is tried now and then only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitReport {
    /// Failures in a row.
    pub failures: u32,
    /// For how long nothing is sent, in milliseconds.
    pub pause_ms: u64,
}

impl CircuitReport {
    /// In words.
    pub fn said(&self) -> String {
        let seconds = self.pause_ms.div_ceil(1000);
        format!(
            "the tool failed {} times in a row: after {seconds} s one request tries, the others wait",
            self.failures
        )
    }
}

/// One field that somebody else changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// What about.
    pub slot: String,
    /// The field.
    pub field: String,
    /// What the tool was told.
    pub told: serde_json::Value,
    /// What it held when it was read back.
    pub holds: serde_json::Value,
    /// Whose the field is: `win`, `yield`, `report`.
    pub policy: String,
}

impl DriftReport {
    /// In words.
    pub fn said(&self) -> String {
        let shown = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "nothing".to_owned(),
            serde_json::Value::String(text) => text.replace('\n', " "),
            other => other.to_string(),
        };
        let follows = match self.policy.as_str() {
            "yield" => "left",
            "report" => "left until ours changes",
            _ => "written again",
        };
        let Self { slot, field, told, holds, .. } = self;
        format!("{slot} {field}: told {}, holds {}: {follows}", shown(told), shown(holds))
    }
}

/// What a tool refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedReport {
    /// The destination.
    pub destination: String,
    /// What about.
    pub slot: String,
    /// The account or user; empty for schema.
    pub subject: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: String,
    /// True: it is not tried again until the record changes.
    pub dropped: bool,
    /// When it is tried next, if neither the record nor the config changes: a time, or in words.
    pub next_try: String,
    /// What would be sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operation: Option<PlannedOperation>,
}

/// Which record an account or user is in a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchReport {
    /// The destination.
    pub destination: String,
    /// The kind of record: `company`, `contact`.
    pub record: String,
    /// The account's or user's id.
    pub account: String,
    /// Its name, where it has one.
    pub name: String,
    /// The vendor's id of the record; empty if there is none.
    pub record_id: String,
    /// `matched`, `unmatched`, `ambiguous`, `refused`, `gone`, `ignored`, `unknown`.
    pub state: String,
    /// Why it is no match.
    pub why: String,
    /// What it is looked for by.
    pub candidates: String,
}

/// What taking decisions in came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Lines that were read.
    pub lines: u64,
    /// Records that were named.
    pub chosen: u64,
    /// Accounts and users that have no record and get none.
    pub ignored: u64,
    /// Those of which that is no longer so.
    pub looked_for_again: u64,
    /// Lines that decide nothing.
    pub unchanged: u64,
}
