//! What is sent, and what the receiver's answers mean.
//!
//! One request, one answer: any 2xx takes all of its records, but for those that its body refuses one by one. An answer that
//! speaks of the address rather than of a record (401, 403, 404, 405, 410, a redirect) stops the destination: every other record
//! would fare the same.
//!
//! An alert goes alone, under its occasion. Where its answer does not say whether it was taken, the config says what follows.

use serde_json::Value as Json;
use vitalsync_core::alert::{ALERT, Delivery};
use vitalsync_core::connector::{
    ACCOUNT, Answer, Method, Operation, Outcome, Pool, Receipt, Reply, Request, Step, idempotency_key,
};
use vitalsync_core::quote::unquoted;

use crate::{BODY, Webhook, body};

pub(crate) fn step(webhook: &Webhook, operations: &[Operation], replies: &[Reply]) -> Step {
    if operations.iter().any(|operation| operation.batch_key == ACCOUNT) {
        // Nobody's: an address is all there is to it.
        return done(operations, |_| Outcome::Done { remote_id: None });
    }
    match operations {
        [one] if one.batch_key == ALERT => return alert(webhook, one, replies).unwrap_or_else(|step| *step),
        several if several.iter().any(|operation| operation.batch_key == ALERT) => {
            return Step::Split { why: "alerts are sent one at a time".into() };
        }
        _ => {}
    }
    let bodies: Vec<Result<String, String>> = operations.iter().map(|operation| body::of(webhook, operation)).collect();
    let (mut fit, mut texts) = (Vec::new(), Vec::new());
    for (operation, body) in operations.iter().zip(&bodies) {
        if let Ok(body) = body {
            fit.push(operation.clone());
            texts.push(body.as_str());
        }
    }
    let answer = match replies.first() {
        // Each refused before anything is sent.
        _ if fit.is_empty() => None,
        None => return Step::Send(request(webhook.method, idempotency_key(&fit), list(webhook, &texts))),
        Some(Reply::Lost { .. }) => return retry(None, "the connection broke before the answer came"),
        Some(Reply::Answer(answer)) => Some(answer),
    };
    if let Some(answer) = answer
        && let Some(step) = judged(webhook.method, operations, answer)
    {
        return step;
    }
    let results = answer.map(Answer::json).unwrap_or_default();
    let mut bodies = bodies.into_iter();
    done(operations, |operation| match bodies.next() {
        Some(Err(why)) => Outcome::Rejected { why },
        _ => match refused(&results, operation) {
            Some(why) => Outcome::Rejected { why },
            None => Outcome::Done { remote_id: None },
        },
    })
}

fn alert(webhook: &Webhook, operation: &Operation, replies: &[Reply]) -> Result<Step, Box<Step>> {
    let Some(body) = operation.fields.get(BODY).map(|change| change.new.to_json().to_string()) else {
        return Ok(Step::Reject { why: "the alert is not complete".into() });
    };
    let operations = std::slice::from_ref(operation);
    let send = Step::Send(request(webhook.method, occasion(operation).to_owned(), body));
    let answer = webhook.delivery.answer(operation, replies, send)?;
    Ok(match judged(webhook.method, operations, answer) {
        None => match refused(&answer.json(), operation) {
            Some(why) => Step::Reject { why },
            None => done(operations, |_| Outcome::Done { remote_id: None }),
        },
        // Only what says so was certainly not taken.
        Some(Step::Retry { why, .. })
            if webhook.delivery == Delivery::AtMostOnce && !matches!(answer.status, 423 | 425 | 429 | 477) =>
        {
            webhook.delivery.in_doubt(operation, &why)
        }
        Some(step) => step,
    })
}

/// What an alert is known by; the receiver knows it as its `id`.
fn occasion(operation: &Operation) -> &str {
    operation.slot.split_once('/').map_or("", |(_, occasion)| occasion)
}

fn done(operations: &[Operation], mut outcome: impl FnMut(&Operation) -> Outcome) -> Step {
    let receipt = |operation: &Operation| Receipt { slot: operation.slot.clone(), outcome: outcome(operation) };
    Step::Done(operations.iter().map(receipt).collect())
}

fn retry(answer: Option<&Answer>, why: impl Into<String>) -> Step {
    Step::Retry { after: answer.and_then(Answer::retry_after), why: why.into() }
}

/// One record as it is, several or any of a batch as a list.
fn list(webhook: &Webhook, bodies: &[&str]) -> String {
    match bodies {
        [body] if webhook.batch.is_none() => (*body).to_owned(),
        _ => format!("[{}]", bodies.join(",")),
    }
}

fn request(method: Method, key: String, body: String) -> Request {
    let headers = vec![("Idempotency-Key", key)];
    Request { method, path: String::new(), headers, body: Some(body), pool: Pool::of("hook") }
}

/// What an answer means for all of the records; `None`: they are taken.
fn judged(method: Method, operations: &[Operation], answer: &Answer) -> Option<Step> {
    let status = answer.status;
    let stop = |why: String| Some(Step::NeedsLogin { why });
    match status {
        200..=299 => None,
        300..=399 => stop(format!("the address has moved ({status}): put the new one into `url`")),
        401 | 403 => stop(format!("the receiver refuses access ({status}): check `url`, `secret` and `headers`")),
        404 | 410 => stop(format!("there is nothing at the address ({status}): check `url`")),
        405 => stop(format!("the address does not take {} ({status}): see `method`", method.as_str())),
        408 | 423 | 425 | 429 | 477 => Some(retry(Some(answer), format!("the receiver asks for patience ({status})"))),
        400..=499 => Some(match operations {
            [one] => Step::Reject { why: refusal(&status.to_string(), &answer.json(), one) },
            _ => Step::Split { why: format!("the receiver refused the whole request ({status})") },
        }),
        _ => Some(retry(Some(answer), format!("the receiver answered {status}"))),
    }
}

/// Why `{"results": [{"id": …, "ok": false, "error": …}]}` refuses a record, or an alert.
fn refused(results: &Json, operation: &Operation) -> Option<String> {
    let known_as = if operation.batch_key == ALERT { occasion(operation) } else { &operation.subject };
    let own = |item: &&Json| match item.get("id") {
        Some(Json::String(id)) => id == known_as,
        Some(Json::Number(id)) => id.to_string() == known_as,
        _ => false,
    };
    let mut results = results.get("results")?.as_array()?.iter().filter(own);
    let refused = results.find(|item| item.get("ok") == Some(&Json::Bool(false)))?;
    Some(refusal("in its results", refused, operation))
}

/// A refusal in words: the receiver's own, where they quote nothing of the record.
fn refusal(how: &str, body: &Json, operation: &Operation) -> String {
    let places = ["/error", "/error/message", "/message", "/detail"];
    let text = places.iter().find_map(|place| body.pointer(place)?.as_str()).filter(|text| !text.trim().is_empty());
    match text.map(|text| unquoted(text, operation)) {
        None => format!("the receiver refused it ({how})"),
        Some(None) => format!("the receiver refused it ({how}); what it says quotes the record and is withheld"),
        Some(Some(text)) => format!("the receiver refused it ({how}): {text}"),
    }
}
