//! Tags: their creation, and the exclusive groups of a contact.

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Method, Operation, Outcome, Step, scrub};

use super::contacts::Target;
use super::exchange::{Exchange, Next, conflict, encoded, gone, id_of, reject, retry};
use super::finished;
use crate::{GROUP_PREFIX, Intercom, tag_slot};

/// Creates a tag or gets the one of that name; Intercom compares without regard to case.
fn ensure_tag(name: &str, exchange: &mut Exchange<'_>) -> Next<String> {
    let answer = exchange.ask(Method::Post, "/tags".into(), Some(json!({ "name": name })))?;
    exchange.id(answer)
}

pub(super) fn tag(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let Some(name) = operation.slot.strip_prefix(&tag_slot("")) else {
        return reject("the operation does not name a tag");
    };
    let id = ensure_tag(name, exchange)?;
    Ok(finished(operation, Outcome::Done { remote_id: Some(id) }))
}
/// Brings the tag groups in step. What must go goes first: a crash between leaves a contact with too few tags of a
/// group, never with two, and the operation is done again from its beginning.
pub(super) fn write(
    intercom: &Intercom,
    operation: &Operation,
    target: &Target,
    exchange: &mut Exchange<'_>,
) -> Next<()> {
    let (mut add, mut remove, mut look_for) = (Vec::new(), Vec::new(), Vec::new());
    let id_of_tag = |tag: &str| operation.refs.get(&tag_slot(tag)).map(String::as_str);
    for (field, change) in &operation.fields {
        let Some(group) = field.strip_prefix(GROUP_PREFIX) else { continue };
        let new = change.new.as_text();
        if let Some(tag) = new {
            let Some(id) = id_of_tag(tag) else {
                return reject(format!("the tag `{}` has no id yet", scrub(tag)));
            };
            add.push((tag, id));
        }
        match change.old.as_text() {
            Some(old) => match id_of_tag(old) {
                Some(id) => remove.push(id),
                None => look_for.push(old),
            },
            // Where the plan names the siblings, nobody knows which of them the contact carries.
            None => look_for.extend(intercom.tags(group).filter(|tag| {
                let slot = tag_slot(tag);
                Some(*tag) != new && operation.needs.iter().any(|need| need.slot == slot)
            })),
        }
    }
    let contact = format!("/contacts/{}", encoded(&target.id));
    let mut carried: Option<Vec<String>> = if target.created { Some(Vec::new()) } else { target.tags.clone() };
    let mut remove: Vec<String> = remove.into_iter().map(str::to_owned).collect();
    let by_id = look_for.iter().all(|tag| id_of_tag(tag).is_some());
    match &carried {
        _ if look_for.is_empty() => {}
        Some(ids) if by_id || ids.is_empty() => {
            remove.extend(look_for.into_iter().filter_map(id_of_tag).map(str::to_owned));
        }
        _ => {
            let answer = exchange.ask(Method::Get, format!("{contact}/tags"), None)?;
            gone(answer)?;
            let list = exchange.object(answer)?;
            let Some(data) = list.get("data").and_then(Json::as_array) else {
                return retry(None, "Intercom did not list the contact's tags");
            };
            let wanted: Vec<String> = look_for.iter().map(|tag| tag.to_lowercase()).collect();
            let mut ids = Vec::new();
            for tag in data {
                let Some(id) = id_of(tag) else { continue };
                let name = tag.get("name").and_then(Json::as_str).unwrap_or_default().to_lowercase();
                let asked = wanted.contains(&name) || look_for.iter().any(|tag| id_of_tag(tag) == Some(id.as_str()));
                if asked && !remove.contains(&id) {
                    remove.push(id.clone());
                }
                ids.push(id);
            }
            carried = Some(ids);
        }
    }
    for id in remove {
        let stays = add.iter().any(|(_, added)| *added == id);
        let carries = carried.as_ref().is_none_or(|ids| ids.contains(&id));
        if stays || !carries {
            continue;
        }
        let answer = exchange.ask(Method::Delete, format!("{contact}/tags/{}", encoded(&id)), None)?;
        match answer.status {
            // Not on the contact, or no such tag: either is what was wanted. A contact that is gone shows later.
            404 | 204 => {}
            410 => gone(answer)?,
            _ => _ = exchange.object(answer)?,
        }
    }
    for (tag, id) in add {
        if carried.as_ref().is_some_and(|ids| ids.iter().any(|carried| carried == id)) {
            continue;
        }
        add_tag(&contact, tag, id, exchange)?;
    }
    Ok(())
}

fn add_tag(contact: &str, tag: &str, id: &str, exchange: &mut Exchange<'_>) -> Next<()> {
    let path = format!("{contact}/tags");
    let answer = exchange.ask(Method::Post, path.clone(), Some(json!({ "id": id })))?;
    if answer.status != 404 {
        gone(answer)?;
        exchange.id(answer)?;
        return Ok(());
    }
    // Either the contact or the tag is gone. A tag that somebody deleted is made anew; if it is the same, it is the contact.
    let fresh = ensure_tag(tag, exchange)?;
    if fresh == id {
        return conflict("the contact is no longer there");
    }
    let answer = exchange.ask(Method::Post, path, Some(json!({ "id": fresh })))?;
    gone(answer)?;
    exchange.id(answer)?;
    Ok(())
}
