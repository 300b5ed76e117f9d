//! Posts one message: to its place, to the fallback where that place is not there, into the thread of what it answers.

use super::*;
use crate::place::{is_channel_id, is_person, slot};
use crate::{BLOCKS, CHANNEL, FALLBACK, TEXT, THREAD};

const EVENT_TYPE: &str = "vitalsync_alert";
/// After so many posts with an unknown end the alert is left for the next pass.
const MAX_POSTS: u32 = 7;
const MAX_LIST_PAGES: usize = 10;
const MAX_HISTORY_PAGES: usize = 8;
/// How far back a post of this conversation can be: its timeout and the difference of the clocks, generously.
const FRESH_SECONDS: i64 = 3_600;
/// How far back a post of an earlier process is looked for.
const EARLIER_SECONDS: i64 = 7 * 86_400;

/// Where a message may go.
struct Place {
    /// As the config has it.
    shown: String,
    /// As Slack takes it: an id, or a channel's name.
    address: String,
    /// The message that it answers there.
    thread: Option<String>,
}

pub(super) fn alert(operation: &Operation, earlier: bool, exchange: &mut Exchange<'_>) -> Next<Step> {
    let field = |name: &str| operation.fields.get(name).and_then(|change| change.new.as_text());
    let occasion = operation.slot.strip_prefix(ALERT).and_then(|rest| rest.strip_prefix('/'));
    let blocks = field(BLOCKS).and_then(|blocks| serde_json::from_str::<Vec<Json>>(blocks).ok());
    let (Some(occasion), Some(text), Some(blocks)) = (occasion, field(TEXT), blocks) else {
        return reject("the alert is not complete");
    };
    let (mut places, mut missed) = places(operation);
    let (count, mut at_place, mut unclear) = (places.len(), 0, 0);
    loop {
        let Some(place) = places.get_mut(at_place) else { return reject(nowhere(missed.as_deref())) };
        let body = body(place, text, &blocks, occasion, missed.as_deref());
        let pool = Pool { name: "post", key: Some(place.address.clone()) };
        let reply = exchange.next(Method::Post, "/api/chat.postMessage".into(), Some(body), pool)?;
        let (at, said) = match reply {
            Reply::Lost { at } => (*at, "the connection broke".to_owned()),
            Reply::Answer(answer) => match judged(answer)? {
                Verdict::Fine(body) => return Ok(done(operation, message_id(&body, place))),
                Verdict::Refused { code, .. } if place.thread.is_some() && is_about_thread(&code) => {
                    place.thread = None;
                    continue;
                }
                Verdict::Refused { code, .. } if is_about_place(&code) && at_place + 1 < count => {
                    missed = Some(place.shown.clone());
                    at_place += 1;
                    continue;
                }
                Verdict::Refused { code, needed } => return not_posted(&place.shown, &code, needed.as_deref()),
                Verdict::Unclear(said) => (answer.at, said),
            },
        };
        unclear += 1;
        // An earlier process may have found another of its places.
        let is_earlier = earlier && unclear == 1;
        let (reach, looked) =
            if is_earlier { (EARLIER_SECONDS, 0..count) } else { (FRESH_SECONDS, at_place..at_place + 1) };
        for place in places.get_mut(looked).unwrap_or_default() {
            if !is_channel_id(&place.address) {
                place.address = readable(place, exchange)?;
            }
            let id = place.address.clone();
            if let Some(ts) = posted(place, &id, occasion, at.seconds().saturating_sub(reach), exchange)? {
                return Ok(done(operation, Some(format!("{id}/{}", place.thread.as_ref().unwrap_or(&ts)))));
            }
        }
        let (pause, waited) = (pause(unclear), exchange.since(at));
        if waited < pause || unclear >= MAX_POSTS {
            let after = pause.saturating_sub(waited).max(DEFAULT_WAIT);
            return retry(
                Some(after),
                format!(
                    "no clear answer to a post ({said}), and the channel does not show it: read back once more, then posted again"
                ),
            );
        }
    }
}

/// How long after a post with an unknown end the channel is read back before it is posted again: the first time at once, then
/// longer each time, half a minute in the end. What fails so often fails for a while.
fn pause(unclear: u32) -> Duration {
    match unclear {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_secs(1 << (unclear - 1).min(5)),
    }
}

/// The places in their order, and the one that was meant and is not there.
fn places(operation: &Operation) -> (Vec<Place>, Option<String>) {
    let field = |name: &str| operation.fields.get(name).and_then(|change| change.new.as_text());
    let thread = field(THREAD).and_then(|slot| operation.refs.get(slot)).and_then(|id| id.split_once('/'));
    if let Some((channel, ts)) = thread.filter(|(channel, _)| is_channel_id(channel)) {
        let (shown, address) = (channel.to_owned(), channel.to_owned());
        return (vec![Place { shown, address, thread: Some(ts.to_owned()) }], None);
    }
    let (mut places, mut missed) = (Vec::new(), None);
    for shown in [field(CHANNEL), field(FALLBACK)].into_iter().flatten().filter(|shown| !shown.is_empty()) {
        let found = slot(shown).and_then(|slot| operation.refs.get(&slot)).map(String::as_str);
        // A channel that could not be listed is posted to by its name.
        match found.or((!is_person(shown)).then_some(shown)) {
            Some(address) => places.push(Place { shown: shown.into(), address: address.into(), thread: None }),
            None => missed = missed.or(Some(shown.to_owned())),
        }
    }
    // A place that was not found has dropped out.
    if field(CHANNEL).is_none() {
        missed = missed.or(Some("the place of its rule".into()));
    }
    (places, missed)
}

fn body(place: &Place, text: &str, blocks: &[Json], occasion: &str, missed: Option<&str>) -> Json {
    let mut blocks = blocks.to_vec();
    if let Some(missed) = missed {
        let said = format!("Meant for {}, where it could not be posted", crate::render::escaped(missed, 200));
        blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": said, "verbatim": true }] }));
    }
    let mut body = json!({
        "channel": place.address,
        "text": text,
        "blocks": blocks,
        "unfurl_links": false,
        "metadata": { "event_type": EVENT_TYPE, "event_payload": { "occasion": occasion } },
    });
    if let Some(thread) = &place.thread {
        body["thread_ts"] = thread.as_str().into();
    }
    body
}

fn nowhere(missed: Option<&str>) -> String {
    match missed {
        Some(_) => {
            "nobody in Slack has the e-mail or id that this alert goes to: correct it, or give the rule a `fallback`"
                .into()
        }
        None => {
            "the account has no owner, or the rule of `to` gives no place in Slack: give the rule a `fallback`".into()
        }
    }
}

fn is_about_thread(code: &str) -> bool {
    matches!(code, "thread_not_found" | "cannot_reply_to_message" | "message_not_found")
}

/// Whether another place may take what this one refused.
fn is_about_place(code: &str) -> bool {
    let known = [
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "team_not_found",
        "user_not_found",
        "user_disabled",
        "cannot_dm_bot",
        "messages_tab_disabled",
        "as_user_not_supported",
    ];
    known.contains(&code) || code.starts_with("restricted_action")
}

/// The id of a place that is known by its name, to read it back.
fn readable(place: &Place, exchange: &mut Exchange<'_>) -> Next<String> {
    match is_person(&place.address) {
        true => reject(format!("{UNKNOWN}: direct messages are read back with the scopes im:write and im:history")),
        false => resolved(&place.address, exchange),
    }
}

/// `CHANNEL/TS` of a posted message; of an answer in a thread that of the thread, since what answers it stands there, too.
fn message_id(body: &Json, place: &Place) -> Option<String> {
    let ts = place.thread.clone().or_else(|| text_at(body, "/ts"))?;
    Some(format!("{}/{ts}", text_at(body, "/channel")?))
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
    let mut paging = Paging::default();
    for _ in 0..MAX_LIST_PAGES {
        let path = format!(
            "/api/conversations.list?types=public_channel,private_channel&exclude_archived=true&limit=999{}",
            paging.query
        );
        let page = exchange.read_back(path, "list")?;
        let Some(channels) = page.get("channels").and_then(Json::as_array) else {
            return retry(None, "Slack did not list the channels");
        };
        let named = channels.iter().find(|channel| channel.get("name").and_then(Json::as_str) == Some(name));
        if let Some(id) = named.and_then(|channel| text_at(channel, "/id")) {
            return Ok(id);
        }
        if !paging.on(&page)? {
            break;
        }
    }
    reject(format!("{UNKNOWN}: the channel {} was not found to read it back", scrub(channel)))
}

/// The `ts` of the message that carries an occasion, if the channel shows one since a moment in unix seconds.
fn posted(place: &Place, id: &str, occasion: &str, since: i64, exchange: &mut Exchange<'_>) -> Next<Option<String>> {
    let mut paging = Paging::default();
    for _ in 0..MAX_HISTORY_PAGES {
        let id = encoded(id);
        // A channel's history has no replies.
        let which = match &place.thread {
            Some(thread) => format!("conversations.replies?channel={id}&ts={}", encoded(thread)),
            None => format!("conversations.history?channel={id}"),
        };
        let path = format!("/api/{which}&include_all_metadata=true&limit=100{}", paging.query);
        let page = exchange.read_back(path, "read")?;
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
        // Newest first, but for replies: once a page reaches behind the moment, the rest is older.
        let older = place.thread.is_none() && messages.iter().filter_map(seconds_of).any(|seconds| seconds < since);
        if older || !paging.on(&page)? {
            return Ok(None);
        }
    }
    reject(format!("{UNKNOWN}: the channel has too many messages to read it back"))
}

/// The unix seconds in a message's `ts`, `1512085950.000216`.
fn seconds_of(message: &Json) -> Option<i64> {
    message.get("ts")?.as_str()?.split('.').next()?.parse().ok()
}
