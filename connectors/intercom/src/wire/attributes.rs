//! Data attributes: which there are, which can be written, and the creation of those that are missing.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Method, Operation, Outcome, Receipt, Step, scrub};

use super::exchange::{Exchange, Next, id_of, retry};
use super::reason;
use crate::{CONTACT, attribute_slot};

/// A data attribute as Intercom lists it.
struct Listed {
    id: String,
    data_type: String,
    archived: bool,
    writable: bool,
}

impl Listed {
    /// What becomes of an operation that needs this attribute with a type.
    fn judged(&self, name: &str, wanted: &str) -> Outcome {
        let fits = match wanted {
            "float" => matches!(self.data_type.as_str(), "float" | "integer"),
            "date" => matches!(self.data_type.as_str(), "date" | "datetime"),
            // A list of fixed options takes text too.
            "string" => matches!(self.data_type.as_str(), "string" | "options"),
            _ => self.data_type == wanted,
        };
        let why = if self.archived {
            format!("the contact attribute `{name}` is archived in Intercom: restore it there or choose another name")
        } else if !fits {
            let found = scrub(&self.data_type);
            format!(
                "the contact attribute `{name}` has the type {found} in Intercom, the config gives {wanted}: a type can't be \
                 changed, so choose another name or expression"
            )
        } else if !self.writable {
            format!("the contact attribute `{name}` can't be written through the API")
        } else {
            return Outcome::Done { remote_id: Some(self.id.clone()) };
        };
        Outcome::Rejected { why }
    }
}

fn list_attributes(exchange: &mut Exchange<'_>) -> Next<BTreeMap<String, Listed>> {
    let path = "/data_attributes?model=contact&include_archived=true";
    let answer = exchange.ask(Method::Get, path.into(), None)?;
    let list = exchange.object(answer)?;
    let Some(data) = list.get("data").and_then(Json::as_array) else {
        return retry(None, "Intercom did not list the attributes");
    };
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    for item in data {
        let text = |key: &str| item.get(key).and_then(Json::as_str);
        let flag = |key: &str| item.get(key).and_then(Json::as_bool);
        // A standard attribute of the same name (`name`, `email`) is another attribute.
        let Some(name) = (match text("full_name") {
            Some(full) => full.strip_prefix("custom_attributes."),
            None => text("name").filter(|_| flag("custom") == Some(true)),
        }) else {
            continue;
        };
        let attribute = Listed {
            id: id_of(item).unwrap_or_else(|| name.to_owned()),
            data_type: text("data_type").unwrap_or("no type").into(),
            archived: flag("archived").unwrap_or(false),
            writable: flag("api_writable").unwrap_or(true),
        };
        // An archived one may share its name with one in use.
        if !attribute.archived || !listed.contains_key(name) {
            listed.insert(name.to_owned(), attribute);
        }
    }
    Ok(listed)
}

pub(super) fn attributes(operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Step> {
    let mut listed = list_attributes(exchange)?;
    let mut read_again = false;
    let mut receipts = Vec::new();
    for operation in operations {
        let name = operation.slot.strip_prefix(&attribute_slot(""));
        let wanted = operation.fields.get("data_type").and_then(|change| change.new.as_text());
        let (Some(name), Some(wanted)) = (name, wanted) else {
            let why = "the operation does not name an attribute and its type".into();
            receipts.push(Receipt { slot: operation.slot.clone(), outcome: Outcome::Rejected { why } });
            continue;
        };
        let outcome = match listed.get(name) {
            Some(attribute) => attribute.judged(name, wanted),
            None => {
                let body = json!({ "name": name, "model": CONTACT, "data_type": wanted });
                let answer = exchange.ask(Method::Post, "/data_attributes".into(), Some(body))?;
                if (200..300).contains(&answer.status) {
                    Outcome::Done { remote_id: Some(exchange.id(answer)?) }
                } else {
                    // Also what a creation answers whose first answer was lost: look once more.
                    if answer.status == 400 && answer.body.contains("already have") && !read_again {
                        listed = list_attributes(exchange)?;
                        read_again = true;
                    }
                    match listed.get(name) {
                        Some(attribute) => attribute.judged(name, wanted),
                        None => Outcome::Rejected {
                            why: format!(
                                "Intercom refused the contact attribute `{name}`: {}",
                                reason::of(answer, operations)
                            ),
                        },
                    }
                }
            }
        };
        receipts.push(Receipt { slot: operation.slot.clone(), outcome });
    }
    Ok(Step::Done(receipts))
}
