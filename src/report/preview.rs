//! What another config would say of the same accounts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::model::Band;

use super::{HeldOutReport, digits};

/// Today's accounts under the config in force and under another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PreviewReport {
    /// The as-of time.
    pub as_of: String,
    /// Accounts that both measure.
    pub accounts: usize,
    /// Their bands now.
    pub before: Distribution,
    /// Their bands under the other config.
    pub after: Distribution,
    /// Accounts that would change band, by their id.
    pub changes: Vec<BandChange>,
    /// Accounts that the other config leaves out.
    pub gone: Vec<String>,
    /// Accounts that only the other config measures.
    pub added: Vec<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// How many accounts are in which band.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Healthy.
    pub healthy: usize,
    /// Normal.
    pub normal: usize,
    /// At risk.
    pub at_risk: usize,
    /// Without a band.
    pub unknown: usize,
    /// The median score; null without any.
    pub median_score: Option<f64>,
}

/// An account that would change band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BandChange {
    /// The account.
    pub account: String,
    /// Its name.
    pub name: Option<String>,
    /// Its band now; null: none.
    pub old: Option<String>,
    /// Its band under the other config.
    pub new: Option<String>,
    /// Its score now.
    pub old_score: Option<f64>,
    /// Its score under the other config.
    pub new_score: Option<f64>,
}

impl PreviewReport {
    /// Compares two evaluations as of the same time.
    pub fn of(now: &Evaluation, then: &Evaluation) -> Self {
        let pairs: Vec<_> =
            now.accounts.iter().filter_map(|account| Some((account, then.find(&account.id)?))).collect();
        let band = |band: Option<Band>| band.map(|band| band.name().to_owned());
        let missing = |of: &Evaluation, other: &Evaluation| {
            of.accounts
                .iter()
                .filter(|account| other.find(&account.id).is_none())
                .map(|account| account.id.clone())
                .collect()
        };
        let changed = pairs.iter().filter(|(old, new)| old.health.band != new.health.band);
        let known: BTreeSet<String> = HeldOutReport::all(now).into_iter().map(|held| held.event).collect();
        let held_out = HeldOutReport::all(then).into_iter().filter(|held| !known.contains(&held.event));
        Self {
            as_of: now.at.to_string(),
            accounts: pairs.len(),
            before: Distribution::of(pairs.iter().map(|(old, _)| &old.health)),
            after: Distribution::of(pairs.iter().map(|(_, new)| &new.health)),
            changes: changed
                .map(|(old, new)| BandChange {
                    account: old.id.clone(),
                    name: new.name.clone(),
                    old: band(old.health.band),
                    new: band(new.health.band),
                    old_score: old.health.score.map(digits),
                    new_score: new.health.score.map(digits),
                })
                .collect(),
            gone: missing(now, then),
            added: missing(then, now),
            notes: held_out
                .map(|held| format!("{} is left out of the other score here: {}", held.event, held.said()))
                .collect(),
        }
    }
}

impl Distribution {
    fn of<'h>(all: impl Iterator<Item = &'h vitalsync_core::evaluate::Health>) -> Self {
        let (mut found, mut scores) = (Self::default(), Vec::new());
        for health in all {
            *(match health.band {
                Some(Band::Healthy) => &mut found.healthy,
                Some(Band::Normal) => &mut found.normal,
                Some(Band::AtRisk) => &mut found.at_risk,
                None => &mut found.unknown,
            }) += 1;
            scores.extend(health.score);
        }
        scores.sort_by(f64::total_cmp);
        found.median_score =
            (!scores.is_empty()).then(|| digits((scores[(scores.len() - 1) / 2] + scores[scores.len() / 2]) / 2.0));
        found
    }
}
