//! What the tests of this crate share: configs from JSON, a known contact, and how a step reads as a line of text.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use vitalsync_core::Connector;
use vitalsync_core::connector::{Answer, Known, Operation, Outcome, Reply, Step, Wanted};
use vitalsync_core::expr::Scopes;
use vitalsync_core::mapping::WantedRecord;
use vitalsync_core::section::{Faults, Node};
use vitalsync_core::{Timestamp, Type};

/// When every answer of the tests arrives: 2026-08-13T12:00:00Z.
pub const NOW: Timestamp = Timestamp(1_786_622_400_000);

/// Names as the core makes them known, as far as the tests need them.
pub fn scopes() -> Scopes {
    let mut scopes = Scopes::default();
    scopes.account.name("health.score", Type::Number);
    scopes.account.name("last_active", Type::Time);
    scopes.account.words("health.band", &["healthy", "normal", "at_risk"]);
    scopes.account.name("renewal", Type::Date);
    scopes.account.open("traits");
    scopes.account.name("account", Type::Text);
    let mut user = vitalsync_core::expr::Scope::default();
    scopes.account.nest_into("account", &mut user);
    user.name("user.id", Type::Text);
    user.name("account.id", Type::Text);
    user.open("user.traits");
    scopes.user = user;
    scopes
}

/// The connector of a section, or its faults, one line each.
pub fn read(config: &Json) -> Result<Box<dyn Connector>, String> {
    let mut faults = Faults::default();
    let connector = (vitalsync_intercom::INTERCOM.read)(&Node::from_json(config), &scopes(), &mut faults);
    let broken = faults.any_error();
    connector.filter(|_| !broken).ok_or_else(|| faults.into_lines().join("\n"))
}

/// The config of the cases.
pub fn config() -> Json {
    serde_json::json!({
        "type": "intercom",
        "token": "t",
        "companies": {
            "missing": "create",
            "attributes": { "score": "health.score", "renewal": "renewal", "band": "health.band" },
            "tag_groups": {
                "health": {
                    "Health: at risk": "health.band == \"at_risk\"",
                    "Health: healthy": "health.band == \"healthy\"",
                },
            },
        },
        "contacts": {
            "missing": "create",
            "name": "user.traits.name",
            "attributes": {
                "health_score": "account.health.score",
                "last_active": "account.last_active",
                "plan": "account.traits.plan",
            },
            "tag_groups": {
                "health": {
                    "Health: at risk": "account.health.band == \"at_risk\"",
                    "Health: healthy": "account.health.band == \"healthy\"",
                },
                "stage": { "Trial": "account.traits.plan == \"trial\"" },
            },
        },
    })
}

/// What the config asks for.
pub fn wanted(records: Vec<WantedRecord>) -> Wanted {
    Wanted { records, ..Wanted::default() }
}

/// Confirms every operation, as the shell does when all goes well.
pub fn confirm_all(operations: &[Operation], known: &mut Known) {
    for operation in operations {
        known.confirm(operation, &Outcome::Done { remote_id: Some(format!("id of {}", operation.slot)) });
    }
}

/// Fills in what the shell fills in before `step`.
pub fn fill(operations: &mut [Operation], known: &Known) {
    for operation in operations {
        for need in &operation.needs {
            if let Some(id) = known.remote_id(&need.slot) {
                operation.refs.insert(need.slot.clone(), id.into());
            }
        }
    }
}

/// What operations are about.
pub fn slots(operations: &[Operation]) -> Vec<&str> {
    operations.iter().map(|operation| operation.slot.as_str()).collect()
}

/// Operations as the shell sends them: those of one batch key together.
pub fn batches(connector: &dyn Connector, operations: Vec<Operation>) -> Vec<Vec<Operation>> {
    let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        by_key.entry(operation.batch_key.clone()).or_default().push(operation);
    }
    let cut = |(key, operations): (String, Vec<Operation>)| {
        operations.chunks(connector.batch_size(&key)).map(<[Operation]>::to_vec).collect::<Vec<_>>()
    };
    by_key.into_iter().flat_map(cut).collect()
}

/// An answer that arrives now.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply::Answer(Answer { status, headers, body: body.into(), at: NOW })
}

/// A step as one line: `>` sends, `=` is how it ended.
pub fn shown(step: &Step) -> String {
    match step {
        Step::Send(request) => {
            let body = request.body.as_deref().map(|body| format!(" {body}")).unwrap_or_default();
            format!("> {} {}{body}", request.method.as_str(), request.path)
        }
        Step::Done(receipts) => {
            let receipts = receipts.iter().map(|receipt| match &receipt.outcome {
                Outcome::Done { remote_id } => format!("{} is {}", receipt.slot, remote_id.as_deref().unwrap_or("–")),
                Outcome::Found { differs, .. } => format!("{} found, differs {differs:?}", receipt.slot),
                Outcome::Partly { why, .. } => format!("{} partly: {why}", receipt.slot),
                Outcome::Gone { why } => format!("{} gone: {why}", receipt.slot),
                Outcome::Absent { why } => format!("{} absent: {why}", receipt.slot),
                Outcome::Rejected { why } | Outcome::Refused { why } => format!("{} rejected: {why}", receipt.slot),
            });
            format!("= done; {}", receipts.collect::<Vec<_>>().join("; "))
        }
        Step::Retry { after, why } => {
            format!("= retry{}: {why}", after.map(|after| format!(" after {after:?}")).unwrap_or_default())
        }
        Step::Split { why } => format!("= split: {why}"),
        Step::Reject { why } => format!("= reject: {why}"),
        Step::Conflict { why } => format!("= conflict: {why}"),
        Step::Missing { slots, why } => format!("= missing {}: {why}", slots.join(" ")),
        Step::NeedsLogin { why } => format!("= needs login: {why}"),
    }
}
