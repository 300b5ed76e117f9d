//! A call as it was told: the recount's own reading of a line.

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use serde_json::{Map, Value};

/// One call, as told.
#[derive(Debug, Clone)]
pub struct Told {
    pub kind: String,
    pub message: String,
    pub user: Option<String>,
    pub device: Option<String>,
    pub previous: Option<String>,
    pub account: Option<String>,
    pub event: String,
    pub time: i64,
    pub day: NaiveDate,
    pub received: NaiveDate,
    pub kind_property: Value,
    pub traits: Map<String, Value>,
    /// The person behind the actor on the call's day.
    pub person: String,
}

impl Told {
    pub fn read(line: &str, zone: Tz) -> Self {
        let json: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let moment =
            |name: &str| DateTime::parse_from_rfc3339(json[name].as_str().unwrap()).unwrap().timestamp_millis();
        let kind = json["type"].as_str().unwrap().to_owned();
        let name = if kind == "track" { &json["event"] } else { &json["name"] };
        let unnamed = if kind == "screen" { "Screen Viewed" } else { "Page Viewed" };
        let time = moment("timestamp").min(moment("receivedAt"));
        Self {
            message: text(&json["messageId"]).unwrap_or_default(),
            user: text(&json["userId"]),
            device: text(&json["anonymousId"]),
            previous: text(&json["previousId"]),
            account: if kind == "group" { text(&json["groupId"]) } else { text(&json["context"]["groupId"]) },
            event: text(name).unwrap_or_else(|| unnamed.to_owned()),
            time,
            day: day(time, zone),
            received: day(moment("receivedAt"), zone),
            kind_property: json["properties"]["kind"].clone(),
            traits: json["traits"].as_object().cloned().unwrap_or_default(),
            kind,
            person: String::new(),
        }
    }

    pub fn is_event(&self) -> bool {
        matches!(self.kind.as_str(), "track" | "page" | "screen")
    }

    /// Who acted: `u` and a userId, else `a` and an anonymousId.
    pub fn actor(&self) -> String {
        match (&self.user, &self.device) {
            (Some(user), _) => format!("u{user}"),
            (None, device) => format!("a{}", device.as_deref().unwrap()),
        }
    }

    pub fn when(&self) -> (i64, &str) {
        (self.time, &self.message)
    }
}

pub fn day(time: i64, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp_millis(time).unwrap().with_timezone(&zone).date_naive()
}
