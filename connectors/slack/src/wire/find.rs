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
struct Listed {
    id: String,
    archived: bool,
}

pub(super) fn channels(operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Step> {
    let name =
        |operation: &Operation| operation.slot.trim_start_matches(CHANNEL_KIND).trim_start_matches("/#").to_owned();
    let names: Vec<String> = operations.iter().map(name).collect();
    let mut listed = None;
    // Without the scope for private channels there are still the public ones.
    for kinds in ["public_channel,private_channel", "public_channel"] {
        listed = list(kinds, &names, exchange)?;
        if listed.is_some() {
            break;
        }
    }
    let receipt = |(operation, name): (&Operation, &String)| {
        let outcome = match listed.as_ref().map(|listed| listed.get(name)) {
            None => Outcome::Done { remote_id: None },
            Some(Some(found)) if !found.archived => Outcome::Done { remote_id: Some(found.id.clone()) },
            Some(Some(_)) => {
                Outcome::Rejected { why: format!("#{} is archived: unarchive it or change `to`", scrub(name)) }
            }
            Some(None) => Outcome::Rejected {
                why: format!(
                    "Slack knows no channel #{} that the bot can see: correct `to`, or invite the bot if it is private",
                    scrub(name)
                ),
            },
        };
        Receipt { slot: operation.slot.clone(), outcome }
    };
    Ok(Step::Done(operations.iter().zip(&names).map(receipt).collect()))
}

/// The channels with these names; `None` if the bot may not list them.
fn list(kinds: &str, names: &[String], exchange: &mut Exchange<'_>) -> Next<Option<BTreeMap<String, Listed>>> {
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    let mut cursor = String::new();
    for _ in 0..MAX_PAGES {
        let path = format!("/api/conversations.list?types={kinds}&exclude_archived=false&limit=999{cursor}");
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
            let archived = channel.get("is_archived").and_then(Json::as_bool).unwrap_or(false);
            // An archived channel's name may be given to a new one.
            if names.contains(&name) && listed.get(&name).is_none_or(|known| known.archived) {
                listed.insert(name, Listed { id, archived });
            }
        }
        if names.iter().all(|name| listed.get(name).is_some_and(|known| !known.archived)) {
            break;
        }
        // A page may be short or empty while there is a next one.
        match text_at(&page, "/response_metadata/next_cursor") {
            Some(next) => cursor = format!("&cursor={}", encoded(&next)),
            None => break,
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
        let path = format!("/api/users.lookupByEmail?email={}", encoded(wanted));
        match exchange.ask(Method::Get, path, None, "read")? {
            Ok(body) if body.pointer("/user/deleted").and_then(Json::as_bool) == Some(true) => {
                return absent("that account in Slack is deactivated".into());
            }
            Ok(body) => match text_at(&body, "/user/id") {
                Some(id) => id,
                None => return retry(None, "Slack did not name the user"),
            },
            Err(refusal) if matches!(refusal.code.as_str(), "users_not_found" | "user_not_found") => {
                return absent("nobody in Slack has that e-mail".into());
            }
            Err(refusal) => return reject(format!("looking somebody up by e-mail: {}", refusal.said())),
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
