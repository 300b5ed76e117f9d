//! One Intercom workspace: routing, tokens, rate windows and the shape of errors.
//!
//! Deliberately not here: segments, the preview version's bulk endpoints, OAuth.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::{Answer, Call, hash, uuid};
use crate::limits::{Fixed, Limits};

mod attributes;
mod companies;
mod contacts;
mod open;
mod tags;

/// A contact as Intercom holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contact {
    /// Intercom's id.
    pub id: String,
    /// The customer's own id; empty if there is none.
    pub external_id: String,
    /// The email; empty if there is none.
    pub email: String,
    /// The name; empty if there is none.
    pub name: String,
    /// The custom attributes that are not null.
    pub custom_attributes: BTreeMap<String, Value>,
    /// The names of the tags, in the order in which they were put on.
    pub tags: Vec<String>,
}

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    pub link: Option<String>,
}

impl Problem {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), link: None }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "parameter_invalid", message)
    }

    pub fn no_contact() -> Self {
        Self::new(404, "not_found", "User Not Found")
    }

    pub fn nothing() -> Self {
        Self::new(404, "not_found", "Resource Not Found")
    }

    fn answer(self, request_id: &str) -> Answer {
        let body = json!({"type": "error.list", "request_id": request_id,
            "errors": [{"code": self.code, "message": self.message}]});
        let answer = Answer::json(self.status, &body).note(self.message);
        match self.link {
            Some(link) => answer.header("Link", link),
            None => answer,
        }
    }
}

pub(super) type Outcome<T> = Result<T, Problem>;

pub(crate) struct Intercom {
    app: String,
    contacts: BTreeMap<String, contacts::Record>,
    /// External id of a user → Intercom's id; merged and archived ones included.
    by_external_id: BTreeMap<String, String>,
    companies: BTreeMap<String, companies::Record>,
    tags: BTreeMap<String, String>,
    attributes: Vec<attributes::Attribute>,
    /// `tickets` and `conversations`.
    open: BTreeMap<String, Vec<open::Thing>>,
    window: Fixed,
    lag_ms: i64,
    made: u64,
    requests: u64,
}

impl Intercom {
    pub fn new(token: &str) -> Self {
        Self {
            app: format!("{:08x}", hash(token) as u32),
            contacts: BTreeMap::new(),
            by_external_id: BTreeMap::new(),
            companies: BTreeMap::new(),
            tags: BTreeMap::new(),
            attributes: vec![],
            open: BTreeMap::new(),
            window: Fixed::new(1666, 10_000),
            lag_ms: 0,
            made: 0,
            requests: 0,
        }
    }

    pub fn set_limits(&mut self, limits: &Limits) {
        self.window.max = limits.per_window.unwrap_or(self.window.max);
        self.lag_ms = limits.index_lag_ms.unwrap_or(self.lag_ms);
    }

    pub fn handle(&mut self, call: &Call, token: &str) -> Answer {
        self.requests += 1;
        let request_id = uuid(self.requests);
        if call.bearer() != Some(token) {
            return Problem::new(401, "unauthorized", "Access Token Invalid").answer(&request_id);
        }
        let taken = self.window.take(call.now);
        let (left, answer) = match taken {
            Ok(left) => (left, self.route(call).unwrap_or_else(|problem| problem.answer(&request_id))),
            Err(left) => {
                let message = format!("Exceeded rate limit of {} in 10_seconds", self.window.max);
                (left, Problem::new(429, "rate_limit_exceeded", message).answer(&request_id))
            }
        };
        let mut answer = answer
            .header("X-RateLimit-Limit", self.window.max)
            .header("X-RateLimit-Remaining", left)
            .header("X-RateLimit-Reset", self.window.resets_at(call.now) / 1000);
        let version = call.header("intercom-version");
        if let Some(version) = version {
            answer = answer.header("Intercom-Version", version);
        }
        let note = format!("{} (version {})", answer.note, version.unwrap_or("not pinned"));
        answer.note(note.trim_start().to_owned())
    }

    fn route(&mut self, call: &Call) -> Outcome<Answer> {
        let parts: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method, parts.as_slice()) {
            ("GET", ["me"]) => Ok(Answer::json(200, &self.me())),
            (_, ["contacts", _, "tags", ..]) => tags::on_contact(self, call, &parts[1..]),
            (_, ["contacts", _, "companies", ..]) => companies::of_contact(self, call, &parts[1..]),
            (_, ["contacts", rest @ ..]) => contacts::route(self, call, rest),
            (_, ["data_attributes", rest @ ..]) => attributes::route(self, call, rest),
            ("POST", [list @ ("tickets" | "conversations"), "search"]) => open::search(self, list, call),
            (_, ["tags", rest @ ..]) => tags::route(self, call, rest),
            (_, ["companies", rest @ ..]) => companies::route(self, call, rest),
            _ => Err(Problem::nothing()),
        }
    }

    fn me(&self) -> Value {
        json!({"type": "admin", "id": "991267459", "email": "admin@example.com", "name": "Sandbox Admin",
            "email_verified": true, "has_inbox_seat": true,
            "avatar": {"type": "avatar", "image_url": null},
            "app": {"type": "app", "id_code": self.app, "name": "Sandbox", "created_at": 1_700_000_000,
                "secure": false, "identity_verification": false, "timezone": "UTC", "region": "US"}})
    }

    /// The next id in Intercom's form: 24 hexadecimal digits.
    fn next_id(&mut self) -> String {
        self.made += 1;
        format!("6762f0dd1bb69f9f{:08x}", 0x2193_0000 + self.made)
    }

    pub fn contacts(&self) -> Vec<Contact> {
        let live = self.contacts.values().filter(|record| !record.archived && record.merged_into.is_none());
        live.map(|record| self.shown(record)).collect()
    }

    fn shown(&self, record: &contacts::Record) -> Contact {
        let name = |tag: &String| self.tags.get(tag).cloned().unwrap_or_default();
        Contact {
            id: record.id.clone(),
            external_id: record.external_id.clone().unwrap_or_default(),
            email: record.email.clone().unwrap_or_default(),
            name: record.name.clone().unwrap_or_default(),
            custom_attributes: record.custom.clone(),
            tags: record.tags.iter().map(|(tag, _)| name(tag)).collect(),
        }
    }

    pub fn state(&self) -> Value {
        let contact = |record: &contacts::Record| {
            let mut shown = json!(self.shown(record));
            shown["role"] = json!(record.role);
            shown["archived"] = json!(record.archived);
            shown["merged_into"] = json!(record.merged_into);
            shown["companies"] = json!(record.companies);
            shown
        };
        let company = |record: &companies::Record| {
            let tags: Vec<_> = record.tags.iter().filter_map(|tag| self.tags.get(tag)).collect();
            json!({"id": record.id, "company_id": record.company_id, "fields": record.fields,
                "custom_attributes": record.custom, "tags": tags})
        };
        json!({"vendor": "intercom", "app": self.app,
            "contacts": self.contacts.values().map(contact).collect::<Vec<_>>(),
            "companies": self.companies.values().map(company).collect::<Vec<_>>(),
            "tags": self.tags, "data_attributes": attributes::list(self, None, true)})
    }

    /// `data_attributes`, `companies` and `contacts`, each as Intercom's API takes it for creation; `tickets` and
    /// `conversations` (`contacts`, `open`; with an `id`: opened or closed).
    pub fn seed(&mut self, wanted: &Value, now: i64) -> Result<Value, String> {
        let list = |key: &str| wanted[key].as_array().cloned().unwrap_or_default();
        for attribute in list("data_attributes") {
            attributes::create(self, &attribute, now).map_err(|problem| problem.message)?;
        }
        let mut ids = json!({});
        let (mut companies, mut contacts) = (vec![], vec![]);
        for company in list("companies") {
            companies.push(companies::upsert(self, &company, now).map_err(|problem| problem.message)?);
        }
        for contact in list("contacts") {
            contacts.push(contacts::create(self, &contact, now).map_err(|problem| problem.message)?);
        }
        for kind in ["tickets", "conversations"] {
            for thing in list(kind) {
                let made = open::seed(self, kind, &thing)?;
                ids[kind]
                    .as_array_mut()
                    .map(|ids| ids.push(made.clone().into()))
                    .unwrap_or_else(|| ids[kind] = json!([made]));
            }
        }
        for (key, made) in [("companies", companies), ("contacts", contacts)] {
            if !made.is_empty() {
                ids[key] = json!(made);
            }
        }
        Ok(ids)
    }
}

/// The body as a JSON object that has no other keys than these.
pub(super) fn body(call: &Call, known: &[&str]) -> Outcome<Map<String, Value>> {
    let Ok(Value::Object(body)) = call.json() else {
        return Err(Problem::new(400, "client_error", "The request body is not a JSON object"));
    };
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Problem::new(400, "bad_request", format!("bad '{key}' parameter"))),
        None => Ok(body),
    }
}

/// An id, which Intercom takes as text or as a number.
pub(super) fn id_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
