//! What is said to Slack and what its answers mean.
//!
//! Slack knows no idempotency key, so *once* is kept by reading back: every message carries its occasion as metadata, and
//! where nobody knows whether a post arrived (a broken connection, a 5xx, `internal_error`, an earlier process that died)
//! the channel's history is asked before anything is posted again. Where that can't be asked, the alert is not posted
//! again: at most once.
//!
//! Every step replays the conversation from the beginning; [`Exchange::next`] hands out the reply to a request, or
//! interrupts with the request that has none yet. An operation that an earlier process began starts with `Lost`, which
//! reads just like the answer to a post that broke.
//!
//! The bounds keep a conversation below 40 replies: 3 posts, 10 pages of channels, 8 pages of history each time.

use std::time::Duration;

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{
    ACCOUNT, Answer, Method, Operation, Outcome, Pool, Receipt, Reply, Request, Step, scrub,
};

use crate::place::is_channel_id;
use crate::{ALERT, BLOCKS, CHANNEL, TEXT};

const EVENT_TYPE: &str = "vitalsync_alert";
/// After so many posts with an unknown end the alert is given up.
const MAX_POSTS: usize = 3;
const MAX_LIST_PAGES: usize = 10;
const MAX_HISTORY_PAGES: usize = 8;
/// How far back a post of this conversation can be: its timeout and the difference of the clocks, generously.
const FRESH_SECONDS: i64 = 3_600;
/// How far back a post of an earlier process is looked for.
const EARLIER_SECONDS: i64 = 7 * 86_400;
/// The wait where Slack names none.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// The wait after `message_limit_exceeded`, which is the workspace's, not ours.
const LONG_WAIT: Duration = Duration::from_secs(300);

/// What ends a conversation where it is not known whether the alert arrived.
const UNKNOWN: &str = "it is not known whether this alert was posted; not sent again";

/// A value, or the step that ends this replay. The step is boxed because it is big and rare.
type Next<T> = Result<T, Box<Step>>;

pub(crate) fn step(operations: &[Operation], replies: &[Reply]) -> Step {
    let mut exchange = Exchange { replies: replies.iter() };
    let next = match operations {
        [] => Ok(Step::Done(Vec::new())),
        [one] => match one.batch_key.as_str() {
            ACCOUNT => account(one, &mut exchange),
            ALERT => alert(one, matches!(replies.first(), Some(Reply::Lost { .. })), &mut exchange),
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

/// The replies that were not looked at yet.
struct Exchange<'a> {
    replies: std::slice::Iter<'a, Reply>,
}

impl<'a> Exchange<'a> {
    /// The reply to a request, if there is one yet.
    fn next(&mut self, method: Method, path: String, body: Option<Json>, pool: Pool) -> Next<&'a Reply> {
        self.replies.next().ok_or_else(|| {
            let headers = vec![("Accept", "application/json".into())];
            let body = body.map(|body| body.to_string());
            Box::new(Step::Send(Request { method, path, headers, body, pool }))
        })
    }

    /// The body of a read that settles whether an alert was posted. It may be asked again without harm; where it is
    /// refused, nobody will know.
    fn read_back(&mut self, path: String) -> Next<Json> {
        match self.next(Method::Get, path, None, Pool::of("read"))? {
            Reply::Lost { .. } => retry(None, "the connection broke before the answer came"),
            Reply::Answer(answer) => match judged(answer)? {
                Verdict::Fine(body) => Ok(body),
                Verdict::Refused { code, needed } => reject(format!(
                    "{UNKNOWN}: reading the channel back was refused. {}",
                    refusal(&code, needed.as_deref())
                )),
                Verdict::Unclear(why) => retry(None, why),
            },
        }
    }
}

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
    let told = body.get("retry_after").and_then(Json::as_f64).filter(|seconds| (0.0..1e7).contains(seconds));
    answer.retry_after().or(told.map(Duration::from_secs_f64)).map(|wait| wait.max(DEFAULT_WAIT))
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

/// A refusal in words.
fn refusal(code: &str, needed: Option<&str>) -> String {
    match needed {
        Some(scope) => format!("Slack refused ({code}): add the scope {scope} to the app and install it again"),
        None => format!("Slack refused ({code})"),
    }
}

fn alert(operation: &Operation, earlier: bool, exchange: &mut Exchange<'_>) -> Next<Step> {
    let field = |name: &str| operation.fields.get(name).and_then(|change| change.new.as_text());
    let occasion = operation.slot.strip_prefix(ALERT).and_then(|rest| rest.strip_prefix('/'));
    let blocks = field(BLOCKS).and_then(|blocks| serde_json::from_str::<Json>(blocks).ok());
    let (Some(occasion), Some(channel), Some(text), Some(blocks)) = (occasion, field(CHANNEL), field(TEXT), blocks)
    else {
        return reject("the alert is not complete");
    };
    let body = json!({
        "channel": channel,
        "text": text,
        "blocks": blocks,
        "unfurl_links": false,
        "metadata": { "event_type": EVENT_TYPE, "event_payload": { "occasion": occasion } },
    });
    let mut channel_id = is_channel_id(channel).then(|| channel.to_owned());
    for attempt in 0..MAX_POSTS {
        let pool = Pool { name: "post", key: Some(channel.to_owned()) };
        let reply = exchange.next(Method::Post, "/api/chat.postMessage".into(), Some(body.clone()), pool)?;
        let at = match reply {
            Reply::Lost { at } => *at,
            Reply::Answer(answer) => match judged(answer)? {
                Verdict::Fine(body) => return Ok(done(operation, message_id(&body))),
                Verdict::Refused { code, needed } => return not_posted(channel, &code, needed.as_deref()),
                Verdict::Unclear(_) => answer.at,
            },
        };
        let reach = if earlier && attempt == 0 { EARLIER_SECONDS } else { FRESH_SECONDS };
        let id = match &channel_id {
            Some(id) => id,
            None => channel_id.insert(resolved(channel, exchange)?),
        };
        if let Some(ts) = posted(id, occasion, at.seconds().saturating_sub(reach), exchange)? {
            return Ok(done(operation, Some(format!("{id}/{ts}"))));
        }
    }
    reject(format!("posted {MAX_POSTS} times without a clear answer, and the channel does not show it; not sent again"))
}

/// `CHANNEL/TS` of a posted message.
fn message_id(body: &Json) -> Option<String> {
    Some(format!("{}/{}", text_at(body, "/channel")?, text_at(body, "/ts")?))
}

/// Slack says why it did not post: what that means for the destination or the alert.
fn not_posted(channel: &str, code: &str, needed: Option<&str>) -> Next<Step> {
    let channel = scrub(channel);
    match code {
        "missing_scope" => login(refusal(code, Some(needed.unwrap_or("chat:write")))),
        "channel_not_found" => reject(format!(
            "Slack knows no channel {channel} that the bot can see ({code}): correct `to`, or invite the bot if it is private"
        )),
        "not_in_channel" => {
            reject(format!("the bot is not in {channel} ({code}): invite it there, or give it chat:write.public"))
        }
        "is_archived" => reject(format!("{channel} is archived ({code}): unarchive it or change `to`")),
        "team_not_found" => {
            reject(format!("{channel} is a name that a token of an organisation can't use: give its id"))
        }
        _ if code.starts_with("restricted_action") => {
            reject(format!("the bot may not post in {channel} ({code}): an admin of the workspace can allow it"))
        }
        _ => reject(format!("{} to post in {channel}", refusal(code, needed))),
    }
}

/// The id of a channel's name, page by page.
fn resolved(channel: &str, exchange: &mut Exchange<'_>) -> Next<String> {
    let name = channel.trim_start_matches('#');
    let mut cursor = String::new();
    for _ in 0..MAX_LIST_PAGES {
        let path = format!(
            "/api/conversations.list?types=public_channel,private_channel&exclude_archived=true&limit=999{cursor}"
        );
        let page = exchange.read_back(path)?;
        let Some(channels) = page.get("channels").and_then(Json::as_array) else {
            return retry(None, "Slack did not list the channels");
        };
        let named = channels.iter().find(|channel| channel.get("name").and_then(Json::as_str) == Some(name));
        if let Some(id) = named.and_then(|channel| text_at(channel, "/id")) {
            return Ok(id);
        }
        // A page may be short or empty while there is a next one.
        match text_at(&page, "/response_metadata/next_cursor") {
            Some(next) => cursor = format!("&cursor={}", encoded(&next)),
            None => break,
        }
    }
    reject(format!("{UNKNOWN}: the channel {} was not found to read it back", scrub(channel)))
}

/// The `ts` of the message that carries an occasion, if the channel shows one since a moment in unix seconds.
fn posted(id: &str, occasion: &str, since: i64, exchange: &mut Exchange<'_>) -> Next<Option<String>> {
    let mut cursor = String::new();
    for _ in 0..MAX_HISTORY_PAGES {
        let id = encoded(id);
        let path = format!("/api/conversations.history?channel={id}&include_all_metadata=true&limit=100{cursor}");
        let page = exchange.read_back(path)?;
        let Some(messages) = page.get("messages").and_then(Json::as_array) else {
            return retry(None, "Slack did not show the channel's messages");
        };
        let ours = messages.iter().find(|message| {
            let text = |pointer: &str| message.pointer(pointer).and_then(Json::as_str);
            text("/metadata/event_type") == Some(EVENT_TYPE)
                && text("/metadata/event_payload/occasion") == Some(occasion)
        });
        if let Some(message) = ours {
            return Ok(Some(text_at(message, "/ts").unwrap_or_default()));
        }
        // Newest first: once a page reaches behind the moment, the rest is older.
        let older = messages.iter().filter_map(seconds_of).any(|seconds| seconds < since);
        match text_at(&page, "/response_metadata/next_cursor") {
            Some(next) if !older => cursor = format!("&cursor={}", encoded(&next)),
            _ => return Ok(None),
        }
    }
    reject(format!("{UNKNOWN}: the channel has too many messages to read it back"))
}

/// The unix seconds in a message's `ts`, `1512085950.000216`.
fn seconds_of(message: &Json) -> Option<i64> {
    message.get("ts")?.as_str()?.split('.').next()?.parse().ok()
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
