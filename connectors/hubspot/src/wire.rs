//! `step`: from operations and the replies so far to the next request, or to receipts.
//!
//! Every exchange is replayed from its first reply each time, so the order of requests is a function of operations and
//! replies alone and nothing is kept between calls. All that HubSpot is told here is harmless when told twice: reads,
//! updates by id, upserts by our own unique property, creation of schema after a read. A lost answer is therefore a
//! reason to send again, never to guess.
//!
//! Deliberately not here: counting retries, waiting, splitting batches, tokens. The shell does these.

mod batch;
mod companies;
mod encode;
mod exchange;
mod find;
mod reason;
mod schema;

use vitalsync_core::connector::{ACCOUNT, Operation, Outcome, Receipt, Reply, Step};

use crate::HubSpot;
use crate::plan::{GROUP, MATCH, PROPERTY, UPDATE};
use exchange::{Exchange, Got};

/// Says what to do next; see [`vitalsync_core::Connector::step`].
pub(crate) fn step(hubspot: &HubSpot, operations: &[Operation], replies: &[Reply]) -> Step {
    let mut exchange = Exchange::new(operations, replies);
    let outcomes = match operations.first().map(|operation| operation.batch_key.as_str()) {
        Some(ACCOUNT) => account(hubspot, &mut exchange, operations),
        Some(GROUP) => schema::groups(hubspot, &mut exchange, operations),
        Some(PROPERTY) => schema::properties(hubspot, &mut exchange, operations),
        Some(UPDATE | MATCH) => companies::companies(hubspot, &mut exchange, operations),
        Some(_) => Err(Step::Reject { why: "this connector has no such operation".into() }),
        None => Ok(Vec::new()),
    };
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
