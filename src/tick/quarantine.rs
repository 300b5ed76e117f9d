//! What tools refused: looked at, tried again, dropped.
//!
//! A refusal is tried again by itself when the record or the config changes, daily, and by `run --once`. Dropping one ends that
//! until the record changes; an alert, which never changes, is then never sent.

use vitalsync_core::Timestamp;
use vitalsync_core::connector::Mode;
use vitalsync_core::identity::Horizon;

use super::Engine;
use super::plan::RETRY_REFUSED_MS;
use crate::config::Destination;
use crate::report::{PlannedOperation, RefusedReport};
use crate::store::Batch;
use crate::store::records::{Outgoing, Quarantined};

/// Which refusals are meant.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Only one slot.
    pub slot: Option<String>,
    /// Only a destination's.
    pub destination: Option<String>,
    /// Only those whose reason has these words, whatever their case.
    pub reason: Option<String>,
    /// Only those that were refused at or after a time.
    pub since: Option<Timestamp>,
}

impl Which {
    fn fits(&self, entry: &Quarantined) -> bool {
        let reason = self.reason.as_ref().map(|reason| reason.to_lowercase());
        self.slot.as_ref().is_none_or(|slot| *slot == entry.slot)
            && reason.is_none_or(|reason| entry.why.to_lowercase().contains(&reason))
            && self.since.is_none_or(|since| entry.at >= since)
    }
}

/// What is to be done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next sync tries them again.
    Retry,
    /// They are not tried again until the record changes.
    Drop,
}

impl Engine {
    fn destinations(&self, which: &Which) -> anyhow::Result<Vec<&Destination>> {
        let all = self.config.destinations.iter();
        let meant: Vec<&Destination> =
            all.filter(|one| which.destination.as_ref().is_none_or(|name| *name == one.name)).collect();
        if let (true, Some(name)) = (meant.is_empty(), &which.destination) {
            let names: Vec<&str> = self.config.destinations.iter().map(|one| one.name.as_str()).collect();
            anyhow::bail!("there is no destination `{name}`; there are: {}", names.join(", "));
        }
        Ok(meant)
    }

    /// The refusals that are meant, by destination and slot.
    pub fn refusals(&self, which: &Which) -> anyhow::Result<Vec<RefusedReport>> {
        let mut list = Vec::new();
        for destination in self.destinations(which)? {
            let entries = self.store.quarantine(&destination.name)?.into_iter().filter(|entry| which.fits(entry));
            list.extend(entries.map(|entry| self.refusal(destination, &entry)));
        }
        Ok(list)
    }

    fn refusal(&self, destination: &Destination, entry: &Quarantined) -> RefusedReport {
        let next_try = match () {
            () if entry.dropped => "when the record changes".to_owned(),
            () if entry.config != self.config.version() => "at the next sync".to_owned(),
            () => entry.at.plus_ms(RETRY_REFUSED_MS).to_string(),
        };
        RefusedReport {
            destination: destination.name.clone(),
            slot: entry.slot.clone(),
            subject: entry.subject.clone(),
            why: entry.why.clone(),
            at: entry.at.to_string(),
            dropped: entry.dropped,
            next_try,
            operation: None,
        }
    }

    /// The refusals of one slot, each with what would be sent if it were tried as of a time.
    pub fn refusals_in_full(&self, which: &Which, at: Timestamp) -> anyhow::Result<Vec<RefusedReport>> {
        let mut list = self.refusals(which)?;
        if list.is_empty() {
            return Ok(list);
        }
        let evaluation = self.evaluate_known(Horizon::at(at), false)?;
        for destination in self.destinations(which)? {
            let Some(lanes) = self.lanes(destination, at) else { continue };
            let view = self.view(destination, lanes.known_account()?.as_deref(), at)?;
            let mut operations = self.operations(destination, &evaluation, &view);
            operations.extend(self.store.outbox(&destination.name)?.into_iter().map(|entry| entry.operation));
            for report in list.iter_mut().filter(|report| report.destination == destination.name) {
                let planned = operations.iter().find(|operation| operation.slot == report.slot);
                report.operation = planned.map(PlannedOperation::of);
            }
        }
        Ok(list)
    }

    /// Judges the refusals that are meant; returns them as they stood.
    pub fn judge_refusals(&self, which: &Which, verdict: Verdict) -> anyhow::Result<Vec<RefusedReport>> {
        let list = self.refusals(which)?;
        let mut batch = Batch::default();
        for destination in self.destinations(which)? {
            let outbox = self.store.outbox(&destination.name)?;
            for entry in self.store.quarantine(&destination.name)? {
                if which.fits(&entry) {
                    let alert = outbox.iter().find(|alert| alert.operation.slot == entry.slot);
                    judge(&destination.name, entry, alert, verdict, &mut batch);
                }
            }
        }
        self.store.apply(batch)?;
        Ok(list)
    }
}

fn judge(destination: &str, entry: Quarantined, alert: Option<&Outgoing>, verdict: Verdict, batch: &mut Batch) {
    match (verdict, alert.filter(|alert| alert.operation.mode == Mode::Once)) {
        (Verdict::Retry, alert) => {
            // What it was refused as is forgotten, so that the next plan differs.
            batch.put_quarantined(destination, &Quarantined { hash: 0, dropped: false, ..entry });
            if let Some(alert) = alert {
                batch.put_outgoing(destination, &Outgoing { refused: None, ..alert.clone() });
            }
        }
        (Verdict::Drop, Some(_)) => {
            batch.remove_outgoing(destination, &entry.slot);
            batch.remove_quarantined(destination, &entry.slot);
        }
        (Verdict::Drop, None) => batch.put_quarantined(destination, &Quarantined { dropped: true, ..entry }),
    }
}
