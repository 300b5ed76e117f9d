//! Contacts: find those whose id is not known, create what may be created, write attributes and tags.
//!
//! Those that get a tag are written together, so that it is put on up to fifty of them in one request. All that must go has gone
//! from all of them by then.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Answer, Method, Operation, Outcome, Receipt, Step};

use super::encode::{attributes, text_of};
use super::exchange::{Exchange, Next, conflict, encoded, id_of, reject, retry};
use super::tag_lists::{self, Listed};
use super::tags;
use crate::{CONTACT, Intercom, TAG_LIST};

/// So many merges in a row are followed. Intercom's own links span three.
const MERGES: usize = 3;

/// A contact, and what is known of it beside its id.
pub(super) struct Target {
    pub id: String,
    /// Just created, with all attributes and no tags.
    pub created: bool,
    /// The ids of all its tags, where an answer told them.
    pub tags: Option<Vec<String>>,
}

/// A contact to write to, or why there is none.
type Found = Result<Target, Outcome>;

/// One contact of those that are written together.
struct Member<'a> {
    operation: &'a Operation,
    /// Where it is in Intercom; none where it is not.
    target: Option<Target>,
    /// The tags that it is to get, with their ids.
    comes: Vec<(&'a str, &'a str)>,
    /// One of several.
    several: bool,
    /// What became of it, once that is known.
    outcome: Option<Outcome>,
}

/// Writes contacts one after the other, and then puts on what tags they get, in lists.
pub(super) fn write<'a>(
    intercom: &'a Intercom,
    operations: &'a [Operation],
    exchange: &mut Exchange<'_>,
) -> Next<Vec<Outcome>> {
    let mut members = Vec::new();
    for operation in operations {
        let mut member =
            Member { operation, target: None, comes: Vec::new(), several: operations.len() > 1, outcome: None };
        let written = member.write(intercom, exchange);
        member.heed(written)?;
        members.push(member);
    }
    let mut comes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        member.comes.iter().for_each(|(tag, _)| comes.entry(tag).or_default().push(at));
    }
    for (tag, mut list) in comes {
        list.retain(|at| members.get(*at).is_some_and(|member| member.outcome.is_none()));
        for chunk in list.chunks(TAG_LIST) {
            tag_lists::send(tag, true, chunk, &mut members, exchange)?;
        }
    }
    let done = |member: Member<'_>| {
        let id = member.target.map(|target| target.id);
        member.outcome.unwrap_or(Outcome::Done { remote_id: id })
    };
    Ok(members.into_iter().map(done).collect())
}

impl<'a> Member<'a> {
    /// Everything but the tags that come.
    fn write(&mut self, intercom: &'a Intercom, exchange: &mut Exchange<'_>) -> Next<()> {
        let operation = self.operation;
        let mut target = match &operation.remote_id {
            Some(id) => Target { id: id.clone(), created: false, tags: None },
            None => match find(intercom, operation, exchange)? {
                Ok(target) => target,
                Err(none) => {
                    self.outcome = Some(none);
                    return Ok(());
                }
            },
        };
        let attributes = attributes(intercom, CONTACT, operation);
        if !target.created && !attributes.is_empty() {
            let path = format!("/contacts/{}", encoded(&target.id));
            let answer = exchange.ask(Method::Put, path, Some(json!({ "custom_attributes": attributes })))?;
            if matches!(answer.status, 404 | 410) {
                return lost(operation, exchange);
            }
            let contact = exchange.object(answer)?;
            if id_of(&contact).as_deref() != Some(target.id.as_str()) {
                return retry(None, "Intercom answered with another contact");
            }
            target.tags = all_tags(&contact).or(target.tags);
        }
        self.comes = tags::clear(intercom, operation, &target, exchange)?;
        self.target = Some(target);
        Ok(())
    }

    /// Where the conversation about one of several ends, the others go on. What somebody else changed is then told alone, by
    /// itself, where it is planned anew.
    fn heed(&mut self, step: Next<()>) -> Next<()> {
        let Err(step) = step else { return Ok(()) };
        self.outcome = match *step {
            Step::Done(receipts) => receipts.into_iter().next().map(|receipt| receipt.outcome),
            Step::Reject { why } | Step::Conflict { why } if self.several => Some(Outcome::Rejected { why }),
            step => return Err(Box::new(step)),
        };
        Ok(())
    }

    /// One request for this contact only.
    fn add(&mut self, tag: &str, exchange: &mut Exchange<'_>) -> Next<()> {
        let comes = self.comes.iter().find(|(name, _)| *name == tag);
        let Some((target, comes)) = self.target.as_ref().zip(comes) else { return Ok(()) };
        let added = tags::add(self.operation, target, *comes, exchange);
        self.heed(added)
    }
}

impl Listed for Member<'_> {
    const LIST: &'static str = "users";

    fn outcome(&mut self) -> &mut Option<Outcome> {
        &mut self.outcome
    }

    /// Only setting: Intercom takes tags away from companies in lists, not from contacts.
    fn item(&self, _on: bool) -> Json {
        json!({ "id": self.target.as_ref().map(|target| &target.id) })
    }

    fn is_named(&self, entry: &Json) -> bool {
        self.target.as_ref().is_some_and(|target| id_of(entry).as_ref() == Some(&target.id))
    }

    fn alone(&mut self, tag: &str, exchange: &mut Exchange<'_>) -> Next<bool> {
        self.add(tag, exchange).map(|()| true)
    }

    fn refused(&mut self, tag: &str, _on: bool, _answer: &Answer, exchange: &mut Exchange<'_>) -> Next<()> {
        self.add(tag, exchange)
    }

    fn unconfirmed(&mut self, tag: &str, _on: bool, _nothing: bool, exchange: &mut Exchange<'_>) -> Next<()> {
        self.add(tag, exchange)
    }
}

/// Ends the conversation about a contact that is not there under its id any more: planned anew where there is another one by
/// its external id, else gone for good.
pub(super) fn lost<T>(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<T> {
    if operation.remote_id.is_none() {
        return conflict("the contact went away meanwhile");
    }
    for key in operation.keys.iter().filter(|key| fits_in_path(&key.value)) {
        let answer = exchange.ask(Method::Get, by_external_id(&key.value), None)?;
        match answer.status {
            404 => {}
            410 => return conflict("the contact was merged into another one"),
            _ => {
                exchange.id(answer)?;
                return conflict("the contact has another id now");
            }
        }
    }
    let outcome = Outcome::Gone { why: "the contact was deleted or archived in Intercom".into() };
    Err(Box::new(Step::Done(vec![Receipt { slot: operation.slot.clone(), outcome }])))
}

fn by_external_id(value: &str) -> String {
    format!("/contacts/find_by_external_id/{}", encoded(value))
}

/// A client would take these for steps in the path, encoded or not.
fn fits_in_path(value: &str) -> bool {
    !matches!(value, "." | "..")
}

/// Finds the contact or creates it.
fn find(intercom: &Intercom, operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Found> {
    for key in &operation.keys {
        if !fits_in_path(&key.value) {
            return reject("the external id is a dot or two, which can't stand in an address");
        }
        if let Some(found) = look(operation, &key.value, exchange)? {
            return Ok(found);
        }
    }
    let Some(first) = operation.keys.first() else {
        return reject("there is no external id to look for");
    };
    match &operation.create {
        Some(fields) => create(intercom, operation, &first.value, fields, exchange),
        None => Ok(Err(Outcome::Absent { why: "Intercom has no contact with this external id".into() })),
    }
}

/// The contact with an external id; `None` if there is none.
fn look(operation: &Operation, external_id: &str, exchange: &mut Exchange<'_>) -> Next<Option<Found>> {
    let mut answer = exchange.ask(Method::Get, by_external_id(external_id), None)?;
    if answer.status == 404 {
        return Ok(None);
    }
    let mut merges = 0;
    while answer.status == 410 {
        let Some(id) = canonical(answer).filter(|_| merges < MERGES) else {
            return Ok(Some(unusable(operation, "the contact was merged into another one in Intercom")));
        };
        answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&id)), None)?;
        merges += 1;
    }
    if answer.status == 404 {
        return Ok(Some(unusable(operation, "the contact was merged into one that is no longer there")));
    }
    let found = exchange.object(answer)?;
    let Some(id) = id_of(&found) else { return retry(None, "Intercom answered without a contact") };
    // Two users must not write one contact.
    let whose = found.get("external_id").and_then(Json::as_str).filter(|whose| !whose.is_empty());
    let ours = whose.is_none_or(|whose| operation.keys.iter().any(|key| key.value == whose));
    Ok(Some(if is_archived(&found) {
        unusable(operation, "the contact is archived in Intercom: unarchive or delete it there")
    } else if merges > 0 && !ours {
        unusable(operation, "the contact was merged into the contact of another user in Intercom")
    } else {
        Ok(Target { id, created: false, tags: all_tags(&found) })
    }))
}

/// The id of the contact that another one was merged into: `Link: </contacts/ID>; rel="canonical"`.
pub(super) fn canonical(answer: &Answer) -> Option<String> {
    let (target, _) = answer.header("link")?.split_once('<')?.1.split_once('>')?;
    let id = target.rsplit_once("/contacts/")?.1;
    (!id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        .then(|| id.to_owned())
}

pub(super) fn is_archived(contact: &Json) -> bool {
    contact.get("archived") == Some(&Json::Bool(true))
}

/// A contact that exists and can't be written: nothing to do, unless creation was asked for, which can't be had.
fn unusable(operation: &Operation, why: &str) -> Found {
    Err(match operation.create {
        Some(_) => Outcome::Rejected { why: why.into() },
        None => Outcome::Absent { why: why.into() },
    })
}

/// The ids of all tags in a contact's answer, which shows ten at most; `None` if it does not show all.
pub(super) fn all_tags(contact: &Json) -> Option<Vec<String>> {
    let tags = contact.get("tags")?;
    let ids: Vec<String> = tags.get("data")?.as_array()?.iter().map(id_of).collect::<Option<_>>()?;
    let complete = tags.get("has_more") == Some(&Json::Bool(false))
        && tags.get("total_count").and_then(Json::as_u64) == u64::try_from(ids.len()).ok();
    complete.then_some(ids)
}

fn create(
    intercom: &Intercom,
    operation: &Operation,
    external_id: &str,
    fields: &BTreeMap<String, Value>,
    exchange: &mut Exchange<'_>,
) -> Next<Found> {
    let mut body = serde_json::Map::new();
    body.insert("role".into(), "user".into());
    body.insert("external_id".into(), external_id.into());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        body.insert(name.clone(), text_of(value).into());
    }
    let mut attributes = attributes(intercom, CONTACT, operation);
    attributes.retain(|_, value| !value.is_null());
    if !attributes.is_empty() {
        body.insert("custom_attributes".into(), attributes.into());
    }
    let answer = exchange.ask(Method::Post, "/contacts".into(), Some(body.into()))?;
    if answer.status != 409 {
        return Ok(Ok(Target { id: exchange.id(answer)?, created: true, tags: None }));
    }

    // Somebody was faster, or our own first creation whose answer was lost. Or it is another person's contact with the
    // same e-mail address: Intercom's message names the id but not which of these it is, so the contact is read.
    let Some(id) = id_in_message(answer) else {
        return conflict("somebody else created the contact meanwhile");
    };
    let answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&id)), None)?;
    match answer.status {
        404 => return reject("Intercom holds an archived contact of this user: unarchive or delete it there"),
        410 => return reject("the contact was merged into another one in Intercom"),
        _ => {}
    }
    let found = exchange.object(answer)?;
    if is_archived(&found) {
        return reject("the contact is archived in Intercom: unarchive or delete it there");
    }
    if id_of(&found).as_deref() != Some(id.as_str()) {
        return retry(None, "Intercom answered with another contact");
    }
    if found.get("external_id").and_then(Json::as_str) != Some(external_id) {
        return reject(
            "another contact in Intercom has this e-mail address, without an external id or with another one",
        );
    }
    Ok(Ok(Target { id, created: false, tags: all_tags(&found) }))
}

/// The id in `A contact matching those details already exists with id=…`.
fn id_in_message(answer: &Answer) -> Option<String> {
    let body = answer.json();
    let message = body.pointer("/errors/0/message")?.as_str()?;
    let (_, rest) = message.split_once(" id=")?;
    let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(64).collect();
    (!id.is_empty()).then_some(id)
}
