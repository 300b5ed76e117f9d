//! Which operations make HubSpot hold what is wanted. Complete and printable: `step` decides nothing that could be
//! decided here.
//!
//! What only the whole base shows is settled here too, and written into the keys: a domain, an e-mail address or a record
//! id that several claim finds nobody's record, whichever batch an operation ends up in.

mod associations;
mod questions;
mod schema;

use std::collections::BTreeMap;

use vitalsync_core::Value;
use vitalsync_core::connector::{Change, Key, Known, KnownRecord, Need, Operation, Slot, Wanted};
use vitalsync_core::mapping::WantedRecord;

pub(crate) use associations::pair;
pub(crate) use questions::{inspect, read_back};
pub(crate) use schema::{group_name, label, property_name, property_slot};

use crate::kind::Kind;
use crate::{HubSpot, Section};

/// The kind of record that associates a contact with its account's company.
pub(crate) const ASSOCIATION: &str = "association";
/// A key: the record's id.
pub(crate) const RECORD_ID: &str = "record_id";
/// What the key of our own property begins with.
pub(crate) const OWN: &str = "property:";
/// In place of [`RECORD_ID`] where several claim one record.
pub(crate) const SHARED_RECORD: &str = "shared record_id";
/// The record id that a person named, which HubSpot has not confirmed yet.
pub(crate) const NAMED: &str = "named record_id";
/// The id of the record that holds our own property until then.
pub(crate) const INSTEAD_OF: &str = "instead of record_id";
/// No way to find a record, but why none is made: nothing is known that HubSpot would take for a name.
pub(crate) const NAMELESS: &str = "no name";

/// Second half of a batch key, after the kind of record: property groups.
pub(crate) const GROUP: &str = "group";
/// Properties.
pub(crate) const PROPERTY: &str = "property";
/// Records whose id is known; one call for each hundred.
pub(crate) const UPDATE: &str = "update";
/// Records that must be found first.
pub(crate) const MATCH: &str = "match";
/// Associations to make.
pub(crate) const CREATE: &str = "create";
/// What HubSpot is asked without being told anything: records, associations.
pub(crate) const READ: &str = "read";
/// Whether records may be read at all.
pub(crate) const ASK: &str = "ask";

/// The batch key of a kind of record.
fn batch_key(kind: &Kind, what: &str) -> String {
    format!("{}:{what}", kind.name)
}

/// Plans schema first, then records in the order of what is wanted, then associations.
pub(crate) fn plan(hubspot: &HubSpot, wanted: &Wanted, known: &Known) -> Vec<Operation> {
    let schema: Vec<Vec<Operation>> =
        hubspot.sections.iter().map(|section| schema::schema(hubspot, section, known)).collect();
    let mut records = Vec::new();
    let mut ids: BTreeMap<Slot, Option<&str>> = BTreeMap::new();
    for (section, schema) in hubspot.sections.iter().zip(&schema) {
        let of_kind = || wanted.records.iter().filter(|record| record.kind == section.kind.name);
        let mut shared = Shared::default();
        for record in of_kind() {
            let remote = remote_id(record, known);
            if let Some(value) = key(record, section.kind.natural.by).and_then(section.kind.natural.key) {
                *shared.values.entry(value).or_default() += 1;
            }
            if let Some(id) = remote {
                *shared.ids.entry(id).or_default() += 1;
            }
            ids.insert(slot(record), remote);
        }
        records.extend(of_kind().filter_map(|wanted| record(section, wanted, known, schema, &shared)));
    }
    let associations = match hubspot.associate {
        true => associations::plan(wanted, known, &ids, &records),
        false => Vec::new(),
    };
    schema.into_iter().flatten().chain(records).chain(associations).collect()
}

/// How many claim each value of the natural key, and each record.
#[derive(Default)]
struct Shared<'a> {
    values: BTreeMap<String, usize>,
    ids: BTreeMap<&'a str, usize>,
}

fn key<'a>(record: &'a WantedRecord, by: &str) -> Option<&'a str> {
    record.keys.iter().find(|key| key.by == by).map(|key| key.value.as_str())
}

fn slot(record: &WantedRecord) -> Slot {
    format!("{}/{}", record.kind, record.subject)
}

/// A record id from the config wins over the one that HubSpot confirmed.
fn remote_id<'a>(record: &'a WantedRecord, known: &'a Known) -> Option<&'a str> {
    key(record, RECORD_ID).or_else(|| known.remote_id(&slot(record)))
}

fn record(
    section: &Section,
    record: &WantedRecord,
    known: &Known,
    schema: &[Operation],
    shared: &Shared<'_>,
) -> Option<Operation> {
    let kind = section.kind;
    let slot = slot(record);
    let nothing = KnownRecord::default();
    let before = known.records.get(&slot).unwrap_or(&nothing);
    let remote = remote_id(record, known);
    // What somebody deleted is looked for again, and never made again.
    let asked = record.create.as_ref().filter(|_| remote.is_none() && !before.gone);
    let create = asked.and_then(|create| creation(kind, record, create));
    if remote.is_none() && create.is_none() {
        let empty = record.fields.values().all(Value::is_null);
        if before.absent || empty {
            return None;
        }
    }
    // Values that were confirmed for another record say nothing about this one.
    let same = remote.is_some() && remote == before.remote_id.as_deref();
    let mut fields = BTreeMap::new();
    let own = section.own().map(|own| {
        let value = key(record, &format!("{OWN}{own}")).unwrap_or(&record.subject);
        (own.to_owned(), Value::from(value))
    });
    for (name, new) in record.fields.iter().map(|(name, value)| (name.clone(), value.clone())).chain(own) {
        let was = before.fields.get(&name).cloned().unwrap_or_default();
        let change = match same {
            true => was != new,
            false => !new.is_null() || !was.is_null(),
        };
        if change {
            fields.insert(name, Change { old: if same { was } else { Value::Null }, new });
        }
    }
    if fields.is_empty() && remote.is_some() {
        return None;
    }
    let claimed = remote.is_some_and(|id| shared.ids.get(id).is_some_and(|count| *count > 1));
    let mut keys = match remote {
        // Found already: only a record id from the config is worth saying.
        Some(id) if claimed => vec![Key { by: SHARED_RECORD.into(), value: id.into() }],
        Some(_) => record.keys.iter().filter(|key| key.by == RECORD_ID).cloned().collect(),
        None => record.keys.iter().filter_map(|key| lookup(kind, key, shared)).collect(),
    };
    let whole = remote.is_none() && (create.is_some() || keys.iter().all(|key| key.by.starts_with(OWN)));
    if let Some(id) = remote {
        let left = before.instead_of.as_deref().unwrap_or(before).remote_id.as_deref();
        let named = same && before.fields.is_empty();
        for (by, id) in [(NAMED, named.then_some(id)), (INSTEAD_OF, left.filter(|left| *left != id))] {
            keys.extend(id.map(|id| Key { by: by.into(), value: id.into() }));
        }
    }
    if asked.is_some() && create.is_none() {
        keys.push(Key { by: NAMELESS.into(), value: record.subject.clone() });
    }
    let needs = schema
        .iter()
        .filter_map(|operation| {
            let name = property_name(kind, operation)?;
            let own = section.own() == Some(name);
            let field = (!(own && whole)).then(|| name.to_owned());
            fields.contains_key(name).then(|| Need { slot: operation.slot.clone(), field })
        })
        .collect();
    let title = match (remote, &create) {
        (Some(_), _) => format!("update {}", kind.name),
        (None, None) => format!("find and update {}", kind.name),
        (None, Some(_)) => format!("find or create {}", kind.name),
    };
    Some(Operation {
        subject: record.subject.clone(),
        remote_id: remote.map(str::to_owned),
        keys,
        create,
        fields,
        needs,
        ..Operation::new(slot, batch_key(kind, if remote.is_some() { UPDATE } else { MATCH }), title)
    })
}

/// A key as it is looked for: in HubSpot's form, none that anybody may have, none that several claim.
fn lookup(kind: &Kind, key: &Key, shared: &Shared<'_>) -> Option<Key> {
    let natural = &kind.natural;
    if key.by != natural.by {
        return Some(key.clone());
    }
    let value = (natural.key)(&key.value)?;
    let claims = shared.values.get(&value).copied().unwrap_or_default();
    Some(Key { by: if claims > 1 { natural.shared } else { natural.by }.into(), value })
}

/// What only creation writes. HubSpot asks for one of these: a company's name falls back on the account's id, a contact
/// of which nothing is known is not created.
fn creation(kind: &Kind, record: &WantedRecord, create: &BTreeMap<String, Value>) -> Option<BTreeMap<String, Value>> {
    let natural = &kind.natural;
    let mut fields: BTreeMap<String, Value> = create
        .iter()
        .filter_map(|(name, value)| match name.as_str() == natural.by {
            true => Some((name.clone(), (natural.key)(value.as_text()?)?.into())),
            false => Some((name.clone(), value.clone())).filter(|_| value.as_key().is_some()),
        })
        .collect();
    if let Some(fallback) = kind.fallback {
        fields.entry(fallback.into()).or_insert_with(|| record.subject.as_str().into());
    }
    (!fields.is_empty()).then_some(fields)
}
