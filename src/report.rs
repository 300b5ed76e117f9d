//! Typed reports: what a pass came to, what an account is, what a plan would do. CLI, socket and logs render these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vitalsync_core::connector::Operation;
use vitalsync_core::evaluate::{Account, Health};
use vitalsync_core::health::Pegged;
use vitalsync_core::model::Band;
use vitalsync_core::value::Value;

use crate::deliver::Delivered;
use crate::tick::ingest::SourceReport;

/// What one pass over everything came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunReport {
    /// The as-of time.
    pub as_of: String,
    /// By source.
    pub sources: BTreeMap<String, SourceReport>,
    /// How many accounts were measured.
    pub accounts: usize,
    /// Events that belong to no account: they say none, and their user has none.
    pub unassigned_events: u64,
    /// What raw score counts as 100, by profile.
    pub benchmarks: BTreeMap<String, BenchmarkReport>,
    /// By destination.
    pub destinations: BTreeMap<String, DestinationReport>,
    /// All destinations' alerts.
    pub alerts: Alerts,
    /// How long it took.
    pub duration_ms: u64,
}

/// What raw score counts as 100, and what it was computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkReport {
    /// The raw score, in points.
    pub raw: f64,
    /// How many accounts had a raw score then; 0 if it is fixed.
    pub accounts: usize,
    /// True if it is the maximum instead of the percentile, because accounts were few or the percentile was 0.
    pub is_maximum: bool,
}

impl BenchmarkReport {
    /// The report of a benchmark.
    pub fn of(pegged: &Pegged) -> Self {
        Self { raw: pegged.raw, accounts: pegged.accounts, is_maximum: pegged.is_maximum }
    }

    /// In words.
    pub fn said(&self) -> String {
        match (self.accounts, self.is_maximum) {
            (0, _) => format!("{:.1} points, fixed", self.raw),
            (accounts, false) => format!("{:.1} points, from {accounts} accounts", self.raw),
            (accounts, true) => {
                format!("{:.1} points, the maximum: too few accounts ({accounts}) for a percentile", self.raw)
            }
        }
    }
}

/// Alerts of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    /// Rules that fired.
    pub fired: u64,
    /// Alerts that were sent.
    pub sent: u64,
    /// Alerts that were held back: by a cooldown, or too old.
    pub suppressed: u64,
}

/// What a sync of one destination came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DestinationReport {
    /// Counts and notes.
    #[serde(flatten)]
    pub delivered: Delivered,
    /// True: it plans and reports, and writes nothing.
    pub observing: bool,
    /// Records in quarantine after it.
    pub quarantined: u64,
    /// Its alerts.
    pub alerts: Alerts,
}

/// The exit code that sources lead to: 1 if one failed, 3 if a file can't be read or not to its end, else 0. Broken lines
/// alone are reported and nothing else.
pub fn exit_code_of_sources(sources: &BTreeMap<String, SourceReport>) -> u8 {
    let files = ["unreadable_file", "truncated_gzip", "damaged_gzip"];
    if sources.values().any(|source| source.failed.is_some()) {
        return 1;
    }
    if sources.values().any(|source| files.iter().any(|reason| source.rejected.contains_key(*reason))) { 3 } else { 0 }
}

impl RunReport {
    /// The exit code: 1 if a source failed, 3 if something was rejected or waits, else 0.
    pub fn exit_code(&self) -> u8 {
        let left =
            |report: &DestinationReport| report.delivered.waiting + report.delivered.rejected + report.quarantined > 0;
        match exit_code_of_sources(&self.sources) {
            0 if self.destinations.values().any(left) => 3,
            code => code,
        }
    }
}

/// One account as programs read it. Numbers are unrounded; null means unknown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountReport {
    /// The account's id.
    pub account: String,
    /// Its display name.
    pub name: Option<String>,
    /// The profile that is its health.
    pub profile: Option<String>,
    /// Its health.
    pub health: HealthReport,
    /// Its health under every profile, where there are several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub profiles: BTreeMap<String, HealthReport>,
    /// The checklist.
    pub activation: ActivationReport,
    /// How much of what is scored is used.
    pub adoption: AdoptionReport,
    /// Its users.
    pub users: UsersReport,
    /// How often it is used.
    pub frequency: FrequencyReport,
    /// The latest event, RFC 3339 in UTC.
    pub last_active: Option<String>,
    /// Days since it began.
    pub tenure_days: Option<i32>,
    /// The lifecycle stages and segments that hold.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub segments: Vec<String>,
    /// Its traits.
    pub traits: serde_json::Value,
}

/// Health under one profile.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HealthReport {
    /// Points in the window.
    pub raw: Option<f64>,
    /// 1–100.
    pub score: Option<f64>,
    /// healthy, normal, at_risk.
    pub band: Option<String>,
    /// Against 7 days ago.
    pub change_7d: Option<f64>,
    /// Against 30 days ago.
    pub change_30d: Option<f64>,
    /// What moved most.
    pub top_reason: Option<String>,
}

/// The checklist.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivationReport {
    /// Steps done ÷ steps × 100.
    pub percent: Option<f64>,
    /// Steps done.
    pub steps_done: usize,
    /// Steps.
    pub steps_total: usize,
    /// The date the last missing step was done.
    pub activated_at: Option<String>,
    /// When each step was done.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub steps: BTreeMap<String, Option<String>>,
}

/// How much of what is scored is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdoptionReport {
    /// In the window.
    pub window_percent: Option<f64>,
    /// Ever.
    pub all_time_percent: Option<f64>,
}

/// Users of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UsersReport {
    /// With a scored event in the window.
    pub active: u32,
    /// With any event in the last 90 days, or in the window if longer.
    pub total: u32,
    /// Active ÷ total × 100.
    pub active_percent: Option<f64>,
}

/// How often an account is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FrequencyReport {
    /// Days with a scored event.
    pub active_days: u32,
    /// Days of the window.
    pub days: u32,
}

impl HealthReport {
    fn of(health: &Health) -> Self {
        Self {
            raw: health.raw,
            score: health.score,
            band: health.band.map(|band| Band::name(band).to_owned()),
            change_7d: health.change_7d,
            change_30d: health.change_30d,
            top_reason: health.top_reason.clone(),
        }
    }
}

impl AccountReport {
    /// The report of an account.
    pub fn of(account: &Account) -> Self {
        let date = |day: &Option<vitalsync_core::Day>| day.map(|day| day.to_string());
        let several = account.profiles.len() > 1;
        Self {
            account: account.id.clone(),
            name: account.name.clone(),
            profile: account.profile.clone(),
            health: HealthReport::of(&account.health),
            profiles: account
                .profiles
                .iter()
                .filter(|_| several)
                .map(|(name, health)| (name.clone(), HealthReport::of(health)))
                .collect(),
            activation: ActivationReport {
                percent: account.activation_percent,
                steps_done: account.steps_done(),
                steps_total: account.steps.len(),
                activated_at: date(&account.activated_at),
                steps: account.steps.iter().map(|(name, day)| (name.clone(), date(day))).collect(),
            },
            adoption: AdoptionReport {
                window_percent: account.adoption_window,
                all_time_percent: account.adoption_all_time,
            },
            users: UsersReport {
                active: account.active_users,
                total: account.total_users,
                active_percent: account.active_percent(),
            },
            frequency: FrequencyReport { active_days: account.active_days, days: account.window_days },
            last_active: account.last_active.map(|time| time.to_string()),
            tenure_days: account.tenure_days,
            segments: account.rules.iter().cloned().collect(),
            traits: Value::Map(account.traits.clone()).to_json(),
        }
    }
}

/// What the next sync of a destination would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanReport {
    /// The destination.
    pub destination: String,
    /// `HubSpot`, `Intercom`, `Slack`.
    pub kind: String,
    /// True: it writes nothing until approved.
    pub observing: bool,
    /// What it would do.
    pub operations: Vec<PlannedOperation>,
    /// Operations that were refused and are not tried now, with why.
    pub quarantined: Vec<(String, String)>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// One operation of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedOperation {
    /// What it is about.
    pub slot: String,
    /// In words.
    pub title: String,
    /// The account or user; empty for schema.
    pub subject: String,
    /// The fields: old and new.
    pub fields: BTreeMap<String, PlannedChange>,
    /// What creation would write in addition, where it may create.
    pub create: Option<BTreeMap<String, serde_json::Value>>,
}

/// Old and new.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedChange {
    /// What the tool was last told.
    pub old: serde_json::Value,
    /// What it would be told.
    pub new: serde_json::Value,
}

impl PlannedOperation {
    /// The report of an operation.
    pub fn of(operation: &Operation) -> Self {
        Self {
            slot: operation.slot.clone(),
            title: operation.title.clone(),
            subject: operation.subject.clone(),
            fields: operation
                .fields
                .iter()
                .map(|(name, change)| {
                    (name.clone(), PlannedChange { old: change.old.to_json(), new: change.new.to_json() })
                })
                .collect(),
            create: operation
                .create
                .as_ref()
                .map(|fields| fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()),
        }
    }
}

/// One account's story.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplainReport {
    /// Its figures.
    #[serde(flatten)]
    pub account: AccountReport,
    /// What its score is made of, the heaviest first.
    pub parts: Vec<Part>,
    /// The benchmark in force.
    pub benchmark: Option<BenchmarkReport>,
    /// What each tool was told.
    pub told: Vec<Told>,
    /// What was refused about it.
    pub quarantined: Vec<Refused>,
}

/// One event's part of the raw score.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// The event.
    pub event: String,
    /// How often in the window.
    pub count: u64,
    /// Its weight.
    pub weight: f64,
    /// Count × weight.
    pub points: f64,
    /// How often in the window before.
    pub count_before: u64,
}

/// What a tool was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// The destination.
    pub destination: String,
    /// What about: `company/acme`, `contact/u7`, `alert/…`.
    pub slot: String,
    /// The vendor's id of the record.
    pub remote_id: Option<String>,
    /// When.
    pub at: Option<String>,
    /// What.
    pub fields: BTreeMap<String, serde_json::Value>,
    /// True: it was looked for and is not there.
    pub absent: bool,
}

/// What was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refused {
    /// The destination.
    pub destination: String,
    /// What about.
    pub slot: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: String,
}

/// How things stand.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StatusReport {
    /// True if a daemon answered.
    pub running: bool,
    /// Bytes of state on disk.
    pub state_bytes: u64,
    /// The as-of time of the last evaluation.
    pub last_evaluation: Option<String>,
    /// By source: the last reading.
    pub sources: BTreeMap<String, SourceStatus>,
    /// By destination: the last sync.
    pub destinations: BTreeMap<String, DestinationStatus>,
}

/// How a source stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SourceStatus {
    /// When it was last read.
    pub last_run: Option<String>,
    /// What that came to.
    pub last: Option<SourceReport>,
    /// When it is read next, while a daemon runs.
    pub next_run: Option<String>,
}

/// How a destination stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// `hubspot`, `intercom`, `slack`.
    pub kind: String,
    /// True: it writes nothing until approved.
    pub observing: bool,
    /// When it was last synced.
    pub last_run: Option<String>,
    /// What that came to.
    pub last: Option<DestinationReport>,
    /// When it is synced next, while a daemon runs.
    pub next_run: Option<String>,
    /// Alerts that wait.
    pub outbox: usize,
    /// What was refused.
    pub quarantine: Vec<Refused>,
}
