//! What HubSpot is only asked: whether it still holds what it confirmed, and whether the token may read records.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use vitalsync_core::Value;
use vitalsync_core::connector::{Operation, Outcome, Step};

use super::batch::{id, property};
use super::encode;
use super::exchange::{Exchange, Got};
use super::look::{Look, ids_of, look};
use crate::kind::Kind;
use crate::{HubSpot, Section};

/// Reads records with exactly the properties that we write, and says which differ.
pub(super) fn read_back(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let kind = section.kind;
    let ours = operations.iter().flat_map(|operation| operation.fields.keys().map(String::as_str));
    let properties: BTreeSet<&str> = ours.chain(kind.merged.iter().copied()).chain(section.own()).collect();
    let values = operations.iter().filter_map(|operation| operation.remote_id.clone()).collect();
    let by_id = Look { by: None, values, properties: properties.clone() };
    let seen = look(hubspot, kind, exchange, by_id, |json| ids_of(kind, json))?;
    let is_absent = |operation: &&Operation| operation.remote_id.as_ref().is_none_or(|id| seen.absent.contains(id));
    let anew = match section.own() {
        Some(own) => {
            let values = operations.iter().filter(is_absent).map(|operation| operation.subject.trim().to_owned());
            let look_for = Look { by: Some(own), values: values.collect(), properties };
            let named = |json: &Json| property(json, own).map(str::to_owned).into_iter().collect();
            look(hubspot, kind, exchange, look_for, named)?.found
        }
        None => BTreeMap::new(),
    };
    let mut outcomes = Vec::new();
    for operation in operations {
        let found = operation.remote_id.as_ref().and_then(|id| seen.found.get(id)).and_then(|found| found.first());
        let subject = operation.subject.trim();
        let other = found.and_then(|found| property(found, section.own()?)).is_some_and(|owner| owner != subject);
        let moved = operation.remote_id != found.and_then(id);
        outcomes.push(match found.or_else(|| anew.get(subject)?.first()) {
            // Merged into another one's record: ours is no more.
            Some(_) if other && moved => {
                Outcome::Gone { why: format!("the {} was merged into one of another {}", kind.name, kind.whose) }
            }
            Some(found) => Outcome::Found { remote_id: id(found), differs: differs(kind, operation, found) },
            None if is_absent(&operation) => Outcome::Gone { why: format!("somebody deleted the {}", kind.name) },
            None if exchange.alone() => {
                Outcome::Rejected { why: "HubSpot's answer leaves open what became of the record".into() }
            }
            None => return Err(exchange.smaller("HubSpot's answer leaves open what became of some records")),
        });
    }
    Ok(outcomes)
}

/// The properties that HubSpot holds otherwise than we know them.
fn differs(kind: &Kind, operation: &Operation, found: &Json) -> BTreeMap<String, Value> {
    let held = |name: &str| match found.get("properties").and_then(|properties| properties.get(name)) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => number.to_string(),
        Some(Json::Bool(flag)) => flag.to_string(),
        _ => String::new(),
    };
    let natural = &kind.natural;
    let changed = |name: &str, known: &Value| {
        let held = held(name);
        // HubSpot writes these in a form of its own.
        let bare = |text: &str| (natural.bare)(text).unwrap_or_else(|| text.to_owned());
        let same = encode::is_held(known, &held) || (name == natural.by && bare(&encode::text(known)) == bare(&held));
        (!same).then(|| encode::read(known, &held))
    };
    let fields = operation.fields.iter();
    fields.filter_map(|(name, change)| Some((name.clone(), changed(name, &change.old)?))).collect()
}

/// Whether the token may read records of this kind.
pub(super) fn ask(
    hubspot: &HubSpot,
    kind: &Kind,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    match exchange.get(format!("{}?limit=1", hubspot.objects(kind, "").trim_end_matches('/')))? {
        Got::Fine(_) => {
            Ok(operations.iter().map(|_| Outcome::Found { remote_id: None, differs: BTreeMap::new() }).collect())
        }
        Got::Refused(refused) => Err(exchange.refuse(&refused)),
    }
}
