//! `step`: from operations and the replies so far to the next request, or to receipts.
//!
//! Every exchange is replayed from its first reply each time, so the order of requests is a function of operations and
//! replies alone and nothing is kept between calls. All that HubSpot is told here is harmless when told twice: reads,
//! updates by id, upserts by our own unique property, creation of schema after a read. A lost answer is therefore a
//! reason to send again, never to guess.
//!
//! Deliberately not here: counting retries, waiting, splitting batches, tokens. The shell does these.

mod again;
mod associations;
mod batch;
mod encode;
mod exchange;
mod find;
mod follow;
mod look;
pub(crate) mod pages;
mod paging;
mod questions;
mod reason;
mod records;
mod schema;

use vitalsync_core::connector::{ACCOUNT, Operation, Outcome, Receipt, Reply, Step};

use crate::HubSpot;
use crate::plan::{ASK, ASSOCIATION, CREATE, GROUP, MATCH, PROPERTY, READ, UPDATE};
use crate::source::Source;
pub(crate) use exchange::rest;
use exchange::{Exchange, Got};

/// Says what to do next; see [`vitalsync_core::Connector::step`].
pub(crate) fn step(hubspot: &HubSpot, operations: &[Operation], replies: &[Reply]) -> Step {
    let mut exchange = Exchange::new(operations, replies);
    settled(operations, outcomes(hubspot, &mut exchange, operations))
}

/// The same for a source, which only asks.
pub(crate) fn ask_source(source: &Source, operations: &[Operation], replies: &[Reply]) -> Step {
    let mut exchange = Exchange::new(operations, replies);
    settled(operations, questions::of_source(source, &mut exchange, operations))
}

fn settled(operations: &[Operation], outcomes: Result<Vec<Outcome>, Step>) -> Step {
    match outcomes {
        Ok(outcomes) => Step::Done(
            operations
                .iter()
                .zip(outcomes)
                .map(|(operation, outcome)| Receipt { slot: operation.slot.clone(), outcome })
                .collect(),
        ),
        Err(step) => step,
    }
}

fn outcomes(hubspot: &HubSpot, exchange: &mut Exchange<'_>, operations: &[Operation]) -> Result<Vec<Outcome>, Step> {
    let Some(first) = operations.first() else { return Ok(Vec::new()) };
    if first.batch_key == ACCOUNT {
        return account(hubspot, exchange, operations);
    }
    let (kind, what) = first.batch_key.split_once(':').unwrap_or_default();
    match (hubspot.section(kind), what) {
        (None, CREATE) if kind == ASSOCIATION => associations::create(hubspot, exchange, operations),
        (None, READ) if kind == ASSOCIATION => associations::read(hubspot, exchange, operations),
        (Some(section), GROUP) => schema::groups(hubspot, section.kind, exchange, operations),
        (Some(section), PROPERTY) => schema::properties(hubspot, section.kind, exchange, operations),
        (Some(section), UPDATE | MATCH) => records::records(hubspot, section, exchange, operations),
        (Some(section), READ) => questions::read_back(hubspot, section, exchange, operations),
        (Some(section), ASK) => questions::ask(hubspot, section.kind, exchange, operations),
        _ => Err(Step::Reject { why: "this connector has no such operation".into() }),
    }
}

/// Whose account the token belongs to: the portal's id.
fn account(hubspot: &HubSpot, exchange: &mut Exchange<'_>, operations: &[Operation]) -> Result<Vec<Outcome>, Step> {
    let json = match exchange.get(format!("/account-info/{}/details", hubspot.version))? {
        Got::Fine(json) => json,
        Got::Refused(refused) => return Err(exchange.refuse(&refused)),
    };
    let id = match json.get("portalId") {
        Some(serde_json::Value::Number(id)) => id.to_string(),
        Some(serde_json::Value::String(id)) if !id.is_empty() => id.clone(),
        _ => return Err(exchange::unreadable()),
    };
    Ok(operations.iter().map(|_| Outcome::Done { remote_id: Some(id.clone()) }).collect())
}
