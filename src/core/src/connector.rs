//! What a connector is: two pure functions and a manifest.
//!
//! `plan` says, complete and printable, what a tool should be told; `step` reads the answers so far and says
//! what to send next. No client, no secret, no clock and no retry lives in a connector: batching, splitting,
//! rate budgets, `Retry-After`, authentication, quarantine and dry run are written once, in the shell.
//!
//! - A **slot** names what an operation is about (`company/acme`, `property/companies/vitalsync_band`).
//! - **Known** is what the tool last confirmed, by slot and field, in our own values as sent.
//! - **Wanted** is what the config asks for now.

mod known;
mod manifest;
mod operation;
mod outcome;
mod scrub;
mod talk;

use std::time::Duration;

pub use self::known::{Known, KnownRecord, Wanted};
pub use self::manifest::{Auth, COMMON_KEYS, Limit, Manifest, OAuth, Quota};
pub use self::operation::{Change, Key, Mode, Need, Operation, Slot};
pub use self::outcome::{Outcome, Receipt, Step};
pub use self::scrub::scrub;
pub use self::talk::{Answer, Method, Pool, Reply, Request, wait_of};
use crate::mapping::RecordSet;
use crate::section::{Faults, Node, Place};

/// A configured destination of one kind. `Send + Sync` so that the shell may hold it in tasks.
pub trait Connector: std::fmt::Debug + Send + Sync {
    /// The connector's facts.
    fn manifest(&self) -> &'static Manifest;

    /// Where this destination's API lives, where its own section says so (a region); else the manifest's address.
    /// `base_url` in the config wins over both.
    fn home(&self) -> Option<&'static str> {
        None
    }

    /// Which records with which fields the config asks for; the core evaluates them into [`Wanted`].
    fn record_sets(&self) -> &[RecordSet];

    /// What this destination says of its alerts; `None` where it tells none.
    fn alerting(&self) -> Option<&crate::alert::Alerting> {
        None
    }

    /// The alert rules of this destination.
    fn alert_rules(&self) -> &[crate::alert::AlertRule] {
        self.alerting().map_or(&[], |alerting| &alerting.rules)
    }

    /// Where people find a record in the tool, given the vendor account's own id, the record's slot and its id.
    fn record_url(&self, _account: &str, _slot: &str, _remote_id: &str) -> Option<String> {
        None
    }

    /// How to log in, where the manifest has [`Auth::OAuth`].
    fn oauth(&self) -> Option<OAuth> {
        None
    }

    /// The reader, where this is a source that asks the tool.
    fn reader(&self) -> Option<&dyn crate::reader::Reader> {
        None
    }

    /// How many operations of a batch key may be sent together.
    fn batch_size(&self, batch_key: &str) -> usize;

    /// True if batches of a key must be sent one after the other, because one may find what another has just taken.
    fn in_turn(&self, _batch_key: &str) -> bool {
        false
    }

    /// What an answer says of the limit of the pool that its request drew from; none where it says nothing.
    fn limit(&self, _pool: &Pool, _answer: &Answer) -> Option<Limit> {
        None
    }

    /// True if a pool is shared by everybody who writes to a vendor account, whatever their tokens are.
    fn is_shared(&self, _pool: &str) -> bool {
        false
    }

    /// What to do so that the tool holds what is wanted. Planning against one's own finished work is empty.
    ///
    /// Besides records it plans what they need (properties, attributes, tags) as operations of their own.
    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation>;

    /// The questions whether the tool still holds what it confirmed, of [`Mode::Read`], one for each record: `fields` has
    /// what is known of it, old and new alike. They are answered by [`Outcome::Found`] or [`Outcome::Gone`]. None where a
    /// tool can't be read.
    fn read_back(&self, _known: &Known) -> Vec<Operation> {
        Vec::new()
    }

    /// The questions whether the tool can take what the config asks for (properties, types, channels), of [`Mode::Read`],
    /// each with the place of the config that it is about: `validate --online` puts them. They change nothing in the tool.
    /// `step` answers them by [`Outcome::Found`], also for what is missing and would be created, or by
    /// [`Outcome::Rejected`], whose reason is shown at the place.
    fn inspect(&self) -> Vec<(Place, Operation)> {
        Vec::new()
    }

    /// How long the pool of a request is to rest after its answer, which counts, and why: where a tool says how few calls are left
    /// of a long span, the last of them are for others.
    fn rest(&self, _answer: &Answer) -> Option<(Duration, String)> {
        None
    }

    /// What to do next. `operations` share a batch key and are never empty; `replies` answer the requests that earlier
    /// steps with the same operations sent, in order. The operation of [`account_operation`] asks whose account this is.
    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step;
}

/// The slot and batch key of the question *whose account is this*: every connector answers it in `step` by one read and a
/// receipt whose `remote_id` is the vendor account's own id (portal, app, team); none where a tool has no accounts, and its
/// address tells one from another.
pub const ACCOUNT: &str = "account";

/// The operation that asks whose account a token belongs to.
pub fn account_operation() -> Operation {
    Operation { mode: Mode::Read, ..Operation::new(ACCOUNT, ACCOUNT, "read whose account this is") }
}

/// A name for what a request says, for tools that drop what comes twice: 32 hexadecimal digits, the same for the same slots and
/// new values in the same order, from version to version.
pub fn idempotency_key(operations: &[Operation]) -> String {
    let mut text = String::new();
    for operation in operations {
        text.push_str(&operation.slot);
        for (name, change) in &operation.fields {
            text.push_str(&format!("\u{1f}{name}\u{1e}{}", change.new.to_json()));
        }
        text.push('\u{1d}');
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// Reads a destination's own section. What the shell reads of it is left out by [`Manifest::leave_common`].
pub type ReadConfig = fn(&Node, &crate::expr::Scopes, &mut Faults) -> Option<Box<dyn Connector>>;

/// One line of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    /// The connector's facts.
    pub manifest: &'static Manifest,
    /// Reads its section.
    pub read: ReadConfig,
}
