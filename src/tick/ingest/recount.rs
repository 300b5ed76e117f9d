//! Counting days of receipt anew: into a new generation beside the old one, which counts until the new one is whole and takes
//! its place in one write.
//!
//! What was received on other days is copied; what was received on these is counted again from the files that hold it.
//! It goes on after a kill where the last write stood. Days of which a file is gone keep what was counted of them: an
//! archive that expires takes no history with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use vitalsync_core::usage::Spot;

use super::generation::{self, ALWAYS, Generation};
use super::names::Filing;
use super::{IngestError, Pass, Reading, SourceReport, pass};
use crate::config::Source;
use crate::source::archive::{self, Progress};
use crate::store::usage::Row;
use crate::store::{Batch, Store, StoreError, codec, keys};

/// So many keys are copied in one write.
const COPIED: usize = 10_000;

/// Days of receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    from: i32,
    to: i32,
    /// Of those, only these, if there are any.
    only: BTreeSet<i32>,
    /// Of those, not these.
    except: BTreeSet<i32>,
}

impl Days {
    /// All days from one to another, each included.
    pub fn within(from: i32, to: i32) -> Self {
        Self { from, to, ..Self::default() }
    }

    /// These days, and after each of them the window in which a call of it may have been counted instead; or all days.
    pub fn only(days: impl IntoIterator<Item = i32>, all: bool, window: i32) -> Self {
        let only: BTreeSet<i32> = days.into_iter().flat_map(|day| day..=day + window).collect();
        match (only.first(), only.last()) {
            (Some(from), Some(to)) if !all => Self { from: *from, to: *to, only, ..Self::default() },
            _ => Self::within(i32::MIN, i32::MAX),
        }
    }

    /// True if a day is one of them.
    pub fn contains(&self, day: i32) -> bool {
        (self.from..=self.to).contains(&day)
            && !self.except.contains(&day)
            && (self.only.is_empty() || self.only.contains(&day))
    }

    /// True if they are all days.
    pub fn is_all(&self) -> bool {
        self.from == i32::MIN && self.to == i32::MAX && self.only.is_empty() && self.except.is_empty()
    }

    /// True if one of the days, or of those up to `window` before or after, lies in one of the runs.
    fn touches(&self, runs: &[(i32, i32)], window: i32) -> bool {
        runs.iter().any(|(from, to)| {
            let (from, to) = (from.saturating_sub(window), to.saturating_add(window));
            if self.only.is_empty() { from <= self.to && to >= self.from } else { self.only.range(from..=to).next().is_some() }
        })
    }
}

/// A recount that was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Begun {
    from: keys::Generation,
    to: keys::Generation,
    days: Days,
    /// True when everything else is copied.
    copied: bool,
    kept: u64,
}

fn meta(source: &str) -> String {
    format!("recount:{source}")
}

/// Files as the old generation knows them, with the progress of the new one.
struct Files<'a> {
    store: &'a Store,
    old: BTreeMap<String, Progress>,
    to: keys::Generation,
    days: &'a Days,
    window: i32,
}

fn ledger(store: &Store, number: keys::Generation) -> Result<BTreeMap<String, Progress>, StoreError> {
    let prefix = keys::files_of(number);
    let mut files = BTreeMap::new();
    for entry in store.scan(&prefix) {
        let (key, value) = entry?;
        let path = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
        files.insert(path, serde_json::from_slice(&value).unwrap_or_default());
    }
    Ok(files)
}

impl archive::Ledger for Files<'_> {
    fn progress(&self, path: &str) -> Option<Progress> {
        let bytes = self.store.get(&keys::file(self.to, path)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    fn skips(&self, path: &str) -> bool {
        if self.days.is_all() {
            return false;
        }
        // A file that was never read is read in passing, afterwards.
        let Some(known) = self.old.get(path) else { return true };
        known.days.as_ref().is_some_and(|runs| !self.days.touches(runs, self.window))
    }

    fn limit(&self, path: &str) -> Option<u64> {
        // What was not read yet is read in passing, afterwards.
        if self.days.is_all() { None } else { self.old.get(path).map(|known| known.consumed) }
    }
}

/// Counts days anew.
pub fn recount(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    mut days: Days,
    report: &mut SourceReport,
) -> Result<(), IngestError> {
    let store = reading.store;
    let mut old = generation::current(store, &source.name)?;
    // Days of files that are gone can't be counted again.
    let there: BTreeSet<String> =
        archive::list(&source.location).map_err(IngestError::Source)?.into_iter().map(|(path, _)| path).collect();
    let mut gone: BTreeSet<i32> = BTreeSet::new();
    for (path, known) in ledger(store, old.number)? {
        if !there.contains(&path)
            && let Some(runs) = known.days
        {
            gone.extend(runs.iter().flat_map(|(from, to)| *from..=*to).filter(|day| days.contains(*day)));
        }
    }
    let kept = gone.len() as u64;
    days.except.extend(gone);
    if !days.only.is_empty() && days.only.iter().all(|day| days.except.contains(day)) {
        (old.stale, old.all_stale) = (BTreeSet::new(), false);
        let mut batch = Batch::default();
        old.save(&mut batch);
        store.apply(batch)?;
        report.days_kept += kept;
        return Ok(());
    }
    let mut batch = Batch::default();
    let to = generation::next_number(store, &mut batch)?;
    let begun = Begun { from: old.number, to, days, copied: false, kept };
    batch.put_meta(&meta(&source.name), &Some(&begun));
    store.apply(batch)?;
    go_on(reading, filing, source, begun, report)
}

/// Finishes a recount that was begun, if one was.
pub fn resume(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    report: &mut SourceReport,
) -> Result<(), IngestError> {
    match reading.store.meta::<Option<Begun>>(&meta(&source.name))?.flatten() {
        Some(begun) => go_on(reading, filing, source, begun, report),
        None => Ok(()),
    }
}

fn go_on(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    mut begun: Begun,
    report: &mut SourceReport,
) -> Result<(), IngestError> {
    let store = reading.store;
    let old = Generation::load(store, begun.from)?;
    if !begun.copied {
        // What a kill left behind may hold less than is to be copied, and nothing else: it is written over.
        copy(store, &begun)?;
        let mut new = Generation {
            number: begun.to,
            newest: old.newest,
            undated: old.undated,
            writes: old.writes,
            untidy: old.untidy.clone(),
            untidy_writes: old.untidy_writes,
            since: old.since.clone(),
            ..Generation::default()
        };
        if begun.days.is_all() {
            new.since = BTreeMap::new();
            new.newest = None;
        }
        new.learn(reading.model);
        if !begun.days.is_all() {
            since(&mut new, &begun.days, old.newest);
        }
        begun.copied = true;
        let mut batch = Batch::default();
        new.save(&mut batch);
        batch.put_meta(&meta(&source.name), &Some(&begun));
        store.apply(batch)?;
    }
    let mut new = Generation::load(store, begun.to)?;
    let old_files = ledger(store, begun.from)?;
    let files = Files { store, old: old_files, to: begun.to, days: &begun.days, window: source.dedupe_days };
    pass(reading, filing, source, &mut new, Pass::Recount(&begun.days), &files, None, report)?;
    if reading.stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut batch = Batch::default();
    if !begun.days.is_all() {
        for (path, progress) in &files.old {
            batch.put(keys::file(begun.to, path), serde_json::to_vec(progress).unwrap_or_default());
        }
    }
    new.floor = None;
    if let Some(floor) = new.raise_floor(source.dedupe_days) {
        let mut seen = super::seen::Seen::default();
        seen.prune(store, begun.to, floor, &mut batch)?;
    }
    new.save(&mut batch);
    let mut sources = generation::sources(store)?;
    sources.insert(source.name.clone(), begun.to);
    batch.put_meta("sources", &sources);
    batch.put_meta(&meta(&source.name), &None::<Begun>);
    generation::drop_later(store, begun.from, &mut batch)?;
    store.apply(batch)?;
    report.days_kept += begun.kept;
    report.days_recounted += counted(&files.old, &new, &begun.days);
    generation::drop_leftovers(store)?;
    Ok(())
}

/// Conditions count from the first of the days on, where nothing is left out after it.
fn since(new: &mut Generation, days: &Days, newest: Option<i32>) {
    let unbroken = days.only.is_empty() && newest.is_none_or(|newest| days.to >= newest);
    if unbroken {
        let from = days.except.last().map_or(days.from, |last| (*last + 1).max(days.from));
        let from = if from == i32::MIN { ALWAYS } else { from };
        new.since.values_mut().for_each(|since| *since = (*since).min(from));
    }
}

fn counted(files: &BTreeMap<String, Progress>, new: &Generation, days: &Days) -> u64 {
    let runs = files.values().flat_map(|known| known.days.iter().flatten());
    let all: BTreeSet<i32> = runs.flat_map(|(from, to)| *from..=*to).filter(|day| days.contains(*day)).collect();
    let latest = new.newest.unwrap_or(i32::MAX);
    all.into_iter().filter(|day| *day <= latest.saturating_add(1)).count() as u64
}

/// Copies what was received on other days, and their fingerprints.
fn copy(store: &Store, begun: &Begun) -> Result<(), StoreError> {
    let keeps = |day: i32| !begun.days.contains(day);
    if begun.days.is_all() {
        return Ok(());
    }
    let mut batch = Batch::default();
    let mut written = 0;
    let mut flush = |batch: &mut Batch, force: bool| -> Result<(), StoreError> {
        written += 1;
        if force || written % COPIED == 0 {
            store.apply(std::mem::take(batch))?;
        }
        Ok(())
    };
    let mut merger = crate::store::usage::Merger::default();
    let mut counts = Vec::new();
    for entry in store.raw_scan(b"c") {
        let (key, value) = entry?;
        let Some((account, number, month, part)) = keys::read_counts(&key) else { continue };
        if number != begun.from {
            continue;
        }
        let mut rows: Vec<Row> = Vec::new();
        let mut all = true;
        codec::read_counts(account, month, &value, &mut counts, |spot: &Spot, last, counts| {
            let kept = keeps(spot.received().0);
            all &= kept;
            if kept {
                rows.extend(counts.iter().map(|(event, count)| Row::new(spot, *event, *count as i32, last)));
            }
        })
        .map_err(|_| store.broken("a value of counts"))?;
        let value = if all { Some(value.to_vec()) } else { merger.value(month, &rows) };
        if let Some(value) = value {
            batch.put(keys::counts(account, begun.to, month, part), value);
        }
        flush(&mut batch, false)?;
    }
    for entry in store.raw_scan(b"s") {
        let (key, value) = entry?;
        let Some((about, shard, number, month, part)) = keys::read_statements(&key) else { continue };
        if number != begun.from {
            continue;
        }
        let mut entries = Vec::new();
        store.read_entries(about, month, &value, |subject, stated| {
            if keeps(subject.received().0) {
                entries.push((subject, stated));
            }
        })?;
        if !entries.is_empty() {
            let key = keys::statements(about, shard, begun.to, month, part);
            batch.put(key, codec::encode_statements(month, &entries));
        }
        flush(&mut batch, false)?;
    }
    for entry in store.raw_scan(&keys::fingerprints_of(begun.from)) {
        let (key, value) = entry?;
        let Some((day, part)) = keys::read_fingerprints(&key) else { continue };
        if keeps(day) {
            batch.put(keys::fingerprints(begun.to, day, part), value.to_vec());
        }
        flush(&mut batch, false)?;
    }
    flush(&mut batch, true)
}
