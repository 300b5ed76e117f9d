//! A state of layout 1, written anew in this program's layout: beside the old one, which stays until the new one is whole.
//!
//! What is different there: counts lie by source, not by account, and the latest moment of a day is kept once for all lags;
//! statements hold traits as JSON and not the day of receipt; every name has a key of its own, and none is set aside for
//! what accounts have too many of; sources are a list; all fingerprints are kept. Everything else is taken as it is. The old
//! forms are read here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use vitalsync_core::message::Message;
use vitalsync_core::usage::{About, Content, DEVICE, FIRST, Id, Interner, LAST, Stated, Subject, joined};

use super::codec::{self, Broken, Cell, Entry, old};
use super::compact::Copy;
use super::handle::{Fault, Handle};
use super::keys::{self, Generation};
use super::runs::{self, Run};
use super::usage::{NAMES, SHARD, values};
use super::{LAYOUT, failure, recovery};

/// The layout that is read.
pub(super) const FROM: u8 = 1;
/// The name that this program gives the number 1, of events and of devices.
const OTHER: &str = "other";

/// Writes what a database of layout 1 holds into a new one beside it and puts that in its place. Whatever happens before
/// that leaves the old one.
pub(super) fn upgrade(dir: &Path, mut handle: Handle) -> Result<(), super::StoreError> {
    let io = |why| super::StoreError::Io { dir: dir.to_owned(), why };
    let new = dir.join(recovery::UPGRADING);
    tracing::info!(from = FROM, to = LAYOUT, "the state is written anew in this program's layout");
    let written = Upgrade::of(&handle).and_then(|upgrade| upgrade.write(Copy::into(&new)?));
    let closed = written.and_then(|()| handle.close());
    let swapped =
        closed.map_err(|fault| failure(dir, fault)).and_then(|()| recovery::swap(dir, recovery::UPGRADING).map_err(io));
    if swapped.is_err() {
        let _ = std::fs::remove_dir_all(&new);
    }
    swapped
}

fn broken(what: &str) -> Fault {
    Fault::Damaged(format!("{what} of layout {FROM} does not read"))
}

/// Old numbers of names that begin anew with `other` as number 1.
#[derive(Debug, Default)]
struct Numbers {
    /// The old number of `other`; beyond all others if it had none.
    other: Id,
}

impl Numbers {
    fn renumbered(&self, old: Id) -> Id {
        match old {
            0 => 0,
            old if old == self.other => 1,
            old if old < self.other => old + 1,
            old => old,
        }
    }
}

/// What has to be known of the whole before a part of it can be written.
struct Upgrade<'a> {
    handle: &'a Handle,
    events: Numbers,
    subjects: Numbers,
    /// Sets of names of traits, which had no numbers.
    shapes: Interner,
    /// The number of the last write that a part looks as if it came from.
    writes: u32,
}

/// The write that everything that is written anew comes from.
const WRITE: u32 = 1;

impl<'a> Upgrade<'a> {
    fn of(handle: &'a Handle) -> Result<Self, Fault> {
        let other = |kind: u8, name: String| -> Result<Numbers, Fault> {
            for entry in handle.scan(&keys::names(kind)) {
                let (key, value) = entry?;
                if *value == *name.as_bytes() {
                    return Ok(Numbers { other: number(&key)? });
                }
            }
            Ok(Numbers { other: Id::MAX })
        };
        let (events, subjects) = (other(b'e', OTHER.to_owned())?, other(b's', device(OTHER))?);
        Ok(Self { handle, events, subjects, shapes: Interner::default(), writes: WRITE })
    }

    fn write(mut self, mut copy: Copy) -> Result<(), Fault> {
        copy.put(&keys::layout(), &[LAYOUT])?;
        let runs = self.counts(&mut copy)?;
        let generations = self.fingerprints(&mut copy)?;
        for entry in self.handle.scan(b"f") {
            let (key, value) = entry?;
            let path = key.get(3..).ok_or_else(|| broken("a key of files"))?;
            copy.put(&[&keys::files_of(generation(&key)?), path].concat(), &value)?;
        }
        self.statements(&mut copy)?;
        self.names(&mut copy)?;
        self.single_values(&mut copy, generations, &runs)?;
        for kind in [b"k", b"q", b"o", b"e"] {
            for entry in self.handle.scan(kind) {
                let (key, value) = entry?;
                copy.put(&key, &value)?;
            }
        }
        copy.finish().map(|_| ())
    }

    /// The latest moment of a day becomes that of each of its lags: which of them it was is not known. The runs that come
    /// of it.
    fn counts(&self, copy: &mut Copy) -> Result<BTreeMap<Generation, Run>, Fault> {
        let mut put = |key: Vec<u8>, value: Vec<u8>| copy.put(&key, &value);
        let mut runs = BTreeMap::new();
        let mut run: Option<(Generation, runs::Writer)> = None;
        let (mut place, mut cells) = ((0, 0), Vec::new());
        // All slices of a source, account and month lie side by side, and in the order of a run.
        for entry in self.handle.scan(b"c") {
            let (key, value) = entry?;
            let now = old::counts_key(&key).ok_or_else(|| broken("a key of counts"))?;
            let number = generation(&key)?;
            let other = run.as_ref().is_none_or(|(of, _)| *of != number);
            if (other || now != place)
                && let Some((_, writer)) = &mut run
            {
                runs::add_up(&mut cells);
                writer.add(place, &cells, &mut put)?;
                cells.clear();
            }
            if other && let Some((of, writer)) = run.replace((number, runs::Writer::new(number, WRITE))) {
                runs.extend(writer.finish(&mut put)?.map(|run| (of, run)));
            }
            place = now;
            old::read_counts(now.1, &value, |subject, day, last, event, lag, count| {
                let (subject, event) = (self.subjects.renumbered(subject), self.events.renumbered(event));
                cells.push(Cell { subject, day, lag, event, count, last });
            })
            .map_err(|Broken| broken("a value of counts"))?;
        }
        if let Some((of, mut writer)) = run {
            runs::add_up(&mut cells);
            writer.add(place, &cells, &mut put)?;
            runs.extend(writer.finish(&mut put)?.map(|run| (of, run)));
        }
        Ok(runs)
    }

    /// Fingerprints are what they were. For each source with one the latest day.
    fn fingerprints(&mut self, copy: &mut Copy) -> Result<BTreeMap<Generation, i32>, Fault> {
        let mut newest = BTreeMap::new();
        for entry in self.handle.scan(b"d") {
            let (key, value) = entry?;
            let (number, Some((day, part))) = (generation(&key)?, keys::read_fingerprints(&key)) else {
                return Err(broken("a key of fingerprints"));
            };
            let latest = newest.entry(number).or_insert(day);
            *latest = day.max(*latest);
            self.writes = self.writes.max(part / keys::PARTS);
            copy.put(&keys::fingerprints(number, day, part), &value)?;
        }
        Ok(newest)
    }

    /// Statements count as received on their day: when they really were is not known.
    fn statements(&mut self, copy: &mut Copy) -> Result<(), Fault> {
        for about in About::ALL {
            let mut by_key: BTreeMap<(Id, Generation, u16), Vec<Entry>> = BTreeMap::new();
            for entry in self.handle.scan(&keys::statements_of(about)) {
                let (key, value) = entry?;
                let number = old::statements_generation(&key).ok_or_else(|| broken("a key of statements"))?;
                let (_, month) = old::statements_key(&key).ok_or_else(|| broken("a key of statements"))?;
                old::read_statements(month, &value, |id, day, names, at, message, value| {
                    let id = if about == About::AccountTraits { id } else { self.subjects.renumbered(id) };
                    let (part, value) = match value {
                        old::Said::Id(value) => {
                            let value = if about == About::Link { self.subjects.renumbered(value) } else { value };
                            (if names.is_empty() { LAST } else { FIRST }, Content::Id(value))
                        }
                        old::Said::Traits(json) => {
                            let (names, values) = traits(json).ok_or(Broken)?;
                            (self.shapes.id(&names), Content::Traits(values.into()))
                        }
                    };
                    let subject = Subject { about, id, day, lag: 0, part };
                    let stated = Stated { at, message: Message::of(message), value };
                    by_key.entry((id / SHARD, number + 1, month)).or_default().push((subject, stated));
                    Ok(())
                })
                .map_err(|Broken| broken("a value of statements"))?;
            }
            for ((shard, number, month), mut entries) in by_key {
                entries.sort_unstable_by_key(|entry| entry.0);
                for (part, value) in values(month, &entries).into_iter().enumerate() {
                    copy.put(&keys::statements(about, shard, number, month, keys::part(WRITE, part)), &value)?;
                }
            }
        }
        Ok(())
    }

    fn names(&self, copy: &mut Copy) -> Result<(), Fault> {
        for (kind, other) in [(b'a', None), (b's', Some(device(OTHER))), (b'e', Some(OTHER.to_owned()))] {
            let mut names: Vec<String> = other.iter().cloned().collect();
            for entry in self.handle.scan(&keys::names(kind)) {
                let (_, value) = entry?;
                let name = String::from_utf8_lossy(&value).into_owned();
                if other.as_ref() != Some(&name) {
                    names.push(name);
                }
            }
            put_names(copy, kind, names.iter().map(String::as_str).collect())?;
        }
        put_names(copy, b't', (1..=self.shapes.len()).map(|id| self.shapes.name(id as Id)).collect())
    }

    fn single_values(
        &self,
        copy: &mut Copy,
        newest: BTreeMap<Generation, i32>,
        runs: &BTreeMap<Generation, Run>,
    ) -> Result<(), Fault> {
        let sources = keys::meta("sources");
        let mut names: Vec<String> = Vec::new();
        for entry in self.handle.scan(b"m") {
            let (key, value) = entry?;
            if *key == *sources {
                names = serde_json::from_slice(&value).map_err(|_| broken("the list of sources"))?;
            } else {
                copy.put(&key, &value)?;
            }
        }
        let numbers: BTreeMap<&String, usize> = names.iter().zip(1..).collect();
        let known: BTreeSet<usize> = numbers.values().copied().collect();
        if newest.keys().chain(runs.keys()).any(|number| !known.contains(&usize::from(*number))) {
            return Err(broken("the list of sources"));
        }
        let mut put = |name: &str, value: Value| copy.put(&keys::meta(name), value.to_string().as_bytes());
        if names.is_empty() {
            return Ok(());
        }
        put("sources", json!(numbers))?;
        put("generations", json!(names.len()))?;
        for number in 1..=names.len() {
            let key = Generation::try_from(number).unwrap_or_default();
            let (newest, runs): (_, Vec<&Run>) = (newest.get(&key), runs.get(&key).into_iter().collect());
            let generation = json!({"number": number, "newest": newest, "writes": self.writes, "runs": runs});
            put(&format!("generation:{number}"), generation)?;
        }
        Ok(())
    }
}

/// The generation that an old source's number becomes: theirs began with 0, generations begin with 1. For keys of counts,
/// fingerprints and files.
fn generation(key: &[u8]) -> Result<Generation, Fault> {
    let source = key.get(1..3).and_then(|bytes| bytes.try_into().ok()).map(Generation::from_be_bytes);
    source.and_then(|source| source.checked_add(1)).ok_or_else(|| broken("a key"))
}

/// The number of a name's key.
fn number(key: &[u8]) -> Result<Id, Fault> {
    let number = key.get(2..6).and_then(|bytes| bytes.try_into().ok());
    number.map(Id::from_be_bytes).ok_or_else(|| broken("a key of names"))
}

fn device(name: &str) -> String {
    format!("{}{name}", char::from(DEVICE))
}

/// A JSON object of traits as names and values.
fn traits(json: &str) -> Option<(String, String)> {
    let traits: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(json).ok()?;
    Some(joined(traits.iter().map(|(name, value)| (name.as_str(), value.get()))))
}

fn put_names(copy: &mut Copy, kind: u8, names: Vec<&str>) -> Result<(), Fault> {
    for (group, names) in (0..).zip(names.chunks(NAMES)) {
        copy.put(&keys::name(kind, group), &codec::encode_names(names.iter().copied()))?;
    }
    Ok(())
}
