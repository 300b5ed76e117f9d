//! Conversations as text. Each file of `cases/` says in its first line why it is there. `config` the section, `known` slots
//! with their fields, `record` one wanted record as `kind/id {fields}`, `alert` what differs from an alert that everything is known
//! of, or `account` the question whose account it is; `<` a
//! reply (status, `name=value` headers, body; or `lost`), `>` and `=` the steps that must follow. `UPDATE=1` rewrites them.

#![expect(clippy::disallowed_methods, reason = "the cases are text files; the crate itself reads none")]

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::alert::Alert;
use vitalsync_core::connector::{Known, Reply, Step, Wanted, account_operation};
use vitalsync_core::mapping::WantedRecord;
use vitalsync_core::{Timestamp, Value};

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

fn reply(text: &str) -> Reply {
    if text == "lost" {
        return Reply::Lost { at: Timestamp(0) };
    }
    let (status, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut headers = Vec::new();
    while let Some((name, after)) =
        rest.split_once('=').filter(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    {
        let (value, after) = after.split_once(' ').unwrap_or((after, ""));
        headers.push((name, value));
        rest = after;
    }
    support::answer(status.parse().expect("a status"), &headers, rest)
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
    let given = written.lines().filter(|line| !line.starts_with(['<', '>', '=']));
    let mut out: Vec<String> = given.map(Into::into).collect();
    let mut replies = Vec::new();
    out.push(support::shown(&connector.step(&operations, &replies)));
    for line in lines("<") {
        replies.push(reply(line));
        let step = connector.step(&operations, &replies);
        out.extend([format!("< {line}"), support::shown(&step)]);
        if !matches!(step, Step::Send(_)) {
            replies.pop();
        }
    }
    out.join("\n") + "\n"
}

#[test]
fn every_case_is_answered_as_written() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("cases").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 12, "cases are missing");
    let mut wrong = Vec::new();
    for file in files {
        let written = std::fs::read_to_string(&file).expect("a case");
        assert!(written.starts_with("# "), "{}: say why", file.display());
        let came = run(&written);
        if came != written {
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&file, &came).expect("a case written");
            }
            wrong.push(format!("{}: this is what came:\n{came}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
