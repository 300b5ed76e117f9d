//! A record as JSON: as the config's template says, else all that there is to say.

use serde_json::{Map, Value as Json, json};
use vitalsync_core::Type;
use vitalsync_core::connector::Operation;
use vitalsync_core::expr::{Expr, Scope};

use crate::{SEQUENCE, Webhook};

/// What a template sees of the message itself, beside the names of the account or user.
const OWN: [(&str, Type); 5] =
    [("type", Type::Text), ("id", Type::Text), (SEQUENCE, Type::Number), ("fields", Type::Map), ("changed", Type::Map)];

/// True for what a template sees of the message itself: `id`, `fields.score`.
pub(crate) fn is_own(name: &str) -> bool {
    let root = name.split('.').next().unwrap_or(name);
    OWN.iter().any(|(own, _)| *own == root)
}

/// Every name that the template of a record with these fields may use.
pub(crate) fn scope<'f>(scope: &Scope, fields: impl Iterator<Item = &'f str>) -> Scope {
    let mut scope = scope.clone();
    for (own, kind) in OWN {
        scope.name(own, kind);
    }
    // A template reads a dot as a step; such a field is reached by `fields["a.b"]`.
    for field in fields.filter(|field| !field.contains('.')) {
        scope.name(format!("fields.{field}"), Type::Any);
        scope.name(format!("changed.{field}"), Type::Map);
        scope.name(format!("changed.{field}.old"), Type::Any);
        scope.name(format!("changed.{field}.new"), Type::Any);
    }
    scope
}

/// The JSON text of a record.
///
/// # Errors
/// Why its template gives none.
pub(crate) fn of(webhook: &Webhook, operation: &Operation) -> Result<String, String> {
    let kind = operation.slot.split('/').next().unwrap_or_default();
    let said = message(kind, operation);
    let Some(template) = webhook.template(kind) else { return Ok(said.to_string()) };
    let value = |name: &Expr| match is_own(name.source()) {
        true => name.source().split('.').try_fold(&said, |json, step| json.get(step)).cloned().unwrap_or_default(),
        false => operation.fields.get(name.source()).map(|change| change.new.to_json()).unwrap_or_default(),
    };
    template.render(value)
}

/// The message as it is without a template.
fn message(kind: &str, operation: &Operation) -> Json {
    let fields = || operation.fields.iter().filter(|(name, _)| *name != SEQUENCE);
    let changed: Map<String, Json> = fields()
        .filter(|(_, change)| change.old != change.new)
        .map(|(name, change)| (name.clone(), json!({ "old": change.old.to_json(), "new": change.new.to_json() })))
        .collect();
    let all: Map<String, Json> = fields().map(|(name, change)| (name.clone(), change.new.to_json())).collect();
    let sequence = operation.fields.get(SEQUENCE).map(|change| change.new.to_json());
    json!({ "type": kind, "id": operation.subject, "sequence": sequence, "changed": changed, "fields": all })
}
