//! HubSpot's search: an index of its own that lags behind, filters, and hard limits.
//!
//! Deliberately not here: associations in filters, custom objects, and the exact rules of HubSpot's tokenizer.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::batch::malformed;
use super::store::{Definition, ObjectType};
use super::values::{self, Invalid};
use super::{Outcome, Problem, objects};
use crate::http::{Answer, Call};

pub(super) fn search(kind: &ObjectType, call: &Call, lag_ms: i64) -> Outcome<Answer> {
    let body = call.json().map_err(malformed)?;
    if call.request.body.len() > 3000 {
        return Err(Problem::invalid("The search request body is too long (more than 3000 characters)"));
    }
    let limit = match body.get("limit") {
        None | Some(Value::Null) => 10,
        Some(limit) => limit
            .as_u64()
            .filter(|limit| (1..=200).contains(limit))
            .ok_or_else(|| Problem::invalid("limit must be between 1 and 200"))?,
    } as usize;
    let after = match body.get("after") {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) => text.parse().map_err(|_| malformed(format!("after: {text}")))?,
        Some(other) => other.as_u64().ok_or_else(|| malformed(format!("after: {other}")))?,
    } as usize;
    if after.saturating_add(limit) > 10_000 {
        return Err(Problem::invalid("There are more than 10000 results: cannot page past them"));
    }
    let groups = filter_groups(kind, &body)?;
    let query = body["query"].as_str().map(str::to_lowercase);
    let mut hits: Vec<_> = kind
        .objects()
        .filter(|object| !object.gone())
        .filter_map(|object| object.indexed(call.now, lag_ms).map(|seen| (object, seen)))
        .filter(|(_, seen)| groups.is_empty() || groups.iter().any(|group| group.iter().all(|one| one.fits(seen))))
        .filter(|(_, seen)| {
            query.as_ref().is_none_or(|query| {
                kind.defaults
                    .iter()
                    .any(|name| seen.get(*name).is_some_and(|value| value.to_lowercase().contains(query)))
            })
        })
        .collect();
    if let Some((property, descending)) = sort(kind, &body)? {
        let numeric = kind.definitions.get(&property).is_some_and(|definition| definition.kind == "number");
        hits.sort_by(|(_, a), (_, b)| {
            let order = match (a.get(&property), b.get(&property)) {
                (Some(a), Some(b)) => compare(a, b, numeric),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            if descending { order.reverse() } else { order }
        });
    }
    let total = hits.len();
    let wanted: Vec<&str> =
        body["properties"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
    let page: Vec<Value> = hits
        .into_iter()
        .skip(after)
        .take(limit)
        .map(|(object, seen)| {
            let mut seen_object = object.clone();
            seen_object.properties = seen.clone();
            objects::read_json(kind, &seen_object, &wanted)
        })
        .collect();
    let mut answer = json!({"total": total, "results": page});
    if after + page.len() < total {
        answer["paging"] = json!({"next": {"after": (after + page.len()).to_string()}});
    }
    Ok(Answer::json(200, &answer).note(format!("{total} found")))
}

fn sort(kind: &ObjectType, body: &Value) -> Outcome<Option<(String, bool)>> {
    let Some(sorts) = body["sorts"].as_array().filter(|sorts| !sorts.is_empty()) else { return Ok(None) };
    let (name, descending) = match &sorts[0] {
        Value::String(name) => (name.trim_start_matches('-').to_owned(), name.starts_with('-')),
        sort => (sort["propertyName"].as_str().unwrap_or_default().to_owned(), sort["direction"] == "DESCENDING"),
    };
    if sorts.len() > 1 || !kind.definitions.contains_key(&name) {
        return Err(Problem::invalid("only one sort, by a known property, is supported"));
    }
    Ok(Some((name, descending)))
}

struct Filter<'a> {
    definition: &'a Definition,
    operator: String,
    value: String,
    high: String,
    values: Vec<String>,
}

fn filter_groups<'a>(kind: &'a ObjectType, body: &Value) -> Outcome<Vec<Vec<Filter<'a>>>> {
    let empty = vec![];
    let groups = body["filterGroups"].as_array().unwrap_or(&empty);
    let sizes: Vec<usize> = groups.iter().map(|group| group["filters"].as_array().map_or(0, Vec::len)).collect();
    if groups.len() > 5 || sizes.iter().any(|size| *size > 6) || sizes.iter().sum::<usize>() > 18 {
        return Err(Problem::invalid("too many filters: at most 5 groups, 6 filters in each, 18 in all"));
    }
    let filters = |group: &Value| {
        group["filters"].as_array().unwrap_or(&empty).iter().map(|filter| read_filter(kind, filter)).collect()
    };
    groups.iter().map(filters).collect()
}

fn read_filter<'a>(kind: &'a ObjectType, filter: &Value) -> Outcome<Filter<'a>> {
    let name = filter["propertyName"].as_str().unwrap_or_default();
    let Some(definition) = kind.definitions.get(name) else {
        let message = format!("Property \"{name}\" does not exist");
        return Err(values::problem(&[Invalid { name: name.into(), error: "PROPERTY_DOESNT_EXIST", message }]));
    };
    let operator = filter["operator"].as_str().unwrap_or_default().to_owned();
    let has = |key: &str| filter.get(key).is_some_and(|value| !value.is_null());
    let complete = match operator.as_str() {
        "EQ" | "NEQ" | "LT" | "LTE" | "GT" | "GTE" | "CONTAINS_TOKEN" | "NOT_CONTAINS_TOKEN" => has("value"),
        "IN" | "NOT_IN" => filter["values"].as_array().is_some_and(|values| !values.is_empty()),
        "BETWEEN" => has("value") && has("highValue"),
        "HAS_PROPERTY" | "NOT_HAS_PROPERTY" => true,
        _ => return Err(malformed(format!("Enum type must be one of: EQ, NEQ, IN, …, not {operator}"))),
    };
    if !complete {
        return Err(Problem::invalid(format!("operator {operator} lacks its value or values")));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values = filter["values"].as_array().into_iter().flatten().map(text).collect();
    Ok(Filter { definition, operator, value: text(&filter["value"]), high: text(&filter["highValue"]), values })
}

impl Filter<'_> {
    fn fits(&self, seen: &BTreeMap<String, String>) -> bool {
        let Some(value) = seen.get(&self.definition.name) else {
            return matches!(self.operator.as_str(), "NOT_HAS_PROPERTY" | "NEQ" | "NOT_IN" | "NOT_CONTAINS_TOKEN");
        };
        // Texts are indexed in lower case; EQ lower-cases what it is given, IN does not.
        let text = matches!(self.definition.kind.as_str(), "string" | "phone_number");
        let numeric = self.definition.kind == "number";
        let stored = if text { value.to_lowercase() } else { value.clone() };
        let given = if text { self.value.to_lowercase() } else { self.value.clone() };
        let order = || compare(&stored, &given, numeric);
        match self.operator.as_str() {
            "HAS_PROPERTY" => true,
            "EQ" => order() == Ordering::Equal,
            "NEQ" => order() != Ordering::Equal,
            "LT" => order() == Ordering::Less,
            "LTE" => order() != Ordering::Greater,
            "GT" => order() == Ordering::Greater,
            "GTE" => order() != Ordering::Less,
            "BETWEEN" => order() != Ordering::Less && compare(&stored, &self.high, numeric) != Ordering::Greater,
            "IN" => self.values.contains(&stored),
            "NOT_IN" => !self.values.contains(&stored),
            "CONTAINS_TOKEN" => has_token(&stored, &given),
            "NOT_CONTAINS_TOKEN" => !has_token(&stored, &given),
            _ => false,
        }
    }
}

/// Numbers by size; dates and the rest by text, which for dates is by time. Milliseconds count as numbers.
fn compare(a: &str, b: &str, numeric: bool) -> Ordering {
    match (numeric, a.parse::<f64>(), b.parse::<f64>()) {
        (true, Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => match (vitalsync_core::Timestamp::parse(a), b.parse::<i64>()) {
            (Some(time), Ok(ms)) => time.0.cmp(&ms),
            _ => a.cmp(b),
        },
    }
}

/// Whether the words of `wanted` follow each other in `text`; a `*` at either end of a word stands for anything.
fn has_token(text: &str, wanted: &str) -> bool {
    let split = |text: &str, keep: &[char]| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && !keep.contains(&c))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (words, wanted) = (split(text, &[]), split(wanted, &['*']));
    let fits = |word: &String, pattern: &String| {
        let bare = pattern.trim_matches('*');
        match (pattern.starts_with('*'), pattern.ends_with('*')) {
            (true, true) => word.contains(bare),
            (true, false) => word.ends_with(bare),
            (false, true) => word.starts_with(bare),
            (false, false) => word == pattern,
        }
    };
    !wanted.is_empty()
        && words.windows(wanted.len()).any(|window| window.iter().zip(&wanted).all(|(word, one)| fits(word, one)))
}
