//! Reading companies page by page.
//!
//! Pages go by record id, not by HubSpot's own cursor: a search gives 10,000 results at most, and many companies may have been
//! changed at the same moment. A reading of what changed begins some minutes before the last one began, since the index of
//! the search lags behind. Where owners or the list of properties changed, everything is read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Mode, Operation, Reply, Step};
use vitalsync_core::mapping::Level;
use vitalsync_core::reader::{Found, Page};
use vitalsync_core::{Day, Timestamp, Value};

use super::batch::{id, property};
use super::exchange::{Exchange, Got, unreadable};
use super::paging::Paging;
use super::schema;
use crate::kind::COMPANY;
use crate::source::{OWNER, OWNER_EMAIL, Source};

/// The most results of a page of search.
const PAGE: usize = 200;
/// The most owners of a page.
const OWNERS: usize = 500;
/// What was written so long before a reading began may not have been in the index then, or bear another clock's time.
const OVERLAP: Duration = Duration::from_secs(600);
/// When a company was last changed.
const CHANGED: &str = "hs_lastmodifieddate";
/// A company's record id, as a property.
const ID: &str = "hs_object_id";

/// What is remembered of a reading.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Cursor {
    /// The properties that were asked for.
    asked: Vec<String>,
    /// E-mails by owner's id.
    owners: BTreeMap<String, String>,
    /// Since when the next reading asks, in milliseconds since 1970.
    next: Option<i64>,
    /// The reading that is under way.
    open: Option<Open>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Open {
    /// Companies that were changed since; none: all.
    since: Option<i64>,
    /// Companies with a greater record id.
    after: u64,
    /// HubSpot's types of the properties that there are.
    types: BTreeMap<String, String>,
}

/// The next page; see [`vitalsync_core::reader::Reader::read`].
pub(crate) fn read(source: &Source, cursor: &Json, replies: &[Reply]) -> Result<Page, Step> {
    let about = [Operation { mode: Mode::Read, ..Operation::new("companies", "read", "read companies") }];
    let mut exchange = Exchange::new(&about, replies);
    let mut cursor: Cursor = serde_json::from_value(cursor.clone()).unwrap_or_default();
    let mut notes = Vec::new();
    let mut open = match cursor.open.take() {
        Some(open) if cursor.asked == source.properties => open,
        _ => begin(source, &mut cursor, &mut exchange, replies, &mut notes)?,
    };
    let json = match exchange.search(source.hubspot.objects(&COMPANY, "search"), search(source, &open).to_string())? {
        Got::Fine(json) => json,
        Got::Refused(refused) => return Err(exchange.refuse(&refused)),
    };
    let Some(results) = json.get("results").and_then(Json::as_array) else { return Err(unreadable()) };
    let mut last = open.after;
    let mut found = Vec::new();
    for result in results {
        let Some(remote_id) = id(result) else { return Err(unreadable()) };
        let Ok(number) = remote_id.parse::<u64>() else { return Err(unreadable()) };
        last = last.max(number);
        let subject = property(result, &source.own).map(str::to_owned);
        let traits = traits(source, &open.types, &cursor.owners, result);
        found.push(Found { level: Level::Account, subject, remote_id, traits });
    }
    let more = results.len() >= PAGE || json.pointer("/paging/next").is_some_and(|next| !next.is_null());
    if more && last == open.after {
        return Err(Step::Reject { why: "HubSpot's search does not go on after a record id".into() });
    }
    open.after = last;
    cursor.open = more.then_some(open);
    let cursor = serde_json::to_value(&cursor).unwrap_or_default();
    Ok(Page { found, cursor, more, others: BTreeMap::new(), notes })
}

/// What a reading needs to know first: the types of properties, and the owners.
fn begin(
    source: &Source,
    cursor: &mut Cursor,
    exchange: &mut Exchange<'_>,
    replies: &[Reply],
    notes: &mut Vec<String>,
) -> Result<Open, Step> {
    let there = schema::list(exchange, source.hubspot.schema(&COMPANY, ""))?;
    let mut types = BTreeMap::new();
    for name in source.properties.iter().chain([&source.own]) {
        match there.get(name) {
            Some(one) => {
                let kind = one.get("type").and_then(Json::as_str).unwrap_or_default();
                types.insert(name.clone(), kind.to_owned());
            }
            None if *name == source.own => {}
            None => notes.push(format!("companies have no property `{name}`: it is not read")),
        }
    }
    let owners = match source.properties.iter().any(|name| name == OWNER) {
        true => owners(source, exchange)?,
        false => BTreeMap::new(),
    };
    let same = cursor.asked == source.properties && cursor.owners == owners;
    let since = cursor.next.filter(|_| same);
    let began = replies.iter().find_map(|reply| match reply {
        Reply::Answer(answer) => Some(answer.at),
        Reply::Lost { .. } => None,
    });
    cursor.asked.clone_from(&source.properties);
    cursor.owners = owners;
    cursor.next = began.map(|at| at.0 - OVERLAP.as_millis() as i64);
    Ok(Open { since, after: 0, types })
}

/// E-mails by owner's id.
fn owners(source: &Source, exchange: &mut Exchange<'_>) -> Result<BTreeMap<String, String>, Step> {
    let mut owners = BTreeMap::new();
    let mut after = String::new();
    let mut paging = Paging::default();
    loop {
        let json = match exchange.get(source.owners(&format!("?limit={OWNERS}{after}")))? {
            Got::Fine(json) => json,
            Got::Refused(refused) => return Err(exchange.refuse(&refused)),
        };
        let Some(results) = json.get("results").and_then(Json::as_array) else { return Err(unreadable()) };
        for owner in results {
            if let (Some(id), Some(email)) = (id(owner), owner.get("email").and_then(Json::as_str)) {
                owners.insert(id, email.to_owned());
            }
        }
        let next = match json.pointer("/paging/next/after") {
            Some(Json::String(next)) => Some(next.clone()),
            Some(Json::Number(next)) => Some(next.to_string()),
            _ => None,
        };
        let Some(next) = paging.on(results, next)? else { return Ok(owners) };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        if next.is_empty() || next.len() > 100 || !next.chars().all(plain) {
            return Err(unreadable());
        }
        after = format!("&after={next}");
    }
}

fn search(source: &Source, open: &Open) -> Json {
    let mut filters = Vec::new();
    if let Some(since) = open.since {
        filters.push(json!({"propertyName": CHANGED, "operator": "GTE", "value": since.to_string()}));
    }
    if open.after > 0 {
        filters.push(json!({"propertyName": ID, "operator": "GT", "value": open.after.to_string()}));
    }
    let groups = if filters.is_empty() { json!([]) } else { json!([{ "filters": filters }]) };
    let properties: Vec<&str> = source
        .properties
        .iter()
        .chain([&source.own])
        .filter(|name| open.types.contains_key(*name))
        .map(String::as_str)
        .collect();
    json!({"filterGroups": groups, "sorts": [{"propertyName": ID, "direction": "ASCENDING"}],
        "properties": properties, "limit": PAGE})
}

fn traits(
    source: &Source,
    types: &BTreeMap<String, String>,
    owners: &BTreeMap<String, String>,
    result: &Json,
) -> BTreeMap<String, Value> {
    let mut traits = BTreeMap::new();
    for name in &source.properties {
        let Some(kind) = types.get(name) else { continue };
        let text = property(result, name);
        if name == OWNER {
            let email =
                text.and_then(|owner| owners.get(owner)).map_or(Value::Null, |email| Value::Text(email.clone()));
            traits.insert(OWNER_EMAIL.to_owned(), email);
        }
        traits.insert(name.clone(), text.map_or(Value::Null, |text| value(kind, text)));
    }
    traits
}

/// A value by HubSpot's type; null where it does not read as one of that type.
fn value(kind: &str, text: &str) -> Value {
    let millis = text.parse::<i64>().ok();
    match kind {
        "number" => text.parse().ok().filter(|number: &f64| number.is_finite()).map_or(Value::Null, Value::Number),
        "bool" => text.parse().map_or(Value::Null, Value::Bool),
        // Midnight UTC, where it is a number.
        "date" => Day::parse(text)
            .or_else(|| millis.and_then(|ms| i32::try_from(ms.div_euclid(86_400_000)).ok()).map(Day))
            .map_or(Value::Null, Value::Date),
        "datetime" => Timestamp::parse(text).or(millis.map(Timestamp)).map_or(Value::Null, Value::Time),
        _ => Value::Text(text.to_owned()),
    }
}
