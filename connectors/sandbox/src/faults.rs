//! Faults: what goes wrong on purpose, told beforehand as a list.
//!
//! The list is a plan, not a probability: the same plan and the same requests give the same replies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One fault. As JSON: `{"match": "POST /crm", "skip": 0, "times": 1, "kind": "drop_after"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Method and beginning of the path (`POST /crm`), or only the path's (`/crm`); empty: any request.
    #[serde(rename = "match", default)]
    pub matches: String,
    /// So many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// So many matching requests meet it; then it vanishes.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub kind: FaultKind,
}

fn once() -> u32 {
    1
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answered like this, not carried out.
    Answer(Canned),
    /// Carried out, answered like this.
    AnswerAfter(Canned),
    /// Not carried out, connection closed.
    DropBefore,
    /// Carried out, connection closed.
    DropAfter,
    /// Carried out and answered, so many milliseconds late.
    SlowMs(u64),
    /// HubSpot's batches: 2xx, no results, no errors, nothing written.
    EmptyResults,
    /// HubSpot's batches: every second input is refused, the others are carried out; answered with this status, 200 or 207.
    Partial(u16),
}

/// An answer made up beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// The status.
    pub status: u16,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
}

/// The faults that are left, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan(pub Vec<Fault>);

impl Plan {
    /// The fault that this request meets, if any; counts it.
    pub fn meet(&mut self, method: &str, path: &str) -> Option<FaultKind> {
        let line = format!("{method} {path}");
        for at in 0..self.0.len() {
            let fault = &mut self.0[at];
            let text = &fault.matches;
            let place = if text.starts_with('/') { path } else { &line };
            if !place.starts_with(text.as_str()) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.times == 0 {
                continue;
            }
            fault.times -= 1;
            let kind = fault.kind.clone();
            self.0.retain(|fault| fault.times > 0);
            return Some(kind);
        }
        None
    }
}
