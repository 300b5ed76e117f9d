//! What is said to Intercom and what its answers mean.
//!
//! Every step replays the conversation from the beginning: [`Exchange::ask`] hands out the reply to a request, or
//! interrupts with the request that has none yet. So the code reads top to bottom, like the conversation. Nothing is
//! remembered between steps, and nothing here waits or counts attempts: that is the shell's.
//!
//! Every request may be repeated: an update or a tag twice is one, and a second creation answers 409 with the id.

mod attributes;
mod contacts;
mod encode;
mod exchange;
mod reason;
mod tags;

use serde_json::Value as Json;
use vitalsync_core::connector::{ACCOUNT, Method, Operation, Outcome, Receipt, Reply, Step};

use crate::{ATTRIBUTE, CONTACT, Intercom, TAG};
use exchange::{Exchange, Next, reject, retry};

pub(crate) fn step(intercom: &Intercom, operations: &[Operation], replies: &[Reply]) -> Step {
    let mut exchange = Exchange::new(operations, replies);
    let next = match operations {
        [] => Ok(Step::Done(Vec::new())),
        [first, ..] if first.batch_key == ATTRIBUTE => attributes::attributes(operations, &mut exchange),
        [one] => match one.batch_key.as_str() {
            ACCOUNT => account(one, &mut exchange),
            TAG => tags::tag(one, &mut exchange),
            CONTACT => contacts::contact(intercom, one, &mut exchange),
            _ => reject(format!("nothing is known of {}", one.title)),
        },
        _ => Err(Box::new(Step::Split { why: "these are sent one at a time".into() })),
    };
    next.unwrap_or_else(|step| *step)
}

fn finished(operation: &Operation, outcome: Outcome) -> Step {
    Step::Done(vec![Receipt { slot: operation.slot.clone(), outcome }])
}

fn account(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let answer = exchange.ask(Method::Get, "/me".into(), None)?;
    let me = exchange.object(answer)?;
    match me.pointer("/app/id_code").and_then(Json::as_str).filter(|code| !code.is_empty()) {
        Some(code) => Ok(finished(operation, Outcome::Done { remote_id: Some(code.into()) })),
        None => retry(None, "Intercom did not name the workspace"),
    }
}
