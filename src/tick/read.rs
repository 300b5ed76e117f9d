//! Reading sources: what is new, before each pass; and `backfill`, which says what and from when.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vitalsync_core::{Day, Timestamp};

use super::ingest::names::Filing;
use super::ingest::{self, IngestError, Reading, SourceReport, Unwatched, Watch};
use super::{Engine, poisoned};
use crate::clock;
use crate::config::Source;
use crate::report::exit_code_of_sources;
use crate::store::{Batch, StoreError};

/// What a backfill is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// The sources by name; none: all.
    pub sources: Vec<String>,
    /// The first day of receipt; none: from the beginning.
    pub from: Option<Day>,
    /// The last day of receipt, included; none: to the end.
    pub to: Option<Day>,
    /// Whether what was counted before is counted anew.
    pub rebuild: bool,
}

/// What a backfill came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BackfillReport {
    /// By source.
    pub sources: BTreeMap<String, SourceReport>,
    /// How long it took.
    pub duration_ms: u64,
}

impl BackfillReport {
    /// The exit code: 1 if a source failed, 3 if a file could not be read, else 0.
    pub fn exit_code(&self) -> u8 {
        exit_code_of_sources(&self.sources)
    }
}

impl Backfill {
    /// Says what is wrong with it under a config, if something is.
    pub fn fault(&self, sources: &[Source]) -> Option<String> {
        let known = |name: &String| sources.iter().any(|source| source.name == *name);
        if let Some(name) = self.sources.iter().find(|name| !known(name)) {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            return Some(format!("there is no source `{name}`; there are: {}", names.join(", ")));
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => Some(format!("--from {from} is after --to {to}")),
            _ => None,
        }
    }

    fn span(&self) -> Option<(Day, Day)> {
        let open = self.from.is_none() && self.to.is_none();
        (!open).then(|| (self.from.unwrap_or(Day(i32::MIN)), self.to.unwrap_or(Day(i32::MAX))))
    }
}

/// When a source was read last, and what the last reading that brought something came to: most bring nothing, also those of
/// commands that only look, and must not make what was rejected disappear.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LastReading {
    /// When it was read, by the machine's clock: a question about a past day reads today.
    pub(super) at: Timestamp,
    /// When it brought something; a state of an earlier program has only the other time.
    #[serde(default)]
    pub(super) brought_at: Option<Timestamp>,
    /// What that came to; `failed` is of the last reading.
    pub(super) report: SourceReport,
}

impl LastReading {
    /// After another reading, which brought nothing.
    fn again(self, at: Timestamp, failed: Option<String>) -> Self {
        Self { at, brought_at: self.brought_at.or(Some(self.at)), report: SourceReport { failed, ..self.report } }
    }
}

/// Under what name the last reading of a source is kept.
fn of_source(name: &str) -> String {
    format!("report:source:{name}")
}

impl Engine {
    /// Reads what is new in a source.
    pub fn ingest(&self, source: &Source) -> anyhow::Result<SourceReport> {
        self.read(source, &Unwatched, |reading, filing| ingest::ingest(reading, filing, source, None))
    }

    /// Reads or counts anew what is asked for; fails if it is interrupted. `watch` makes the one that watches a source.
    pub fn backfill(&self, order: &Backfill, watch: &dyn Fn(&str) -> Box<dyn Watch>) -> anyhow::Result<BackfillReport> {
        let started = Instant::now();
        if let Some(fault) = order.fault(&self.config.sources) {
            anyhow::bail!(fault);
        }
        let mut report = BackfillReport::default();
        for source in &self.config.sources {
            if !order.sources.is_empty() && !order.sources.contains(&source.name) {
                continue;
            }
            let watch = watch(&source.name);
            let read = self.read(source, &*watch, |reading, filing| match order.rebuild {
                true => ingest::rebuild(reading, filing, source, order.span()),
                false => ingest::ingest(reading, filing, source, order.span()),
            });
            report.sources.insert(source.name.clone(), read?);
            self.check_stop()?;
        }
        report.duration_ms = started.elapsed().as_millis() as u64;
        Ok(report)
    }

    fn read(
        &self,
        source: &Source,
        watch: &dyn Watch,
        how: impl FnOnce(&Reading<'_>, &mut Filing) -> Result<SourceReport, IngestError>,
    ) -> anyhow::Result<SourceReport> {
        self.forget_suppressed()?;
        let mut filing = self.filing.write().unwrap_or_else(poisoned);
        let reading = Reading {
            store: &self.store,
            paths: &self.config.accounts,
            model: &self.config.model,
            today: self.config.model.calendar.day(self.clock.now()),
            now: clock::system(),
            stop: &self.stop,
            watch,
            grain: self.grain,
        };
        let mut report = match how(&reading, &mut filing) {
            Ok(report) => report,
            Err(IngestError::Source(error)) => {
                tracing::error!(source = %source.name, %error, "the source can't be read");
                SourceReport { failed: Some(error.to_string()), ..SourceReport::default() }
            }
            Err(error) => {
                // What was filed in memory is not what is on disk: begin again from there.
                *filing = Filing::load(&self.store)?;
                return Err(error.into());
            }
        };
        drop(filing);
        report.deletions = self.forget_asked()?;
        if report.calls_read > 0 || !report.rejected.is_empty() || report.failed.is_some() {
            tracing::info!(
                source = %source.name,
                calls_read = report.calls_read,
                events_counted = report.events_counted,
                duplicates = report.duplicates,
                rejected = report.rejected.values().sum::<u64>(),
                "read"
            );
            for example in &report.examples {
                tracing::warn!(source = %source.name, "not counted: {example}");
            }
        }
        let at = clock::system();
        let last = match self.last_reading(&source.name)? {
            Some(last) if !report.is_news_after(&last.report) => last.again(at, report.failed.clone()),
            _ => LastReading { at, brought_at: Some(at), report: report.clone() },
        };
        let mut batch = Batch::default();
        batch.put_meta(&of_source(&source.name), &last);
        self.store.apply(batch)?;
        Ok(report)
    }

    /// How a source was read last.
    pub(super) fn last_reading(&self, source: &str) -> Result<Option<LastReading>, StoreError> {
        self.store.meta(&of_source(source))
    }
}
