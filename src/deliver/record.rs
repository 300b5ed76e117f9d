//! What a tool confirmed or refused is written before anything else is sent for that record.

use vitalsync_core::Timestamp;
use vitalsync_core::connector::{KnownRecord, Mode, Operation, Outcome};

use super::{Lanes, Progress, Settled, lock, operation_hash};
use crate::clock;
use crate::store::records::{Kept, Parked, Quarantined};
use crate::store::{Batch, StoreError};

impl Lanes<'_> {
    /// Writes what a tool confirmed.
    pub(super) fn record(&self, confirmed: Vec<(Operation, Outcome)>, progress: &Progress) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (operation, outcome) in &confirmed {
            let mut kept = self.store.kept_slot(&progress.namespace, &operation.slot)?;
            settle(&mut kept, operation, outcome, self.at, clock::system());
            if self.is_forgotten(operation)? {
                continue;
            }
            batch.put_kept(&progress.namespace, &operation.slot, &kept);
            if let Outcome::Partly { why, .. } = outcome {
                // What is planned next is what was left out.
                let mut rest = Operation { create: None, ..operation.clone() };
                rest.fields.retain(|name, _| outcome.leaves(name));
                if operation.remote_id.is_none() {
                    rest.keys.clear();
                }
                batch.put_quarantined(&self.destination.name, &self.quarantined(&rest, self.clean(why)));
            } else if operation.mode != Mode::Read {
                batch.remove_quarantined(&self.destination.name, &operation.slot);
            }
            if operation.mode == Mode::Once {
                batch.remove_outgoing(&self.destination.name, &operation.slot);
            }
        }
        self.store.apply(batch)?;
        self.count(confirmed, progress);
        Ok(())
    }

    /// Counts what a tool confirmed, and notes what became of each record in this pass.
    fn count(&self, confirmed: Vec<(Operation, Outcome)>, progress: &Progress) {
        let mut report = lock(&progress.report);
        let mut settled = lock(&progress.settled);
        for (operation, outcome) in confirmed {
            if operation.mode == Mode::Read {
                if operation.subject.is_empty() {
                    continue;
                }
                report.read += 1;
                let moved = |id: &Option<String>| id.is_some() && *id != operation.remote_id;
                report.drifted += match &outcome {
                    Outcome::Found { differs, remote_id } => u64::from(!differs.is_empty() || moved(remote_id)),
                    Outcome::Gone { .. } => 1,
                    _ => 0,
                };
                continue;
            }
            match outcome {
                Outcome::Done { remote_id } => {
                    report.acknowledged += 1;
                    report.alerts_sent += u64::from(operation.mode == Mode::Once);
                    settled.insert(operation.slot, Settled::Done(remote_id));
                }
                Outcome::Partly { remote_id, why, .. } => {
                    let why = self.clean(&why);
                    tracing::warn!(destination = %self.destination.name, slot = %operation.slot, why, "refused in part");
                    report.rejected += 1;
                    report.rejected_why.count(&why);
                    settled.insert(operation.slot, Settled::Done(remote_id));
                }
                outcome => {
                    report.absent += 1;
                    report.absent_why.count(outcome.why().unwrap_or("it is not there"));
                    if let Outcome::Absent { why } | Outcome::Gone { why } = outcome {
                        settled.insert(operation.slot, Settled::Absent(why));
                    }
                }
            }
        }
    }

    fn quarantined(&self, operation: &Operation, why: String) -> Quarantined {
        Quarantined {
            slot: operation.slot.clone(),
            subject: operation.subject.clone(),
            why,
            at: self.at,
            hash: operation_hash(operation),
            config: self.config,
            dropped: false,
        }
    }

    /// Puts an operation into quarantine.
    pub(super) fn reject(&self, operation: &Operation, why: &str, progress: &Progress) -> Result<(), StoreError> {
        let why = self.clean(why);
        if operation.mode == Mode::Read {
            tracing::warn!(destination = %self.destination.name, slot = %operation.slot, why, "not read");
            lock(&progress.settled).insert(operation.slot.clone(), Settled::Refused(why));
            return Ok(());
        }
        tracing::warn!(destination = %self.destination.name, slot = %operation.slot, why, "refused");
        if self.is_forgotten(operation)? {
            lock(&progress.settled).insert(operation.slot.clone(), Settled::Refused(why));
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.put_quarantined(&self.destination.name, &self.quarantined(operation, why.clone()));
        if operation.mode == Mode::Once {
            let outbox = self.store.outbox(&self.destination.name)?;
            if let Some(mut entry) = outbox.into_iter().find(|entry| entry.operation.slot == operation.slot) {
                entry.refused = Some((self.at, why.clone()));
                batch.put_outgoing(&self.destination.name, &entry);
            }
        }
        self.store.apply(batch)?;
        {
            let mut report = lock(&progress.report);
            report.rejected += 1;
            report.rejected_why.count(&why);
        }
        lock(&progress.settled).insert(operation.slot.clone(), Settled::Refused(why));
        Ok(())
    }

    /// Remembers that a tool lets us in no more, until it does again.
    pub(super) fn park(&self, progress: &Progress, let_in: bool) -> Result<(), StoreError> {
        let why = lock(&progress.parked).clone();
        let before = self.store.parked(&self.destination.name)?;
        let after = match why {
            Some(why) => {
                let since = before.as_ref().map_or_else(clock::system, |before| before.since);
                Some(Parked { since, why, credentials: self.credentials() })
            }
            None if let_in => None,
            None => return Ok(()),
        };
        if before != after {
            let mut batch = Batch::default();
            batch.put_parked(&self.destination.name, after.as_ref());
            self.store.apply(batch)?;
        }
        Ok(())
    }
}

/// What is kept of a record after a tool answered about it `now`, in a pass as of a time.
fn settle(kept: &mut Kept, operation: &Operation, outcome: &Outcome, at: Timestamp, now: Timestamp) {
    match outcome {
        Outcome::Done { remote_id } | Outcome::Partly { remote_id, .. } => {
            if remote_id.is_some() {
                kept.record.remote_id.clone_from(remote_id);
            }
            for (name, change) in &operation.fields {
                if outcome.leaves(name) {
                    // A plain refusal leaves no doubt, but for one that was there before.
                    if kept.record.fields.get(name).cloned().unwrap_or_default() == change.old {
                        kept.begun.remove(name);
                    }
                    continue;
                }
                kept.record.fields.insert(name.clone(), change.new.clone());
                kept.differs.remove(name);
                kept.begun.remove(name);
            }
            kept.absent_since = None;
            kept.record.gone = false;
            kept.record.instead_of = None;
            kept.told_at = Some(at);
            kept.seen = Some(now);
            kept.subject.clone_from(&operation.subject);
        }
        // What is known stays what we told it: whose a field is decides what follows from a difference.
        Outcome::Found { remote_id, differs } => {
            if remote_id.is_some() {
                kept.record.remote_id.clone_from(remote_id);
            }
            kept.differs.retain(|name, _| !operation.fields.contains_key(name));
            kept.differs.extend(differs.clone());
            // What was in doubt and asked for is known now, and nobody else's doing.
            for name in operation.fields.keys() {
                if kept.begun.remove(name).is_some()
                    && let Some(found) = kept.differs.remove(name)
                {
                    kept.record.fields.insert(name.clone(), found);
                }
            }
            kept.absent_since = None;
            kept.seen = Some(now);
        }
        Outcome::Gone { .. } => {
            kept.record = KnownRecord { gone: true, ..KnownRecord::default() };
            kept.differs.clear();
            kept.begun.clear();
            kept.absent_since = Some(at);
        }
        Outcome::Absent { .. } | Outcome::Rejected { .. } | Outcome::Refused { .. } => {
            kept.absent_since = Some(at);
        }
    }
}
