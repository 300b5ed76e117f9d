//! Who is to be forgotten: tombstones, so that no source brings a person or an account back.
//!
//! A tombstone is a keyed hash of the id, not the id: what was erased can't be read out of it, and the key never leaves the
//! state.

use std::collections::BTreeSet;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustc_hash::FxHashSet;

use super::{Batch, Store, StoreError, keys};

/// The kind of an account in tombstones, beside those of subjects.
pub const ACCOUNT: u8 = b'g';

/// A tombstone: the first half of an HMAC-SHA-256.
pub type Tombstone = [u8; 16];

/// The ids that are to be forgotten.
#[derive(Default)]
pub struct Suppressed {
    key: Vec<u8>,
    tombstones: FxHashSet<Tombstone>,
}

impl std::fmt::Debug for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tombstones", self.tombstones.len())
    }
}

fn hash(key: &[u8], kind: u8, id: &str) -> Tombstone {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    context.update(&[kind]);
    context.update(id.as_bytes());
    let mut tombstone = Tombstone::default();
    tombstone.copy_from_slice(&context.sign().as_ref()[..16]);
    tombstone
}

impl Suppressed {
    /// What the state has.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let key: Vec<u8> = store.meta("tombstones")?.unwrap_or_default();
        let mut tombstones = FxHashSet::default();
        for entry in store.scan(keys::TOMBSTONES) {
            let (key, _) = entry?;
            tombstones.extend(key.get(1..).and_then(|bytes| Tombstone::try_from(bytes).ok()));
        }
        Ok(Self { key, tombstones })
    }

    /// True if an id of a kind is to be forgotten.
    pub fn has(&self, kind: u8, id: &str) -> bool {
        !self.tombstones.is_empty() && self.tombstones.contains(&hash(&self.key, kind, id))
    }

    /// From now on an id of a kind is to be forgotten. Its tombstone.
    pub fn add(&mut self, kind: u8, id: &str, batch: &mut Batch) -> Tombstone {
        if self.key.is_empty() {
            let mut key = vec![0; 32];
            // Without randomness the hashes are only less hard to guess.
            let _ = SystemRandom::new().fill(&mut key);
            batch.put_meta("tombstones", &key);
            self.key = key;
        }
        let tombstone = hash(&self.key, kind, id);
        self.tombstones.insert(tombstone);
        batch.put(keys::tombstone(&tombstone), vec![kind]);
        tombstone
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tombstones.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.tombstones.is_empty()
    }
}

impl Store {
    /// Users whom sources asked to forget and who still have data.
    pub fn deletions(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.meta("deletions")?.unwrap_or_default())
    }

    /// Takes a user off that list.
    pub fn deletion_done(&self, user: &str, batch: &mut Batch) -> Result<(), StoreError> {
        let mut asked = self.deletions()?;
        if asked.remove(user) {
            batch.put_meta("deletions", &asked);
        }
        Ok(())
    }

    /// True if an id of a kind is to be forgotten, for those who ask rarely.
    pub fn is_forgotten(&self, kind: u8, id: &str) -> Result<bool, StoreError> {
        let Some(key) = self.meta::<Vec<u8>>("tombstones")? else { return Ok(false) };
        Ok(self.get(&keys::tombstone(&hash(&key, kind, id)))?.is_some())
    }

    /// Keeps requests to forget users until they are carried out.
    pub fn ask_deletions(&self, users: BTreeSet<String>, batch: &mut Batch) -> Result<(), StoreError> {
        if !users.is_empty() {
            let mut asked = self.deletions()?;
            asked.extend(users);
            batch.put_meta("deletions", &asked);
        }
        Ok(())
    }
}
