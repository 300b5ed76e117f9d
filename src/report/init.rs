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
    /// The bounds of the bands: healthy from the first up, at risk below the second.
    pub bands: (f64, f64),
    /// How many accounts are in which band, in words; null where there are too few.
    pub spread: Option<String>,
    /// Rank correlation of score and number of users; null where there are too few accounts, or all are alike.
    pub score_with_users: Option<f64>,
    /// True where it is so high that the score ranks size.
    pub goes_with_size: bool,
    /// The config that was written; null if none was.
    pub written: Option<String>,
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
        let (healthy, at_risk) = self.bands;
        let spread = self.spread.as_deref().unwrap_or("too few accounts to fit other bounds");
        lines.push(format!("bands from {healthy} up and below {at_risk}: {spread}"));
        lines.extend(self.score_with_users.map(|correlation| {
            let what = if self.goes_with_size { "go together: it ranks size" } else { "do not go together" };
            format!("score and number of users {what} (rank correlation {correlation:.2})")
        }));
        lines
    }
}
