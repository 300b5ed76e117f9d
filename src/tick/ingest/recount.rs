//! Counting days of receipt anew: into a new generation beside the old one, which counts until the new one is whole and takes
//! its place in one write.
//!
//! What was received on other days is copied; what was received on these is counted again from the files that hold it. The
//! days of the dedupe window after them are counted again too: whether a repetition there counts hangs on them. So a
//! repetition behind those, which is copied, always follows one that was there before. It goes on after a kill where the
//! last write stood: a copy that was begun is made again over itself, since the same generation gives the same keys. Days
//! of which a file is gone keep what was counted of them: an archive that expires takes no history with it. A file that goes
//! while days are counted anew, or can't be read then, is noticed before the new generation takes the old one's place; then
//! all of it is made again without that file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::generation::{self, ALWAYS, Generation};
use super::names::Filing;
use super::{IngestError, Pass, Phase, Reading, SourceReport, pass};
use crate::config::Source;
use crate::source::archive::{self, Progress, UNREADABLE};
use crate::store::runs::{self, Left};
use crate::store::{Batch, Store, StoreError, codec, keys};

/// So many keys are copied in one write.
const COPIED: usize = 1_000;

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

    /// These days; or all.
    pub fn only(days: impl IntoIterator<Item = i32>, all: bool) -> Self {
        let only: BTreeSet<i32> = days.into_iter().collect();
        match (only.first(), only.last()) {
            (Some(from), Some(to)) if !all => Self { from: *from, to: *to, only, ..Self::default() },
            _ => Self::within(i32::MIN, i32::MAX),
        }
    }

    /// With them the days of the window after each.
    fn with_window(mut self, window: i32) -> Self {
        self.to = self.to.saturating_add(window);
        self.only = self.only.iter().flat_map(|day| *day..=day.saturating_add(window)).collect();
        self
    }

    /// True if all days from one to another were asked for.
    pub fn covers(&self, from: i32, to: i32) -> bool {
        self.only.is_empty() && self.from <= from && to <= self.to
    }

    /// True if a day was asked for, whether it can be counted or not.
    fn asks(&self, day: i32) -> bool {
        (self.from..=self.to).contains(&day) && (self.only.is_empty() || self.only.contains(&day))
    }

    /// True if a day is one of them.
    pub fn contains(&self, day: i32) -> bool {
        self.asks(day) && !self.except.contains(&day)
    }

    /// True if they are all days.
    pub fn is_all(&self) -> bool {
        self.from == i32::MIN && self.to == i32::MAX && self.only.is_empty() && self.except.is_empty()
    }

    /// True if one of the days, or of those up to `window` before or after, lies in one of the runs.
    fn touches(&self, runs: &[(i32, i32)], window: i32) -> bool {
        runs.iter().any(|(from, to)| {
            let (from, to) = (from.saturating_sub(window), to.saturating_add(window));
            if self.only.is_empty() {
                from <= self.to && to >= self.from
            } else {
                self.only.range(from..=to).next().is_some()
            }
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
    #[serde(default)]
    files_gone: Vec<String>,
}

/// A recount that was done, or stopped.
#[derive(Debug, Default)]
pub struct Done {
    /// The days.
    pub days: Days,
    /// What reading came to.
    pub report: SourceReport,
}

impl Done {
    /// What is said of it in a run that read the same files for what is new.
    pub fn in_passing(self) -> SourceReport {
        let SourceReport { days_recounted, days_kept, files_gone, .. } = self.report;
        SourceReport { days_recounted, days_kept, files_gone, ..SourceReport::default() }
    }
}

/// So many files that are gone are named.
const NAMED: usize = 3;

const META: &str = "recount:";

fn meta(source: &str) -> String {
    format!("{META}{source}")
}

/// True if a recount of a source was begun and is not done.
pub fn is_begun(store: &Store, source: &str) -> Result<bool, StoreError> {
    Ok(store.meta::<Option<Begun>>(&meta(source))?.flatten().is_some())
}

/// The numbers of generations that are being made.
pub fn begun(store: &Store) -> Result<BTreeSet<keys::Generation>, StoreError> {
    let mut numbers = BTreeSet::new();
    for entry in store.scan(&keys::meta(META)) {
        let (_, value) = entry?;
        let begun: Option<Begun> = serde_json::from_slice(&value).unwrap_or_default();
        numbers.extend(begun.map(|begun| begun.to));
    }
    Ok(numbers)
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

/// Of the days that a file holds, those that are asked for and can't be counted without it: its own, and those after them
/// whose repetitions of theirs are known from it alone, because their fingerprints are older than `floor`.
fn held_by<'d>(
    runs: &'d [(i32, i32)],
    days: &'d Days,
    floor: Option<i32>,
    window: i32,
) -> impl Iterator<Item = i32> + use<'d> {
    let all = runs.iter().flat_map(|(from, to)| *from..=*to);
    let with_those_after = all.flat_map(move |day| {
        let forgotten = floor.is_some_and(|floor| day < floor);
        day..=if forgotten { day.saturating_add(window) } else { day }
    });
    with_those_after.filter(|day| days.asks(*day))
}

/// Counts days anew, as far as the files that held them are there.
pub fn recount(reading: &Reading<'_>, filing: &mut Filing, source: &Source, days: Days) -> Result<Done, IngestError> {
    start(reading, filing, source, days.with_window(source.dedupe_days), BTreeSet::new(), None)
}

/// Begins with days of which none is left out yet. The files `lost` are as if they were gone; what was made with them is
/// `dropped` in the write that begins anew, so that a kill between the two forgets no recount.
fn start(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    mut days: Days,
    lost: BTreeSet<String>,
    dropped: Option<keys::Generation>,
) -> Result<Done, IngestError> {
    let (store, window) = (reading.store, source.dedupe_days);
    let mut old = generation::current(store, &source.name)?;
    old.clear(store)?;
    let there = there(source)?;
    let (mut except, mut files_gone) = (BTreeSet::new(), Vec::new());
    let mut unknown = false;
    let known = ledger(store, old.number)?;
    for (path, known) in known.into_iter().filter(|(path, _)| !there.contains(path) || lost.contains(path)) {
        let before = except.len();
        match &known.days {
            Some(runs) => except.extend(held_by(runs, &days, old.floor, window)),
            None => unknown |= known.consumed > 0,
        }
        if (except.len() > before || known.days.is_none()) && files_gone.len() < NAMED {
            files_gone.push(path);
        }
    }
    let kept = except.len() as u64;
    days.except = except;
    let mut batch = Batch::default();
    if let Some(number) = dropped {
        generation::drop_later(store, number, &mut batch)?;
        batch.put_meta(&meta(&source.name), &None::<Begun>);
    }
    if unknown || !days.only.is_empty() && days.only.iter().all(|day| days.except.contains(day)) {
        old.stale.retain(|day| !unknown && !days.asks(*day));
        old.all_stale = false;
        old.save(&mut batch);
        store.apply(batch)?;
        generation::drop_leftovers(store)?;
        let report = SourceReport { days_kept: kept.max(1), files_gone, ..SourceReport::default() };
        return Ok(Done { days, report });
    }
    let to = generation::next_number(store, &generation::taken(store)?, &mut batch)?;
    let begun = Begun { from: old.number, to, days, copied: false, kept, files_gone };
    batch.put_meta(&meta(&source.name), &Some(&begun));
    store.apply(batch)?;
    generation::drop_leftovers(store)?;
    go_on(reading, filing, source, begun, lost)
}

/// The files that a source has now.
fn there(source: &Source) -> Result<BTreeSet<String>, IngestError> {
    let files = archive::list(&source.location, &source.ours).map_err(IngestError::Source)?;
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// The files without which days were counted that can't be: they went, or could not be read.
fn lost_meanwhile(
    old: &Generation,
    begun: &Begun,
    files: &Files<'_>,
    source: &Source,
) -> Result<BTreeSet<String>, IngestError> {
    let (there, read) = (there(source)?, ledger(files.store, begun.to)?);
    let needed = |known: &Progress| {
        let runs = known.days.as_deref();
        runs.is_none_or(|runs| {
            held_by(runs, &begun.days, old.floor, source.dedupe_days).any(|day| begun.days.contains(day))
        })
    };
    let is_lost = |path: &str, known: &Progress| {
        let read = read.get(path);
        let whole = read.map_or(0, |read| read.consumed) >= known.consumed;
        let unreadable = read.and_then(|read| read.fault.as_ref()).is_some_and(|(reason, _)| reason == UNREADABLE);
        !whole && (unreadable || !there.contains(path)) && needed(known)
    };
    let all = files.old.iter().filter(|(path, known)| is_lost(path, known));
    Ok(all.map(|(path, _)| path.clone()).collect())
}

/// Finishes a recount that was begun, if one was.
pub fn resume(reading: &Reading<'_>, filing: &mut Filing, source: &Source) -> Result<Option<Done>, IngestError> {
    let begun = reading.store.meta::<Option<Begun>>(&meta(&source.name))?.flatten();
    begun.map(|begun| go_on(reading, filing, source, begun, BTreeSet::new())).transpose()
}

fn go_on(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    mut begun: Begun,
    mut lost: BTreeSet<String>,
) -> Result<Done, IngestError> {
    let store = reading.store;
    let mut done = Done { days: begun.days.clone(), ..Done::default() };
    let old = Generation::load(store, begun.from)?;
    if !begun.copied {
        reading.watch.phase(Phase::Copying);
        if !copy(reading, &begun, old.kept_from)? {
            return Ok(done);
        }
        let mut new = begin(&old, &begun, source);
        let copied = store.runs(begun.to)?;
        new.runs.retain(|run| copied.contains(&run.number));
        new.learn(reading.model);
        since(&mut new, &begun.days, old.newest);
        begun.copied = true;
        let mut batch = Batch::default();
        new.save(&mut batch);
        batch.put_meta(&meta(&source.name), &Some(&begun));
        store.apply(batch)?;
    }
    let mut new = Generation::load(store, begun.to)?;
    new.clear(store)?;
    let old_files = ledger(store, begun.from)?;
    let files = Files { store, old: old_files, to: begun.to, days: &begun.days, window: source.dedupe_days };
    reading.watch.phase(Phase::Recounting);
    pass(reading, filing, source, &mut new, Pass::Recount(&begun.days), &files, None, &mut done.report)?;
    if reading.stop.load(Ordering::Relaxed) {
        return Ok(done);
    }
    let more = lost_meanwhile(&old, &begun, &files, source)?;
    if !more.is_empty() {
        lost.extend(more);
        let days = Days { except: BTreeSet::new(), ..begun.days };
        return start(reading, filing, source, days, lost, Some(begun.to));
    }
    done.report.days_kept = begun.kept;
    done.report.days_recounted = counted(&files.old, &ledger(store, begun.to)?, &begun.days);
    done.report.files_gone.clone_from(&begun.files_gone);
    let mut batch = Batch::default();
    if !begun.days.is_all() {
        for (path, progress) in &files.old {
            batch.put(keys::file(begun.to, path), serde_json::to_vec(progress).unwrap_or_default());
        }
    }
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
    generation::drop_leftovers(store)?;
    Ok(done)
}

/// What is known of the new generation before anything is counted.
fn begin(old: &Generation, begun: &Begun, source: &Source) -> Generation {
    let mut new = Generation { number: begun.to, window: source.dedupe_days, ..old.clone() };
    let all = begun.days.covers(i32::MIN, i32::MAX);
    // Days that are still to be counted anew stay so, unless they are counted now or can't be.
    new.stale.retain(|day| !begun.days.asks(*day));
    new.all_stale &= !all;
    if all && begun.days.except.iter().all(|day| old.floor.is_none_or(|floor| *day >= floor)) {
        // All fingerprints come back.
        new.floor = None;
    }
    if begun.days.is_all() {
        (new.newest, new.undated, new.since) = (None, false, BTreeMap::new());
    }
    new
}

/// Conditions count from the first of the days on, where nothing is left out after it.
fn since(new: &mut Generation, days: &Days, newest: Option<i32>) {
    if days.is_all() {
        return;
    }
    let unbroken = days.only.is_empty() && newest.is_none_or(|newest| days.to >= newest);
    if unbroken {
        let from = days.except.last().map_or(days.from, |last| (*last + 1).max(days.from));
        let from = if from == i32::MIN { ALWAYS } else { from };
        new.since.values_mut().for_each(|since| *since = (*since).min(from));
    }
}

fn counted(old: &BTreeMap<String, Progress>, new: &BTreeMap<String, Progress>, days: &Days) -> u64 {
    let runs = old.values().chain(new.values()).flat_map(|known| known.days.iter().flatten());
    let all: BTreeSet<i32> = runs.flat_map(|(from, to)| *from..=*to).filter(|day| days.contains(*day)).collect();
    all.len() as u64
}

/// Copies what was received on other days, and their fingerprints; and counts that have lost their days, for good. False if
/// it was stopped.
fn copy(reading: &Reading<'_>, begun: &Begun, kept_from: Option<i32>) -> Result<bool, StoreError> {
    let store = reading.store;
    let keeps = |day: i32| !begun.days.contains(day);
    let rolled = |day: i32| kept_from.is_some_and(|kept_from| day < kept_from);
    if begun.days.is_all() && kept_from.is_none() {
        return Ok(true);
    }
    let mut batch = Batch::default();
    let mut written = 0;
    let mut flush = |batch: &mut Batch, force: bool| -> Result<bool, StoreError> {
        written += 1;
        let stops = !force && reading.stop.load(Ordering::Relaxed);
        if force || stops || written % COPIED == 0 {
            store.apply(std::mem::take(batch))?;
        }
        Ok(!stops)
    };
    // Each run becomes one of the same number.
    let (from, to) = (keys::runs_of(begun.from), keys::runs_of(begun.to));
    for entry in store.raw_scan(&from) {
        let (key, value) = entry?;
        let left = runs::keep(&key, &value, |spot, _| rolled(spot.day.0) || keeps(spot.received().0));
        let left = match left.map_err(|_| store.broken("a value of counts"))? {
            Left::All => Some(value.to_vec()),
            Left::Some(value) => Some(value),
            Left::Nothing => None,
        };
        if let (Some(value), Some(rest)) = (left, key.get(from.len()..)) {
            batch.put([&to, rest].concat(), value);
        }
        if !flush(&mut batch, false)? {
            return Ok(false);
        }
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
        if !flush(&mut batch, false)? {
            return Ok(false);
        }
    }
    for entry in store.raw_scan(&keys::fingerprints_of(begun.from)) {
        let (key, value) = entry?;
        let Some((day, part)) = keys::read_fingerprints(&key) else { continue };
        if keeps(day) {
            batch.put(keys::fingerprints(begun.to, day, part), value.to_vec());
        }
        if !flush(&mut batch, false)? {
            return Ok(false);
        }
    }
    flush(&mut batch, true)
}
