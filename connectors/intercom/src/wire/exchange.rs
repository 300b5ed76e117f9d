//! One conversation: takes the replies in the order of the requests, and stops where the next request has none yet.
//!
//! What every request has in common is read here: which answers ask for patience, which for a login, which refuse.

use std::time::Duration;

use serde_json::Value as Json;
use vitalsync_core::connector::{Answer, Method, Operation, Pool, Reply, Request, Step};

use super::reason;
use crate::Intercom;

/// No conversation is longer, whatever Intercom answers. The longest, fifty contacts that are found, written, and lose one tag for
/// another, have 150; a dozen are added for each record in a list that is no longer there.
const MOST_REQUESTS: usize = 180;
/// A reset further away than this is not believed: windows have ten seconds, budgets a minute.
const LONGEST_WAIT: i64 = 60;

/// A value, or the step that ends this replay. The step is boxed because it is big and rare.
pub(super) type Next<T> = Result<T, Box<Step>>;

pub(super) fn reject<T>(why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Reject { why: why.into() }))
}

pub(super) fn conflict<T>(why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Conflict { why: why.into() }))
}

pub(super) fn retry<T>(after: Option<Duration>, why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Retry { after, why: why.into() }))
}

/// The conversation so far.
pub(super) struct Exchange<'a> {
    intercom: &'a Intercom,
    replies: std::slice::Iter<'a, Reply>,
    operations: &'a [Operation],
    sent: usize,
}

impl<'a> Exchange<'a> {
    /// A conversation about operations, with the replies so far.
    pub fn new(intercom: &'a Intercom, operations: &'a [Operation], replies: &'a [Reply]) -> Self {
        Self { intercom, replies: replies.iter(), operations, sent: 0 }
    }

    /// The answer to a request: a success, or a refusal that the caller understands better than this does.
    pub fn ask(&mut self, method: Method, path: String, body: Option<Json>) -> Next<&'a Answer> {
        let answer = match self.replies.next() {
            Some(Reply::Answer(answer)) => answer,
            Some(Reply::Lost { .. }) => return retry(None, "the connection broke before the answer came"),
            None if self.sent >= MOST_REQUESTS => return self.smaller("Intercom's answers have no end"),
            None => {
                return Err(Box::new(Step::Send(Request {
                    method,
                    path,
                    headers: vec![
                        ("Intercom-Version", self.intercom.version.clone()),
                        ("Accept", "application/json".into()),
                    ],
                    body: body.map(|body| body.to_string()),
                    pool: Pool::of("api"),
                })));
            }
        };
        self.sent += 1;
        let login = |why: String| Err(Box::new(Step::NeedsLogin { why }));
        match answer.status {
            200..=299 => Ok(answer),
            401 => login(format!(
                "Intercom does not take the token ({}): it is wrong or revoked, or its workspace is in another region than \
                 this destination's (`region: us`, `eu` or `au`)",
                self.said(answer)
            )),
            402 | 403 if reason::code(answer) == Some("api_plan_restricted") => {
                login(format!("the workspace's plan does not let an app {} ({})", permission(&path), self.said(answer)))
            }
            403 => login(format!(
                "Intercom refuses access ({}): check that the app may {}",
                self.said(answer),
                permission(&path)
            )),
            408 | 423 | 429 | 477 => retry(patience(answer), format!("Intercom asks for patience ({})", answer.status)),
            400..=499 => Ok(answer),
            status => retry(patience(answer), format!("Intercom answered {status}")),
        }
    }

    /// What Intercom says about a refusal, fit to print.
    pub fn said(&self, answer: &Answer) -> String {
        reason::of(answer, self.operations)
    }

    /// Tries with fewer; alone, gives up.
    pub fn smaller<T>(&self, why: &str) -> Next<T> {
        match self.operations.len() {
            0 | 1 => reject(why),
            _ => Err(Box::new(Step::Split { why: why.into() })),
        }
    }

    /// The JSON object of a success; the end of this replay for a refusal or for anything else. A success whose body
    /// is no object came from something between us and Intercom and confirms nothing.
    pub fn object(&self, answer: &Answer) -> Next<Json> {
        if !(200..300).contains(&answer.status) {
            return self.refuse(answer);
        }
        match answer.json() {
            // An error that wears the status of a success is none.
            Json::Object(error) if error.get("type").and_then(Json::as_str) == Some("error.list") => {
                self.refuse(answer)
            }
            object @ Json::Object(_) => Ok(object),
            _ => retry(None, format!("Intercom answered {} without a readable body", answer.status)),
        }
    }

    /// Refuses for the reason that Intercom gives. Where an attribute is not there any more, it is looked at anew: it is made again, or
    /// drops out alone with what is said of it then.
    fn refuse<T>(&self, answer: &Answer) -> Next<T> {
        let slots = reason::lost_attributes(answer, self.operations);
        match slots.is_empty() {
            true => reject(format!("Intercom refused: {}", self.said(answer))),
            false => {
                let why = format!("Intercom does not have an attribute any more: {}", self.said(answer));
                Err(Box::new(Step::Missing { slots, why }))
            }
        }
    }

    /// The id in the JSON object of a success.
    pub fn id(&self, answer: &Answer) -> Next<String> {
        match id_of(&self.object(answer)?) {
            Some(id) => Ok(id),
            None => retry(None, format!("Intercom answered {} without an id", answer.status)),
        }
    }
}

/// What the token must be allowed, by the address that refused.
fn permission(path: &str) -> &'static str {
    match path {
        _ if path.starts_with("/data_attributes") => "read and write data attributes",
        _ if path.contains("/tags") => "read and write tags",
        _ if path.starts_with("/tickets") => "read tickets",
        _ if path.starts_with("/conversations") => "read conversations",
        _ if path.contains("/companies") => "read and write companies",
        _ if path.starts_with("/me") => "read its own admin",
        _ => "read and write contacts",
    }
}

/// How long Intercom asks to wait: `Retry-After`, else the end of the window by `X-RateLimit-Reset` in unix seconds.
fn patience(answer: &Answer) -> Option<Duration> {
    answer.retry_after().or_else(|| {
        let reset: i64 = answer.header("x-ratelimit-reset")?.trim().parse().ok()?;
        // Seconds by the documents; what could only be milliseconds is read as such.
        let reset = if reset > 100_000_000_000 { reset / 1000 } else { reset };
        let wait = reset.saturating_sub(answer.at.seconds()).clamp(1, LONGEST_WAIT);
        u64::try_from(wait).ok().map(Duration::from_secs)
    })
}

pub(super) fn id_of(object: &Json) -> Option<String> {
    match object.get("id")? {
        Json::String(id) if !id.is_empty() => Some(id.clone()),
        Json::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// One piece of a path. Everything but letters, digits, `-`, `_`, `.` and `~` is encoded.
pub(super) fn encoded(piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    for byte in piece.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
