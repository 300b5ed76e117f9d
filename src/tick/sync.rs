//! Bringing a destination into step: what is to be done, and what it came to.
//!
//! A sync takes no hints: it plans from what the tool last confirmed and obeys the plan. Whether a destination writes at all, is
//! held by its brake or rests because the tool lets it in no more is decided here, once.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use vitalsync_core::Timestamp;
use vitalsync_core::connector::{Operation, Slot};
use vitalsync_core::evaluate::Evaluation;

use super::{Dated, Engine, poisoned};
use crate::config::Destination;
use crate::deliver::brake::Held;
use crate::deliver::{Lanes, WAITS, Work};
use crate::report::{BrakeReport, CircuitReport, DestinationReport, ParkedReport};
use crate::store::records::Parked;
use crate::store::{Batch, StoreError};

/// So often in one pass is planned anew what somebody else changed meanwhile.
const ROUNDS: usize = 3;
/// A tool that lets us in no more is tried again after so long, and at every start.
const TRY_AGAIN: Duration = Duration::from_secs(3600);

impl Engine {
    /// True if a destination writes: by its mode, or because its plan was approved.
    pub fn is_live(&self, destination: &Destination) -> Result<bool, StoreError> {
        Ok(destination.live || self.store.meta::<bool>(&format!("approved:{}", destination.name))? == Some(true))
    }

    pub(super) fn lanes<'a>(&'a self, destination: &'a Destination, at: Timestamp) -> Option<Lanes<'a>> {
        Some(Lanes {
            store: &self.store,
            destination,
            tool: self.tools.of(destination)?,
            at,
            stop: &self.stop,
            patience: self.patience,
            config: self.config.version(),
            secrets: &self.secrets,
        })
    }

    /// Brings a destination into step. `by_hand`: also what it refused before, and however it stands with the tool.
    pub async fn sync(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        by_hand: bool,
    ) -> anyhow::Result<DestinationReport> {
        let mut report = DestinationReport { observing: !self.is_live(destination)?, ..DestinationReport::default() };
        let Some(lanes) = self.lanes(destination, evaluation.at) else { return Ok(report) };
        let _one = lanes.tool.under_way.lock().await;
        if report.observing {
            self.observe(&lanes, evaluation, &mut report)?;
        } else {
            self.check_stop()?;
            match self.rests(&lanes, by_hand)? {
                Some(parked) => self.rest(&lanes, evaluation, &parked, &mut report)?,
                None => self.bring(&lanes, evaluation, by_hand, &mut report).await?,
            }
            report.parked = self.store.parked(&destination.name)?.map(|parked| ParkedReport::of(&parked));
            let state = lanes.tool.breaker.lock().unwrap_or_else(poisoned).state(Instant::now());
            report.circuit =
                state.map(|(failures, pause)| CircuitReport { failures, pause_ms: pause.as_millis() as u64 });
            report.quarantined = self.clear_quarantine(destination, evaluation, lanes.known_account()?.as_deref())?;
        }
        self.save_report(destination, &report)?;
        if !report.observing {
            let delivered = &report.delivered;
            tracing::info!(
                destination = %destination.name,
                read = delivered.read,
                changed = delivered.changed,
                sent_calls = delivered.sent_calls,
                acknowledged = delivered.acknowledged,
                rejected = delivered.rejected,
                waiting = delivered.waiting,
                alerts_sent = report.alerts.sent,
                "synced"
            );
        }
        Ok(report)
    }

    /// Plans and reports, writes nothing and asks nobody.
    fn observe(
        &self,
        lanes: &Lanes<'_>,
        evaluation: &Evaluation,
        report: &mut DestinationReport,
    ) -> Result<(), StoreError> {
        let destination = lanes.destination;
        let view = self.view(destination, lanes.known_account()?.as_deref(), evaluation.at)?;
        let (operations, _) = self.plan_records(destination, evaluation, &view, true)?;
        let weighed = self.weigh(destination, &operations, evaluation)?;
        if weighed.too_much {
            self.hold(destination, &weighed.held)?;
        }
        report.delivered.changed = operations.len() as u64;
        let name = &destination.name;
        report.delivered.note(format!(
            "observes: {} changes planned and none written; look with `vitalsync plan`, release with `vitalsync approve {name}`",
            operations.len()
        ));
        Ok(())
    }

    /// Why a destination rests, if it does: the tool lets it in no more, and it was tried in this process not long ago.
    fn rests(&self, lanes: &Lanes<'_>, by_hand: bool) -> Result<Option<Parked>, StoreError> {
        let parked = self.store.parked(&lanes.destination.name)?;
        let Some(parked) = parked.filter(|parked| parked.credentials == lanes.credentials()) else { return Ok(None) };
        let mut tried = lanes.tool.tried.lock().unwrap_or_else(poisoned);
        if !by_hand && tried.is_some_and(|at| at.elapsed() < TRY_AGAIN) {
            return Ok(Some(parked));
        }
        *tried = Some(Instant::now());
        Ok(None)
    }

    /// Says what waits while a destination rests. Alerts fire and wait.
    fn rest(
        &self,
        lanes: &Lanes<'_>,
        evaluation: &Evaluation,
        parked: &Parked,
        report: &mut DestinationReport,
    ) -> Result<(), StoreError> {
        let destination = lanes.destination;
        let view = self.view(destination, lanes.known_account()?.as_deref(), evaluation.at)?;
        let (operations, _) = self.plan_records(destination, evaluation, &view, false)?;
        let fired = self.fire(destination, evaluation, true)?;
        report.alerts = fired.alerts;
        let due = self.due(destination, evaluation, false)?;
        report.alerts.add(due.alerts);
        report.delivered.alerts_stale = due.stale;
        report.delivered.changed = (operations.len() + due.operations.len()) as u64;
        report.delivered.leave(report.delivered.changed, &parked.why);
        report.delivered.note(parked.why.clone());
        fired.notes.into_iter().chain(due.notes).for_each(|note| report.delivered.note(note));
        Ok(())
    }

    /// Asks whose account a destination writes to, if that is not known or to be asked `anew`. `None`: the tool won't say, and the
    /// report says why.
    async fn access(
        &self,
        lanes: &Lanes<'_>,
        anew: bool,
        report: &mut DestinationReport,
    ) -> Result<Option<String>, StoreError> {
        match lanes.account(anew).await? {
            Ok((account, asked)) => {
                self.tools.know(lanes.destination, &account);
                report.delivered.add(asked);
                self.undisputed(lanes, account, report).await
            }
            Err(failed) => {
                report.delivered.add(failed);
                Ok(None)
            }
        }
    }

    /// The account that a destination writes to, unless one that stands before it in the config writes the same there.
    async fn undisputed(
        &self,
        lanes: &Lanes<'_>,
        account: String,
        report: &mut DestinationReport,
    ) -> Result<Option<String>, StoreError> {
        let (own, title) = (lanes.destination, lanes.destination.manifest.title);
        for other in self.config.destinations.iter().take_while(|other| other.name != own.name) {
            let Some(shared) = other.shares_with(own) else { continue };
            let Some(theirs) = self.lanes(other, lanes.at) else { continue };
            if theirs.account(false).await?.is_ok_and(|(theirs, _)| theirs == account) {
                let why = format!(
                    "`{}` and `{}` write the same {shared} to one {title} account ({account}): let one of them own it",
                    own.name, other.name
                );
                report.delivered.note(why);
                return Ok(None);
            }
        }
        Ok(Some(account))
    }

    async fn bring(
        &self,
        lanes: &Lanes<'_>,
        evaluation: &Evaluation,
        by_hand: bool,
        report: &mut DestinationReport,
    ) -> anyhow::Result<()> {
        let (destination, at) = (lanes.destination, evaluation.at);
        let mut barred = false;
        let mut account = match lanes.known_account()? {
            Some(known) => {
                let undisputed = self.undisputed(lanes, known, report).await?;
                barred = undisputed.is_none();
                undisputed
            }
            None => None,
        };
        if self.store.parked(&destination.name)?.is_some() {
            account = self.access(lanes, true, report).await?;
            barred = account.is_none();
        }
        if let Some(account) = &account {
            self.tools.know(destination, account);
            let slots = self.due_for_reading(destination, account)?;
            self.read_back(lanes, account, slots, &mut report.delivered).await?;
        }
        let mut view = self.view(destination, account.as_deref(), at)?;
        let mut planned = self.plan_records(destination, evaluation, &view, by_hand)?;
        if account.is_none() && !barred && (!planned.0.is_empty() || !self.store.outbox(&destination.name)?.is_empty())
        {
            account = self.access(lanes, false, report).await?;
            barred = account.is_none();
            if account.is_some() {
                // The first look at this account, which may have been told before.
                view = self.view(destination, account.as_deref(), at)?;
                planned = self.plan_records(destination, evaluation, &view, by_hand)?;
            }
        }
        report.drift = self.drift(destination, &view);
        let (mut operations, held) = planned;
        // Of a tool that does not say whose account it is nobody knows what it holds.
        let weighed = self.weigh(destination, if account.is_some() { &operations } else { &[] }, evaluation)?;
        let waits_for_approval =
            weighed.too_much && self.brakes(lanes, evaluation, &operations, &weighed.held, report)?;
        let mut notes = Vec::new();
        if waits_for_approval {
            operations.clear();
        } else {
            let fired = self.fire(destination, evaluation, true)?;
            report.alerts = fired.alerts;
            notes = fired.notes;
        }
        let due = self.due(destination, evaluation, by_hand)?;
        report.alerts.add(due.alerts);
        report.delivered.alerts_stale = due.stale;
        notes.extend(due.notes);
        operations.extend(due.operations);
        if account.is_none() && !barred && !operations.is_empty() {
            account = self.access(lanes, false, report).await?;
        }
        match account {
            Some(account) => {
                self.carry_out(lanes, evaluation, &account, Work { operations, held, last: false }, report).await?;
            }
            None => {
                let count = operations.len() as u64;
                report.delivered.changed += count;
                let why = report.delivered.notes.last().map(|why| why.strip_prefix(WAITS).unwrap_or(why).to_owned());
                report.delivered.leave(count, why.as_deref().unwrap_or("the tool did not say whose account this is"));
            }
        }
        let delivered = &report.delivered;
        // Too much that came to nothing today (alerts that wait for data) is weighed again when it comes to something.
        if !weighed.too_much && (delivered.waiting == 0 || delivered.acknowledged > 0) {
            self.let_go(destination, evaluation, delivered.waiting > 0)?;
        }
        report.alerts.sent = report.delivered.alerts_sent;
        notes.into_iter().for_each(|note| report.delivered.note(note));
        Ok(())
    }

    /// Holds a run that would do too much, and says so; false if it would do nothing at all. What was fired before goes out.
    fn brakes(
        &self,
        lanes: &Lanes<'_>,
        evaluation: &Evaluation,
        operations: &[Operation],
        held: &Held,
        report: &mut DestinationReport,
    ) -> Result<bool, StoreError> {
        let destination = lanes.destination;
        // What rules remember stands still, so that they fire once it is released.
        let alerts = self.fire(destination, evaluation, false)?.waiting.len() as u64;
        let count = operations.len() as u64 + alerts;
        if count == 0 {
            return Ok(false);
        }
        self.hold(destination, held)?;
        let braked = BrakeReport { alerts, ..BrakeReport::of(held) };
        report.delivered.changed += count;
        report.delivered.leave(count, "held by the brake");
        report.delivered.note(braked.said(&destination.name));
        report.braked = Some(braked);
        Ok(true)
    }

    /// Does what is planned, and once more what somebody else changed meanwhile.
    async fn carry_out(
        &self,
        lanes: &Lanes<'_>,
        evaluation: &Evaluation,
        account: &str,
        mut work: Work,
        report: &mut DestinationReport,
    ) -> Result<(), StoreError> {
        for round in 0..ROUNDS {
            if work.operations.is_empty() {
                break;
            }
            work.last = round + 1 == ROUNDS;
            let (delivered, again) = lanes.deliver(account, work).await?;
            report.delivered.add(delivered);
            if again.is_empty() {
                break;
            }
            let view = self.view(lanes.destination, Some(account), evaluation.at)?;
            let (mut operations, held) = self.plan_records(lanes.destination, evaluation, &view, false)?;
            // The rest of it is waiting or refused, and counted.
            let wanted = with_needs(&operations, again.into_iter().collect());
            operations.retain(|operation| wanted.contains(&operation.slot));
            work = Work { operations, held, last: false };
        }
        Ok(())
    }

    /// Forgets refusals of what is not asked for any more; the number of those that stand and are still tried.
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
        let view = self.view(destination, account, evaluation.at)?;
        let (operations, rests) = self.plan_records(destination, evaluation, &view, true)?;
        let outbox = self.store.outbox(&destination.name)?;
        let mut batch = Batch::default();
        let mut left = 0;
        for entry in refused {
            let asked = operations.iter().any(|operation| operation.slot == entry.slot)
                || rests.iter().any(|(slot, _)| *slot == entry.slot)
                || outbox.iter().any(|waiting| waiting.operation.slot == entry.slot);
            if asked {
                left += u64::from(!entry.dropped);
            } else {
                batch.remove_quarantined(&destination.name, &entry.slot);
            }
        }
        self.store.apply(batch)?;
        Ok(left)
    }

    fn save_report(&self, destination: &Destination, report: &DestinationReport) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let dated = Dated { at: self.clock.now(), report: report.clone() };
        batch.put_meta(&format!("report:destination:{}", destination.name), &dated);
        self.store.apply(batch)
    }
}

/// Slots, what they need, and what that needs: a record its properties, and they their group.
fn with_needs(operations: &[Operation], mut slots: HashSet<Slot>) -> HashSet<Slot> {
    loop {
        let of_them = operations.iter().filter(|operation| slots.contains(&operation.slot));
        let needed: Vec<Slot> = of_them.flat_map(|operation| &operation.needs).map(|need| need.slot.clone()).collect();
        let before = slots.len();
        slots.extend(needed);
        if slots.len() == before {
            return slots;
        }
    }
}
