//! Random histories: what is said, by whom, when, how often, and to which source.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// 2026-02-20T00:00:00Z: clocks change within the next 100 days in Brussels and New York.
pub const START: i64 = 1_771_545_600_000;
pub const DAYS: i64 = 100;
pub const DAY_MS: i64 = 86_400_000;
pub const SOURCES: [&str; 2] = ["web", "app"];

/// One call as it was said; its copies differ in when they were received.
#[derive(Debug, Clone)]
pub struct Call {
    pub source: usize,
    pub kind: &'static str,
    pub user: Option<String>,
    pub device: Option<String>,
    pub account: Option<String>,
    /// Where a track, page or screen states its account.
    pub by_property: bool,
    /// The event, a page's or screen's name; of an alias the previous id; empty for none.
    pub name: String,
    pub size: i64,
    pub traits: Value,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Of each copy: milliseconds from the event to its receipt; none: it doesn't say.
    pub lags: Vec<Option<i64>>,
    pub has_id: bool,
}

/// One line with its source.
pub type Line = (usize, String);

pub fn iso(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

impl Call {
    pub fn is_event(&self) -> bool {
        matches!(self.kind, "track" | "page" | "screen")
    }

    fn line(&self, number: usize, lag: Option<i64>) -> String {
        let mut call = Map::new();
        let mut put = |name: &str, value: Value| call.insert(name.to_owned(), value);
        put("type", self.kind.into());
        if self.has_id || !self.is_event() {
            // Both sources use the same ids, for different calls.
            put("messageId", format!("m{}", number / 2).into());
        }
        self.user.iter().for_each(|user| drop(put("userId", user.clone().into())));
        self.device.iter().for_each(|device| drop(put("anonymousId", device.clone().into())));
        put("timestamp", iso(self.at).into());
        lag.into_iter().for_each(|lag| drop(put("receivedAt", iso(self.at + lag).into())));
        match self.kind {
            "alias" => drop(put("previousId", self.name.clone().into())),
            "group" => {
                put("groupId", self.account.clone().unwrap().into());
                put("traits", self.traits.clone());
            }
            "identify" => drop(put("traits", self.traits.clone())),
            kind => {
                if !self.name.is_empty() {
                    put(if kind == "track" { "event" } else { "name" }, self.name.clone().into());
                }
                let mut properties = json!({"size": self.size});
                match &self.account {
                    Some(account) if self.by_property => properties["org"] = account.clone().into(),
                    Some(account) => drop(put("context", json!({"groupId": account}))),
                    None => {}
                }
                put("properties", properties);
            }
        }
        Value::Object(call).to_string()
    }
}

/// Every copy of every call, its number apart in its source.
pub fn lines(calls: &[Call]) -> Vec<Line> {
    let copies = calls.iter().enumerate().flat_map(|(number, call)| {
        // An even number for one source, the next odd one for the other: the same messageId.
        let number = number * 2 + call.source;
        call.lags.iter().map(move |lag| (call.source, call.line(number, *lag)))
    });
    copies.collect()
}

fn lags(undated: bool) -> impl Strategy<Value = Vec<Option<i64>>> {
    let lag = prop_oneof![
        5 => 0..5_000i64,
        2 => (0..20i64, 0..DAY_MS).prop_map(|(days, rest)| days * DAY_MS + rest),
        1 => (20..60i64).prop_map(|days| days * DAY_MS),
    ];
    let more = prop::collection::vec(prop_oneof![0..12 * DAY_MS, 0..2 * DAY_MS, Just(0)], 0..4);
    (lag, prop_oneof![3 => Just(Vec::new()), 2 => more], prop::bool::weighted(if undated { 0.2 } else { 0.0 }))
        .prop_map(|(first, steps, without)| {
            let mut at = first;
            let mut all = vec![Some(first).filter(|_| !without)];
            for step in steps {
                at += step;
                all.push(Some(at));
            }
            all
        })
}

/// A call, among some accounts and some more users than that.
pub fn call(accounts: usize, users: usize, undated: bool) -> impl Strategy<Value = Call> {
    let kind = prop_oneof![12 => Just("track"), 2 => Just("page"), 1 => Just("screen"), 2 => Just("identify"), 3 => Just("group"), 1 => Just("alias")];
    let who = (0..3u8, 0..users, 0..users.min(6));
    let when =
        (0..DAYS, prop_oneof![3 => 0..DAY_MS, 1 => prop::sample::select(&[0, DAY_MS - 1, 3_600_000, 79_200_000][..])]);
    let said = (0..8u8, 0..6i64, 0..9u8, any::<bool>());
    let account = prop_oneof![3 => (0..accounts).prop_map(Some), 2 => Just(None)];
    (0..SOURCES.len(), kind, who, account, when, said, lags(undated), prop::bool::weighted(0.9)).prop_map(
        move |(
            source,
            kind,
            (ids, user, device),
            account,
            (day, ms),
            (name, size, traits, by_property),
            lags,
            has_id,
        )| {
            let name = match kind {
                "track" => ["Core", "Core", "Core", "Minor", "Minor", "Other Thing", "Rare", "Core"][usize::from(name)],
                "page" | "screen" => ["", "", "Home", "Home", "", "Core", "", "Pricing"][usize::from(name)],
                _ => "",
            };
            let previous = [format!("u{}", (user + 1) % users), format!("d{device}"), "same".to_owned()];
            let traits = match traits {
                0 | 1 => json!({}),
                2 | 3 => json!({"ready": true, "name": format!("N{size}")}),
                4 => json!({"ready": false}),
                5 => json!({"ready": null, "seats": size}),
                6 => json!({"createdAt": iso(START + size * 40 * DAY_MS), "plan": "pro"}),
                7 => json!({"name": null, "plan": "free"}),
                _ => json!({"deep": {"a": [size, null]}, "ready": ""}),
            };
            Call {
                source,
                kind,
                user: (ids != 1).then(|| if user == 3 { "same".to_owned() } else { format!("u{user}") }),
                device: (ids != 0).then(|| if device == 2 { "same".to_owned() } else { format!("d{device}") }),
                account: account.or((kind == "group").then_some(0)).map(|account| format!("acc{account}")),
                by_property,
                name: if kind == "alias" { previous[day as usize % 3].clone() } else { name.to_owned() },
                size,
                traits,
                at: START + day * DAY_MS + ms,
                lags,
                has_id,
            }
        },
    )
}
