//! What contacts hold, and whether they are still attached to the companies that we attached them to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Method, Operation, Outcome};

use super::super::contacts::{all_tags, canonical, is_archived};
use super::super::exchange::{Exchange, Next, encoded, id_of, reject, retry};
use super::super::open::companies_of;
use super::super::tags::{listed, tags_of};
use super::{attribute_differs, gone, group_differs, is_as_told};
use crate::{COMPANY, CONTACT, FOUND_TOGETHER, GROUP_PREFIX, Intercom, MEMBERSHIP, record_slot, tag_slot};

/// The most values of one filter, and the most filters of one group. Source: Intercom's reference, *Search contacts*, where a
/// list of values is a shortcut for a group.
const FILTER: usize = 15;

/// A contact that was read by itself: its id, which is another one's after a merge, and what it holds; or why it is not there.
type Single = Result<(String, Json), &'static str>;

pub(in super::super) fn read(
    intercom: &Intercom,
    operations: &[Operation],
    exchange: &mut Exchange<'_>,
) -> Next<Vec<Outcome>> {
    let mut ids = Vec::new();
    for operation in operations {
        let Some(id) = contact_id(operation) else { return reject("the question names no contact") };
        ids.push(id);
    }
    let listed = search(&ids, exchange)?;
    let mut singles: BTreeMap<&str, Single> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for (operation, id) in operations.iter().zip(ids) {
        let shown = listed.get(id).and_then(|contact| shown(intercom, operation, id, contact));
        if let Some(outcome) = shown.filter(is_as_told) {
            outcomes.push(outcome);
            continue;
        }
        if !singles.contains_key(id) {
            singles.insert(id, single(id, &operation.subject, exchange)?);
        }
        outcomes.push(match singles.get(id) {
            Some(Ok((id, contact))) => match self::shown(intercom, operation, id, contact) {
                Some(outcome) => outcome,
                None => more(intercom, operation, id, contact, exchange)?,
            },
            Some(Err(why)) => gone(why),
            None => return reject("the contact was not read"),
        });
    }
    Ok(outcomes)
}

/// Intercom's id of the contact that a question is about.
fn contact_id(operation: &Operation) -> Option<&str> {
    let of_membership = || operation.refs.get(&record_slot(CONTACT, &operation.subject));
    let of_contact = || operation.remote_id.as_ref();
    (if is_membership(operation) { of_membership() } else { of_contact() }).map(String::as_str)
}

fn is_membership(operation: &Operation) -> bool {
    operation.slot.strip_prefix(MEMBERSHIP).is_some_and(|rest| rest.starts_with('/'))
}

/// Contacts by their ids, as far as the search's index has them: that it lags, and that it leaves merged ones out, is
/// documented. A search that is refused has none.
fn search(ids: &[&str], exchange: &mut Exchange<'_>) -> Next<BTreeMap<String, Json>> {
    let ids: Vec<&str> = ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut found = BTreeMap::new();
    // One is read as fast by itself.
    for page in ids.chunks(FOUND_TOGETHER).filter(|page| page.len() > 1) {
        let filter = |ids: &[&str]| json!({ "field": "id", "operator": "IN", "value": ids });
        let query = match page {
            few if few.len() <= FILTER => filter(few),
            many => json!({ "operator": "OR", "value": many.chunks(FILTER).map(filter).collect::<Vec<_>>() }),
        };
        let body = json!({ "query": query, "pagination": { "per_page": FOUND_TOGETHER } });
        let answer = exchange.ask(Method::Post, "/contacts/search".into(), Some(body))?;
        let list = answer.json();
        let contacts = list.get("data").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        found.extend(contacts.iter().filter_map(|contact| Some((id_of(contact)?, contact.clone()))));
    }
    Ok(found)
}

/// One contact by itself. One that was merged is followed where the other is nobody else's.
fn single(id: &str, subject: &str, exchange: &mut Exchange<'_>) -> Next<Single> {
    let mut id = id.to_owned();
    let mut answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&id)), None)?;
    let merged = answer.status == 410;
    if merged && let Some(other) = canonical(answer) {
        answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&other)), None)?;
        id = other;
    }
    if matches!(answer.status, 404 | 410) {
        return Ok(Err(if merged {
            "the contact was merged into another one in Intercom"
        } else {
            "the contact was deleted in Intercom"
        }));
    }
    let found = exchange.object(answer)?;
    if id_of(&found).as_deref() != Some(id.as_str()) {
        return retry(None, "Intercom answered with another contact");
    }
    let whose = found.get("external_id").and_then(Json::as_str).filter(|whose| !whose.is_empty());
    if merged && whose.is_some_and(|whose| whose != subject) {
        return Ok(Err("the contact was merged into the contact of another user in Intercom"));
    }
    if is_archived(&found) {
        return Ok(Err("the contact was archived in Intercom"));
    }
    Ok(Ok((id, found)))
}

/// What a contact's own answer says to a question; `None` where it does not show enough: it has ten tags and ten companies at
/// most.
fn shown(intercom: &Intercom, operation: &Operation, id: &str, contact: &Json) -> Option<Outcome> {
    if is_archived(contact) {
        return None;
    }
    if is_membership(operation) {
        let list = contact.get("companies")?;
        let companies: Vec<String> = list.get("data")?.as_array()?.iter().filter_map(id_of).collect();
        let all = list.get("has_more") == Some(&Json::Bool(false));
        return attached(operation, &companies, all);
    }
    let tags = if asks_tags(operation) { tags_by_id(operation, contact)? } else { Vec::new() };
    Some(holds(intercom, operation, id, contact, &tags))
}

/// What takes a question of its own about a contact.
fn more(
    intercom: &Intercom,
    operation: &Operation,
    id: &str,
    contact: &Json,
    exchange: &mut Exchange<'_>,
) -> Next<Outcome> {
    if is_membership(operation) {
        let (companies, all) = companies_of(id, exchange)?;
        let companies: Vec<String> = companies.into_iter().map(|(id, _)| id).collect();
        // There is no documented way to the second page: nothing is said of one that might be on it.
        let as_told = Outcome::Found { remote_id: operation.remote_id.clone(), differs: BTreeMap::new() };
        return Ok(attached(operation, &companies, all).unwrap_or(as_told));
    }
    let answer = exchange.ask(Method::Get, tags_of(id), None)?;
    let tags: Vec<String> = listed(&exchange.object(answer)?)?.into_iter().map(|(_, name)| name).collect();
    Ok(holds(intercom, operation, id, contact, &tags))
}

/// Whether the company is among a contact's; `None` if it is not and they are not all there are.
fn attached(operation: &Operation, companies: &[String], all: bool) -> Option<Outcome> {
    let company = operation.remote_id.as_ref()?;
    let is_there = companies.contains(company);
    let differs = if is_there { BTreeMap::new() } else { [(COMPANY.to_owned(), Value::Null)].into() };
    (is_there || all).then(|| Outcome::Found { remote_id: Some(company.clone()), differs })
}

/// What of a contact's attributes and tags is not as we told it.
fn holds(intercom: &Intercom, operation: &Operation, id: &str, contact: &Json, tags: &[String]) -> Outcome {
    let mut differences = BTreeMap::new();
    for (field, change) in &operation.fields {
        let difference = match field.strip_prefix(GROUP_PREFIX) {
            Some(group) => group_differs(intercom.tags(CONTACT, group), &change.old, tags),
            None => attribute_differs(intercom, CONTACT, field, &change.old, contact),
        };
        differences.extend(difference.map(|value| (field.clone(), value)));
    }
    Outcome::Found { remote_id: Some(id.to_owned()), differs: differences }
}

fn asks_tags(operation: &Operation) -> bool {
    operation.fields.keys().any(|field| field.starts_with(GROUP_PREFIX))
}

/// The names of a contact's tags, in small letters, by the ids that we know; `None` where the answer does not show all of them.
fn tags_by_id(operation: &Operation, contact: &Json) -> Option<Vec<String>> {
    let prefix = tag_slot("");
    let names: BTreeMap<&str, &str> =
        operation.refs.iter().filter_map(|(slot, id)| Some((id.as_str(), slot.strip_prefix(&prefix)?))).collect();
    let ids = all_tags(contact).filter(|_| !names.is_empty())?;
    Some(ids.iter().filter_map(|id| names.get(id.as_str())).map(|name| name.to_lowercase()).collect())
}
