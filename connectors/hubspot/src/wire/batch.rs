//! Reading a batch's answer: which inputs HubSpot confirmed, which it refused, and which it passed over in silence.
//!
//! HubSpot lists refusals in `errors` of a 207 (`v3`, `2026-03`) or of a plain 200 (`2026-09`), so every 2xx is read
//! alike. A 2xx that names neither result nor error for an input has been seen in the wild and confirms nothing.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use vitalsync_core::connector::Step;

use super::exchange::unreadable;
use super::reason::texts;

/// An answer's two lists.
pub(super) struct Answered<'a> {
    /// What was done.
    pub results: &'a [Json],
    /// What was refused.
    pub errors: &'a [Json],
}

impl<'a> Answered<'a> {
    /// Reads the lists; an answer with neither says nothing.
    pub fn read(json: &'a Json) -> Result<Self, Step> {
        let list = |name: &str| json.get(name).and_then(Json::as_array).map(Vec::as_slice);
        match (list("results"), list("errors")) {
            (None, None) => Err(unreadable()),
            (results, errors) => Ok(Self { results: results.unwrap_or_default(), errors: errors.unwrap_or_default() }),
        }
    }
}

/// A result's record id, which HubSpot writes as text.
pub(super) fn id(result: &Json) -> Option<String> {
    match result.get("id") {
        Some(Json::String(id)) if !id.is_empty() => Some(id.clone()),
        Some(Json::Number(id)) => Some(id.to_string()),
        _ => None,
    }
}

/// A result's property, where it has a value.
pub(super) fn property<'a>(result: &'a Json, name: &str) -> Option<&'a str> {
    result.get("properties")?.get(name)?.as_str().filter(|value| !value.is_empty())
}

/// What became of one input.
pub(super) enum Fate<'a> {
    /// Confirmed, for this record.
    Confirmed(String),
    /// Refused, for this reason.
    Refused(&'a Json),
    /// Neither: not confirmed.
    Silent,
}

/// One input, by everything that an answer may call it.
pub(super) struct Input<'a> {
    /// Its trace id, unique in the request.
    pub trace: String,
    /// Its `id`: the record's, or the value of our own property.
    pub id: &'a str,
}

/// What became of each input. `of_result` says which input's `id` a result answers, where it has no trace id.
pub(super) fn fates<'a>(
    answered: &Answered<'a>,
    inputs: &[Input<'_>],
    of_result: impl Fn(&Json) -> Option<String>,
) -> Vec<Fate<'a>> {
    let trace_of = |json: &Json| json.get("objectWriteTraceId").and_then(Json::as_str).map(str::to_owned);
    let mut by_trace: BTreeMap<String, &Json> = BTreeMap::new();
    let mut by_id: BTreeMap<String, &Json> = BTreeMap::new();
    for result in answered.results {
        if let Some(trace) = trace_of(result) {
            by_trace.insert(trace, result);
        }
        if let Some(id) = of_result(result) {
            by_id.insert(id, result);
        }
    }
    let mut refused: BTreeMap<&str, &Json> = BTreeMap::new();
    let mut refused_ids: BTreeMap<&str, &Json> = BTreeMap::new();
    for error in answered.errors {
        let context = error.get("context");
        let traces = texts(context.and_then(|context| context.get("objectWriteTraceId")));
        for trace in &traces {
            refused.insert(trace, error);
        }
        if traces.is_empty() {
            for id in texts(context.and_then(|context| context.get("ids"))).into_iter().chain(texts(error.get("id"))) {
                refused_ids.insert(id, error);
            }
        }
    }
    let only = inputs.len() == 1;
    inputs
        .iter()
        .map(|input| {
            let error = refused.get(input.trace.as_str()).or_else(|| refused_ids.get(input.id));
            // With one input an error or a result without a name can only mean that one.
            let error = error.copied().or_else(|| answered.errors.first().filter(|_| only));
            if let Some(error) = error {
                return Fate::Refused(error);
            }
            let nameless = |result: &&Json| only && trace_of(result).is_none() && of_result(result).is_none();
            let result = by_trace.get(&input.trace).or_else(|| by_id.get(input.id)).copied();
            let result = result.or_else(|| answered.results.first().filter(nameless));
            match result.and_then(id) {
                Some(id) => Fate::Confirmed(id),
                None => Fate::Silent,
            }
        })
        .collect()
}
