//! Attaching a contact to its company. Twice is once.

use serde_json::json;
use vitalsync_core::connector::{Method, Operation, Outcome};

use super::exchange::{Exchange, Next, encoded};
use super::reason;
use crate::{COMPANY, CONTACT, record_slot};

pub(super) fn attach(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let account = operation.fields.get(COMPANY).and_then(|change| change.new.as_text()).unwrap_or_default();
    let contact = operation.refs.get(&record_slot(CONTACT, &operation.subject));
    let company = operation.refs.get(&record_slot(COMPANY, account));
    let absent = |why: &str| Ok(vec![Outcome::Absent { why: why.into() }]);
    let (Some(contact), Some(company)) = (contact, company) else {
        return absent("the contact or its company is not in Intercom");
    };
    let path = format!("/contacts/{}/companies", encoded(contact));
    let answer = exchange.ask(Method::Post, path, Some(json!({ "id": company })))?;
    match answer.status {
        404 if reason::code(answer) == Some("company_not_found") => absent("the company is no longer there"),
        404 | 410 => absent("the contact is no longer there"),
        _ => {
            exchange.id(answer)?;
            Ok(vec![Outcome::Done { remote_id: Some(company.clone()) }])
        }
    }
}
