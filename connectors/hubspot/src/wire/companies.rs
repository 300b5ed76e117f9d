//! Companies: find those whose record id is not known, update what is there, create what may be created.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Operation, Outcome, Step};

use super::batch::{Answered, Fate, Input, fates, property};
use super::exchange::{Exchange, Got};
use super::find::{by_domain, by_own};
use super::{encode, reason};
use crate::plan::{DOMAIN, OWN, RECORD_ID, SHARED_DOMAIN, SHARED_RECORD};
use crate::{BATCH, HubSpot, domain};

/// What is known of one operation on the way.
enum State {
    /// Not found yet.
    Unknown,
    /// This record, by its id.
    Record(String),
    /// Settled.
    Settled(Outcome),
}

fn rejected(why: impl Into<String>) -> State {
    State::Settled(Outcome::Rejected { why: why.into() })
}

/// One outcome for each operation.
pub(super) fn companies(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let mut states: Vec<State> = operations.iter().map(given).collect();
    for (by, _) in hubspot.sets.iter().flat_map(|set| &set.keys) {
        match by.strip_prefix(OWN) {
            Some(own) => look_by_own(hubspot, exchange, operations, &mut states, own)?,
            None if by == DOMAIN => look_by_domain(hubspot, exchange, operations, &mut states)?,
            None => {}
        }
    }
    one_account_each(&mut states);
    update(hubspot, exchange, operations, &mut states)?;
    create(hubspot, exchange, operations, &mut states)?;
    Ok(states
        .into_iter()
        .map(|state| match state {
            State::Settled(outcome) => outcome,
            // Not reached: what was neither updated nor created was settled.
            State::Unknown | State::Record(_) => Outcome::Rejected { why: "HubSpot was not asked".into() },
        })
        .collect())
}

fn given(operation: &Operation) -> State {
    if operation.keys.iter().any(|key| key.by == SHARED_RECORD) {
        return rejected("ambiguous: several accounts have this company's record id");
    }
    match operation.remote_id.as_deref() {
        None => State::Unknown,
        Some(id) if !id.is_empty() && id.len() <= 20 && id.bytes().all(|byte| byte.is_ascii_digit()) => {
            State::Record(id.to_owned())
        }
        Some(_) => rejected("the record id is none of HubSpot's, which have digits only"),
    }
}

fn key<'a>(operation: &'a Operation, by: &str) -> Option<&'a str> {
    operation.keys.iter().find(|key| key.by == by).map(|key| key.value.as_str())
}

/// The account's id, where our own property is there to hold it. The property drops out of the fields if HubSpot has none
/// that fits; nothing can be found or created by it then.
fn own_value<'a>(hubspot: &HubSpot, operation: &'a Operation) -> Option<&'a str> {
    let own = hubspot.own.as_deref()?;
    operation.fields.get(own).and_then(|change| change.new.as_text()).filter(|value| !value.is_empty())
}

fn look_by_own(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
    states: &mut [State],
    own: &str,
) -> Result<(), Step> {
    let asked = |operation, state: &State| match state {
        State::Unknown => own_value(hubspot, operation),
        _ => None,
    };
    let values: BTreeSet<&str> =
        operations.iter().zip(&*states).filter_map(|(operation, state)| asked(operation, state)).collect();
    let found = by_own(hubspot, exchange, own, &values)?;
    for (operation, state) in operations.iter().zip(states) {
        let Some(ids) = asked(operation, state).and_then(|value| found.get(value)) else { continue };
        if let (Some(id), 1) = (ids.first(), ids.len()) {
            *state = State::Record(id.clone());
        } else {
            *state = rejected(format!("ambiguous: {} companies have this account's id in `{own}`", ids.len()));
        }
    }
    Ok(())
}

fn look_by_domain(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
    states: &mut [State],
) -> Result<(), Step> {
    let asked = |operation, state: &State| match state {
        State::Unknown => key(operation, DOMAIN).and_then(domain::of_company),
        _ => None,
    };
    let domains: BTreeSet<String> =
        operations.iter().zip(&*states).filter_map(|(operation, state)| asked(operation, state)).collect();
    let found = by_domain(hubspot, exchange, &domains)?;
    for (operation, state) in operations.iter().zip(states.iter_mut()) {
        if let (State::Unknown, Some(domain)) = (&*state, key(operation, SHARED_DOMAIN)) {
            *state = rejected(format!("ambiguous: several accounts have the domain {domain}"));
            continue;
        }
        let Some(domain) = asked(operation, state) else { continue };
        let Some(candidates) = found.get(&domain) else { continue };
        let account = own_value(hubspot, operation);
        let mine = candidates.iter().find(|candidate| account.is_some() && candidate.account.as_deref() == account);
        *state = match (mine, candidates.first(), candidates.len()) {
            (Some(mine), ..) => State::Record(mine.id.clone()),
            (None, Some(one), 1) if one.account.is_none() => State::Record(one.id.clone()),
            (None, _, 1) => rejected(format!(
                "the company with the domain {domain} belongs to another account, by `{}`",
                hubspot.own.as_deref().unwrap_or_default()
            )),
            (None, _, count) => rejected(match &hubspot.own {
                Some(own) => {
                    format!("ambiguous: {count} companies have the domain {domain}; set {own} on the right one")
                }
                None => format!("ambiguous: {count} companies have the domain {domain}; add a `property` to `match`"),
            }),
        };
    }
    Ok(())
}

/// Two accounts must not write one company, and HubSpot refuses a batch that names an id twice.
fn one_account_each(states: &mut [State]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for state in &*states {
        if let State::Record(id) = state {
            *counts.entry(id.clone()).or_default() += 1;
        }
    }
    for state in states {
        if matches!(state, State::Record(id) if counts.get(id).is_some_and(|count| *count > 1)) {
            *state = rejected("ambiguous: several accounts match one company");
        }
    }
}

/// How a batch is written: by record id, or by our own property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Update,
    Upsert,
}

/// One input of a batch: which operation, and what it is called.
struct Sent {
    index: usize,
    id: String,
    input: Json,
}

fn update(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
    states: &mut [State],
) -> Result<(), Step> {
    let mut inputs = Vec::new();
    for (index, (operation, state)) in operations.iter().zip(states.iter_mut()).enumerate() {
        let State::Record(id) = state else { continue };
        let properties = encode::changes(&operation.fields);
        if properties.is_empty() {
            // Found, and nothing to tell it.
            *state = State::Settled(Outcome::Done { remote_id: Some(id.clone()) });
            continue;
        }
        let input = json!({"id": id, "properties": properties, "objectWriteTraceId": index.to_string()});
        inputs.push(Sent { index, id: id.clone(), input });
    }
    write(exchange, operations, states, &inputs, (Verb::Update, hubspot.objects("batch/update")), super::batch::id)
}

fn create(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
    states: &mut [State],
) -> Result<(), Step> {
    let mut inputs = Vec::new();
    for (index, (operation, state)) in operations.iter().zip(states.iter_mut()).enumerate() {
        if !matches!(state, State::Unknown) {
            continue;
        }
        let Some(fields) = &operation.create else {
            *state = State::Settled(Outcome::Absent { why: "no company of HubSpot's matches the account".into() });
            continue;
        };
        let Some((own, value)) = hubspot.own.as_deref().zip(own_value(hubspot, operation)) else {
            *state = rejected("a company is only created with a property of our own, and there is none to hold it");
            continue;
        };
        let input = json!({
            "idProperty": own,
            "id": value,
            "properties": encode::creation(fields, &operation.fields),
            "objectWriteTraceId": index.to_string(),
        });
        inputs.push(Sent { index, id: value.to_owned(), input });
    }
    let own = hubspot.own.as_deref().unwrap_or_default();
    let value = |result: &Json| property(result, own).map(str::to_owned);
    write(exchange, operations, states, &inputs, (Verb::Upsert, hubspot.objects("batch/upsert")), value)
}

/// Sends inputs in batches and settles each by what HubSpot says of it.
fn write(
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
    states: &mut [State],
    inputs: &[Sent],
    (verb, path): (Verb, String),
    of_result: impl Fn(&Json) -> Option<String> + Copy,
) -> Result<(), Step> {
    for chunk in inputs.chunks(BATCH) {
        let bodies: Vec<&Json> = chunk.iter().map(|sent| &sent.input).collect();
        let json = match exchange.post(path.clone(), &json!({"inputs": bodies}))? {
            Got::Fine(json) => json,
            Got::Refused(refused) => {
                // A 404 without a word of HubSpot's own comes from a wrong address, not from a company that is gone.
                let gone_too = is_gone(&refused.body) || (refused.status == 404 && refused.body.is_object());
                return Err(match operations {
                    [alone] if gone_too && verb == Verb::Update => gone(alone),
                    _ => exchange.refuse(&refused),
                });
            }
        };
        let answered = Answered::read(&json)?;
        let lost = |error: &Json| verb == Verb::Update && is_gone(error);
        let called: Vec<Input<'_>> =
            chunk.iter().map(|sent| Input { trace: sent.index.to_string(), id: &sent.id }).collect();
        for (sent, fate) in chunk.iter().zip(fates(&answered, &called, of_result)) {
            let (Some(operation), Some(state)) = (operations.get(sent.index), states.get_mut(sent.index)) else {
                continue;
            };
            let outcome = match fate {
                Fate::Confirmed(id) => Outcome::Done { remote_id: Some(id) },
                Fate::Refused(error) if lost(error) && exchange.alone() => return Err(gone(operation)),
                Fate::Refused(error) if lost(error) => {
                    Outcome::Rejected { why: "the company is no longer there (deleted or merged)".into() }
                }
                Fate::Refused(error) => {
                    Outcome::Rejected { why: format!("HubSpot refused: {}", reason::of(error, operation)) }
                }
                Fate::Silent if exchange.alone() => {
                    Outcome::Rejected { why: "HubSpot answered without confirming this record".into() }
                }
                Fate::Silent => return Err(exchange.smaller("HubSpot answered without confirming all records")),
            };
            *state = State::Settled(outcome);
        }
    }
    Ok(())
}

fn is_gone(error: &Json) -> bool {
    error.get("category").and_then(Json::as_str) == Some("OBJECT_NOT_FOUND")
}

/// A company that is no longer there. One whose id the config gives would be asked for again and again.
fn gone(operation: &Operation) -> Step {
    match key(operation, RECORD_ID) {
        Some(_) => {
            Step::Reject { why: "no company has the record id that the config gives (deleted or merged)".into() }
        }
        None => Step::Conflict { why: "the company is no longer there (deleted or merged)".into() },
    }
}
