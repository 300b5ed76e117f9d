//! Bringing a destination into step: what is wanted, what is known, what is to be done, and what it came to.
//!
//! A sync takes no hints: it plans from what the tool last confirmed and obeys the plan. Whether a destination writes at all is
//! decided here, once.

use std::collections::{HashMap, HashSet};

use vitalsync_core::Timestamp;
use vitalsync_core::connector::{Known, Operation, Wanted};
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::mapping::{Level, WantedRecord};
use vitalsync_core::names::{AccountNames, UserNames};

use super::{Dated, Engine};
use crate::config::Destination;
use crate::deliver::{Lanes, Work, operation_hash};
use crate::report::DestinationReport;
use crate::store::records::told;
use crate::store::{Batch, StoreError};

/// A refused operation is tried again after so long.
pub(super) const RETRY_REFUSED_MS: i64 = 24 * 3_600_000;

/// So often in one pass is planned anew what somebody else changed meanwhile.
const ROUNDS: usize = 3;

/// Operations, and the slots that are not tried now, with why.
type Planned = (Vec<Operation>, Vec<(String, String)>);

impl Engine {
    /// True if a destination writes: by its mode, or because its plan was approved.
    pub fn is_live(&self, destination: &Destination) -> Result<bool, StoreError> {
        Ok(destination.live || self.store.meta::<bool>(&format!("approved:{}", destination.name))? == Some(true))
    }

    /// Releases a destination.
    pub fn approve(&self, name: &str) -> anyhow::Result<String> {
        let Some(destination) = self.config.destinations.iter().find(|destination| destination.name == name) else {
            let names: Vec<&str> =
                self.config.destinations.iter().map(|destination| destination.name.as_str()).collect();
            anyhow::bail!("there is no destination `{name}`; there are: {}", names.join(", "));
        };
        if self.is_live(destination)? {
            return Ok(format!("{name} writes already"));
        }
        let mut batch = Batch::default();
        batch.put_meta(&format!("approved:{name}"), &true);
        self.store.apply(batch)?;
        Ok(format!("{name} is released: the next sync writes"))
    }

    /// The records that a destination should hold.
    fn wanted(&self, destination: &Destination, evaluation: &Evaluation) -> Vec<WantedRecord> {
        let model = &self.config.model;
        let mut records = Vec::new();
        for set in destination.connector.record_sets() {
            match set.level {
                Level::Account => records.extend(
                    evaluation
                        .accounts
                        .iter()
                        .filter_map(|account| set.wanted(&account.id, &AccountNames { account }, &model.calendar)),
                ),
                Level::User => records.extend(
                    evaluation
                        .users
                        .iter()
                        .filter_map(|user| set.wanted(&user.id, &UserNames { user, evaluation }, &model.calendar)),
                ),
            }
        }
        records
    }

    /// What is to be done in a destination for its records, without what was refused and is not to be tried now.
    pub(super) fn plan_records(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        known: &Known,
        retry_refused: bool,
    ) -> Result<Planned, StoreError> {
        let wanted = Wanted { records: self.wanted(destination, evaluation), alerts: Vec::new() };
        let mut operations = destination.connector.plan(&wanted, known);
        let mut held = Vec::new();
        if !retry_refused {
            let refused: HashMap<String, _> = self
                .store
                .quarantine(&destination.name)?
                .into_iter()
                .map(|entry| (entry.slot.clone(), entry))
                .collect();
            operations.retain(|operation| match refused.get(&operation.slot) {
                Some(entry)
                    if entry.hash == operation_hash(operation) && evaluation.at.0 - entry.at.0 < RETRY_REFUSED_MS =>
                {
                    held.push((entry.slot.clone(), entry.why.clone()));
                    false
                }
                _ => true,
            });
        }
        Ok((operations, held))
    }

    pub(super) fn lanes<'a>(&'a self, destination: &'a Destination, at: Timestamp) -> Option<Lanes<'a>> {
        let (client, budget) = self.tools.get(&destination.name)?;
        Some(Lanes {
            store: &self.store,
            destination,
            client,
            budget,
            at,
            stop: &self.stop,
            patience: self.patience,
            secrets: &self.secrets,
        })
    }

    /// Brings a destination into step. `retry_refused`: also what it refused before.
    pub async fn sync(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        retry_refused: bool,
    ) -> anyhow::Result<DestinationReport> {
        let at = evaluation.at;
        let mut report = DestinationReport { observing: !self.is_live(destination)?, ..DestinationReport::default() };
        let Some(lanes) = self.lanes(destination, at) else { return Ok(report) };
        let account = lanes.known_account()?;
        let known = self.known(destination, account.as_deref(), at)?;
        if report.observing {
            let (operations, _) = self.plan_records(destination, evaluation, &known, true)?;
            report.delivered.changed = operations.len() as u64;
            let name = &destination.name;
            report.delivered.notes.push(format!(
                "observes: {} changes planned and none written; look with `vitalsync plan`, release with `vitalsync approve {name}`",
                operations.len()
            ));
            self.save_report(destination, &report)?;
            return Ok(report);
        }
        self.check_stop()?;
        let fired = self.fire(destination, evaluation, true)?;
        report.alerts = fired.alerts;
        let (mut due, stale) = self.due(destination, at, retry_refused)?;
        report.alerts.suppressed += stale;
        report.delivered.alerts_stale = stale;
        let (mut operations, mut held) = self.plan_records(destination, evaluation, &known, retry_refused)?;
        if !operations.is_empty() || !due.is_empty() {
            match lanes.account().await? {
                Err(failed) => {
                    report.delivered = failed;
                    report.delivered.changed = (operations.len() + due.len()) as u64;
                    report.delivered.waiting = report.delivered.changed;
                }
                Ok((account_id, asked)) => {
                    if account.as_deref() != Some(account_id.as_str()) {
                        // Another account than the plan was made for, or the first look at it.
                        let known = self.known(destination, Some(&account_id), at)?;
                        (operations, held) = self.plan_records(destination, evaluation, &known, retry_refused)?;
                    }
                    operations.append(&mut due);
                    report.delivered.add(asked);
                    for round in 0..ROUNDS {
                        let work = Work { operations, held, last: round + 1 == ROUNDS };
                        let (delivered, again) = lanes.deliver(&account_id, work).await?;
                        report.delivered.add(delivered);
                        if again.is_empty() {
                            break;
                        }
                        let known = self.known(destination, Some(&account_id), at)?;
                        (operations, held) = self.plan_records(destination, evaluation, &known, false)?;
                        // The rest of it is waiting or refused, and counted.
                        let needed: HashSet<String> = operations
                            .iter()
                            .filter(|operation| again.contains(&operation.slot))
                            .flat_map(|operation| &operation.needs)
                            .map(|need| need.slot.clone())
                            .collect();
                        operations
                            .retain(|operation| again.contains(&operation.slot) || needed.contains(&operation.slot));
                    }
                }
            }
        }
        report.alerts.sent = report.delivered.alerts_sent;
        report.delivered.notes.extend(fired.notes);
        report.quarantined = self.clear_quarantine(destination, evaluation, lanes.known_account()?.as_deref())?;
        self.save_report(destination, &report)?;
        tracing::info!(
            destination = %destination.name,
            changed = report.delivered.changed,
            sent_calls = report.delivered.sent_calls,
            acknowledged = report.delivered.acknowledged,
            rejected = report.delivered.rejected,
            waiting = report.delivered.waiting,
            alerts_sent = report.alerts.sent,
            "synced"
        );
        Ok(report)
    }

    /// Forgets refusals of what is not asked for any more; the number of those that stand.
    fn clear_quarantine(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        account: Option<&str>,
    ) -> Result<u64, StoreError> {
        let refused = self.store.quarantine(&destination.name)?;
        if refused.is_empty() {
            return Ok(0);
        }
        let known = self.known(destination, account, evaluation.at)?;
        let (operations, _) = self.plan_records(destination, evaluation, &known, true)?;
        let outbox = self.store.outbox(&destination.name)?;
        let mut batch = Batch::default();
        let mut left = 0;
        for entry in refused {
            let asked = operations.iter().any(|operation| operation.slot == entry.slot)
                || outbox.iter().any(|waiting| waiting.operation.slot == entry.slot);
            if asked {
                left += 1;
            } else {
                batch.remove_quarantined(&destination.name, &entry.slot);
            }
        }
        self.store.apply(batch)?;
        Ok(left)
    }

    pub(super) fn known(
        &self,
        destination: &Destination,
        account: Option<&str>,
        at: Timestamp,
    ) -> Result<Known, StoreError> {
        match account {
            Some(account) => self.store.known(&told(&destination.name, account), at),
            None => Ok(Known::default()),
        }
    }

    fn save_report(&self, destination: &Destination, report: &DestinationReport) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let dated = Dated { at: self.clock.now(), report: report.clone() };
        batch.put_meta(&format!("report:destination:{}", destination.name), &dated);
        self.store.apply(batch)
    }
}
