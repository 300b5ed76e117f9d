//! The methods of Slack's Web API that vitalsync uses.

use serde_json::{Map, Value, json};

use super::{Channel, Message, Outcome, Refusal, Slack, blocks, people};

/// Where `chat.postMessage` refuses (Slack cuts above 40,000), and `chat.update`.
const LONGEST: usize = 40_000;
const LONGEST_UPDATE: usize = 4000;
/// The most bytes of a message's metadata.
const MOST_METADATA: usize = 16_000;

type Args = Map<String, Value>;

/// What a message is made of, checked.
pub(super) struct Content {
    text: String,
    blocks: Value,
    metadata: Option<Value>,
    other: Map<String, Value>,
}

/// A structure, given as such or as JSON in text; `Null` if it isn't there.
fn structure(args: &Args, key: &str, error: &str) -> Outcome<Value> {
    match args.get(key) {
        None | Some(Value::Null) => Ok(Value::Null),
        Some(Value::String(text)) if text.is_empty() => Ok(Value::Null),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| Refusal::from(error)),
        Some(value) => Ok(value.clone()),
    }
}

fn text<'a>(args: &'a Args, key: &str) -> &'a str {
    args.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(args: &Args, key: &str) -> bool {
    matches!(args.get(key), Some(Value::Bool(true))) || matches!(text(args, key), "true" | "1")
}

pub(super) fn content(args: &Args) -> Outcome<Content> {
    let body = text(args, "text").to_owned();
    let blocks = structure(args, "blocks", "invalid_blocks_format")?;
    let attachments = structure(args, "attachments", "invalid_attachments")?;
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    if body.is_empty() && empty(&blocks) && empty(&attachments) {
        return Err("no_text".into());
    }
    if body.chars().count() > LONGEST {
        return Err("msg_too_long".into());
    }
    if attachments.as_array().is_some_and(|list| list.len() > 100) {
        return Err("too_many_attachments".into());
    }
    blocks::check(&blocks).map_err(|(error, messages)| Refusal {
        more: json!({"errors": messages, "response_metadata": {"messages":
            messages.iter().map(|message| format!("[ERROR] {message}")).collect::<Vec<_>>()}}),
        ..Refusal::from(error)
    })?;
    let metadata = structure(args, "metadata", "invalid_metadata_format")?;
    let metadata = match (&metadata, args.contains_key("metadata")) {
        (Value::Null, _) => None,
        (Value::Object(map), _) if map.is_empty() => Some(Value::Null),
        (Value::Object(map), _) => {
            let named = map.get("event_type").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty());
            if !named || !map.get("event_payload").is_some_and(Value::is_object) {
                return Err("invalid_metadata_schema".into());
            }
            if metadata.to_string().len() > MOST_METADATA {
                return Err("metadata_too_large".into());
            }
            Some(metadata)
        }
        _ => return Err("invalid_metadata_format".into()),
    };
    let mut other = Map::new();
    if !attachments.is_null() {
        other.insert("attachments".into(), attachments);
    }
    if let Some(thread) = args.get("thread_ts").filter(|thread| thread.is_string()) {
        other.insert("thread_ts".into(), thread.clone());
    }
    Ok(Content { text: body, blocks, metadata, other })
}

/// Keeps a message; gives its `ts`.
pub(super) fn keep(slack: &mut Slack, at: usize, content: Content, now: i64) -> String {
    let ts = slack.next_ts(now);
    let channel = &mut slack.channels[at];
    channel.messages.push(Message {
        channel: channel.id.clone(),
        channel_name: channel.name.clone(),
        ts: ts.clone(),
        text: content.text,
        blocks: content.blocks,
        metadata: content.metadata.unwrap_or_default(),
        other: content.other,
    });
    ts
}

pub(super) fn post(slack: &mut Slack, args: &Args, now: i64) -> Outcome<Value> {
    // Somebody's id stands for the direct messages with them.
    let open = people::dm(slack, text(args, "channel"));
    let wanted = open.as_deref().unwrap_or_else(|| text(args, "channel"));
    let by_id = |channel: &Channel| channel.id == wanted;
    // Names are understood for public channels only.
    let by_name = |channel: &Channel| !channel.private && channel.name == wanted.trim_start_matches('#');
    let at = slack.channels.iter().position(|channel| by_id(channel) || by_name(channel));
    let at = at.filter(|at| !slack.channels[*at].private || slack.channels[*at].member);
    let at = at.ok_or("channel_not_found")?;
    let channel = &slack.channels[at];
    if channel.archived {
        return Err("is_archived".into());
    }
    if !channel.member && !slack.has("chat:write.public") {
        return Err("not_in_channel".into());
    }
    let content = content(args)?;
    let known = |ts: &str| slack.channels[at].messages.iter().any(|message| message.ts == ts);
    if content.other.get("thread_ts").and_then(Value::as_str).is_some_and(|ts| !known(ts)) {
        return Err("thread_not_found".into());
    }
    if let Err(wait) = slack.channels[at].posts.take(now) {
        return Err(Refusal { retry_after: Some(((wait + 999) / 1000).max(1)), ..Refusal::from("ratelimited") });
    }
    let ts = keep(slack, at, content, now);
    let message = slack.channels[at].messages.last().map(|message| json_of(message, true));
    Ok(json!({"channel": slack.channels[at].id, "ts": ts, "message": message}))
}

pub(super) fn update(slack: &mut Slack, args: &Args, now: i64) -> Outcome<Value> {
    let at = by_id(slack, args)?;
    let ts = text(args, "ts").to_owned();
    let content = content(args)?;
    if content.text.chars().count() > LONGEST_UPDATE {
        return Err("msg_too_long".into());
    }
    let channel = &mut slack.channels[at];
    if channel.archived {
        return Err("is_archived".into());
    }
    let message = channel.messages.iter_mut().find(|message| message.ts == ts).ok_or("message_not_found")?;
    message.text = content.text;
    if !content.blocks.is_null() {
        message.blocks = content.blocks;
    }
    if let Some(metadata) = content.metadata {
        message.metadata = metadata;
    }
    message.other.insert("edited".into(), json!({"user": "U0SANDBOX1", "ts": format!("{}.000000", now / 1000)}));
    Ok(json!({"channel": channel.id, "ts": ts, "text": message.text, "message": json_of(message, true)}))
}

/// The channel with this id that the bot may know of.
fn by_id(slack: &Slack, args: &Args) -> Outcome<usize> {
    let id = text(args, "channel");
    let seen = |channel: &Channel| channel.id == id && (!channel.private || channel.member);
    slack.channels.iter().position(seen).ok_or_else(|| "channel_not_found".into())
}

fn json_of(message: &Message, all: bool) -> Value {
    let mut body = json!({"type": "message", "subtype": "bot_message", "text": message.text, "ts": message.ts,
        "user": "U0SANDBOX1", "bot_id": "B0SANDBOX1", "app_id": "A0SANDBOX1"});
    if !message.blocks.is_null() {
        body["blocks"] = message.blocks.clone();
    }
    if !message.metadata.is_null() {
        let event_type = json!({"event_type": message.metadata["event_type"]});
        body["metadata"] = if all { message.metadata.clone() } else { event_type };
    }
    for (key, value) in &message.other {
        body[key] = value.clone();
    }
    body
}

fn channel_json(channel: &Channel) -> Value {
    let note = json!({"value": "", "creator": "", "last_set": 0});
    json!({"id": channel.id, "name": channel.name, "name_normalized": channel.name, "created": 1_700_000_000,
        "creator": "U0SANDBOX0", "is_channel": !channel.private, "is_group": channel.private, "is_im": false,
        "is_mpim": false, "is_private": channel.private, "is_archived": channel.archived, "is_general": false,
        "is_member": channel.member, "is_shared": false, "is_ext_shared": false, "is_org_shared": false,
        "unlinked": 0, "pending_shared": [], "is_pending_ext_shared": false, "topic": note, "purpose": note,
        "previous_names": [], "num_members": 1})
}

pub(super) fn info(slack: &Slack, args: &Args) -> Outcome<Value> {
    Ok(json!({"channel": channel_json(&slack.channels[by_id(slack, args)?])}))
}

pub(super) fn join(slack: &mut Slack, args: &Args) -> Outcome<Value> {
    let at = by_id(slack, args)?;
    let channel = &mut slack.channels[at];
    if channel.archived {
        return Err("is_archived".into());
    }
    if channel.private {
        return Err("method_not_supported_for_channel_type".into());
    }
    let before = std::mem::replace(&mut channel.member, true);
    let mut body = json!({"channel": channel_json(channel)});
    if before {
        body["warning"] = json!("already_in_channel");
        body["response_metadata"] = json!({"warnings": ["already_in_channel"]});
    }
    Ok(body)
}

/// `limit`, within 1 to `most`; 100 if not given.
fn limit(args: &Args, most: usize) -> Outcome<usize> {
    let limit = match args.get("limit") {
        None | Some(Value::Null) => Some(100),
        Some(Value::Number(number)) => number.as_u64(),
        Some(other) => other.as_str().and_then(|text| text.parse().ok()),
    };
    limit.map(|limit| limit as usize).filter(|limit| (1..=most).contains(limit)).ok_or_else(|| "invalid_limit".into())
}

/// Where a page starts.
fn cursor(args: &Args) -> Outcome<usize> {
    match text(args, "cursor") {
        "" => Ok(0),
        given => given.strip_prefix("bmV4dDo").and_then(|at| at.parse().ok()).ok_or_else(|| "invalid_cursor".into()),
    }
}

fn next_cursor(at: usize, total: usize) -> String {
    if at < total { format!("bmV4dDo{at}") } else { String::new() }
}

pub(super) fn list(slack: &Slack, args: &Args) -> Outcome<Value> {
    let (limit, start) = (limit(args, 1000)?, cursor(args)?);
    let types = Some(text(args, "types")).filter(|types| !types.is_empty()).unwrap_or("public_channel");
    let mut wanted = vec![];
    for kind in types.split(',').map(str::trim) {
        match kind {
            "public_channel" => wanted.push(false),
            "private_channel" => wanted.push(true),
            "im" | "mpim" => {}
            _ => return Err("invalid_types".into()),
        }
    }
    for (private, scope) in [(false, "channels:read"), (true, "groups:read")] {
        if wanted.contains(&private) && !slack.has(scope) {
            let more = json!({"needed": scope, "provided": slack.scopes.join(",")});
            return Err(Refusal { more, ..Refusal::from("missing_scope") });
        }
    }
    let all: Vec<&Channel> = slack
        .channels
        .iter()
        .filter(|one| one.im.is_none() && wanted.contains(&one.private) && (!one.private || one.member))
        .collect();
    // As at Slack, archived channels are taken out of a page after it was cut: a page may be short, even empty.
    let without_archived = flag(args, "exclude_archived");
    let page = all.iter().skip(start).take(limit).filter(|one| !without_archived || !one.archived);
    let channels: Vec<Value> = page.map(|one| channel_json(one)).collect();
    let next = next_cursor(start.saturating_add(limit), all.len());
    Ok(json!({"channels": channels, "response_metadata": {"next_cursor": next}}))
}

/// A `ts` as microseconds.
fn micros(ts: &str) -> Option<i64> {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, ""));
    let rest: i64 = format!("{:0<6}", rest.get(..6).unwrap_or(rest)).parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(rest)
}

/// A channel's messages, the newest first; replies are not among them.
pub(super) fn history(slack: &Slack, args: &Args) -> Outcome<Value> {
    let of_channel = |message: &Message| !message.other.contains_key("thread_ts");
    let (found, mut body) =
        listed(slack, args, |messages| messages.iter().rev().filter(|message| of_channel(message)).collect())?;
    body["messages"] = found;
    body["pin_count"] = json!(0);
    Ok(body)
}

/// A message with its replies, the oldest first.
pub(super) fn replies(slack: &Slack, args: &Args) -> Outcome<Value> {
    let ts = text(args, "ts").to_owned();
    let channel = &slack.channels[by_id(slack, args)?];
    if !channel.messages.iter().any(|message| message.ts == ts) {
        return Err("thread_not_found".into());
    }
    let (found, mut body) = listed(slack, args, |messages| {
        let of_thread =
            |message: &&Message| message.ts == ts || message.other.get("thread_ts").is_some_and(|of| *of == ts);
        messages.iter().filter(of_thread).collect()
    })?;
    body["messages"] = found;
    Ok(body)
}

/// A page of messages, and the rest of its answer.
fn listed<'s>(
    slack: &'s Slack,
    args: &Args,
    of: impl FnOnce(&'s [Message]) -> Vec<&'s Message>,
) -> Outcome<(Value, Value)> {
    let channel = &slack.channels[by_id(slack, args)?];
    let needed = match (&channel.im, channel.private) {
        (Some(_), _) => "im:history",
        (None, true) => "groups:history",
        (None, false) => "channels:history",
    };
    if !slack.has(needed) {
        let more = json!({"needed": needed, "provided": slack.scopes.join(",")});
        return Err(Refusal { more, ..Refusal::from("missing_scope") });
    }
    if !channel.member {
        return Err("not_in_channel".into());
    }
    let (limit, start) = (limit(args, 999)?, cursor(args)?);
    let bound = |key: &str| match args.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            micros(&text).map(Some).ok_or_else(|| Refusal::from(format!("invalid_ts_{key}").as_str()))
        }
    };
    let (oldest, latest, inclusive) = (bound("oldest")?, bound("latest")?, flag(args, "inclusive"));
    let after = |at: i64| oldest.is_none_or(|oldest| at > oldest || inclusive && at == oldest);
    let before = |at: i64| latest.is_none_or(|latest| at < latest || inclusive && at == latest);
    let within = |message: &&Message| micros(&message.ts).is_some_and(|at| after(at) && before(at));
    let hits: Vec<&Message> = of(&channel.messages).into_iter().filter(within).collect();
    let all = flag(args, "include_all_metadata");
    let messages: Vec<Value> = hits.iter().skip(start).take(limit).map(|message| json_of(message, all)).collect();
    let next = next_cursor(start.saturating_add(limit), hits.len());
    let mut body = json!({"has_more": !next.is_empty()});
    if !next.is_empty() {
        body["response_metadata"] = json!({"next_cursor": next});
    }
    Ok((Value::from(messages), body))
}
