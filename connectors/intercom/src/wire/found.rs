//! Answers to the questions whether Intercom still holds what it confirmed.
//!
//! Many records are looked at in one request where Intercom lists them. But a list may be some minutes old, and does not have
//! everybody in it: it only confirms. What it shows otherwise, or not at all, is read by itself before anything is said of it.

pub(super) mod companies;
pub(super) mod contacts;

use serde_json::Value as Json;
use vitalsync_core::Value;
use vitalsync_core::connector::Outcome;

use super::encode::differs;
use super::exchange::{Next, retry};
use super::tags::listed;
use crate::Intercom;

/// What a single record came to, where it is not there.
fn gone(why: &str) -> Outcome {
    Outcome::Gone { why: why.into() }
}

/// True if a record holds what we told it.
fn is_as_told(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Found { differs, .. } if differs.is_empty())
}

/// The names of a company's tags, in small letters.
pub(super) fn company_tags(company: &Json) -> Next<Vec<String>> {
    match company.get("tags") {
        Some(tags) => Ok(listed(tags)?.into_iter().map(|(_, name)| name).collect()),
        None => retry(None, "Intercom did not list the company's tags"),
    }
}

/// What an attribute of a record holds, where it is not what we told it.
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
