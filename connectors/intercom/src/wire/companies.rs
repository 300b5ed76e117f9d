//! Companies: find those whose id is not known, create what may be created, write attributes.
//!
//! A company that Intercom confirmed is written by Intercom's own id, never by an upsert, which would make one anew that
//! somebody deleted.

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Method, Operation, Outcome};

use super::encode::{attributes, text_of};
use super::exchange::{Exchange, Next, conflict, encoded, id_of, reject, retry};
use crate::{COMPANY, COMPANY_ID, Intercom};

pub(super) fn write(intercom: &Intercom, operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let attributes = attributes(intercom, COMPANY, operation);
    let id = match &operation.remote_id {
        Some(id) => id.clone(),
        None => match find(operation, exchange)? {
            Some(id) if attributes.is_empty() => return Ok(vec![Outcome::Done { remote_id: Some(id) }]),
            Some(id) => id,
            None => return create(operation, attributes, exchange).map(|outcome| vec![outcome]),
        },
    };
    let path = format!("/companies/{}", encoded(&id));
    let answer = match attributes.is_empty() {
        true => exchange.ask(Method::Get, path, None)?,
        false => exchange.ask(Method::Put, path, Some(json!({ "custom_attributes": attributes })))?,
    };
    if answer.status == 404 {
        return Ok(vec![lost(operation, attributes, exchange)?]);
    }
    if exchange.id(answer)? != id {
        return retry(None, "Intercom answered with another company");
    }
    Ok(vec![Outcome::Done { remote_id: Some(id) }])
}

/// The id by which the company is looked for.
pub(super) fn company_id(operation: &Operation) -> Option<&str> {
    operation.keys.iter().find(|key| key.by == COMPANY_ID).map(|key| key.value.as_str())
}

/// The company with our id, by Intercom's; `None` if there is none.
fn find(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Option<String>> {
    let Some(company_id) = company_id(operation) else {
        return reject("there is no company id to look for");
    };
    Ok(by_company_id(company_id, exchange)?.as_ref().and_then(id_of))
}

/// The company with an id of ours. Intercom answers with the company itself; its specification has a list.
pub(super) fn by_company_id(company_id: &str, exchange: &mut Exchange<'_>) -> Next<Option<Json>> {
    let answer = exchange.ask(Method::Get, format!("/companies?company_id={}", encoded(company_id)), None)?;
    if answer.status == 404 {
        return Ok(None);
    }
    let found = exchange.object(answer)?;
    let is_it = |company: &&Json| match company.get("company_id") {
        Some(Json::Number(number)) => number.to_string() == company_id,
        id => id.and_then(Json::as_str) == Some(company_id),
    };
    let company = match found.get("data").and_then(Json::as_array) {
        Some(list) => list.iter().find(is_it).cloned(),
        None if is_it(&&found) => Some(found),
        None => return retry(None, "Intercom answered with another company"),
    };
    match company {
        Some(company) if id_of(&company).is_none() => retry(None, "Intercom answered with a company without an id"),
        company => Ok(company),
    }
}

/// Creates the company, or finds that it may not be created. Once more is harmless: Intercom looks for our id first.
fn create(
    operation: &Operation,
    mut attributes: serde_json::Map<String, Json>,
    exchange: &mut Exchange<'_>,
) -> Next<Outcome> {
    let Some(fields) = &operation.create else {
        return Ok(Outcome::Absent { why: "Intercom has no company with this company_id".into() });
    };
    let mut body = serde_json::Map::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        body.insert(name.clone(), text_of(value).into());
    }
    attributes.retain(|_, value| !value.is_null());
    upsert(operation, body, attributes, exchange)
}

fn upsert(
    operation: &Operation,
    mut body: serde_json::Map<String, Json>,
    attributes: serde_json::Map<String, Json>,
    exchange: &mut Exchange<'_>,
) -> Next<Outcome> {
    body.insert(COMPANY_ID.into(), company_id(operation).unwrap_or_default().into());
    if !attributes.is_empty() {
        body.insert("custom_attributes".into(), attributes.into());
    }
    let answer = exchange.ask(Method::Post, "/companies".into(), Some(body.into()))?;
    Ok(Outcome::Done { remote_id: Some(exchange.id(answer)?) })
}

/// A company that is not there under its id: planned anew where there is another one with our id, else gone for good.
fn lost(
    operation: &Operation,
    attributes: serde_json::Map<String, Json>,
    exchange: &mut Exchange<'_>,
) -> Next<Outcome> {
    let found = match company_id(operation) {
        Some(company_id) => by_company_id(company_id, exchange)?.as_ref().and_then(id_of),
        None => None,
    };
    match (found, &operation.remote_id) {
        (Some(found), Some(known)) if found == *known => {
            upsert(operation, serde_json::Map::new(), attributes, exchange)
        }
        (None, Some(_)) => Ok(Outcome::Gone { why: "the company was deleted in Intercom".into() }),
        _ => conflict("the company has another id now"),
    }
}
