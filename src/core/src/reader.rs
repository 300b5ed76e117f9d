//! What a source that asks a tool is: a connector whose `read` says what to ask next, and what a page of answers says.
//!
//! Pure, as `plan` and `step` are. A reading goes page by page; what is to be remembered between pages, and from one reading
//! to the next, is the reader's own cursor, which the shell keeps together with what the page said. Whose record a page speaks
//! of is said by our own id, if the tool knows it, and by the tool's: the shell knows which account has which.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::connector::{Connector, Manifest, Reply, Step};
use crate::mapping::Level;
use crate::section::{Faults, Node, Table};
use crate::value::Value;

/// What a tool holds of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// An account or a user.
    pub level: Level,
    /// Our id, as the tool holds it.
    pub subject: Option<String>,
    /// The tool's id.
    pub remote_id: String,
    /// What it holds, by the trait's name; null where it holds nothing.
    pub traits: BTreeMap<String, Value>,
}

/// A page of a reading.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Records, in any order.
    pub found: Vec<Found>,
    /// What to remember; null: the next reading is of everything.
    pub cursor: Json,
    /// True if the reading goes on with another page.
    pub more: bool,
    /// What records hold that this page does not name, though they were found before or are known by a destination; none if
    /// the page says nothing of them.
    pub others: BTreeMap<String, Value>,
    /// What is odd, without personal data.
    pub notes: Vec<String>,
}

/// A source that asks a tool.
pub trait Reader: Send + Sync {
    /// The next page after a cursor (null: of everything), or what to do before there is one. `replies` answer the requests
    /// that earlier calls with the same cursor asked for, in order.
    ///
    /// # Errors
    /// The step that comes first: a request to send, patience, a refusal, a login.
    fn read(&self, cursor: &Json, replies: &[Reply]) -> Result<Page, Step>;
}

/// Reads a source's own section. What the shell reads of it is left out by [`Manifest::leave_source`].
pub type ReadSource = fn(&Node, &mut Faults) -> Option<Box<dyn Connector>>;

/// One line of the registry of sources that ask tools.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredSource {
    /// The connector's facts.
    pub manifest: &'static Manifest,
    /// Reads its section.
    pub read: ReadSource,
}

/// The keys of every source that asks a tool, beside those of its [`crate::connector::Auth`].
pub const SOURCE_KEYS: [&str; 5] = ["type", "base_url", "schedule", "destination", "expect_every"];

impl Manifest {
    /// Marks what the shell reads of a source's section as known.
    pub fn leave_source(&self, table: &Table<'_>) {
        for key in SOURCE_KEYS.into_iter().chain(self.auth.iter().map(|auth| auth.key())) {
            table.get(key);
        }
    }
}
