//! Retention: once a day, before anything is measured, what is older than the config keeps is made small.
//!
//! From which event day on a generation's counts have their days is remembered first, then its months are made small, so
//! that a kill between the two leads to nothing but doing it again. A source whose days are being counted anew waits.

use serde::{Deserialize, Serialize};
use vitalsync_core::{Day, Timestamp};

use super::ingest::generation::{self, Generation};
use super::ingest::recount;
use super::{Engine, poisoned};
use crate::config::Retention;
use crate::store::retain::Retained;
use crate::store::{Batch, StoreError, codec};

/// When it was done, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    on: Day,
    days: Option<i32>,
    months: Option<i32>,
}

impl Engine {
    /// Makes small what is older than the config keeps as of a time, unless that was done on its day.
    pub fn retain(&self, at: Timestamp) -> Result<(), StoreError> {
        let Retention { days, months } = self.config.retention;
        let today = self.config.model.calendar.day(at);
        let done = Done { on: today, days, months };
        let before = self.store.meta::<Done>("retention")?;
        if days.is_none() && months.is_none()
            || before.is_some_and(|before| Done { on: today.max(before.on), ..done } == before)
        {
            return Ok(());
        }
        let by_day = days.map_or(0, |days| codec::month(today.plus(-days)));
        let any =
            months.map_or(0, |months| codec::month(today).saturating_sub(u16::try_from(months).unwrap_or(u16::MAX)));
        let kept_from = codec::month_start(by_day.max(any)).0;
        // Nothing is counted meanwhile.
        let _filing = self.filing.write().unwrap_or_else(poisoned);
        let (mut generations, mut all, mut batch) = (Vec::new(), true, Batch::default());
        for (source, number) in generation::sources(&self.store)? {
            if recount::is_begun(&self.store, &source)? {
                all = false;
                continue;
            }
            let mut generation = Generation::load(&self.store, number)?;
            generation.clear(&self.store)?;
            generation.kept_from = generation.kept_from.max(Some(kept_from));
            let numbers = [generation.spend(), generation.spend()];
            generation.save(&mut batch);
            generations.push((generation, numbers));
        }
        self.store.apply(batch)?;
        let mut retained = Retained::default();
        for (generation, numbers) in &mut generations {
            let (number, runs) = (generation.number, generation.runs.clone());
            if let Some(swap) = self.store.retain_counts(number, &runs, *numbers, by_day, any, &mut retained)? {
                generation.swap(&self.store, &swap.old, swap.new)?;
            }
        }
        let writes = generations.iter().map(|(generation, [write, _])| (generation.number, *write)).collect();
        self.store.retain_statements(&writes, any, &mut retained)?;
        let snapshots = self.store.drop_snapshots(codec::month_start(any))?;
        tracing::info!(
            rolled = retained.rolled,
            removed = retained.removed,
            statements = retained.statements,
            snapshots,
            "older usage made small"
        );
        if all {
            let mut batch = Batch::default();
            batch.put_meta("retention", &done);
            self.store.apply(batch)?;
        }
        Ok(())
    }
}
