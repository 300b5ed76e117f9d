//! What the tests of this crate share: configs from JSON, and how a step reads as a line of text.

use serde_json::Value as Json;
use vitalsync_core::connector::{Answer, Outcome, Reply, Step};
use vitalsync_core::expr::Scopes;
use vitalsync_core::section::{Faults, Node};
use vitalsync_core::{Connector, Timestamp, Type};

/// Names as the core makes them known, as far as the tests need them.
pub fn scopes() -> Scopes {
    let mut scopes = Scopes::default();
    scopes.account.name("account", Type::Text);
    scopes.account.name("health.score", Type::Number);
    scopes.account.name("last_active", Type::Time);
    scopes.account.open("traits");
    let mut user = vitalsync_core::expr::Scope::default();
    scopes.account.nest_into("account", &mut user);
    user.name("user.id", Type::Text);
    user.open("user.traits");
    scopes.user = user;
    scopes
}

/// The connector of a section, or its faults, one line each.
pub fn read(config: &Json) -> Result<Box<dyn Connector>, String> {
    let mut faults = Faults::default();
    let connector = (vitalsync_webhook::WEBHOOK.read)(&Node::from_json(config), &scopes(), &mut faults);
    let broken = faults.any_error();
    connector.filter(|_| !broken).ok_or_else(|| faults.into_lines().join("\n"))
}

/// An answer.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply::Answer(Answer { status, headers, body: body.into(), at: Timestamp(0) })
}

/// A step as one line: `>` sends, `=` is how it ended.
pub fn shown(step: &Step) -> String {
    match step {
        Step::Send(request) => {
            let key = request.headers.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
            format!("> {}{key} {}", request.method.as_str(), request.body.as_deref().unwrap_or_default())
        }
        Step::Done(receipts) => {
            let receipts = receipts.iter().map(|receipt| match &receipt.outcome {
                Outcome::Done { remote_id } => format!("{} is {}", receipt.slot, remote_id.as_deref().unwrap_or("–")),
                Outcome::Rejected { why } => format!("{} rejected: {why}", receipt.slot),
                other => format!("{} {other:?}", receipt.slot),
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
