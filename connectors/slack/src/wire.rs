//! What is said to Slack and what its answers mean.
//!
//! Slack knows no idempotency key, so *once* is kept by reading back: every message carries its occasion as metadata, and
//! where nobody knows whether a post arrived (a broken connection, a 5xx, `internal_error`, an earlier process that died)
//! the channel's history is asked before anything is posted again. Where that can't be asked, the alert is not posted
//! again: at most once.
//!
//! What an incoming webhook takes can't be read back, so the config says whether a doubtful post is sent again.
//!
//! Every step replays the conversation from the beginning; [`Exchange::next`] hands out the reply to a request, or
//! interrupts with the request that has none yet. An operation that an earlier process began starts with `Lost`, which
//! reads just like the answer to a post that broke.
//!
//! The bounds keep a conversation below 160 replies: 7 posts, each followed by at most 8 pages of history; 50 pages of channels, and
//! where places are only asked for 100 people.

pub(crate) mod ask;
mod find;
mod hook;
mod post;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value as Json, json};
use vitalsync_core::Timestamp;
use vitalsync_core::alert::{ALERT, Delivery, UNKNOWN};
use vitalsync_core::connector::{
    ACCOUNT, Answer, Method, Operation, Outcome, Pool, Receipt, Reply, Request, Step, scrub, wait_of,
};

use crate::place::{CHANNEL_KIND, USER_KIND};
use crate::{ASKED, WEBHOOK, is_post};

/// The wait where Slack names none.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// The wait after `message_limit_exceeded`, which is the workspace's, not ours.
const LONG_WAIT: Duration = Duration::from_secs(300);

/// A value, or the step that ends this replay. The step is boxed because it is big and rare.
type Next<T> = Result<T, Box<Step>>;

pub(crate) fn step(operations: &[Operation], replies: &[Reply], hook: Option<Delivery>) -> Step {
    let mut exchange = Exchange { replies: replies.iter(), at: None };
    let earlier = matches!(replies.first(), Some(Reply::Lost { .. }));
    let next = match operations {
        [] => Ok(Step::Done(Vec::new())),
        several if several.iter().all(|one| one.batch_key == CHANNEL_KIND) => find::channels(several, &mut exchange),
        several if several.iter().all(|one| one.batch_key == ASKED) => ask::places(several, &mut exchange),
        [one] => match one.batch_key.as_str() {
            // It says nothing of the workspace.
            ACCOUNT if hook.is_some() => Ok(done(one, Some(WEBHOOK.into()))),
            ACCOUNT => account(one, &mut exchange),
            key if is_post(key) => post::alert(one, earlier, &mut exchange),
            USER_KIND => find::person(one, &mut exchange),
            WEBHOOK => hook::alert(one, hook.unwrap_or_default(), replies),
            _ => reject(format!("nothing is known of {}", one.title)),
        },
        _ => Err(Box::new(Step::Split { why: "alerts are posted one at a time".into() })),
    };
    next.unwrap_or_else(|step| *step)
}

fn reject<T>(why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Reject { why: why.into() }))
}

fn retry<T>(after: Option<Duration>, why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Retry { after, why: why.into() }))
}

fn done(operation: &Operation, remote_id: Option<String>) -> Step {
    Step::Done(vec![Receipt { slot: operation.slot.clone(), outcome: Outcome::Done { remote_id } }])
}

fn send(method: Method, path: String, body: Option<Json>, pool: Pool) -> Step {
    let headers = vec![("Accept", "application/json".into())];
    Step::Send(Request { method, path, headers, body: body.map(|body| body.to_string()), pool })
}

/// The replies that were not looked at yet.
struct Exchange<'a> {
    replies: std::slice::Iter<'a, Reply>,
    /// When the last one came that was.
    at: Option<Timestamp>,
}

impl<'a> Exchange<'a> {
    /// The reply to a request, if there is one yet.
    fn next(&mut self, method: Method, path: String, body: Option<Json>, pool: Pool) -> Next<&'a Reply> {
        let reply = self.replies.next().ok_or_else(|| Box::new(send(method, path, body, pool)))?;
        let (Reply::Answer(Answer { at, .. }) | Reply::Lost { at }) = reply;
        self.at = Some(*at);
        Ok(reply)
    }

    /// How long after a moment the last reply came.
    fn since(&self, moment: Timestamp) -> Duration {
        let ms = self.at.map_or(0, |at| at.0.saturating_sub(moment.0));
        Duration::from_millis(u64::try_from(ms).unwrap_or_default())
    }

    /// Something that may be asked again without harm: its body, or the refusal.
    fn ask(&mut self, method: Method, path: String, body: Option<Json>, pool: &'static str) -> Next<Asked> {
        match self.next(method, path, body, Pool::of(pool))? {
            Reply::Lost { .. } => retry(None, "the connection broke before the answer came"),
            Reply::Answer(answer) => match judged(answer)? {
                Verdict::Fine(body) => Ok(Ok(body)),
                Verdict::Refused { code, needed } => Ok(Err(Refusal { code, needed })),
                Verdict::Unclear(why) => retry(None, why),
            },
        }
    }

    /// The body of a read that settles whether an alert was posted. Where it is refused, nobody will know.
    fn read_back(&mut self, path: String, pool: &'static str) -> Next<Json> {
        self.ask(Method::Get, path, None, pool)?
            .or_else(|refusal| reject(format!("{UNKNOWN}: reading the channel back was refused. {}", refusal.said())))
    }
}

/// An error code of Slack's, a lower-case word; `needed` is the missing scope where that was it.
struct Refusal {
    code: String,
    needed: Option<String>,
}

impl Refusal {
    fn said(&self) -> String {
        refusal(&self.code, self.needed.as_deref())
    }
}

/// What a question came to.
type Asked = Result<Json, Refusal>;

/// What an answer means, beside patience and logins, which end the replay at once.
enum Verdict {
    /// `ok: true`, and the whole body.
    Fine(Json),
    /// Refused with an error code, a lower-case word; `needed` is the missing scope where that was it.
    Refused { code: String, needed: Option<String> },
    /// It may or may not have been carried out.
    Unclear(String),
}

fn judged(answer: &Answer) -> Next<Verdict> {
    let body = answer.json();
    let code = body.get("error").and_then(Json::as_str).map(word);
    let needed = body.get("needed").and_then(Json::as_str).map(word);
    let refused = |code: String| match code.as_str() {
        "not_authed"
        | "invalid_auth"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "org_login_required"
        | "ekm_access_denied"
        | "access_denied"
        | "accesslimited"
        | "two_factor_setup_required"
        | "no_permission"
        | "not_allowed_token_type"
        | "app_access_restricted"
        | "enterprise_is_restricted" => login(format!("Slack does not take the token ({code})")),
        _ => Ok(Verdict::Refused { code, needed }),
    };
    match answer.status {
        429 => return retry(Some(patience(answer, &body).unwrap_or(DEFAULT_WAIT)), "Slack asks for patience (429)"),
        200..=299 => {}
        408 | 423 | 477 => return Ok(Verdict::Unclear(format!("Slack answered {}", answer.status))),
        401 | 403 if code.as_deref() != Some("missing_scope") => {
            return login(format!("Slack does not take the token ({})", code.unwrap_or(answer.status.to_string())));
        }
        // No word of Slack's own: this is said of the address, not of a message.
        300..=399 | 404 | 405 | 410 if !body.is_object() => {
            return login(format!(
                "what answers is not Slack's API ({}): check `base_url`, and any proxy on the way",
                answer.status
            ));
        }
        // Never sent again unchanged, whatever the body says.
        400..=499 => return refused(code.unwrap_or(format!("http {}", answer.status))),
        status => return Ok(Verdict::Unclear(format!("Slack answered {status}"))),
    }
    let code = match (body.get("ok").and_then(Json::as_bool), code) {
        (Some(true), _) => return Ok(Verdict::Fine(body)),
        (Some(false), Some(code)) => code,
        _ => return Ok(Verdict::Unclear(format!("Slack answered {} without a readable body", answer.status))),
    };
    match code.as_str() {
        "ratelimited" | "rate_limited" => {
            retry(Some(patience(answer, &body).unwrap_or(DEFAULT_WAIT)), format!("Slack asks for patience ({code})"))
        }
        "message_limit_exceeded" => {
            retry(Some(patience(answer, &body).unwrap_or(LONG_WAIT)), "too many messages in this workspace")
        }
        "service_unavailable" | "request_timeout" | "team_added_to_org" => {
            retry(patience(answer, &body), format!("Slack can't now ({code})"))
        }
        "internal_error" | "fatal_error" => Ok(Verdict::Unclear(format!("Slack broke off ({code})"))),
        _ => refused(code),
    }
}

fn login<T>(why: String) -> Next<T> {
    Err(Box::new(Step::NeedsLogin { why }))
}

/// A word of Slack's own, such as `missing_scope` or `chat:write`; anything else is not repeated.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':' | '.' | ',' | '-');
    let fits = !text.is_empty() && text.len() <= 80 && text.chars().all(plain);
    if fits { text.to_owned() } else { "an unknown error".into() }
}

/// How long Slack asks to wait, by the header or the body; at least a second.
fn patience(answer: &Answer, body: &Json) -> Option<Duration> {
    let told = body.get("retry_after").and_then(Json::as_f64).and_then(wait_of);
    answer.retry_after().or(told).map(|wait| wait.max(DEFAULT_WAIT))
}

fn account(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let reply = exchange.next(Method::Post, "/api/auth.test".into(), None, Pool::of("read"))?;
    let Reply::Answer(answer) = reply else { return retry(None, "the connection broke before the answer came") };
    match judged(answer)? {
        Verdict::Fine(body) => match text_at(&body, "/team_id") {
            Some(team) => Ok(done(operation, Some(team))),
            None => retry(None, "Slack did not name the workspace"),
        },
        Verdict::Refused { code, needed } => login(refusal(&code, needed.as_deref())),
        Verdict::Unclear(why) => retry(None, why),
    }
}

/// A text that is there and not empty.
fn text_at(body: &Json, pointer: &str) -> Option<String> {
    body.pointer(pointer).and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The pages of a list so far.
#[derive(Default)]
struct Paging {
    /// What the next request adds to its path.
    query: String,
    seen: BTreeSet<String>,
}

impl Paging {
    /// Goes on to the next page; false if there is none. A page may be short or empty while there is a next one, but a cursor that
    /// was given before leads in a circle: asked again, and if that does not help left for the next pass.
    fn on(&mut self, page: &Json) -> Next<bool> {
        let Some(next) = text_at(page, "/response_metadata/next_cursor") else { return Ok(false) };
        self.query = format!("&cursor={}", encoded(&next));
        match self.seen.insert(next) {
            true => Ok(true),
            false => retry(None, "the pages of Slack's list lead in a circle"),
        }
    }
}

/// A refusal in words.
fn refusal(code: &str, needed: Option<&str>) -> String {
    match needed {
        Some(scope) => format!("Slack refused ({code}): add the scope {scope} to the app and install it again"),
        None => format!("Slack refused ({code})"),
    }
}

/// A value in a query. Everything but letters, digits, `-`, `_`, `.` and `~` is encoded.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
