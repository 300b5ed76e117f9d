//! What is kept of destinations: what they were told, what they refused, what waits, what alert rules remember. And since when
//! rules hold for accounts: kept as if it were remembered by a rule of a destination that no config can name, so that whatever
//! erases an account's edges erases it too.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;
use vitalsync_core::alert::{Alert, EdgeState, Snooze};
use vitalsync_core::connector::{KnownRecord, Operation};
use vitalsync_core::evaluate::Since;
use vitalsync_core::value::Value;

use super::{Batch, Store, StoreError, keys};

/// Stands for the destination of snoozes: kept like what a rule remembers of an account, too.
pub(super) const SNOOZE: &str = "#snooze";

/// Stands for the destination, and for the rule, of what is remembered of memberships.
pub(super) const MEMBERSHIP: &str = "#since";

/// A record that is not there is asked for again after so long.
pub const ABSENT_MS: i64 = 24 * 3_600_000;

/// What a tool last confirmed about a slot, as kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Kept {
    /// What it confirmed.
    #[serde(flatten)]
    pub record: KnownRecord,
    /// The account or user that it is about; empty for schema.
    #[serde(default)]
    pub subject: String,
    /// When it was looked for in vain.
    pub absent_since: Option<Timestamp>,
    /// When it last confirmed something, as of the run.
    pub told_at: Option<Timestamp>,
    /// When it last confirmed something or was read back, by the clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seen: Option<Timestamp>,
    /// Fields that somebody else changed since, as they were last seen.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub differs: BTreeMap<String, Value>,
    /// What fields were about to be told when it was last sent, until the tool said what became of it: they hold this or what
    /// was confirmed before.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub begun: BTreeMap<String, Value>,
    /// True: a person said which record it is.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub chosen: bool,
    /// True: a person said that there is none, and none to be made.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub ignored: bool,
}

/// An operation that a tool refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quarantined {
    /// The slot.
    pub slot: String,
    /// The account or user.
    pub subject: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// What was refused: the same again is not sent before a day is over or the config changed.
    pub hash: u64,
    /// Under which config, by a hash.
    #[serde(default)]
    pub config: u64,
    /// True: a person said that it is not to be tried again unless it changes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub dropped: bool,
}

/// A tool that lets a destination in no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Since when, by the clock.
    pub since: Timestamp,
    /// Why, and what to do.
    pub why: String,
    /// A hash of the token and address that were refused.
    pub credentials: u64,
}

/// An alert on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// What to send, rendered.
    pub operation: Operation,
    /// What it is about: while it was certainly not sent, it is rendered anew for where its rule sends it now.
    #[serde(default)]
    pub alert: Option<Alert>,
    /// The run's as-of time when it fired.
    pub at: Timestamp,
    /// Written before it is first sent: found so at a start, nobody knows whether it was.
    pub attempted_at: Option<Timestamp>,
    /// When and why it was refused, if it was.
    pub refused: Option<(Timestamp, String)>,
}

/// Whose vendor account a destination writes to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VendorAccount {
    /// A hash of the token and address that it was read with.
    pub credentials: u64,
    /// The vendor's own id.
    pub id: String,
}

/// The namespace of what an account of a destination was told.
pub fn told(destination: &str, account: &str) -> String {
    format!("{destination}@{account}")
}

fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

impl Store {
    /// A single JSON value by its name. One that does not read counts as absent.
    pub fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        Ok(self.get(&keys::meta(name))?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn list<T: DeserializeOwned>(&self, kind: u8, namespace: &str) -> Result<Vec<(String, T)>, StoreError> {
        let prefix = keys::records(kind, namespace);
        let mut list = Vec::new();
        for entry in self.scan(&prefix) {
            let (key, value) = entry?;
            let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
            list.extend(serde_json::from_slice(&value).ok().map(|value| (name, value)));
        }
        Ok(list)
    }

    /// What an account of a destination was told, with when.
    pub fn kept(&self, namespace: &str) -> Result<Vec<(String, Kept)>, StoreError> {
        self.list(b'k', namespace)
    }

    /// One slot of it.
    pub fn kept_slot(&self, namespace: &str, slot: &str) -> Result<Kept, StoreError> {
        Ok(self
            .get(&keys::record(b'k', namespace, slot))?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    /// The tokens of a login.
    pub fn login<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        Ok(self.get(&keys::login(name))?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// What a destination refused.
    pub fn quarantine(&self, destination: &str) -> Result<Vec<Quarantined>, StoreError> {
        Ok(self.list(b'q', destination)?.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Since when and why a tool lets a destination in no more, if so.
    pub fn parked(&self, destination: &str) -> Result<Option<Parked>, StoreError> {
        Ok(self.meta::<Option<Parked>>(&format!("parked:{destination}"))?.flatten())
    }

    /// The alerts that wait.
    pub fn outbox(&self, destination: &str) -> Result<Vec<Outgoing>, StoreError> {
        Ok(self.list(b'o', destination)?.into_iter().map(|(_, entry)| entry).collect())
    }

    /// What the alert rules of a destination remember, by rule and account.
    pub fn edges(&self, destination: &str) -> Result<Vec<(String, EdgeState)>, StoreError> {
        self.list(b'e', destination)
    }

    /// Of which accounts nobody wants to hear for a while; also what is over.
    pub fn snoozes(&self) -> Result<Vec<Snooze>, StoreError> {
        Ok(self.list(b'e', SNOOZE)?.into_iter().map(|(_, snooze)| snooze).collect())
    }

    /// Since when rules hold, by account.
    pub fn memberships(&self) -> Result<BTreeMap<String, Since>, StoreError> {
        let list = self.list(b'e', MEMBERSHIP)?.into_iter();
        Ok(list.filter_map(|(name, since)| Some((name.split_once('\u{1f}')?.1.to_owned(), since))).collect())
    }

    /// Since when rules hold for one account.
    pub fn membership(&self, account: &str) -> Result<Since, StoreError> {
        let kept = self.get(&keys::record(b'e', MEMBERSHIP, &edge_name(MEMBERSHIP, account)))?;
        Ok(kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }
}

/// The name of what a rule remembers of an account.
pub fn edge_name(rule: &str, account: &str) -> String {
    format!("{rule}\u{1f}{account}")
}

fn snooze_key(snooze: &Snooze) -> Vec<u8> {
    keys::record(b'e', SNOOZE, &edge_name(snooze.rule.as_deref().unwrap_or_default(), &snooze.account))
}

impl Batch {
    /// Sets a single JSON value.
    pub fn put_meta<T: Serialize>(&mut self, name: &str, value: &T) {
        self.put(keys::meta(name), to_json(value));
    }

    /// Whose account a destination writes to is to be asked anew.
    pub fn forget_vendor_account(&mut self, destination: &str) {
        self.remove(keys::meta(&format!("account:{destination}")));
    }

    /// Sets the tokens of a login.
    pub fn put_login<T: Serialize>(&mut self, name: &str, tokens: &T) {
        self.put(keys::login(name), to_json(tokens));
    }

    /// Forgets the tokens of a login.
    pub fn remove_login(&mut self, name: &str) {
        self.remove(keys::login(name));
    }

    /// Sets what a tool was told about a slot.
    pub fn put_kept(&mut self, namespace: &str, slot: &str, kept: &Kept) {
        self.put(keys::record(b'k', namespace, slot), to_json(kept));
    }

    /// Puts an operation into quarantine.
    pub fn put_quarantined(&mut self, destination: &str, entry: &Quarantined) {
        self.put(keys::record(b'q', destination, &entry.slot), to_json(entry));
    }

    /// Takes a slot out of quarantine.
    pub fn remove_quarantined(&mut self, destination: &str, slot: &str) {
        self.remove(keys::record(b'q', destination, slot));
    }

    /// Notes that a tool lets a destination in no more, or that it does again.
    pub fn put_parked(&mut self, destination: &str, parked: Option<&Parked>) {
        self.put_meta(&format!("parked:{destination}"), &parked);
    }

    /// Sets an alert that waits.
    pub fn put_outgoing(&mut self, destination: &str, entry: &Outgoing) {
        self.put(keys::record(b'o', destination, &entry.operation.slot), to_json(entry));
    }

    /// Takes an alert out of the outbox.
    pub fn remove_outgoing(&mut self, destination: &str, slot: &str) {
        self.remove(keys::record(b'o', destination, slot));
    }

    /// Sets what a rule remembers of an account.
    pub fn put_edge(&mut self, destination: &str, rule: &str, account: &str, state: &EdgeState) {
        self.put(keys::record(b'e', destination, &edge_name(rule, account)), to_json(state));
    }

    /// Keeps a snooze; a longer or shorter one of the same kind takes its place.
    pub fn put_snooze(&mut self, snooze: &Snooze) {
        self.put(snooze_key(snooze), to_json(snooze));
    }

    /// Ends a snooze.
    pub fn remove_snooze(&mut self, snooze: &Snooze) {
        self.remove(snooze_key(snooze));
    }

    /// Notes since when rules hold for an account; nothing for one that no rule holds for.
    pub fn put_membership(&mut self, account: &str, since: &Since) {
        let key = keys::record(b'e', MEMBERSHIP, &edge_name(MEMBERSHIP, account));
        if since.is_empty() { self.remove(key) } else { self.put(key, to_json(since)) }
    }
}
