//! History: the snapshots of days that are over, written once, and what evaluations may look at of them.
//!
//! A day's snapshots are what the first evaluation after its end says of it, whatever comes later. A day that no run saw
//! has none, and is computed when it is asked for: what is known today must not pass for what was said then. They go with
//! the time of the evaluation in one write.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::evaluate::{Account, Daily, Evaluation, Since};
use vitalsync_core::identity::Horizon;
use vitalsync_core::model::{Model, Profile};
use vitalsync_core::past::{self, Past, Snapshot};
use vitalsync_core::version::Version;
use vitalsync_core::{Day, Timestamp};

use super::{Engine, census_of, poisoned};
use crate::report::{MissedReport, SHOWN_DAYS};
use crate::store::codec::Made;
use crate::store::{Batch, StoreError};

impl Engine {
    /// The snapshots that figures as of a horizon look at: of days before its last one. What was known on some day is
    /// computed from what was received by then, and from nothing else.
    pub(super) fn past(&self, model: &Model, horizon: Horizon) -> Result<Past, StoreError> {
        let mut past = Past::default();
        if horizon.received.is_some() {
            return Ok(past);
        }
        let over = model.calendar.last_over(horizon.at);
        for profile in &model.profiles {
            let mut days: BTreeSet<Day> = past::needed(over, profile).collect();
            // A band is held over days that no run saw.
            days.extend(self.store.last_snapshots(&profile.name, over)?);
            past.0.insert(profile.name.clone(), self.store.snapshots(&profile.name, &days)?);
        }
        Ok(past)
    }

    /// Notes that everything was evaluated, with what rules ran into, since when each holds for each account, and the snapshots
    /// of the last day over if it has none yet. Nothing, if a later time was: a clock that was set back makes no day over again.
    pub fn conclude(&self, evaluation: &Evaluation) -> Result<(), StoreError> {
        let mut filing = self.filing.write().unwrap_or_else(poisoned);
        if self.store.meta("evaluated")?.is_some_and(|last: Timestamp| last > evaluation.at) {
            return Ok(());
        }
        let noted = self.store.memberships()?;
        let (mut batch, nothing) = (Batch::default(), Since::default());
        for account in &evaluation.accounts {
            let before = noted.get(&account.id).unwrap_or(&nothing);
            if !account.is_noted(before) {
                batch.put_membership(&account.id, &account.since(before, evaluation.today));
                // Many at once take much memory. Whoever runs this again after a kill says the same of them.
                self.store.spill(&mut batch)?;
            }
        }
        batch.put_meta("evaluated", &evaluation.at);
        batch.put_meta("report:rules", &MissedReport::all(census_of(&self.config, evaluation)));
        let names = filing.ids.accounts.len();
        for profile in &self.config.model.profiles {
            if self.store.has_snapshots(&profile.name, evaluation.over)? {
                continue;
            }
            let mut snapshots: BTreeMap<_, Snapshot> = BTreeMap::new();
            for account in &evaluation.accounts {
                let said = account.profiles.get(&profile.name).and_then(Snapshot::of);
                if let Some(said) = said
                    && let Some(number) = filing.measured(&account.id)
                {
                    snapshots.insert(number, said);
                }
            }
            let (config, version) = Version::of(profile, &self.config.model).kept();
            let forgotten = u32::try_from(filing.suppressed.len()).unwrap_or(u32::MAX);
            let made = Made { config, at: evaluation.at, forgotten };
            batch.put_snapshots((&profile.name, &version), evaluation.over, made, &snapshots);
        }
        let named = filing.ids.accounts.len() > names;
        if named {
            filing.save(&self.store, BTreeSet::new(), &mut batch)?;
        }
        self.store.apply(batch)?;
        if named {
            filing.saved();
        }
        Ok(())
    }

    /// Measures everything as of a time, as a run does before it tells anybody: older usage is made small, and the day that
    /// is over has its snapshots.
    pub fn take_stock(&self, at: Timestamp) -> anyhow::Result<Evaluation> {
        self.check_stop()?;
        self.retain(at)?;
        let evaluation = self.evaluate(at)?;
        self.conclude(&evaluation)?;
        Ok(evaluation)
    }

    /// Takes stock, unless the last day that is over has its snapshots.
    pub fn close_day(&self, at: Timestamp) -> anyhow::Result<()> {
        let over = self.config.model.calendar.last_over(at);
        for profile in &self.config.model.profiles {
            if !self.store.has_snapshots(&profile.name, over)? {
                return self.take_stock(at).map(drop);
            }
        }
        Ok(())
    }

    /// Each day of an account whose history was asked for, with every snapshot that there is of the days that are shown.
    pub(super) fn history(
        &self,
        account: &Account,
        profile: &Profile,
        horizon: Horizon,
    ) -> Result<Vec<Daily>, StoreError> {
        let computed = &account.history;
        let (Some(first), Some(last)) = (computed.first(), computed.last()) else { return Ok(Vec::new()) };
        let mut told = Vec::new();
        if horizon.received.is_none()
            && let Some(number) = self.filing.read().unwrap_or_else(poisoned).ids.accounts.find(&account.id)
        {
            let days = last.day.plus(1 - SHOWN_DAYS)..last.day;
            let kept = self.store.snapshots_of(&profile.name, number, days)?;
            told = kept.into_iter().map(|(day, snapshot, _)| (day, snapshot)).collect();
        }
        let score = |day: Day| {
            let place = computed.binary_search_by_key(&day, |daily| daily.day).ok()?;
            computed.get(place).map(|daily| daily.score)
        };
        Ok(past::days((first.day, last.day), &told, profile.bands, score).collect())
    }
}
