//! From a source's lines to counts in the state: read and parsed by all cores, filed by one.
//!
//! What a batch adds — counts, statements, fingerprints, names — and what is remembered of its files are one durable write,
//! so a process that dies anywhere goes on where the last write stood and counts nothing twice. The order of reading, the
//! split into batches and the number of threads change nothing that can be seen. Calls whose repetition could not be
//! noticed any more, because they were received before the days whose fingerprints are kept, and files that were
//! rewritten, are not counted in passing: the days of their receipt are counted anew as a whole ([`recount`]).

pub mod generation;
pub mod names;
pub mod parse;
pub mod recount;
pub mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use vitalsync_core::call::AccountPaths;
use vitalsync_core::model::Model;
use vitalsync_core::usage::{About, Content, Stated, Subject, fingerprint_seed};
use vitalsync_core::{Calendar, Day};

use self::generation::Generation;
use self::names::{Filing, OTHER_EVENT, SUPPRESSED, Translations};
use self::parse::{Parsed, Worker, received};
use self::recount::Days;
use self::seen::{Print, Seen, Verdict};
use crate::config::Source;
use crate::source::SourceError;
use crate::source::archive::{self, Block, Pool, Progress, Turn};
use crate::store::usage::Row;
use crate::store::{Batch, Store, StoreError, keys};

/// So many calls are gathered before a write.
const BATCH: usize = 1_000_000;
/// So many examples of each kind of rejected line are kept.
const EXAMPLES: usize = 3;
/// Of a file's days of receipt so many runs are remembered; more are joined.
const RUNS: usize = 16;

/// What reading a source came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceReport {
    /// Calls that were read, repeated ones included.
    pub calls_read: u64,
    /// Of these, events (track, page, screen) that were counted.
    pub events_counted: u64,
    /// Calls that had been counted before.
    pub duplicates: u64,
    /// Events and statements of people and accounts that are to be forgotten.
    pub suppressed: u64,
    /// Users whom the source asked to forget.
    pub deletions: u64,
    /// Lines and files that were not counted, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Calls that were counted under `other`, because their account had too many names: by the kind of name.
    pub other: BTreeMap<String, u64>,
    /// The first of each reason: file, line, reason.
    pub examples: Vec<String>,
    /// Files from which something was read.
    pub files_read: u64,
    /// Files that had other bytes than before.
    pub files_rewritten: u64,
    /// Days of receipt that were counted anew.
    pub days_recounted: u64,
    /// Days of receipt that were to be counted anew and were left as they were, because files of theirs are gone.
    pub days_kept: u64,
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

/// How reading goes on, for those who watch.
pub trait Watch: Sync {
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
    /// Set to end early, at a block's end.
    pub stop: &'a AtomicBool,
    /// Who watches.
    pub watch: &'a dyn Watch,
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

struct Files<'a> {
    store: &'a Store,
    generation: keys::Generation,
}

impl archive::Ledger for Files<'_> {
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
    recount::resume(reading, filing, source, &mut report)?;
    let mut generation = generation::current(reading.store, &source.name)?;
    generation.learn(reading.model);
    let files = Files { store: reading.store, generation: generation.number };
    pass(reading, filing, source, &mut generation, Pass::Forward, &files, span, &mut report)?;
    if !reading.stop.load(Ordering::Relaxed) && generation.is_stale() {
        let days = Days::only(generation.stale.iter().copied(), generation.all_stale, source.dedupe_days);
        recount::recount(reading, filing, source, days, &mut report)?;
    }
    Ok(report)
}

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
    let Reading { paths, model, stop, watch, .. } = *reading;
    let mut tasks =
        archive::tasks(&source.location, files, &|line| received(line, paths)).map_err(IngestError::Source)?;
    if let Some((from, to)) = span {
        let day = |first: i64| model.calendar.day(vitalsync_core::Timestamp(first));
        tasks.retain(|task| task.first.is_some_and(|first| (from..=to).contains(&day(first))));
    }
    watch.begins(tasks.len(), tasks.iter().map(|task| task.size).sum());
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(8);
    let seed = fingerprint_seed(&source.name);
    let (pool, turn) = (Pool::default(), Turn::default());
    let mut pass = Filer {
        reading,
        source,
        generation,
        kind,
        seen: Seen::default(),
        translations: Translations::default(),
        gathered: Gathered::default(),
        rewritten: BTreeSet::new(),
        days: FxHashMap::default(),
        report,
    };
    std::thread::scope(|scope| -> Result<(), IngestError> {
        let (blocks, to_parse) = sync_channel::<Block>(2 * threads);
        let (parsed, to_file) = sync_channel::<(Block, Parsed)>(16 * threads);
        let to_parse = Arc::new(Mutex::new(to_parse));
        let (pool, turn, tasks) = (&pool, &turn, &tasks);
        scope.spawn(move || {
            archive::read(tasks, threads, pool, turn, &|block| {
                !stop.load(Ordering::Relaxed) && blocks.send(block).is_ok()
            });
        });
        for number in 0..threads {
            let (parsed, to_parse) = (parsed.clone(), Arc::clone(&to_parse));
            scope.spawn(move || {
                let mut worker = Worker::new(number, seed, paths, model);
                while let Some(block) = next(&to_parse) {
                    let lines = worker.parse(&block);
                    if parsed.send((block, lines)).is_err() {
                        break;
                    }
                }
            });
        }
        drop((parsed, to_parse));
        let filed = pass.file(filing, to_file, pool, turn);
        turn.stop();
        filed
    })?;
    Ok(())
}

fn next(blocks: &Mutex<Receiver<Block>>) -> Option<Block> {
    blocks.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// What is gathered and not yet written.
#[derive(Default)]
struct Gathered {
    rows: Vec<Row>,
    /// Rows that count again, under a condition, what the row before them counts.
    derived: BTreeSet<u32>,
    prints: Vec<Print>,
    statements: Vec<(Subject, Stated<Content>)>,
    progress: BTreeMap<String, Progress>,
    deletions: BTreeSet<String>,
}

/// The place of a print that has no row: a statement, or a call that only tells others apart.
const NO_ROW: u32 = u32::MAX;

/// Files parsed blocks in their order.
struct Filer<'a> {
    reading: &'a Reading<'a>,
    source: &'a Source,
    generation: &'a mut Generation,
    kind: Pass<'a>,
    seen: Seen,
    translations: Translations,
    gathered: Gathered,
    /// Files that had other bytes than before: what they hold is counted with its days.
    rewritten: BTreeSet<String>,
    /// The days of receipt of the files that are being read.
    days: FxHashMap<String, BTreeSet<i32>>,
    report: &'a mut SourceReport,
}

impl Filer<'_> {
    fn file(
        &mut self,
        filing: &mut Filing,
        parsed: Receiver<(Block, Parsed)>,
        pool: &Pool,
        turn: &Turn,
    ) -> Result<(), IngestError> {
        // Blocks come as they are parsed; they are taken in the order of their files.
        let mut waiting: BTreeMap<(usize, usize), (Block, Parsed)> = BTreeMap::new();
        // Blocks of one worker carry its new names, so these are learnt in the order of its parsing.
        let mut due = (0, 0);
        for (block, mut lines) in parsed {
            let names = std::mem::take(&mut lines.names);
            lines.worker = self.translations.learn(lines.worker, lines.anew, names);
            waiting.insert((block.order, block.index), (block, lines));
            while let Some((mut block, lines)) = waiting.remove(&due) {
                due = if block.ends { (due.0 + 1, 0) } else { (due.0, due.1 + 1) };
                let (calls, size, ends) = (lines.lines.len() as u64, block.size, block.ends);
                self.block(filing, &mut block, lines)?;
                pool.give_back(block);
                if ends {
                    turn.next();
                }
                self.reading.watch.filed(calls, usize::from(ends), size);
                if self.gathered.rows.len() + self.gathered.prints.len() / 4 >= BATCH {
                    self.write(filing)?;
                }
            }
        }
        self.write(filing)?;
        Ok(())
    }

    fn block(&mut self, filing: &mut Filing, block: &mut Block, lines: Parsed) -> Result<(), StoreError> {
        let path = block.path.to_string();
        if block.index == 0 && lines.count > 0 {
            self.report.files_read += 1;
        }
        let before = match (self.gathered.progress.get(&path), &block.rewritten) {
            (Some(known), None) => known.lines,
            (None, None) => block.progress.lines,
            (_, Some(_)) => 0,
        };
        if let Some(old) = block.rewritten.take()
            && matches!(self.kind, Pass::Forward)
        {
            self.report.files_rewritten += 1;
            self.generation.stale_days(old.days.as_deref());
            self.rewritten.insert(path.clone());
        }
        block.progress.lines = before + lines.count;
        for (number, why) in &lines.rejected {
            self.report.reject(why.name(), || format!("{path}:{}", before + number));
        }
        if let Some((reason, why)) = &block.fault {
            self.report.reject(reason, || format!("{path} ({why})"));
        }
        if lines.undated {
            self.generation.undated = true;
        }
        let rewritten = self.rewritten.contains(&path);
        self.lines(filing, &path, &lines, rewritten);
        self.gathered.deletions.extend(lines.deletions.iter().map(|user| user.to_string()));
        if let Some(translation) = self.translations.get(lines.worker) {
            // What somebody who is to be forgotten says of an account comes right after the membership of the same call.
            let mut silenced = None;
            for (mut subject, mut stated) in lines.statements {
                if subject.about == About::AccountTraits && silenced == Some(stated.at) {
                    silenced = None;
                    continue;
                }
                let why = translation.statement(filing, &mut subject, &mut stated);
                silenced = Some(stated.at).filter(|_| why == Some(SUPPRESSED) && subject.about == About::Membership);
                if let Some(why) = why {
                    self.report.count_other(why);
                    continue;
                }
                let counts = match self.kind {
                    Pass::Forward => true,
                    Pass::Recount(days) => days.contains(subject.received().0),
                };
                if counts {
                    self.gathered.statements.push((subject, stated));
                }
            }
        }
        let days = self.days.entry(path.clone()).or_default();
        let mut known = block.progress.days.take().filter(|_| before > 0).unwrap_or_default();
        known.extend(days.iter().map(|day| (*day, *day)));
        block.progress.days = Some(runs(known));
        if block.ends {
            self.days.remove(&path);
        }
        self.gathered.progress.insert(path, block.progress.clone());
        Ok(())
    }

    fn lines(&mut self, filing: &mut Filing, path: &str, lines: &Parsed, rewritten: bool) {
        let Some(translation) = self.translations.get(lines.worker) else { return };
        let oldest = self.generation.oldest(self.source.dedupe_days);
        let forward = matches!(self.kind, Pass::Forward);
        let days = self.days.entry(path.to_owned()).or_default();
        let mut last_day = None;
        let mut skipped = false;
        for line in &lines.lines {
            let day = line.spot.received().0;
            if line.derived {
                // Goes with the call before it.
                if !skipped && let Some(row) = translation.row(filing, line) {
                    self.gathered.derived.insert(self.gathered.rows.len() as u32);
                    self.gathered.rows.push(row);
                }
                continue;
            }
            self.report.calls_read += u64::from(forward);
            if last_day != Some(day) {
                days.insert(day);
                self.generation.saw(day.min(self.reading.today.0 + 1));
                last_day = Some(day);
            }
            if forward && (rewritten || oldest.is_some_and(|oldest| day < oldest)) {
                self.generation.stale.insert(day);
                skipped = true;
                continue;
            }
            let counts = match self.kind {
                Pass::Forward => true,
                Pass::Recount(days) => days.contains(day),
            };
            skipped = !counts || line.event == 0;
            if skipped {
                self.gathered.prints.push(Print { print: line.print, day, place: NO_ROW });
                continue;
            }
            match translation.row(filing, line) {
                Some(row) => {
                    let place = self.gathered.rows.len() as u32;
                    if row.event() == OTHER_EVENT {
                        self.report.count_other("event names");
                    }
                    self.gathered.prints.push(Print { print: line.print, day, place });
                    self.gathered.rows.push(row);
                    self.report.events_counted += u64::from(forward);
                }
                None => {
                    skipped = true;
                    self.report.suppressed += 1;
                }
            }
        }
    }

    fn write(&mut self, filing: &mut Filing) -> Result<(), StoreError> {
        let (store, number) = (self.reading.store, self.generation.number);
        let mut batch = Batch::default();
        let gathered = std::mem::take(&mut self.gathered);
        let (mut rows, mut prints) = (gathered.rows, gathered.prints);
        let window = self.source.dedupe_days;
        let forward = matches!(self.kind, Pass::Forward);
        for verdict in self.seen.judge(store, number, window, &mut prints, &mut batch)? {
            let (place, instead_of, repeated) = match verdict {
                Verdict::Repeated { place, instead_of } => (place, instead_of, true),
                Verdict::Earlier { place, instead_of } => (place, Some(instead_of), false),
            };
            self.report.duplicates += u64::from(forward);
            if place == NO_ROW {
                continue;
            }
            // A day that is not counted anew is kept as it was when this copy, which is not news, was known already.
            let instead_of = instead_of.filter(|day| match self.kind {
                Pass::Forward => true,
                Pass::Recount(days) => days.contains(*day),
            });
            self.report.events_counted -= u64::from(forward);
            let mut of_call = vec![place];
            of_call.extend((place + 1..).take_while(|next| gathered.derived.contains(next)));
            for place in of_call {
                let Some(row) = rows.get_mut(place as usize) else { continue };
                // The other copy says the same and was received on another day.
                let mut spot = row.spot();
                let (event, at) = (row.event(), row.last());
                if repeated {
                    row.cancel();
                }
                if let Some(other) = instead_of {
                    spot.lag = other - spot.day.0;
                    rows.push(Row::new(&spot, event, -1, at));
                }
            }
        }
        drop(prints);
        store.merge_counts(number, &mut rows, &mut batch)?;
        drop(rows);
        store.merge_statements(number, gathered.statements, &mut batch)?;
        for (path, progress) in gathered.progress {
            batch.put(keys::file(number, &path), serde_json::to_vec(&progress).unwrap_or_default());
        }
        if forward && let Some(floor) = self.generation.raise_floor(window) {
            self.seen.prune(store, number, floor, &mut batch)?;
        }
        self.generation.save(&mut batch);
        filing.save(store, gathered.deletions, &mut batch)?;
        store.apply(batch)?;
        filing.saved();
        Ok(())
    }
}

impl SourceReport {
    fn count_other(&mut self, what: &str) {
        if what == SUPPRESSED {
            self.suppressed += 1;
        } else {
            *self.other.entry(what.to_owned()).or_default() += 1;
        }
    }
}

/// Days as runs, the smallest gaps between them joined if there are too many.
fn runs(mut days: Vec<(i32, i32)>) -> Vec<(i32, i32)> {
    days.sort_unstable();
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for (from, to) in days {
        match runs.last_mut() {
            Some(last) if from <= last.1 + 1 => last.1 = last.1.max(to),
            _ => runs.push((from, to)),
        }
    }
    while runs.len() > RUNS {
        let gap = |at: usize| runs.get(at + 1).zip(runs.get(at)).map_or(i32::MAX, |(next, run)| next.0 - run.1);
        let at = (0..runs.len() - 1).min_by_key(|at| gap(*at)).unwrap_or_default();
        let (_, to) = runs.remove(at + 1);
        runs[at].1 = to;
    }
    runs
}
