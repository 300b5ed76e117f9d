//! A webhook of your own: accounts and users as JSON, to any address.
//!
//! This file reads the config and plans; `body.rs` writes a record as JSON, `wire.rs` reads the answers. A record is sent
//! whole whenever a field of it changed. The address, the headers and the secret that signs never come here.
//!
//! A request may arrive twice: nobody but the receiver can know whether one that broke off was taken. So every record carries
//! a sequence number, one more each time, and every request an idempotency key that follows from what it says. Deliberately
//! not here: reading anything back, deletion, bodies that are no JSON.

mod body;
mod wire;

use std::time::Duration;

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
pub const WEBHOOK: Registered = Registered { manifest: &MANIFEST, read };

/// A configured webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    method: Method,
    /// How many records a request holds, in a list; `None`: one, without a list.
    batch: Option<usize>,
    sets: Vec<RecordSet>,
    /// The templates of their bodies, in the order of `sets`.
    bodies: Vec<Option<Template>>,
}

fn read(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
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
    let mut webhook = Webhook { method: method?, batch: None, sets: Vec::new(), bodies: Vec::new() };
    let kinds = [("accounts", ACCOUNT, Level::Account, &scopes.account), ("users", USER, Level::User, &scopes.user)];
    let written: Vec<_> = kinds.into_iter().filter_map(|kind| Some((kind, table.get(kind.0)?))).collect();
    if written.is_empty() {
        faults.error_with_hint(
            table.place,
            "a webhook destination: nothing to send, neither `accounts` nor `users`",
            "accounts: { fields: { score: health.score } }",
        );
    }
    table.finish(faults);
    for ((key, kind, level, scope), node) in &written {
        let section = node.table(faults, key).and_then(|table| read_set(table, kind, *level, scope, faults));
        if let Some((set, body)) = section {
            webhook.sets.push(set);
            webhook.bodies.push(body);
        }
    }
    webhook.batch = Some(batch?).filter(|batch| *batch > 1);
    (!written.is_empty() && webhook.sets.len() == written.len()).then(|| Box::new(webhook) as Box<dyn Connector>)
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

    fn plan_record(&self, record: &WantedRecord, known: &Known) -> Option<Operation> {
        let slot = format!("{}/{}", record.kind, record.subject);
        let told = |field: &str| known.field(&slot, field);
        if record.fields.iter().all(|(name, new)| told(name) == *new) {
            return None;
        }
        let batch_key = format!("{}s", record.kind);
        let mut operation = Operation::new(slot.clone(), batch_key, format!("send {}", record.kind));
        operation.subject.clone_from(&record.subject);
        for (name, new) in &record.fields {
            operation.fields.insert(name.clone(), Change { old: told(name), new: new.clone() });
        }
        let old = told(SEQUENCE);
        let new = Value::Number(old.as_number().unwrap_or_default() + 1.0);
        operation.fields.insert(SEQUENCE.to_owned(), Change { old, new });
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

    fn batch_size(&self, batch_key: &str) -> usize {
        if [ACCOUNT, USER].iter().any(|kind| batch_key.strip_suffix('s') == Some(kind)) {
            self.batch.unwrap_or(1)
        } else {
            1
        }
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        wanted.records.iter().filter_map(|record| self.plan_record(record, known)).collect()
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(self, operations, replies)
    }
}
