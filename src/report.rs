//! Typed reports: what a pass came to, what an account is, what a plan would do. CLI, socket and logs render these.

mod account;
mod alerts;
mod attribution;
mod backtest;
mod delivery;
mod events;
mod figures;
mod init;
mod page;
mod preview;
mod reading;
mod reasons;
mod rules;
mod user;
mod warning;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vitalsync_core::connector::Operation;
use vitalsync_core::doubt::Doubt;
use vitalsync_core::evaluate::{Account, Evaluation};
use vitalsync_core::gather::HeldOut;
use vitalsync_core::health::Pegged;

pub use vitalsync_core::portfolio::Portfolio;

pub use self::account::{AccountReport, ChampionReport, DayReport, ExplainReport, Part, RiskPart, SHOWN_DAYS};
pub use self::alerts::{AlertReport, AlertsReport, SnoozeReport};
pub use self::attribution::{AttributedPart, AttributionReport, points};
pub use self::backtest::{BacktestReport, FitReport, LeadReport, PredictorReport};
pub use self::delivery::{
    BrakeReport, CircuitReport, DriftReport, ImportReport, MatchReport, ParkedReport, RefusedReport,
};
pub use self::events::{EventReport, EventsReport};
pub use self::init::{BandsReport, InitReport};
pub use self::page::page;
pub use self::preview::{BandChange, Distribution, PreviewReport};
pub use self::reading::{ReadingReport, ReadingStatus};
pub use self::reasons::{AssociationReport, ComparisonReport, ReasonsReport};
pub use self::rules::MissedReport;
pub use self::user::UserReport;
pub use self::warning::{ValidateReport, Warning};
use crate::deliver::Delivered;
use crate::store::compact::Compacted;
use crate::tick::ingest::SourceReport;

/// Four digits after the point, of figures of which more would be noise.
fn digits(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// What one pass over everything came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunReport {
    /// The as-of time.
    pub as_of: String,
    /// By source.
    pub sources: BTreeMap<String, SourceReport>,
    /// By source that asks a tool.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub readings: BTreeMap<String, ReadingReport>,
    /// How many accounts were measured.
    pub accounts: usize,
    /// Events that belong to no account: they say none, and their user has none.
    pub unassigned_events: u64,
    /// What raw score counts as 100, by profile.
    pub benchmarks: BTreeMap<String, BenchmarkReport>,
    /// Derived events that are not in the score yet.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub counted_since: Vec<HeldOutReport>,
    /// Sources that fell silent, each with when it was last heard of: windows end there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub stale: BTreeMap<String, String>,
    /// Sources that were read once and that the config does not have: what they brought counts for nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unknown_sources: Vec<String>,
    /// Scored events that stopped for everybody.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stopped: Vec<StoppedReport>,
    /// What rules ran into, by their place in the config: values that are missing, divisions by zero, unlike kinds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub rules: BTreeMap<String, MissedReport>,
    /// What is odd about the figures.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub doubts: Vec<Doubt>,
    /// By destination.
    pub destinations: BTreeMap<String, DestinationReport>,
    /// All destinations' alerts.
    pub alerts: Alerts,
    /// What writing the state anew came to, if that was worth it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compacted: Option<Compacted>,
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
    /// The group of accounts that it is of; all, if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
    /// Those of groups, each by the group's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub groups: BTreeMap<String, BenchmarkReport>,
}

impl BenchmarkReport {
    /// The report of a benchmark.
    pub fn of(pegged: &Pegged) -> Self {
        let (raw, accounts, is_maximum) = (pegged.raw, pegged.accounts, pegged.is_maximum);
        Self { raw, accounts, is_maximum, group: None, groups: BTreeMap::new() }
    }

    /// The reports of all of an evaluation, by profile.
    pub fn all(evaluation: &Evaluation) -> BTreeMap<String, Self> {
        let within = |profile: &String| evaluation.group_benchmarks.get(profile).into_iter().flatten();
        let groups = |profile| within(profile).map(|(group, peg)| (group.clone(), Self::within(peg, group))).collect();
        let all = evaluation.benchmarks.iter();
        all.map(|(profile, peg)| (profile.clone(), Self { groups: groups(profile), ..Self::of(peg) })).collect()
    }

    /// The report of the benchmark that an account is measured by.
    pub fn of_account(account: &Account, evaluation: &Evaluation) -> Option<Self> {
        let profile = account.profile.as_ref()?;
        match &account.health.benchmark_group {
            Some(group) => evaluation.group_benchmarks.get(profile)?.get(group).map(|peg| Self::within(peg, group)),
            None => evaluation.benchmarks.get(profile).map(Self::of),
        }
    }

    fn within(pegged: &Pegged, group: &str) -> Self {
        Self { group: Some(group.to_owned()), ..Self::of(pegged) }
    }

    /// In words.
    pub fn said(&self) -> String {
        let points = format!("{:.1} points", self.raw);
        match (self.accounts, self.is_maximum, &self.group) {
            (0, ..) => format!("{points}, fixed"),
            (accounts, false, None) => format!("{points}, from {accounts} accounts"),
            (accounts, false, Some(group)) => format!("{points}, from {accounts} accounts of the group {group}"),
            (accounts, true, _) => format!("{points}, the maximum: too few accounts ({accounts}) for a percentile"),
        }
    }
}

/// A derived event that is not in the score yet: it was not counted through the whole window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOutReport {
    /// What people call it.
    pub event: String,
    /// The day of receipt since which it is counted.
    pub since: String,
    /// The day on which it joins the score.
    pub joins: String,
}

impl HeldOutReport {
    /// The reports of all of an evaluation.
    pub fn all(evaluation: &Evaluation) -> Vec<Self> {
        let report = |held: &HeldOut| Self {
            event: held.event.clone(),
            since: held.since.to_string(),
            joins: held.joins.to_string(),
        };
        evaluation.counted_since.iter().map(report).collect()
    }

    /// In words.
    pub fn said(&self) -> String {
        let Self { event, since, joins } = self;
        format!(
            "{event} is counted since {since} and joins the score on {joins}; `vitalsync backfill --rebuild` counts the past"
        )
    }
}

/// A scored event that stopped for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedReport {
    /// What people call it.
    pub event: String,
    /// The day on which there was none.
    pub day: String,
    /// How often it is done on that weekday.
    pub usual: u64,
}

impl StoppedReport {
    /// In words.
    pub fn said(&self) -> String {
        let Self { event, day, usual } = self;
        format!(
            "{event} stopped for everybody: none on {day}, usually {usual}; was it renamed? Alerts that it may cause wait"
        )
    }
}

/// What is said of a source that fell silent.
pub fn said_of_stale(source: &str, last: &str) -> String {
    format!("source {source} is silent since {last}: windows end there until it is back")
}

/// Alerts of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    /// Rules that fired.
    pub fired: u64,
    /// Messages that were sent: a digest is one.
    pub sent: u64,
    /// Alerts that nobody is told: by a cooldown, too old, over before anybody heard of it.
    pub suppressed: u64,
    /// What rules look for and what came about by a config, a benchmark or late data: nobody is told.
    #[serde(default)]
    pub not_theirs: u64,
    /// What may have come about for want of data: it is looked at again.
    #[serde(default)]
    pub undecided: u64,
    /// Alerts that wait for a digest or the end of quiet hours.
    #[serde(default)]
    pub held: u64,
    /// Alerts that went together in one message, because there were too many for one run.
    #[serde(default)]
    pub capped: u64,
    /// Alerts about accounts of which nobody wants to hear for a while.
    #[serde(default)]
    pub snoozed: u64,
}

impl Alerts {
    /// Adds those of another destination.
    pub fn add(&mut self, other: Self) {
        self.fired += other.fired;
        self.sent += other.sent;
        self.suppressed += other.suppressed;
        self.not_theirs += other.not_theirs;
        self.undecided += other.undecided;
        self.held += other.held;
        self.capped += other.capped;
        self.snoozed += other.snoozed;
    }

    /// In words.
    pub fn said(&self) -> String {
        let Self { fired, sent, held, capped, snoozed, suppressed, .. } = self;
        let mut said = format!("{fired} fired, {sent} messages sent");
        for (count, what) in [(held, "held"), (capped, "capped"), (snoozed, "snoozed")] {
            if *count > 0 {
                said.push_str(&format!(", {count} {what}"));
            }
        }
        said + &format!(", {suppressed} suppressed")
    }
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
    /// What holds it up until somebody releases it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub braked: Option<BrakeReport>,
    /// That the tool lets it in no more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parked: Option<ParkedReport>,
    /// That the tool fails, and is tried now and then only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub circuit: Option<CircuitReport>,
    /// What others changed in the tool, as far as it was seen.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub drift: Vec<DriftReport>,
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
    /// The exit code: 1 if a source failed, 3 if something was rejected or waits or a tool could not be read, else 0.
    pub fn exit_code(&self) -> u8 {
        let left = |report: &DestinationReport| {
            let count = report.delivered.waiting + report.delivered.rejected + report.quarantined;
            count > 0 || report.braked.is_some() || report.parked.is_some()
        };
        match exit_code_of_sources(&self.sources) {
            0 if self.destinations.values().any(left) => 3,
            0 if self.readings.values().any(|reading| reading.failed.is_some()) => 3,
            code => code,
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
    /// What would hold it up until somebody releases it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub braked: Option<BrakeReport>,
    /// What others changed in the tool, as far as it was seen.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub drift: Vec<DriftReport>,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What is odd about the config, until a destination was told anything: the same in every plan.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<Warning>,
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
    /// By source that asks a tool: the last reading.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub readings: BTreeMap<String, ReadingStatus>,
    /// By destination: the last sync.
    pub destinations: BTreeMap<String, DestinationStatus>,
    /// Accounts of which nobody wants to hear for a while.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub snoozed: Vec<SnoozeReport>,
    /// What rules ran into at the last evaluation, by their place in the config.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub rules: BTreeMap<String, MissedReport>,
}

/// How a source stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SourceStatus {
    /// When it was last read, by the machine's clock, whatever day was asked about.
    pub last_run: Option<String>,
    /// When reading it last brought something.
    #[serde(default)]
    pub brought_at: Option<String>,
    /// What that came to; `failed` is of the last reading.
    pub last: Option<SourceReport>,
    /// When it was last heard of, if it fell silent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stale_since: Option<String>,
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
    /// What holds it up until somebody releases it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub braked: Option<BrakeReport>,
    /// That the tool lets it in no more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parked: Option<ParkedReport>,
    /// What others changed in the tool and is not mended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub drift: Vec<DriftReport>,
    /// Alerts that wait.
    pub outbox: usize,
    /// What was refused.
    pub quarantine: Vec<Refused>,
}
