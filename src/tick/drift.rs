//! Reading back: whether tools still hold what they confirmed, and what others made of it.

use std::collections::BTreeSet;
use std::time::Duration;

use vitalsync_core::connector::{Known, Slot};
use vitalsync_core::mapping::Ownership;

use super::Engine;
use super::ignored::Ignored;
use super::plan::View;
use crate::clock;
use crate::config::Destination;
use crate::deliver::{Delivered, Lanes, Work, ownership, refresh};
use crate::report::DriftReport;
use crate::store::StoreError;
use crate::store::records::told;

/// So many differences are listed in a report.
const LISTED: usize = 200;

/// What is to be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slots {
    /// Every record.
    All,
    /// These, as far as a pass may spend on it.
    Due(BTreeSet<Slot>),
}

impl Engine {
    /// The records of a destination that are due to be read back.
    pub(super) fn due_for_reading(&self, destination: &Destination, account: &str) -> Result<Slots, StoreError> {
        let Some(days) = destination.conduct.refresh_days else { return Ok(Slots::Due(BTreeSet::new())) };
        let every = Duration::from_secs(u64::from(days) * 86_400);
        let now = clock::system();
        let kept = self.store.kept(&told(&destination.name, account))?;
        let there = kept.iter().filter(|(_, kept)| kept.record.remote_id.is_some() && !kept.subject.is_empty());
        let sets = destination.connector.record_sets();
        let ignored = Ignored::of(sets, kept.iter().map(|(slot, kept)| (slot, kept)));
        let there = there.filter(|(slot, kept)| !ignored.has(sets, slot, &kept.subject));
        // States of old don't say when; what they were told is as of a run, and the clock is not far from that.
        let seen = there.filter_map(|(slot, kept)| Some((slot.as_str(), kept.seen.or(kept.told_at)?)));
        let due = refresh::due(seen, now, every, gap(destination));
        Ok(Slots::Due(due.into_iter().map(str::to_owned).collect()))
    }

    /// Reads records back. What is known of each of them says from then on what it was seen to hold.
    pub(super) async fn read_back(
        &self,
        lanes: &Lanes<'_>,
        account: &str,
        slots: Slots,
        delivered: &mut Delivered,
    ) -> Result<(), StoreError> {
        if matches!(&slots, Slots::Due(due) if due.is_empty()) {
            return Ok(());
        }
        let destination = lanes.destination;
        let mut known = Known::default();
        let mut asked = BTreeSet::new();
        let kept = self.store.kept(&told(&destination.name, account))?;
        let sets = destination.connector.record_sets();
        let ignored = Ignored::of(sets, kept.iter().map(|(slot, kept)| (slot, kept)));
        for (slot, kept) in kept.into_iter().filter(|(slot, kept)| !ignored.has(sets, slot, &kept.subject)) {
            let ours = match &slots {
                Slots::All => kept.record.remote_id.is_some() && !kept.subject.is_empty(),
                Slots::Due(due) => due.contains(&slot),
            };
            if ours {
                asked.insert(slot.clone());
            }
            known.records.insert(slot, kept.record);
        }
        // All that is known, because a question may name what else it is about.
        let mut questions = destination.connector.read_back(&known);
        // What is nobody's, such as a tag, is asked for besides: others lean on it.
        questions.retain(|question| question.subject.is_empty() || asked.contains(&question.slot));
        if slots != Slots::All {
            let quota = destination.manifest.quotas.first();
            questions = refresh::within_budget(questions, &*destination.connector, quota, gap(destination));
        }
        let work = Work { operations: questions, ..Work::default() };
        let (came_to, _) = lanes.deliver(account, work).await?;
        delivered.add(came_to);
        Ok(())
    }

    /// What others changed and is not mended yet, with what follows from it.
    pub(super) fn drift(&self, destination: &Destination, view: &View) -> Vec<DriftReport> {
        let sets = destination.connector.record_sets();
        let mut drift = Vec::new();
        for (slot, fields) in &view.differs {
            for (field, holds) in fields {
                let policy = ownership::policy(sets, slot, field, destination.conduct.ownership);
                // What no mapping names is a tag, an association or our own id: ours.
                let policy = policy.unwrap_or(Ownership::Win);
                drift.push(DriftReport {
                    slot: slot.clone(),
                    field: field.clone(),
                    told: view.known.field(slot, field).to_json(),
                    holds: holds.to_json(),
                    policy: policy.name().to_owned(),
                });
            }
        }
        drift.truncate(LISTED);
        drift
    }

    /// Reads back everything that destinations hold; those that only observe or were never told anything are left out.
    pub async fn refresh(&self, only: Option<&str>) -> anyhow::Result<Vec<(String, Delivered)>> {
        let mut read = Vec::new();
        for destination in &self.config.destinations {
            if only.is_some_and(|only| only != destination.name) {
                continue;
            }
            let Some(lanes) = self.lanes(destination, self.clock.now()) else { continue };
            let _one = lanes.tool.under_way.lock().await;
            let Some(account) = lanes.known_account()? else { continue };
            let mut delivered = Delivered::default();
            self.read_back(&lanes, &account, Slots::All, &mut delivered).await?;
            read.push((destination.name.clone(), delivered));
        }
        Ok(read)
    }
}

/// How long it is from one pass to the next by the schedule; a day if there is no next one.
fn gap(destination: &Destination) -> Duration {
    let next = destination.schedule.after(clock::system());
    let after = next.and_then(|next| destination.schedule.after(next));
    match (next, after) {
        (Some(next), Some(after)) => Duration::from_millis((after.0 - next.0).unsigned_abs()),
        _ => Duration::from_secs(86_400),
    }
}
