//! The people of a HubSpot account who own records.
//!
//! Deliberately not here: teams, and owners that were deactivated.

use serde_json::{Value, json};

use super::{Outcome, Problem};
use crate::http::{Answer, Call};

/// The most owners of a page.
const MOST: usize = 500;

/// `GET /crm/owners/2026-09?limit=…&after=…`
pub(super) fn list(owners: &[Value], call: &Call) -> Outcome<Answer> {
    let number = |name: &str, standard: usize| match call.query(name) {
        None => Ok(standard),
        Some(text) => text.parse().map_err(|_| Problem::invalid(format!("{name}: {text}"))),
    };
    let (limit, after) = (number("limit", 100)?, number("after", 0)?);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::invalid(format!("limit must be between 1 and {MOST}")));
    }
    let page: Vec<Value> = owners
        .iter()
        .skip(after)
        .take(limit)
        .map(|owner| json!({"id": owner["id"], "email": owner["email"], "type": "PERSON", "archived": false}))
        .collect();
    let mut body = json!({"results": page});
    if after + page.len() < owners.len() {
        body["paging"] = json!({"next": {"after": (after + page.len()).to_string()}});
    }
    Ok(Answer::json(200, &body))
}
