//! Versions of a profile: what a score was made with, so that a past one can be measured again and compared with today's.
//!
//! A version is kept once, under a hash of its text; a snapshot names it. It has what scores hang on, and a hash of which names
//! and accounts stood for the same and were left out: enough to tell that this changed, not to undo it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::derived::EventRule;
use crate::expr::Expr;
use crate::health::CURVE;
use crate::model::{Bands, Benchmark, Model, Per, Profile, Refresh};
use crate::wildcard::Wildcard;

/// A profile as it was, or is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    scoring: Scoring,
    names: String,
}

/// What scores hang on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Scoring {
    profile: String,
    #[serde(rename = "for")]
    only: Option<String>,
    window: i32,
    /// Millionths, by the name that is counted.
    weights: BTreeMap<String, i64>,
    /// Likewise, the one that goes first at the front.
    #[serde(default)]
    wildcards: Vec<(String, i64)>,
    /// A hash of what divides raw scores, groups accounts and stands beside usage.
    #[serde(default)]
    rest: String,
    healthy: f64,
    at_risk: f64,
    hold_days: u32,
    hold_points: f64,
    percentile: f64,
    refresh: Refresh,
    curve: f64,
}

impl Version {
    /// The version of a profile of a model.
    pub fn of(profile: &Profile, model: &Model) -> Self {
        // Whatever else a profile gets must be named here: does a score hang on it? On the cycle what it is compared with does.
        let Profile { name, only, window, weights, wildcards, features: _, bands, benchmark, .. } = profile;
        let Profile { per, within, components, usage_weight, .. } = profile;
        let Bands { healthy, at_risk, hold_days, hold_points } = *bands;
        let Benchmark { percentile, refresh } = *benchmark;
        let per = match per {
            Per::Account => "account".to_owned(),
            Per::ActiveUser => "active_user".to_owned(),
            Per::Seat(seats) => format!("seat {}", seats.canonical()),
        };
        let within = within.as_ref().map(Expr::canonical);
        let scoring = Scoring {
            profile: name.clone(),
            only: only.as_ref().map(Expr::canonical),
            window: *window,
            weights: weights.clone(),
            wildcards: wildcards.iter().map(|(wildcard, weight)| (wildcard.text().to_owned(), *weight)).collect(),
            rest: format!("{:016x}", hash(&format!("{per} {within:?} {components:?} {usage_weight}"))),
            healthy,
            at_risk,
            hold_days,
            hold_points,
            percentile,
            refresh,
            curve: CURVE,
        };
        Self { scoring, names: names(model) }
    }

    /// Its text, the same for what means the same, and its name: a hash of the text, which states keep.
    pub fn kept(&self) -> (u64, String) {
        let text = serde_json::to_string(self).unwrap_or_default();
        (hash(&text), text)
    }

    /// Reads a text; `None` if it is none of a version.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The profile as it was. Whom it is for, what divides raw scores, what groups accounts and what stands beside usage is as
    /// `today` says, and so is the curve: it is no setting.
    pub fn profile(&self, today: &Profile) -> Profile {
        let Scoring { healthy, at_risk, hold_days, hold_points, percentile, refresh, .. } = self.scoring;
        Profile {
            name: today.name.clone(),
            only: today.only.clone(),
            window: self.scoring.window,
            weights: self.scoring.weights.clone(),
            wildcards: self.scoring.wildcards.iter().map(|(text, weight)| (Wildcard::new(text), *weight)).collect(),
            features: today.features.clone(),
            bands: Bands { healthy, at_risk, hold_days, hold_points },
            benchmark: Benchmark { percentile, refresh },
            ..today.clone()
        }
    }

    /// True if the same usage gives the same score under both.
    pub fn scores_as(&self, other: &Self) -> bool {
        self.scoring == other.scoring
    }

    /// True if the same names stood for the same accounts and events under both, and the same were left out.
    pub fn names_as(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

fn hash(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

/// A hash of what decides who is who.
fn names(model: &Model) -> String {
    let rule = |rule: &Option<Expr>| rule.as_ref().map(Expr::canonical);
    let events = match &model.exclude_events {
        Some(EventRule::Names(names)) => serde_json::json!(names),
        Some(EventRule::Rule(rule)) => rule.canonical().into(),
        None => serde_json::Value::Null,
    };
    let all = (
        (rule(&model.roll_up), &model.account_aliases, &model.event_aliases),
        (rule(&model.exclude_accounts), rule(&model.exclude_users), events),
    );
    format!("{:016x}", hash(&serde_json::to_string(&all).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MICRO;

    fn profile() -> Profile {
        Profile {
            name: "customer".into(),
            weights: BTreeMap::from([("Core".into(), 5 * MICRO), ("Minor".into(), 300_000)]),
            ..Profile::default()
        }
    }

    #[test]
    fn a_version_is_the_same_for_the_same_profile_and_comes_back() {
        let (was, model) = (profile(), Model::default());
        let version = Version::of(&was, &model);
        let (hash, text) = version.kept();
        // States keep it: another text would be another version of every profile.
        assert_eq!(
            text,
            r#"{"scoring":{"profile":"customer","for":null,"window":30,"weights":{"Core":5000000,"Minor":300000},"wildcards":[],"rest":"6298ad8be10e2849","healthy":70.0,"at_risk":40.0,"hold_days":2,"hold_points":5.0,"percentile":90.0,"refresh":"quarterly","curve":2.0},"names":"429146a1d42f3685"}"#
        );
        let mut edited = profile();
        edited.weights.insert("Core".into(), 6 * MICRO);
        edited.benchmark.refresh = Refresh::Fixed(208.0);
        let after = Version::of(&edited, &model);
        assert_ne!(after.kept().0, hash);
        assert!(!after.scores_as(&version) && after.names_as(&version));
        let read = Version::read(&text).unwrap();
        assert_eq!((&read, read.profile(&edited).weights), (&version, was.weights));
        assert!(Version::read("{}").is_none());
    }

    #[test]
    fn other_names_are_another_version_that_scores_the_same() {
        let renamed = Model { account_aliases: [("old".into(), "new".into())].into(), ..Model::default() };
        let (before, after) = (Version::of(&profile(), &Model::default()), Version::of(&profile(), &renamed));
        assert!(after.scores_as(&before) && !after.names_as(&before));
        assert_ne!(after.kept().0, before.kept().0);
    }
}
