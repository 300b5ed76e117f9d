//! One conversation: takes the replies in the order of the requests, and stops where the next request has none yet.
//!
//! What every request has in common is read here: which answers ask for patience, which for a login, which refuse.

use std::time::Duration;

use serde_json::Value as Json;
use vitalsync_core::connector::{Answer, Method, Operation, Pool, Reply, Request, Step};

use super::reason;

/// The version that the shapes here were read from; without the header the app's own setting would decide.
pub(super) const VERSION: &str = "2.16";
/// A reset further away than this is not believed: windows have ten seconds, budgets a minute.
pub(super) const LONGEST_WAIT: i64 = 60;

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
    replies: std::slice::Iter<'a, Reply>,
    operations: &'a [Operation],
}

impl<'a> Exchange<'a> {
    /// A conversation about operations, with the replies so far.
    pub fn new(operations: &'a [Operation], replies: &'a [Reply]) -> Self {
        Self { replies: replies.iter(), operations }
    }

    /// The answer to a request: a success, or a refusal that the caller understands better than this does.
    pub fn ask(&mut self, method: Method, path: String, body: Option<Json>) -> Next<&'a Answer> {
        let answer = match self.replies.next() {
            Some(Reply::Answer(answer)) => answer,
            Some(Reply::Lost { .. }) => return retry(None, "the connection broke before the answer came"),
            None => {
                return Err(Box::new(Step::Send(Request {
                    method,
                    path,
                    headers: vec![("Intercom-Version", VERSION.into()), ("Accept", "application/json".into())],
                    body: body.map(|body| body.to_string()),
                    pool: Pool::of("api"),
                })));
            }
        };
        match answer.status {
            200..=299 => Ok(answer),
            401 => Err(Box::new(Step::NeedsLogin {
                why: format!(
                    "Intercom does not take the token ({}); a token works in its own region only",
                    reason::of(answer, self.operations)
                ),
            })),
            403 => Err(Box::new(Step::NeedsLogin {
                why: format!(
                    "Intercom refuses access ({}): check that the app may {}",
                    reason::of(answer, self.operations),
                    permission(&path)
                ),
            })),
            408 | 423 | 429 | 477 => retry(patience(answer), format!("Intercom asks for patience ({})", answer.status)),
            400..=499 => Ok(answer),
            status => retry(patience(answer), format!("Intercom answered {status}")),
        }
    }

    /// The JSON object of a success; the end of this replay for a refusal or for anything else. A success whose body
    /// is no object came from something between us and Intercom and confirms nothing.
    pub fn object(&self, answer: &Answer) -> Next<Json> {
        if !(200..300).contains(&answer.status) {
            return reject(format!("Intercom refused: {}", reason::of(answer, self.operations)));
        }
        match answer.json() {
            object @ Json::Object(_) => Ok(object),
            _ => retry(None, format!("Intercom answered {} without a readable body", answer.status)),
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
        _ if path.starts_with("/me") => "read its own admin",
        _ => "read and write users",
    }
}

/// How long Intercom asks to wait: `Retry-After`, else the end of the window by `X-RateLimit-Reset` in unix seconds.
fn patience(answer: &Answer) -> Option<Duration> {
    answer.retry_after().or_else(|| {
        let reset: i64 = answer.header("x-ratelimit-reset")?.trim().parse().ok()?;
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

/// Ends the replay where the contact is not there any more.
pub(super) fn gone(answer: &Answer) -> Next<()> {
    match answer.status {
        404 => conflict("the contact is no longer there"),
        410 => conflict("the contact was merged into another one"),
        _ => Ok(()),
    }
}
