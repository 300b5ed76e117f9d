//! Contacts: find those whose id is not known, create what may be created, write attributes and tags.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use serde_json::json;
use vitalsync_core::Value;
use vitalsync_core::connector::{Answer, Method, Operation, Outcome, Step};

use super::encode::{attributes, text_of};
use super::exchange::{Exchange, Next, conflict, encoded, gone, id_of, reject, retry};
use super::{finished, tags};
use crate::Intercom;

/// A contact, and what is known of it beside its id.
pub(super) struct Target {
    pub id: String,
    /// Just created, with all attributes and no tags.
    pub created: bool,
    /// The ids of all its tags, where an answer told them.
    pub tags: Option<Vec<String>>,
}

pub(super) fn contact(intercom: &Intercom, operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let target = match &operation.remote_id {
        Some(id) => Target { id: id.clone(), created: false, tags: None },
        None => match find(intercom, operation, exchange)? {
            Ok(target) => target,
            Err(absent) => return Ok(finished(operation, absent)),
        },
    };
    let attributes = attributes(intercom, operation);
    if !target.created && !attributes.is_empty() {
        let path = format!("/contacts/{}", encoded(&target.id));
        let answer = exchange.ask(Method::Put, path, Some(json!({ "custom_attributes": attributes })))?;
        gone(answer)?;
        if exchange.id(answer)? != target.id {
            return retry(None, "Intercom answered with another contact");
        }
    }
    tags::write(intercom, operation, &target, exchange)?;
    Ok(finished(operation, Outcome::Done { remote_id: Some(target.id) }))
}

/// Finds the contact or creates it; the inner error says that there is none to write to.
fn find(intercom: &Intercom, operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Result<Target, Outcome>> {
    for key in &operation.keys {
        // A client would take these for steps in the path, encoded or not.
        if matches!(key.value.as_str(), "." | "..") {
            return reject("the external id is a dot or two, which can't stand in an address");
        }
        let path = format!("/contacts/find_by_external_id/{}", encoded(&key.value));
        let answer = exchange.ask(Method::Get, path, None)?;
        match answer.status {
            404 => continue,
            410 => return Ok(Err(unusable(operation, "the contact was merged into another one in Intercom"))),
            _ => {}
        }
        let found = exchange.object(answer)?;
        if found.get("archived") == Some(&Json::Bool(true)) {
            return Ok(Err(unusable(operation, "the contact is archived in Intercom: unarchive or delete it there")));
        }
        return match id_of(&found) {
            Some(id) => Ok(Ok(Target { id, created: false, tags: all_tags(&found) })),
            None => retry(None, "Intercom answered without a contact"),
        };
    }
    let Some(first) = operation.keys.first() else {
        return reject("there is no external id to look for");
    };
    match &operation.create {
        Some(fields) => create(intercom, operation, &first.value, fields, exchange).map(Ok),
        None => Ok(Err(Outcome::Absent { why: "Intercom has no contact with this external id".into() })),
    }
}

/// A contact that exists and can't be written: nothing to do, unless creation was asked for, which can't be had.
fn unusable(operation: &Operation, why: &str) -> Outcome {
    match operation.create {
        Some(_) => Outcome::Rejected { why: why.into() },
        None => Outcome::Absent { why: why.into() },
    }
}

/// The ids of all tags in a contact's answer, which shows ten at most; `None` if it does not show all.
fn all_tags(contact: &Json) -> Option<Vec<String>> {
    let tags = contact.get("tags")?;
    let ids: Vec<String> = tags.get("data")?.as_array()?.iter().map(id_of).collect::<Option<_>>()?;
    let complete = tags.get("has_more") == Some(&Json::Bool(false))
        && tags.get("total_count").and_then(Json::as_u64) == u64::try_from(ids.len()).ok();
    complete.then_some(ids)
}

fn create(
    intercom: &Intercom,
    operation: &Operation,
    external_id: &str,
    fields: &BTreeMap<String, Value>,
    exchange: &mut Exchange<'_>,
) -> Next<Target> {
    let mut body = serde_json::Map::new();
    body.insert("role".into(), "user".into());
    body.insert("external_id".into(), external_id.into());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        body.insert(name.clone(), text_of(value).into());
    }
    let mut attributes = attributes(intercom, operation);
    attributes.retain(|_, value| !value.is_null());
    if !attributes.is_empty() {
        body.insert("custom_attributes".into(), attributes.into());
    }
    let answer = exchange.ask(Method::Post, "/contacts".into(), Some(body.into()))?;
    if answer.status != 409 {
        return Ok(Target { id: exchange.id(answer)?, created: true, tags: None });
    }

    // Somebody was faster, or our own first creation whose answer was lost. Or it is another person's contact with the
    // same e-mail address: Intercom's message names the id but not which of these it is, so the contact is read.
    let Some(id) = id_in_message(answer) else {
        return conflict("somebody else created the contact meanwhile");
    };
    let answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&id)), None)?;
    match answer.status {
        404 => return reject("Intercom holds an archived contact of this user: unarchive or delete it there"),
        410 => return reject("the contact was merged into another one in Intercom"),
        _ => {}
    }
    let found = exchange.object(answer)?;
    if found.get("archived") == Some(&Json::Bool(true)) {
        return reject("the contact is archived in Intercom: unarchive or delete it there");
    }
    if id_of(&found).as_deref() != Some(id.as_str()) {
        return retry(None, "Intercom answered with another contact");
    }
    if found.get("external_id").and_then(Json::as_str) != Some(external_id) {
        return reject(
            "another contact in Intercom has this e-mail address, without an external id or with another one",
        );
    }
    Ok(Target { id, created: false, tags: all_tags(&found) })
}

/// The id in `A contact matching those details already exists with id=…`.
fn id_in_message(answer: &Answer) -> Option<String> {
    let body = answer.json();
    let message = body.pointer("/errors/0/message")?.as_str()?;
    let (_, rest) = message.split_once(" id=")?;
    let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(64).collect();
    (!id.is_empty()).then_some(id)
}
