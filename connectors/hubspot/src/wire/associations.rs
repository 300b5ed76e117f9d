//! Associations of contacts with companies: the unlabelled kind that every account of HubSpot's has. Making one that is
//! there already changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Operation, Outcome, Step};

use super::batch::Answered;
use super::exchange::{Exchange, Got};
use super::look::is_not_there;
use super::reason;
use crate::kind::{COMPANY, CONTACT};
use crate::{HubSpot, plan};

/// So many pages of a contact's companies are looked at. With HubSpot's five hundred a page that is more than any contact has.
const MOST_PAGES: usize = 20;

/// Associates; up to two thousand in a call.
pub(super) fn create(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let pairs: Vec<Option<(&str, &str)>> = operations.iter().map(ends).collect();
    let inputs: Vec<Json> = pairs
        .iter()
        .flatten()
        .map(|(contact, company)| json!({"from": {"id": contact}, "to": {"id": company}}))
        .collect();
    if inputs.is_empty() {
        return Ok(operations.iter().map(|_| absent()).collect());
    }
    let json = match exchange.post(hubspot.associations("batch/associate/default"), &json!({"inputs": inputs}))? {
        Got::Fine(json) => json,
        Got::Refused(refused) => return Err(exchange.refuse(&refused)),
    };
    let answered = Answered::read(&json)?;
    // Both directions are listed, in any order.
    let made: BTreeSet<(String, String)> = answered
        .results
        .iter()
        .filter_map(|result| Some((end(result, "from")?, end(result, "to")?)))
        .flat_map(|(from, to)| [(from.clone(), to.clone()), (to, from)])
        .collect();
    let mut outcomes = Vec::new();
    for (operation, pair) in operations.iter().zip(pairs) {
        let Some((contact, company)) = pair else {
            outcomes.push(absent());
            continue;
        };
        let error = answered.errors.iter().find(|error| mentions(error, contact, company));
        let error = error.or_else(|| answered.errors.first().filter(|_| exchange.alone()));
        outcomes.push(if let Some(error) = error {
            Outcome::Rejected { why: format!("HubSpot refused: {}", reason::of(error, operation)) }
        } else if made.contains(&(contact.to_owned(), company.to_owned())) {
            Outcome::Done { remote_id: Some(plan::pair(contact, company)) }
        } else if exchange.alone() {
            Outcome::Rejected { why: "HubSpot answered without confirming this association".into() }
        } else {
            return Err(exchange.smaller("HubSpot answered without confirming all associations"));
        });
    }
    Ok(outcomes)
}

fn absent() -> Outcome {
    Outcome::Absent { why: "the contact or the company is not in HubSpot".into() }
}

/// Reads which companies contacts are associated with; up to a thousand contacts in a call. Who has more companies than a page
/// is asked for the next one, with the others of whom that is so, as long as ours is not among them.
pub(super) fn read(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let pair = |operation: &Operation| {
        let (contact, company) = operation.remote_id.as_deref()?.split_once('/')?;
        Some((contact.to_owned(), company.to_owned()))
    };
    let pairs: BTreeSet<(String, String)> = operations.iter().filter_map(pair).collect();
    let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Who is asked next, and where their page begins.
    let mut asked: BTreeMap<String, Option<String>> =
        pairs.iter().map(|(contact, _)| (contact.clone(), None)).collect();
    for _ in 0..MOST_PAGES {
        if asked.is_empty() {
            break;
        }
        let answered = page(hubspot, exchange, &asked, &mut held)?;
        // Where a later page is not answered, the first alone says nothing.
        held.retain(|contact, _| !asked.contains_key(contact) || answered.contains_key(contact));
        let open = |contact: &str| {
            let mut ours = pairs.iter().filter(|(of, _)| of == contact).map(|(_, company)| company);
            ours.any(|company| !held.get(contact).is_some_and(|companies| companies.contains(company)))
        };
        // A page that leads to itself leads nowhere.
        let on = |contact: &String, after: &Option<String>| {
            after.is_some() && open(contact) && asked.get(contact) != Some(after)
        };
        asked = answered
            .iter()
            .filter(|(contact, after)| on(contact, after))
            .map(|(a, b)| (a.clone(), b.clone()))
            .collect();
    }
    let mut outcomes = Vec::new();
    for operation in operations {
        let found = pair(operation).and_then(|(contact, company)| Some((held.get(&contact)?, contact, company)));
        outcomes.push(match found {
            // Who has more companies than are looked at is taken at our word.
            Some((companies, contact, company)) => Outcome::Found {
                remote_id: None,
                differs: match companies.contains(&company) || asked.contains_key(&contact) {
                    true => BTreeMap::new(),
                    false => operation.fields.keys().map(|field| (field.clone(), Value::Null)).collect(),
                },
            },
            None if exchange.alone() => {
                Outcome::Rejected { why: "HubSpot's answer leaves open what the contact is associated with".into() }
            }
            None => return Err(exchange.smaller("HubSpot's answer leaves open what some contacts are associated with")),
        });
    }
    Ok(outcomes)
}

/// One page of the companies of each of some contacts: adds them to what they hold, and says who was answered, and after which company it goes
/// on, if it does.
fn page(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    asked: &BTreeMap<String, Option<String>>,
    held: &mut BTreeMap<String, BTreeSet<String>>,
) -> Result<BTreeMap<String, Option<String>>, Step> {
    let input = |(contact, after): (&String, &Option<String>)| match after {
        Some(after) => json!({"id": contact, "after": after}),
        None => json!({"id": contact}),
    };
    let inputs: Vec<Json> = asked.iter().map(input).collect();
    let json = match exchange.post(hubspot.associations("batch/read"), &json!({"inputs": inputs}))? {
        Got::Fine(json) => json,
        Got::Refused(refused) => return Err(exchange.refuse(&refused)),
    };
    let answered = Answered::read(&json)?;
    let mut next = BTreeMap::new();
    for result in answered.results {
        let Some(contact) = end(result, "from") else { continue };
        let to = result.get("to").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let companies = to.iter().filter_map(|one| text(one.get("toObjectId").or_else(|| one.get("id"))?));
        held.entry(contact.clone()).or_default().extend(companies);
        next.insert(contact, result.pointer("/paging/next/after").and_then(text));
    }
    // A contact without any is named among the errors.
    for error in answered.errors.iter().filter(|error| is_not_there(error)) {
        for contact in asked.keys().filter(|contact| mentions(error, contact, "")) {
            held.entry(contact.clone()).or_default();
            next.insert(contact.clone(), None);
        }
    }
    Ok(next)
}

/// The ids of a contact and its company, once both are known.
fn ends(operation: &Operation) -> Option<(&str, &str)> {
    let id = |kind: &str| {
        let slot = |(slot, id)| Some((str::split_once(slot, '/')?.0, id));
        let mut refs = operation.refs.iter().map(|(slot, id)| (slot.as_str(), id.as_str())).filter_map(slot);
        refs.find(|(found, _)| *found == kind).map(|(_, id)| id)
    };
    id(CONTACT.name).zip(id(COMPANY.name))
}

/// One end of an association: `{"from": {"id": "1"}}`, or `{"fromObjectId": 1}`.
fn end(result: &Json, side: &str) -> Option<String> {
    let nested = result.get(side).and_then(|end| end.get("id"));
    text(nested.or_else(|| result.get(format!("{side}ObjectId")))?)
}

fn text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether an error is about this pair: it names the contact, or the company and no contact.
fn mentions(error: &Json, contact: &str, company: &str) -> bool {
    let entries = error.get("context").and_then(Json::as_object).into_iter().flatten();
    let of = |json: &Json| match json {
        Json::Array(items) => items.iter().filter_map(text).collect(),
        other => text(other).into_iter().collect::<Vec<_>>(),
    };
    let (mut to, mut from) = (Vec::new(), Vec::new());
    for (name, value) in entries {
        if name.starts_with("to") { &mut to } else { &mut from }.extend(of(value));
    }
    from.extend(error.get("id").and_then(text));
    let has = |list: &[String], id: &str| list.iter().any(|named| named == id);
    match from.is_empty() {
        true => has(&to, company),
        false => has(&from, contact) || has(&from, company),
    }
}
