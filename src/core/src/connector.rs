//! What a connector is: two pure functions and a manifest.
//!
//! `plan` says, complete and printable, what a tool should be told; `step` reads the answers so far and says
//! what to send next. No client, no secret, no clock and no retry lives in a connector: batching, splitting,
//! rate budgets, `Retry-After`, authentication, quarantine and dry run are written once, in the shell.
//!
//! - A **slot** names what an operation is about (`company/acme`, `property/companies/vitalsync_band`).
//! - **Known** is what the tool last confirmed, by slot and field, in our own values as sent.
//! - **Wanted** is what the config asks for now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::mapping::{RecordSet, WantedRecord};
use crate::section::{Faults, Node, Place, Table};
use crate::time::Timestamp;
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

/// How a request is to be sent: everything but the address, the secret and the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// Path and query, beginning with `/`; appended to the destination's address. Empty where the address is all.
    pub path: String,
    /// Headers beside authentication and content type.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Option<String>,
    /// The quota that it draws from.
    pub pool: Pool,
}

/// The HTTP methods that the vendors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A quota: one of the manifest's pools, possibly one of many of its kind (one per Slack channel).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool {
    /// The manifest's name for it.
    pub name: &'static str,
    /// Which one, where the pool is keyed.
    pub key: Option<String>,
}

impl Pool {
    /// A pool that is not keyed.
    pub fn of(name: &'static str) -> Self {
        Self { name, key: None }
    }
}

/// What came back for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The tool answered.
    Answer(Answer),
    /// Nobody knows whether the request was carried out: the connection broke after it was sent, or this is
    /// the first step of an operation that an earlier process had begun.
    Lost {
        /// When that was known.
        at: Timestamp,
    },
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// When it arrived.
    pub at: Timestamp,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// `Retry-After` in whole seconds, if the header says so. An HTTP date is the shell's business.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|s| (0.0..1e7).contains(s))
            .map(Duration::from_secs_f64)
    }
}

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
    /// The answer to a [`Mode::Read`]: what the tool holds now.
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
    /// Refused. Sent once more alone, then kept in quarantine with the reason.
    Rejected {
        /// Why, without personal data.
        why: String,
    },
}

impl Outcome {
    /// Why it was not done; none where it was.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Done { .. } | Self::Found { .. } => None,
            Self::Absent { why } | Self::Gone { why } | Self::Rejected { why } => Some(why),
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
    /// The token is missing, wrong, revoked or lacks a scope: this destination stops, the others go on.
    NeedsLogin {
        /// Why and what to do; no secret.
        why: String,
    },
}

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
            Outcome::Done { remote_id } => {
                let record = self.records.entry(operation.slot.clone()).or_default();
                record.absent = false;
                record.gone = false;
                if remote_id.is_some() {
                    record.remote_id.clone_from(remote_id);
                }
                for (name, change) in &operation.fields {
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
            Outcome::Rejected { .. } => {}
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

/// A way in which requests prove who sends them. The secret itself stays in the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `token:` in the config; `Authorization: Bearer TOKEN`.
    Bearer,
    /// The whole address is the secret; requests append their path to it.
    Address {
        /// Its key in the config.
        key: &'static str,
    },
    /// As [`Auth::Address`], of somebody's own: the config may add headers to every request, and a secret by which each is
    /// signed as the Standard Webhooks specification says, over its `Idempotency-Key`, its time and its body.
    Hook {
        /// The address's key in the config.
        key: &'static str,
        /// The key of the secret that signs.
        secret: &'static str,
        /// The key of the headers.
        headers: &'static str,
    },
    /// `oauth:` in the config, an app of the user's own that somebody logs in to once, by [`Connector::oauth`];
    /// `Authorization: Bearer` with a token that is renewed when it expires.
    OAuth,
}

/// How to log in by OAuth 2.0 (authorization code with PKCE) and where tokens are renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// The page where a person agrees; a destination with an address of its own has it there, at the same path.
    pub authorize_url: &'static str,
    /// Where codes and refresh tokens are exchanged, on the destination's address.
    pub token_path: String,
    /// What the person is asked to agree to, for what the config asks of the tool.
    pub scopes: Vec<String>,
}

impl Auth {
    /// The key in the config.
    pub fn key(self) -> &'static str {
        match self {
            Self::Bearer => "token",
            Self::Address { key } | Self::Hook { key, .. } => key,
            Self::OAuth => "oauth",
        }
    }

    /// Every key that the shell reads for it.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        let more = if let Self::Hook { secret, headers, .. } = self { vec![secret, headers] } else { Vec::new() };
        std::iter::once(self.key()).chain(more)
    }
}

/// How fast a quota may be drawn from: never more than `limit` requests in any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The pool's name.
    pub pool: &'static str,
    /// The most requests in any window of that length.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// One budget for each key instead of one for all.
    pub keyed: bool,
}

/// What a tool says of a quota while it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The most requests in any window.
    pub requests: u32,
    /// The window.
    pub window: Duration,
}

/// A connector's facts, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The name in `type:`.
    pub name: &'static str,
    /// For people: `HubSpot`.
    pub title: &'static str,
    /// Where its API lives: scheme and host.
    pub base_url: &'static str,
    /// The ways in which requests may be authenticated; the config takes one of them.
    pub auth: &'static [Auth],
    /// The `Content-Type` of its bodies.
    pub content_type: &'static str,
    /// Its quotas.
    pub quotas: &'static [Quota],
}

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

impl Manifest {
    /// Marks what the shell reads of a destination's section as known: the common keys and those of authentication.
    pub fn leave_common(&self, table: &Table<'_>) {
        for key in COMMON_KEYS.into_iter().chain(self.auth.iter().flat_map(|auth| auth.keys())) {
            table.get(key);
        }
    }
}

/// The keys of every destination, beside that of its [`Auth`].
pub const COMMON_KEYS: [&str; 9] =
    ["type", "base_url", "schedule", "mode", "brake", "on_forget", "ownership", "refresh", "when_gone"];

/// One line of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    /// The connector's facts.
    pub manifest: &'static Manifest,
    /// Reads its section.
    pub read: ReadConfig,
}

/// What a tool says in words, made fit for logs, plans and pages: e-mail addresses masked, control characters and line
/// breaks folded, at most 300 characters.
pub fn scrub(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        let mut rest = word;
        while let Some(at) = rest.find('@') {
            let edge = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '%'));
            let from = rest[..at].rfind(edge).map_or(0, |i| i + rest[i..].chars().next().map_or(1, char::len_utf8));
            let to = rest[at + 1..].find(edge).map_or(rest.len(), |i| at + 1 + i);
            if from < at && to > at + 1 {
                out.push_str(&rest[..from]);
                out.push_str("<e-mail>");
            } else {
                out.push_str(&rest[..to]);
            }
            rest = &rest[to..];
        }
        out.push_str(rest);
    }
    if out.chars().count() > 300 {
        out = out.chars().take(299).collect();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::scrub;

    #[test]
    fn what_a_tool_says_is_made_fit_to_print() {
        assert_eq!(scrub("contact \"jo@acme.example\" exists\n<jo.d+x@a.b>"), "contact \"<e-mail>\" exists <<e-mail>>");
        assert_eq!(scrub("@here a@ @b @"), "@here a@ @b @");
        assert_eq!(scrub("é@ü ünï@x"), "<e-mail> <e-mail>");
        assert_eq!(scrub(&"x".repeat(400)).chars().count(), 300);
    }
}
