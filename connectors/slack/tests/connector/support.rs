//! What the tests of this crate share: configs from JSON, a sample alert, and how a step reads as a line of text.

use serde_json::Value as Json;
use vitalsync_core::Connector;
use vitalsync_core::alert::{Alert, What};
use vitalsync_core::connector::{Answer, Outcome, Reply, Step};
use vitalsync_core::expr::Scopes;
use vitalsync_core::section::{Faults, Node};
use vitalsync_core::{Day, Timestamp, Type};

/// When every answer of the tests arrives: 2026-08-13T12:00:00Z.
pub const NOW: Timestamp = Timestamp(1_786_622_400_000);

/// Names as the core makes them known, as far as the tests need them.
pub fn scopes() -> Scopes {
    let mut scopes = Scopes::default();
    scopes.account.name("health.score", Type::Number);
    scopes.account.name("last_active", Type::Time);
    scopes.account.words("health.band", &["healthy", "normal", "at_risk"]);
    scopes.account.name("segments.vip", Type::Bool);
    scopes.account.words("activation.missing_step", &["invited_team"]);
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
    let connector = (vitalsync_slack::SLACK.read)(&Node::from_json(config), &scopes(), &mut faults);
    let broken = faults.any_error();
    connector.filter(|_| !broken).ok_or_else(|| faults.into_lines().join("\n"))
}

/// The config of the cases.
pub fn config() -> Json {
    serde_json::json!({
        "type": "slack",
        "token": "t",
        "alerts": { "score_drop": { "drop": 15, "for": "traits.plan == \"team\"", "to": "#cs-alerts" } },
    })
}

/// An alert with everything in it.
pub fn alert() -> Alert {
    Alert {
        occasion: "0a1b".into(),
        rule: "score_drop".into(),
        account: "acme".into(),
        user: None,
        name: "Acme & Söhne <!channel>".into(),
        to: "#cs-alerts".into(),
        fallback: None,
        reply_to: None,
        severity: 123.0,
        body: None,
        links: Vec::new(),
        what: What::Moved { from_score: 63.2, from_day: Day(20_670), threshold: 15.0, within_days: 7 },
        score: Some(39.6),
        band: Some("at_risk".into()),
        reasons: vec!["Report Shared: 2, was 14".into(), "3 of 5 users stopped\n> quoted".into()],
        last_active: Some(NOW.plus_ms(-9 * 86_400_000)),
        at: NOW,
    }
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
