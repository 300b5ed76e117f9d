//! What each kind of key is called, whether a value of it reads, and a look at everything.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use vitalsync_core::alert::{EdgeState, Snooze};
use vitalsync_core::evaluate::Since;

use super::codec::{self, Broken};
use super::keys;
use super::records::{Kept, MEMBERSHIP, Outgoing, Quarantined, SNOOZE};
use super::{Store, StoreError};

/// The most problems that are told.
const TOLD: usize = 20;

/// The kinds of keys by their first letter.
const KINDS: [(u8, &str); 16] = [
    (b'v', "layout"),
    (b'm', "single values"),
    (b'i', "names"),
    (b'f', "files read"),
    (b'd', "fingerprints of calls"),
    (b'c', "counts"),
    (b's', "statements about users and accounts"),
    (b'n', "names brought by accounts"),
    (b'h', "snapshots of days"),
    (b'p', "profiles as they were"),
    (b'x', "tombstones"),
    (b'l', "logins"),
    (b'k', "told to tools"),
    (b'q', "refused by tools"),
    (b'o', "alerts that wait"),
    (b'e', "memory of alert rules"),
];

/// What a kind of key is called; `None` if there is no such kind.
pub fn kind(key: &[u8]) -> Option<&'static str> {
    KINDS.iter().find(|(letter, _)| key.first() == Some(letter)).map(|(_, name)| *name)
}

fn json<'v, T: Deserialize<'v>>(value: &'v [u8]) -> Result<(), String> {
    serde_json::from_slice::<T>(value).map(|_| ()).map_err(|error| format!("does not read: {error}"))
}

fn not_read(_: Broken) -> String {
    "does not read".to_owned()
}

/// Whether a key is of a known kind and its value reads as that kind.
pub fn check(key: &[u8], value: &[u8]) -> Result<(), String> {
    match key.first() {
        Some(b'm' | b'f' | b'p' | b'l') => json::<IgnoredAny>(value),
        Some(b'k') => json::<Kept>(value),
        Some(b'q') => json::<Quarantined>(value),
        Some(b'o') => json::<Outgoing>(value),
        Some(b'e') if key.starts_with(&keys::records(b'e', MEMBERSHIP)) => json::<Since>(value),
        Some(b'e') if key.starts_with(&keys::records(b'e', SNOOZE)) => json::<Snooze>(value),
        Some(b'e') => json::<EdgeState>(value),
        Some(b'n') => json::<Vec<(u32, u32)>>(value),
        Some(b'i') => codec::read_names(value, |_| {}).map_err(not_read),
        Some(b'c') => {
            let (.., account, month) = keys::read_counts(key).ok_or("has a key that does not read")?;
            codec::read_counts((account, month), value, &mut Vec::new(), |_, _, _| {}).map_err(not_read)
        }
        Some(b's') => {
            let (about, _, _, month, _) = keys::read_statements(key).ok_or("has a key that does not read")?;
            codec::read_statements(about, month, value, |_, _| {}).map_err(not_read)
        }
        Some(b'h') => {
            keys::read_snapshots(key).ok_or("has a key that does not read")?;
            codec::read_snapshots(value, |_, _| {}).map(|_| ()).map_err(not_read)
        }
        Some(b'd') if !value.len().is_multiple_of(8) => Err(not_read(Broken)),
        _ => kind(key).map(|_| ()).ok_or_else(|| "is of no known kind".to_owned()),
    }
}

/// How much there is of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// What a look at everything found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// All keys.
    pub keys: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// By kind of key.
    pub kinds: BTreeMap<String, Size>,
    /// How many things are wrong.
    pub problem_count: u64,
    /// The first of them: what and where.
    pub problems: Vec<String>,
}

impl Verified {
    fn problem(&mut self, what: String) {
        self.problem_count += 1;
        if self.problems.len() < TOLD {
            self.problems.push(what);
        }
    }
}

impl Store {
    /// Reads every key and value, which makes sled check its checksums; finds each key again by its name; has every value
    /// checked; compares the whole with what was last written.
    pub fn verify(&self) -> Verified {
        let mut seen = Verified { disk_bytes: self.size(), ..Verified::default() };
        let done: Result<_, StoreError> = self.each(|key, value| {
            let name = kind(key).unwrap_or("of no known kind");
            let size = seen.kinds.entry(name.to_owned()).or_default();
            let bytes = (key.len() + value.len()) as u64;
            size.keys += 1;
            size.bytes += bytes;
            seen.keys += 1;
            seen.bytes += bytes;
            let place = || format!("{name}, key {}", super::portable::escaped(key));
            match self.get(key) {
                Ok(Some(again)) if again == value => {}
                Ok(_) => seen.problem(format!("{}: is not found by its name", place())),
                Err(error) => return Err(error),
            }
            if let Err(why) = check(key, value) {
                seen.problem(format!("{}: {why}", place()));
            }
            Ok(())
        });
        if let Err(error) = done {
            let why = if let StoreError::Damaged { why, .. } = error { why } else { error.to_string() };
            seen.problem(format!("after {} keys: {why}", seen.keys));
        }
        seen
    }
}
