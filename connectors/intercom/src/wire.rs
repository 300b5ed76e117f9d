//! What is said to Intercom and what its answers mean.
//!
//! Every step replays the conversation from the beginning: [`Exchange::ask`] hands out the reply to a request, or
//! interrupts with the request that has none yet. So the code reads top to bottom, like the conversation. Nothing is
//! remembered between steps, and nothing here waits or counts attempts: that is the shell's.
//!
//! Every request may be repeated: an update or a tag twice is one, a company is created by its own id, and a second creation
//! of a contact answers 409.

mod attributes;
mod companies;
mod company_tags;
mod contacts;
mod encode;
mod exchange;
mod found;
mod membership;
pub(crate) mod open;
mod reason;
mod tag_lists;
mod tags;

use serde_json::Value as Json;
use vitalsync_core::connector::{ACCOUNT, Method, Operation, Outcome, Receipt, Reply, Step};

use crate::{
    ASKED_ATTRIBUTES, ATTRIBUTE, COMPANY, COMPANY_TAGS, CONTACT, Intercom, MEMBERSHIP, READ_COMPANY, READ_CONTACT,
    READ_TAG, TAG, TAGGED_CONTACT,
};
use exchange::{Exchange, Next, reject, retry};

pub(crate) fn step(intercom: &Intercom, operations: &[Operation], replies: &[Reply]) -> Step {
    let mut exchange = Exchange::new(intercom, operations, replies);
    let outcomes = match operations {
        [] => Ok(Vec::new()),
        [first, ..] => match first.batch_key.as_str() {
            ATTRIBUTE | ASKED_ATTRIBUTES => attributes::ensure(operations, &mut exchange),
            COMPANY_TAGS => company_tags::write(intercom, operations, &mut exchange),
            CONTACT | TAGGED_CONTACT => contacts::write(intercom, operations, &mut exchange),
            READ_TAG => tags::find(operations, &mut exchange),
            READ_CONTACT => found::contacts::read(intercom, operations, &mut exchange),
            READ_COMPANY => found::companies::read(intercom, operations, &mut exchange),
            _ if operations.len() > 1 => Err(Box::new(Step::Split { why: "these are sent one at a time".into() })),
            ACCOUNT => account(&mut exchange),
            TAG => tags::ensure(first, &mut exchange),
            COMPANY => companies::write(intercom, first, &mut exchange),
            MEMBERSHIP => membership::attach(first, &mut exchange),
            _ => reject(format!("nothing is known of {}", first.title)),
        },
    };
    let receipt = |(operation, outcome): (&Operation, Outcome)| Receipt { slot: operation.slot.clone(), outcome };
    match outcomes {
        Ok(outcomes) => Step::Done(operations.iter().zip(outcomes).map(receipt).collect()),
        Err(step) => *step,
    }
}

/// Whose account it is: the workspace's id.
fn account(exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let answer = exchange.ask(Method::Get, "/me".into(), None)?;
    let me = exchange.object(answer)?;
    match me.pointer("/app/id_code").and_then(Json::as_str).filter(|code| !code.is_empty()) {
        Some(code) => Ok(vec![Outcome::Done { remote_id: Some(code.into()) }]),
        None => retry(None, "Intercom did not name the workspace"),
    }
}
