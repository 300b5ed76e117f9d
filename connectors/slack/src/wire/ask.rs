//! Whether alerts could be posted where the config sends them: `validate --online` asks, and nothing is posted or opened.
//!
//! What the bot may not list is not asked for: it may be there all the same. Nor is a person's id, since only opening direct messages
//! would tell, nor what an expression gives.

use std::collections::BTreeMap;

use vitalsync_core::connector::Mode;

use super::find::{self, Listed};
use super::*;
use crate::place::{is_channel_id, is_email};
use crate::{ASKED, OWNER};

/// The questions of a config are one conversation: scopes, the list of channels, and everybody by e-mail.
pub(super) fn places(operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Step> {
    let scopes = Scopes::read(exchange)?;
    if !scopes.posts() {
        return login(refusal("missing_scope", Some("chat:write")));
    }
    let places: Vec<&str> = operations.iter().map(|one| asked(&one.slot)).collect();
    let wanted: Vec<String> =
        places.iter().filter(|place| is_channel(place)).map(|place| place.trim_start_matches('#').to_owned()).collect();
    let channels = if wanted.is_empty() { None } else { find::listed(&wanted, exchange)? };
    let mut whys: BTreeMap<&str, Option<String>> = BTreeMap::new();
    for place in places.iter().copied() {
        if whys.contains_key(place) {
            continue;
        }
        let why = match place {
            OWNER => scopes.lacks(BY_EMAIL),
            _ if is_channel(place) => channels.as_ref().and_then(|(channels, all)| {
                let found = channels.get(place.trim_start_matches('#'));
                channel(place, found, *all, &scopes)
            }),
            _ if is_email(place) => match scopes.lacks(BY_EMAIL) {
                None => find::by_email(place, exchange)?.err(),
                lacks => lacks,
            },
            _ => None,
        };
        whys.insert(place, why);
    }
    let receipt = |operation: &Operation| Receipt {
        slot: operation.slot.clone(),
        outcome: match whys.get(asked(&operation.slot)).cloned().flatten() {
            Some(why) => Outcome::Rejected { why },
            None => Outcome::Found { remote_id: None, differs: BTreeMap::new() },
        },
    };
    Ok(Step::Done(operations.iter().map(receipt).collect()))
}

/// The scope that finds people.
const BY_EMAIL: &str = "users:read.email";

/// The question whether alerts can go to a place, or to owners; of none, whether they can be posted at all.
pub(crate) fn question(number: usize, place: &str) -> Operation {
    let title = if is_channel(place) { format!("look for the channel {place}") } else { "look for somebody".into() };
    Operation { mode: Mode::Read, ..Operation::new(format!("{ASKED}/{number}/{place}"), ASKED, title) }
}

/// The place of a question.
fn asked(slot: &str) -> &str {
    slot.splitn(3, '/').nth(2).unwrap_or_default()
}

fn is_channel(place: &str) -> bool {
    // Direct messages are not listed.
    place.starts_with('#') || (is_channel_id(place) && !place.starts_with('D'))
}

/// What is wrong with a channel. `all`: private ones were listed, too, so that what is not there can't be seen by the bot.
fn channel(place: &str, found: Option<&Listed>, all: bool, scopes: &Scopes) -> Option<String> {
    match found {
        // By a name it is found in the list or not at all.
        None => (all || place.starts_with('#')).then(|| find::unknown(place)),
        Some(found) if found.archived => Some(find::archived(place)),
        Some(found) if !found.member && (found.private || scopes.lacks("chat:write.public").is_some()) => {
            let other = if found.private { "" } else { ", or give it chat:write.public" };
            Some(format!("the bot is not in {}: invite it there{other}", scrub(place)))
        }
        Some(_) => None,
    }
}

/// What the bot's token may do; `None`: Slack did not say.
struct Scopes(Option<Vec<String>>);

impl Scopes {
    /// Source: the header `x-oauth-scopes`, which Slack's guides show and its reference does not promise.
    fn read(exchange: &mut Exchange<'_>) -> Next<Self> {
        let reply = exchange.next(Method::Post, "/api/auth.test".into(), None, Pool::of("read"))?;
        let Reply::Answer(answer) = reply else { return retry(None, "the connection broke before the answer came") };
        match judged(answer)? {
            Verdict::Fine(_) => {}
            Verdict::Refused { code, needed } => return login(refusal(&code, needed.as_deref())),
            Verdict::Unclear(why) => return retry(None, why),
        }
        let list = answer.header("x-oauth-scopes").filter(|list| !list.trim().is_empty());
        Ok(Self(list.map(|list| list.split(',').map(|scope| scope.trim().to_owned()).collect())))
    }

    /// Whether it may post at all. Apps of old have `bot`, or `chat:write:bot`.
    fn posts(&self) -> bool {
        let is_it = |scope: &String| matches!(scope.as_str(), "chat:write" | "chat:write:bot" | "bot");
        self.0.as_ref().is_none_or(|scopes| scopes.iter().any(is_it))
    }

    /// What to do where a scope is missing.
    fn lacks(&self, scope: &str) -> Option<String> {
        let lacks = self.0.as_ref().is_some_and(|scopes| !scopes.iter().any(|one| one == scope || one == "bot"));
        lacks.then(|| refusal("missing_scope", Some(scope)))
    }
}
