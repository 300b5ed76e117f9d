//! Answers to the questions whether Intercom still holds what it confirmed.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use vitalsync_core::Value;
use vitalsync_core::connector::{Method, Operation, Outcome};

use super::contacts::{all_tags, canonical, is_archived};
use super::encode::differs;
use super::exchange::{Exchange, Next, encoded, id_of, reject, retry};
use super::tags::{listed, tags_of};
use crate::{COMPANY, CONTACT, GROUP_PREFIX, Intercom, TAG_FIELD, group_of, tag_slot};

fn gone(why: &str) -> Outcome {
    Outcome::Gone { why: why.into() }
}

/// What a contact holds now. One that was merged is followed where the other is nobody else's.
pub(super) fn contact(intercom: &Intercom, operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let Some(mut id) = operation.remote_id.clone() else { return reject("the question names no contact") };
    let mut answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&id)), None)?;
    let merged = answer.status == 410;
    if merged && let Some(other) = canonical(answer) {
        answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&other)), None)?;
        id = other;
    }
    if matches!(answer.status, 404 | 410) {
        let why = if merged {
            "the contact was merged into another one in Intercom"
        } else {
            "the contact was deleted in Intercom"
        };
        return Ok(vec![gone(why)]);
    }
    let found = exchange.object(answer)?;
    if id_of(&found).as_deref() != Some(id.as_str()) {
        return retry(None, "Intercom answered with another contact");
    }
    let whose = found.get("external_id").and_then(Json::as_str).filter(|whose| !whose.is_empty());
    if merged && whose.is_some_and(|whose| whose != operation.subject) {
        return Ok(vec![gone("the contact was merged into the contact of another user in Intercom")]);
    }
    if is_archived(&found) {
        return Ok(vec![gone("the contact was archived in Intercom")]);
    }
    let asks_tags = operation.fields.keys().any(|field| field.starts_with(GROUP_PREFIX));
    let tags = if asks_tags { tags(operation, &id, &found, exchange)? } else { Vec::new() };
    let mut differences = BTreeMap::new();
    for (field, change) in &operation.fields {
        let difference = match field.strip_prefix(GROUP_PREFIX) {
            Some(group) => group_differs(intercom.tags(CONTACT, group), &change.old, &tags),
            None => attribute_differs(intercom, CONTACT, field, &change.old, &found),
        };
        differences.extend(difference.map(|value| (field.clone(), value)));
    }
    Ok(vec![Outcome::Found { remote_id: Some(id), differs: differences }])
}

/// The names of a contact's tags, in small letters: by the ids that we know, where the answer shows all of them.
fn tags(operation: &Operation, id: &str, found: &Json, exchange: &mut Exchange<'_>) -> Next<Vec<String>> {
    let prefix = tag_slot("");
    let names: BTreeMap<&str, &str> =
        operation.refs.iter().filter_map(|(slot, id)| Some((id.as_str(), slot.strip_prefix(&prefix)?))).collect();
    if let Some(ids) = all_tags(found)
        && !names.is_empty()
    {
        return Ok(ids.iter().filter_map(|id| names.get(id.as_str())).map(|name| name.to_lowercase()).collect());
    }
    let answer = exchange.ask(Method::Get, tags_of(id), None)?;
    Ok(listed(&exchange.object(answer)?)?.into_iter().map(|(_, name)| name).collect())
}

/// What companies and their tag groups hold now: one read for each company.
pub(super) fn companies(
    intercom: &Intercom,
    operations: &[Operation],
    exchange: &mut Exchange<'_>,
) -> Next<Vec<Outcome>> {
    let mut read: BTreeMap<&str, Option<Json>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for operation in operations {
        let Some(id) = operation.remote_id.as_deref() else { return reject("the question names no company") };
        if !read.contains_key(id) {
            let answer = exchange.ask(Method::Get, format!("/companies/{}", encoded(id)), None)?;
            let company = if answer.status == 404 { None } else { Some(exchange.object(answer)?) };
            if company.as_ref().is_some_and(|company| id_of(company).as_deref() != Some(id)) {
                return retry(None, "Intercom answered with another company");
            }
            read.insert(id, company);
        }
        let Some(company) = read.get(id).and_then(Option::as_ref) else {
            outcomes.push(gone("the company was deleted in Intercom"));
            continue;
        };
        let mut differs = BTreeMap::new();
        for (field, change) in &operation.fields {
            let difference = match group_of(&operation.slot) {
                Some((group, _)) if field == TAG_FIELD => {
                    group_differs(intercom.tags(COMPANY, &group), &change.old, &company_tags(company)?)
                }
                _ => attribute_differs(intercom, COMPANY, field, &change.old, company),
            };
            differs.extend(difference.map(|value| (field.clone(), value)));
        }
        outcomes.push(Outcome::Found { remote_id: Some(id.to_owned()), differs });
    }
    Ok(outcomes)
}

/// The names of a company's tags, in small letters.
pub(super) fn company_tags(company: &Json) -> Next<Vec<String>> {
    match company.get("tags") {
        Some(tags) => Ok(listed(tags)?.into_iter().map(|(_, name)| name).collect()),
        None => retry(None, "Intercom did not list the company's tags"),
    }
}

fn attribute_differs(intercom: &Intercom, model: &str, name: &str, told: &Value, record: &Json) -> Option<Value> {
    let held = record.get("custom_attributes").and_then(|attributes| attributes.get(name));
    differs(intercom.kind(model, name), told, held)
}

/// Which tags of a group are carried, where they are not the one that we set. Several are a list.
fn group_differs<'a>(group: impl Iterator<Item = &'a str>, told: &Value, carried: &[String]) -> Option<Value> {
    let mut held: Vec<&str> = group.collect();
    // A tag that left the group is still ours to take away.
    held.extend(told.as_text().filter(|told| !held.contains(told)));
    held.retain(|tag| carried.contains(&tag.to_lowercase()));
    let held = match held.as_slice() {
        [] => Value::Null,
        [one] => Value::from(*one),
        several => Value::List(several.iter().map(|tag| Value::from(*tag)).collect()),
    };
    (held != *told).then_some(held)
}
