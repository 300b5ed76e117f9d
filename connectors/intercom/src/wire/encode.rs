//! Values in the form that Intercom's attributes hold.

use serde_json::Value as Json;
use vitalsync_core::connector::Operation;
use vitalsync_core::value::plain_number;
use vitalsync_core::{Type, Value};

use crate::{GROUP_PREFIX, Intercom};

/// The most characters of a text attribute.
const TEXT_LIMIT: usize = 255;
/// The changed attributes in Intercom's form; null clears.
pub(super) fn attributes(intercom: &Intercom, operation: &Operation) -> serde_json::Map<String, Json> {
    operation
        .fields
        .iter()
        .filter(|(name, _)| !name.starts_with(GROUP_PREFIX))
        .map(|(name, change)| (name.clone(), attribute_value(intercom.kind(name), &change.new)))
        .collect()
}

/// A value as an attribute of a kind holds it: an attribute that was created for text gets text.
fn attribute_value(kind: Type, value: &Value) -> Json {
    match (kind, value) {
        (_, Value::Null) => Json::Null,
        (Type::Number, Value::Number(_)) | (Type::Bool, Value::Bool(_)) => value.to_json(),
        (Type::Date | Type::Time, Value::Date(day)) => day.midnight_utc().seconds().into(),
        (Type::Date | Type::Time, Value::Time(time)) => time.seconds().into(),
        _ => cut(text_of(value)).into(),
    }
}

pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Number(number) => plain_number(*number),
        Value::List(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(TEXT_LIMIT) {
        text.truncate(at);
    }
    text
}
