//! Records: find those whose id is not known, update what is there, create what may be created.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Operation, Outcome, Step};

use super::again::{Held, LeftOut, rest};
use super::batch::{Answered, Fate, Input, fates, property};
use super::exchange::{Exchange, Got};
use super::find::{Candidate, by_domain, by_email, by_own};
use super::look::{Look, is_not_there, look};
use super::{encode, reason};
use crate::kind::{COMPANY, Kind};
use crate::plan::{NAMELESS, OWN, RECORD_ID, SHARED_RECORD};
use crate::{BATCH, HubSpot, Section};

/// What is known of one operation on the way.
pub(super) enum State {
    /// Not found yet.
    Unknown,
    /// This record, by its id.
    Record(String),
    /// This record was known, and an update did not find it.
    Lost(String),
    /// HubSpot did not create it, because this record has its e-mail address.
    Taken(String),
    /// Settled.
    Settled(Outcome),
}

pub(super) fn rejected(why: impl Into<String>) -> State {
    State::Settled(Outcome::Rejected { why: why.into() })
}

/// Whatever it is sent with.
pub(super) fn refused(why: impl Into<String>) -> State {
    State::Settled(Outcome::Refused { why: why.into() })
}

/// Operations on the way to their outcomes.
pub(super) struct Records<'a, 'r> {
    pub hubspot: &'a HubSpot,
    pub section: &'a Section,
    pub exchange: &'a mut Exchange<'r>,
    pub operations: &'a [Operation],
    /// What is known of each of them.
    pub states: Vec<State>,
    /// What HubSpot refused by name, and so is left out, by the operation's place.
    pub left_out: BTreeMap<usize, LeftOut>,
    /// True once HubSpot showed that the schema is as it was made sure of.
    pub schema_is_there: bool,
    /// Those whose new record waits until our own property is taken off the old one.
    pub held: BTreeMap<usize, Held>,
}

/// One outcome for each operation.
pub(super) fn records(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    operations: &[Operation],
) -> Result<Vec<Outcome>, Step> {
    let kind = section.kind;
    let states = operations.iter().map(|operation| given(kind, operation)).collect();
    let mut records = Records {
        hubspot,
        section,
        exchange,
        operations,
        states,
        left_out: BTreeMap::new(),
        schema_is_there: false,
        held: BTreeMap::new(),
    };
    for by in &section.ways {
        match by.strip_prefix(OWN) {
            Some(own) => records.look_by_own(own)?,
            None if by == kind.natural.by => records.look_by_natural()?,
            None => {}
        }
    }
    one_subject_each(kind, &mut records.states);
    records.update_twice()?;
    records.follow()?;
    let left_out = records.left_out.len();
    records.create()?;
    if records.left_out.len() > left_out {
        records.create()?;
    }
    if records.take()? {
        one_subject_each(kind, &mut records.states);
        records.update_twice()?;
    }
    let mut left_out = records.left_out;
    Ok(records
        .states
        .into_iter()
        .enumerate()
        .map(|(index, state)| match (state, left_out.remove(&index)) {
            (State::Settled(Outcome::Done { remote_id }), Some(LeftOut { names: refused, why })) => {
                Outcome::Partly { remote_id, refused, why: format!("{why}; all else was written") }
            }
            (State::Settled(outcome), _) => outcome,
            // Not reached: what was neither updated nor created was settled.
            _ => Outcome::Rejected { why: "HubSpot was not asked".into() },
        })
        .collect())
}

impl Records<'_, '_> {
    fn look_by_own(&mut self, own: &str) -> Result<(), Step> {
        let asked = |operation, state: &State| match state {
            State::Unknown => own_value(self.section, operation),
            _ => None,
        };
        let values: BTreeSet<String> = self
            .operations
            .iter()
            .zip(&self.states)
            .filter_map(|(operation, state)| asked(operation, state).map(str::to_owned))
            .collect();
        let found = by_own(self.hubspot, self.section, self.exchange, own, values)?;
        let Kind { plural, whose, .. } = self.section.kind;
        for (operation, state) in self.operations.iter().zip(&mut self.states) {
            let Some(ids) = asked(operation, state).and_then(|value| found.get(value)) else { continue };
            if let (Some(id), 1) = (ids.first(), ids.len()) {
                *state = State::Record(id.clone());
            } else {
                *state = refused(format!("ambiguous: {} {plural} have this {whose}'s id in `{own}`", ids.len()));
            }
        }
        Ok(())
    }

    fn look_by_natural(&mut self) -> Result<(), Step> {
        let natural = &self.section.kind.natural;
        let Kind { plural, whose, .. } = self.section.kind;
        let asked = |operation, state: &State| match state {
            State::Unknown => key(operation, natural.by).and_then(natural.key),
            _ => None,
        };
        let values: BTreeSet<String> =
            self.operations.iter().zip(&self.states).filter_map(|(operation, state)| asked(operation, state)).collect();
        let found = match natural.by == COMPANY.natural.by {
            true => by_domain(self.hubspot, self.section, self.exchange, &values)?,
            false => by_email(self.hubspot, self.section, self.exchange, values)?,
        };
        for (operation, state) in self.operations.iter().zip(&mut self.states) {
            if let (State::Unknown, Some(value)) = (&*state, key(operation, natural.shared)) {
                *state = refused(format!("ambiguous: several {whose}s have {}", (natural.said)(value)));
                continue;
            }
            let Some(value) = asked(operation, state) else { continue };
            let Some(candidates) = found.get(&value) else { continue };
            let said = (natural.said)(&value);
            let owner = own_value(self.section, operation);
            let mine = candidates.iter().find(|candidate| owner.is_some() && candidate.owner.as_deref() == owner);
            *state = match (mine, candidates.first(), candidates.len()) {
                (Some(mine), ..) => State::Record(mine.id.clone()),
                (None, Some(one), 1) if one.owner.is_none() => State::Record(one.id.clone()),
                (None, _, 1) => others(self.section, &said),
                (None, _, count) => refused(match self.section.own() {
                    Some(own) => format!("ambiguous: {count} {plural} have {said}; set {own} on the right one"),
                    None => format!("ambiguous: {count} {plural} have {said}; add a `property` to `match`"),
                }),
            };
        }
        Ok(())
    }

    pub(super) fn update(&mut self) -> Result<(), Step> {
        let mut inputs = Vec::new();
        for (index, (operation, state)) in self.operations.iter().zip(&mut self.states).enumerate() {
            let State::Record(id) = state else { continue };
            let properties = encode::changes(&rest(operation, self.left_out.get(&index)));
            if properties.is_empty() {
                // Found, and nothing to tell it.
                *state = State::Settled(Outcome::Done { remote_id: Some(id.clone()) });
                continue;
            }
            let input = json!({"id": id, "properties": properties, "objectWriteTraceId": index.to_string()});
            inputs.push(Sent { index, id: id.clone(), input });
        }
        let path = self.hubspot.objects(self.section.kind, "batch/update");
        self.write(&inputs, (Verb::Update, path), super::batch::id)
    }

    fn create(&mut self) -> Result<(), Step> {
        let mut inputs = Vec::new();
        for (index, (operation, state)) in self.operations.iter().zip(&mut self.states).enumerate() {
            if !matches!(state, State::Unknown) {
                continue;
            }
            let Some(fields) = &operation.create else {
                let Kind { name, whose, .. } = self.section.kind;
                let mut why = format!("no {name} of HubSpot's matches the {whose}");
                if key(operation, NAMELESS).is_some() {
                    why += ", and none is created without a good e-mail address or a name";
                }
                *state = State::Settled(Outcome::Absent { why });
                continue;
            };
            let Some((own, value)) = self.section.own().zip(own_value(self.section, operation)) else {
                let name = self.section.kind.name;
                *state = rejected(format!(
                    "a {name} is only created with a property of our own, and there is none to hold it"
                ));
                continue;
            };
            let input = json!({
                "idProperty": own,
                "id": value,
                "properties": encode::creation(fields, &rest(operation, self.left_out.get(&index))),
                "objectWriteTraceId": index.to_string(),
            });
            inputs.push(Sent { index, id: value.to_owned(), input });
        }
        let own = self.section.own().unwrap_or_default();
        let value = |result: &Json| property(result, own).map(str::to_owned);
        let path = self.hubspot.objects(self.section.kind, "batch/upsert");
        self.write(&inputs, (Verb::Upsert, path), value)
    }

    /// Sends inputs in batches and settles each by what HubSpot says of it.
    fn write(
        &mut self,
        inputs: &[Sent],
        (verb, path): (Verb, String),
        of_result: impl Fn(&Json) -> Option<String> + Copy,
    ) -> Result<(), Step> {
        for chunk in inputs.chunks(BATCH) {
            let bodies: Vec<&Json> = chunk.iter().map(|sent| &sent.input).collect();
            let json = match self.exchange.post(path.clone(), &json!({"inputs": bodies}))? {
                Got::Fine(json) => json,
                Got::Refused(refused) => {
                    self.look_at_schema(&refused.body)?;
                    let not_there = is_not_there(&refused.body) || refused.status == 404;
                    let ([alone], [sent]) = (self.operations, chunk) else {
                        return Err(self.exchange.refuse(&refused));
                    };
                    let taken =
                        (verb == Verb::Upsert).then(|| taken_by(self.section.kind, alone, &refused.body)).flatten();
                    if refused.status == 400 && taken.is_none() && self.again(sent, verb, &refused.body) {
                        continue;
                    }
                    let state = match verb {
                        Verb::Update if not_there => State::Lost(sent.id.clone()),
                        Verb::Upsert => match taken {
                            Some(id) => State::Taken(id),
                            None => return Err(self.exchange.refuse(&refused)),
                        },
                        Verb::Update => return Err(self.exchange.refuse(&refused)),
                    };
                    if let Some(first) = self.states.get_mut(sent.index) {
                        *first = state;
                    }
                    continue;
                }
            };
            let answered = Answered::read(&json)?;
            let called: Vec<Input<'_>> =
                chunk.iter().map(|sent| Input { trace: sent.index.to_string(), id: &sent.id }).collect();
            for (sent, fate) in chunk.iter().zip(fates(&answered, &called, of_result)) {
                let Some(operation) = self.operations.get(sent.index) else { continue };
                let state = match fate {
                    Fate::Confirmed(id) => State::Settled(Outcome::Done { remote_id: Some(id) }),
                    Fate::Refused(error) if verb == Verb::Update && is_not_there(error) => State::Lost(sent.id.clone()),
                    Fate::Refused(error) => {
                        match taken_by(self.section.kind, operation, error).filter(|_| verb == Verb::Upsert) {
                            Some(id) => State::Taken(id),
                            None => {
                                self.look_at_schema(error)?;
                                if self.again(sent, verb, error) {
                                    continue;
                                }
                                refused(format!("HubSpot refused: {}", reason::of(error, operation)))
                            }
                        }
                    }
                    Fate::Silent if self.exchange.alone() => {
                        rejected("HubSpot answered without confirming this record")
                    }
                    Fate::Silent => {
                        return Err(self.exchange.smaller("HubSpot answered without confirming all records"));
                    }
                };
                if let Some(before) = self.states.get_mut(sent.index) {
                    *before = state;
                }
            }
        }
        Ok(())
    }

    /// True if a refused input is to be sent once more, in another way.
    fn again(&mut self, sent: &Sent, verb: Verb, error: &Json) -> bool {
        (verb == Verb::Update && self.hold(sent.index, &sent.id, error)) || self.leave_out(sent.index, error)
    }

    /// Takes the records that stood in the way of a creation, if they are nobody else's. True if there were any.
    fn take(&mut self) -> Result<bool, Step> {
        let taken = |state: &State| if let State::Taken(id) = state { Some(id.clone()) } else { None };
        let values: BTreeSet<String> = self.states.iter().filter_map(taken).collect();
        if values.is_empty() {
            return Ok(false);
        }
        let kind = self.section.kind;
        let properties = kind.merged.iter().copied().chain(self.section.own()).collect();
        let names = |json: &Json| super::look::ids_of(kind, json);
        let seen = look(self.hubspot, kind, self.exchange, Look { by: None, values, properties }, names)?;
        for (operation, state) in self.operations.iter().zip(&mut self.states) {
            let Some(id) = taken(state) else { continue };
            let found =
                seen.found.get(&id).and_then(|found| found.first()).and_then(|json| Candidate::of(self.section, json));
            let owner = own_value(self.section, operation);
            *state = match found {
                Some(one) if one.owner.is_none() || one.owner.as_deref() == owner => State::Record(one.id),
                Some(_) => {
                    others(self.section, &(kind.natural.said)(key(operation, kind.natural.by).unwrap_or_default()))
                }
                None => rejected(format!("HubSpot says that a {} has this already, and finds none", kind.name)),
            };
        }
        Ok(true)
    }
}

fn given(kind: &Kind, operation: &Operation) -> State {
    if operation.keys.iter().any(|key| key.by == SHARED_RECORD) {
        return refused(format!("ambiguous: several {}s have this {}'s record id", kind.whose, kind.name));
    }
    match operation.remote_id.as_deref() {
        None => State::Unknown,
        Some(id) if !id.is_empty() && id.len() <= 20 && id.bytes().all(|byte| byte.is_ascii_digit()) => {
            State::Record(id.to_owned())
        }
        Some(_) => refused("the record id is none of HubSpot's, which have digits only"),
    }
}

pub(super) fn key<'a>(operation: &'a Operation, by: &str) -> Option<&'a str> {
    operation.keys.iter().find(|key| key.by == by).map(|key| key.value.as_str())
}

/// The record id that the config gives, if it gives one.
pub(super) fn configured_id(operation: &Operation) -> Option<&str> {
    key(operation, RECORD_ID)
}

/// The subject's id, where our own property is there to hold it. The property drops out of the fields if HubSpot has none
/// that fits; nothing can be found or created by it then.
pub(super) fn own_value<'a>(section: &Section, operation: &'a Operation) -> Option<&'a str> {
    let own = section.own()?;
    operation.fields.get(own).and_then(|change| change.new.as_text()).filter(|value| !value.is_empty())
}

/// The only record that fits is somebody else's.
fn others(section: &Section, said: &str) -> State {
    let Kind { name, whose, .. } = section.kind;
    refused(format!("the {name} with {said} belongs to another {whose}, by `{}`", section.own().unwrap_or_default()))
}

/// Two must not write one record, and HubSpot refuses a batch that names an id twice.
fn one_subject_each(kind: &Kind, states: &mut [State]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for state in &*states {
        if let State::Record(id) = state {
            *counts.entry(id.clone()).or_default() += 1;
        }
    }
    for state in states {
        if matches!(state, State::Record(id) if counts.get(id).is_some_and(|count| *count > 1)) {
            *state = refused(format!("ambiguous: several {}s match one {}", kind.whose, kind.name));
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

/// The record that has what must be unique, where HubSpot names it and the config allows to find it by that: the contact
/// with the same e-mail address among its further ones, or one that was made a moment ago.
fn taken_by(kind: &Kind, operation: &Operation, error: &Json) -> Option<String> {
    key(operation, kind.natural.by)?;
    let message = error.get("message").and_then(Json::as_str)?;
    let (_, rest) = message.split_once("Existing ID:")?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    (1..=20).contains(&digits.len()).then_some(digits)
}
