//! The one value type of rules, mappings, plans and of what a tool was told.
//!
//! Dates and times are kinds of their own, because every tool wants them in another form and a plan
//! must not print a number where a person expects a day. There is no conversion to a vendor's form
//! here: each connector owns its own.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{Calendar, Day, Timestamp};

/// A value as vitalsync means it, before any vendor's encoding.
#[derive(Debug, Clone, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
pub enum Value {
    /// Unknown: not zero, not empty.
    #[default]
    #[serde(rename = "null")]
    Null,
    /// True or false.
    #[serde(rename = "bool")]
    Bool(bool),
    /// Any finite number; integers and fractions mix.
    #[serde(rename = "num")]
    Number(f64),
    /// Text.
    #[serde(rename = "text")]
    Text(String),
    /// A calendar day in the configured time zone.
    #[serde(rename = "date")]
    Date(Day),
    /// A moment, in milliseconds since 1970 UTC.
    #[serde(rename = "time")]
    Time(Timestamp),
    /// A list.
    #[serde(rename = "list")]
    List(Vec<Value>),
    /// Named values (a nested trait).
    #[serde(rename = "map")]
    Map(BTreeMap<String, Value>),
}

/// What kind of value an expression gives, as far as it is known when the config is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Not known before the data is seen (a trait).
    Any,
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// Text.
    Text,
    /// A calendar day.
    Date,
    /// A moment.
    Time,
    /// A list.
    List,
    /// Named values.
    Map,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any value",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Date => "a date",
            Self::Time => "a time",
            Self::List => "a list",
            Self::Map => "named values",
        })
    }
}

impl Value {
    /// True for [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The kind of this value; null is [`Type::Any`].
    pub fn kind(&self) -> Type {
        match self {
            Self::Null => Type::Any,
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::Date(_) => Type::Date,
            Self::Time(_) => Type::Time,
            Self::List(_) => Type::List,
            Self::Map(_) => Type::Map,
        }
    }

    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if this is a number.
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The value as a day: a date, a time, or seconds or milliseconds since 1970; between 1970 and 2100, else it is none.
    pub fn day(&self, calendar: &Calendar) -> Option<Day> {
        let years = Day(0)..Day(47_482);
        let day = match self {
            Self::Text(text) => Day::parse(text).or_else(|| Timestamp::parse(text).map(|time| calendar.day(time))),
            Self::Number(number) if number.abs() < 1e11 => Some(calendar.day(Timestamp((number * 1000.0) as i64))),
            Self::Number(number) => Some(calendar.day(Timestamp(*number as i64))),
            Self::Date(day) => Some(*day),
            Self::Time(time) => Some(calendar.day(*time)),
            _ => None,
        };
        day.filter(|day| years.contains(day))
    }

    /// The value as a key by which a record is found: text as it is, a number without a fraction where it
    /// has none; `None` for null, empty text and whatever cannot name a record.
    pub fn as_key(&self) -> Option<String> {
        match self {
            Self::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Self::Number(number) => Some(plain_number(*number)),
            _ => None,
        }
    }

    /// Plain JSON for people and programs; dates and times as ISO 8601 text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => (*number as i64).into(),
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Date(day) => day.to_string().into(),
            Self::Time(time) => time.to_string().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => entries
                .iter()
                .map(|(name, value)| (name.clone(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The value of a JSON text; `None` if it is none, or one that can't be kept.
    pub fn parse(json: &str) -> Option<Self> {
        if let Some(id) = too_exact(json) {
            return Some(id);
        }
        serde_json::from_str(json).ok().map(|json| Self::from_json(&json))
    }

    /// The value of a piece of JSON. Text stays text, also where it looks like a number or a date; a whole number that loses
    /// digits as a number is an id, and text.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(flag) => Self::Bool(*flag),
            serde_json::Value::Number(number) => {
                let is_large = !number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= EXACT);
                if let Some(id) = is_large.then(|| too_exact(&number.to_string())).flatten() {
                    return id;
                }
                number.as_f64().filter(|n| n.is_finite()).map_or(Self::Null, Self::Number)
            }
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(entries) => {
                Self::Map(entries.iter().map(|(name, value)| (name.clone(), Self::from_json(value))).collect())
            }
        }
    }
}

/// Up to here all whole numbers are kept as they are.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number with more digits than a [`Value::Number`] keeps, as the text that it is written as.
fn too_exact(json: &str) -> Option<Value> {
    if json.len() < 16 || !crate::scan::is_whole(json) {
        return None;
    }
    let number: f64 = json.parse().ok()?;
    (number.is_finite() && plain_number(number) != json).then(|| Value::Text(json.to_owned()))
}

/// A number without a trailing `.0`: `72`, `0.5`.
pub fn plain_number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 9e15 { format!("{}", number as i64) } else { format!("{number}") }
}

impl fmt::Display for Value {
    /// For people: text without quotes, null as a dash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("–"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(number) => f.write_str(&plain_number(*number)),
            Self::Text(text) => f.write_str(text),
            Self::Date(day) => write!(f, "{day}"),
            Self::Time(time) => write!(f, "{time}"),
            Self::List(_) | Self::Map(_) => write!(f, "{}", self.to_json()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Null }
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_that_would_lose_digits_is_an_id() {
        let text = |digits: &str| Some(Value::Text(digits.to_owned()));
        for id in ["9007199254740993", "-9007199254740993", "18446744073709551615", "36893488147419103231"] {
            assert_eq!(Value::parse(id), text(id));
        }
        for (number, value) in
            [("9007199254740992", 9_007_199_254_740_992.0), ("100000000000000000000", 1e20), ("1.5", 1.5)]
        {
            assert_eq!(Value::parse(number), Some(Value::Number(value)), "{number}");
            assert_eq!(Value::Number(value).as_key().as_deref(), Some(number), "either way the key is the same");
        }
        assert_eq!(Value::parse("[9007199254740993]"), text("9007199254740993").map(|id| Value::List(vec![id])));
        for none in ["1e400", "[-1e400]", &"9".repeat(400), r#""\ud800""#, "nobody"] {
            assert_eq!(Value::parse(none), None, "{none}");
        }
    }
}
