//! What HubSpot says about a refusal, without the values that it quotes.
//!
//! Property names and HubSpot's own codes are kept, because they say what to mend. Of free text only the words before
//! the first quotation are kept, and none of it if it holds a value that we sent or anything like an address.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use vitalsync_core::Value;
use vitalsync_core::connector::{Operation, scrub};

/// Why an operation was refused, from an error body or one item of `errors`.
pub(super) fn of(error: &Json, operation: &Operation) -> String {
    let mut parts: Vec<String> = Vec::new();
    let sent = values(operation);
    let ours = |text: &str| sent.contains(&text.to_lowercase());
    let is_code = |text: &&str| is_code(text) && !ours(text);
    let category = error.get("category").and_then(Json::as_str).filter(is_code).unwrap_or_default();
    if !category.is_empty() {
        parts.push(category.to_owned());
    }
    let message = error.get("message").and_then(Json::as_str).unwrap_or_default();
    if is_of_taken_value(error) {
        parts.push("another record already has this value of a unique property".into());
    } else {
        parts.extend(opening(message, &sent));
    }
    let mut named: Vec<String> = Vec::new();
    for item in details(error) {
        let code = ["error", "code", "subCategory"]
            .iter()
            .find_map(|name| item.get(*name).and_then(Json::as_str).filter(is_code));
        for name in names(&item).into_iter().filter(|name| !ours(name)) {
            let said = match code {
                Some(code) => format!("{name}: {code}"),
                None => name.clone(),
            };
            // The same property may be named again without a code.
            if !named.iter().any(|other| *other == said || (code.is_none() && other.starts_with(&name))) {
                named.push(said);
            }
        }
    }
    named.truncate(5);
    if !named.is_empty() {
        parts.push(named.join(", "));
    }
    match parts.is_empty() {
        true => "no reason given".into(),
        false => scrub(&parts.join("; ")),
    }
}

/// The properties that a refusal names.
pub(super) fn named(error: &Json) -> BTreeSet<String> {
    details(error).iter().flat_map(names).collect()
}

/// What a refusal says of single properties: in a list inside of its message, in `errors`, or itself.
fn details(error: &Json) -> Vec<Json> {
    let message = error.get("message").and_then(Json::as_str).unwrap_or_default();
    let inside: Json = message.find('[').and_then(|at| message.get(at..)).map(embedded).unwrap_or_default();
    let lists = [&inside, error.get("errors").unwrap_or(&Json::Null)];
    lists.into_iter().filter_map(Json::as_array).flatten().chain([error]).cloned().collect()
}

/// True if another record has a value that must be unique.
pub(super) fn is_of_taken_value(error: &Json) -> bool {
    error.get("message").and_then(Json::as_str).is_some_and(|message| message.contains("already has that value"))
}

/// True if a write was refused because HubSpot has no such property.
pub(super) fn is_of_lost_property(error: &Json) -> bool {
    error.to_string().contains("PROPERTY_DOESNT_EXIST")
}

/// True if a write was refused for what may be in HubSpot's schema no more: a property, or an option of a list.
pub(super) fn is_of_schema(error: &Json) -> bool {
    is_of_lost_property(error) || error.to_string().contains("INVALID_OPTION")
}

/// What is missing behind a 403.
pub(super) fn missing_scopes(error: &Json) -> String {
    let mut scopes: Vec<&str> = Vec::new();
    let items = error.get("errors").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    for context in items.iter().chain([error]).filter_map(|item| item.get("context")) {
        for name in ["requiredGranularScopes", "requiredScopes"] {
            scopes.extend(texts(context.get(name)));
        }
    }
    let is_scope =
        |scope: &&str| scope.len() <= 80 && scope.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    scopes.retain(is_scope);
    scopes.sort_unstable();
    scopes.dedup();
    scopes.truncate(12);
    match scopes.is_empty() {
        true => "HubSpot denies access (403): the token lacks a scope, or its user a permission".into(),
        false => format!("the token lacks a scope (403): {}", scopes.join(", ")),
    }
}

/// The texts of a JSON list, or the one text that stands in its place.
pub(super) fn texts(json: Option<&Json>) -> Vec<&str> {
    match json {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(text)) => vec![text],
        _ => Vec::new(),
    }
}

/// The first JSON value of a text that goes on behind it.
fn embedded(text: &str) -> Json {
    serde_json::Deserializer::from_str(text).into_iter().next().and_then(Result::ok).unwrap_or_default()
}

/// The properties that an error names.
fn names(item: &Json) -> Vec<String> {
    let context = item.get("context");
    let in_context = ["propertyName", "properties"].iter().flat_map(|name| texts(context.and_then(|c| c.get(*name))));
    texts(item.get("name")).into_iter().chain(in_context).filter(|name| is_property(name)).map(str::to_owned).collect()
}

/// The words before anything is quoted. They are dropped where they hold a value of ours, an address or a number.
fn opening(message: &str, sent: &[String]) -> Option<String> {
    let opening = message.split([':', '"', '\'', '`', '“', '[', '{', '(', '<', '=']).next()?.trim();
    // A value that itself holds a mark that ends the opening begins in it all the same.
    let lower = message.trim_start().to_lowercase();
    let plain = !opening.is_empty() && !opening.contains('@') && !opening.contains(|c: char| c.is_numeric());
    let own = sent.iter().any(|value| lower.find(value.as_str()).is_some_and(|at| at < opening.len()));
    (plain && !own).then(|| opening.chars().take(120).collect())
}

/// Every text of an operation that must not come back in a reason, in small letters.
fn values(operation: &Operation) -> Vec<String> {
    let mut texts = vec![operation.subject.clone()];
    texts.extend(operation.keys.iter().map(|key| key.value.clone()));
    let created = operation.create.iter().flat_map(|create| create.values());
    for value in operation.fields.values().flat_map(|change| [&change.old, &change.new]).chain(created) {
        spell(value, &mut texts);
    }
    texts.iter().map(|text| text.trim().to_lowercase()).filter(|text| text.chars().count() > 1).collect()
}

fn spell(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::List(items) => items.iter().for_each(|item| spell(item, texts)),
        Value::Map(entries) => entries.values().for_each(|entry| spell(entry, texts)),
        _ => texts.push(value.to_string()),
    }
}

fn is_code(text: &str) -> bool {
    (2..=60).contains(&text.len()) && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

fn is_property(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
