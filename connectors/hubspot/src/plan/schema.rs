//! The property group, and every property that HubSpot has not confirmed as it is needed.

use std::collections::BTreeMap;

use vitalsync_core::connector::{Change, Known, Need, Operation, Slot};
use vitalsync_core::{Type, Value};

use super::{GROUP, PROPERTY, batch_key};
use crate::kind::Kind;
use crate::{HubSpot, Property, Section};

/// The group behind an operation.
pub(crate) fn group_name<'a>(kind: &Kind, operation: &'a Operation) -> Option<&'a str> {
    of_kind(kind, operation, "group/")
}

/// The property behind an operation.
pub(crate) fn property_name<'a>(kind: &Kind, operation: &'a Operation) -> Option<&'a str> {
    of_kind(kind, operation, "property/")
}

/// The slot of a property.
pub(crate) fn property_slot(kind: &Kind, name: &str) -> Slot {
    format!("property/{}/{name}", kind.plural)
}

fn of_kind<'a>(kind: &Kind, operation: &'a Operation, what: &str) -> Option<&'a str> {
    operation.slot.strip_prefix(what)?.strip_prefix(kind.plural)?.strip_prefix('/')
}

/// Makes sure of the group and of the properties of a section.
pub(super) fn schema(hubspot: &HubSpot, section: &Section, known: &Known) -> Vec<Operation> {
    let kind = section.kind;
    let group_slot = format!("group/{}/{}", kind.plural, hubspot.group);
    let properties: Vec<Operation> = section
        .own
        .iter()
        .chain(&section.properties)
        .map(|property| ensure(hubspot, kind, property, section.own() == Some(&property.name), known))
        .filter(|operation| {
            // The label and the group are the people's to change once the property is there.
            let settled = ["type", "hasUniqueValue", "holds", "options"];
            let is_settled = |field| operation.fields.get(field).is_none_or(|change| change.old == change.new);
            !settled.into_iter().all(is_settled)
        })
        .collect();
    let (old, new) = (known.field(&group_slot, "label"), Value::from(label(&hubspot.group)));
    // Whoever makes a property makes sure of its group, whatever is known of it: somebody may have deleted it.
    if old == new && properties.is_empty() {
        return Vec::new();
    }
    let need = Need { slot: group_slot.clone(), field: None };
    let group = Operation {
        fields: [("label".to_owned(), Change { old, new })].into(),
        ..Operation::new(group_slot, batch_key(kind, GROUP), "ensure property group")
    };
    let properties = properties.into_iter().map(|operation| Operation { needs: vec![need.clone()], ..operation });
    std::iter::once(group).chain(properties).collect()
}

/// Makes sure of one property.
pub(super) fn ensure(hubspot: &HubSpot, kind: &Kind, property: &Property, unique: bool, known: &Known) -> Operation {
    let Property { name, kind: holds, words, enumeration, .. } = property;
    let slot = property_slot(kind, name);
    let (type_name, field_type) = match enumeration {
        true => ("enumeration", "select"),
        false => types(*holds),
    };
    let options = Value::List(words.iter().map(|word| Value::from(word.as_str())).collect());
    let mut wanted: Vec<(&str, Value)> = vec![
        ("type", type_name.into()),
        ("fieldType", field_type.into()),
        ("hasUniqueValue", unique.into()),
        ("groupName", hubspot.group.as_str().into()),
        ("label", label(name).into()),
        ("holds", holds.to_string().into()),
    ];
    if !words.is_empty() {
        wanted.push(("options", options));
    }
    let fields: BTreeMap<String, Change> = wanted
        .into_iter()
        .map(|(field, new)| (field.to_owned(), Change { old: known.field(&slot, field), new }))
        .collect();
    Operation { fields, ..Operation::new(slot, batch_key(kind, PROPERTY), "ensure property") }
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
pub(crate) fn label(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.trim().chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
