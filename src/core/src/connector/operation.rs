//! One thing to do in a tool, complete and printable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// What an operation is about, as `kind/name`: unique within one vendor account.
pub type Slot = String;

/// How long an operation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Kept in step: a newer one replaces a waiting one; doing it again is harmless.
    State,
    /// An occasion: at most one ever.
    Once,
    /// A question: it changes nothing in the tool, is no change in a report, and a refusal of it is not kept.
    Read,
}

/// One field's change; the same twice where a tool takes whole records and is told it along with what changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What the tool was last told; null if never.
    pub old: Value,
    /// What it is to be told.
    pub new: Value,
}

/// A way to find a record in the tool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The way: `record_id`, `property:NAME`, `domain`, `external_id`.
    pub by: String,
    /// The value to look for.
    pub value: String,
}

/// Something that must exist first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The slot of the operation that makes sure of it.
    pub slot: Slot,
    /// The field that drops out alone if it can't be had; `None`: the whole operation depends on it.
    pub field: Option<String>,
}

/// One thing to do in a tool, complete and printable. A plan leaves no choice to the moment it is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What it is about.
    pub slot: Slot,
    /// How long it counts.
    pub mode: Mode,
    /// Operations with the same batch key may be sent together, up to the manifest's size for that key.
    pub batch_key: String,
    /// In words, for plans and reports: `update company`, `create property`.
    pub title: String,
    /// The account or user that it is about; empty for schema.
    pub subject: String,
    /// The vendor's id of the record, where known.
    pub remote_id: Option<String>,
    /// How to find the record where no id is known, in this order.
    pub keys: Vec<Key>,
    /// `Some`: may create the record, with these fields in addition, which only creation writes.
    pub create: Option<BTreeMap<String, Value>>,
    /// The fields to write.
    pub fields: BTreeMap<String, Change>,
    /// What must exist first.
    pub needs: Vec<Need>,
    /// The vendor's ids of what `needs` names; the shell fills them in before `step`.
    #[serde(default)]
    pub refs: BTreeMap<Slot, String>,
}

impl Operation {
    /// An operation that keeps a slot in step; what else it says is filled in by its connector.
    pub fn new(slot: impl Into<Slot>, batch_key: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            slot: slot.into(),
            mode: Mode::State,
            batch_key: batch_key.into(),
            title: title.into(),
            subject: String::new(),
            remote_id: None,
            keys: Vec::new(),
            create: None,
            fields: BTreeMap::new(),
            needs: Vec::new(),
            refs: BTreeMap::new(),
        }
    }
}
