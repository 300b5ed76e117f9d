//! Reading what is open: all pages of tickets and conversations, then the companies of the contacts that they name.
//!
//! A ticket of several contacts counts once for each of them, and once for each of their companies. Contacts and companies are
//! told apart by Intercom's ids; ours come with them (`external_id`, `company_id`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Method, Mode, Operation, Outcome, Receipt, Reply, Step};
use vitalsync_core::mapping::Level;
use vitalsync_core::reader::{Found, Page};

use super::exchange::{Exchange, Next, encoded, id_of, reject, retry};
use crate::source::Source;

/// The most results of a page. Source: Intercom's reference, *Search conversations*.
const PAGE: usize = 150;
/// So many contacts' companies are asked for between two pages that are kept.
const LOOKUPS: usize = 50;
/// No reading has more pages: a tool that never ends is cut off.
const MOST: usize = 10_000;

/// Companies: Intercom's ids and ours.
type Companies = Vec<(String, Option<String>)>;

/// What was read so far.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Cursor {
    /// What is being read.
    kinds: Vec<String>,
    /// How many of them are read to their end.
    done: usize,
    /// Where the one at hand goes on.
    after: Option<String>,
    pages: usize,
    /// Where a page some time ago went on: whoever comes there again goes in a circle.
    mark: Option<String>,
    /// What is open: which kind, and the contacts that it names.
    open: Vec<(usize, BTreeSet<String>)>,
    /// Contacts by Intercom's id, with ours.
    contacts: BTreeMap<String, Option<String>>,
    /// The companies of contacts.
    companies: BTreeMap<String, Companies>,
}

pub(crate) fn read(source: &Source, cursor: &Json, replies: &[Reply]) -> Next<Page> {
    let about = [Operation { mode: Mode::Read, ..Operation::new("open", "read", "read what is open") }];
    let mut exchange = Exchange::new(&source.intercom, &about, replies);
    let mut at: Cursor = serde_json::from_value(cursor.clone()).unwrap_or_default();
    if at.kinds != source.kinds {
        at = Cursor { kinds: source.kinds.iter().map(|kind| (*kind).to_owned()).collect(), ..Cursor::default() };
    }
    if let Some(kind) = source.kinds.get(at.done) {
        search(kind, &mut at, &mut exchange)?;
        return Ok(goes_on(&at));
    }
    let unknown: Vec<String> =
        at.contacts.keys().filter(|contact| !at.companies.contains_key(*contact)).take(LOOKUPS).cloned().collect();
    if !unknown.is_empty() {
        for contact in unknown {
            let (companies, _) = companies_of(&contact, &mut exchange)?;
            at.companies.insert(contact, companies);
        }
        return Ok(goes_on(&at));
    }
    Ok(count(source, &at))
}

/// Whether something may be read: a kind of what is open, or the companies of contacts.
pub(crate) fn ask(source: &Source, question: &Operation, replies: &[Reply]) -> Step {
    let mut exchange = Exchange::new(&source.intercom, std::slice::from_ref(question), replies);
    let read = match source.kinds.iter().find(|kind| **kind == question.slot) {
        Some(kind) => search(kind, &mut Cursor::default(), &mut exchange),
        // Nobody's: whoever may not read companies is told so before that.
        None => companies_of("0", &mut exchange).map(drop),
    };
    let outcome = Outcome::Found { remote_id: None, differs: BTreeMap::new() };
    match read {
        Ok(()) => Step::Done(vec![Receipt { slot: question.slot.clone(), outcome }]),
        Err(step) => *step,
    }
}

fn goes_on(at: &Cursor) -> Page {
    Page { cursor: serde_json::to_value(at).unwrap_or_default(), more: true, ..Page::default() }
}

/// One page of what is open of a kind.
fn search(kind: &str, at: &mut Cursor, exchange: &mut Exchange<'_>) -> Next<()> {
    let things = kind.strip_prefix("open_").unwrap_or(kind);
    let mut paging = json!({ "per_page": PAGE });
    if let Some(after) = &at.after {
        paging["starting_after"] = after.as_str().into();
    }
    let query = json!({"query": {"field": "open", "operator": "=", "value": true}, "pagination": paging});
    let answer = exchange.ask(Method::Post, format!("/{things}/search"), Some(query))?;
    let body = exchange.object(answer)?;
    let list = [things, "data"].iter().find_map(|key| body.get(*key).and_then(Json::as_array));
    let Some(list) = list else { return retry(None, format!("Intercom listed no {things}")) };
    for thing in list.iter().filter(|thing| thing.get("open") != Some(&Json::Bool(false))) {
        let named = thing.pointer("/contacts/contacts").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut contacts = BTreeSet::new();
        for contact in named {
            let Some(id) = id_of(contact) else { continue };
            let ours = contact.get("external_id").and_then(Json::as_str).filter(|ours| !ours.is_empty());
            at.contacts.insert(id.clone(), ours.map(str::to_owned));
            contacts.insert(id);
        }
        at.open.push((at.done, contacts));
    }
    let next = body.pointer("/pages/next/starting_after").and_then(Json::as_str).filter(|next| !next.is_empty());
    at.pages += 1;
    if next.is_some() && (next == at.after.as_deref() || next == at.mark.as_deref()) {
        return retry(None, format!("the pages of Intercom's list of {things} lead in a circle"));
    }
    if at.pages > MOST {
        return reject(format!("Intercom's list of {things} has no end"));
    }
    at.after = next.map(str::to_owned);
    // Ever further apart, so that a circle of any length is noticed (Brent's method).
    if at.pages.is_power_of_two() {
        at.mark.clone_from(&at.after);
    }
    if at.after.is_none() {
        at.mark = None;
        at.done += 1;
    }
    Ok(())
}

/// The companies of a contact, and whether they are all; none of one that is gone.
pub(super) fn companies_of(contact: &str, exchange: &mut Exchange<'_>) -> Next<(Companies, bool)> {
    let answer = exchange.ask(Method::Get, format!("/contacts/{}/companies", encoded(contact)), None)?;
    if matches!(answer.status, 404 | 410) {
        return Ok((Vec::new(), true));
    }
    let body = exchange.object(answer)?;
    let list = ["companies", "data"].iter().find_map(|key| body.get(*key).and_then(Json::as_array));
    let Some(list) = list else { return retry(None, "Intercom listed no companies of a contact") };
    let ours = |company: &Json| company.get("company_id").and_then(Json::as_str).map(str::to_owned);
    let all = body.pointer("/pages/next").is_none_or(Json::is_null)
        && body.get("total_count").and_then(Json::as_u64).is_none_or(|count| count <= list.len() as u64);
    Ok((list.iter().filter_map(|company| Some((id_of(company)?, ours(company)))).collect(), all))
}

/// What all pages come to.
fn count(source: &Source, at: &Cursor) -> Page {
    let none: BTreeMap<String, Value> =
        source.kinds.iter().map(|kind| ((*kind).to_owned(), Value::Number(0.0))).collect();
    let mut found: BTreeMap<(bool, String), Found> = BTreeMap::new();
    let mut add = |level: Level, id: &str, ours: &Option<String>, kind: &str| {
        let found = found.entry((level == Level::User, id.to_owned())).or_insert_with(|| Found {
            level,
            subject: ours.clone(),
            remote_id: id.to_owned(),
            traits: none.clone(),
        });
        if let Some(Value::Number(count)) = found.traits.get_mut(kind) {
            *count += 1.0;
        }
    };
    for (kind, contacts) in &at.open {
        let Some(kind) = source.kinds.get(*kind) else { continue };
        let mut companies = BTreeMap::new();
        for contact in contacts {
            add(Level::User, contact, at.contacts.get(contact).unwrap_or(&None), kind);
            companies.extend(at.companies.get(contact).into_iter().flatten().map(|(id, ours)| (id, ours)));
        }
        companies.into_iter().for_each(|(id, ours)| add(Level::Account, id, ours, kind));
    }
    Page { found: found.into_values().collect(), others: none, ..Page::default() }
}
