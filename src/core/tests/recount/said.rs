//! Random calls, and the lines that say them.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::setup::*;

/// One call, by numbers.
#[derive(Clone)]
pub struct Said {
    kind: &'static str,
    who: (Option<u8>, Option<u8>),
    account: Option<u8>,
    event: u8,
    traits: u8,
    day: i64,
    /// Milliseconds of the UTC day.
    moment: i64,
    /// Milliseconds from when it happened until it was received; negative: its clock was ahead, and it is clamped.
    lag: i64,
    salt: u8,
    has_id: bool,
    /// How often it is said, each time with an id of its own.
    times: usize,
    /// Where each of its copies stands: in which batch, and in what order within.
    pub reads: Vec<Spot>,
}

/// A place in the reading: batch, then order within.
pub type Spot = (usize, u16);

/// How many batches there are.
pub const BATCHES: usize = 4;

impl fmt::Debug for Said {
    /// As JSON, so that a failing history can be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in batches {:?}", self.line(0), self.reads)
    }
}

/// Moments at the edges of days in both zones, and often equal, but never in the last second of a day.
const MOMENTS: [i64; 9] = [
    0,
    1_000,
    32_400_000,
    43_200_500,
    DAY_MS - 7_201_000,
    DAY_MS - 7_200_000,
    DAY_MS - 3_601_000,
    DAY_MS - 3_600_000,
    DAY_MS - 1_000,
];

pub fn said() -> impl Strategy<Value = Said> {
    let kind = prop_oneof![
        12 => Just("track"),
        2 => Just("page"),
        1 => Just("screen"),
        3 => Just("identify"),
        3 => Just("group"),
        1 => Just("alias"),
    ];
    let who = prop_oneof![
        4 => (0..5u8).prop_map(|user| (Some(user), None)),
        3 => (0..4u8).prop_map(|device| (None, Some(device))),
        2 => (0..5u8, 0..4u8).prop_map(|(user, device)| (Some(user), Some(device))),
    ];
    let account = prop_oneof![3 => (0..14u8).prop_map(Some), 2 => Just(None)];
    let moment = prop_oneof![3 => select(&MOMENTS[..]), 1 => (0..1440i64).prop_map(|minute| minute * 60_000)];
    // Some days have much on them: the last of a quarter and the first of the next, a Sunday and a Monday.
    let day = prop_oneof![3 => 0..DAYS, 1 => select(&[0, 60, 85, 86, 97, 98, 130][..])];
    let lag = prop_oneof![
        5 => Just(0),
        2 => Just(90_000),
        2 => (1..40i64).prop_map(|days| days * DAY_MS),
        1 => (1..10i64).prop_map(|days| -days * DAY_MS),
    ];
    let rest = (
        any::<u8>(),
        any::<u8>(),
        any::<u8>(),
        (prop::bool::weighted(0.9), prop_oneof![4 => Just(1), 1 => 2..5usize]),
        prop::collection::vec((0..BATCHES, any::<u16>()), 1..4),
    );
    (kind, who, account, day, moment, lag, rest).prop_map(
        |(kind, who, account, day, moment, lag, (event, traits, salt, (has_id, times), reads))| Said {
            kind,
            who,
            account,
            event,
            traits,
            day,
            moment,
            lag,
            salt,
            has_id,
            times,
            reads,
        },
    )
}

impl Said {
    /// The same with few accounts.
    pub fn in_few_accounts(self) -> Self {
        Self { account: self.account.map(|account| account % 4), ..self }
    }

    /// The same as often as it is said, in batch after batch.
    pub fn often(&self) -> Vec<Self> {
        let moved = |by| self.reads.iter().map(|(batch, order)| ((batch + by) % BATCHES, *order)).collect();
        (0..self.times).map(|by| Self { reads: moved(by), ..self.clone() }).collect()
    }

    /// When it counts, after clamping.
    pub fn time(&self) -> i64 {
        START + self.day * DAY_MS + self.moment + self.lag.min(0)
    }

    pub fn is_event(&self) -> bool {
        matches!(self.kind, "track" | "page" | "screen")
    }

    /// The call as a line of JSON; `index` keeps its messageId apart from all others.
    pub fn line(&self, index: usize) -> String {
        let happened = START + self.day * DAY_MS + self.moment;
        let iso =
            |ms: i64| chrono::DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let mut call = Map::new();
        call.insert("type".into(), self.kind.into());
        // Statements always have an id: without, the model file doesn't say which of two at the same time is the later.
        if self.has_id || !self.is_event() || (self.who.0.is_some() && self.who.1.is_some()) {
            call.insert("messageId".into(), format!("m{:03}-{index}", self.salt).into());
        }
        // Id 4 is a user and, as 3, a device of the same name; some users are numbers.
        let user = |user: u8| match user {
            4 => json!("same"),
            3 => json!(7),
            _ => json!(format!("u{user}")),
        };
        let device = |device: u8| if device == 3 { json!("same") } else { json!(format!("d{device}")) };
        if let Some(id) = self.who.0 {
            call.insert("userId".into(), user(id));
        }
        if let Some(id) = self.who.1 {
            call.insert("anonymousId".into(), device(id));
        }
        let account = |account: u8| Value::from(format!("acc{account}"));
        match self.kind {
            "group" => {
                call.insert("groupId".into(), account(self.account.unwrap_or(0)));
                if let Some(traits) = account_traits(self.traits) {
                    call.insert("traits".into(), traits);
                }
            }
            "identify" => {
                call.insert("traits".into(), user_traits(self.traits));
            }
            "alias" => {
                let previous = self.traits % 9;
                let previous = if previous < 5 { user(previous) } else { device(previous - 5) };
                call.insert("previousId".into(), previous);
            }
            kind => {
                let name = if kind == "track" { "event" } else { "name" };
                if kind == "track" {
                    call.insert(name.into(), format!("E{}", self.event % 6).into());
                } else if self.event.is_multiple_of(3) {
                    call.insert(name.into(), "Home".into());
                }
                match self.salt % 3 {
                    0 => call.insert("properties".into(), json!({"kind": "x"})),
                    1 => call.insert("properties".into(), json!({"kind": "y"})),
                    _ => None,
                };
                if let Some(id) = self.account {
                    call.insert("context".into(), json!({ "groupId": account(id) }));
                }
            }
        }
        call.insert("timestamp".into(), iso(happened).into());
        call.insert("receivedAt".into(), iso(happened + self.lag).into());
        Value::Object(call).to_string()
    }
}

fn account_traits(pick: u8) -> Option<Value> {
    Some(match pick % 25 {
        0 => return None,
        1 => json!({}),
        2 | 3 => json!({"plan": "pro"}),
        4 => json!({"plan": "free"}),
        5 => json!({"plan": null}),
        6 => json!({"plan": "pro", "seats": 5, "createdAt": "2025-11-03"}),
        7 => json!({"createdAt": if pick < 128 { "2026-02-01T23:30:00Z" } else { "2036-02-01" }}),
        8 => json!({"created_at": 1_767_225_600}),
        9 => json!({"up": "acc2"}),
        10 => json!({"up": "acc3", "plan": "pro"}),
        11 => json!({"up": "acc0"}),
        12 => json!({"up": "top"}),
        13 => json!({"up": null}),
        14 => json!({"seats": 12, "pulse": "green"}),
        15 => json!({"seats": 0, "pulse": "red"}),
        16 => json!({"seats": "many", "pulse": 3}),
        17 => json!({"seats": null, "pulse": null}),
        18 | 19 => json!({"pulse": "yellow"}),
        20 => json!({"gone": "2026-03-20"}),
        21 => json!({"gone": null}),
        22 => json!({"seats": 40}),
        _ => json!({"plan": "", "createdAt": "soon", "ready": true}),
    })
}

fn user_traits(pick: u8) -> Value {
    match pick % 12 {
        0 => json!({}),
        1 | 2 => json!({"ready": true}),
        3 => json!({"ready": false}),
        4 => json!({"ready": null, "role": "admin"}),
        5 => json!({"ready": "", "role": null}),
        6 => json!({"nps": 3}),
        7 => json!({"nps": "good"}),
        8 => json!({"nps": null, "ready": true}),
        9 => json!({"nps": 12}),
        10 => json!({"nps": 7}),
        _ => json!({"ready": 0, "nps": 9}),
    }
}
