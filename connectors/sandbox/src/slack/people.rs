//! People, as far as a bot needs them to send direct messages.

use serde_json::{Map, Value, json};

use super::{Channel, Outcome, Slack};
use crate::limits::Rolling;

/// A member of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub id: String,
    pub email: String,
    pub deleted: bool,
}

impl Person {
    /// One of `users` in a seed: an e-mail, or `{email, id, deleted}`.
    pub fn seeded(one: &Value, number: usize) -> Result<Self, String> {
        let email = one.as_str().or_else(|| one["email"].as_str()).ok_or("a user needs an e-mail")?;
        let id = one["id"].as_str().map_or_else(|| format!("U1SANDBOX{:02}", number + 1), str::to_owned);
        Ok(Self { id, email: email.to_lowercase(), deleted: one["deleted"].as_bool().unwrap_or(false) })
    }
}

fn text<'a>(args: &'a Map<String, Value>, key: &str) -> &'a str {
    args.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn lookup(slack: &Slack, args: &Map<String, Value>) -> Outcome<Value> {
    let email = text(args, "email").to_lowercase();
    let person = slack.people.iter().find(|person| person.email == email).ok_or("users_not_found")?;
    Ok(json!({"user": {"id": person.id, "team_id": slack.team, "deleted": person.deleted, "is_bot": false,
        "profile": {"email": person.email}}}))
}

/// Opens the direct messages with one person; those that are open already are found again.
pub(super) fn open(slack: &mut Slack, args: &Map<String, Value>) -> Outcome<Value> {
    let users = text(args, "users");
    let person = slack.people.iter().find(|person| person.id == users).ok_or("user_not_found")?;
    if person.deleted {
        return Err("user_disabled".into());
    }
    let id = dm(slack, users).ok_or("user_not_found")?;
    Ok(json!({"channel": {"id": id}, "no_op": false, "already_open": false}))
}

/// The id of the direct messages with a person.
pub(super) fn dm(slack: &mut Slack, user: &str) -> Option<String> {
    let at = slack.people.iter().position(|person| person.id == user && !person.deleted)?;
    let id = format!("D0SANDBOX{:02}", at + 1);
    if !slack.channels.iter().any(|channel| channel.id == id) {
        let (most, span) = slack.burst;
        slack.channels.push(Channel {
            id: id.clone(),
            name: user.to_owned(),
            private: true,
            archived: false,
            member: true,
            im: Some(user.to_owned()),
            posts: Rolling::new(most, span),
            messages: vec![],
        });
    }
    Some(id)
}
