//! Records that are refused for something that can be mended at once, and so are sent once more in the same conversation: a
//! property whose value HubSpot refuses is left out; our own property is taken off the record that a person took the subject
//! from.
//!
//! Deliberately not here: our own property on a record that nobody told us to leave. Whoever put it there may have meant it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Change, Operation, Slot, Step};

use super::batch::property;
use super::exchange::Got;
use super::look::{Look, ids_of, look};
use super::records::{Records, State, key, own_value, refused};
use super::{reason, schema};
use crate::plan::{INSTEAD_OF, property_slot};

/// Properties of one operation that HubSpot refused.
#[derive(Debug)]
pub(super) struct LeftOut {
    /// Their names.
    pub names: BTreeSet<String>,
    /// What HubSpot said.
    pub why: String,
}

/// A subject that changes records: from one that holds our own property to another.
#[derive(Debug)]
pub(super) struct Held {
    /// The record that it leaves.
    from: String,
    /// The record that it is to have.
    to: String,
}

impl Records<'_, '_> {
    /// Updates, and once more without what HubSpot refused by name, or when our own property is free.
    pub fn update_twice(&mut self) -> Result<(), Step> {
        let left_out = self.left_out.len();
        self.update()?;
        let freed = self.take_off()?;
        if freed || self.left_out.len() > left_out { self.update() } else { Ok(()) }
    }

    /// Leaves out the properties that HubSpot refuses by name, once, where it names no other and something else is to be
    /// written. True if the record is to be sent again.
    pub fn leave_out(&mut self, index: usize, error: &Json) -> bool {
        let Some(operation) = self.operations.get(index) else { return false };
        let names = reason::named(error);
        let mapped = |name: &String| operation.fields.contains_key(name) && self.section.own() != Some(name.as_str());
        let fits = !names.is_empty() && names.iter().all(mapped) && names.len() < operation.fields.len();
        if !fits || self.left_out.contains_key(&index) {
            return false;
        }
        let why = format!("HubSpot refused: {}", reason::of(error, operation));
        self.left_out.insert(index, LeftOut { names, why });
        true
    }

    /// Where a refusal may come of schema that somebody took away, looks once for what these operations are written with. What is
    /// not there any more is made again, and all is planned anew; where all is there, it is the value that HubSpot does not take.
    pub fn look_at_schema(&mut self, error: &Json) -> Result<(), Step> {
        if self.schema_is_there || !reason::is_of_schema(error) {
            return Ok(());
        }
        let lost = schema::lost(self.hubspot, self.section, self.exchange)?;
        let lost = lost.into_iter().map(|property| property_slot(self.section.kind, &property.name));
        // What could not be made is written by none of them.
        let written = self.exchange.properties();
        let slots: Vec<Slot> = lost.filter(|slot| written.contains(slot)).collect();
        self.schema_is_there = slots.is_empty();
        match self.schema_is_there {
            true => Ok(()),
            false => Err(Step::Missing {
                slots,
                why: "HubSpot lacks a property, or an option of one, that was there".into(),
            }),
        }
    }

    /// Holds an update back, once, that HubSpot refuses because the record that the subject leaves still has our own property.
    /// True if it is to be sent again.
    pub fn hold(&mut self, index: usize, to: &str, error: &Json) -> bool {
        let from = self.operations.get(index).and_then(|operation| key(operation, INSTEAD_OF));
        let (Some(from), false) = (from, self.held.contains_key(&index)) else { return false };
        let unique = reason::is_of_taken_value(error);
        if unique {
            self.held.insert(index, Held { from: from.to_owned(), to: to.to_owned() });
        }
        unique
    }

    /// Takes our own property off the records that are left, where it still is this subject's and the new record is there. True if
    /// there are any.
    fn take_off(&mut self) -> Result<bool, Step> {
        let (Some(own), kind) = (self.section.own(), self.section.kind) else { return Ok(false) };
        let waits = |state: &State| matches!(state, State::Record(_));
        let held: Vec<(usize, &Held)> = self
            .held
            .iter()
            .filter(|(index, _)| self.states.get(**index).is_some_and(waits))
            .map(|(index, held)| (*index, held))
            .collect();
        if held.is_empty() {
            return Ok(false);
        }
        let values: BTreeSet<String> = held.iter().flat_map(|(_, held)| [held.from.clone(), held.to.clone()]).collect();
        let properties = kind.merged.iter().copied().chain([own]).collect();
        let seen =
            look(self.hubspot, kind, self.exchange, Look { by: None, values, properties }, |json| ids_of(kind, json))?;
        let holder = |id: &String| property(seen.found.get(id)?.first()?, own);
        let mut inputs = Vec::new();
        for (index, held) in held {
            let (Some(operation), Some(state)) = (self.operations.get(index), self.states.get_mut(index)) else {
                continue;
            };
            if seen.absent.contains(&held.to) {
                *state = State::Lost(held.to.clone());
            } else if holder(&held.from).is_some_and(|holder| own_value(self.section, operation) == Some(holder)) {
                inputs.push(json!({"id": held.from, "properties": {own: ""}, "objectWriteTraceId": index.to_string()}));
            } else {
                *state =
                    refused(format!("another {} has this {}'s id in `{own}`: clear it there", kind.name, kind.whose));
            }
        }
        if inputs.is_empty() {
            return Ok(false);
        }
        let path = self.hubspot.objects(kind, "batch/update");
        match self.exchange.post(path, &json!({"inputs": inputs}))? {
            // Where one was not taken off, its update is refused once more, and says why.
            Got::Fine(_) => Ok(true),
            Got::Refused(refused) => Err(self.exchange.refuse(&refused)),
        }
    }
}

/// The fields to write, without what is left out.
pub(super) fn rest(operation: &Operation, left_out: Option<&LeftOut>) -> BTreeMap<String, Change> {
    let mut fields = operation.fields.clone();
    fields.retain(|name, _| left_out.is_none_or(|left_out| !left_out.names.contains(name)));
    fields
}
