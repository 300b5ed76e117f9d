//! Values in the form that Intercom's attributes hold, and back.

use serde_json::Value as Json;
use vitalsync_core::connector::Operation;
use vitalsync_core::value::plain_number;
use vitalsync_core::{Timestamp, Type, Value};

use crate::{COMPANY_ID, GROUP_PREFIX, Intercom};

/// The most characters of a text attribute.
const TEXT_LIMIT: usize = 255;

/// The changed attributes of a record in Intercom's form; null clears.
pub(super) fn attributes(intercom: &Intercom, model: &str, operation: &Operation) -> serde_json::Map<String, Json> {
    let is_attribute = |name: &str| !name.starts_with(GROUP_PREFIX) && name != COMPANY_ID;
    let changed = operation.fields.iter().filter(|(name, _)| is_attribute(name));
    changed.map(|(name, change)| (name.clone(), attribute(intercom.kind(model, name), &change.new))).collect()
}

/// A value as an attribute of a kind holds it: an attribute that was created for text gets text.
fn attribute(kind: Type, value: &Value) -> Json {
    match (kind, value) {
        (_, Value::Null) => Json::Null,
        (Type::Number, Value::Number(_)) | (Type::Bool, Value::Bool(_)) => value.to_json(),
        (Type::Date | Type::Time, Value::Date(day)) => day.midnight_utc().seconds().into(),
        (Type::Date | Type::Time, Value::Time(time)) => time.seconds().into(),
        _ => text_of(value).into(),
    }
}

/// A value as text of at most as many characters as Intercom takes.
pub(super) fn text_of(value: &Value) -> String {
    let mut text = whole_text(value);
    if let Some((at, _)) = text.char_indices().nth(TEXT_LIMIT) {
        text.truncate(at);
    }
    text
}

fn whole_text(value: &Value) -> String {
    match value {
        Value::Number(number) => plain_number(*number),
        Value::List(items) => items.iter().map(whole_text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What an attribute holds, where it is not what we told it; `None` where it is, in Intercom's own way of writing it: an
/// attribute without a value is left out or empty, numbers may be text, times may be ISO 8601.
pub(super) fn differs(kind: Type, told: &Value, held: Option<&Json>) -> Option<Value> {
    let held = held.unwrap_or(&Json::Null);
    let told = attribute(kind, told);
    let empty = |json: &Json| json.is_null() || json.as_str().is_some_and(|text| text.trim().is_empty());
    let number = |json: &Json| json.as_f64().or_else(|| json.as_str()?.trim().parse().ok());
    let moment = |json: &Json| json.as_i64().or_else(|| Some(Timestamp::parse(json.as_str()?)?.seconds()));
    let same = told == *held
        || (empty(&told) && empty(held))
        || match kind {
            Type::Number => {
                number(&told).zip(number(held)).is_some_and(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(1.0))
            }
            Type::Date | Type::Time => moment(&told).zip(moment(held)).is_some_and(|(a, b)| a == b),
            Type::Bool => told.as_bool().map(|flag| flag.to_string()) == held.as_str().map(str::to_lowercase),
            Type::Any | Type::Text | Type::List | Type::Map => {
                told.as_str().zip(held.as_str()).is_some_and(|(a, b)| a.trim() == b.trim())
            }
        };
    (!same).then(|| value(kind, held))
}

/// What an attribute holds, in our own terms.
fn value(kind: Type, held: &Json) -> Value {
    match (kind, held) {
        (_, Json::Null) => Value::Null,
        (_, Json::Bool(flag)) => Value::Bool(*flag),
        (Type::Date | Type::Time, Json::Number(seconds)) => {
            let ms = seconds.as_i64().and_then(|seconds| seconds.checked_mul(1000));
            ms.map_or(Value::Null, |ms| Value::Time(Timestamp(ms)))
        }
        (_, Json::Number(number)) => Value::from(number.as_f64().unwrap_or_default()),
        (_, Json::String(text)) => Value::Text(text.clone()),
        (_, Json::Array(_) | Json::Object(_)) => Value::Text(held.to_string()),
    }
}
