//! A webhook of your own: accounts, users and alerts as JSON, to any address.
//!
//! This file reads the config and plans; `body.rs` writes a record as JSON, `alert.rs` an alert, `wire.rs` reads the answers. A
//! record is sent whole whenever a field of it changed. The address, the headers and the secret that signs never come here.
//!
//! A request may arrive twice: nobody but the receiver can know whether one that broke off was taken. So every record carries
//! a sequence number, one more each time, and every request an idempotency key that follows from what it says, or is the
//! alert's occasion. Whether an alert is sent again in doubt says the config. Deliberately not here: reading anything back,
//! deletion, bodies that are no JSON, and when a rule fires: the core decides that.

mod alert;
mod body;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use vitalsync_core::alert::read::{self, Tells};
use vitalsync_core::alert::{ALERT, Alert, Alerting, Delivery, Form};
use vitalsync_core::connector::{
    Auth, Change, Connector, Known, Manifest, Method, Operation, Quota, Registered, Reply, Step, Wanted,
};
use vitalsync_core::expr::{Expr, Scope, Scopes};
use vitalsync_core::mapping::{FieldMap, Level, Missing, RecordSet, WantedRecord};
use vitalsync_core::section::{Faults, Node, Table};
use vitalsync_core::template::Template;
use vitalsync_core::{Type, Value};

/// The kinds of record: in slots, in bodies, and as keys of the config with an `s`.
const ACCOUNT: &str = "account";
const USER: &str = "user";
/// How often a record was sent, as one of its fields; no field of the config may have this name.
const SEQUENCE: &str = "sequence";
/// The JSON of an alert, as a field of its operation.
const BODY: &str = "body";
/// The keys that go with `alerts`.
const OF_ALERTS: [&str; 7] = ["delivery", "fallback", "digest", "quiet_hours", "template", "cap", "crm_url"];
/// The most records of one request.
const MOST: u32 = 500;

/// Nothing is known of the receiver, so it is spared.
static MANIFEST: Manifest = Manifest {
    name: "webhook",
    title: "Webhook",
    base_url: "",
    auth: &[Auth::Hook { key: "url", secret: "secret", headers: "headers" }],
    content_type: "application/json",
    quotas: &[Quota { pool: "hook", limit: 20, window: Duration::from_secs(1), keyed: false }],
};

/// The line of the registry.
pub const WEBHOOK: Registered = Registered { manifest: &MANIFEST, read: configured };

/// A configured webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    method: Method,
    /// How many records a request holds, in a list; `None`: one, without a list.
    batch: Option<usize>,
    sets: Vec<RecordSet>,
    /// The templates of their bodies, in the order of `sets`.
    bodies: Vec<Option<Template>>,
    alerting: Option<Alerting>,
    delivery: Delivery,
}

fn configured(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "a webhook destination")?;
    MANIFEST.leave_common(&table);
    let method = match table.get("method") {
        None => Some(Method::Post),
        Some(node) => {
            let at = node.one_of(faults, "the method", &["POST", "PUT"]);
            at.and_then(|at| [Method::Post, Method::Put].get(at).copied())
        }
    };
    let batch = match table.get("batch") {
        None => Some(1),
        Some(node) => read_batch(node, faults),
    };
    let alerts = read_alerts(&table, scopes, faults);
    let kinds = [("accounts", ACCOUNT, Level::Account, &scopes.account), ("users", USER, Level::User, &scopes.user)];
    let written: Vec<_> = kinds.into_iter().filter_map(|kind| Some((kind, table.get(kind.0)?))).collect();
    if written.is_empty() && table.get("alerts").is_none() {
        faults.error_with_hint(
            table.place,
            "a webhook destination: nothing to send, neither `accounts` nor `users` nor `alerts`",
            "accounts: { fields: { score: health.score } }",
        );
    }
    table.finish(faults);
    let sections: Vec<_> = written
        .iter()
        .filter_map(|((key, kind, level, scope), node)| {
            let table = node.table(faults, key)?;
            read_set(table, kind, *level, scope, faults)
        })
        .collect();
    let whole = sections.len() == written.len();
    let (sets, bodies) = sections.into_iter().unzip();
    let (method, (alerting, delivery)) = (method?, alerts?);
    let batch = Some(batch?).filter(|batch| *batch > 1);
    let webhook = Webhook { method, batch, sets, bodies, alerting, delivery };
    (whole && (!webhook.sets.is_empty() || webhook.alerting.is_some())).then(|| Box::new(webhook) as Box<dyn Connector>)
}

/// Reads `alerts:` and what goes with it.
fn read_alerts(table: &Table<'_>, scopes: &Scopes, faults: &mut Faults) -> Option<(Option<Alerting>, Delivery)> {
    if table.get("alerts").is_none() {
        let alone: Vec<_> = OF_ALERTS.into_iter().filter_map(|key| Some((key, table.get(key)?))).collect();
        for (key, node) in &alone {
            let message = format!("`{key}` is about alerts, and there are none");
            faults.error_with_hint(node.place, message, "alerts: { score_drop: { drop: 15 } }");
        }
        return alone.is_empty().then(|| (None, Delivery::default()));
    }
    let delivery = table.get("delivery").map_or(Some(Delivery::default()), |node| Delivery::read(node, faults));
    let tells = Tells { places: Some(alert::PLACES), form: Form::Json, together: 0 };
    let alerting = read::alerting(table, &tells, scopes, faults);
    Some((Some(alerting?), delivery?))
}

fn read_batch(node: &Node, faults: &mut Faults) -> Option<usize> {
    let expected = format!("records of one request, from 1 to {MOST}");
    let count = node.count(faults, &expected, 1)?;
    if count > MOST {
        faults.error(node.place, format!("expected {expected}, found {count}"));
        return None;
    }
    usize::try_from(count).ok()
}

/// Reads `accounts:` or `users:`; every fault is reported, whatever comes of it.
fn read_set(
    table: Table<'_>,
    kind: &'static str,
    level: Level,
    scope: &Scope,
    faults: &mut Faults,
) -> Option<(RecordSet, Option<Template>)> {
    let place = table.place;
    let only = match table.get("only") {
        Some(node) => Expr::read(node, scope, Type::Bool, faults).map(Some),
        None => Some(None),
    };
    let (fields, body) = (table.get("fields"), table.get("body"));
    table.finish(faults);
    let mut fields = match fields {
        Some(node) => read_fields(node, scope, faults),
        None => Some(Vec::new()),
    };
    let template = match body {
        Some(node) => {
            let names = fields.iter().flatten().map(|map| map.field.as_str());
            Template::read(node, &body::scope(scope, names), faults).map(Some)
        }
        None => Some(None),
    };
    // What a body says is followed as a field is: a change of it sends the record.
    if let (Some(fields), Some(Some(template)), Some(node)) = (&mut fields, &template, body) {
        for name in template.names().iter().filter(|name| !body::is_own(name.source())) {
            match fields.iter().find(|map| map.field == name.source()) {
                None => fields.push(FieldMap::new(name.source(), name.clone())),
                Some(map) if map.expr.source() == name.source() => {}
                Some(_) => faults.error_with_hint(
                    node.place,
                    format!("`{0}` in the body is not what the field `{0}` holds", name.source()),
                    "give the field another name",
                ),
            }
        }
    }
    let (fields, template) = (fields?, template?);
    if fields.is_empty() {
        faults.error_with_hint(
            place,
            format!("{kind}s: nothing to send, neither `fields` nor a value in `body`"),
            "fields: { score: health.score }",
        );
        return None;
    }
    let set = RecordSet {
        kind,
        level,
        only: only?,
        keys: Vec::new(),
        missing: Missing::Skip,
        create_fields: Vec::new(),
        fields,
        groups: Vec::new(),
    };
    Some((set, template))
}

fn read_fields(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Vec<FieldMap>> {
    let mut fields: Vec<FieldMap> = Vec::new();
    let entries = node.entries(faults, "fields");
    for (name, place, value) in entries {
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            faults.error(*place, "a field needs a name, without line breaks");
        } else if name == SEQUENCE {
            faults.error_with_hint(
                *place,
                "`sequence` is the number of a record's message",
                "name the field otherwise",
            );
        } else if fields.iter().any(|field| field.field == *name) {
            faults.error(*place, format!("the field `{name}` is mapped twice"));
        }
        fields.extend(FieldMap::read(name, value, scope, faults));
    }
    (fields.len() == entries.len()).then_some(fields)
}

impl Webhook {
    /// The template of a kind of record, if it has one of its own.
    fn template(&self, kind: &str) -> Option<&Template> {
        let at = self.sets.iter().position(|set| set.kind == kind)?;
        self.bodies.get(at)?.as_ref()
    }

    fn plan_alert(&self, alert: &Alert, alerting: &Alerting) -> Operation {
        let mut operation = alert.operation(ALERT);
        // Not as text, so that what a receiver quotes of it is recognised.
        let new = Value::from_json(&alert::body(alert, alerting));
        operation.fields.insert(BODY.to_owned(), Change { old: Value::Null, new });
        operation
    }

    fn plan_record(&self, record: &WantedRecord, known: &Known) -> Option<Operation> {
        let slot = format!("{}/{}", record.kind, record.subject);
        let told = |field: &str| known.field(&slot, field);
        if record.fields.iter().all(|(name, new)| told(name) == *new) {
            return None;
        }
        let batch_key = format!("{}s", record.kind);
        let mut operation = Operation::new(slot.clone(), batch_key, format!("send {}", record.kind));
        operation.subject.clone_from(&record.subject);
        // What may have arrived, or not, is known as both: a number that was given is never given again, as the receiver could
        // take what is newer for a repeat, or for older than what it has.
        let (told_last, given_last) = match told(SEQUENCE) {
            Value::List(both) => {
                let last = both.iter().filter_map(Value::as_number).reduce(f64::max);
                (both.into_iter().next().unwrap_or_default(), last)
            }
            one => (one.clone(), one.as_number()),
        };
        let in_doubt = told_last.as_number() != given_last;
        for (name, new) in &record.fields {
            let old = match told(name) {
                Value::List(both) if in_doubt && both.len() == 2 => both.into_iter().next().unwrap_or_default(),
                one => one,
            };
            operation.fields.insert(name.clone(), Change { old, new: new.clone() });
        }
        let new = Value::Number(given_last.unwrap_or_default() + 1.0);
        operation.fields.insert(SEQUENCE.to_owned(), Change { old: told_last, new });
        Some(operation)
    }
}

impl Connector for Webhook {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn record_sets(&self) -> &[RecordSet] {
        &self.sets
    }

    fn alerting(&self) -> Option<&Alerting> {
        self.alerting.as_ref()
    }

    fn batch_size(&self, batch_key: &str) -> usize {
        if [ACCOUNT, USER].iter().any(|kind| batch_key.strip_suffix('s') == Some(kind)) {
            self.batch.unwrap_or(1)
        } else {
            1
        }
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        let records = wanted.records.iter().filter_map(|record| self.plan_record(record, known));
        let mut seen = BTreeSet::new();
        let alerts = self.alerting.iter().flat_map(|alerting| {
            let fired = wanted.alerts.iter().filter(|alert| seen.insert(&alert.occasion));
            fired.map(|alert| self.plan_alert(alert, alerting)).collect::<Vec<_>>()
        });
        let untold = alerts.filter(|operation| !known.records.contains_key(&operation.slot));
        records.chain(untold).collect()
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(self, operations, replies)
    }
}
