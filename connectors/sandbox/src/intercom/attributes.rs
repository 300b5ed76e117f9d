//! Custom attributes: their definitions, and whether a value fits.
//!
//! An unknown attribute fails the whole write. That the name may hold underscores and spaces is practice; Intercom's own
//! message says alphanumeric characters, currency symbols and hyphens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Intercom, Outcome, Problem};
use crate::http::{Answer, Call};

/// The most custom attributes of a workspace, contacts' and companies' together; archived ones count here.
const MOST: usize = 250;
/// The longest text of an attribute, in characters.
pub(super) const LONGEST: usize = 255;

#[derive(Debug, Clone)]
pub(super) struct Attribute {
    id: u64,
    model: String,
    name: String,
    label: String,
    description: String,
    kind: String,
    options: Vec<String>,
    messenger_writable: bool,
    archived: bool,
    created: i64,
    updated: i64,
}

impl Attribute {
    fn json(&self) -> Value {
        let kind = match self.kind.as_str() {
            "options" => "string",
            "datetime" => "date",
            other => other,
        };
        let mut body = json!({"type": "data_attribute", "id": self.id, "model": self.model, "name": self.name,
            "full_name": format!("custom_attributes.{}", self.name), "label": self.label,
            "description": self.description, "data_type": kind, "api_writable": true, "ui_writable": false,
            "messenger_writable": self.messenger_writable, "custom": true, "archived": self.archived,
            "created_at": self.created, "updated_at": self.updated, "admin_id": "991267459"});
        if self.kind == "options" {
            body["options"] = json!(self.options);
        }
        body
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match self.kind.as_str() {
            "string" | "options" => value.is_string(),
            "integer" => value.is_i64(),
            "float" => value.is_number(),
            "boolean" => value.is_boolean(),
            // Unix seconds; what could only be milliseconds is refused (past the year 9999).
            _ => value.as_i64().is_some_and(|seconds| (-253_402_300_799..=253_402_300_799).contains(&seconds)),
        };
        if !fits {
            return Err(format!("Custom attribute '{}' must be of type {}", self.name, self.kind));
        }
        let text = value.as_str().unwrap_or_default();
        if text.chars().count() > LONGEST {
            return Err(format!("Custom attribute '{}' is too long (maximum is {LONGEST} characters)", self.name));
        }
        if self.kind == "options" && !self.options.iter().any(|option| option == text) {
            return Err(format!("'{text}' is not a valid option of custom attribute '{}'", self.name));
        }
        Ok(())
    }
}

/// Writes attributes over present ones; null takes one away. All or nothing.
pub(super) fn apply(
    app: &Intercom,
    model: &str,
    wanted: &Value,
    present: &BTreeMap<String, Value>,
) -> Outcome<BTreeMap<String, Value>> {
    let Some(wanted) = wanted.as_object() else {
        return Err(Problem::invalid("custom_attributes must be an object"));
    };
    let mut after = present.clone();
    for (name, value) in wanted {
        let known = app.attributes.iter().find(|one| one.model == model && one.name == *name && !one.archived);
        let Some(attribute) = known else {
            return Err(Problem::invalid(format!("Custom attribute '{name}' does not exist")));
        };
        if value.is_null() {
            after.remove(name);
            continue;
        }
        attribute.check(value).map_err(Problem::invalid)?;
        after.insert(name.clone(), value.clone());
    }
    Ok(after)
}

pub(super) fn route(app: &mut Intercom, call: &Call, rest: &[&str]) -> Outcome<Answer> {
    match (call.method, rest) {
        ("GET", []) => {
            let list = list(app, call.query("model"), call.query("include_archived") == Some("true"));
            Ok(Answer::json(200, &json!({"type": "list", "data": list})))
        }
        ("POST", []) => {
            let body = call.json().map_err(Problem::invalid)?;
            create(app, &body, call.now).map(|made| Answer::json(200, &made).note("created attribute"))
        }
        ("PUT", [id]) => {
            let body = call.json().map_err(Problem::invalid)?;
            update(app, id, &body, call.now).map(|made| Answer::json(200, &made))
        }
        _ => Err(Problem::nothing()),
    }
}

pub(super) fn list(app: &Intercom, model: Option<&str>, archived: bool) -> Vec<Value> {
    let standard = [
        ("contact", "name"),
        ("contact", "email"),
        ("contact", "external_id"),
        ("company", "name"),
        ("company", "company_id"),
    ];
    let standard = standard.iter().filter(|(one, _)| model.is_none_or(|model| model == *one)).map(|(model, name)| {
        json!({"type": "data_attribute", "model": model, "name": name, "full_name": name, "label": name,
            "description": "", "data_type": "string", "api_writable": true, "ui_writable": true,
            "messenger_writable": true, "custom": false, "archived": false})
    });
    let own = app.attributes.iter().filter(|one| archived || !one.archived);
    let own = own.filter(|one| model.is_none_or(|model| model == one.model));
    standard.chain(own.map(Attribute::json)).collect()
}

pub(super) fn create(app: &mut Intercom, body: &Value, now: i64) -> Outcome<Value> {
    let name = body["name"].as_str().unwrap_or_default();
    let model = body["model"].as_str().unwrap_or_default();
    let kind = body["data_type"].as_str().unwrap_or_default();
    if model != "contact" && model != "company" {
        return Err(Problem::invalid("The Data Attribute model field must be either contact or company"));
    }
    let good = |c: char| c.is_alphanumeric() || "_- $€£¥".contains(c);
    if name.trim().is_empty() || !name.chars().all(good) {
        return Err(Problem::invalid(
            "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens",
        ));
    }
    if !["string", "integer", "float", "boolean", "datetime", "date", "options"].contains(&kind) {
        return Err(Problem::invalid("Data Type isn't an option"));
    }
    let people = |model: &str| if model == "contact" { "people" } else { "company" };
    if let Some(old) = app.attributes.iter().find(|one| one.name.eq_ignore_ascii_case(name)) {
        return Err(Problem::invalid(format!(
            "You already have '{}' in your {} data. To save this as new {} data, use a different name.",
            old.name,
            people(&old.model),
            people(model)
        )));
    }
    if app.attributes.len() >= MOST {
        return Err(Problem::invalid(format!("You have reached the maximum of {MOST} custom attributes")));
    }
    let options = options(body);
    if kind == "options" && options.len() < 2 {
        return Err(Problem::invalid("The Data Attribute options field must have at least two options"));
    }
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let attribute = Attribute {
        id: 12_878 + app.attributes.len() as u64,
        model: model.to_owned(),
        name: name.to_owned(),
        label: name.to_owned(),
        description: text("description"),
        kind: kind.to_owned(),
        options,
        messenger_writable: body["messenger_writable"].as_bool().unwrap_or(false),
        archived: false,
        created: now / 1000,
        updated: now / 1000,
    };
    let made = attribute.json();
    app.attributes.push(attribute);
    Ok(made)
}

fn options(body: &Value) -> Vec<String> {
    let list = body["options"].as_array().into_iter().flatten();
    list.filter_map(|option| option["value"].as_str()).map(str::to_owned).collect()
}

fn update(app: &mut Intercom, id: &str, body: &Value, now: i64) -> Outcome<Value> {
    let found = app.attributes.iter_mut().find(|one| one.id.to_string() == id);
    let attribute =
        found.ok_or_else(|| Problem::new(404, "field_not_found", "We couldn't find that data attribute to update"))?;
    if body["data_type"].as_str().is_some_and(|kind| kind != attribute.kind) {
        return Err(Problem::invalid("The data type of an attribute cannot be changed"));
    }
    if body.get("options").is_some() {
        let options = options(body);
        if options.len() < 2 {
            return Err(Problem::invalid("The Data Attribute options field must have at least two options"));
        }
        attribute.options = options;
    }
    for (key, place) in [("label", &mut attribute.label), ("description", &mut attribute.description)] {
        if let Some(text) = body[key].as_str() {
            *place = text.to_owned();
        }
    }
    attribute.archived = body["archived"].as_bool().unwrap_or(attribute.archived);
    attribute.messenger_writable = body["messenger_writable"].as_bool().unwrap_or(attribute.messenger_writable);
    attribute.updated = now / 1000;
    Ok(attribute.json())
}
