//! What HubSpot is only asked: whether it still holds what it confirmed, whether the token may read records, and whether there is
//! what a source is to read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use vitalsync_core::Value;
use vitalsync_core::connector::{ACCOUNT, Operation, Outcome, Step};
use vitalsync_core::section::nearest;

use super::batch::{id, property};
use super::exchange::{Exchange, Got};
use super::look::{Look, ids_of, look};
use super::{encode, schema};
use crate::kind::{COMPANY, Kind};
use crate::plan::{PROPERTY, READ};
use crate::source::{OWNERS, Source};
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
    let path = format!("{}?limit=1", hubspot.objects(kind, "").trim_end_matches('/'));
    may_read(path, exchange, operations)
}

fn may_read(path: String, exchange: &mut Exchange<'_>, operations: &[Operation]) -> Result<Vec<Outcome>, Step> {
    match exchange.get(path)? {
        Got::Fine(_) => Ok(operations.iter().map(|_| found()).collect()),
        Got::Refused(refused) => Err(exchange.refuse(&refused)),
    }
}

/// What a source asks before anything is read; see its `inspect`.
pub(super) fn of_source(
    source: &Source,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let hubspot = &source.hubspot;
    let named = |operation: &Operation| operation.slot.split_once('/').map(|(_, name)| name.to_owned());
    let name = operations.first().and_then(named);
    match operations.first().map(|first| first.batch_key.as_str()) {
        Some(ACCOUNT) => super::account(hubspot, exchange, operations),
        Some(READ) if name.as_deref() == Some(OWNERS) => may_read(source.owners("?limit=1"), exchange, operations),
        Some(READ) => ask(hubspot, &COMPANY, exchange, operations),
        Some(PROPERTY) => {
            let there = schema::list(exchange, hubspot.schema(&COMPANY, ""))?;
            let judge = |name: String| match there.contains_key(&name) {
                true => found(),
                false => {
                    let near = nearest(&name, there.keys().map(String::as_str));
                    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    Outcome::Rejected { why: format!("companies have no property `{name}`{hint}") }
                }
            };
            Ok(operations.iter().map(|operation| judge(named(operation).unwrap_or_default())).collect())
        }
        _ => Err(Step::Reject { why: "this source has no such question".into() }),
    }
}

fn found() -> Outcome {
    Outcome::Found { remote_id: None, differs: BTreeMap::new() }
}
