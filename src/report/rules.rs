//! What rules ran into, as people and programs are told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vitalsync_core::census::{Census, Missed};
use vitalsync_core::expr::Misses;

/// Of fewer accounts or users nothing is said in words.
const FEW: u64 = 10;

/// What one rule ran into: values that are missing, divisions by zero, unlike kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedReport {
    /// How many accounts or users it was asked about.
    pub asked: u64,
    /// For how many of them it ran into anything.
    pub of: u64,
    /// What, added up over them.
    #[serde(flatten)]
    pub misses: Misses,
}

impl MissedReport {
    /// The reports of a census.
    pub fn all(census: Census) -> BTreeMap<String, Self> {
        let report = |Missed { asked, of, misses, .. }| Self { asked, of, misses };
        census.into_iter().map(|(rule, missed)| (rule, report(missed))).collect()
    }

    /// In words, where it is half of everybody or more.
    pub fn said(&self, rule: &str) -> Option<String> {
        let Self { asked, of, misses } = self;
        if *asked < FEW || of * 2 < *asked {
            return None;
        }
        let kinds = [
            (misses.compared_null, "comparisons with a missing value (false; see has(x))"),
            (misses.counted_null, "calculations with a missing value (no value; see default(x, y))"),
            (misses.divided_by_zero, "divisions by zero (no value)"),
            (misses.unlike, "comparisons of unlike kinds, such as text with a number"),
        ];
        let kinds: Vec<String> =
            kinds.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        Some(format!("rule {rule}: for {of} of {asked} it met {}", kinds.join(", ")))
    }
}
