//! What moved an account's score between two days, in parts that add up.

use serde::{Deserialize, Serialize};
use vitalsync_core::attribution::{Kind, Way};

/// What moved a score between two days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributionReport {
    /// The account's id.
    pub account: String,
    /// The profile.
    pub profile: String,
    /// The first day.
    pub from: String,
    /// The second day.
    pub to: String,
    /// True if the first day's score is what was said then; else it is computed from what was received by then.
    pub from_stored: bool,
    /// True if the second day's score is what was said then.
    pub to_stored: bool,
    /// The first day's score, 1–100, unrounded.
    pub score_from: f64,
    /// The second day's.
    pub score_to: f64,
    /// The change in points, to the millionth: the sum of the parts.
    pub change: f64,
    /// The change in millionths of a point.
    pub change_micro: i64,
    /// What it is made of, none of it 0.
    pub parts: Vec<AttributedPart>,
    /// What the parts can't tell.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// A part of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributedPart {
    /// Whose doing it is.
    pub kind: Kind,
    /// The event, for one.
    pub name: Option<String>,
    /// In words.
    pub said: String,
    /// Points of score, to the millionth.
    pub points: f64,
    /// Millionths of a point.
    pub micro: i64,
}

/// Points of millionths. A number of so few digits prints as it is.
pub fn points(micro: i64) -> f64 {
    micro as f64 / 1e6
}

impl AttributedPart {
    /// The parts of a way; `label`: what an event is called in words.
    pub fn all(way: &Way, label: impl Fn(&str) -> String) -> Vec<Self> {
        let parts = way.parts().into_iter().map(|part| {
            let event = part.event.and_then(|place| way.events.get(place));
            let said = match (part.kind, event) {
                (Kind::Event, Some(event)) => {
                    let less = if event.now < event.before { "less" } else { "more" };
                    format!("{less} {}: {} → {} in the window", label(&event.event), event.before, event.now)
                }
                (Kind::Event, None) => "use".into(),
                (Kind::Late, _) => "data that came late".into(),
                (Kind::Size, _) => "the account's size, which the score is divided by".into(),
                (Kind::Component, _) => "what the score is made of beside use".into(),
                (Kind::Benchmark, _) => {
                    format!("the benchmark: {:.1} → {:.1} points count as 100", way.ruler.benchmark, way.next.benchmark)
                }
                (Kind::Config, _) => "the profile was edited".into(),
                (Kind::Identity, _) => "who belongs to the account, and what was erased or made small".into(),
            };
            let name = event.map(|event| event.event.clone());
            Self { kind: part.kind, name, said, points: points(part.micro), micro: part.micro }
        });
        parts.collect()
    }
}
