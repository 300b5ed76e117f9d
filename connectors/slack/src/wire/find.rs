//! Finds out ids: of channels by their names, all in one reading of the list, and of people by their e-mail.
//!
//! What is found is kept, and asked for again only after a post there was refused. A bot without the scopes to list channels posts to
//! public ones by their names, as Slack allows.

use std::collections::BTreeMap;

use super::*;
use crate::place::is_user_id;

/// So many pages of 999 channels are read.
const MAX_PAGES: usize = 50;

/// What the list says of a channel.
pub(super) struct Listed {
    pub id: String,
    pub archived: bool,
    pub private: bool,
    /// Whether the bot is in it.
    pub member: bool,
}

pub(super) fn channels(operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Step> {
    let name =
        |operation: &Operation| operation.slot.trim_start_matches(CHANNEL_KIND).trim_start_matches("/#").to_owned();
    let names: Vec<String> = operations.iter().map(name).collect();
    let listed = listed(&names, exchange)?;
    let receipt = |(operation, name): (&Operation, &String)| {
        let outcome = match listed.as_ref().map(|(listed, _)| listed.get(name)) {
            None => Outcome::Done { remote_id: None },
            Some(Some(found)) if !found.archived => Outcome::Done { remote_id: Some(found.id.clone()) },
            Some(Some(_)) => Outcome::Rejected { why: archived(&format!("#{name}")) },
            Some(None) => Outcome::Rejected { why: unknown(&format!("#{name}")) },
        };
        Receipt { slot: operation.slot.clone(), outcome }
    };
    Ok(Step::Done(operations.iter().zip(&names).map(receipt).collect()))
}

/// Why nothing can be posted in a channel that is not there, by its name with the `#` or its id.
pub(super) fn unknown(channel: &str) -> String {
    let channel = scrub(channel);
    format!("Slack knows no channel {channel} that the bot can see: correct `to`, or invite the bot if it is private")
}

/// The same of one that is archived.
pub(super) fn archived(channel: &str) -> String {
    format!("{} is archived: unarchive it or change `to`", scrub(channel))
}

/// Channels by their names or ids, and whether private ones were looked at, too; `None` if the bot may list none.
pub(super) fn listed(wanted: &[String], exchange: &mut Exchange<'_>) -> Next<Option<(BTreeMap<String, Listed>, bool)>> {
    // Without the scope for private channels there are still the public ones.
    for (kinds, all) in [("public_channel,private_channel", true), ("public_channel", false)] {
        if let Some(listed) = list(kinds, wanted, exchange)? {
            return Ok(Some((listed, all)));
        }
    }
    Ok(None)
}

/// The channels with these names or ids; `None` if the bot may not list them.
fn list(kinds: &str, names: &[String], exchange: &mut Exchange<'_>) -> Next<Option<BTreeMap<String, Listed>>> {
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    let mut paging = Paging::default();
    for _ in 0..MAX_PAGES {
        let path = format!("/api/conversations.list?types={kinds}&exclude_archived=false&limit=999{}", paging.query);
        let page = match exchange.ask(Method::Get, path, None, "list")? {
            Ok(page) => page,
            Err(refusal) if refusal.code == "missing_scope" => return Ok(None),
            Err(refusal) => return reject(format!("listing the channels: {}", refusal.said())),
        };
        let Some(channels) = page.get("channels").and_then(Json::as_array) else {
            return retry(None, "Slack did not list the channels");
        };
        for channel in channels {
            let (Some(name), Some(id)) = (text_at(channel, "/name"), text_at(channel, "/id")) else { continue };
            let flag = |key: &str| channel.get(key).and_then(Json::as_bool);
            for called in [&name, &id].into_iter().filter(|called| names.contains(called)) {
                // An archived channel's name may be given to a new one.
                if listed.get(called).is_none_or(|known| known.archived) {
                    let (archived, private) = (flag("is_archived") == Some(true), flag("is_private") == Some(true));
                    let member = flag("is_member") != Some(false);
                    listed.insert(called.clone(), Listed { id: id.clone(), archived, private, member });
                }
            }
        }
        if names.iter().all(|name| listed.get(name).is_some_and(|known| !known.archived)) {
            break;
        }
        if !paging.on(&page)? {
            break;
        }
    }
    Ok(Some(listed))
}

pub(super) fn person(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let wanted = operation.slot.split_once('/').map_or("", |(_, wanted)| wanted);
    let absent =
        |why: String| Ok(Step::Done(vec![Receipt { slot: operation.slot.clone(), outcome: Outcome::Absent { why } }]));
    let user = if is_user_id(wanted) {
        wanted.to_owned()
    } else {
        match by_email(wanted, exchange)? {
            Ok(id) => id,
            Err(why) => return absent(why),
        }
    };
    let body = json!({ "users": user });
    match exchange.ask(Method::Post, "/api/conversations.open".into(), Some(body), "read")? {
        Ok(body) => Ok(done(operation, text_at(&body, "/channel/id").or(Some(user)))),
        // Slack takes a user's id for a channel, too; only read back it can't be.
        Err(refusal) if refusal.code == "missing_scope" => Ok(done(operation, Some(user))),
        Err(refusal) => absent(format!("no direct message can be opened. {}", refusal.said())),
    }
}

/// The id of the person with an e-mail, or why there is nobody.
pub(super) fn by_email(email: &str, exchange: &mut Exchange<'_>) -> Next<Result<String, String>> {
    let path = format!("/api/users.lookupByEmail?email={}", encoded(email));
    match exchange.ask(Method::Get, path, None, "read")? {
        Ok(body) if body.pointer("/user/deleted").and_then(Json::as_bool) == Some(true) => {
            Ok(Err("that account in Slack is deactivated".into()))
        }
        Ok(body) => match text_at(&body, "/user/id") {
            Some(id) => Ok(Ok(id)),
            None => retry(None, "Slack did not name the user"),
        },
        Err(refusal) if matches!(refusal.code.as_str(), "users_not_found" | "user_not_found") => {
            Ok(Err("nobody in Slack has that e-mail".into()))
        }
        Err(refusal) => reject(format!("looking somebody up by e-mail: {}", refusal.said())),
    }
}
