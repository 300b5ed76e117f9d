//! What `init` found in a source, and what it made of it.

use std::collections::BTreeMap;

use serde::Serialize;

/// What was found, and what is proposed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct InitReport {
    /// The as-of time: now, or the end of the data.
    pub as_of: String,
    /// Accounts with any call.
    pub accounts: usize,
    /// Users with any call.
    pub users: usize,
    /// Events that were counted.
    pub events: u64,
    /// Of these, those that belong to no account.
    pub unassigned_events: u64,
    /// The first day with an event.
    pub first_day: String,
    /// The last one.
    pub last_day: String,
    /// Events that are scored, with their weights.
    pub scored: BTreeMap<String, u32>,
    /// Events that are left out on purpose.
    pub excluded: Vec<String>,
    /// Events that make steps.
    pub steps: Vec<String>,
    /// The bounds of the bands and what they come to.
    pub bands: BandsReport,
    /// Rank correlation of score and number of users; null where there are too few accounts, or all are alike.
    pub score_with_users: Option<f64>,
    /// True where it is so high that the score ranks size.
    pub goes_with_size: bool,
    /// The config that was written; null if none was.
    pub written: Option<String>,
}

/// Bounds of bands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BandsReport {
    /// Healthy from here up.
    pub healthy: f64,
    /// At risk below.
    pub at_risk: f64,
    /// How many accounts are in which, in words, or why they are the default.
    pub said: String,
}

impl InitReport {
    /// What was found, in a line.
    pub fn found(&self) -> String {
        let Self { accounts, users, events, first_day, last_day, .. } = self;
        format!("{events} events by {users} users of {accounts} accounts, from {first_day} to {last_day}")
    }

    /// All of it in a few lines.
    pub fn said(&self) -> Vec<String> {
        let mut lines = vec![format!("found {}", self.found())];
        if self.unassigned_events > 0 {
            lines.push(format!(
                "  {} of them belong to no account: they state none, and their user has none; `accounts.id` says where ids stand",
                self.unassigned_events
            ));
        }
        let (scored, excluded, steps) = (self.scored.len(), self.excluded.len(), self.steps.len());
        lines.push(format!("scores {scored} events, leaves out {excluded} on purpose; {steps} activation steps"));
        let BandsReport { healthy, at_risk, said } = &self.bands;
        lines.push(format!("bands: healthy from {healthy} up, at risk below {at_risk}: {said}"));
        lines.extend(self.score_with_users.map(|correlation| {
            let what = if self.goes_with_size { "go together: it ranks size" } else { "do not go together" };
            format!("score and number of users {what} (rank correlation {correlation:.2})")
        }));
        lines
    }
}
