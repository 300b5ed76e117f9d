//! The witness of the state: how many keys it has and the sum of a hash of each, written with every change.
//!
//! sled takes a damaged message in its log for the end of a segment and goes on without it: pages are silently old or gone. A
//! sum over everything, kept in the same batch as the change, makes that visible. It is a sum, so that a change costs the
//! hash of what was there and of what is there now.

use xxhash_rust::xxh3::xxh3_128;

use super::handle::{Fault, Handle};

/// Where it is kept; no kind of key begins so, and the sum does not count itself.
pub(super) const KEY: &[u8] = b"\0sum";

/// A number of keys, and the sum of the hashes of keys with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) keys: u64,
    hash: u128,
}

fn hash(key: &[u8], value: &[u8]) -> u128 {
    // At once it is some times as fast as piece by piece.
    xxh3_128(&[&(key.len() as u64).to_le_bytes(), key, value].concat())
}

impl Sum {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.keys = self.keys.wrapping_add(1);
        self.hash = self.hash.wrapping_add(hash(key, value));
    }

    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.keys = self.keys.wrapping_sub(1);
        self.hash = self.hash.wrapping_sub(hash(key, value));
    }

    /// Of all that is in a database.
    pub(super) fn of(handle: &Handle) -> Result<Self, Fault> {
        let mut sum = Self::default();
        for entry in handle.scan(b"") {
            let (key, value) = entry?;
            if &*key != KEY {
                sum.add(&key, &value);
            }
        }
        Ok(sum)
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [&self.keys.to_be_bytes()[..], &self.hash.to_be_bytes()].concat()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (keys, hash) = bytes.split_at_checked(8)?;
        Some(Self { keys: u64::from_be_bytes(keys.try_into().ok()?), hash: u128::from_be_bytes(hash.try_into().ok()?) })
    }

    /// Whether what was found is what was written; else in words what is wrong.
    pub(super) fn compare(self, found: Self) -> Result<(), String> {
        match (self == found, self.keys == found.keys) {
            (true, _) => Ok(()),
            (_, true) => Err(format!("the values of its {} keys are not those that were last written", self.keys)),
            _ => Err(format!("it has {} keys where {} were written", found.keys, self.keys)),
        }
    }
}
