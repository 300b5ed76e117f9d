//! From a source's lines to counts in the state: read and parsed by all cores, filed by one.
//!
//! What a batch adds — counts, statements, fingerprints, names — and what is remembered of its files are one durable write,
//! so a process that dies anywhere goes on where the last write stood and counts nothing twice. The order of reading, the
//! split into batches and the number of threads change nothing that can be seen. Calls whose repetition could not be
//! noticed any more, because they were received before the days whose fingerprints are kept, and files that were
//! rewritten, are not counted in passing: the days of their receipt are counted anew as a whole ([`recount`]).

mod desk;
mod filer;
pub mod generation;
pub mod names;
pub mod parse;
pub mod recount;
mod report;
pub mod seen;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use vitalsync_core::call::AccountPaths;
use vitalsync_core::model::Model;
use vitalsync_core::usage::fingerprint_seed;
use vitalsync_core::{Calendar, Day, Timestamp};

use self::desk::Desk;
use self::filer::Filer;
use self::generation::Generation;
use self::names::Filing;
use self::parse::{Worker, received};
use self::recount::Days;
pub use self::report::SourceReport;
use crate::config::Source;
use crate::source::SourceError;
use crate::source::archive::{self, Files, Progress};
use crate::store::{Batch, Store, StoreError, keys};

/// How finely reading is cut. Nothing that can be seen depends on it; tests cut small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grain {
    /// So many calls are gathered before a write.
    pub batch: usize,
    /// So many bytes of a file are handed out at once, or more where a line is longer.
    pub block: usize,
}

impl Default for Grain {
    fn default() -> Self {
        Self { batch: 1_000_000, block: archive::BLOCK }
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

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Files are read for what is new.
    Reading,
    /// What is not counted anew is copied.
    Copying,
    /// Days are counted anew.
    Recounting,
}

/// How reading goes on, for those who watch.
pub trait Watch: Sync {
    /// Something else begins.
    fn phase(&self, _phase: Phase) {}
    /// So many files with so many bytes on disk are to be read.
    fn begins(&self, _files: usize, _bytes: u64) {}
    /// So many calls more were filed, and so many bytes of so many files are done.
    fn filed(&self, _calls: u64, _files: usize, _bytes: u64) {}
}

/// Nobody watches.
#[derive(Debug)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// What reading needs to know besides the source.
pub struct Reading<'a> {
    /// The state.
    pub store: &'a Store,
    /// Where calls state their account.
    pub paths: &'a AccountPaths,
    /// What is asked of properties, and the calendar.
    pub model: &'a Model,
    /// Today, by the clock: no receipt is later.
    pub today: Day,
    /// Now, by the machine's own clock, also where a past day is run: what claims to be later is not.
    pub now: Timestamp,
    /// Set to end early, at a block's end.
    pub stop: &'a AtomicBool,
    /// Who watches.
    pub watch: &'a dyn Watch,
    /// How finely it is cut.
    pub grain: Grain,
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

/// What a pass counts.
#[derive(Debug, Clone, Copy)]
enum Pass<'a> {
    /// What is new.
    Forward,
    /// What was received on certain days, once more, into a new generation.
    Recount(&'a Days),
}

struct Ledger<'a> {
    store: &'a Store,
    generation: keys::Generation,
}

impl archive::Ledger for Ledger<'_> {
    fn progress(&self, path: &str) -> Option<Progress> {
        let bytes = self.store.get(&keys::file(self.generation, path)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Reads what is new in a source and counts it; of files that were never read only those that begin within `span`.
pub fn ingest(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    span: Option<(Day, Day)>,
) -> Result<SourceReport, IngestError> {
    let mut report = SourceReport::default();
    generation::drop_leftovers(reading.store)?;
    if let Some(done) = recount::resume(reading, filing, source)? {
        report.add(done.in_passing());
    }
    report.add(forward(reading, filing, source, span, BTreeSet::new())?);
    Ok(report)
}

/// Counts what was received within `span` (`None`: ever) anew from the files that are there, then reads what is new. Goes on
/// with a recount that was begun, and does not begin again if that was this one.
pub fn rebuild(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    span: Option<(Day, Day)>,
) -> Result<SourceReport, IngestError> {
    let mut report = SourceReport::default();
    generation::drop_leftovers(reading.store)?;
    let (from, to) = span.map_or((i32::MIN, i32::MAX), |(from, to)| (from.0, to.0));
    let mut covered = false;
    if let Some(done) = recount::resume(reading, filing, source)? {
        let known = generation::current(reading.store, &source.name)?.since;
        let conditions = reading.model.derived.iter().all(|derived| known.contains_key(&derived.key));
        covered = conditions && done.days.covers(from, to);
        report.add(done.report);
    }
    if !covered && !reading.stop.load(Ordering::Relaxed) {
        report.add(recount::recount(reading, filing, source, Days::within(from, to))?.report);
    }
    if !reading.stop.load(Ordering::Relaxed) {
        let told = std::mem::take(&mut report.told);
        report.add(forward(reading, filing, source, span, told)?);
    }
    Ok(report)
}

fn forward(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    span: Option<(Day, Day)>,
    told: BTreeSet<String>,
) -> Result<SourceReport, IngestError> {
    let mut report = SourceReport { told, ..SourceReport::default() };
    let mut generation = generation::current(reading.store, &source.name)?;
    generation.clear(reading.store)?;
    let before = generation.clone();
    generation.learn(reading.model);
    generation.set_window(source.dedupe_days);
    generation.set_paths(reading.paths);
    if generation != before {
        // Also if nothing is new to read.
        let mut batch = Batch::default();
        generation.save(&mut batch);
        reading.store.apply(batch)?;
    }
    let files = Ledger { store: reading.store, generation: generation.number };
    reading.watch.phase(Phase::Reading);
    pass(reading, filing, source, &mut generation, Pass::Forward, &files, span, &mut report)?;
    if !reading.stop.load(Ordering::Relaxed) && generation.is_stale() {
        let days = Days::only(generation.stale.iter().copied(), generation.all_stale);
        report.add(recount::recount(reading, filing, source, days)?.in_passing());
    }
    Ok(report)
}

#[expect(clippy::too_many_arguments, reason = "what is read, how, and what comes of it")]
fn pass(
    reading: &Reading<'_>,
    filing: &mut Filing,
    source: &Source,
    generation: &mut Generation,
    kind: Pass<'_>,
    files: &dyn archive::Ledger,
    span: Option<(Day, Day)>,
    report: &mut SourceReport,
) -> Result<(), IngestError> {
    let Reading { paths, model, stop, watch, grain, .. } = *reading;
    let mut tasks = archive::tasks(&source.location, &source.ours, files, &|line| received(line, paths))
        .map_err(IngestError::Source)?;
    if let Some((from, to)) = span {
        let day = |first: i64| model.calendar.day(Timestamp(first));
        tasks.retain(|task| !task.is_new() || task.first.is_some_and(|first| (from..=to).contains(&day(first))));
    }
    watch.begins(tasks.len(), tasks.iter().map(|task| task.size).sum());
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(8);
    let seed = fingerprint_seed(&source.name);
    let mut filer = Filer::new(reading, source, generation, kind, report);
    let (desk, files) = (Desk::new(threads), Files::new(&tasks, grain.block));
    std::thread::scope(|scope| {
        let (desk, files) = (&desk, &files);
        for number in 0..threads {
            scope.spawn(move || {
                let place = desk.place();
                let mut worker = Worker::new(number, seed, paths, model);
                let mut buffer = Vec::new();
                while !files.done()
                    && !stop.load(Ordering::Relaxed)
                    && let Some(ahead) = place.may_read(|| files.first())
                {
                    let Some(mut block) = files.next(ahead, &mut buffer) else { continue };
                    let lines = worker.parse(&block);
                    buffer = block.take_buffer();
                    let weight = lines.weight;
                    place.lay((block, lines), weight);
                }
            });
        }
        let _ends = desk.ends();
        Ok(filer.file(filing, desk)?)
    })
}
