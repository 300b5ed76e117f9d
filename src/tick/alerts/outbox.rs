//! The outbox of a destination: what waits, and what becomes of it in a pass. The core decides; here it is looked up and written.
//!
//! What certainly was not sent is put anew each time: it goes where its rule sends it now, by itself or with others. What may have
//! arrived is left as it is until the tool says whether it did.

use std::collections::BTreeMap;

use vitalsync_core::alert::{Alert, Alerting, Fate, Waiting, What, Whom, dispatch, worst_first};
use vitalsync_core::connector::{Known, Operation, Wanted};
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::{Timestamp, alert};

use super::super::Engine;
use super::super::plan::RETRY_REFUSED_MS;
use crate::config::Destination;
use crate::report::Alerts;
use crate::store::records::{ABSENT_MS, Outgoing, told};
use crate::store::{Batch, StoreError};

/// What becomes of what waits.
#[derive(Debug, Default)]
pub(in super::super) struct Due {
    /// What is to be sent, and what must be found out for it.
    pub operations: Vec<Operation>,
    /// In numbers.
    pub alerts: Alerts,
    /// Alerts that were too old.
    pub stale: u64,
    /// What waits and for how long, in words.
    pub notes: Vec<String>,
}

impl Engine {
    /// The alerts that go now. What is never told is dropped and counted.
    pub(in super::super) fn due(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        retry_refused: bool,
    ) -> Result<Due, StoreError> {
        let outbox = self.store.outbox(&destination.name)?;
        let before: BTreeMap<String, Outgoing> = by_slot(outbox.clone());
        let (after, due) = self.arranged(destination, evaluation, outbox, retry_refused)?;
        let mut batch = Batch::default();
        for slot in before.keys().filter(|slot| !after.contains_key(*slot)) {
            batch.remove_outgoing(&destination.name, slot);
            batch.remove_quarantined(&destination.name, slot);
        }
        for (slot, entry) in &after {
            if before.get(slot) != Some(entry) {
                batch.put_outgoing(&destination.name, entry);
            }
        }
        self.store.apply(batch)?;
        Ok(due)
    }

    /// What a pass would send of what waits, and of what fires in it. Nothing is written.
    pub(in super::super) fn outlook(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        fired: &[Outgoing],
    ) -> Result<Due, StoreError> {
        let mut waiting = self.store.outbox(&destination.name)?;
        waiting.extend_from_slice(fired);
        Ok(self.arranged(destination, evaluation, waiting, true)?.1)
    }

    /// What waits after a pass, by slot, and what goes in it.
    fn arranged(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        waiting: Vec<Outgoing>,
        retry_refused: bool,
    ) -> Result<(BTreeMap<String, Outgoing>, Due), StoreError> {
        let (at, mut due) = (evaluation.at, Due::default());
        let none = Alerting::default();
        let alerting = destination.connector.alerting().unwrap_or(&none);
        let refused = |entry: &Outgoing| {
            let lately = |(when, _): &(Timestamp, String)| at.0 - when.0 < RETRY_REFUSED_MS;
            !retry_refused && entry.refused.as_ref().is_some_and(lately)
        };
        let (mut after, mut entries) = (BTreeMap::new(), Vec::new());
        let mut given_up: BTreeMap<String, u64> = BTreeMap::new();
        let before: BTreeMap<String, Outgoing> = by_slot(waiting.clone());
        for mut entry in waiting {
            match entry.alert.take() {
                Some(alert) => entries.extend(apart(entry, alert)),
                // Kept by an earlier program.
                None if at.0 - entry.at.0 > alert::STALE_MS => due.stale += 1,
                None => {
                    if !refused(&entry) {
                        due.operations.push(entry.operation.clone());
                    }
                    after.insert(entry.operation.slot.clone(), entry);
                }
            }
        }
        for (alert, entry) in &mut entries {
            if entry.attempted_at.is_none() && !matches!(alert.what, What::Many { .. }) {
                *alert = goes_now(alert.clone(), alerting, evaluation);
                let mended = self.post(destination, alert).filter(|anew| *anew != entry.operation);
                if let Some(anew) = mended {
                    (entry.operation, entry.refused) = (anew, None);
                }
            }
        }
        let waits: Vec<Waiting<'_>> = entries
            .iter()
            .map(|(alert, entry)| Waiting { alert, attempted: entry.attempted_at.is_some(), refused: refused(entry) })
            .collect();
        let calendar = &self.config.model.calendar;
        let decided = dispatch(&destination.name, alerting, calendar, at, &waits, &self.snoozes(at)?);
        let mut first_later: Option<Timestamp> = None;
        let mut now: Vec<Outgoing> = Vec::new();
        for ((alert, entry), fate) in entries.into_iter().zip(decided.fates) {
            let entry = Outgoing { alert: Some(alert), ..entry };
            match fate {
                Fate::Now => now.push(entry),
                Fate::In(_) => continue,
                Fate::Later(when) => {
                    due.alerts.held += 1;
                    first_later = Some(first_later.map_or(when, |first| first.min(when)));
                    after.insert(entry.operation.slot.clone(), entry);
                }
                Fate::Refused => {
                    after.insert(entry.operation.slot.clone(), entry);
                }
                Fate::Stale => {
                    due.stale += 1;
                    if let Some((_, why)) = entry.refused {
                        *given_up.entry(why).or_default() += 1;
                    }
                }
                Fate::Snoozed => due.alerts.snoozed += 1,
                Fate::Gone | Fate::Over => due.alerts.suppressed += 1,
            }
        }
        now.sort_by(|a, b| match (&a.alert, &b.alert) {
            (Some(a), Some(b)) => worst_first(a, b),
            _ => std::cmp::Ordering::Equal,
        });
        for digest in decided.digests {
            let Some(operation) = self.post(destination, &digest) else { continue };
            let entry = Outgoing { operation, alert: Some(digest), at, attempted_at: None, refused: None };
            // Put together again just as it was when it was refused.
            let same = before.get(&entry.operation.slot).filter(|kept| kept.operation == entry.operation);
            let entry = Outgoing { refused: same.and_then(|kept| kept.refused.clone()), ..entry };
            if refused(&entry) {
                after.insert(entry.operation.slot.clone(), entry);
            } else {
                now.push(entry);
            }
        }
        due.alerts.capped = decided.capped;
        due.alerts.suppressed += due.stale;
        let given_up = given_up.into_iter();
        due.notes.extend(
            given_up.map(|(why, count)| format!("{count} alerts are too old by now and were never told: {why}")),
        );
        if let Some(first) = first_later {
            due.notes.push(format!(
                "{} alerts wait for a digest or the end of quiet hours, the first until {}",
                due.alerts.held,
                calendar.shown(first)
            ));
        }
        due.operations.extend(self.with_finds(destination, &mut now, at)?);
        after.extend(by_slot(now));
        Ok((after, due))
    }

    /// One alert as a message.
    fn post(&self, destination: &Destination, alert: &Alert) -> Option<Operation> {
        let wanted = Wanted { alerts: vec![alert.clone()], ..Wanted::default() };
        destination
            .connector
            .plan(&wanted, &Known::default())
            .into_iter()
            .find(|one| one.slot.ends_with(&alert.occasion))
    }

    /// Messages, and the questions that must be answered for them: those whose answer is not known yet, or was of no use. What the
    /// tool has confirmed already is taken out.
    fn with_finds(
        &self,
        destination: &Destination,
        entries: &mut Vec<Outgoing>,
        at: Timestamp,
    ) -> Result<Vec<Operation>, StoreError> {
        let mut known = Known::default();
        let account = self.lanes(destination, at).map(|lanes| lanes.known_account()).transpose()?;
        if let Some(account) = account.flatten() {
            let namespace = told(&destination.name, &account);
            for entry in entries.iter() {
                let needs = entry.operation.needs.iter().map(|need| &need.slot).filter(|_| entry.refused.is_none());
                for slot in needs.chain([&entry.operation.slot]) {
                    let kept = self.store.kept_slot(&namespace, slot)?;
                    if kept.told_at.is_none() && kept.absent_since.is_none() {
                        continue;
                    }
                    let mut record = kept.record;
                    record.absent = kept.absent_since.is_some_and(|since| at.0 - since.0 < ABSENT_MS);
                    known.records.insert(slot.clone(), record);
                }
            }
        }
        entries.retain(|entry| !known.records.contains_key(&entry.operation.slot));
        // Whatever else a connector plans unasked is not an alert's business.
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let alerts = entries.iter().filter_map(|entry| entry.alert.clone()).collect();
        let mut operations = destination.connector.plan(&Wanted { alerts, ..Wanted::default() }, &known);
        operations.retain(|operation| !entries.iter().any(|entry| entry.operation.slot == operation.slot));
        // Those are as they were when they may have been sent.
        operations.extend(entries.iter().map(|entry| entry.operation.clone()));
        Ok(operations)
    }
}

fn by_slot(entries: Vec<Outgoing>) -> BTreeMap<String, Outgoing> {
    entries.into_iter().map(|entry| (entry.operation.slot.clone(), entry)).collect()
}

/// An alert with what is kept of it; a digest that certainly was not sent is taken apart again.
fn apart(entry: Outgoing, alert: Alert) -> Vec<(Alert, Outgoing)> {
    match alert.what {
        What::Many { alerts, .. } if entry.attempted_at.is_none() => alerts
            .into_iter()
            .map(|alert| {
                let at = alert.at;
                (alert, Outgoing { at, refused: None, ..entry.clone() })
            })
            .collect(),
        _ => vec![(alert, entry)],
    }
}

/// An alert that goes where its rule sends it now.
fn goes_now(alert: Alert, alerting: &Alerting, evaluation: &Evaluation) -> Alert {
    let Some(rule) = alerting.rules.iter().find(|rule| rule.name == alert.rule) else { return alert };
    let whom = match &alert.user {
        Some(user) => evaluation.find_user(user).map(|user| Whom::User(user, evaluation)),
        None => evaluation.find(&alert.account).map(Whom::Account),
    };
    // Of somebody who is gone meanwhile nothing can be asked.
    if whom.is_none() && !alert.account.is_empty() {
        return alert;
    }
    alert.goes(rule, whom.as_ref())
}
