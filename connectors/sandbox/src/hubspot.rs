//! One HubSpot account: routing, tokens, rate limits and the shape of errors.
//!
//! Both forms of path are served: `/crm/v3/objects/companies` and `/crm/objects/2026-09/companies`. Deliberately not
//! here: lists, pipelines, validation rules.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use vitalsync_core::Timestamp;

use crate::http::{Answer, Call, hash, uuid};
use crate::limits::{Fixed, Limits, Rolling};

mod associations;
mod batch;
mod oauth;
mod objects;
mod owners;
mod schema;
mod search;
mod store;
mod values;

use associations::{Associations, Way};
use store::ObjectType;

/// A company as HubSpot holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Company {
    /// The record id.
    pub id: String,
    /// The properties that are not empty.
    pub properties: BTreeMap<String, String>,
}

/// How a path's version behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// v3 and 2026-03: partial failure is 207.
    MultiStatus,
    /// 2026-09: partial failure is 200 with `numErrors` and `errors`.
    Plain,
}

/// A refusal: of a whole request, or of one input of a batch.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub status: u16,
    pub category: &'static str,
    pub message: String,
    pub errors: Vec<Value>,
    pub context: Map<String, Value>,
}

impl Problem {
    pub fn new(status: u16, category: &'static str, message: impl Into<String>) -> Self {
        Self { status, category, message: message.into(), errors: vec![], context: Map::new() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "OBJECT_NOT_FOUND", message)
    }

    pub fn with(mut self, key: &str, values: Vec<String>) -> Self {
        self.context.insert(key.to_owned(), json!(values));
        self
    }

    /// As one of a batch's `errors`.
    pub fn item(self) -> Value {
        json!({"status": "error", "category": self.category, "message": self.message,
            "context": self.context, "errors": self.errors, "links": {}})
    }

    fn answer(self, correlation: &str) -> Answer {
        let note = self.message.clone();
        let mut body = json!({"status": "error", "message": self.message, "correlationId": correlation,
            "category": self.category});
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        if !self.context.is_empty() {
            body["context"] = json!(self.context);
        }
        Answer::json(self.status, &body).note(note)
    }
}

pub(super) type Outcome<T> = Result<T, Problem>;

pub(crate) struct HubSpot {
    portal: u64,
    companies: ObjectType,
    contacts: ObjectType,
    associations: Associations,
    rolling: Rolling,
    searches: Rolling,
    daily: Fixed,
    lag_ms: i64,
    oauth: oauth::OAuth,
    owners: Vec<Value>,
    requests: u64,
}

const DAY_MS: i64 = 86_400_000;

impl HubSpot {
    pub fn new(token: &str) -> Self {
        Self {
            portal: 140_000_000 + hash(token) % 9_999_999,
            companies: ObjectType::companies(),
            contacts: ObjectType::contacts(),
            associations: Associations::default(),
            rolling: Rolling::new(100, 10_000),
            searches: Rolling::new(5, 1000),
            daily: Fixed::new(250_000, DAY_MS),
            lag_ms: 0,
            oauth: oauth::OAuth::default(),
            owners: vec![],
            requests: 0,
        }
    }

    pub fn set_limits(&mut self, limits: &Limits) {
        self.rolling.max = limits.ten_secondly.unwrap_or(self.rolling.max);
        self.searches.max = limits.search_secondly.unwrap_or(self.searches.max);
        self.daily.max = limits.daily.unwrap_or(self.daily.max);
        self.lag_ms = limits.index_lag_ms.unwrap_or(self.lag_ms);
    }

    pub fn handle(&mut self, call: &Call, token: &str) -> Answer {
        self.requests += 1;
        let correlation = uuid(self.requests);
        if let Some(answer) = self.oauth.handle(call) {
            return answer;
        }
        let known = |bearer: &str| bearer == token || self.oauth.accepts(bearer, call.now);
        let answer = if call.bearer().is_some_and(known) {
            self.limited(call, &correlation)
        } else {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication and you \
                           can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
            Problem::new(401, "INVALID_AUTHENTICATION", message).answer(&correlation)
        };
        answer.header("x-hubspot-correlation-id", correlation)
    }

    fn limited(&mut self, call: &Call, correlation: &str) -> Answer {
        let search = call.segments.last().is_some_and(|part| part == "search");
        let refused = |policy: &str| {
            let body = json!({"status": "error",
                "message": format!("You have reached your {} limit.", policy.to_lowercase()),
                "errorType": "RATE_LIMIT", "correlationId": correlation, "policyName": policy,
                "requestId": correlation});
            Answer::json(429, &body).note(policy.to_owned())
        };
        // Looked at before either is taken, so that a refusal costs nothing.
        let mut day = self.daily.clone();
        let Ok(day_left) = day.take(call.now) else { return refused("DAILY") };
        let window = if search { &mut self.searches } else { &mut self.rolling };
        let (max, taken) = (window.max, window.take(call.now));
        let headers = |answer: Answer, left: u32| {
            if search {
                return answer.header("x-hubspot-rate-limit-exemptions", "ten-secondly");
            }
            answer
                .header("X-HubSpot-RateLimit-Max", max)
                .header("X-HubSpot-RateLimit-Remaining", left)
                .header("X-HubSpot-RateLimit-Interval-Milliseconds", 10_000)
                .header("X-HubSpot-RateLimit-Daily", day.max)
                .header("X-HubSpot-RateLimit-Daily-Remaining", day_left)
        };
        let Ok(left) = taken else {
            return headers(refused(if search { "SECONDLY" } else { "TEN_SECONDLY_ROLLING" }), 0);
        };
        let answer = self.route(call).unwrap_or_else(|problem| problem.answer(correlation));
        let answer = headers(answer, left);
        self.daily = day;
        answer
    }

    fn route(&mut self, call: &Call) -> Outcome<Answer> {
        let parts: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let (area, version, rest) = match parts.as_slice() {
            ["crm", version @ ("v3" | "v4"), area, rest @ ..] => (*area, *version, rest),
            ["crm", area, version, rest @ ..] => (*area, *version, rest),
            ["account-info", version, rest @ ..] => ("account-info", *version, rest),
            _ => return Err(Problem::not_found("resource not found")),
        };
        let dialect = match version {
            "v3" | "2026-03" => Dialect::MultiStatus,
            "2026-09" => Dialect::Plain,
            // The version of associations alone.
            "v4" if area == "associations" || rest.get(2) == Some(&"associations") => Dialect::MultiStatus,
            _ => return Err(Problem::not_found(format!("version {version} is not served"))),
        };
        match (area, rest) {
            ("objects", [from, id, "associations", "default", to, other]) if call.method == "PUT" => {
                let way = Way::of(from, to)?;
                let (from, to) = Self::ends(way, &self.contacts, &self.companies);
                self.associations.put(way, (from, id), (to, other), call)
            }
            ("associations", [from, to, "batch", what @ ..]) => {
                let way = Way::of(from, to)?;
                let ends = Self::ends(way, &self.contacts, &self.companies);
                self.associations.batch(way, ends, call, what, dialect)
            }
            ("objects", [kind, rest @ ..]) => {
                let lag_ms = self.lag_ms;
                let kind = self.kind(kind)?;
                let answer = objects::route(kind, call, rest, dialect, lag_ms)?;
                if let ("POST", ["merge"]) = (call.method, rest) {
                    let merged: Vec<(u64, u64)> =
                        kind.objects().filter_map(|object| Some((object.id, object.merged_into?))).collect();
                    merged.into_iter().for_each(|(gone, left)| self.associations.merged(gone, left));
                }
                Ok(answer)
            }
            ("properties", [kind, rest @ ..]) => schema::route(self.kind(kind)?, call, rest, dialect),
            ("owners", []) if call.method == "GET" => owners::list(&self.owners, call),
            ("property-validations", [_]) => Ok(Answer::json(200, &json!({"results": []}))),
            ("account-info", ["details"]) if call.method == "GET" => Ok(Answer::json(200, &self.details())),
            ("account-info", ["api-usage", "daily", "private-apps"]) if call.method == "GET" => {
                let usage = json!({"name": "private-apps-api-calls-daily", "usageLimit": self.daily.max,
                    "currentUsage": self.daily.used, "collectedAt": Timestamp(call.now).to_string(),
                    "fetchStatus": "SUCCESS", "resetsAt": Timestamp(self.daily.resets_at(call.now)).to_string()});
                Ok(Answer::json(200, &json!({"results": [usage]})))
            }
            _ => Err(Problem::not_found("resource not found")),
        }
    }

    fn ends<'a>(way: Way, contacts: &'a ObjectType, companies: &'a ObjectType) -> (&'a ObjectType, &'a ObjectType) {
        if way == Way::ContactToCompany { (contacts, companies) } else { (companies, contacts) }
    }

    fn kind(&mut self, name: &str) -> Outcome<&mut ObjectType> {
        match name {
            "companies" | "company" | "0-2" | "COMPANY" => Ok(&mut self.companies),
            "contacts" | "contact" | "0-1" | "CONTACT" => Ok(&mut self.contacts),
            _ => Err(Problem::invalid(format!("Unable to infer object type from: {name}"))),
        }
    }

    fn details(&self) -> Value {
        json!({"portalId": self.portal, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "EUR",
            "additionalCurrencies": [], "utcOffset": "+00:00", "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1"})
    }

    pub fn companies(&self) -> Vec<Company> {
        let live = self.companies.objects().filter(|object| !object.gone());
        live.map(|object| Company { id: object.id.to_string(), properties: object.properties.clone() }).collect()
    }

    pub fn state(&self) -> Value {
        json!({"vendor": "hubspot", "portalId": self.portal,
            "companies": self.companies.state(), "contacts": self.contacts.state(), "associations": self.associations.state(),
            "properties": {"companies": self.companies.definitions_json(false),
                "contacts": self.contacts.definitions_json(false)},
            "groups": {"companies": self.companies.groups_json(), "contacts": self.contacts.groups_json()}})
    }

    /// `companies` and `contacts` (properties, bare or below `properties`), `groups` and `properties` (definitions of
    /// companies, as HubSpot's API takes them), `owners` (`id`, `email`), `oauth` (an app to log in with).
    pub fn seed(&mut self, wanted: &Value, now: i64) -> Result<Value, String> {
        let list = |key: &str| wanted[key].as_array().cloned().unwrap_or_default();
        for group in list("groups") {
            schema::create_group(&mut self.companies, &group).map_err(|problem| problem.message)?;
        }
        for property in list("properties") {
            schema::create(&mut self.companies, &property, now).map_err(|problem| problem.message)?;
        }
        for owner in list("owners") {
            self.owners.retain(|known| known["id"] != owner["id"]);
            self.owners.push(owner);
        }
        if let Some(app) = wanted.get("oauth") {
            self.oauth.seed(app);
        }
        let mut ids = json!({});
        for (key, kind) in [("companies", &mut self.companies), ("contacts", &mut self.contacts)] {
            let mut made = vec![];
            for thing in list(key) {
                let fields = thing.get("properties").unwrap_or(&thing);
                made.push(objects::seed(kind, fields, now).map_err(|problem| problem.message)?);
            }
            if !made.is_empty() {
                ids[key] = json!(made);
            }
        }
        Ok(ids)
    }
}

/// A batch without every second of its inputs, and what is said of those. What is no batch stays as it is.
pub(crate) fn refuse_half(request: &crate::Request) -> (crate::Request, Vec<Value>) {
    let mut fewer = request.clone();
    let mut refused = Vec::new();
    if let Ok(mut body) = serde_json::from_slice::<Value>(&request.body)
        && let Some(inputs) = body.get_mut("inputs").and_then(Value::as_array_mut)
    {
        let mut at = 0;
        inputs.retain(|input| {
            at += 1;
            if at % 2 == 0 {
                let context = json!({"objectWriteTraceId": [input["objectWriteTraceId"]], "id": [input["id"]]});
                refused.push(json!({"status": "error", "category": "VALIDATION_ERROR",
                    "message": "Property values were not valid", "context": context, "links": {}}));
            }
            at % 2 == 1
        });
        fewer.body = body.to_string().into_bytes();
    }
    (fewer, refused)
}

/// An answer to a batch to which refusals are added.
pub(crate) fn with_refused(reply: crate::Reply, status: u16, refused: Vec<Value>) -> crate::Reply {
    let Ok(mut body) = serde_json::from_str::<Value>(&reply.body) else { return reply };
    if refused.is_empty() || !(200..300).contains(&reply.status) {
        return reply;
    }
    let mut errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors.extend(refused);
    body["numErrors"] = json!(errors.len());
    body["errors"] = json!(errors);
    crate::Reply { status, body: body.to_string(), ..reply }
}

/// A batch that HubSpot took and did nothing with.
pub(crate) fn empty_results(call: &Call) -> Answer {
    let status = if call.path.ends_with("batch/create") { 201 } else { 200 };
    Answer::json(status, &batch::body(call.now, vec![], vec![]))
}
