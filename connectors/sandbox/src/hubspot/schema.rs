//! Property definitions and their groups.
//!
//! Deliberately not here: calculated properties, sensitive data, definitions that come back from the archive.

use serde_json::{Value, json};

use super::batch::{self, malformed};
use super::store::{Definition, ObjectType};
use super::{Dialect, Outcome, Problem};
use crate::http::{Answer, Call};

/// How many properties of one object type may have unique values.
const MOST_UNIQUE: usize = 10;

const PAIRS: &[(&str, &str)] = &[
    ("bool", "booleancheckbox"),
    ("number", "number"),
    ("date", "date"),
    ("datetime", "date"),
    ("string", "text textarea html file phonenumber"),
    ("phone_number", "phonenumber"),
    ("enumeration", "select radio checkbox booleancheckbox"),
];

pub(super) fn route(kind: &mut ObjectType, call: &Call, rest: &[&str], dialect: Dialect) -> Outcome<Answer> {
    let body = || call.json().map_err(malformed);
    match (call.method, rest) {
        ("GET", []) => Ok(Answer::json(200, &json!({"results": kind.definitions_json(true)}))),
        ("POST", []) => {
            let made = create(kind, &body()?, call.now)?;
            let note = format!("created {}", made["name"]);
            Ok(Answer::json(201, &made).note(note))
        }
        ("GET", ["groups"]) => Ok(Answer::json(200, &json!({"results": kind.groups_json()}))),
        ("POST", ["groups"]) => Ok(Answer::json(201, &create_group(kind, &body()?)?)),
        ("GET", ["groups", name]) => match kind.groups.get(*name) {
            Some(group) => Ok(Answer::json(200, group)),
            None => Err(Problem::not_found(format!("Property group {name} does not exist"))),
        },
        ("DELETE", ["groups", name]) => {
            if kind.definitions.values().any(|definition| definition.group == *name) {
                return Err(Problem::invalid(format!("Property group {name} still has properties")));
            }
            kind.groups.remove(*name);
            Ok(Answer::empty(204))
        }
        ("POST", ["batch", "create"]) => create_batch(kind, call, dialect),
        ("POST", ["batch", "read"]) => read_batch(kind, call, dialect),
        ("GET", [name]) => Ok(Answer::json(200, &find(kind, name)?.json())),
        ("PATCH", [name]) => Ok(Answer::json(200, &update(kind, name, &body()?, call.now)?)),
        ("DELETE", [name]) => {
            if !find(kind, name)?.own {
                return Err(Problem::invalid(format!("{name} is defined by HubSpot and cannot be archived")));
            }
            kind.definitions.remove(*name);
            kind.forget_unique(name);
            Ok(Answer::empty(204))
        }
        _ => Err(Problem::not_found("resource not found")),
    }
}

fn find<'a>(kind: &'a ObjectType, name: &str) -> Outcome<&'a Definition> {
    kind.definitions.get(name).ok_or_else(|| Problem::not_found(format!("Property with name {name} does not exist")))
}

fn text<'a>(body: &'a Value, key: &str) -> Outcome<&'a str> {
    body[key]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| malformed(format!("Some required fields were not set: [{key}]")))
}

fn name_is_good(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

pub(super) fn create_group(kind: &mut ObjectType, body: &Value) -> Outcome<Value> {
    let (name, label) = (text(body, "name")?, text(body, "label")?);
    if !name_is_good(name) {
        return Err(Problem::invalid(format!("Property group name {name} is invalid")));
    }
    if kind.groups.contains_key(name) {
        return Err(Problem::new(409, "CONFLICT", format!("A property group named '{name}' already exists.")));
    }
    let order = body["displayOrder"].as_i64().unwrap_or(-1);
    let group = json!({"name": name, "label": label, "displayOrder": order, "archived": false});
    kind.groups.insert(name.to_owned(), group.clone());
    Ok(group)
}

pub(super) fn create(kind: &mut ObjectType, body: &Value, now: i64) -> Outcome<Value> {
    let name = text(body, "name")?;
    let (label, data, field) = (text(body, "label")?, text(body, "type")?, text(body, "fieldType")?);
    let group = text(body, "groupName")?;
    if !name_is_good(name) || name.starts_with("hs_") {
        return Err(Problem::invalid(format!(
            "Property name {name} is invalid: it must begin with a lower-case letter, hold only lower-case letters, \
             digits and underscores, and not begin with hs_"
        )));
    }
    check_pair(data, field)?;
    check_group(kind, group)?;
    if kind.definitions.contains_key(name) {
        return Err(Problem::new(409, "CONFLICT", format!("A property named '{name}' already exists.")));
    }
    let options = options(body)?;
    if data == "enumeration" && options.is_empty() {
        return Err(Problem::invalid("Enumeration properties must have at least one option"));
    }
    let unique = body["hasUniqueValue"].as_bool().unwrap_or(false);
    if unique && !matches!(data, "string" | "number") {
        return Err(Problem::invalid("Only string and number properties can have unique values"));
    }
    if unique && kind.own_unique() >= MOST_UNIQUE {
        let message = format!("An object type can have at most {MOST_UNIQUE} properties with unique values");
        return Err(Problem::invalid(message));
    }
    let owned = |text: &str| text.to_owned();
    let definition = Definition {
        name: owned(name),
        label: owned(label),
        kind: owned(data),
        field: owned(field),
        group: owned(group),
        description: owned(body["description"].as_str().unwrap_or_default()),
        options,
        unique,
        read_only: false,
        own: true,
        hidden: body["hidden"].as_bool().unwrap_or(false),
        created: now,
        updated: now,
    };
    let made = definition.json();
    if unique {
        kind.make_unique(name);
    }
    kind.definitions.insert(owned(name), definition);
    Ok(made)
}

fn check_pair(data: &str, field: &str) -> Outcome<()> {
    let Some((_, fields)) = PAIRS.iter().find(|(one, _)| *one == data) else {
        return Err(malformed(format!("type must be one of bool, date, datetime, enumeration, …, not {data}")));
    };
    if fields.split(' ').any(|one| one == field) {
        return Ok(());
    }
    Err(Problem::invalid(format!("fieldType {field} does not go with type {data}")))
}

fn check_group(kind: &ObjectType, group: &str) -> Outcome<()> {
    if kind.groups.contains_key(group) {
        return Ok(());
    }
    Err(Problem::invalid(format!("Property group '{group}' does not exist")))
}

fn options(body: &Value) -> Outcome<Vec<Value>> {
    let mut seen = vec![];
    for option in body["options"].as_array().into_iter().flatten() {
        let complete = option["label"].is_string()
            && option["value"].is_string()
            && option["displayOrder"].is_i64()
            && option["hidden"].is_boolean();
        if !complete {
            return Err(malformed("an option needs label, value, displayOrder and hidden".into()));
        }
        if seen.contains(&&option["value"]) {
            return Err(Problem::invalid(format!("option {} is there twice", option["value"])));
        }
        seen.push(&option["value"]);
    }
    Ok(seen.iter().zip(body["options"].as_array().into_iter().flatten()).map(|(_, option)| option.clone()).collect())
}

fn update(kind: &mut ObjectType, name: &str, body: &Value, now: i64) -> Outcome<Value> {
    let mut definition = find(kind, name)?.clone();
    if !definition.own {
        return Err(Problem::invalid(format!("{name} is defined by HubSpot and cannot be changed")));
    }
    if body["hasUniqueValue"].as_bool().is_some_and(|unique| unique != definition.unique) {
        return Err(Problem::invalid("hasUniqueValue cannot be changed after creation"));
    }
    if let Some(data) = body["type"].as_str() {
        let used = kind.objects().any(|object| object.properties.contains_key(name));
        if data != definition.kind && used {
            return Err(Problem::invalid(format!("the type of {name} cannot be changed: it is used")));
        }
        definition.kind = data.to_owned();
    }
    for (key, place) in [
        ("fieldType", &mut definition.field),
        ("label", &mut definition.label),
        ("groupName", &mut definition.group),
        ("description", &mut definition.description),
    ] {
        if let Some(text) = body[key].as_str() {
            *place = text.to_owned();
        }
    }
    if body.get("options").is_some() {
        definition.options = options(body)?;
    }
    check_pair(&definition.kind, &definition.field)?;
    check_group(kind, &definition.group)?;
    if definition.kind == "enumeration" && definition.options.is_empty() {
        return Err(Problem::invalid("Enumeration properties must have at least one option"));
    }
    definition.hidden = body["hidden"].as_bool().unwrap_or(definition.hidden);
    definition.updated = now;
    let shown = definition.json();
    kind.definitions.insert(name.to_owned(), definition);
    Ok(shown)
}

fn create_batch(kind: &mut ObjectType, call: &Call, dialect: Dialect) -> Outcome<Answer> {
    let (_, inputs) = batch::inputs(call)?;
    let (mut results, mut errors) = (vec![], vec![]);
    for input in &inputs {
        match create(kind, input, call.now) {
            Ok(made) => results.push(made),
            Err(problem) => {
                let name = input["name"].as_str().unwrap_or_default().to_owned();
                errors.push(problem.with("name", vec![name]).item());
            }
        }
    }
    let whole = if dialect == Dialect::Plain { 200 } else { 201 };
    Ok(batch::answer(call, dialect, whole, results, errors))
}

fn read_batch(kind: &ObjectType, call: &Call, dialect: Dialect) -> Outcome<Answer> {
    let (_, inputs) = batch::inputs(call)?;
    let (mut results, mut errors) = (vec![], vec![]);
    for input in &inputs {
        let name = input["name"].as_str().unwrap_or_default();
        match find(kind, name) {
            Ok(definition) => results.push(definition.json()),
            Err(problem) => errors.push(problem.with("name", vec![name.to_owned()]).item()),
        }
    }
    Ok(batch::answer(call, dialect, 200, results, errors))
}
