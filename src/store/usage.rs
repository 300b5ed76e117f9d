//! Usage in the state: how a batch of counts and statements is merged into what is kept, and read back.
//!
//! One value holds a slice of the users of a source, stated account and month, split at about 4 KiB: sled likes few and fat
//! keys, and a batch rewrites only the slices that it touches.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use vitalsync_core::time::Day;
use vitalsync_core::usage::{About, Content, DayUse, FIRST, Id, Ids, Interner, Spot, Stated, Subject, Usage};

use super::codec::{self, SubjectMonth};
use super::{Batch, Store, StoreError, keys};

/// Values are split beyond this.
const CHUNK: usize = 4096;
/// So many subjects share a value of statements.
const SHARD: Id = 64;

/// The interned kinds of names and their letters.
const NAMES: [u8; 3] = [b'a', b's', b'e'];

fn interner(ids: &mut Ids, kind: u8) -> &mut Interner {
    match kind {
        b'a' => &mut ids.accounts,
        b's' => &mut ids.subjects,
        _ => &mut ids.events,
    }
}

fn is_first(subject: &Subject) -> bool {
    matches!(subject.about, About::Membership | About::Link) && &*subject.names == FIRST
}

/// How many names of each kind the state already has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Saved([usize; 3]);

impl Store {
    /// All interned names.
    pub fn load_ids(&self) -> Result<(Ids, Saved), StoreError> {
        let mut ids = Ids::default();
        let mut saved = Saved::default();
        for (kind, count) in NAMES.into_iter().zip(&mut saved.0) {
            let names = interner(&mut ids, kind);
            for entry in self.scan(&keys::names(kind)) {
                let (_, value) = entry?;
                names.id(&String::from_utf8_lossy(&value));
            }
            *count = names.len();
        }
        Ok((ids, saved))
    }

    /// Adds names that the state does not have yet to a batch.
    pub fn save_ids(&self, ids: &mut Ids, saved: Saved, batch: &mut Batch) -> Saved {
        let mut now = saved;
        for (kind, count) in NAMES.into_iter().zip(&mut now.0) {
            let names = interner(ids, kind);
            for id in *count + 1..=names.len() {
                batch.put(keys::name(kind, id as Id), names.name(id as Id).as_bytes().to_vec());
            }
            *count = names.len();
        }
        now
    }

    /// Merges a batch of usage of one source into what is kept.
    pub fn merge_usage(&self, source: u16, usage: Usage, batch: &mut Batch) -> Result<(), StoreError> {
        type Month = BTreeMap<Id, BTreeMap<Day, DayUse>>;
        let mut months: BTreeMap<(Id, u16), Month> = BTreeMap::new();
        for (spot, uses) in usage.days {
            let month = months.entry((spot.account, codec::month(spot.day))).or_default();
            month.entry(spot.subject).or_default().insert(spot.day, uses);
        }
        for ((account, month), subjects) in months {
            self.merge_month(source, account, month, subjects, batch)?;
        }
        type Shards = BTreeMap<(About, u32, u16), Vec<(Subject, Stated<Content>)>>;
        let mut shards = Shards::new();
        for (subject, stated) in usage.statements {
            shards
                .entry((subject.about, subject.id / SHARD, codec::month(subject.day)))
                .or_default()
                .push((subject, stated));
        }
        for ((about, shard, month), added) in shards {
            let key = keys::statements(about, source, shard, month);
            let mut merged = Usage::default();
            if let Some(value) = self.get(&key)? {
                self.read_statements(about, month, &value, &mut merged)?;
            }
            for (subject, stated) in added {
                merged.state(subject, stated);
            }
            // The first of a day that is also its last is read back as both.
            let last = |subject: &Subject| merged.statements.get(&Subject { names: "".into(), ..subject.clone() });
            let alone = |subject: &Subject, stated| is_first(subject) && last(subject) == Some(stated);
            let mut entries: Vec<codec::Entry> = merged
                .statements
                .iter()
                .filter(|(subject, stated)| !alone(subject, *stated))
                .map(|(subject, stated)| (subject.id, subject.day, subject.names.clone(), stated.clone()))
                .collect();
            entries.sort_unstable();
            batch.put(key, codec::encode_statements(month, &entries));
        }
        Ok(())
    }

    fn merge_month(
        &self,
        source: u16,
        account: Id,
        month: u16,
        added: BTreeMap<Id, BTreeMap<Day, DayUse>>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        // Each kept slice takes the added subjects from its first one up to the next slice's.
        let mut slices: Vec<(Id, Vec<u8>)> = Vec::new();
        for entry in self.scan(&keys::counts_of(source, account, month)) {
            let (key, value) = entry?;
            slices.push((keys::read_counts(&key).map_or(0, |(_, _, first)| first), value));
        }
        if slices.is_empty() {
            slices.push((0, Vec::new()));
        }
        let mut added = added.into_iter().peekable();
        for (index, (first, value)) in slices.iter().enumerate() {
            let end = slices.get(index + 1).map_or(Id::MAX, |(next, _)| *next);
            if added.peek().is_none_or(|(subject, _)| *subject >= end && end != Id::MAX) {
                continue;
            }
            let mut subjects: BTreeMap<Id, BTreeMap<Day, DayUse>> = BTreeMap::new();
            if !value.is_empty() {
                for kept in self.counts(month, value)? {
                    subjects.insert(kept.subject, kept.days.into_iter().collect());
                }
            }
            while let Some((subject, days)) = added.next_if(|(subject, _)| *subject < end || end == Id::MAX) {
                let kept = subjects.entry(subject).or_default();
                for (day, uses) in days {
                    kept.entry(day).or_default().merge(&uses);
                }
            }
            let mut start = *first;
            let mut slice: Vec<SubjectMonth> = Vec::new();
            let mut size = 0;
            for (subject, days) in subjects {
                let next = SubjectMonth { subject, days: days.into_iter().collect() };
                let bytes = 4 + next.days.iter().map(|(_, uses)| 6 + 4 * uses.counts.len()).sum::<usize>();
                if size + bytes > CHUNK && !slice.is_empty() {
                    batch.put(keys::counts(source, account, month, start), codec::encode_counts(month, &slice));
                    slice.clear();
                    size = 0;
                    start = subject;
                }
                size += bytes;
                slice.push(next);
            }
            batch.put(keys::counts(source, account, month, start), codec::encode_counts(month, &slice));
        }
        Ok(())
    }

    fn counts(&self, month: u16, value: &[u8]) -> Result<Vec<SubjectMonth>, StoreError> {
        codec::decode_counts(month, value).map_err(|_| self.broken("a value of counts"))
    }

    fn broken(&self, what: &str) -> StoreError {
        self.failed(sled::Error::Unsupported(format!("{what} does not read")))
    }

    fn read_statements(&self, about: About, month: u16, value: &[u8], into: &mut Usage) -> Result<(), StoreError> {
        let entries = codec::decode_statements(month, value).map_err(|_| self.broken("a value of statements"))?;
        for (id, day, names, stated) in entries {
            let subject = Subject { about, id, day, names };
            if matches!(about, About::Membership | About::Link) {
                into.state_both(Subject { names: "".into(), ..subject }, stated);
            } else {
                into.state(subject, stated);
            }
        }
        Ok(())
    }

    /// All statements of all sources.
    pub fn load_statements(&self) -> Result<FxHashMap<Subject, Stated<Content>>, StoreError> {
        let mut usage = Usage::default();
        for entry in self.scan(b"s") {
            let (key, value) = entry?;
            let (about, month) = keys::read_statements(&key).ok_or_else(|| self.broken("a key of statements"))?;
            self.read_statements(about, month, &value, &mut usage)?;
        }
        Ok(usage.statements)
    }

    /// Hands out all counts of all sources, a slice at a time in memory.
    pub fn each_spot(&self, mut spot: impl FnMut(&Spot, &DayUse)) -> Result<(), StoreError> {
        for entry in self.scan(b"c") {
            let (key, value) = entry?;
            let (account, month, _) = keys::read_counts(&key).ok_or_else(|| self.broken("a key of counts"))?;
            for subject in self.counts(month, &value)? {
                for (day, uses) in &subject.days {
                    spot(&Spot { account, subject: subject.subject, day: *day }, uses);
                }
            }
        }
        Ok(())
    }
}
