//! Tags: create or get by name, put on contacts and companies, take off.

use serde_json::{Value, json};

use super::{Intercom, Outcome, Problem, body, companies, contacts, id_of};
use crate::http::{Answer, Call};

/// The most items of one request, by Intercom's older documents; the present ones name no limit.
const LONGEST_LIST: usize = 50;

pub(super) fn route(app: &mut Intercom, call: &Call, rest: &[&str]) -> Outcome<Answer> {
    match (call.method, rest) {
        ("GET", []) => {
            let data: Vec<Value> = app.tags.keys().map(|id| json_of(app, id)).collect();
            Ok(Answer::json(200, &json!({"type": "list", "data": data})))
        }
        ("POST", []) => post(app, call),
        ("GET", [id]) if app.tags.contains_key(*id) => Ok(Answer::json(200, &json_of(app, id))),
        ("DELETE", [id]) if app.tags.contains_key(*id) => {
            let on_contact = app.contacts.values().any(|one| one.tags.iter().any(|(tag, _)| tag == id));
            if on_contact || app.companies.values().any(|one| one.tags.iter().any(|tag| tag == id)) {
                let message = "Unable to delete Tag with dependent objects.";
                return Err(Problem::new(400, "tag_has_dependent_objects", message));
            }
            app.tags.remove(*id);
            Ok(Answer::empty(200).note("deleted tag"))
        }
        _ => Err(Problem::nothing()),
    }
}

fn json_of(app: &Intercom, id: &str) -> Value {
    json!({"type": "tag", "id": id, "name": app.tags.get(id)})
}

fn post(app: &mut Intercom, call: &Call) -> Outcome<Answer> {
    let bad = || Problem::invalid("invalid tag parameters");
    let wanted = body(call, &["name", "id", "companies", "users"]).map_err(|_| bad())?;
    let name = wanted.get("name").and_then(Value::as_str).map(str::trim).unwrap_or_default().to_owned();
    if name.is_empty() || name.chars().count() > 255 || wanted.contains_key("companies") && wanted.contains_key("users")
    {
        return Err(bad());
    }
    let items = |key: &str| match wanted.get(key) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(_) => Err(bad()),
    };
    let (to_companies, to_users) = (items("companies")?, items("users")?);
    // The specification takes tags away from companies, not from users.
    if to_users.iter().flatten().any(|item| item.get("untag").is_some()) {
        return Err(bad());
    }
    if to_companies.iter().chain(&to_users).any(|items| items.len() > LONGEST_LIST) {
        return Err(Problem::invalid(format!("a tag takes {LONGEST_LIST} items in one request")));
    }
    // Everything is looked up before anything is changed, the tag's creation included.
    let mut on_companies = vec![];
    for item in to_companies.iter().flatten() {
        let by_id = id_of(item.get("id")).filter(|id| app.companies.contains_key(id));
        let found = by_id.or_else(|| companies::by_company_id(app, item["company_id"].as_str()?));
        let found = found.ok_or_else(|| Problem::new(404, "company_not_found", "Company Not Found"))?;
        on_companies.push((found, item["untag"].as_bool().unwrap_or(false)));
    }
    let mut on_users = vec![];
    for item in to_users.iter().flatten() {
        let id = id_of(item.get("id")).unwrap_or_default();
        on_users.push(contacts::find(app, &id)?.id.clone());
    }
    let tag = tag_id(app, &wanted, &name)?;
    let mut shown = json_of(app, &tag);
    if to_companies.is_some() {
        shown["companies"] =
            on_companies.iter().map(|(id, untag)| json!({"id": id, "tagged": !untag})).collect::<Vec<_>>().into();
    }
    if to_users.is_some() {
        shown["users"] = on_users.iter().map(|id| json!({"id": id, "tagged": true})).collect::<Vec<_>>().into();
    }
    for (id, untag) in on_companies {
        let Some(company) = app.companies.get_mut(&id) else { continue };
        company.tags.retain(|one| *one != tag);
        if !untag {
            company.tags.push(tag.clone());
        }
    }
    for id in on_users {
        put(app, &id, &tag, true, call.now);
    }
    Ok(Answer::json(200, &shown).note(format!("tag {name}")))
}

/// The tag's id: the named id, renamed; else that of the name in any case; else a new one.
fn tag_id(app: &mut Intercom, wanted: &serde_json::Map<String, Value>, name: &str) -> Outcome<String> {
    let same = app.tags.iter().find(|(_, have)| have.to_lowercase() == name.to_lowercase());
    let same = same.map(|(id, _)| id.clone());
    if let Some(id) = id_of(wanted.get("id")) {
        if !app.tags.contains_key(&id) {
            return Err(Problem::nothing());
        }
        if same.is_some_and(|other| other != id) {
            return Err(Problem::invalid("invalid tag parameters"));
        }
        app.tags.insert(id.clone(), name.to_owned());
        return Ok(id);
    }
    if let Some(id) = same {
        return Ok(id);
    }
    app.made += 1;
    let id = (7_522_900 + app.made).to_string();
    app.tags.insert(id.clone(), name.to_owned());
    Ok(id)
}

fn put(app: &mut Intercom, contact: &str, tag: &str, on: bool, now: i64) {
    let Some(record) = app.contacts.get_mut(contact) else { return };
    let present = record.tags.iter().any(|(one, _)| one == tag);
    if on && !present {
        record.tags.push((tag.to_owned(), now / 1000));
    } else if !on {
        record.tags.retain(|(one, _)| one != tag);
    }
}

/// `/contacts/{id}/tags…`; `parts` begins with the contact's id.
pub(super) fn on_contact(app: &mut Intercom, call: &Call, parts: &[&str]) -> Outcome<Answer> {
    let contact = contacts::find(app, parts[0])?.clone();
    let applied = |app: &Intercom, tag: &str, at: i64| {
        let mut shown = json_of(app, tag);
        shown["applied_at"] = json!(at);
        shown["applied_by"] = json!({"type": "admin", "id": "991267459"});
        shown
    };
    match (call.method, &parts[1..]) {
        ("GET", ["tags"]) => {
            let data: Vec<Value> = contact.tags.iter().map(|(tag, at)| applied(app, tag, *at)).collect();
            Ok(Answer::json(200, &json!({"type": "list", "data": data})))
        }
        ("POST", ["tags"]) => {
            let tag = id_of(body(call, &["id"])?.get("id")).filter(|tag| app.tags.contains_key(tag));
            let tag = tag.ok_or_else(Problem::nothing)?;
            put(app, &contact.id, &tag, true, call.now);
            let note = format!("tagged {} {}", contact.id, app.tags[&tag]);
            Ok(Answer::json(200, &applied(app, &tag, call.now / 1000)).note(note))
        }
        ("DELETE", ["tags", tag]) if contact.tags.iter().any(|(one, _)| one == tag) => {
            put(app, &contact.id, tag, false, call.now);
            let note = format!("untagged {} {}", contact.id, app.tags[*tag]);
            Ok(Answer::json(200, &applied(app, tag, call.now / 1000)).note(note))
        }
        _ => Err(Problem::nothing()),
    }
}
