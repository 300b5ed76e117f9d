//! Tags: their creation, and the exclusive groups of a contact.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Answer, Method, Operation, Outcome, scrub};

use super::contacts::{Target, lost};
use super::exchange::{Exchange, Next, encoded, id_of, reject, retry};
use crate::{CONTACT, GROUP_PREFIX, Intercom, tag_slot};

/// Creates a tag or gets the one of that name; Intercom compares without regard to case.
fn create(name: &str, exchange: &mut Exchange<'_>) -> Next<String> {
    let answer = exchange.ask(Method::Post, "/tags".into(), Some(json!({ "name": name })))?;
    exchange.id(answer)
}

pub(super) fn ensure(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let Some(name) = operation.slot.strip_prefix(&tag_slot("")) else {
        return reject("the operation does not name a tag");
    };
    Ok(vec![Outcome::Done { remote_id: Some(create(name, exchange)?) }])
}

/// Which of the tags there are, by their names.
pub(super) fn find(operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let answer = exchange.ask(Method::Get, "/tags".into(), None)?;
    let tags = listed(&exchange.object(answer)?)?;
    let found = |operation: &Operation| {
        let name = operation.slot.strip_prefix(&tag_slot("")).unwrap_or_default().to_lowercase();
        match tags.iter().find(|(_, listed)| *listed == name) {
            Some((id, _)) => Outcome::Found { remote_id: Some(id.clone()), differs: BTreeMap::new() },
            None => Outcome::Gone { why: "the tag was deleted".into() },
        }
    };
    Ok(operations.iter().map(found).collect())
}

/// A tag on a contact: its id, and its name in small letters where the answer gave it.
struct Carried {
    id: String,
    name: Option<String>,
}

/// What is to become of one group.
struct Group<'a> {
    /// The tag that comes, with its id.
    new: Option<(&'a str, &'a str)>,
    /// The tag that was there when we last heard.
    old: Option<&'a str>,
    /// All tags that must not be there: name and, where known, id.
    others: Vec<(&'a str, Option<&'a str>)>,
    /// Nobody knows which of them is there.
    unsure: bool,
}

impl<'a> Group<'a> {
    fn all(intercom: &'a Intercom, operation: &'a Operation) -> Next<Vec<Self>> {
        let id_of_tag = |tag: &str| operation.refs.get(&tag_slot(tag)).map(String::as_str);
        let mut groups = Vec::new();
        for (field, change) in &operation.fields {
            let Some(name) = field.strip_prefix(GROUP_PREFIX) else { continue };
            let new = match change.new.as_text() {
                Some(tag) => match id_of_tag(tag) {
                    Some(id) => Some((tag, id)),
                    None => return reject(format!("the tag `{}` has no id yet", scrub(tag))),
                },
                None => None,
            };
            let stays = |tag: &str| new.is_some_and(|(new, _)| new.to_lowercase() == tag.to_lowercase());
            let old = change.old.as_text().filter(|old| !stays(old));
            let siblings: Vec<&str> = intercom.tags(CONTACT, name).filter(|tag| !stays(tag)).collect();
            // Where the plan names the siblings, nobody knows which of them the contact carries.
            let named = |tag: &&str| operation.needs.iter().any(|need| need.slot == tag_slot(tag));
            let unsure = change.old.as_text().is_none() && siblings.iter().any(named);
            let others = siblings.iter().copied().chain(old.filter(|old| !siblings.contains(old)));
            groups.push(Self { new, old, others: others.map(|tag| (tag, id_of_tag(tag))).collect(), unsure });
        }
        Ok(groups)
    }

    fn excludes(&self, tag: &Carried) -> bool {
        let stays = self.new.is_some_and(|(_, id)| id == tag.id);
        let is = |(name, id): &(&str, Option<&str>)| {
            *id == Some(tag.id.as_str()) || tag.name.as_ref().is_some_and(|carried| *carried == name.to_lowercase())
        };
        !stays && self.others.iter().any(is)
    }
}

/// Takes away what must go of the tag groups, and says what must come: names and ids of tags. What goes goes first: a crash
/// between leaves a contact with too few tags of a group, never with two, and the operation is done again from its beginning.
/// Where something shows that the contact is not as it was known, all its tags are read.
pub(super) fn clear<'a>(
    intercom: &'a Intercom,
    operation: &'a Operation,
    target: &Target,
    exchange: &mut Exchange<'_>,
) -> Next<Vec<(&'a str, &'a str)>> {
    let groups = Group::all(intercom, operation)?;
    let bare = |ids: &Vec<String>| ids.iter().map(|id| Carried { id: id.clone(), name: None }).collect();
    let mut carried: Option<Vec<Carried>> =
        if target.created { Some(Vec::new()) } else { target.tags.as_ref().map(bare) };
    let nameless = |group: &Group<'_>| group.others.iter().any(|(_, id)| id.is_none());
    let anonymous = |tags: &Vec<Carried>| tags.iter().any(|tag| tag.name.is_none());
    // Ids alone don't tell which tag is whose where the ids of a group are not all known.
    if groups.iter().any(|group| group.unsure && carried.as_ref().is_none_or(|tags| anonymous(tags) && nameless(group)))
    {
        carried = Some(read(operation, target, exchange)?);
    }
    for group in &groups {
        if carried.is_none()
            && let Some(old) = group.old
        {
            let id = group.others.iter().find(|(name, _)| *name == old).and_then(|(_, id)| *id);
            let was_there = match id {
                Some(id) => take_away(operation, target, id, exchange)?,
                None => false,
            };
            if was_there {
                continue;
            }
            // Not as it was known: somebody, or a write whose answer we never saw, came between.
            carried = Some(read(operation, target, exchange)?);
        }
        let mut all_there = true;
        for tag in carried.iter().flatten().filter(|tag| group.excludes(tag)) {
            all_there &= take_away(operation, target, &tag.id, exchange)?;
        }
        // What was listed and then not found to take away is looked for once more.
        if !all_there {
            for tag in read(operation, target, exchange)?.iter().filter(|tag| group.excludes(tag)) {
                if !take_away(operation, target, &tag.id, exchange)? {
                    return retry(None, "Intercom lists a tag that it does not find");
                }
            }
        }
    }
    let is_there = |id: &str| carried.iter().flatten().any(|carried| carried.id == id);
    Ok(groups.iter().filter_map(|group| group.new).filter(|(_, id)| !is_there(id)).collect())
}

/// Every tag of a contact.
fn read(operation: &Operation, target: &Target, exchange: &mut Exchange<'_>) -> Next<Vec<Carried>> {
    let answer = exchange.ask(Method::Get, tags_of(&target.id), None)?;
    if matches!(answer.status, 404 | 410) {
        return lost(operation, exchange);
    }
    Ok(listed(&exchange.object(answer)?)?.into_iter().map(|(id, name)| Carried { id, name: Some(name) }).collect())
}

/// The path of a contact's tags.
pub(super) fn tags_of(contact: &str) -> String {
    format!("/contacts/{}/tags", encoded(contact))
}

/// The tags of a list: ids, and names in small letters.
pub(super) fn listed(list: &Json) -> Next<Vec<(String, String)>> {
    let Some(data) = list.get("data").or_else(|| list.get("tags")).and_then(Json::as_array) else {
        return retry(None, "Intercom did not list the tags");
    };
    let name = |tag: &Json| tag.get("name").and_then(Json::as_str).unwrap_or_default().to_lowercase();
    Ok(data.iter().filter_map(|tag| Some((id_of(tag)?, name(tag)))).collect())
}

/// Takes a tag off a contact; false if it was not there, or if there is no such tag. A contact that is gone shows later.
fn take_away(operation: &Operation, target: &Target, id: &str, exchange: &mut Exchange<'_>) -> Next<bool> {
    let answer = exchange.ask(Method::Delete, format!("{}/{}", tags_of(&target.id), encoded(id)), None)?;
    match answer.status {
        204 => Ok(true),
        404 => Ok(false),
        410 => lost(operation, exchange),
        _ => exchange.object(answer).map(|_| true),
    }
}

/// Puts a tag on one contact.
pub(super) fn add(
    operation: &Operation,
    target: &Target,
    (tag, id): (&str, &str),
    exchange: &mut Exchange<'_>,
) -> Next<()> {
    let mut answer = put_on(target, id, exchange)?;
    if answer.status == 404 {
        // Either the contact or the tag is gone. A tag that somebody deleted is made anew; if it is the same, it is the contact.
        let fresh = create(tag, exchange)?;
        if fresh == id {
            return lost(operation, exchange);
        }
        answer = put_on(target, &fresh, exchange)?;
    }
    if matches!(answer.status, 404 | 410) {
        return lost(operation, exchange);
    }
    exchange.id(answer).map(|_| ())
}

fn put_on<'a>(target: &Target, id: &str, exchange: &mut Exchange<'a>) -> Next<&'a Answer> {
    exchange.ask(Method::Post, tags_of(&target.id), Some(json!({ "id": id })))
}
