//! Records that HubSpot no longer has under the id that it once confirmed: merged into another, or deleted.
//!
//! What was merged is followed: the record that is left gets our own property, is found by it, and is written anew as a
//! whole, because another record's values say nothing about it. What was deleted is never created again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Operation, Outcome, Step};

use super::batch::{id, property};
use super::encode;
use super::exchange::{Exchange, Got};
use super::find::by_own;
use super::look::{Look, ids_of, look};
use super::records::{Records, State, configured_id, key, own_value, rejected};
use crate::plan::NAMED;
use crate::{HubSpot, Section};

impl Records<'_, '_> {
    /// Settles what an update did not find.
    pub(super) fn follow(&mut self) -> Result<(), Step> {
        let kind = self.section.kind;
        let lost = |state: &State| if let State::Lost(id) = state { Some(id.clone()) } else { None };
        let ids: BTreeSet<String> = self.states.iter().filter_map(lost).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let properties: BTreeSet<&str> = kind.merged.iter().copied().chain(self.section.own()).collect();
        let seen = look(self.hubspot, kind, self.exchange, Look { by: None, values: ids, properties }, |json| {
            ids_of(kind, json)
        })?;
        // Somebody may have made another record of it meanwhile.
        let gone = |state: &State| lost(state).filter(|id| seen.absent.contains(id));
        let owners =
            |(operation, state): (&Operation, &State)| gone(state).map(|_| operation.subject.trim().to_owned());
        let anew = match self.section.own() {
            Some(own) => {
                let values: BTreeSet<String> = self.operations.iter().zip(&self.states).filter_map(owners).collect();
                by_own(self.hubspot, self.section, self.exchange, own, values)?
            }
            None => BTreeMap::new(),
        };
        for (operation, state) in self.operations.iter().zip(&mut self.states) {
            let Some(old) = lost(state) else { continue };
            let survivor = seen.found.get(&old).and_then(|found| found.first());
            *state = match survivor {
                Some(survivor) => merged(self.hubspot, self.section, self.exchange, operation, &old, survivor)?,
                None if !seen.absent.contains(&old) => silent(self.exchange)?,
                None if configured_id(operation).is_some() => {
                    rejected(format!("no {} has the record id that the config gives: somebody deleted it", kind.name))
                }
                None if key(operation, NAMED).is_some() => {
                    moved(self.exchange, format!("no {} has this id", kind.name))?
                }
                None => match anew.get(operation.subject.trim()) {
                    Some(_) => moved(self.exchange, elsewhere(kind.name))?,
                    None => State::Settled(Outcome::Gone { why: format!("somebody deleted the {}", kind.name) }),
                },
            };
        }
        Ok(())
    }
}

/// The record that another one was merged into.
fn merged(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    operation: &Operation,
    old: &str,
    survivor: &Json,
) -> Result<State, Step> {
    let (kind, whose) = (section.kind.name, section.kind.whose);
    let Some(new) = id(survivor) else { return silent(exchange) };
    if new == old {
        return Ok(rejected(format!("HubSpot finds the {kind} where it is read, and not where it is written")));
    }
    if configured_id(operation).is_some() {
        return Ok(rejected(format!("the {kind} that the config gives was merged into {new}: give that record id")));
    }
    if let Some(own) = section.own() {
        match property(survivor, own) {
            Some(holder) if holder == operation.subject.trim() => {}
            Some(_) => return Ok(rejected(format!("the {kind} was merged into one that belongs to another {whose}"))),
            None if exchange.alone() => {
                let mut properties = encode::changes(&operation.fields);
                let value = own_value(section, operation).unwrap_or(operation.subject.trim());
                properties.insert(own.to_owned(), value.into());
                let input = json!({"id": new, "properties": properties, "objectWriteTraceId": "0"});
                let path = hubspot.objects(section.kind, "batch/update");
                if let Got::Refused(refused) = exchange.post(path, &json!({"inputs": [input]}))? {
                    return Err(exchange.refuse(&refused));
                }
            }
            None => {}
        }
    }
    moved(exchange, elsewhere(kind))
}

fn elsewhere(kind: &str) -> String {
    format!("the {kind} was merged into another, or made again")
}

/// Not where it was thought to be: what is known of it is forgotten, and it is planned anew. Only what is alone can say so.
fn moved(exchange: &Exchange<'_>, why: String) -> Result<State, Step> {
    match exchange.alone() {
        true => Err(Step::Conflict { why }),
        false => Ok(rejected(why)),
    }
}

fn silent(exchange: &Exchange<'_>) -> Result<State, Step> {
    match exchange.alone() {
        true => Ok(rejected("HubSpot's answer leaves open what became of the record")),
        false => Err(exchange.smaller("HubSpot's answer leaves open what became of some records")),
    }
}
