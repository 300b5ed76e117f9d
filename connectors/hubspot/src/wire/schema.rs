//! Groups and properties: read what is there, create what is missing, refuse what doesn't fit.
//!
//! An existing property is never changed, for its type may hold data that others rely on; only options that an
//! enumeration lacks are added to it.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Mode, Operation, Outcome, Step};

use super::batch::Answered;
use super::exchange::{Exchange, Got};
use super::reason;
use crate::kind::Kind;
use crate::plan::{group_name, label, property_name};
use crate::{BATCH, HubSpot, Property, Section};

fn done() -> Outcome {
    Outcome::Done { remote_id: None }
}

fn field<'a>(operation: &'a Operation, name: &str) -> &'a str {
    operation.fields.get(name).and_then(|change| change.new.as_text()).unwrap_or_default()
}

fn named<'a>(kind: &Kind, operation: &'a Operation) -> &'a str {
    property_name(kind, operation).unwrap_or(&operation.slot)
}

/// Reads a list of named things.
pub(super) fn list(exchange: &mut Exchange<'_>, path: String) -> Result<BTreeMap<String, Json>, Step> {
    let json = match exchange.get(path)? {
        Got::Fine(json) => json,
        Got::Refused(refused) => return Err(exchange.refuse(&refused)),
    };
    let Some(items) = json.get("results").and_then(Json::as_array) else { return Err(super::exchange::unreadable()) };
    let name = |item: &Json| item.get("name").and_then(Json::as_str).map(str::to_owned);
    Ok(items.iter().filter_map(|item| Some((name(item)?, item.clone()))).collect())
}

/// Property groups: nearly always one.
pub(super) fn groups(
    hubspot: &HubSpot,
    kind: &Kind,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let there = list(exchange, hubspot.schema(kind, "/groups"))?;
    for operation in operations {
        let name = group_name(kind, operation).unwrap_or(&operation.slot);
        if there.contains_key(name) {
            continue;
        }
        let body = json!({"name": name, "label": field(operation, "label")});
        match exchange.post(hubspot.schema(kind, "/groups"), &body)? {
            Got::Fine(json) if json.get("name").and_then(Json::as_str) == Some(name) => {}
            Got::Fine(_) => return Err(super::exchange::unreadable()),
            // It has come to be there meanwhile.
            Got::Refused(refused) if refused.status == 409 => {}
            Got::Refused(refused) => return Err(exchange.refuse(&refused)),
        }
    }
    Ok(operations.iter().map(|_| done()).collect())
}

/// Properties: one read for all, one creation for those that are missing, one more read where that is in doubt.
pub(super) fn properties(
    hubspot: &HubSpot,
    kind: &Kind,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let there = list(exchange, hubspot.schema(kind, ""))?;
    let missing: Vec<&Operation> =
        operations.iter().filter(|operation| !there.contains_key(named(kind, operation))).collect();
    if operations.iter().all(|operation| operation.mode == Mode::Read) {
        let judge = |operation: &Operation| match there.get(named(kind, operation)) {
            Some(found) => misfit(kind, operation, found).or_else(|| closed(kind, operation, found)),
            None => no_room(kind, operation, &there),
        };
        let found = || Outcome::Found { remote_id: None, differs: BTreeMap::new() };
        return Ok(operations
            .iter()
            .map(|operation| judge(operation).map_or_else(found, |why| Outcome::Rejected { why }))
            .collect());
    }
    let mut created: Vec<String> = Vec::new();
    let mut refusals: BTreeMap<String, Json> = BTreeMap::new();
    for chunk in missing.chunks(BATCH) {
        let inputs: Vec<Json> = chunk.iter().map(|operation| definition(kind, operation)).collect();
        let json = match exchange.post(hubspot.schema(kind, "/batch/create"), &json!({"inputs": inputs}))? {
            Got::Fine(json) => json,
            // Some name is taken meanwhile: the second read says which.
            Got::Refused(refused) if refused.status == 409 => continue,
            Got::Refused(refused) => return Err(exchange.refuse(&refused)),
        };
        let answered = Answered::read(&json)?;
        let name = |result: &Json| result.get("name").and_then(Json::as_str).map(str::to_owned);
        created.extend(answered.results.iter().filter_map(name));
        for error in answered.errors {
            let context = error.get("context");
            for key in ["name", "propertyName", "ids", "id"] {
                for name in reason::texts(context.and_then(|context| context.get(key))) {
                    refusals.insert(name.to_owned(), error.clone());
                }
            }
            if let ([only], true) = (chunk, answered.errors.len() == 1) {
                refusals.insert(named(kind, only).to_owned(), error.clone());
            }
        }
    }
    let confirmed = |operation: &&Operation| created.iter().any(|name| name == named(kind, operation));
    let now = match missing.iter().all(confirmed) {
        true => BTreeMap::new(),
        false => list(exchange, hubspot.schema(kind, ""))?,
    };
    let mut outcomes = Vec::new();
    for operation in operations {
        let name = named(kind, operation);
        let outcome = if let Some(found) = there.get(name).or_else(|| now.get(name)) {
            match misfit(kind, operation, found).or_else(|| closed(kind, operation, found)) {
                None => add_options(hubspot, kind, exchange, operation, found)?,
                Some(why) => Outcome::Rejected { why },
            }
        } else if confirmed(&operation) {
            done()
        } else if let Some(error) = refusals.get(name) {
            Outcome::Rejected { why: format!("HubSpot did not create `{name}`: {}", reason::of(error, operation)) }
        } else if exchange.alone() {
            let why = format!(
                "HubSpot answered without creating `{name}`; an archived property may have the name: restore or delete it"
            );
            Outcome::Rejected { why }
        } else {
            return Err(exchange.smaller("HubSpot answered without confirming all properties"));
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Those of the properties that a section writes which HubSpot has no more, or without an option that they are to have.
pub(super) fn lost<'a>(
    hubspot: &HubSpot,
    section: &'a Section,
    exchange: &mut Exchange<'_>,
) -> Result<Vec<&'a Property>, Step> {
    let there = list(exchange, hubspot.schema(section.kind, ""))?;
    let is_lost = |property: &&Property| match there.get(&property.name) {
        Some(found) => !lacking(property.words.iter().map(String::as_str), found).is_empty(),
        None => true,
    };
    Ok(section.own.iter().chain(&section.properties).filter(is_lost).collect())
}

/// A property as it is created.
fn definition(kind: &Kind, operation: &Operation) -> Json {
    let mut definition = json!({
        "name": named(kind, operation),
        "label": field(operation, "label"),
        "type": field(operation, "type"),
        "fieldType": field(operation, "fieldType"),
        "groupName": field(operation, "groupName"),
    });
    if unique(operation) {
        definition["hasUniqueValue"] = true.into();
    }
    match field(operation, "type") {
        "bool" => definition["options"] = json!([option("Yes", "true", 0), option("No", "false", 1)]),
        "enumeration" => {
            let words = words(operation).into_iter().zip(0..);
            definition["options"] = words.map(|(word, at)| option(&label(word), word, at)).collect();
        }
        _ => {}
    }
    definition
}

fn option(label: &str, value: &str, order: i64) -> Json {
    json!({"label": label, "value": value, "displayOrder": order, "hidden": false})
}

/// The words that a property is to hold, where they are known.
fn words(operation: &Operation) -> Vec<&str> {
    match operation.fields.get("options").map(|change| &change.new) {
        Some(Value::List(words)) => words.iter().filter_map(Value::as_text).collect(),
        _ => Vec::new(),
    }
}

/// The words of an operation that an enumeration has no option for.
fn without_option<'a>(operation: &'a Operation, found: &Json) -> Vec<&'a str> {
    lacking(words(operation), found)
}

/// Those words that an enumeration has no option for.
fn lacking<'a>(words: impl IntoIterator<Item = &'a str>, found: &Json) -> Vec<&'a str> {
    if found.get("type").and_then(Json::as_str) != Some("enumeration") {
        return Vec::new();
    }
    let options = found.get("options").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let has = |word: &str| options.iter().any(|option| option.get("value").and_then(Json::as_str) == Some(word));
    words.into_iter().filter(|word| !has(word)).collect()
}

/// Why the options that are missing can't be added.
fn closed(kind: &Kind, operation: &Operation, found: &Json) -> Option<String> {
    let missing = without_option(operation, found);
    let metadata = found.get("modificationMetadata");
    let fixed = metadata.and_then(|metadata| metadata.get("readOnlyOptions")).and_then(Json::as_bool) == Some(true);
    (fixed && !missing.is_empty()).then(|| {
        format!(
            "`{}` is a list to which nobody can add, and it has no option for {}: map another property",
            named(kind, operation),
            missing.join(", ")
        )
    })
}

/// Adds the options that are missing. HubSpot replaces the whole list, so those that are there are sent along.
fn add_options(
    hubspot: &HubSpot,
    kind: &Kind,
    exchange: &mut Exchange<'_>,
    operation: &Operation,
    found: &Json,
) -> Result<Outcome, Step> {
    let missing = without_option(operation, found);
    if missing.is_empty() {
        return Ok(done());
    }
    let mut options = found.get("options").and_then(Json::as_array).cloned().unwrap_or_default();
    let order = |option: &Json| option.get("displayOrder").and_then(Json::as_i64);
    let last = options.iter().filter_map(order).max().unwrap_or(-1);
    options.extend(missing.into_iter().zip(last + 1..).map(|(word, at)| option(&label(word), word, at)));
    let path = hubspot.schema(kind, &format!("/{}", named(kind, operation)));
    Ok(match exchange.patch(path, &json!({"options": options}))? {
        Got::Fine(json) if without_option(operation, &json).is_empty() => done(),
        Got::Fine(_) => Outcome::Rejected { why: "HubSpot answered without the options that it was to add".into() },
        Got::Refused(refused) => Outcome::Rejected {
            why: format!("HubSpot added no options ({}): {}", refused.status, reason::of(&refused.body, operation)),
        },
    })
}

/// The most unique properties of an object type. Source: HubSpot's guide *Properties*.
const MOST_UNIQUE: usize = 10;

/// Why a property that is missing can't be created: HubSpot has only so many unique ones.
fn no_room(kind: &Kind, operation: &Operation, there: &BTreeMap<String, Json>) -> Option<String> {
    let flag = |json: &Json, name: &str| json.get(name).and_then(Json::as_bool).unwrap_or_default();
    let taken = there.values().filter(|found| flag(found, "hasUniqueValue") && !flag(found, "hubspotDefined")).count();
    (unique(operation) && taken >= MOST_UNIQUE).then(|| {
        format!(
            "`{}` can't be created: HubSpot allows {MOST_UNIQUE} unique properties of {}, and {taken} are there; delete \
             one, or name it in `match`",
            named(kind, operation),
            kind.plural
        )
    })
}

fn unique(operation: &Operation) -> bool {
    operation.fields.get("hasUniqueValue").is_some_and(|change| change.new == Value::Bool(true))
}

/// Why a property that is there can't hold what is mapped to it. HubSpot judges the values of properties whose kind the
/// config does not show (`any value`), and of lists of options.
fn misfit(kind: &Kind, operation: &Operation, found: &Json) -> Option<String> {
    let name = named(kind, operation);
    let text = |key: &str| found.get(key).and_then(Json::as_str).unwrap_or_default();
    let flag = |json: Option<&Json>| json.and_then(Json::as_bool).unwrap_or_default();
    let (found_type, field_type) = (text("type"), text("fieldType"));
    let metadata = found.get("modificationMetadata");
    if flag(found.get("calculated"))
        || field_type.starts_with("calculation")
        || flag(metadata.and_then(|metadata| metadata.get("readOnlyValue")))
    {
        return Some(format!("`{name}` is there already, and HubSpot lets nobody write it (read-only or calculated)"));
    }
    let is_unique = flag(found.get("hasUniqueValue"));
    if unique(operation) && !(is_unique && found_type == "string") {
        return Some(format!(
            "expected `{name}` to be a unique text property, found {} of type {}: name another `property` in `match`, \
             or delete this one",
            if is_unique { "a unique one" } else { "one whose values need not be unique" },
            known_type(found_type),
        ));
    }
    let holds = field(operation, "holds");
    let fits = match found_type {
        "string" => true,
        "number" => matches!(holds, "a number" | "any value"),
        "bool" => matches!(holds, "true or false" | "any value"),
        "date" => matches!(holds, "a date" | "any value"),
        "enumeration" => !matches!(holds, "a number" | "a date"),
        "phone_number" => matches!(holds, "text" | "any value"),
        _ => holds == "any value",
    };
    (!fits).then(|| {
        format!(
            "expected `{name}` to be a property of type {}, found type {}: map another property",
            field(operation, "type"),
            known_type(found_type),
        )
    })
}

/// A type's name, if it looks like one.
fn known_type(text: &str) -> &str {
    let plain = !text.is_empty() && text.len() <= 40 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { text } else { "unknown" }
}
