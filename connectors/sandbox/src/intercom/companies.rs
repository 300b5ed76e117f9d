//! Companies: upsert by `company_id`, find, delete, attach to contacts.
//!
//! A company without a contact is found by its id, but is in no list.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Intercom, Outcome, Problem, attributes, body, contacts, id_of};
use crate::http::{Answer, Call};

/// The most companies that the list shows.
const LISTED: usize = 10_000;
/// The most companies of one contact.
const MOST: usize = 1000;

#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub id: String,
    pub company_id: String,
    pub fields: Map<String, Value>,
    pub custom: BTreeMap<String, Value>,
    pub tags: Vec<String>,
    pub created: i64,
    pub updated: i64,
}

const FIELDS: &[&str] = &[
    "company_id",
    "name",
    "plan",
    "size",
    "website",
    "industry",
    "remote_created_at",
    "monthly_spend",
    "update_last_request_at",
    "custom_attributes",
];

fn missing() -> Problem {
    Problem::new(404, "company_not_found", "Company Not Found")
}

pub(super) fn by_company_id(app: &Intercom, company_id: &str) -> Option<String> {
    app.companies.values().find(|one| one.company_id == company_id).map(|one| one.id.clone())
}

pub(super) fn route(app: &mut Intercom, call: &Call, rest: &[&str]) -> Outcome<Answer> {
    match (call.method, rest) {
        ("POST", []) => {
            let id = upsert(app, &Value::Object(body(call, FIELDS)?), call.now)?;
            Ok(Answer::json(200, &json_of(app, &app.companies[&id])).note(format!("company {id}")))
        }
        ("GET", []) if call.query("company_id").is_some() => {
            let id = by_company_id(app, call.query("company_id").unwrap_or_default()).ok_or_else(missing)?;
            Ok(Answer::json(200, &json_of(app, &app.companies[&id])))
        }
        ("GET", []) | ("POST", ["list"]) => list(app, call),
        ("GET", [id]) => app.companies.get(*id).map(|one| Answer::json(200, &json_of(app, one))).ok_or_else(missing),
        ("PUT", [id]) => {
            let mut wanted = body(call, FIELDS)?;
            let record = app.companies.get(*id).ok_or_else(missing)?;
            if wanted.get("company_id").is_some_and(|one| *one != json!(record.company_id)) {
                return Err(Problem::invalid("company_id cannot be changed"));
            }
            wanted.insert("company_id".into(), json!(record.company_id));
            upsert(app, &Value::Object(wanted), call.now)?;
            Ok(Answer::json(200, &json_of(app, &app.companies[*id])).note(format!("company {id}")))
        }
        ("DELETE", [id]) => {
            app.companies.remove(*id).ok_or_else(missing)?;
            app.contacts.values_mut().for_each(|contact| contact.companies.retain(|company| company != id));
            Ok(Answer::json(200, &json!({"id": id, "object": "company", "deleted": true}))
                .note(format!("deleted {id}")))
        }
        _ => Err(Problem::nothing()),
    }
}

/// The companies that have a contact, in pages.
fn list(app: &Intercom, call: &Call) -> Outcome<Answer> {
    let number = |key: &str, default: usize| match call.query(key) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| Problem::invalid(format!("{key} must be a positive number"))),
    };
    let (page, per_page) = (number("page", 1)?, number("per_page", 15)?);
    if page.saturating_mul(per_page) > LISTED {
        return Err(Problem::invalid(format!("no more than {LISTED} companies are listed: use the scroll API")));
    }
    let visible: Vec<&Record> = app.companies.values().filter(|one| users(app, &one.id) > 0).collect();
    let data: Vec<Value> =
        visible.iter().skip((page - 1) * per_page).take(per_page).map(|one| json_of(app, one)).collect();
    let total = visible.len().div_ceil(per_page);
    let next = (page < total).then(|| json!({"page": page + 1}));
    let pages = json!({"type": "pages", "next": next, "page": page, "per_page": per_page, "total_pages": total});
    Ok(Answer::json(200, &json!({"type": "list", "total_count": visible.len(), "data": data, "pages": pages})))
}

pub(super) fn upsert(app: &mut Intercom, wanted: &Value, now: i64) -> Outcome<String> {
    let company_id = wanted["company_id"].as_str().filter(|id| !id.is_empty() && id.chars().count() <= 255);
    let company_id =
        company_id.ok_or_else(|| Problem::new(400, "parameter_not_found", "company_id not specified"))?.to_owned();
    let old = by_company_id(app, &company_id);
    let mut record = old.as_ref().and_then(|id| app.companies.get(id).cloned()).unwrap_or(Record {
        company_id,
        created: now / 1000,
        ..Record::default()
    });
    for (key, value) in wanted.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("company_id" | "custom_attributes" | "update_last_request_at", _) => {}
            ("monthly_spend", Value::Number(number)) => {
                let whole = number.as_f64().unwrap_or_default().trunc();
                if whole > f64::from(i32::MAX) {
                    return Err(Problem::invalid("monthly_spend is too large"));
                }
                record.fields.insert(key.clone(), json!(whole as i64));
            }
            ("name" | "plan" | "website" | "industry", Value::String(text)) if text.chars().count() <= 255 => {
                record.fields.insert(key.clone(), value.clone());
            }
            ("size" | "remote_created_at", Value::Number(_)) => _ = record.fields.insert(key.clone(), value.clone()),
            (_, Value::Null) => _ = record.fields.remove(key),
            _ => return Err(Problem::invalid(format!("{key} is invalid"))),
        }
    }
    if let Some(custom) = wanted.get("custom_attributes") {
        record.custom = attributes::apply(app, "company", custom, &record.custom)?;
    }
    record.updated = now / 1000;
    record.id = old.unwrap_or_else(|| app.next_id());
    let id = record.id.clone();
    app.companies.insert(id.clone(), record);
    Ok(id)
}

/// `/contacts/{id}/companies…`; `parts` begins with the contact's id.
pub(super) fn of_contact(app: &mut Intercom, call: &Call, parts: &[&str]) -> Outcome<Answer> {
    let mut contact = contacts::find(app, parts[0])?.clone();
    match (call.method, &parts[1..]) {
        ("GET", ["companies"]) => {
            let list = contact.companies.iter().filter_map(|id| app.companies.get(id));
            let data: Vec<Value> = list.map(|one| json_of(app, one)).collect();
            let pages = json!({"type": "pages", "page": 1, "per_page": 50, "total_pages": 1});
            Ok(Answer::json(200, &json!({"type": "list", "total_count": data.len(), "data": data, "pages": pages})))
        }
        ("POST", ["companies"]) => {
            let id = id_of(body(call, &["id"])?.get("id"));
            let id = id.ok_or_else(|| Problem::new(400, "parameter_not_found", "company not specified"))?;
            if !app.companies.contains_key(&id) {
                return Err(missing());
            }
            if !contact.companies.contains(&id) {
                if contact.companies.len() >= MOST {
                    let message = "Contact has reached the maximum of 1000 company associations";
                    return Err(Problem::new(400, "contact_company_limit_exceeded", message));
                }
                contact.companies.push(id.clone());
            }
            app.contacts.insert(contact.id.clone(), contact);
            Ok(Answer::json(200, &json_of(app, &app.companies[&id])).note(format!("attached {id}")))
        }
        ("DELETE", ["companies", id]) if contact.companies.iter().any(|one| one == id) => {
            contact.companies.retain(|one| one != id);
            app.contacts.insert(contact.id.clone(), contact);
            Ok(Answer::json(200, &json_of(app, &app.companies[*id])).note(format!("detached {id}")))
        }
        (_, ["companies", _]) => Err(missing()),
        _ => Err(Problem::nothing()),
    }
}

fn users(app: &Intercom, id: &str) -> usize {
    app.contacts.values().filter(|one| one.companies.iter().any(|company| company == id)).count()
}

fn json_of(app: &Intercom, record: &Record) -> Value {
    let tags: Vec<Value> =
        record.tags.iter().map(|tag| json!({"type": "tag", "id": tag, "name": app.tags.get(tag)})).collect();
    let plan = record.fields.get("plan").map_or(json!({}), |name| json!({"type": "plan", "name": name}));
    let mut body = json!({"type": "company", "id": record.id, "company_id": record.company_id, "app_id": app.app,
        "name": null, "created_at": record.created, "updated_at": record.updated, "monthly_spend": 0,
        "session_count": 0, "user_count": users(app, &record.id), "tags": {"type": "tag.list", "tags": tags},
        "segments": {"type": "segment.list", "segments": []}, "custom_attributes": record.custom});
    for (key, value) in &record.fields {
        body[key] = value.clone();
    }
    body["plan"] = plan;
    body
}
