//! An address that takes webhooks: the receiver that a careful customer would write.
//!
//! It keeps the newest message of each record by its sequence number, drops what comes twice by its `Idempotency-Key`, and
//! refuses what it was told to refuse, one by one or as a whole. Deliberately not here: checking signatures, which needs
//! cryptography; the headers are kept, so that a test can.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::http::{Answer, Call};

/// Headers that are not worth keeping.
const TRANSPORT: [&str; 7] =
    ["accept", "accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"];

#[derive(Default)]
pub(crate) struct Webhook {
    /// Requests that were taken.
    taken: Vec<Value>,
    keys: BTreeSet<String>,
    /// The keys of requests that came again, as often as they did.
    repeats: Vec<String>,
    /// The newest message of each record that names itself by `type` and `id`.
    records: BTreeMap<String, Value>,
    /// Ids that are refused, and why.
    refuse: BTreeMap<String, String>,
    /// True: a list with one refused record is refused as a whole.
    whole: bool,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn refused(status: u16, error: &str) -> Answer {
    Answer::json(status, &json!({ "error": error })).note(error)
}

impl Webhook {
    pub fn handle(&mut self, call: &Call, token: &str) -> Answer {
        if call.segments != ["hooks", token] {
            return refused(404, "no such address");
        }
        if !matches!(call.method, "POST" | "PUT") {
            return refused(405, "only POST and PUT");
        }
        if call.header("content-type") != Some("application/json") {
            return refused(415, "only application/json");
        }
        let body = match call.json() {
            Ok(body) => body,
            Err(error) => return refused(400, &format!("not JSON: {error}")),
        };
        let Some(key) = call.header("idempotency-key") else { return refused(400, "no Idempotency-Key") };
        if self.keys.contains(key) {
            self.repeats.push(key.to_owned());
            return Answer::json(200, &json!({})).note("a repeat, dropped");
        }
        let listed = body.as_array();
        let messages: Vec<Value> = listed.cloned().unwrap_or_else(|| vec![body.clone()]);
        let why = |message: &Value| self.refuse.get(&text(message, "id")).cloned();
        match messages.iter().find_map(why) {
            Some(why) if listed.is_none() => return refused(422, &why),
            Some(_) if self.whole => return refused(422, "a record of the list is not valid"),
            _ => {}
        }
        let results: Vec<Value> = messages
            .iter()
            .map(|message| match why(message) {
                None => json!({ "id": message["id"], "ok": true }),
                Some(why) => json!({ "id": message["id"], "ok": false, "error": why }),
            })
            .collect();
        for (message, result) in messages.into_iter().zip(&results) {
            if result["ok"] == true {
                self.keep(message);
            }
        }
        let headers: BTreeMap<String, &String> = call
            .request
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .filter(|(name, _)| !TRANSPORT.contains(&name.as_str()))
            .collect();
        self.taken.push(json!({
            "method": call.method, "headers": headers, "text": String::from_utf8_lossy(&call.request.body),
        }));
        self.keys.insert(key.to_owned());
        match listed {
            None => Answer::empty(204),
            Some(_) => Answer::json(200, &json!({ "results": results })),
        }
    }

    fn keep(&mut self, message: Value) {
        let record = format!("{}/{}", text(&message, "type"), text(&message, "id"));
        let sequence = |message: &Value| message["sequence"].as_f64().unwrap_or_default();
        if self.records.get(&record).is_none_or(|kept| sequence(kept) <= sequence(&message)) {
            self.records.insert(record, message);
        }
    }

    pub fn state(&self) -> Value {
        json!({ "taken": self.taken, "repeats": self.repeats, "records": self.records })
    }

    /// `{"refuse": {"acme": "no such account"}, "refuse_whole": true}`.
    pub fn seed(&mut self, wanted: &Value) -> Result<Value, String> {
        for (id, why) in wanted["refuse"].as_object().into_iter().flatten() {
            let why = why.as_str().ok_or("refuse: expected a reason in words")?;
            self.refuse.insert(id.clone(), why.to_owned());
        }
        self.whole = wanted["refuse_whole"].as_bool().unwrap_or(self.whole);
        Ok(json!({}))
    }

    /// The messages by record, for the page.
    pub fn records(&self) -> &BTreeMap<String, Value> {
        &self.records
    }
}
