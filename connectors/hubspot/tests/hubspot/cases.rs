//! Conversations as text: `--- name argument` and what belongs to it, from the config and what is wanted to the replies; below
//! `--- expect` the plan, or the steps that must follow.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;
use vitalsync_cases::{answer, hold};
use vitalsync_core::connector::{Known, KnownRecord, Operation, Outcome, Reply, Step, account_operation};
use vitalsync_core::{Connector, Value};

use crate::common;

/// `--- name argument` and the lines below it.
fn sections(text: &str) -> Vec<(&str, &str, String)> {
    let mut sections: Vec<(&str, &str, String)> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("--- ") {
            let (name, argument) = head.split_once(' ').unwrap_or((head, ""));
            sections.push((name, argument, String::new()));
        } else if let Some((_, _, body)) = sections.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    sections
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// `503 retry-after=3`, `lost`; a body that begins with `text` is no JSON.
fn reply(argument: &str, body: &str) -> Reply {
    if argument == "lost" {
        return Reply::Lost { at: vitalsync_cases::NOW };
    }
    let mut words = argument.split(' ');
    let status = words.next().unwrap().parse().unwrap();
    let headers: Vec<(&str, &str)> = words.map(|word| word.split_once('=').unwrap()).collect();
    let body = match body.trim().strip_prefix("text") {
        Some(text) => text.to_owned(),
        None if body.trim().is_empty() => String::new(),
        None => json(body).to_string(),
    };
    answer(status, &headers, body)
}

fn known_from(connector: &dyn Connector, body: &str) -> Known {
    let mut known = common::with_schema(connector);
    for (slot, record) in json(body).as_object().unwrap() {
        let fields = record["fields"].as_object().into_iter().flatten();
        let record = KnownRecord {
            remote_id: record["id"].as_str().map(str::to_owned),
            fields: fields.map(|(name, value)| (name.clone(), Value::from_json(value))).collect(),
            absent: record["absent"] == true,
            gone: record["gone"] == true,
            instead_of: record["instead_of"]
                .as_str()
                .map(|id| Box::new(KnownRecord { remote_id: Some(id.to_owned()), ..KnownRecord::default() })),
        };
        known.records.insert(slot.clone(), record);
    }
    known
}

fn planned(operations: &[Operation]) -> String {
    let mut out = String::new();
    for operation in operations {
        write!(out, "{} [{}] {}", operation.slot, operation.batch_key, operation.title).unwrap();
        for key in &operation.keys {
            write!(out, ", by {} {}", key.by, key.value).unwrap();
        }
        for (name, value) in operation.create.iter().flatten() {
            write!(out, ", new {name}: {value}").unwrap();
        }
        for (name, change) in &operation.fields {
            write!(out, ", {name}: {} → {}", change.old, change.new).unwrap();
        }
        for need in &operation.needs {
            write!(out, ", needs {}{}", need.slot, need.field.as_ref().map_or("", |_| " (field)")).unwrap();
        }
        out.push('\n');
    }
    out
}

fn said(step: &Step) -> String {
    match step {
        Step::Send(request) => {
            let body = request.body.as_deref().map(|body| format!("\n  {body}")).unwrap_or_default();
            format!("{} {} ({}){body}\n", request.method.as_str(), request.path, request.pool.name)
        }
        Step::Done(receipts) => receipts
            .iter()
            .map(|receipt| match &receipt.outcome {
                Outcome::Done { remote_id } => {
                    format!("done {} {}\n", receipt.slot, remote_id.as_deref().unwrap_or("-"))
                }
                Outcome::Partly { remote_id, refused, why } => {
                    let (id, refused) =
                        (remote_id.as_deref().unwrap_or("-"), refused.iter().cloned().collect::<Vec<_>>());
                    format!("done {} {id} without {}: {why}\n", receipt.slot, refused.join(", "))
                }
                Outcome::Found { remote_id, differs } => {
                    let differs: Vec<String> =
                        differs.iter().map(|(name, held)| format!(", {name} is {held}")).collect();
                    format!("found {} {}{}\n", receipt.slot, remote_id.as_deref().unwrap_or("-"), differs.concat())
                }
                Outcome::Gone { why } => format!("gone {}: {why}\n", receipt.slot),
                Outcome::Absent { why } => format!("absent {}: {why}\n", receipt.slot),
                Outcome::Rejected { why } => format!("rejected {}: {why}\n", receipt.slot),
                Outcome::Refused { why } => format!("refused {}: {why}\n", receipt.slot),
            })
            .collect(),
        Step::Retry { after, why } => match after {
            Some(after) => format!("retry after {} s: {why}\n", after.as_secs_f64()),
            None => format!("retry: {why}\n"),
        },
        Step::Split { why } => format!("split: {why}\n"),
        Step::Reject { why } => format!("reject: {why}\n"),
        Step::Conflict { why } => format!("conflict: {why}\n"),
        Step::Missing { slots, why } => format!("missing {}: {why}\n", slots.join(" ")),
        Step::NeedsLogin { why } => format!("needs login: {why}\n"),
    }
}

fn run(text: &str) -> String {
    let sections = sections(text);
    let get = |name: &str| sections.iter().find(|(n, _, _)| *n == name);
    let config = get("config").map(|(_, version, body)| (*version, json(body)));
    let (version, companies) = config.unwrap_or(("", serde_json::json!({"properties": {"score": "health.score"}})));
    let version = if version.is_empty() { "2026-09" } else { version };
    let mut section = serde_json::json!({"type": "hubspot", "api_version": version});
    if !companies.is_null() {
        section["companies"] = companies;
    }
    if let Some((_, _, body)) = get("contacts") {
        section["contacts"] = json(body);
    }
    let (connector, faults) = common::read(&section);
    let connector = connector.unwrap_or_else(|| panic!("{faults:?}"));
    let known = get("known").map_or_else(Known::default, |(_, _, body)| known_from(&*connector, body));
    let accounts = get("accounts").map_or_else(Vec::new, |(_, _, body)| body.lines().map(json).collect());
    let wanted = common::wanted(&*connector, &accounts);
    let mut operations = connector.plan(&wanted, &known);
    if get("ask").is_some() {
        operations = match get("ask").is_some_and(|(_, what, _)| *what == "read back") {
            true => connector.read_back(&known),
            false => connector.inspect().into_iter().map(|(_, question)| question).collect(),
        };
    }
    let mut out = String::new();
    let Some((_, key, _)) = get("batch") else { return planned(&operations) };
    let operations = match *key {
        "account" => vec![account_operation()],
        key => common::batch(&operations, key, connector.batch_size(key)),
    };
    let operations = common::with_refs(operations, &known);
    let mut replies = Vec::new();
    let mut step = connector.step(&operations, &replies);
    out.push_str(&said(&step));
    for (_, argument, body) in sections.iter().filter(|(name, _, _)| *name == "reply") {
        assert!(
            matches!(step, Step::Send(_) | Step::Retry { .. }),
            "a reply that nothing asked for: {argument}\n{out}"
        );
        if matches!(step, Step::Retry { .. }) {
            replies.pop();
        }
        replies.push(reply(argument, body));
        step = connector.step(&operations, &replies);
        write!(out, "< {argument}\n{}", said(&step)).unwrap();
    }
    out
}

#[test]
fn every_case_is_answered_as_written() {
    hold(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"), 20, |written| {
        let given = written.split_once("--- expect\n").map_or(written, |(given, _)| given);
        format!("{given}--- expect\n{}", run(given))
    });
}
