//! Tickets and conversations, as far as a search for open ones shows them.
//!
//! Deliberately not here: writing them, parts, states beside open and closed, other fields in searches.

use serde_json::{Value, json};

use super::{Intercom, Outcome, Problem, body, contacts};
use crate::http::{Answer, Call};

/// One of either.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    id: String,
    open: bool,
    contacts: Vec<String>,
}

/// Adds one from `{"contacts": [external or Intercom's ids], "open": true}`, or closes it: `{"id": …, "open": false}`.
pub(super) fn seed(app: &mut Intercom, list: &str, wanted: &Value) -> Result<String, String> {
    let open = wanted["open"].as_bool().unwrap_or(true);
    let things = app.open.entry(list.to_owned()).or_default();
    if let Some(known) = things.iter_mut().find(|one| wanted["id"] == one.id.as_str()) {
        known.open = open;
        return Ok(known.id.clone());
    }
    let mut contacts = vec![];
    for contact in wanted["contacts"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let id = app.by_external_id.get(contact).cloned().unwrap_or_else(|| contact.to_owned());
        contacts.push(contacts::find(app, &id).map_err(|problem| problem.message)?.id.clone());
    }
    let id = app.next_id();
    app.open.entry(list.to_owned()).or_default().push(Thing { id: id.clone(), open, contacts });
    Ok(id)
}

/// `POST /{tickets|conversations}/search`
pub(super) fn search(app: &Intercom, list: &str, call: &Call) -> Outcome<Answer> {
    let wanted = body(call, &["query", "pagination", "sort"])?;
    let query = wanted.get("query").ok_or_else(|| Problem::new(400, "parameter_not_found", "query not specified"))?;
    let open = match (query["field"].as_str(), query["operator"].as_str(), query["value"].as_bool()) {
        (Some("open"), Some("="), Some(open)) => open,
        _ => return Err(Problem::invalid("only open = true or false is searched for here")),
    };
    let paging = wanted.get("pagination").cloned().unwrap_or_default();
    let per_page = paging["per_page"].as_u64().unwrap_or(20) as usize;
    if !(1..=150).contains(&per_page) {
        return Err(Problem::invalid("per_page must be between 1 and 150"));
    }
    let empty = vec![];
    let hits: Vec<&Thing> = app.open.get(list).unwrap_or(&empty).iter().filter(|one| one.open == open).collect();
    let start = paging["starting_after"]
        .as_str()
        .map_or(0, |after| hits.iter().take_while(|one| one.id.as_str() <= after).count());
    let shown: Vec<&&Thing> = hits.iter().skip(start).take(per_page).collect();
    let mut pages = json!({"type": "pages", "page": start / per_page + 1, "per_page": per_page,
        "total_pages": hits.len().div_ceil(per_page)});
    if let Some(last) = shown.last().filter(|_| start + shown.len() < hits.len()) {
        pages["next"] = json!({"page": start / per_page + 2, "starting_after": last.id});
    }
    let contact = |id: &String| {
        let ours = app.contacts.get(id).and_then(|record| record.external_id.clone());
        json!({"type": "contact", "id": id, "external_id": ours})
    };
    let one = |thing: &&&Thing| {
        json!({"type": list.trim_end_matches('s'), "id": thing.id, "open": thing.open,
            "contacts": {"type": "contact.list", "contacts": thing.contacts.iter().map(contact).collect::<Vec<_>>()}})
    };
    let things: Vec<Value> = shown.iter().map(one).collect();
    let kind = format!("{}.list", list.trim_end_matches('s'));
    Ok(Answer::json(200, &json!({"type": kind, list: things, "total_count": hits.len(), "pages": pages})))
}
