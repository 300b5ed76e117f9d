//! Batches of records: what makes HubSpot refuse the whole, and what only one input.
//!
//! The whole request fails for: more than 100 inputs, two inputs of one id, an unknown property, an `idProperty` that
//! is not unique. A value that does not fit fails its input alone if every input carries an `objectWriteTraceId` of its
//! own, and else the whole. An id that is not there fails its input alone. Promised by HubSpot's pages for create only;
//! here for update and upsert too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vitalsync_core::Timestamp;

use super::objects::{self, Write};
use super::store::{Object, ObjectType};
use super::{Dialect, Outcome, Problem, values};
use crate::http::{Answer, Call};

/// The most inputs in one batch.
const MOST: usize = 100;

/// The kinds of writing batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    Update,
    Upsert,
}

struct Input {
    id: String,
    id_property: Option<String>,
    properties: BTreeMap<String, String>,
    trace: Option<String>,
}

/// The body of a batch's answer.
pub(super) fn body(now: i64, results: Vec<Value>, errors: Vec<Value>) -> Value {
    let at = Timestamp(now).to_string();
    let mut body = json!({"status": "COMPLETE", "results": results, "requestedAt": at, "startedAt": at,
        "completedAt": at});
    if !errors.is_empty() {
        body["numErrors"] = json!(errors.len());
        body["errors"] = json!(errors);
    }
    body
}

pub(super) fn answer(call: &Call, dialect: Dialect, whole: u16, results: Vec<Value>, errors: Vec<Value>) -> Answer {
    let status = match (errors.is_empty(), dialect) {
        (true, _) => whole,
        (false, Dialect::MultiStatus) => 207,
        (false, Dialect::Plain) => 200,
    };
    let note = format!("{} results, {} errors", results.len(), errors.len());
    Answer::json(status, &body(call.now, results, errors)).note(note)
}

/// The request's body, and its inputs; no `inputs` at all is a batch of nothing.
pub(super) fn inputs(call: &Call) -> Outcome<(Value, Vec<Value>)> {
    let body = call.json().map_err(malformed)?;
    let inputs = match body.get("inputs") {
        None => vec![],
        Some(Value::Array(inputs)) => inputs.clone(),
        Some(_) => return Err(malformed("inputs is not an array".into())),
    };
    if inputs.len() > MOST {
        return Err(Problem::invalid(format!("The maximum batch size is {MOST}, but {} were given", inputs.len())));
    }
    Ok((body, inputs))
}

pub(super) fn malformed(why: String) -> Problem {
    Problem::invalid(format!("Invalid input JSON: {why}"))
}

pub(super) fn write(kind: &mut ObjectType, call: &Call, dialect: Dialect, how: Kind) -> Outcome<Answer> {
    let (_, raw) = inputs(call)?;
    let inputs: Vec<Input> = raw.iter().map(|input| read_input(input, how)).collect::<Outcome<_>>()?;
    if how != Kind::Create {
        check_ids(kind, &inputs)?;
    }
    let unknown: Vec<_> = inputs.iter().flat_map(|input| objects::unknown(kind, &input.properties)).collect();
    if !unknown.is_empty() {
        return Err(values::problem(&unknown));
    }
    let traces: BTreeSet<_> = inputs.iter().filter_map(|input| input.trace.as_ref()).collect();
    let traced = traces.len() == inputs.len();
    let (mut results, mut errors, mut undo) = (vec![], vec![], vec![]);
    for input in &inputs {
        match write_one(kind, input, how, call.now, &mut undo) {
            Ok(result) => results.push(result),
            Err(mut problem) if traced || problem.category == "OBJECT_NOT_FOUND" => {
                if let Some(trace) = &input.trace {
                    problem = problem.with("objectWriteTraceId", vec![trace.clone()]);
                }
                errors.push(problem.item());
            }
            Err(problem) => {
                for (id, object) in undo.into_iter().rev() {
                    kind.set(id, object);
                }
                return Err(problem);
            }
        }
    }
    Ok(answer(call, dialect, if how == Kind::Create { 201 } else { 200 }, results, errors))
}

fn read_input(input: &Value, how: Kind) -> Outcome<Input> {
    let text = |key: &str| match input.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(malformed(format!("{key} is not a string: {other}"))),
    };
    let id = text("id")?;
    if how != Kind::Create && id.is_none() {
        return Err(malformed("Some required fields were not set: [id]".into()));
    }
    let Some(properties) = input.get("properties") else {
        return Err(malformed("Some required fields were not set: [properties]".into()));
    };
    Ok(Input {
        id: id.unwrap_or_default(),
        id_property: text("idProperty")?,
        properties: objects::texts(properties)?,
        trace: text("objectWriteTraceId")?,
    })
}

/// That ids are looked up by something unique, and that no two inputs mean one record.
fn check_ids(kind: &ObjectType, inputs: &[Input]) -> Outcome<()> {
    let mut seen = BTreeSet::new();
    let mut twice = vec![];
    for input in inputs {
        if let Some(property) = &input.id_property {
            unique_or_refuse(kind, property)?;
        }
        let email = input.id_property.as_deref() == Some("email");
        let id = if email { input.id.to_lowercase() } else { input.id.clone() };
        if !seen.insert((&input.id_property, id.clone())) && !twice.contains(&id) {
            twice.push(id);
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    let message = format!("Duplicate IDs found in batch input: [{}]. IDs must be unique", twice.join(", "));
    Err(Problem::invalid(message).with("ids", twice))
}

pub(super) fn unique_or_refuse(kind: &ObjectType, property: &str) -> Outcome<()> {
    if kind.is_unique(property) {
        return Ok(());
    }
    let type_id = kind.type_id;
    Err(Problem::invalid(format!("Unable to perform update/upsert by non-unique {type_id} property {property}")))
}

fn write_one(
    kind: &mut ObjectType,
    input: &Input,
    how: Kind,
    now: i64,
    undo: &mut Vec<(u64, Option<Object>)>,
) -> Outcome<Value> {
    let found = match (&input.id_property, how) {
        (_, Kind::Create) => None,
        (Some(property), _) => kind.by_unique(property, &input.id),
        (None, _) => kind.live(&input.id).map(|object| object.id),
    };
    let mut properties = input.properties.clone();
    let write = match (how, found) {
        (Kind::Create, _) => Write::Create,
        (_, Some(id)) => Write::Update(id),
        (Kind::Upsert, None) if input.id_property.is_some() => {
            let property = input.id_property.clone().unwrap_or_default();
            properties.entry(property).or_insert_with(|| input.id.clone());
            Write::Create
        }
        _ => return Err(missing(kind, vec![input.id.clone()])),
    };
    let (id, old) = objects::write(kind, write, &properties, now)?;
    undo.push((id, old));
    let mut shown: Vec<&str> = properties.keys().map(String::as_str).collect();
    shown.extend(["createdate", "hs_object_id", kind.modified_property()]);
    let all = write == Write::Create;
    let object = kind.live(&id.to_string()).ok_or_else(|| missing(kind, vec![id.to_string()]))?;
    let mut result = objects::json_of(object, if all { None } else { Some(&shown) });
    if how == Kind::Upsert {
        result["new"] = json!(all);
    }
    if let Some(trace) = &input.trace {
        result["objectWriteTraceId"] = json!(trace);
    }
    Ok(result)
}

fn missing(kind: &ObjectType, ids: Vec<String>) -> Problem {
    let message = format!(
        "Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.",
        kind.label
    );
    Problem::not_found(message).with("ids", ids)
}

pub(super) fn read(kind: &ObjectType, call: &Call, dialect: Dialect) -> Outcome<Answer> {
    let (body, inputs) = inputs(call)?;
    let id_property = body["idProperty"].as_str();
    if let Some(property) = id_property {
        unique_or_refuse(kind, property)?;
    }
    let wanted: Vec<&str> =
        body["properties"].as_array().into_iter().flatten().filter_map(|property| property.as_str()).collect();
    let (mut results, mut absent) = (vec![], vec![]);
    for input in &inputs {
        let Some(id) = input["id"].as_str() else { return Err(malformed("id is not a string".into())) };
        let found = match id_property {
            None => kind.followed(id),
            Some(property) => kind.by_unique(property, id).and_then(|id| kind.live(&id.to_string())),
        };
        match found {
            Some(object) => results.push(objects::read_json(kind, object, &wanted)),
            None => absent.push(id.to_owned()),
        }
    }
    let errors = if absent.is_empty() { vec![] } else { vec![missing(kind, absent).item()] };
    Ok(answer(call, dialect, 200, results, errors))
}

pub(super) fn archive(kind: &mut ObjectType, call: &Call) -> Outcome<Answer> {
    let (_, inputs) = inputs(call)?;
    for input in &inputs {
        objects::archive(kind, input["id"].as_str().unwrap_or_default(), call.now);
    }
    Ok(Answer::empty(204))
}
