//! Our values in HubSpot's form: everything is a string, and the empty string clears.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use vitalsync_core::Value;
use vitalsync_core::connector::Change;
use vitalsync_core::value::plain_number;

/// The longest text that a property takes, in characters.
const LONGEST: usize = 65_536;

/// A value as HubSpot takes it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) if number.is_finite() => plain_number(*number),
        Value::Number(_) => String::new(),
        Value::Text(text) => text.chars().take(LONGEST).collect(),
        Value::Date(day) => day.to_string(),
        Value::Time(time) => time.0.to_string(),
        Value::List(items) => {
            // A leading `;` would append to what is there instead of replacing it.
            let items: Vec<String> = items.iter().map(text_of_item).filter(|item| !item.is_empty()).collect();
            items.join(";").chars().take(LONGEST).collect()
        }
        Value::Map(_) => value.to_json().to_string().chars().take(LONGEST).collect(),
    }
}

fn text_of_item(item: &Value) -> String {
    match item {
        Value::List(_) => item.to_json().to_string(),
        _ => text(item),
    }
}

/// The properties of an update.
pub(super) fn changes(fields: &BTreeMap<String, Change>) -> serde_json::Map<String, Json> {
    fields.iter().map(|(name, change)| (name.clone(), text(&change.new).into())).collect()
}

/// The properties of a creation: what only creation writes, and over it the mapped values that there are.
pub(super) fn creation(
    create: &BTreeMap<String, Value>,
    fields: &BTreeMap<String, Change>,
) -> serde_json::Map<String, Json> {
    let mapped = fields.iter().map(|(name, change)| (name, &change.new));
    let all = create.iter().chain(mapped).filter(|(_, value)| !value.is_null());
    all.map(|(name, value)| (name.clone(), text(value).into())).collect()
}

#[cfg(test)]
mod tests {
    use vitalsync_core::{Day, Timestamp};

    use super::*;

    #[test]
    fn values_take_hubspots_form() {
        let list = |items: &[&str]| Value::List(items.iter().map(|item| Value::from(*item)).collect());
        for (value, expected) in [
            (Value::Null, ""),
            (true.into(), "true"),
            (72.0.into(), "72"),
            (0.25.into(), "0.25"),
            ((-0.0).into(), "0"),
            (1e21.into(), "1000000000000000000000"),
            (1e-7.into(), "0.0000001"),
            (Value::Number(f64::NAN), ""),
            ("+32 2".into(), "+32 2"),
            (Value::Date(Day(20_500)), "2026-02-16"),
            (Value::Time(Timestamp(1_767_571_200_000)), "1767571200000"),
            (list(&["", "a", "b"]), "a;b"),
            (list(&[]), ""),
        ] {
            assert_eq!(text(&value), expected, "{value:?}");
        }
        assert_eq!(text(&"é".repeat(70_000).into()).chars().count(), 65_536);
    }
}
