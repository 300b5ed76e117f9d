//! Planning a destination: what is wanted, what is known, what is to be done.
//!
//! Everything that a plan depends on is here: the config, what was measured, what the tool last confirmed, what others changed
//! since, what people decided about matches and refusals. Nothing is asked and nothing is written.

use std::collections::{BTreeSet, HashMap, HashSet};

use vitalsync_core::Timestamp;
use vitalsync_core::connector::{Known, Operation, Slot, Wanted};
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::expr::Names;
use vitalsync_core::mapping::{Level, RecordSet, WantedRecord};
use vitalsync_core::names::{AccountNames, UserNames};
use vitalsync_core::value::Value;

use super::Engine;
use super::ignored::Ignored;
use crate::config::{Destination, WhenGone};
use crate::deliver::operation_hash;
use crate::deliver::ownership::{self, Differs};
use crate::store::StoreError;
use crate::store::records::{ABSENT_MS, told};

/// A refused operation is tried again after so long.
pub(super) const RETRY_REFUSED_MS: i64 = 24 * 3_600_000;
/// Operations, and the slots that are not tried now, with why.
type Planned = (Vec<Operation>, Vec<(String, String)>);

/// What planning sees of a tool.
#[derive(Debug, Default)]
pub(super) struct View {
    /// What it last confirmed.
    pub known: Known,
    /// What others changed since.
    pub differs: Differs,
    /// Who is left alone: nothing is known or wanted of them.
    pub ignored: Ignored,
}

impl Engine {
    /// The records that a destination should hold; of those who are gone, with nothing in them, where the config says so.
    pub(super) fn wanted(&self, destination: &Destination, evaluation: &Evaluation, view: &View) -> Wanted {
        let (mut records, mut still) = (Vec::new(), BTreeSet::new());
        for set in destination.connector.record_sets() {
            // Whoever is there and asked for, though perhaps with nothing to say today.
            let mut asked: HashSet<&str> = HashSet::new();
            let mut want = |subject, names: &dyn Names| {
                let record = set.wanted(subject, names, &self.config.model.calendar);
                if record.is_some() || set.only.as_ref().is_none_or(|only| only.holds(names)) {
                    asked.insert(subject);
                    if record.is_none() {
                        still.insert(format!("{}/{subject}", set.kind));
                    }
                }
                records.extend(record);
            };
            match set.level {
                Level::Account => {
                    evaluation.accounts.iter().for_each(|account| want(&account.id, &AccountNames { account }));
                }
                Level::User => {
                    evaluation.users.iter().for_each(|user| want(&user.id, &UserNames { user, evaluation }));
                }
            }
            if destination.conduct.when_gone == WhenGone::Clear {
                let of_set = |slot: &str| slot.strip_prefix(set.kind)?.strip_prefix('/').map(str::to_owned);
                let there = view.known.records.iter().filter(|(_, record)| record.remote_id.is_some());
                let gone =
                    there.filter_map(|(slot, _)| of_set(slot)).filter(|subject| !asked.contains(subject.as_str()));
                records.extend(gone.map(|subject| emptied(set, subject)));
            }
        }
        let sets = destination.connector.record_sets();
        records.retain(|record| !view.ignored.has(sets, record.kind, &record.subject));
        Wanted { records, still, alerts: Vec::new() }
    }

    /// What is to be done in a destination for its records.
    pub(super) fn operations(&self, destination: &Destination, evaluation: &Evaluation, view: &View) -> Vec<Operation> {
        let mut wanted = self.wanted(destination, evaluation, view);
        let mut known = view.known.clone();
        let sets = destination.connector.record_sets();
        let default = destination.conduct.ownership;
        ownership::settle(&mut wanted.records, &mut known, &view.differs, |slot, field| {
            ownership::policy(sets, slot, field, default)
        });
        destination.connector.plan(&wanted, &known)
    }

    /// What is to be done in a destination for its records, without what was refused and is not to be tried now.
    pub(super) fn plan_records(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        view: &View,
        retry_refused: bool,
    ) -> Result<Planned, StoreError> {
        let mut operations = self.operations(destination, evaluation, view);
        let mut held = Vec::new();
        let refused: HashMap<String, _> =
            self.store.quarantine(&destination.name)?.into_iter().map(|entry| (entry.slot.clone(), entry)).collect();
        operations.retain(|operation| match refused.get(&operation.slot) {
            Some(entry) if entry.hash == operation_hash(operation) => {
                let fresh = entry.config == self.config.version() && evaluation.at.0 - entry.at.0 < RETRY_REFUSED_MS;
                let rests = entry.dropped || (fresh && !retry_refused);
                if rests {
                    held.push((entry.slot.clone(), entry.why.clone()));
                }
                !rests
            }
            _ => true,
        });
        // What only makes sure of something once more is for those that need it.
        let needed: HashSet<Slot> =
            operations.iter().flat_map(|operation| &operation.needs).map(|need| need.slot.clone()).collect();
        let again = |operation: &Operation| {
            !operation.fields.is_empty() && operation.fields.values().all(|change| change.old == change.new)
        };
        operations.retain(|operation| !again(operation) || needed.contains(&operation.slot));
        Ok((operations, held))
    }

    /// What planning sees of a tool at a time.
    pub(super) fn view(
        &self,
        destination: &Destination,
        account: Option<&str>,
        at: Timestamp,
    ) -> Result<View, StoreError> {
        let mut view = View::default();
        let Some(account) = account else { return Ok(view) };
        let sets = destination.connector.record_sets();
        let all = self.store.kept(&told(&destination.name, account))?;
        view.ignored = Ignored::of(sets, all.iter().map(|(slot, kept)| (slot, kept)));
        for (slot, kept) in all {
            if view.ignored.has(sets, &slot, &kept.subject) {
                continue;
            }
            let mut record = kept.record;
            let mut differs = kept.differs;
            for (field, begun) in kept.begun {
                let told = record.fields.get(&field).cloned().unwrap_or_default();
                // Either may stand there. It equals nothing that could be wanted, so that it is told again in any case.
                record.fields.insert(field.clone(), Value::List(vec![told, begun]));
                differs.remove(&field);
            }
            record.absent = kept.absent_since.is_some_and(|since| at.0 - since.0 < ABSENT_MS);
            if !differs.is_empty() {
                view.differs.insert(slot.clone(), differs);
            }
            view.known.records.insert(slot, record);
        }
        Ok(view)
    }
}

/// The record of somebody who is gone: it is found by what is known of it, and nothing is left in it.
fn emptied(set: &RecordSet, subject: String) -> WantedRecord {
    WantedRecord {
        kind: set.kind,
        subject,
        keys: Vec::new(),
        create: None,
        fields: set.fields.iter().map(|map| (map.field.clone(), Value::Null)).collect(),
        tags: set.groups.iter().map(|group| (group.name.clone(), None)).collect(),
    }
}
