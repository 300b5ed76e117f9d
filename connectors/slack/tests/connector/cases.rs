//! Conversations as text: `op` one operation (what is left out has its default), `<` a reply, `>` and `=` the steps that must
//! follow.

use std::path::Path;

use serde_json::{Value as Json, json};
use vitalsync_cases::{conversation, hold, shown};
use vitalsync_core::connector::Operation;

use crate::support;

fn operation(text: &str) -> Operation {
    let mut json = json!({
        "mode": "once", "batch_key": "alert", "title": "post alert score_drop", "subject": "acme",
        "remote_id": null, "keys": [], "create": null, "fields": {
            "channel": {"old": "null", "new": {"text": "#cs-alerts"}},
            "text": {"old": "null", "new": {"text": "t"}},
            "blocks": {"old": "null", "new": {"text": "[]"}},
        }, "needs": [], "refs": {},
    });
    let given: serde_json::Map<String, Json> = serde_json::from_str(text).expect("an operation as JSON");
    json.as_object_mut().expect("an object").extend(given);
    serde_json::from_value(json).expect("an operation")
}

#[test]
fn every_case_is_answered_as_written() {
    let connector = support::read(&support::config()).expect("a config");
    hold(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"), 15, |written| {
        let operations: Vec<_> = written.lines().filter_map(|line| line.strip_prefix("op ")).map(operation).collect();
        conversation(&*connector, &operations, written, shown)
    });
}
