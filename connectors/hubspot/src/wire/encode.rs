//! Our values in HubSpot's form, and back: everything is a string, and the empty string clears.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use vitalsync_core::connector::Change;
use vitalsync_core::value::plain_number;
use vitalsync_core::{Day, Timestamp, Value};

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

/// True if what HubSpot holds is what we sent, whatever form of its own it writes it in: numbers without needless zeros, days
/// also as milliseconds, options in any order, text without blanks at its ends.
pub(super) fn is_held(sent: &Value, held: &str) -> bool {
    let as_sent = text(sent);
    let plain = |text: &str| text.replace('\r', "").trim().to_owned();
    if plain(&as_sent) == plain(held) {
        return true;
    }
    if as_sent.is_empty() || held.is_empty() {
        return false;
    }
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let options = |text: &str| text.split(';').map(str::to_owned).collect::<BTreeSet<_>>();
    match sent {
        Value::Bool(flag) => held.trim().eq_ignore_ascii_case(&flag.to_string()),
        Value::Date(day) => moment(held).is_some_and(|held| held.0.div_euclid(DAY_MS) == i64::from(day.0)),
        Value::Time(time) => moment(held) == Some(*time),
        Value::List(_) => options(&as_sent) == options(held),
        _ => number(&as_sent).is_some_and(|sent| number(held) == Some(sent)),
    }
}

/// What HubSpot holds, as a value of the kind that we know.
pub(super) fn read(known: &Value, held: &str) -> Value {
    let text = held.trim();
    if text.is_empty() {
        return Value::Null;
    }
    let like_known = match known {
        Value::Number(_) => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Number),
        Value::Bool(_) => text.to_lowercase().parse::<bool>().ok().map(Value::Bool),
        Value::Date(_) => {
            let day = moment(text).and_then(|at| i32::try_from(at.0.div_euclid(DAY_MS)).ok());
            day.map(|day| Value::Date(Day(day)))
        }
        Value::List(_) => Some(Value::List(text.split(';').map(Value::from).collect())),
        _ => None,
    };
    like_known.unwrap_or_else(|| text.into())
}

const DAY_MS: i64 = 86_400_000;

/// A moment as HubSpot writes it: a day, ISO 8601, or milliseconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    let day = Day::parse(text).map(|day| Timestamp(i64::from(day.0) * DAY_MS));
    day.or_else(|| Timestamp::parse(text)).or_else(|| text.parse().ok().map(Timestamp))
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
    use super::*;

    #[test]
    fn what_hubspot_writes_in_its_own_way_is_held() {
        let list = |items: &[&str]| Value::List(items.iter().map(|item| Value::from(*item)).collect());
        for (sent, held, same) in [
            (Value::Null, "", true),
            (Value::Null, "7", false),
            (42.0.into(), "42", true),
            (42.0.into(), "42.0", true),
            (0.5.into(), ".50", true),
            (42.0.into(), "43", false),
            (42.0.into(), "", false),
            (true.into(), "TRUE", true),
            (true.into(), "false", false),
            (Value::Date(Day(20_500)), "2026-02-16", true),
            (Value::Date(Day(20_500)), "1771200000000", true),
            (Value::Date(Day(20_500)), "2026-02-16T00:00:00Z", true),
            (Value::Date(Day(20_500)), "2026-02-17", false),
            (" a\r\nb ".into(), "a\nb", true),
            ("Acme".into(), "acme", false),
            ("5".into(), "5.0", true),
            (list(&["b", "a"]), "a;b", true),
            (list(&["b", "a"]), "a", false),
        ] {
            assert_eq!(is_held(&sent, held), same, "{sent:?} as {held}");
        }
        assert_eq!(read(&42.0.into(), "43.50"), 43.5.into());
        assert_eq!(read(&42.0.into(), "many"), "many".into());
        assert_eq!(read(&Value::Date(Day(0)), "2026-02-16"), Value::Date(Day(20_500)));
        assert_eq!(read(&true.into(), "False"), false.into());
        assert_eq!(read(&"x".into(), ""), Value::Null);
    }

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
