//! What Intercom says about a refusal, fit to print.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use vitalsync_core::connector::{Answer, Mode, Operation, Slot, scrub};

use crate::{ATTRIBUTE, COMPANY, CONTACT, GROUP_PREFIX, TAG, TAG_FIELD, attribute_slot};

/// The codes that are told apart here.
const CODES: [&str; 2] = ["api_plan_restricted", "company_not_found"];

/// What Intercom says about a refusal, fit to print: status, code, field, and the message where it quotes nothing
/// of the record.
pub(super) fn of(answer: &Answer, operations: &[Operation]) -> String {
    let mut said = answer.status.to_string();
    let body = answer.json();
    let Some(error) = body.get("errors").and_then(Json::as_array).and_then(|errors| errors.first()) else {
        return said;
    };
    let word = |key: &str| {
        let word = error.get(key)?.as_str()?;
        let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '.');
        (!word.is_empty() && word.len() <= 60 && word.chars().all(plain) && !quotes_the_record(word, operations))
            .then_some(word)
    };
    for word in [word("code"), word("field")].into_iter().flatten() {
        said.push(' ');
        said.push_str(word);
    }
    if let Some(message) = error.get("message").and_then(Json::as_str) {
        // Before scrubbing, which cuts: a value cut in half would not be recognised.
        if quotes_the_record(message, operations) {
            said.push_str(": the message quotes the record and is withheld");
        } else {
            said.push_str(": ");
            said.push_str(&scrub(message));
        }
    }
    said
}

/// Whether a text holds a value of the records, or a word of whatever identifies a person.
fn quotes_the_record(text: &str, operations: &[Operation]) -> bool {
    let text = folded(text);
    let holds = |part: &str| {
        let part = folded(part);
        // Short parts occur within other words by chance.
        match part.chars().count() {
            0 => false,
            1..=3 => text.split(|c: char| !c.is_alphanumeric()).any(|word| word == part),
            _ => text.contains(&part),
        }
    };
    let records = operations.iter().filter(|operation| !matches!(operation.batch_key.as_str(), ATTRIBUTE | TAG));
    records.into_iter().any(|operation| {
        let identity = operation.keys.iter().map(|key| key.value.as_str()).chain([operation.subject.as_str()]);
        let create = operation.create.iter().flatten().filter_map(|(_, value)| value.as_text());
        let mut fields = operation
            .fields
            .iter()
            .filter(|(name, _)| !name.starts_with(GROUP_PREFIX) && *name != TAG_FIELD)
            .flat_map(|(_, change)| [&change.old, &change.new]);
        identity.chain(create).any(|part| holds(part) || part.split_whitespace().any(holds))
            || fields.any(|value| value.as_text().is_some_and(holds))
    })
}

/// The slots of attributes that records are written with and that Intercom says do not exist, as of those that somebody archived.
pub(super) fn lost_attributes(answer: &Answer, operations: &[Operation]) -> Vec<Slot> {
    let body = answer.json();
    let message = body.pointer("/errors/0/message").and_then(Json::as_str).unwrap_or_default();
    let said = message.to_lowercase();
    if !(said.contains("custom attribute") && said.contains("not exist")) {
        return Vec::new();
    }
    let mut slots = BTreeSet::new();
    for operation in operations.iter().filter(|operation| operation.mode == Mode::State) {
        let kind = operation.slot.split('/').next().unwrap_or_default();
        let Some(model) = [CONTACT, COMPANY].into_iter().find(|model| *model == kind) else { continue };
        let named = operation.fields.keys().filter(|name| message.contains(&format!("'{name}'")));
        slots.extend(named.map(|name| attribute_slot(model, name)));
    }
    slots.into_iter().collect()
}

/// Intercom's own word for an error.
pub(super) fn code(answer: &Answer) -> Option<&'static str> {
    let body = answer.json();
    let code = body.pointer("/errors/0/code")?.as_str()?;
    CODES.into_iter().find(|known| *known == code)
}

/// Lower case, runs of white space as one space.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
