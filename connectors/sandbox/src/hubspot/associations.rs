//! Associations of contacts and companies, of the unlabelled kind.
//!
//! Making one that is there already changes nothing. Whoever has none is named among the errors of a read, as at HubSpot.
//! Deliberately not here: labels, limits of a record, other object types.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::batch::{answer, malformed};
use super::store::ObjectType;
use super::{Dialect, Outcome, Problem};
use crate::http::{Answer, Call};

/// So many companies of one contact are a page of a read.
const PAGE: usize = 500;

/// The unlabelled associations that there are, contact first.
#[derive(Debug, Default)]
pub(super) struct Associations(BTreeSet<(u64, u64)>);

/// Which way a path names the two object types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ContactToCompany,
    CompanyToContact,
}

impl Way {
    /// The way between two object types as a path names them.
    pub fn of(from: &str, to: &str) -> Outcome<Self> {
        let is = |name: &str, names: [&str; 4]| names.contains(&name);
        let (company, contact) =
            (["companies", "company", "0-2", "COMPANY"], ["contacts", "contact", "0-1", "CONTACT"]);
        match () {
            () if is(from, contact) && is(to, company) => Ok(Self::ContactToCompany),
            () if is(from, company) && is(to, contact) => Ok(Self::CompanyToContact),
            () => Err(Problem::invalid(format!("No default association from {from} to {to}"))),
        }
    }

    fn pair(self, from: u64, to: u64) -> (u64, u64) {
        if self == Self::ContactToCompany { (from, to) } else { (to, from) }
    }

    /// HubSpot's numbers of the unlabelled kind, there and back.
    fn types(self) -> [u64; 2] {
        if self == Self::ContactToCompany { [279, 280] } else { [280, 279] }
    }
}

impl Associations {
    /// Contact and company of each, as ids.
    pub fn state(&self) -> Vec<Value> {
        self.0.iter().map(|(contact, company)| json!([contact.to_string(), company.to_string()])).collect()
    }

    /// A record was merged into another, which takes its associations.
    pub fn merged(&mut self, gone: u64, left: u64) {
        let moved = |id: u64| if id == gone { left } else { id };
        self.0 = self.0.iter().map(|(contact, company)| (moved(*contact), moved(*company))).collect();
    }

    /// Associates two records, by the path of one of them.
    pub fn put(
        &mut self,
        way: Way,
        from: (&ObjectType, &str),
        to: (&ObjectType, &str),
        call: &Call,
    ) -> Outcome<Answer> {
        let (from, to) = (live(from.0, from.1)?, live(to.0, to.1)?);
        self.0.insert(way.pair(from, to));
        Ok(answer(call, Dialect::Plain, 200, both(way, from, to), vec![]))
    }

    /// `batch/…` between two object types.
    pub fn batch(
        &mut self,
        way: Way,
        (from, to): (&ObjectType, &ObjectType),
        call: &Call,
        what: &[&str],
        dialect: Dialect,
    ) -> Outcome<Answer> {
        match (call.method, what) {
            ("POST", ["associate", "default"]) => self.associate(way, (from, to), call, dialect),
            ("POST", ["read"]) => self.read(way, (from, to), call, dialect),
            ("POST", ["archive"]) => {
                for input in inputs(call, 100)? {
                    let from = end(&input, "from")?;
                    for to in input["to"].as_array().into_iter().flatten() {
                        let to = to["id"].as_str().unwrap_or_default();
                        if let (Ok(from), Ok(to)) = (from.parse(), to.parse()) {
                            self.0.remove(&way.pair(from, to));
                        }
                    }
                }
                Ok(Answer::empty(204))
            }
            _ => Err(Problem::not_found("resource not found")),
        }
    }

    fn associate(
        &mut self,
        way: Way,
        (from, to): (&ObjectType, &ObjectType),
        call: &Call,
        dialect: Dialect,
    ) -> Outcome<Answer> {
        let (mut results, mut errors) = (vec![], vec![]);
        let ends = |input: &Value| Ok((end(input, "from")?.to_owned(), end(input, "to")?.to_owned()));
        let pairs: Vec<(String, String)> = inputs(call, 2_000)?.iter().map(ends).collect::<Outcome<_>>()?;
        for (from_id, to_id) in pairs {
            match (live(from, &from_id), live(to, &to_id)) {
                (Ok(from), Ok(to)) => {
                    self.0.insert(way.pair(from, to));
                    results.extend(both(way, from, to));
                }
                (Err(problem), _) | (_, Err(problem)) => {
                    errors.push(problem.with("fromObjectId", vec![from_id]).with("toObjectId", vec![to_id]).item());
                }
            }
        }
        Ok(answer(call, dialect, 200, results, errors))
    }

    fn read(&self, way: Way, (from, to): (&ObjectType, &ObjectType), call: &Call, dialect: Dialect) -> Outcome<Answer> {
        let (mut results, mut errors) = (vec![], vec![]);
        for input in inputs(call, 1_000)? {
            let Some(id) = input["id"].as_str() else { return Err(malformed("id is not a string".into())) };
            let asked = from.live(id).map(|object| object.id);
            let others = self.0.iter().map(|(contact, company)| match way {
                Way::ContactToCompany => (*contact, *company),
                Way::CompanyToContact => (*company, *contact),
            });
            let of_asked = others.filter(|(one, other)| Some(*one) == asked && to.live(&other.to_string()).is_some());
            let kind = json!([{"category": "HUBSPOT_DEFINED", "typeId": way.types()[0], "label": null}]);
            let after: u64 = input["after"].as_str().and_then(|after| after.parse().ok()).unwrap_or(0);
            let mut to: Vec<u64> = of_asked.map(|(_, other)| other).filter(|other| *other > after).collect();
            to.sort_unstable();
            let more = to.len() > PAGE;
            to.truncate(PAGE);
            let shown: Vec<Value> =
                to.iter().map(|other| json!({"toObjectId": other, "associationTypes": kind})).collect();
            if to.is_empty() {
                let problem = Problem::not_found(format!("No association was found for {id}."));
                errors.push(problem.with("fromObjectId", vec![id.to_owned()]).item());
            } else {
                let mut result = json!({"from": {"id": id}, "to": shown});
                if let Some(last) = to.last().filter(|_| more) {
                    result["paging"] = json!({"next": {"after": last.to_string()}});
                }
                results.push(result);
            }
        }
        Ok(answer(call, dialect, 200, results, errors))
    }
}

/// What HubSpot says of one association: both directions.
fn both(way: Way, from: u64, to: u64) -> Vec<Value> {
    let one = |from: u64, to: u64, kind: u64| {
        json!({"from": {"id": from.to_string()}, "to": {"id": to.to_string()},
            "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}})
    };
    let [there, back] = way.types();
    vec![one(from, to, there), one(to, from, back)]
}

fn live(kind: &ObjectType, id: &str) -> Outcome<u64> {
    let gone = || Problem::not_found(format!("No {} with ID {id} exists", kind.label.to_lowercase()));
    kind.live(id).map(|object| object.id).ok_or_else(gone)
}

fn end<'a>(input: &'a Value, side: &str) -> Outcome<&'a str> {
    input[side]["id"].as_str().ok_or_else(|| malformed(format!("Some required fields were not set: [{side}.id]")))
}

fn inputs(call: &Call, most: usize) -> Outcome<Vec<Value>> {
    let body = call.json().map_err(malformed)?;
    let inputs = body["inputs"].as_array().cloned().unwrap_or_default();
    if inputs.len() > most {
        return Err(Problem::invalid(format!("The maximum batch size is {most}, but {} were given", inputs.len())));
    }
    Ok(inputs)
}
