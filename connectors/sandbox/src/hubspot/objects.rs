//! Single records: what may be written, and the one function that writes.
//!
//! Creating through the API never looks for a company of the same domain: two companies of one domain are two
//! companies, as at HubSpot. A record that was merged away is read under its old id as the one that is left, and is not
//! written under it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vitalsync_core::Timestamp;

use super::batch::{self, Kind, malformed, unique_or_refuse};
use super::store::{Object, ObjectType};
use super::values::{self, Invalid};
use super::{Dialect, Outcome, Problem, search};
use crate::http::{Answer, Call};

/// What to do with the properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Create,
    Update(u64),
}

pub(super) fn route(
    kind: &mut ObjectType,
    call: &Call,
    rest: &[&str],
    dialect: Dialect,
    lag_ms: i64,
) -> Outcome<Answer> {
    match (call.method, rest) {
        ("POST", ["batch", "create"]) => batch::write(kind, call, dialect, Kind::Create),
        ("POST", ["batch", "update"]) => batch::write(kind, call, dialect, Kind::Update),
        ("POST", ["batch", "upsert"]) => batch::write(kind, call, dialect, Kind::Upsert),
        ("POST", ["batch", "read"]) => batch::read(kind, call, dialect),
        ("POST", ["batch", "archive"]) => batch::archive(kind, call),
        ("POST", ["search"]) => search::search(kind, call, lag_ms),
        ("POST", ["merge"]) => merge(kind, call),
        ("POST", []) => {
            let body = call.json().map_err(malformed)?;
            let properties = texts(body.get("properties").unwrap_or(&Value::Null))?;
            refuse_unknown(kind, &properties)?;
            let (id, _) = write(kind, Write::Create, &properties, call.now)?;
            Ok(Answer::json(201, &json_of(live(kind, &id.to_string())?, None)).note(format!("created {id}")))
        }
        ("GET", []) => list(kind, call),
        ("GET", [id]) => {
            let id = find(kind, id, call)?;
            let object = kind.followed(&id).ok_or_else(|| Problem::not_found("resource not found"))?;
            Ok(Answer::json(200, &read_json(kind, object, &wanted(call))))
        }
        ("PATCH", [id]) => {
            let body = call.json().map_err(malformed)?;
            let properties = texts(body.get("properties").unwrap_or(&Value::Null))?;
            refuse_unknown(kind, &properties)?;
            let id = find(kind, id, call)?;
            let number = live(kind, &id)?.id;
            write(kind, Write::Update(number), &properties, call.now)?;
            let mut shown: Vec<&str> = properties.keys().map(String::as_str).collect();
            shown.extend(["createdate", "hs_object_id", kind.modified_property()]);
            Ok(Answer::json(200, &json_of(live(kind, &id)?, Some(&shown))).note(format!("updated {id}")))
        }
        ("DELETE", [id]) => {
            archive(kind, id, call.now);
            Ok(Answer::empty(204))
        }
        (_, ["batch", _] | ["search"] | ["merge"] | [] | [_]) => {
            Err(Problem::new(405, "VALIDATION_ERROR", "The request method is not supported for this resource."))
        }
        _ => Err(Problem::not_found("resource not found")),
    }
}

fn refuse_unknown(kind: &ObjectType, properties: &BTreeMap<String, String>) -> Outcome<()> {
    let unknown = unknown(kind, properties);
    if unknown.is_empty() { Ok(()) } else { Err(values::problem(&unknown)) }
}

fn find(kind: &ObjectType, id: &str, call: &Call) -> Outcome<String> {
    let Some(property) = call.query("idProperty") else { return Ok(id.to_owned()) };
    unique_or_refuse(kind, property)?;
    kind.by_unique(property, id).map(|id| id.to_string()).ok_or_else(|| Problem::not_found("resource not found"))
}

fn live<'a>(kind: &'a ObjectType, id: &str) -> Outcome<&'a Object> {
    kind.live(id).ok_or_else(|| Problem::not_found("resource not found"))
}

fn wanted<'a>(call: &'a Call) -> Vec<&'a str> {
    let named = call.query.iter().filter(|(key, _)| key == "properties");
    named.flat_map(|(_, value)| value.split(',')).filter(|name| !name.is_empty()).collect()
}

/// Properties as HubSpot reads them: texts; numbers and truth values are taken for their text.
pub(super) fn texts(properties: &Value) -> Outcome<BTreeMap<String, String>> {
    let Value::Object(properties) = properties else {
        return Err(malformed("Some required fields were not set: [properties]".into()));
    };
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
        _ => Err(malformed(format!("Cannot deserialize value of type `java.lang.String` for property {name}"))),
    };
    properties.iter().map(text).collect()
}

/// The properties that are not defined.
pub(super) fn unknown(kind: &ObjectType, properties: &BTreeMap<String, String>) -> Vec<Invalid> {
    let absent = properties.keys().filter(|name| !kind.definitions.contains_key(*name));
    absent
        .map(|name| Invalid {
            name: name.clone(),
            error: "PROPERTY_DOESNT_EXIST",
            message: format!("Property \"{name}\" does not exist"),
        })
        .collect()
}

/// Writes known properties to one record, or to a new one; gives its id and what was there before.
pub(super) fn write(
    kind: &mut ObjectType,
    how: Write,
    properties: &BTreeMap<String, String>,
    now: i64,
) -> Outcome<(u64, Option<Object>)> {
    let present = match how {
        Write::Create => None,
        Write::Update(id) => Some(live(kind, &id.to_string())?.clone()),
    };
    let old = |name: &str| present.as_ref().and_then(|object| object.properties.get(name)).map(String::as_str);
    let (mut checked, mut invalid) = (BTreeMap::new(), vec![]);
    for (name, value) in properties {
        let Some(definition) = kind.definitions.get(name) else { continue };
        match values::check(definition, value, old(name)) {
            Ok(value) => _ = checked.insert(name.clone(), value),
            Err(reason) => invalid.push(reason),
        }
    }
    if !invalid.is_empty() {
        return Err(values::problem(&invalid));
    }
    let given = |name: &&&str| checked.get(**name).is_some_and(|value| !value.is_empty());
    if how == Write::Create && !kind.required.is_empty() && kind.required.iter().find(given).is_none() {
        return Err(required(kind));
    }
    for (name, value) in checked.iter().filter(|(name, _)| kind.is_unique(name)) {
        let holder = kind.by_unique(name, value);
        if holder.is_some() && holder != present.as_ref().map(|object| object.id) {
            return Err(conflict(name, value, holder.unwrap_or_default()));
        }
    }
    let id = present.as_ref().map_or_else(|| kind.next_id(), |object| object.id);
    let mut object = present.unwrap_or_else(|| new(id, now));
    for (name, value) in checked {
        if value.is_empty() {
            object.properties.remove(&name);
        } else {
            object.properties.insert(name, value);
        }
    }
    object.updated = now;
    object.properties.insert(kind.modified_property().into(), Timestamp(now).to_string());
    object.remember(now);
    let before = kind.set(id, Some(object));
    Ok((id, before))
}

fn new(id: u64, now: i64) -> Object {
    let own = [("hs_object_id", id.to_string()), ("createdate", Timestamp(now).to_string())];
    Object {
        id,
        properties: own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        created: now,
        updated: now,
        archived: false,
        merged_into: None,
        versions: vec![],
    }
}

fn required(kind: &ObjectType) -> Problem {
    let message = format!("Error creating {}. Some required properties were not set.", kind.label);
    let mut problem = Problem::invalid(message);
    problem.errors = vec![json!({"message": "One of these properties must be set", "code": "REQUIRED_FIELD",
        "context": {"properties": kind.required}})];
    problem
}

fn conflict(name: &str, value: &str, holder: u64) -> Problem {
    if name == "email" {
        return Problem::new(409, "CONFLICT", format!("Contact already exists. Existing ID: {holder}"));
    }
    let message = format!("Cannot set {name} to {value}. {holder} already has that value.");
    let mut problem = Problem::new(409, "CONFLICT", message.clone());
    problem.errors = vec![json!({"message": message, "code": "CONFLICTING_UNIQUE_VALUE",
        "context": {"propertyName": [name]}})];
    problem
}

/// Puts a record there that anybody but the API may have made: without a name or domain if need be.
pub(super) fn seed(kind: &mut ObjectType, properties: &Value, now: i64) -> Outcome<String> {
    let properties = texts(properties)?;
    refuse_unknown(kind, &properties)?;
    let required = std::mem::take(&mut kind.required);
    let written = write(kind, Write::Create, &properties, now);
    kind.required = required;
    written.map(|(id, _)| id.to_string())
}

pub(super) fn archive(kind: &mut ObjectType, id: &str, now: i64) {
    let Some(object) = kind.live(id).cloned() else { return };
    kind.set(object.id, Some(Object { archived: true, updated: now, ..object }));
}

/// Merges one record into another. The surviving id is the primary's: not confirmed for HubSpot.
fn merge(kind: &mut ObjectType, call: &Call) -> Outcome<Answer> {
    let body = call.json().map_err(malformed)?;
    let id = |key: &str| body[key].as_str().map(str::to_owned).ok_or_else(|| malformed(format!("no {key}")));
    let mut primary = live(kind, &id("primaryObjectId")?)?.clone();
    let gone = live(kind, &id("objectIdToMerge")?)?.clone();
    if primary.id == gone.id {
        return Err(Problem::invalid("Cannot merge a record with itself"));
    }
    kind.set(gone.id, Some(Object { merged_into: Some(primary.id), updated: call.now, ..gone.clone() }));
    for (name, value) in &gone.properties {
        primary.properties.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if let Some(email) = gone.properties.get("email").filter(|email| primary.properties.get("email") != Some(*email)) {
        let further = primary.properties.entry("hs_additional_emails".into()).or_default();
        if !further.is_empty() {
            further.push(';');
        }
        further.push_str(email);
    }
    let merged = primary.properties.entry("hs_merged_object_ids".into()).or_default();
    if !merged.is_empty() {
        merged.push(';');
    }
    merged.push_str(&gone.id.to_string());
    primary.properties.insert(kind.modified_property().into(), Timestamp(call.now).to_string());
    primary.updated = call.now;
    primary.remember(call.now);
    let shown = json_of(&primary, None);
    kind.set(primary.id, Some(primary));
    Ok(Answer::json(200, &shown).note("merged"))
}

fn list(kind: &ObjectType, call: &Call) -> Outcome<Answer> {
    let limit: usize = call.query("limit").map_or(Some(10), |text| text.parse().ok()).unwrap_or(0);
    if !(1..=100).contains(&limit) {
        return Err(Problem::invalid("limit must be between 1 and 100"));
    }
    let after: u64 = call.query("after").and_then(|text| text.parse().ok()).unwrap_or(0);
    let wanted = wanted(call);
    let mut page: Vec<&Object> =
        kind.objects().filter(|object| !object.gone() && object.id > after).take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let results: Vec<Value> = page.iter().map(|object| read_json(kind, object, &wanted)).collect();
    let mut body = json!({ "results": results });
    if let Some(last) = page.last().filter(|_| more) {
        body["paging"] = json!({"next": {"after": last.id.to_string()}});
    }
    Ok(Answer::json(200, &body))
}

/// A record with these properties, or with all; what is not set is left out.
pub(super) fn json_of(object: &Object, shown: Option<&[&str]>) -> Value {
    let visible = object.properties.iter().filter(|(name, _)| shown.is_none_or(|shown| shown.contains(&name.as_str())));
    let properties: BTreeMap<_, _> = visible.collect();
    json!({"id": object.id.to_string(), "properties": properties, "archived": object.archived,
        "createdAt": Timestamp(object.created).to_string(), "updatedAt": Timestamp(object.updated).to_string()})
}

/// A record as reads give it: what was asked for (null where unset) and the standard three.
pub(super) fn read_json(kind: &ObjectType, object: &Object, wanted: &[&str]) -> Value {
    let mut shown = json_of(object, Some(&[]));
    let wanted = if wanted.is_empty() { kind.defaults } else { wanted };
    let standard = ["createdate", "hs_object_id", kind.modified_property()];
    for name in wanted.iter().chain(&standard).filter(|name| kind.definitions.contains_key(**name)) {
        shown["properties"][*name] = json!(object.properties.get(*name));
    }
    shown
}
