//! What a tool last confirmed, and what the config asks of it now.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Operation, Outcome, Slot};
use crate::alert::Alert;
use crate::mapping::WantedRecord;
use crate::value::Value;

/// What the tool last confirmed about one slot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KnownRecord {
    /// The vendor's id.
    pub remote_id: Option<String>,
    /// Our values as they were sent.
    pub fields: BTreeMap<String, Value>,
    /// Looked for within the last day, and not there.
    #[serde(default)]
    pub absent: bool,
    /// It was there and somebody deleted it: it may be found again, and is never created again.
    #[serde(default)]
    pub gone: bool,
    /// What was confirmed of another record, which a person took the subject from: until this one is confirmed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instead_of: Option<Box<KnownRecord>>,
}

/// What a vendor account last confirmed, by slot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// By slot.
    pub records: BTreeMap<Slot, KnownRecord>,
}

impl Known {
    /// The last confirmed value of a field; null if never confirmed.
    pub fn field(&self, slot: &str, field: &str) -> Value {
        self.records.get(slot).and_then(|record| record.fields.get(field)).cloned().unwrap_or_default()
    }

    /// The vendor's id behind a slot.
    pub fn remote_id(&self, slot: &str) -> Option<&str> {
        self.records.get(slot)?.remote_id.as_deref()
    }

    /// Takes in a receipt, as the shell does after every confirmed batch.
    pub fn confirm(&mut self, operation: &Operation, outcome: &Outcome) {
        match outcome {
            Outcome::Done { remote_id } | Outcome::Partly { remote_id, .. } => {
                let record = self.records.entry(operation.slot.clone()).or_default();
                record.absent = false;
                record.gone = false;
                record.instead_of = None;
                if remote_id.is_some() {
                    record.remote_id.clone_from(remote_id);
                }
                for (name, change) in operation.fields.iter().filter(|(name, _)| !outcome.leaves(name)) {
                    record.fields.insert(name.clone(), change.new.clone());
                }
            }
            Outcome::Found { remote_id, differs } => {
                let record = self.records.entry(operation.slot.clone()).or_default();
                if remote_id.is_some() {
                    record.remote_id.clone_from(remote_id);
                }
                record.fields.extend(differs.clone());
            }
            Outcome::Absent { .. } => self.records.entry(operation.slot.clone()).or_default().absent = true,
            Outcome::Gone { .. } => {
                let gone = KnownRecord { absent: true, gone: true, ..KnownRecord::default() };
                self.records.insert(operation.slot.clone(), gone);
            }
            Outcome::Rejected { .. } | Outcome::Refused { .. } => {}
        }
    }
}

/// What the config asks of a tool now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted {
    /// The records, by kind and subject.
    pub records: Vec<WantedRecord>,
    /// Records that are asked for and about which nothing is to be said now: whatever they were told stays.
    pub still: BTreeSet<Slot>,
    /// Alerts that fired and must be sent once.
    pub alerts: Vec<Alert>,
}
