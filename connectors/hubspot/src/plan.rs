//! Which operations make HubSpot hold what is wanted. Complete and printable: `step` decides nothing that could be
//! decided here.
//!
//! What only the whole account base shows is settled here too, and written into the keys: a domain or a record id that
//! several accounts claim finds nobody's company, whichever batch an operation ends up in.

use std::collections::BTreeMap;

use vitalsync_core::connector::{Change, Key, Known, KnownRecord, Need, Operation, Slot, Wanted};
use vitalsync_core::mapping::WantedRecord;
use vitalsync_core::{Type, Value};

use crate::{HubSpot, domain};

/// The kind of record.
pub(crate) const COMPANY: &str = "company";
/// A key: the record's id.
pub(crate) const RECORD_ID: &str = "record_id";
/// A key: the company's domain.
pub(crate) const DOMAIN: &str = "domain";
/// What the key of our own property begins with.
pub(crate) const OWN: &str = "property:";
/// In place of [`RECORD_ID`] where several accounts claim one record.
pub(crate) const SHARED_RECORD: &str = "shared record_id";
/// In place of [`DOMAIN`] where several accounts have one domain.
pub(crate) const SHARED_DOMAIN: &str = "shared domain";

/// Batch key: property groups.
pub(crate) const GROUP: &str = "group";
/// Batch key: properties.
pub(crate) const PROPERTY: &str = "property";
/// Batch key: companies whose record id is known; one call for each hundred.
pub(crate) const UPDATE: &str = "company:update";
/// Batch key: companies that must be found first.
pub(crate) const MATCH: &str = "company:match";

/// What the slot of a group begins with.
pub(crate) const GROUP_SLOT: &str = "group/companies/";
/// What the slot of a property begins with.
pub(crate) const PROPERTY_SLOT: &str = "property/companies/";

/// Plans schema first, then companies in the order of what is wanted.
pub(crate) fn plan(hubspot: &HubSpot, wanted: &Wanted, known: &Known) -> Vec<Operation> {
    let schema = schema(hubspot, known);
    let companies = || wanted.records.iter().filter(|record| record.kind == COMPANY);
    let mut domains: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    for record in companies() {
        if let Some(domain) = key(record, DOMAIN).and_then(domain::of_company) {
            *domains.entry(domain).or_default() += 1;
        }
        if let Some(id) = remote_id(record, known) {
            *ids.entry(id).or_default() += 1;
        }
    }
    let shared = Shared { domains, ids };
    let mut operations: Vec<Operation> =
        companies().filter_map(|record| company(hubspot, record, known, &schema, &shared)).collect();
    operations.splice(0..0, schema);
    operations
}

/// How many accounts claim each domain and record.
struct Shared<'a> {
    domains: BTreeMap<String, usize>,
    ids: BTreeMap<&'a str, usize>,
}

fn key<'a>(record: &'a WantedRecord, by: &str) -> Option<&'a str> {
    record.keys.iter().find(|key| key.by == by).map(|key| key.value.as_str())
}

fn slot(record: &WantedRecord) -> Slot {
    format!("{COMPANY}/{}", record.subject)
}

/// A record id from the config wins over the one that HubSpot confirmed.
fn remote_id<'a>(record: &'a WantedRecord, known: &'a Known) -> Option<&'a str> {
    key(record, RECORD_ID).or_else(|| known.remote_id(&slot(record)))
}

fn company(
    hubspot: &HubSpot,
    record: &WantedRecord,
    known: &Known,
    schema: &[Operation],
    shared: &Shared<'_>,
) -> Option<Operation> {
    let slot = slot(record);
    let nothing = KnownRecord::default();
    let before = known.records.get(&slot).unwrap_or(&nothing);
    let remote = remote_id(record, known);
    if remote.is_none() && record.create.is_none() {
        let empty = record.fields.values().all(Value::is_null);
        if before.absent || empty {
            return None;
        }
    }
    // Values that were confirmed for another record say nothing about this one.
    let same = remote.is_some() && remote == before.remote_id.as_deref();
    let mut fields = BTreeMap::new();
    let own = hubspot.own.iter().map(|own| {
        let value = key(record, &format!("{OWN}{own}")).unwrap_or(&record.subject);
        (own.clone(), Value::from(value))
    });
    for (name, new) in record.fields.iter().map(|(name, value)| (name.clone(), value.clone())).chain(own) {
        let was = before.fields.get(&name).cloned().unwrap_or_default();
        let change = match same {
            true => was != new,
            false => !new.is_null() || (remote.is_some() && !was.is_null()),
        };
        if change {
            fields.insert(name, Change { old: if same { was } else { Value::Null }, new });
        }
    }
    if fields.is_empty() && remote.is_some() {
        return None;
    }
    let create = if remote.is_none() { record.create.as_ref().map(|create| creation(record, create)) } else { None };
    let claimed = remote.is_some_and(|id| shared.ids.get(id).is_some_and(|count| *count > 1));
    let keys = match remote {
        // Found already: only a record id from the config is worth saying.
        Some(id) if claimed => vec![Key { by: SHARED_RECORD.into(), value: id.into() }],
        Some(_) => record.keys.iter().filter(|key| key.by == RECORD_ID).cloned().collect(),
        None => record.keys.iter().filter_map(|key| lookup(key, shared)).collect(),
    };
    let whole = remote.is_none() && (create.is_some() || keys.iter().all(|key| key.by.starts_with(OWN)));
    let needs = schema
        .iter()
        .filter_map(|operation| {
            let name = operation.slot.strip_prefix(PROPERTY_SLOT)?;
            let own = hubspot.own.as_deref() == Some(name);
            let field = (!(own && whole)).then(|| name.to_owned());
            fields.contains_key(name).then(|| Need { slot: operation.slot.clone(), field })
        })
        .collect();
    let title = match (remote, &create) {
        (Some(_), _) => "update company",
        (None, None) => "find and update company",
        (None, Some(_)) => "find or create company",
    };
    Some(Operation {
        subject: record.subject.clone(),
        remote_id: remote.map(str::to_owned),
        keys,
        create,
        fields,
        needs,
        ..Operation::new(slot, if remote.is_some() { UPDATE } else { MATCH }, title)
    })
}

/// A key as it is looked for: domains bare, none of free mail, none that several accounts have.
fn lookup(key: &Key, shared: &Shared<'_>) -> Option<Key> {
    if key.by != DOMAIN {
        return Some(key.clone());
    }
    let domain = domain::of_company(&key.value)?;
    let claims = shared.domains.get(&domain).copied().unwrap_or_default();
    Some(Key { by: if claims > 1 { SHARED_DOMAIN } else { DOMAIN }.into(), value: domain })
}

/// What only creation writes. HubSpot asks for a name or a domain: the name falls back on the account's id.
fn creation(record: &WantedRecord, create: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut fields: BTreeMap<String, Value> = create
        .iter()
        .filter_map(|(name, value)| match name.as_str() {
            DOMAIN => Some((name.clone(), domain::of_company(value.as_text()?)?.into())),
            _ => Some((name.clone(), value.clone())).filter(|_| value.as_key().is_some()),
        })
        .collect();
    fields.entry("name".into()).or_insert_with(|| record.subject.as_str().into());
    fields
}

/// Makes sure of the group and of every property that HubSpot has not confirmed with this type.
fn schema(hubspot: &HubSpot, known: &Known) -> Vec<Operation> {
    let group_slot = format!("{GROUP_SLOT}{}", hubspot.group);
    let mut operations = Vec::new();
    if known.field(&group_slot, "label").is_null() {
        operations.push(Operation {
            fields: [("label".to_owned(), Change { old: Value::Null, new: label(&hubspot.group).into() })].into(),
            ..Operation::new(group_slot.clone(), GROUP, "ensure property group")
        });
    }
    let group: Vec<Need> =
        operations.iter().map(|operation| Need { slot: operation.slot.clone(), field: None }).collect();
    let own = hubspot.own.iter().map(|own| (own.as_str(), Type::Text, true));
    let mapped = hubspot.properties.iter().map(|(name, kind)| (name.as_str(), *kind, false));
    for (name, kind, unique) in own.chain(mapped) {
        let slot = format!("{PROPERTY_SLOT}{name}");
        let (type_name, field_type) = types(kind);
        let fields: BTreeMap<String, Change> = [
            ("type", type_name.into()),
            ("fieldType", field_type.into()),
            ("hasUniqueValue", unique.into()),
            ("groupName", hubspot.group.as_str().into()),
            ("label", label(name).into()),
            ("holds", kind.to_string().into()),
        ]
        .map(|(field, new): (&str, Value)| (field.to_owned(), Change { old: known.field(&slot, field), new }))
        .into();
        // The label and the group are the people's to change once the property is there.
        let settled = ["type", "hasUniqueValue", "holds"];
        if settled.iter().all(|field| fields.get(*field).is_none_or(|change| change.old == change.new)) {
            continue;
        }
        operations.push(Operation {
            fields,
            needs: group.clone(),
            ..Operation::new(slot, PROPERTY, "ensure property")
        });
    }
    operations
}

/// The type and field type of a property that is created for a kind of value.
fn types(kind: Type) -> (&'static str, &'static str) {
    match kind {
        Type::Number => ("number", "number"),
        Type::Bool => ("bool", "booleancheckbox"),
        Type::Date => ("date", "date"),
        Type::Any | Type::Text | Type::Time | Type::List | Type::Map => ("string", "text"),
    }
}

/// `vitalsync_health_score` → `Vitalsync health score`.
fn label(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.trim().chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
