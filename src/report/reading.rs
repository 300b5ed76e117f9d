//! What asking a tool came to.

use serde::{Deserialize, Serialize};

use crate::deliver::Delivered;

/// One reading of a source that asks a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadingReport {
    /// Records that the tool told of.
    pub records: u64,
    /// Of these, such as an account or user has.
    pub matched: u64,
    /// Of these, such as nobody has.
    pub unmatched: u64,
    /// Traits that have another value than before.
    pub changed: u64,
    /// Requests that were sent.
    pub sent_calls: u64,
    /// Requests that were sent again.
    pub retried: u64,
    /// What is odd.
    pub notes: Vec<String>,
    /// Why it was not read to its end: traits keep their last values, and the next reading goes on.
    pub failed: Option<String>,
}

impl ReadingReport {
    /// Adds what a part of it took.
    pub fn add(&mut self, took: &Delivered) {
        self.sent_calls += took.sent_calls;
        self.retried += took.retried;
    }

    /// It ends here, for what the notes say.
    pub fn stop(&mut self, took: Delivered) {
        self.add(&took);
        let why = if took.notes.is_empty() { "interrupted".to_owned() } else { took.notes.join("; ") };
        self.failed = Some(why);
    }

    /// In words.
    pub fn said(&self) -> String {
        format!(
            "{} records read, {} matched, {} of nobody, {} traits changed, {} calls sent",
            self.records, self.matched, self.unmatched, self.changed, self.sent_calls
        )
    }
}

/// How a source that asks a tool stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingStatus {
    /// `hubspot`, `intercom`.
    pub kind: String,
    /// When it was last asked.
    pub last_run: Option<String>,
    /// What that came to.
    pub last: Option<ReadingReport>,
    /// When it was last read to its end, if that is too long ago.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub late_since: Option<String>,
    /// When it is asked next, while a daemon runs.
    pub next_run: Option<String>,
}
