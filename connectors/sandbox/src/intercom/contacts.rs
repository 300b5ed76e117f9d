//! Contacts: create, read, update, find, search, archive, merge.
//!
//! Creation never updates: who is there already, even archived, is a conflict whose message holds the id.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Intercom, Outcome, Problem, attributes, body};
use crate::http::{Answer, Call};

#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub id: String,
    pub role: String,
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub phone: Option<String>,
    /// Fields that are only kept: `signed_up_at`, `last_seen_at`, `owner_id`, ….
    pub other: Map<String, Value>,
    pub custom: BTreeMap<String, Value>,
    /// Tag id and when it was put on, in Unix seconds.
    pub tags: Vec<(String, i64)>,
    pub companies: Vec<String>,
    pub created: i64,
    pub updated_ms: i64,
    pub archived: bool,
    pub merged_into: Option<String>,
}

const FIELDS: &[&str] = &[
    "role",
    "external_id",
    "email",
    "name",
    "phone",
    "avatar",
    "signed_up_at",
    "last_seen_at",
    "owner_id",
    "unsubscribed_from_emails",
    "language_override",
    "custom_attributes",
];

pub(super) fn route(app: &mut Intercom, call: &Call, rest: &[&str]) -> Outcome<Answer> {
    match (call.method, rest) {
        ("POST", []) => {
            let id = create(app, &Value::Object(body(call, FIELDS)?), call.now)?;
            Ok(Answer::json(200, &json_of(app, &app.contacts[&id])).note(format!("created {id}")))
        }
        ("GET", []) => {
            let all: Vec<&Record> = app.contacts.values().filter(|one| live(one)).collect();
            page(app, &all, call.query("per_page"), call.query("starting_after"))
        }
        ("GET", ["find_by_external_id", external_id]) => {
            let record = app.by_external_id.get(*external_id).and_then(|id| app.contacts.get(id));
            let record = record.filter(|one| !one.archived && one.role == "user").ok_or_else(Problem::no_contact)?;
            not_merged(app, record)?;
            Ok(Answer::json(200, &json_of(app, record)))
        }
        ("POST", ["search"]) => search(app, call),
        ("POST", ["merge"]) => merge(app, call),
        ("GET", [id]) => {
            app.contacts.get(*id).map_or(Ok(()), |record| not_merged(app, record))?;
            Ok(Answer::json(200, &json_of(app, find(app, id)?)))
        }
        ("PUT", [id]) => {
            update(app, id, &Value::Object(body(call, FIELDS)?), call.now)?;
            Ok(Answer::json(200, &json_of(app, find(app, id)?)).note(format!("updated {id}")))
        }
        ("POST", [id, "archive"]) | ("POST", [id, "unarchive"]) | ("DELETE", [id]) => {
            let mut record = app.contacts.get(*id).filter(|one| one.merged_into.is_none()).cloned();
            let record = record.as_mut().ok_or_else(Problem::no_contact)?;
            let mut shown = json!({"type": "contact", "id": id, "external_id": record.external_id});
            if call.method == "DELETE" {
                app.contacts.remove(*id);
                record.external_id.as_ref().map(|external| app.by_external_id.remove(external));
                shown["deleted"] = json!(true);
            } else {
                record.archived = rest[1] == "archive";
                shown["archived"] = json!(record.archived);
                app.contacts.insert((*id).to_owned(), record.clone());
            }
            Ok(Answer::json(200, &shown))
        }
        _ => Err(Problem::nothing()),
    }
}

fn live(record: &Record) -> bool {
    !record.archived && record.merged_into.is_none()
}

/// Reads of a merged contact say what it became, over several merges.
fn not_merged(app: &Intercom, record: &Record) -> Outcome<()> {
    let next = |id: &String| app.contacts.get(id).and_then(|one| one.merged_into.clone());
    let Some(last) = std::iter::successors(record.merged_into.clone(), next).take(3).last() else { return Ok(()) };
    let message = "This contact has been merged. See the 'Link' header for the canonical contact.";
    let link = format!("</contacts/{last}>; rel=\"canonical\"");
    Err(Problem { link: Some(link), ..Problem::new(410, "contact_merged", message) })
}

/// A contact that is there; merged and archived ones are not.
pub(super) fn find<'a>(app: &'a Intercom, id: &str) -> Outcome<&'a Record> {
    app.contacts.get(id).filter(|one| live(one)).ok_or_else(Problem::no_contact)
}

pub(super) fn create(app: &mut Intercom, wanted: &Value, now: i64) -> Outcome<String> {
    let mut record = Record { created: now / 1000, ..Record::default() };
    fill(app, &mut record, wanted, now)?;
    if record.external_id.is_none() && record.email.is_none() && wanted["role"].is_null() {
        return Err(Problem::new(400, "parameter_not_found", "external_id, email or role must be given"));
    }
    record.id = app.next_id();
    let id = record.id.clone();
    if let Some(external_id) = &record.external_id {
        app.by_external_id.insert(external_id.clone(), id.clone());
    }
    app.contacts.insert(id.clone(), record);
    Ok(id)
}

fn update(app: &mut Intercom, id: &str, wanted: &Value, now: i64) -> Outcome<()> {
    let mut record = find(app, id)?.clone();
    let before = record.external_id.clone();
    fill(app, &mut record, wanted, now)?;
    if before != record.external_id {
        before.map(|external_id| app.by_external_id.remove(&external_id));
        record.external_id.clone().map(|external_id| app.by_external_id.insert(external_id, id.to_owned()));
    }
    app.contacts.insert(id.to_owned(), record);
    Ok(())
}

fn fill(app: &Intercom, record: &mut Record, wanted: &Value, now: i64) -> Outcome<()> {
    let mut changed = vec![];
    for (key, place) in [
        ("external_id", &mut record.external_id),
        ("email", &mut record.email),
        ("name", &mut record.name),
        ("phone", &mut record.phone),
    ] {
        match &wanted[key] {
            Value::Null if wanted.get(key).is_none() => {}
            Value::Null => *place = None,
            Value::String(text) if text.chars().count() > attributes::LONGEST => {
                return Err(Problem::invalid(format!("{key} is too long (maximum is 255 characters)")));
            }
            Value::String(text) => {
                if place.as_ref() != Some(text) {
                    changed.push(key);
                }
                *place = Some(text.clone());
            }
            _ => return Err(Problem::invalid(format!("{key} must be a string"))),
        }
    }
    for key in ["signed_up_at", "last_seen_at", "owner_id", "unsubscribed_from_emails", "language_override"] {
        if let Some(value) = wanted.get(key) {
            let seconds = value.is_null() || value.as_i64().is_some_and(|seconds| seconds <= 253_402_300_799);
            if key.ends_with("_at") && !seconds {
                return Err(Problem::invalid(format!("{key} must be a Unix timestamp in seconds")));
            }
            record.other.insert(key.to_owned(), value.clone());
        }
    }
    match wanted["role"].as_str() {
        Some(role @ ("user" | "lead")) => record.role = role.to_owned(),
        Some(role) => return Err(Problem::invalid(format!("role {role} must be user or lead"))),
        None if record.role.is_empty() => record.role = "user".to_owned(),
        None => {}
    }
    if record.role == "lead" && record.external_id.is_some() {
        return Err(Problem::invalid("external_id cannot be set for a lead"));
    }
    if record.email.as_ref().is_some_and(|email| !email.contains('@')) {
        return Err(Problem::invalid("Email address is invalid"));
    }
    if let Some(custom) = wanted.get("custom_attributes") {
        record.custom = attributes::apply(app, "contact", custom, &record.custom)?;
    }
    if !changed.is_empty()
        && let Some(other) = same_as(app, record, &changed)
    {
        let kind = if other.archived { "An archived contact" } else { "A contact" };
        let message = format!("{kind} matching those details already exists with id={}", other.id);
        return Err(Problem::new(409, "conflict", message));
    }
    record.updated_ms = now;
    Ok(())
}

/// The other contact that these details mean: the same external id, or the same email where one has no external id.
fn same_as<'a>(app: &'a Intercom, record: &Record, changed: &[&str]) -> Option<&'a Record> {
    let other = |one: &&Record| one.id != record.id && one.merged_into.is_none();
    let by_id = record.external_id.as_ref().and_then(|id| app.by_external_id.get(id));
    let by_id = by_id.and_then(|id| app.contacts.get(id)).filter(other);
    if by_id.is_some() || !changed.contains(&"email") || record.role == "lead" {
        return by_id;
    }
    let email = record.email.as_ref()?.to_lowercase();
    app.contacts.values().filter(other).filter(|one| one.role == "user").find(|one| {
        let alone = one.external_id.is_none() || record.external_id.is_none();
        alone && one.email.as_ref().is_some_and(|theirs| theirs.to_lowercase() == email)
    })
}

fn merge(app: &mut Intercom, call: &Call) -> Outcome<Answer> {
    let wanted = body(call, &["from", "into"])?;
    let id = |key: &str| wanted.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (mut from, mut into) = (find(app, &id("from"))?.clone(), find(app, &id("into"))?.clone());
    if from.id == into.id {
        return Err(Problem::invalid("A contact cannot be merged into itself"));
    }
    from.merged_into = Some(into.id.clone());
    for tag in &from.tags {
        if !into.tags.iter().any(|(one, _)| *one == tag.0) {
            into.tags.push(tag.clone());
        }
    }
    into.updated_ms = call.now;
    let into_id = into.id.clone();
    app.contacts.insert(from.id.clone(), from);
    app.contacts.insert(into_id.clone(), into);
    Ok(Answer::json(200, &json_of(app, find(app, &into_id)?)))
}

fn search(app: &Intercom, call: &Call) -> Outcome<Answer> {
    let wanted = body(call, &["query", "pagination", "sort"])?;
    let query = wanted.get("query").ok_or_else(|| Problem::new(400, "parameter_not_found", "query not specified"))?;
    let mut hits = vec![];
    for record in app.contacts.values().filter(|one| live(one) && one.updated_ms.saturating_add(app.lag_ms) <= call.now)
    {
        if fits(&json_of(app, record), query, 0)? {
            hits.push(record);
        }
    }
    let paging = wanted.get("pagination").cloned().unwrap_or_default();
    let per_page = paging.get("per_page").map(Value::to_string);
    page(app, &hits, per_page.as_deref(), paging["starting_after"].as_str())
}

fn fits(contact: &Value, query: &Value, depth: u8) -> Outcome<bool> {
    let operator = query["operator"].as_str().unwrap_or_default();
    if let ("AND" | "OR", Some(parts)) = (operator, query["value"].as_array()) {
        if depth >= 2 || parts.len() > 15 {
            return Err(Problem::invalid("Queries may nest two deep and hold 15 filters in a group"));
        }
        let each: Vec<bool> = parts.iter().map(|part| fits(contact, part, depth + 1)).collect::<Outcome<_>>()?;
        return Ok(if operator == "AND" { each.iter().all(|one| *one) } else { each.iter().any(|one| *one) });
    }
    let Some(field) = query["field"].as_str() else { return Err(Problem::invalid("field not specified")) };
    let pointer = format!("/{}", field.replacen("custom_attributes.", "custom_attributes/", 1));
    let (have, want) = (contact.pointer(&pointer).cloned().unwrap_or_default(), &query["value"]);
    let within = || want.as_array().is_some_and(|list| list.contains(&have));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    Ok(match operator {
        "=" => have == *want,
        "!=" => have != *want,
        "IN" => within(),
        "NIN" => !within(),
        "~" => text(&have).contains(&text(want)),
        "^" => text(&have).starts_with(&text(want)),
        // Times are compared by the whole day.
        ">" | "<" => {
            let day =
                |value: &Value| value.as_i64().unwrap_or_default() / if field.ends_with("_at") { 86_400 } else { 1 };
            if operator == ">" { day(&have) > day(want) } else { day(&have) < day(want) }
        }
        other => return Err(Problem::invalid(format!("operator {other} is not supported"))),
    })
}

fn page(app: &Intercom, hits: &[&Record], per_page: Option<&str>, after: Option<&str>) -> Outcome<Answer> {
    let per_page: usize = per_page.map_or(Some(50), |text| text.parse().ok()).unwrap_or(0);
    if !(1..=150).contains(&per_page) {
        return Err(Problem::invalid("per_page must be between 1 and 150"));
    }
    let start = after.map_or(0, |after| hits.iter().take_while(|one| one.id.as_str() <= after).count());
    let shown: Vec<&&Record> = hits.iter().skip(start).take(per_page).collect();
    let mut pages = json!({"type": "pages", "page": start / per_page + 1, "per_page": per_page,
        "total_pages": hits.len().div_ceil(per_page)});
    if let Some(last) = shown.last().filter(|_| start + shown.len() < hits.len()) {
        pages["next"] = json!({"page": start / per_page + 2, "starting_after": last.id});
    }
    let data: Vec<Value> = shown.iter().map(|record| json_of(app, record)).collect();
    Ok(Answer::json(200, &json!({"type": "list", "data": data, "total_count": hits.len(), "pages": pages})))
}

pub(super) fn json_of(app: &Intercom, record: &Record) -> Value {
    let id = &record.id;
    let list = |name: &str, data: Vec<Value>| {
        json!({"type": "list", "url": format!("/contacts/{id}/{name}"), "total_count": data.len(),
            "has_more": data.len() > 10, "data": data.into_iter().take(10).collect::<Vec<_>>()})
    };
    let link = |kind: &str, one: &str, url: &str| json!({"type": kind, "id": one, "url": format!("/{url}/{one}")});
    let tags = record.tags.iter().map(|(tag, _)| link("tag", tag, "tags")).collect();
    let companies = record.companies.iter().map(|one| link("company", one, "companies")).collect();
    let mut body = json!({"type": "contact", "id": id, "workspace_id": app.app, "external_id": record.external_id,
        "role": record.role, "email": record.email, "phone": record.phone, "name": record.name, "avatar": null,
        "owner_id": null, "social_profiles": {"type": "list", "data": []}, "has_hard_bounced": false,
        "marked_email_as_spam": false, "unsubscribed_from_emails": false, "created_at": record.created,
        "updated_at": record.updated_ms / 1000, "signed_up_at": null, "last_seen_at": null,
        "language_override": null, "location": {"type": "location", "country": null, "region": null, "city": null},
        "custom_attributes": record.custom, "tags": list("tags", tags), "notes": list("notes", vec![]),
        "companies": list("companies", companies)});
    for (key, value) in &record.other {
        body[key] = value.clone();
    }
    body
}
