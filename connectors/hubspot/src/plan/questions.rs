//! Questions: whether HubSpot still holds what it confirmed, and whether it can take what the config asks for.

use vitalsync_core::connector::{Change, Known, Mode, Operation};
use vitalsync_core::section::Place;

use super::{ASK, ASSOCIATION, READ, batch_key, schema};
use crate::HubSpot;

/// Asks of every record that is known whether it still holds the properties that we write.
pub(crate) fn read_back(hubspot: &HubSpot, known: &Known) -> Vec<Operation> {
    let question = |(slot, record): (&String, &vitalsync_core::connector::KnownRecord)| {
        let id = record.remote_id.as_ref().filter(|_| !record.absent)?;
        let (kind, subject) = slot.split_once('/')?;
        let key = match hubspot.section(kind) {
            Some(section) => batch_key(section.kind, READ),
            None if kind == ASSOCIATION && hubspot.associate => format!("{ASSOCIATION}:{READ}"),
            None => return None,
        };
        // What is no longer mapped is no longer ours.
        let ours = |name: &str| match hubspot.section(kind) {
            Some(section) => section.own.iter().chain(&section.properties).any(|property| property.name == name),
            None => true,
        };
        let same = |value: &vitalsync_core::Value| Change { old: value.clone(), new: value.clone() };
        Some(Operation {
            mode: Mode::Read,
            subject: subject.to_owned(),
            remote_id: Some(id.clone()),
            fields: record
                .fields
                .iter()
                .filter(|(name, _)| ours(name))
                .map(|(name, value)| (name.clone(), same(value)))
                .collect(),
            ..Operation::new(slot.clone(), key, format!("read {kind}"))
        })
    };
    known.records.iter().filter_map(question).collect()
}

/// Asks whether records may be read, and whether each property can hold what is mapped to it.
pub(crate) fn inspect(hubspot: &HubSpot) -> Vec<(Place, Operation)> {
    let mut questions = Vec::new();
    for section in &hubspot.sections {
        let kind = section.kind;
        let slot = format!("read/{}", kind.plural);
        let ask = Operation::new(slot, batch_key(kind, ASK), format!("read {}", kind.plural));
        questions.push((section.place, ask));
        for property in section.own.iter().chain(&section.properties) {
            let unique = section.own() == Some(&property.name);
            let ensure = schema::ensure(hubspot, kind, property, unique, &Known::default());
            questions.push((property.place, ensure));
        }
    }
    questions.into_iter().map(|(place, ask)| (place, Operation { mode: Mode::Read, ..ask })).collect()
}
