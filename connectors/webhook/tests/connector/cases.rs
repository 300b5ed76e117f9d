//! Conversations as text: `config` the section, `known` slots with their fields, `record` one wanted record as `kind/id {fields}`,
//! `alert` what differs from an alert that everything is known of, or `account` the question whose account it is; `<` a reply,
//! `>` and `=` the steps that must follow.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};
use vitalsync_cases::{conversation, hold};
use vitalsync_core::Value;
use vitalsync_core::alert::Alert;
use vitalsync_core::connector::{Known, Step, Wanted, account_operation};
use vitalsync_core::mapping::WantedRecord;

use crate::support;

fn fields(json: &Json) -> BTreeMap<String, Value> {
    json.as_object().expect("fields").iter().map(|(name, value)| (name.clone(), Value::from_json(value))).collect()
}

fn record(text: &str) -> WantedRecord {
    let (slot, json) = text.split_once(' ').expect("a slot and fields");
    let (kind, subject) = slot.split_once('/').expect("a kind and an id");
    WantedRecord {
        kind: if kind == "user" { "user" } else { "account" },
        subject: subject.to_owned(),
        keys: Vec::new(),
        create: None,
        fields: fields(&serde_json::from_str(json).expect("fields as JSON")),
        tags: BTreeMap::new(),
    }
}

fn alert(text: &str) -> Alert {
    let mut alert = json!({
        "occasion": "0a1b", "rule": "score_drop", "account": "acme", "name": "Acme \"&\" Söhne", "to": "", "score": 39.6,
        "band": "at_risk", "reasons": ["Report Shared: 2, was 14"], "last_active": 1_785_844_800_000_i64,
        "at": 1_786_622_400_000_i64, "links": [["CRM", "https://crm.example/1"]],
    });
    let given: serde_json::Map<String, Json> = serde_json::from_str(text).expect("an alert as JSON");
    alert.as_object_mut().expect("an object").extend(given);
    serde_json::from_value(alert).expect("an alert as the state keeps it")
}

/// What is asked, with the headers in the place of the path, which is the config's.
fn shown(step: &Step) -> String {
    let Step::Send(request) = step else { return vitalsync_cases::shown(step) };
    let headers: String = request.headers.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("> {}{headers} {}", request.method.as_str(), request.body.as_deref().unwrap_or_default())
}

/// What the lines of a case come to.
fn run(written: &str) -> String {
    let lines = |name: &'static str| written.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '));
    let config = lines("config").next().unwrap_or(r#"{"accounts": {"fields": {"score": "health.score"}}}"#);
    let connector = support::read(&serde_json::from_str(config).expect("a config")).expect("a good config");
    let mut known = Known::default();
    for line in lines("known") {
        let told = record(line);
        known.records.entry(format!("{}/{}", told.kind, told.subject)).or_default().fields = told.fields;
    }
    let (records, alerts) = (lines("record").map(record).collect(), lines("alert").map(alert).collect());
    let mut operations = connector.plan(&Wanted { records, alerts, ..Wanted::default() }, &known);
    if written.lines().any(|line| line == "account") {
        operations.push(account_operation());
    }
    conversation(&*connector, &operations, written, shown)
}

#[test]
fn every_case_is_answered_as_written() {
    hold(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"), 12, run);
}
