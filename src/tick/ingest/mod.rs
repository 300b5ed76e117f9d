//! From a source's lines to counts in the state: read and parsed by all cores, filed by one.
//!
//! What a batch adds — counts, statements, fingerprints, names — and what is remembered of its files are one durable write,
//! so a process that dies anywhere goes on where the last write stood and counts nothing twice. The order of reading, the
//! split into batches and the number of threads change nothing that can be seen. Calls whose repetition could not be
//! noticed any more, because they were received before the days whose fingerprints are kept, and files that were
//! rewritten, are not counted in passing: the days of their receipt are counted anew as a whole ([`recount`]).

mod desk;
pub mod generation;
pub mod names;
pub mod parse;
pub mod recount;
mod report;
pub mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::FxHashMap;
use vitalsync_core::call::AccountPaths;
use vitalsync_core::model::Model;
use vitalsync_core::time::HOUR_MS;
use vitalsync_core::usage::{About, Content, Stated, Subject, fingerprint_seed};
use vitalsync_core::{Calendar, Day, Timestamp};

use self::desk::Desk;
use self::generation::Generation;
use self::names::{Filing, OTHER_EVENT, OTHER_SUBJECT, SUPPRESSED, Translations};
use self::parse::{Line, Parsed, Worker, received};
use self::recount::Days;
pub use self::report::SourceReport;
use self::seen::{Print, Seen, Verdict};
use crate::config::Source;
use crate::source::SourceError;
use crate::source::archive::{self, Block, Files, Progress};
use crate::store::runs::Run;
use crate::store::usage::{self, Row};
use crate::store::{Batch, Store, StoreError, codec, keys};

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

/// Of a file's days of receipt so many runs are remembered; more are joined.
const RUNS: usize = 16;

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
    let mut tasks =
        archive::tasks(&source.location, files, &|line| received(line, paths)).map_err(IngestError::Source)?;
    if let Some((from, to)) = span {
        let day = |first: i64| model.calendar.day(Timestamp(first));
        tasks.retain(|task| !task.is_new() || task.first.is_some_and(|first| (from..=to).contains(&day(first))));
    }
    watch.begins(tasks.len(), tasks.iter().map(|task| task.size).sum());
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(8);
    let seed = fingerprint_seed(&source.name);
    let mut pass = Filer {
        reading,
        source,
        generation,
        kind,
        seen: Seen::default(),
        translations: Translations::default(),
        gathered: Gathered::with_room(grain.batch),
        rewritten: BTreeSet::new(),
        open: FxHashMap::default(),
        report,
    };
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
        pass.file(filing, desk)
    })
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

impl Gathered {
    /// Room for the calls of a write: only what is used takes memory, and what would grow takes it twice.
    fn with_room(calls: usize) -> Self {
        Self { rows: Vec::with_capacity(calls), prints: Vec::with_capacity(calls), ..Self::default() }
    }
}

/// The place of a print that has no row: a statement.
const NO_ROW: u32 = u32::MAX;
/// The same, of a statement that only tells others apart.
const NO_ROW_HELD: u32 = u32::MAX - 1;

/// A file that is being read.
#[derive(Default)]
struct Open {
    /// The days of receipt so far, since this process began with it.
    days: BTreeSet<i32>,
    /// So many lines so far, of all.
    lines: u64,
}

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
    /// The files that are being read.
    open: FxHashMap<String, Open>,
    report: &'a mut SourceReport,
}

impl Filer<'_> {
    fn file(&mut self, filing: &mut Filing, desk: &Desk<(Block, Parsed)>) -> Result<(), IngestError> {
        // Blocks come as they are parsed; they are taken in the order of their files.
        let mut waiting: BTreeMap<(usize, usize), (Block, Parsed)> = BTreeMap::new();
        // Blocks of one worker carry its new names, so these are learnt in the order of its parsing.
        let mut due = (0, 0);
        let mut came = Vec::new();
        while desk.take(&mut came) {
            for (block, mut lines) in came.drain(..) {
                let names = std::mem::take(&mut lines.names);
                lines.worker = self.translations.learn(lines.worker, lines.anew, names);
                waiting.insert((block.order, block.index), (block, lines));
            }
            while let Some((mut block, lines)) = waiting.remove(&due) {
                due = if block.ends { (due.0 + 1, 0) } else { (due.0, due.1 + 1) };
                let (calls, size, ends) = (lines.lines.len() as u64, block.size, block.ends);
                let weight = lines.weight;
                self.block(filing, &mut block, lines)?;
                desk.filed(weight, ends);
                self.reading.watch.filed(calls, usize::from(ends), size);
                if self.gathered.rows.len() + self.gathered.prints.len() / 4 >= self.reading.grain.batch {
                    self.write(filing)?;
                }
            }
        }
        self.write(filing)?;
        self.generation.tidy(self.reading.store, &filing.ids)?;
        Ok(())
    }

    fn block(&mut self, filing: &mut Filing, block: &mut Block, lines: Parsed) -> Result<(), StoreError> {
        let path = block.path.to_string();
        if block.index == 0 && lines.count > 0 && !self.report.told.contains(&path) {
            self.report.files_read += 1;
        }
        let before = match (self.open.get(&path), &block.rewritten) {
            (Some(open), None) => open.lines,
            (None, None) => block.progress.lines,
            (_, Some(_)) => 0,
        };
        if let Some(old) = block.rewritten.take() {
            // While days are counted anew: it was rewritten since a part of it was counted, so they are counted once more.
            self.generation.stale_days(old.days.as_deref());
            if matches!(self.kind, Pass::Forward) {
                self.report.files_rewritten += 1;
                self.rewritten.insert(path.clone());
            }
        }
        block.progress.lines = before + lines.count;
        self.open.entry(path.clone()).or_default().lines = block.progress.lines;
        let rewritten = self.rewritten.contains(&path);
        let told = rewritten && self.report.told.contains(&path);
        if !told {
            for (number, why) in &lines.rejected {
                self.report.reject(why.name(), || format!("{path}:{}", before + number));
            }
            self.report.unkept += lines.unkept;
            if let Some((reason, why)) = &block.fault {
                self.report.reject(reason, || format!("{path} ({why})"));
            }
        }
        if matches!(self.kind, Pass::Recount(_)) && block.index == 0 {
            self.report.told.insert(path.clone());
        }
        // A clock that is ahead must not make the source look alive for ever.
        let now = self.reading.now.0.div_euclid(HOUR_MS);
        lines.hours.iter().filter(|hour| **hour <= now).for_each(|hour| self.generation.heard.add(*hour));
        if lines.undated {
            self.generation.saw_undated();
        }
        self.lines(filing, &path, &lines, rewritten, told);
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
        let open = self.open.entry(path.clone()).or_default();
        let mut known = block.progress.days.take().filter(|_| before > 0).unwrap_or_default();
        known.extend(open.days.iter().map(|day| (*day, *day)));
        block.progress.days = Some(runs(known));
        if block.ends {
            self.open.remove(&path);
        }
        self.gathered.progress.insert(path, block.progress.clone());
        Ok(())
    }

    /// True if this pass counts what was received on a day and happened on another; else that only tells others apart.
    fn counts(&self, received: i32, day: i32) -> bool {
        match self.kind {
            Pass::Forward => true,
            Pass::Recount(days) => days.contains(received) && !self.generation.is_rolled(day),
        }
    }

    fn lines(&mut self, filing: &mut Filing, path: &str, lines: &Parsed, rewritten: bool, told: bool) {
        let oldest = self.generation.oldest(self.source.dedupe_days);
        let forward = matches!(self.kind, Pass::Forward);
        let mut last_day = None;
        let (mut skipped, mut held) = (false, false);
        if let Some(translation) = self.translations.get(lines.worker) {
            translation.warm(&lines.lines);
        }
        for line in &lines.lines {
            let day = line.spot.received().0;
            if line.derived {
                // Goes with the call before it.
                if !skipped && let Some(mut row) = self.row(filing, lines, line) {
                    if held {
                        row.cancel();
                    }
                    self.gathered.derived.insert(self.gathered.rows.len() as u32);
                    self.gathered.rows.push(row);
                }
                continue;
            }
            held = !self.counts(day, line.spot.day.0);
            self.report.calls_read += u64::from(!held && !told);
            if last_day != Some(day) {
                self.open.entry(path.to_owned()).or_default().days.insert(day);
                self.generation.saw(day.min(self.reading.today.0 + 1));
                last_day = Some(day);
            }
            skipped = true;
            if forward && (rewritten || oldest.is_some_and(|oldest| day < oldest)) {
                if line.event != 0 && self.generation.is_rolled(line.spot.day.0) {
                    // Of a rewritten file most was counted before.
                    self.report.too_old += u64::from(!rewritten);
                } else {
                    self.generation.stale.insert(day);
                }
                continue;
            }
            if line.event == 0 {
                let place = if held { NO_ROW_HELD } else { NO_ROW };
                self.gathered.prints.push(Print { print: line.print, day, place });
                continue;
            }
            let Some(mut row) = self.row(filing, lines, line) else {
                self.report.suppressed += u64::from(!held);
                continue;
            };
            skipped = false;
            if held {
                // Its row says where the one counts that it takes the place of.
                row.cancel();
            } else {
                if row.event() == OTHER_EVENT {
                    self.report.count_other("event names");
                }
                if row.subject() == OTHER_SUBJECT {
                    self.report.count_other("user ids");
                }
                self.report.events_counted += 1;
            }
            let place = self.gathered.rows.len() as u32;
            self.gathered.prints.push(Print { print: line.print, day, place });
            self.gathered.rows.push(row);
        }
    }

    fn row(&mut self, filing: &mut Filing, lines: &Parsed, line: &Line) -> Option<Row> {
        self.translations.get(lines.worker)?.row(filing, line)
    }

    fn write(&mut self, filing: &mut Filing) -> Result<(), StoreError> {
        let (store, number) = (self.reading.store, self.generation.number);
        let mut batch = Batch::default();
        let mut gathered = std::mem::take(&mut self.gathered);
        if gathered.prints.is_empty() && gathered.statements.is_empty() && gathered.progress.is_empty() {
            return Ok(());
        }
        let statements = std::mem::take(&mut gathered.statements);
        self.gathered.statements.reserve(statements.len());
        let months: BTreeSet<u16> = statements.iter().map(|(subject, _)| codec::month(subject.day)).collect();
        let write = self.generation.write(months, &mut batch);
        let (run, statements) = std::thread::scope(|scope| {
            let beside = scope.spawn(move || usage::statements(number, write, statements));
            let run = self.calls(write, &mut gathered, &mut batch);
            (run, beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        self.generation.runs.extend(run?);
        store.put_all_new(statements, &mut batch)?;
        // The largest buffers serve the next write too.
        gathered.rows.clear();
        gathered.prints.clear();
        (self.gathered.rows, self.gathered.prints) = (gathered.rows, gathered.prints);
        for (path, progress) in gathered.progress {
            batch.put(keys::file(number, &path), serde_json::to_vec(&progress).unwrap_or_default());
        }
        let window = self.source.dedupe_days;
        if matches!(self.kind, Pass::Forward)
            && let Some(floor) = self.generation.raise_floor(window)
        {
            self.seen.prune(store, number, floor, &mut batch)?;
        }
        self.generation.save(&mut batch);
        filing.save(store, gathered.deletions, &mut batch)?;
        store.apply(batch)?;
        filing.saved();
        Ok(())
    }

    /// Adds the fingerprints of a write, and as a run what counts of its rows.
    fn calls(&mut self, write: u32, gathered: &mut Gathered, batch: &mut Batch) -> Result<Option<Run>, StoreError> {
        let (store, number, window) = (self.reading.store, self.generation.number, self.source.dedupe_days);
        let Gathered { rows, prints, derived, .. } = gathered;
        for verdict in self.seen.judge(store, number, write, window, prints, batch)? {
            let (place, instead_of, repeated) = match verdict {
                Verdict::Repeated { place, instead_of } => (place, instead_of, true),
                Verdict::Earlier { place, instead_of } => (place, Some(instead_of), false),
            };
            let Some(row) = rows.get(place as usize) else {
                self.report.duplicates += u64::from(place == NO_ROW);
                continue;
            };
            // Of a copy that this pass does not count, what was decided before stands: it followed another one, or the
            // days around it are counted too.
            let instead_of = instead_of.filter(|other| self.counts(*other, row.spot().day.0));
            let held = row.is_cancelled();
            self.report.duplicates += u64::from(!held);
            self.report.events_counted =
                self.report.events_counted.saturating_sub(u64::from(!held || instead_of.is_some()));
            let mut of_call = vec![place];
            of_call.extend((place + 1..).take_while(|next| derived.contains(next)));
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
        store.add_counts(number, write, rows, batch)
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
