//! From parsed blocks to writes: taken in the order of their files, gathered, judged, and made one write for so many calls.
//!
//! What is written is decided here, and how in the state: [`crate::store`]. What is read, and by whom, is not here.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use vitalsync_core::time::HOUR_MS;
use vitalsync_core::usage::{About, Content, Stated, Subject};

use super::desk::Desk;
use super::generation::Generation;
use super::names::{Filing, OTHER_EVENT, OTHER_SUBJECT, SUPPRESSED, Translations};
use super::parse::{Line, Parsed};
use super::seen::{Print, Seen, Verdict};
use super::{Pass, Reading, SourceReport};
use crate::config::Source;
use crate::source::archive::{Block, Progress};
use crate::store::runs::Run;
use crate::store::usage::{self, Row};
use crate::store::{Batch, StoreError, codec, keys};

/// Of a file's days of receipt so many runs are remembered; more are joined.
const RUNS: usize = 16;

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
pub struct Filer<'a> {
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

impl<'a> Filer<'a> {
    /// One for a pass over a source.
    pub fn new(
        reading: &'a Reading<'a>,
        source: &'a Source,
        generation: &'a mut Generation,
        kind: Pass<'a>,
        report: &'a mut SourceReport,
    ) -> Self {
        Self {
            reading,
            source,
            generation,
            kind,
            seen: Seen::default(),
            translations: Translations::default(),
            gathered: Gathered::with_room(reading.grain.batch),
            rewritten: BTreeSet::new(),
            open: FxHashMap::default(),
            report,
        }
    }

    /// Files what comes to the desk, and writes it.
    pub fn file(&mut self, filing: &mut Filing, desk: &Desk<(Block, Parsed)>) -> Result<(), StoreError> {
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
