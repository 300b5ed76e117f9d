//! What the tests of this crate share: a connector from its section as JSON, and a sample alert.

use serde_json::Value as Json;
use vitalsync_cases::NOW;
use vitalsync_core::alert::{Alert, What};
use vitalsync_core::{Connector, Day};

/// The connector of a section, or its faults, one line each.
pub fn read(section: &Json) -> Result<Box<dyn Connector>, String> {
    vitalsync_cases::read(&vitalsync_slack::SLACK, section)
}

/// The config of the cases.
pub fn config() -> Json {
    serde_json::json!({
        "type": "slack",
        "token": "t",
        "alerts": { "score_drop": { "drop": 15, "for": "traits.plan == \"team\"", "to": "#cs-alerts" } },
    })
}

/// An alert with everything in it.
pub fn alert() -> Alert {
    Alert {
        occasion: "0a1b".into(),
        rule: "score_drop".into(),
        account: "acme".into(),
        user: None,
        name: "Acme & Söhne <!channel>".into(),
        to: "#cs-alerts".into(),
        fallback: None,
        reply_to: None,
        severity: 123.0,
        body: None,
        links: Vec::new(),
        what: What::Moved { from_score: 63.2, from_day: Day(20_670), threshold: 15.0, within_days: 7 },
        score: Some(39.6),
        band: Some("at_risk".into()),
        reasons: vec!["Report Shared: 2, was 14".into(), "3 of 5 users stopped\n> quoted".into()],
        last_active: Some(NOW.plus_ms(-9 * 86_400_000)),
        at: NOW,
    }
}
