//! Posts to an incoming webhook: one channel, which its address decides, no ids, no threads, nothing to read back.
//!
//! Its errors are plain text, and which status comes with which is not documented, so they are told apart by their words.

use super::*;
use crate::{BLOCKS, TEXT};

pub(super) fn alert(operation: &Operation, delivery: Delivery, replies: &[Reply]) -> Next<Step> {
    let field = |name: &str| operation.fields.get(name).and_then(|change| change.new.as_text());
    let blocks = field(BLOCKS).and_then(|blocks| serde_json::from_str::<Json>(blocks).ok());
    let (Some(text), Some(blocks)) = (field(TEXT), blocks) else { return reject("the alert is not complete") };
    let unclear = |why: &str| Err(Box::new(delivery.in_doubt(operation, why)));
    let body = json!({ "text": text, "blocks": blocks });
    // Its one channel, whichever that is.
    let pool = Pool { name: "post", key: Some("webhook".into()) };
    let answer = delivery.answer(operation, replies, send(Method::Post, String::new(), Some(body), pool))?;
    let said = answer.body.trim();
    let json = answer.json();
    match said {
        "ok" if answer.status < 300 => return Ok(done(operation, None)),
        "rate_limited" | "ratelimited" => return patient(answer, &json),
        "invalid_token" | "no_active_hooks" | "no_service" | "no_service_id" | "no_team" | "team_disabled" => {
            return login(format!("Slack does not take the webhook ({said}): make a new one and set `webhook`"));
        }
        "channel_not_found"
        | "channel_is_archived"
        | "action_prohibited"
        | "posting_to_general_channel_denied"
        | "user_not_found" => {
            return reject(format!(
                "the webhook can't post to its channel ({said}): see to the channel, or make a new webhook"
            ));
        }
        "invalid_payload" | "no_text" | "too_many_attachments" | "invalid_blocks" => {
            return reject(format!("Slack refused the message ({said})"));
        }
        _ => {}
    }
    match answer.status {
        429 => patient(answer, &json),
        408 | 423 | 477 | 500.. => unclear(&format!("Slack answered {}", answer.status)),
        400..=499 => reject(format!("Slack refused the message (http {}: {})", answer.status, word(said))),
        _ => unclear(&format!("Slack answered {} without `ok`", answer.status)),
    }
}

fn patient(answer: &Answer, body: &Json) -> Next<Step> {
    retry(Some(patience(answer, body).unwrap_or(DEFAULT_WAIT)), "Slack asks for patience")
}
