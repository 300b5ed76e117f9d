//! One Slack workspace with one bot: channels, messages, scopes, and the rate of posts to a channel.
//!
//! A logical error is HTTP 200 with `ok: false`. Of people there is what it takes to send a direct message: an id and an e-mail.
//! Deliberately not here: files, and the per-method tiers (posts to a channel are limited; other methods only by faults).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::{Answer, Call, hash, pairs};
use crate::limits::{Limits, Rolling};

mod blocks;
mod methods;
mod people;

/// A message as Slack holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// The channel's id.
    pub channel: String,
    /// The channel's name.
    pub channel_name: String,
    /// The message's time, which is its id in the channel.
    pub ts: String,
    /// The text.
    pub text: String,
    /// The blocks; null if there are none.
    pub blocks: Value,
    /// The metadata; null if there is none.
    pub metadata: Value,
    /// Everything else: `thread_ts`, `attachments`, `edited`.
    pub other: Map<String, Value>,
}

#[derive(Debug, Clone)]
struct Channel {
    id: String,
    name: String,
    private: bool,
    archived: bool,
    member: bool,
    /// The person whose direct messages these are.
    im: Option<String>,
    posts: Rolling,
    messages: Vec<Message>,
}

const SCOPES: &[&str] = &[
    "chat:write",
    "chat:write.public",
    "channels:read",
    "channels:join",
    "channels:history",
    "groups:read",
    "groups:history",
    "im:history",
    "im:write",
    "users:read",
    "users:read.email",
];

pub(crate) struct Slack {
    team: String,
    scopes: Vec<String>,
    channels: Vec<Channel>,
    people: Vec<people::Person>,
    /// Path of an incoming webhook → channel id. None given: every path posts to the first channel.
    webhooks: BTreeMap<String, String>,
    burst: (u32, i64),
    last_ts: i64,
}

/// A logical error: its code, and what goes beside it in the body.
#[derive(Debug, Clone)]
struct Refusal {
    error: String,
    more: Value,
    retry_after: Option<i64>,
}

impl From<&str> for Refusal {
    fn from(error: &str) -> Self {
        Self { error: error.to_owned(), more: json!({}), retry_after: None }
    }
}

type Outcome<T> = Result<T, Refusal>;

impl Slack {
    pub fn new(token: &str) -> Self {
        Self {
            team: format!("T{:08X}", hash(token) as u32),
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            channels: vec![],
            people: vec![],
            webhooks: BTreeMap::new(),
            burst: (4, 4000),
            last_ts: 0,
        }
    }

    pub fn set_limits(&mut self, limits: &Limits) {
        self.burst.0 = limits.post_burst.unwrap_or(self.burst.0);
        self.burst.1 = limits.post_window_ms.unwrap_or(self.burst.1);
        for channel in &mut self.channels {
            (channel.posts.max, channel.posts.span_ms) = self.burst;
        }
    }

    pub fn handle(&mut self, call: &Call, token: &str) -> Answer {
        let parts: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["services", _, _, _] if call.method == "POST" => self.webhook(call),
            ["api", method] => {
                let outcome = self.api(call, method, token);
                let answer = match outcome {
                    Ok(mut body) => {
                        body["ok"] = json!(true);
                        Answer::json(200, &body).note("ok")
                    }
                    Err(Refusal { error, more, retry_after }) => {
                        let mut body = more;
                        body["ok"] = json!(false);
                        body["error"] = json!(error);
                        let answer = Answer::json(if retry_after.is_some() { 429 } else { 200 }, &body).note(error);
                        match retry_after {
                            Some(seconds) => answer.header("Retry-After", seconds),
                            None => answer,
                        }
                    }
                };
                answer.header("x-oauth-scopes", self.scopes.join(","))
            }
            _ => Answer::text(404, "text/plain", "not found"),
        }
    }

    fn api(&mut self, call: &Call, method: &str, token: &str) -> Outcome<Value> {
        let args = arguments(call)?;
        let given = call.bearer().map(str::to_owned).or_else(|| args.get("token")?.as_str().map(str::to_owned));
        match given {
            None => return Err("not_authed".into()),
            Some(given) if given != token => return Err("invalid_auth".into()),
            Some(_) => {}
        }
        let needed: &[&str] = match method {
            "auth.test" => &[],
            "chat.postMessage" | "chat.update" => &["chat:write"],
            "conversations.list" | "conversations.info" => &["channels:read", "groups:read"],
            "conversations.history" | "conversations.replies" => &["channels:history", "groups:history", "im:history"],
            "conversations.open" => &["im:write"],
            "users.lookupByEmail" => &["users:read.email"],
            "conversations.join" => &["channels:join"],
            _ => return Err("unknown_method".into()),
        };
        if !needed.is_empty() && !needed.iter().any(|scope| self.has(scope)) {
            let more = json!({"needed": needed[0], "provided": self.scopes.join(",")});
            return Err(Refusal { more, ..Refusal::from("missing_scope") });
        }
        match method {
            "auth.test" => Ok(json!({"url": "https://sandbox.slack.com/", "team": "Sandbox", "user": "vitalsync",
                "team_id": self.team, "user_id": "U0SANDBOX1", "bot_id": "B0SANDBOX1", "is_enterprise_install": false})),
            "chat.postMessage" => methods::post(self, &args, call.now),
            "chat.update" => methods::update(self, &args, call.now),
            "conversations.list" => methods::list(self, &args),
            "conversations.info" => methods::info(self, &args),
            "conversations.history" => methods::history(self, &args),
            "conversations.replies" => methods::replies(self, &args),
            "conversations.open" => people::open(self, &args),
            "users.lookupByEmail" => people::lookup(self, &args),
            _ => methods::join(self, &args),
        }
    }

    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|one| one == scope)
    }

    /// A time after all others, as Slack writes it: seconds, and six digits.
    fn next_ts(&mut self, now: i64) -> String {
        self.last_ts = (self.last_ts + 1).max(now * 1000);
        format!("{}.{:06}", self.last_ts / 1_000_000, self.last_ts % 1_000_000)
    }

    fn webhook(&mut self, call: &Call) -> Answer {
        let plain = |status: u16, text: &str| Answer::text(status, "text/plain", text).note(text);
        let id = match self.webhooks.get(call.path) {
            Some(id) => Some(id.clone()),
            None if self.webhooks.is_empty() => self.channels.first().map(|channel| channel.id.clone()),
            None => return plain(404, "no_service"),
        };
        let body = call.json().ok().or_else(|| {
            let form = pairs(std::str::from_utf8(&call.request.body).ok()?);
            serde_json::from_str(&form.into_iter().find(|(key, _)| key == "payload")?.1).ok()
        });
        let Some(Value::Object(mut body)) = body else { return plain(400, "invalid_payload") };
        let Some(at) = self.channels.iter().position(|channel| Some(&channel.id) == id.as_ref()) else {
            return plain(404, "channel_not_found");
        };
        if self.channels[at].archived {
            return plain(410, "channel_is_archived");
        }
        for overridden in ["channel", "username", "icon_emoji", "icon_url"] {
            body.remove(overridden);
        }
        let checked = match methods::content(&body) {
            Ok(checked) => checked,
            Err(refusal) if refusal.error == "no_text" => return plain(400, "no_text"),
            Err(refusal) if refusal.error == "too_many_attachments" => return plain(400, "too_many_attachments"),
            Err(refusal) => return plain(400, &refusal.error),
        };
        if let Err(wait) = self.channels[at].posts.take(call.now) {
            return plain(429, "rate_limited").header("Retry-After", (wait + 999) / 1000);
        }
        methods::keep(self, at, checked, call.now);
        plain(200, "ok")
    }

    pub fn messages(&self) -> Vec<Message> {
        self.channels.iter().flat_map(|channel| channel.messages.clone()).collect()
    }

    pub fn channel_names(&self) -> Vec<&str> {
        let channels = self.channels.iter().filter(|channel| channel.im.is_none());
        channels.map(|channel| channel.name.as_str()).collect()
    }

    pub fn state(&self) -> Value {
        let people: Vec<Value> =
            self.people.iter().map(|person| json!({"id": person.id, "email": person.email})).collect();
        let channel = |channel: &Channel| {
            json!({"id": channel.id, "name": channel.name, "is_private": channel.private,
                "is_archived": channel.archived, "is_member": channel.member})
        };
        json!({"vendor": "slack", "team_id": self.team, "scopes": self.scopes,
            "users": people,
            "channels": self.channels.iter().filter(|one| one.im.is_none()).map(channel).collect::<Vec<_>>(), "messages": self.messages()})
    }

    /// `users` (an e-mail, or `{email, id, deleted}`), `channels` (a name, or `{name, private, archived, member}`; the bot is a member unless told otherwise), `scopes`
    /// (replaces what the token may do), `webhooks` (path → channel name).
    pub fn seed(&mut self, wanted: &Value) -> Result<Value, String> {
        for one in wanted["users"].as_array().into_iter().flatten() {
            self.people.push(people::Person::seeded(one, self.people.len())?);
        }
        let mut ids = vec![];
        for one in wanted["channels"].as_array().into_iter().flatten() {
            let name = one.as_str().or_else(|| one["name"].as_str()).ok_or("a channel needs a name")?;
            let name = name.trim_start_matches('#');
            let good = |c: char| c.is_alphanumeric() && !c.is_uppercase() || c == '-' || c == '_';
            if name.is_empty() || name.chars().count() > 80 || !name.chars().all(good) {
                return Err(format!("{name} is no name for a channel"));
            }
            if self.channels.iter().any(|channel| channel.name == name) {
                return Err(format!("the channel {name} is there already"));
            }
            let id = format!("C0SANDBOX{:02}", self.channels.len() + 1);
            ids.push(id.clone());
            self.channels.push(Channel {
                id,
                name: name.to_owned(),
                private: one["private"].as_bool().unwrap_or(false),
                archived: one["archived"].as_bool().unwrap_or(false),
                member: one["member"].as_bool().unwrap_or(true),
                im: None,
                posts: Rolling::new(self.burst.0, self.burst.1),
                messages: vec![],
            });
        }
        if let Some(scopes) = wanted["scopes"].as_array() {
            self.scopes = scopes.iter().filter_map(|scope| scope.as_str()).map(str::to_owned).collect();
        }
        for (path, name) in wanted["webhooks"].as_object().into_iter().flatten() {
            let channel = self.channels.iter().find(|channel| Some(channel.name.as_str()) == name.as_str());
            let channel = channel.ok_or_else(|| format!("no channel {name}"))?;
            self.webhooks.insert(path.clone(), channel.id.clone());
        }
        Ok(if ids.is_empty() { json!({}) } else { json!({ "channels": ids }) })
    }
}

/// The arguments of a call, from the query and a JSON or form body. In a form, structures are JSON in text.
fn arguments(call: &Call) -> Outcome<Map<String, Value>> {
    let mut args: Map<String, Value> = call.query.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let kind = call.header("content-type").unwrap_or("application/x-www-form-urlencoded").to_lowercase();
    if call.request.body.is_empty() {
        return Ok(args);
    }
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => match call.json() {
            Ok(Value::Object(body)) => args.extend(body),
            Ok(_) => return Err("json_not_object".into()),
            Err(_) => return Err("invalid_json".into()),
        },
        "application/x-www-form-urlencoded" => {
            let text = std::str::from_utf8(&call.request.body).map_err(|_| Refusal::from("invalid_form_data"))?;
            args.extend(pairs(text).into_iter().map(|(key, value)| (key, Value::from(value))));
        }
        _ => return Err("invalid_post_type".into()),
    }
    Ok(args)
}
