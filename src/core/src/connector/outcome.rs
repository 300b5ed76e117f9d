//! What became of operations, and what to do next: the few words that decide every retry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Request, Slot};
use crate::value::Value;

/// What the tool confirmed, or refused, for one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The operation's slot.
    pub slot: Slot,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Confirmed. All of the operation's fields count as known from now on.
    Done {
        /// The vendor's id of the record.
        remote_id: Option<String>,
    },
    /// Confirmed but for some fields, which the tool refused by name: they stay as they were known, and stand in quarantine with
    /// the reason.
    Partly {
        /// The vendor's id of the record.
        remote_id: Option<String>,
        /// The operation's fields that were left out.
        refused: BTreeSet<String>,
        /// Why, without personal data.
        why: String,
    },
    /// The answer to a [`Mode::Read`](super::Mode::Read): what the tool holds now.
    Found {
        /// The vendor's id of the record; another one than was asked for where records were merged.
        remote_id: Option<String>,
        /// Those of the operation's fields that the tool holds otherwise than we know it (`Change::old`), as it holds
        /// them. A value that the tool merely writes in its own way is no difference.
        differs: BTreeMap<String, Value>,
    },
    /// The record is not there, and the config does not ask to create it. Asked for again after a day.
    Absent {
        /// Why, without personal data.
        why: String,
    },
    /// The tool confirmed this record before and somebody deleted it there. It may be found again, and is never created
    /// again.
    Gone {
        /// Why, without personal data.
        why: String,
    },
    /// Refused, perhaps for what it was sent with. Sent once more alone, then kept in quarantine with the reason.
    Rejected {
        /// Why, without personal data.
        why: String,
    },
    /// Refused by its own name, or nobody can tell which record it is: what it is sent with makes no difference. Sent once
    /// more with others like it, then kept in quarantine with the reason.
    Refused {
        /// Why, without personal data.
        why: String,
    },
}

impl Outcome {
    /// True if it leaves a field as it was.
    pub fn leaves(&self, field: &str) -> bool {
        matches!(self, Self::Partly { refused, .. } if refused.contains(field))
    }

    /// Why it was not done, or not wholly; none where it was.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Done { .. } | Self::Found { .. } => None,
            Self::Partly { why, .. }
            | Self::Absent { why }
            | Self::Gone { why }
            | Self::Rejected { why }
            | Self::Refused { why } => Some(why),
        }
    }
}

/// What to do next for the operations of a batch, given the replies so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this and come back with its reply.
    Send(Request),
    /// Finished: one receipt for each operation, in any order.
    Done(Vec<Receipt>),
    /// The last reply asks for patience: send the same request again, after so long if the tool said how long. The reply is not kept.
    Retry {
        /// How long the tool asked to wait.
        after: Option<Duration>,
        /// Why, without personal data.
        why: String,
    },
    /// The batch was refused as a whole: try both halves, each from the beginning.
    Split {
        /// Why, without personal data.
        why: String,
    },
    /// All operations of the batch are refused.
    Reject {
        /// Why, without personal data.
        why: String,
    },
    /// Somebody else changed the record meanwhile: forget its id and plan again.
    Conflict {
        /// Why, without personal data.
        why: String,
    },
    /// What the operations need was confirmed once and is not there any more: these slots are forgotten, and all is planned again.
    Missing {
        /// What is to be made again: properties.
        slots: Vec<Slot>,
        /// Why, without personal data.
        why: String,
    },
    /// The token is missing, wrong, revoked or lacks a scope, or something else answers at the tool's address: this destination
    /// stops, the others go on.
    NeedsLogin {
        /// Why and what to do; no secret.
        why: String,
    },
}
