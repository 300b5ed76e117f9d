//! What is said of one account.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use vitalsync_core::evaluate::{Account, Daily, Evaluation, Health, Since};
use vitalsync_core::names;
use vitalsync_core::risk::{self, Weights};
use vitalsync_core::value::Value;

use super::figures::Figures;
use super::{AttributionReport, BenchmarkReport, HeldOutReport, Refused, Told};

/// One account's figures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountReport(Figures);

impl AccountReport {
    /// The report of an account of an evaluation. `noted`: since when rules hold for it, as a run last saw it; what began
    /// only after the evaluation's own day is left out.
    pub fn of(account: &Account, evaluation: &Evaluation, noted: &Since) -> Self {
        let mut report = Self::default();
        for measure in names::ACCOUNT {
            report.put(measure.name, (measure.of)(account).to_json());
        }
        report.put_health("health", &account.health);
        if account.profiles.len() > 1 {
            account.profiles.iter().for_each(|(name, health)| report.put_health(&format!("profiles.{name}"), health));
        }
        let steps = account.steps.iter();
        let steps: BTreeMap<&str, Option<String>> =
            steps.map(|(name, day)| (name.as_str(), day.map(|day| day.to_string()))).collect();
        report.put("activation.steps", serde_json::to_value(steps).unwrap_or_default());
        report.put("lifecycle", account.held("lifecycle.").collect());
        let since = noted.iter().filter(|(rule, day)| account.in_rule(rule) && **day <= evaluation.today);
        let since: BTreeMap<&str, String> = since.map(|(rule, day)| (rule.as_str(), day.to_string())).collect();
        report.put("since", serde_json::to_value(since).unwrap_or_default());
        let held_out = HeldOutReport::all(evaluation);
        if !held_out.is_empty() {
            report.put("counted_since", serde_json::to_value(held_out).unwrap_or_default());
        }
        report.put("traits", Value::Map(account.traits.to_map()).to_json());
        report
    }

    fn put_health(&mut self, prefix: &str, health: &Health) {
        for measure in names::HEALTH {
            self.put(&format!("{prefix}.{}", measure.name), (measure.of)(health).to_json());
        }
        for (name, points) in health.components.iter() {
            self.put(&format!("{prefix}.components.{name}"), (*points).into());
        }
    }

    /// The account's id.
    pub fn id(&self) -> &str {
        self.text("account").unwrap_or_default()
    }

    /// Whether it is so young that it has no band.
    pub fn is_new(&self) -> bool {
        self.get("lifecycle").and_then(Json::as_array).is_some_and(|stages| stages.iter().any(|stage| stage == "new"))
    }

    /// The checklist's steps: the name, and the date each was done.
    pub fn steps(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let steps = self.get("activation.steps").and_then(Json::as_object).into_iter().flatten();
        steps.map(|(name, done)| (name.as_str(), done.as_str()))
    }

    /// Named rules that hold: the name, and since which date, where a run noted it.
    pub fn rules(&self) -> Vec<(String, Option<&str>)> {
        let since = self.get("since").and_then(Json::as_object);
        let mut rules = Vec::new();
        for (list, kind) in [("lifecycle", "lifecycle"), ("segments", "segments"), ("ready_segments", "segments")] {
            for name in self.get(list).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
                let rule = format!("{kind}.{name}");
                let day = since.and_then(|since| since.get(&rule)).and_then(Json::as_str);
                rules.push((rule, day));
            }
        }
        rules
    }

    /// The components of its health that have a value, with their points.
    pub fn components(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        let components = self.get("health.components").and_then(Json::as_object).into_iter().flatten();
        components.map(|(name, points)| (name.as_str(), points.as_f64()))
    }

    /// Derived events that are not in the score yet.
    pub fn counted_since(&self) -> Vec<HeldOutReport> {
        let held_out = self.get("counted_since").cloned();
        held_out.and_then(|held_out| serde_json::from_value(held_out).ok()).unwrap_or_default()
    }
}

impl Deref for AccountReport {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.0
    }
}

impl DerefMut for AccountReport {
    fn deref_mut(&mut self) -> &mut Figures {
        &mut self.0
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
    /// What its churn risk is made of, the weightiest first.
    pub risk: Vec<RiskPart>,
    /// The users with the largest parts of the raw score, at most three.
    #[serde(default)]
    pub champions: Vec<ChampionReport>,
    /// What its window is held against: "the 30 days before", "the same phase of the month before".
    #[serde(default)]
    pub against: String,
    /// What moved its score between the days that were asked for, else since the same phase of its cycle, in the last 30 days or
    /// in the last 7.
    #[serde(default)]
    pub attribution: Option<AttributionReport>,
    /// The first few users who did something that counts in that other window and nothing in this one.
    #[serde(default)]
    pub stopped: Vec<String>,
    /// Its score on each of the last days, today's last.
    #[serde(default)]
    pub history: Vec<DayReport>,
    /// Since which day it is in its band; null where a person states the band.
    #[serde(default)]
    pub band_since: Option<String>,
    /// The benchmark in force.
    pub benchmark: Option<BenchmarkReport>,
    /// What each tool was told.
    pub told: Vec<Told>,
    /// What was refused about it.
    pub quarantined: Vec<Refused>,
}

/// A user with a large part of the raw score.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChampionReport {
    /// The userId; null: it was never identified.
    pub user: Option<String>,
    /// Its share in percent.
    pub share: f64,
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

/// One signal's part of the churn risk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RiskPart {
    /// The signal's name in the config.
    pub signal: String,
    /// What it adds, in log odds; below 0 it speaks for staying.
    pub adds: f64,
    /// What it says where it raises the risk.
    pub says: String,
    /// The figures behind it.
    pub detail: String,
}

impl RiskPart {
    /// The parts of an account's risk.
    pub fn all(account: &Account, weights: &Weights) -> Vec<Self> {
        let (Some(values), Some(habits)) = (risk::values(account), &account.habits) else { return Vec::new() };
        let part = |part: risk::Part| Self {
            signal: part.sign.name.into(),
            adds: part.adds,
            says: part.sign.says.into(),
            detail: (part.sign.detail)(account, habits),
        };
        risk::parts(&values, weights).into_iter().map(part).collect()
    }
}

/// How many days of its history an account's page shows.
pub const SHOWN_DAYS: i32 = 90;

/// An account's score on a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayReport {
    /// The day.
    pub day: String,
    /// 1–100, unrounded.
    pub score: f64,
    /// The band.
    pub band: Option<String>,
    /// True if it was said then; else it is computed under today's config.
    pub stored: bool,
}

impl DayReport {
    /// The last days of a history.
    pub fn all(history: &[Daily]) -> Vec<Self> {
        let shown = history.len().saturating_sub(SHOWN_DAYS as usize);
        let days = history.iter().skip(shown).map(|daily| Self {
            day: daily.day.to_string(),
            score: daily.score,
            band: daily.band.map(|band| band.name().to_owned()),
            stored: daily.stored,
        });
        days.collect()
    }
}
