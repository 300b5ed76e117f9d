//! What a sync of a destination came to, in numbers and reasons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// So many reasons are told apart; the rest are counted together.
const MOST_REASONS: usize = 20;
/// What a note about a wait begins with.
pub const WAITS: &str = "waits: ";
/// What the rest is called.
const OTHER: &str = "other reasons";

/// How often something was so, by why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasons(pub BTreeMap<String, u64>);

impl Reasons {
    /// Counts one. Numbers in a reason are left out, so that what differs by a count or an id alone is one reason.
    pub fn count(&mut self, why: &str) {
        self.add(bare(why), 1);
    }

    fn add(&mut self, why: String, count: u64) {
        let room = self.0.len() < MOST_REASONS || self.0.contains_key(&why);
        *self.0.entry(if room { why } else { OTHER.to_owned() }).or_default() += count;
    }

    fn append(&mut self, other: Self) {
        other.0.into_iter().for_each(|(why, count)| self.add(why, count));
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A reason with `…` for each number of more than three digits: ids go, codes such as HTTP's 503 stay.
fn bare(why: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for c in why.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        match digits.len() {
            0..=3 => out.push_str(&digits),
            _ => out.push('…'),
        }
        digits.clear();
        out.push(c);
    }
    out.trim_end().to_owned()
}

/// What a sync of a destination came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Records that were read back to see whether the tool still holds what it confirmed.
    #[serde(default)]
    pub read: u64,
    /// Of those, records that somebody else changed, moved or deleted.
    #[serde(default)]
    pub drifted: u64,
    /// Operations that were to be done: records to change, alerts to send.
    pub changed: u64,
    /// Requests that were sent, of any kind.
    pub sent_calls: u64,
    /// Operations that the tool confirmed.
    pub acknowledged: u64,
    /// Operations that the tool refused, now in quarantine.
    pub rejected: u64,
    /// Why, how often.
    #[serde(skip_serializing_if = "Reasons::is_empty", default)]
    pub rejected_why: Reasons,
    /// Requests that were sent again.
    pub retried: u64,
    /// Operations left for the next pass.
    pub waiting: u64,
    /// Why, how often.
    #[serde(skip_serializing_if = "Reasons::is_empty", default)]
    pub waiting_why: Reasons,
    /// Records that are not in the tool and are not to be created.
    pub absent: u64,
    /// Why, how often.
    #[serde(skip_serializing_if = "Reasons::is_empty", default)]
    pub absent_why: Reasons,
    /// Alerts that were sent.
    pub alerts_sent: u64,
    /// Alerts that were too old to send.
    pub alerts_stale: u64,
    /// Why this destination stopped, or what it waits for; what to do.
    pub notes: Vec<String>,
}

impl Delivered {
    /// Adds what another part of the same sync came to.
    pub fn add(&mut self, other: Self) {
        self.read += other.read;
        self.drifted += other.drifted;
        self.changed += other.changed;
        self.sent_calls += other.sent_calls;
        self.acknowledged += other.acknowledged;
        self.rejected += other.rejected;
        self.rejected_why.append(other.rejected_why);
        self.retried += other.retried;
        self.waiting += other.waiting;
        self.waiting_why.append(other.waiting_why);
        self.absent += other.absent;
        self.absent_why.append(other.absent_why);
        self.alerts_sent += other.alerts_sent;
        self.alerts_stale += other.alerts_stale;
        other.notes.into_iter().for_each(|note| self.note(note));
    }

    /// Leaves operations for the next pass.
    pub fn leave(&mut self, count: u64, why: &str) {
        self.waiting += count;
        if count > 0 {
            self.waiting_why.add(bare(why), count);
        }
    }

    /// Says something once.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_by_an_id_are_one() {
        let mut reasons = Reasons::default();
        for why in ["no record 12345 (404)", "no record 99999 (404)", "no record"] {
            reasons.count(why);
        }
        assert_eq!(
            reasons.0.into_iter().collect::<Vec<_>>(),
            [("no record".to_owned(), 1), ("no record … (404)".to_owned(), 2)]
        );
    }

    #[test]
    fn no_more_reasons_are_told_apart_than_anybody_reads() {
        let mut reasons = Reasons::default();
        (0..50).for_each(|n| reasons.count(&"x".repeat(n + 1)));
        assert_eq!((reasons.0.len(), reasons.0[OTHER]), (MOST_REASONS + 1, 30));
    }
}
