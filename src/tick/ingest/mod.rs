//! From a source's lines to counts in the state: read in one thread, parsed in several, filed in one.
//!
//! What a block adds — counts, statements, fingerprints, names — and what is remembered of its file are one durable write, so
//! a process that dies anywhere goes on where the last write stood and counts nothing twice. The order of reading, the
//! split into batches and the number of threads change nothing that can be seen.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use rustc_hash::FxHashMap;
use serde::Serialize;
use vitalsync_core::call::{self, AccountPaths, Call, Rejection};
use vitalsync_core::usage::{Ids, Usage, fingerprint};
use vitalsync_core::{Calendar, Day};

use crate::config::Source;
use crate::source::SourceError;
use crate::source::archive::{self, Block, Progress};
use crate::store::usage::Saved;
use crate::store::{Batch, Store, StoreError, keys};

/// So many calls are gathered before a write.
const BATCH: u64 = 300_000;
/// So many examples of each kind of rejected line are kept.
const EXAMPLES: usize = 3;
/// Fingerprints are kept in values of so many.
const PART: usize = 512;

/// What reading a source came to.
#[derive(Debug, Clone, Default, Serialize, serde::Deserialize)]
pub struct SourceReport {
    /// Calls that were read, repeated ones included.
    pub calls_read: u64,
    /// Of these, events (track, page, screen) that were counted.
    pub events_counted: u64,
    /// Calls that had been counted before.
    pub duplicates: u64,
    /// Lines and files that were not counted, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// The first of each reason: file, line, reason.
    pub examples: Vec<String>,
    /// Files from which something was read.
    pub files_read: u64,
    /// Files that had other bytes than before.
    pub files_rewritten: u64,
    /// Why the source as a whole could not be read.
    pub failed: Option<String>,
}

impl SourceReport {
    fn reject(&mut self, reason: &str, example: impl FnOnce() -> String) {
        let count = self.rejected.entry(reason.to_owned()).or_default();
        *count += 1;
        if *count <= EXAMPLES as u64 {
            self.examples.push(format!("{}: {reason}", example()));
        }
    }
}

/// Why reading stopped.
#[derive(Debug)]
pub enum IngestError {
    /// The state failed; the run can't go on.
    Store(StoreError),
    /// The source failed; the others go on.
    Source(SourceError),
    /// The state was counted in another time zone.
    TimeZone {
        /// Its zone.
        counted: String,
        /// The config's.
        wanted: String,
    },
}

impl std::fmt::Display for IngestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
            Self::TimeZone { counted, wanted } => write!(
                f,
                "the state was counted in the time zone {counted}, the config says {wanted}: set `timezone: {counted}`, or begin with another state directory"
            ),
        }
    }
}

impl std::error::Error for IngestError {}

impl From<StoreError> for IngestError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What filing needs to have in memory: names and fingerprints.
#[derive(Debug, Default)]
pub struct Filing {
    /// Names and their numbers.
    pub ids: Ids,
    saved: Saved,
    seen: FxHashMap<u16, Seen>,
}

/// The fingerprints of a source, each with the day of its first receipt.
#[derive(Debug, Default)]
struct Seen {
    days: FxHashMap<u64, i32>,
    /// The last part of each day and how many it holds.
    parts: BTreeMap<i32, (u32, usize)>,
    /// New since the last write.
    fresh: BTreeMap<i32, Vec<u64>>,
}

impl Filing {
    /// What the state has.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let (ids, saved) = store.load_ids()?;
        Ok(Self { ids, saved, seen: FxHashMap::default() })
    }

    fn seen(&mut self, store: &Store, source: u16) -> Result<&mut Seen, StoreError> {
        Ok(match self.seen.entry(source) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(slot) => slot.insert(Seen::load(store, source)?),
        })
    }
}

impl Seen {
    fn load(store: &Store, source: u16) -> Result<Self, StoreError> {
        let mut seen = Self::default();
        for entry in store.scan(&keys::fingerprints_of(source)) {
            let (key, value) = entry?;
            let Some((day, part)) = keys::read_fingerprints(&key) else { continue };
            seen.parts.insert(day, (part, value.len() / 8));
            for bytes in value.chunks_exact(8) {
                let print = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
                let first = seen.days.entry(print).or_insert(day);
                *first = (*first).min(day);
            }
        }
        Ok(seen)
    }

    /// The day on which a call was first received, if it was; else remembers this one. An earlier day replaces a later.
    fn first(&mut self, print: u64, day: i32) -> Option<i32> {
        match self.days.get_mut(&print) {
            None => {
                self.days.insert(print, day);
                self.fresh.entry(day).or_default().push(print);
                None
            }
            Some(first) => {
                let before = *first;
                if day < before {
                    *first = day;
                    self.fresh.entry(day).or_default().push(print);
                }
                Some(before)
            }
        }
    }

    fn save(&mut self, store: &Store, source: u16, batch: &mut Batch) -> Result<(), StoreError> {
        for (day, prints) in std::mem::take(&mut self.fresh) {
            let (part, held) = self.parts.get(&day).copied().unwrap_or((0, 0));
            let mut part = part;
            let mut bytes = if held > 0 && held < PART {
                store.get(&keys::fingerprints(source, day, part))?.unwrap_or_default()
            } else {
                Vec::new()
            };
            if held >= PART {
                part += 1;
            }
            for print in prints {
                if bytes.len() / 8 >= PART {
                    batch.put(keys::fingerprints(source, day, part), std::mem::take(&mut bytes));
                    part += 1;
                }
                bytes.extend_from_slice(&print.to_le_bytes());
            }
            self.parts.insert(day, (part, bytes.len() / 8));
            batch.put(keys::fingerprints(source, day, part), bytes);
        }
        Ok(())
    }
}

/// The number of a source in keys, given one if it has none.
fn source_number(store: &Store, name: &str) -> Result<u16, StoreError> {
    let mut names: Vec<String> = store.meta("sources")?.unwrap_or_default();
    if let Some(at) = names.iter().position(|known| known == name) {
        return Ok(at as u16);
    }
    names.push(name.to_owned());
    let mut batch = Batch::default();
    batch.put_meta("sources", &names);
    store.apply(batch)?;
    Ok((names.len() - 1) as u16)
}

/// Refuses a state that was counted in another zone; marks a new one.
pub fn check_time_zone(store: &Store, calendar: &Calendar) -> Result<(), IngestError> {
    match store.meta::<String>("timezone")? {
        Some(counted) if counted != calendar.name() => {
            Err(IngestError::TimeZone { counted, wanted: calendar.name().to_owned() })
        }
        Some(_) => Ok(()),
        None => {
            let mut batch = Batch::default();
            batch.put_meta("timezone", &calendar.name());
            Ok(store.apply(batch)?)
        }
    }
}

struct Files<'a> {
    store: &'a Store,
    source: u16,
}

impl archive::Ledger for Files<'_> {
    fn progress(&self, path: &str) -> Option<Progress> {
        let bytes = self.store.get(&keys::file(self.source, path)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Reads what is new in a source and counts it. `stop` ends it early, at a block's end.
pub fn ingest(
    store: &Store,
    filing: &mut Filing,
    source: &Source,
    paths: &AccountPaths,
    calendar: &Calendar,
    stop: &AtomicBool,
) -> Result<SourceReport, IngestError> {
    let number = source_number(store, &source.name)?;
    filing.seen(store, number)?;
    let mut report = SourceReport::default();
    let mut gathered = Gathered::default();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(8);
    std::thread::scope(|scope| -> Result<(), IngestError> {
        let (sender, receiver) = sync_channel::<Block>(1);
        let files = Files { store, source: number };
        let reader = scope.spawn(move || {
            archive::read(&source.location, &files, &mut |block| {
                !stop.load(Ordering::Relaxed) && sender.send(block).is_ok()
            })
        });
        for block in receiver {
            gathered.block(block, number, source, paths, calendar, filing, store, threads, &mut report)?;
            if gathered.calls >= BATCH {
                gathered.write(number, filing, store)?;
            }
        }
        gathered.write(number, filing, store)?;
        match reader.join() {
            Ok(read) => read.map_err(IngestError::Source),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    Ok(report)
}

/// What is filed and not yet written.
#[derive(Default)]
struct Gathered {
    usage: Usage,
    progress: BTreeMap<String, Progress>,
    calls: u64,
}

type Parsed<'b> = (u64, &'b [u8], Result<Call<'b>, Rejection>);

/// Parses the lines of a block in several threads, in their order.
fn parse<'b>(lines: &[(u64, Option<&'b [u8]>)], paths: &AccountPaths, threads: usize) -> Vec<Parsed<'b>> {
    let one = |(number, line): &(u64, Option<&'b [u8]>)| match line {
        None => Some((*number, &b""[..], Err(Rejection::TooLong))),
        Some(line) if line.iter().all(u8::is_ascii_whitespace) => None,
        // Some exports begin with a byte order mark.
        Some(line) => Some((*number, *line, call::parse(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line), paths))),
    };
    let share = lines.len().div_ceil(threads).max(256);
    if lines.len() <= share {
        return lines.iter().filter_map(one).collect();
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = lines
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().filter_map(one).collect::<Vec<_>>()))
            .collect();
        let mut all = Vec::with_capacity(lines.len());
        for part in parts {
            match part.join() {
                Ok(parsed) => all.extend(parsed),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

impl Gathered {
    #[expect(clippy::too_many_arguments, reason = "one call, and each of them is something else")]
    fn block(
        &mut self,
        block: Block,
        number: u16,
        source: &Source,
        paths: &AccountPaths,
        calendar: &Calendar,
        filing: &mut Filing,
        store: &Store,
        threads: usize,
        report: &mut SourceReport,
    ) -> Result<(), StoreError> {
        if block.first_line == 1 && block.lines().len() > 0 {
            report.files_read += 1;
        }
        report.files_rewritten += u64::from(block.rewritten);
        let lines: Vec<(u64, Option<&[u8]>)> = block.lines().collect();
        filing.seen(store, number)?;
        let Filing { ids, seen, .. } = filing;
        let Some(seen) = seen.get_mut(&number) else { return Ok(()) };
        for (line_number, line, parsed) in parse(&lines, paths, threads) {
            let call = match parsed {
                Ok(call) => call,
                Err(reason) => {
                    report.reject(reason.name(), || format!("{}:{line_number}", block.path));
                    continue;
                }
            };
            report.calls_read += 1;
            let received = calendar.day(call.received);
            match seen.first(fingerprint(&source.name, &call, line), received.0) {
                None => report.events_counted += u64::from(self.usage.file(&call, ids, calendar)),
                Some(first) => {
                    report.duplicates += 1;
                    if received.0 < first {
                        self.usage.move_lag(&call, Day(first), ids, calendar);
                    }
                }
            }
        }
        self.calls += lines.len() as u64;
        if let Some((reason, why)) = &block.fault {
            report.reject(reason, || format!("{} ({why})", block.path));
        }
        self.progress.insert(block.path, block.progress);
        Ok(())
    }

    fn write(&mut self, number: u16, filing: &mut Filing, store: &Store) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        store.merge_usage(number, std::mem::take(&mut self.usage), &mut batch)?;
        if let Some(seen) = filing.seen.get_mut(&number) {
            seen.save(store, number, &mut batch)?;
        }
        let saved = store.save_ids(&mut filing.ids, filing.saved, &mut batch);
        for (path, progress) in std::mem::take(&mut self.progress) {
            batch.put(keys::file(number, &path), serde_json::to_vec(&progress).unwrap_or_default());
        }
        store.apply(batch)?;
        filing.saved = saved;
        self.calls = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let lines: Vec<String> = (0..3000)
            .map(|n| match n % 7 {
                0 => String::new(),
                1 => "broken".into(),
                _ => format!(
                    r#"{{"type":"track","event":"E{n}","userId":"u{}","timestamp":"2026-01-01T00:00:00Z"}}"#,
                    n % 5
                ),
            })
            .collect();
        let lines: Vec<(u64, Option<&[u8]>)> = (1..).zip(lines.iter().map(|line| Some(line.as_bytes()))).collect();
        let seen = |threads| format!("{:?}", parse(&lines, &AccountPaths::default(), threads));
        let one = seen(1);
        assert!(one.contains("E2999") && one.contains("BadJson"));
        for threads in [2, 3, 7] {
            assert_eq!(seen(threads), one, "{threads} threads");
        }
    }
}
