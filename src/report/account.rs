//! What is said of one account. Its figures stand under the names that rules and mappings use, `health.score` as `score` in
//! `health`, so that a measure is named in one place only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use vitalsync_core::evaluate::{Account, Evaluation, Health, Since};
use vitalsync_core::names;
use vitalsync_core::risk::{self, Weights};
use vitalsync_core::value::Value;

use super::{BenchmarkReport, HeldOutReport, Refused, Told};

/// One account's figures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountReport(Map<String, Json>);

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
        report.0.insert("traits".into(), Value::Map(account.traits.to_map()).to_json());
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

    /// Puts a value under a dotted name.
    fn put(&mut self, name: &str, value: Json) {
        let mut path: Vec<&str> = name.split('.').collect();
        let Some(last) = path.pop() else { return };
        let mut map = &mut self.0;
        for part in path {
            let below = map.entry(part).or_insert_with(|| Map::new().into());
            let Json::Object(below) = below else { return };
            map = below;
        }
        map.insert(last.to_owned(), value);
    }

    /// What stands under a dotted name; `None` where there is nothing, or null.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let mut path = name.split('.');
        let first = self.0.get(path.next()?)?;
        path.try_fold(first, |value, part| value.get(part)).filter(|value| !value.is_null())
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// Text, a date or a time.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
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
