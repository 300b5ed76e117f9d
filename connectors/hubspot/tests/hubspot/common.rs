//! What the tests share: a config from JSON, accounts from JSON, replies.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Known, Operation, Outcome, Receipt, Wanted};
use vitalsync_core::expr::Names;
use vitalsync_core::mapping::Level;
use vitalsync_core::section::{Fault, Faults, Kind, Node, Place, Text};
use vitalsync_core::{Calendar, Connector, Timestamp, Value};
use vitalsync_hubspot::HUBSPOT;

/// A config node; every node of a section stands on a line of its own.
pub fn node(json: &Json) -> Node {
    let mut line = 0;
    build(json, &mut line)
}

fn build(json: &Json, line: &mut u32) -> Node {
    let place = Place { line: *line + 1, column: 1 };
    let kind = match json {
        Json::Null => Kind::Null,
        Json::Bool(flag) => Kind::Bool(*flag, flag.to_string()),
        Json::Number(number) => Kind::Number(number.as_f64().unwrap(), number.to_string()),
        Json::String(text) => Kind::Text(Text { value: text.clone(), written: text.clone() }),
        Json::Array(items) => Kind::List(items.iter().map(|item| build(item, line)).collect()),
        Json::Object(entries) => Kind::Map(
            entries
                .iter()
                .map(|(name, value)| {
                    *line += 1;
                    // `again:x` stands for a second key `x`.
                    let key = name.strip_prefix("again:").unwrap_or(name).to_owned();
                    (key, Place { line: *line, column: 1 }, build(value, line))
                })
                .collect(),
        ),
    };
    Node { place, kind }
}

pub fn read(section: &Json) -> (Option<Box<dyn Connector>>, Vec<Fault>) {
    let mut faults = Faults::default();
    let connector = (HUBSPOT.read)(&node(section), &vitalsync_cases::scopes(), &mut faults);
    (connector, faults.into_sorted())
}

/// A connector whose `companies:` is given.
pub fn connector(companies: &Json) -> Box<dyn Connector> {
    let (connector, faults) = read(&json!({"type": "hubspot", "companies": companies}));
    connector.unwrap_or_else(|| panic!("{faults:?}"))
}

/// A connector whose `companies:` and `contacts:` are given.
pub fn both(companies: &Json, contacts: &Json) -> Box<dyn Connector> {
    let (connector, faults) = read(&json!({"type": "hubspot", "companies": companies, "contacts": contacts}));
    connector.unwrap_or_else(|| panic!("{faults:?}"))
}

/// An account's names, flat: `{"account": "acme", "health.score": 42, "traits.domain": "acme.example"}`; or a user's, which
/// begin with `user.id`.
struct Account<'a>(&'a Json);
impl Names for Account<'_> {
    fn value(&self, name: &str) -> Value {
        match (name, &self.0[name]) {
            ("last_active", Json::Number(at)) => Value::Time(Timestamp(at.as_i64().unwrap())),
            (_, json) => Value::from_json(json),
        }
    }
}

pub fn wanted(connector: &dyn Connector, subjects: &[Json]) -> Wanted {
    let calendar = Calendar::default();
    let mut records = Vec::new();
    for set in connector.record_sets() {
        let name = if set.level == Level::User { "user.id" } else { "account" };
        let record = |subject: &Json| set.wanted(subject[name].as_str()?, &Account(subject), &calendar);
        records.extend(subjects.iter().filter_map(record));
    }
    Wanted { records, ..Wanted::default() }
}

/// Schema that HubSpot has confirmed: everything that a first plan asks for.
pub fn with_schema(connector: &dyn Connector) -> Known {
    let mut known = Known::default();
    for operation in connector.plan(&Wanted::default(), &known.clone()) {
        known.confirm(&operation, &Outcome::Done { remote_id: None });
    }
    known
}

/// The operations of one batch key, at most a batch of them.
pub fn batch(operations: &[Operation], key: &str, size: usize) -> Vec<Operation> {
    operations.iter().filter(|operation| operation.batch_key == key).take(size).cloned().collect()
}

/// As the shell does: the ids behind what operations need.
pub fn with_refs(mut operations: Vec<Operation>, known: &Known) -> Vec<Operation> {
    for operation in &mut operations {
        let ids =
            operation.needs.iter().filter_map(|need| Some((need.slot.clone(), known.remote_id(&need.slot)?.into())));
        operation.refs = ids.collect();
    }
    operations
}

pub fn by_slot(receipts: &[Receipt]) -> BTreeMap<&str, &Outcome> {
    receipts.iter().map(|receipt| (receipt.slot.as_str(), &receipt.outcome)).collect()
}
