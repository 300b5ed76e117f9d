//! Tags of companies, in lists: what goes is taken away from up to fifty companies in one request, then what comes is set.
//!
//! Everything goes before anything comes, so a crash between leaves companies with too few tags of a group, never with two. A
//! list that is refused is halved until the company is alone that Intercom does not know; the others are not held up.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Answer, Method, Operation, Outcome};

use super::companies::{by_company_id, company_id};
use super::exchange::{Exchange, Next, encoded, id_of};
use super::found::company_tags;
use crate::{COMPANY, Intercom, TAG_FIELD, TAG_LIST, group_of, record_slot, tag_slot};

/// One company whose tag changes.
struct Member<'a> {
    operation: &'a Operation,
    /// Intercom's id of the company.
    id: String,
    /// True: it is named by our id, because Intercom no longer knows its own.
    by_our_id: bool,
    /// What became of it, once that is known.
    outcome: Option<Outcome>,
}

impl<'a> Member<'a> {
    fn new(operation: &'a Operation) -> Self {
        let company = || operation.refs.get(&record_slot(COMPANY, &operation.subject));
        let id = operation.remote_id.as_ref().or_else(company);
        let outcome =
            id.is_none().then(|| Outcome::Absent { why: "Intercom has no company with this company_id".into() });
        Self { operation, id: id.cloned().unwrap_or_default(), by_our_id: false, outcome }
    }

    fn item(&self, on: bool) -> Json {
        let mut item = match company_id(self.operation).filter(|_| self.by_our_id) {
            Some(ours) => json!({ "company_id": ours }),
            None => json!({ "id": self.id }),
        };
        if !on {
            item["untag"] = true.into();
        }
        item
    }

    fn new_tag(&self) -> Option<&'a str> {
        self.operation.fields.get(TAG_FIELD)?.new.as_text()
    }

    /// The tags that must go: the one that we set, or all others of the group where nobody knows what the company carries.
    fn old_tags(&self, intercom: &'a Intercom) -> Vec<&'a str> {
        let Some(change) = self.operation.fields.get(TAG_FIELD) else { return Vec::new() };
        let group = group_of(&self.operation.slot).map(|(group, _)| group).unwrap_or_default();
        let named = |tag: &&str| self.operation.needs.iter().any(|need| need.slot == tag_slot(tag));
        let siblings = || intercom.tags(COMPANY, &group).filter(named);
        let mut tags: Vec<&str> = match &change.old {
            Value::Text(old) => vec![old],
            Value::List(held) => held.iter().filter_map(Value::as_text).chain(siblings()).collect(),
            _ => siblings().collect(),
        };
        let new = self.new_tag().map(str::to_lowercase);
        tags.sort_by_key(|tag| tag.to_lowercase());
        tags.dedup_by_key(|tag| tag.to_lowercase());
        tags.retain(|tag| Some(tag.to_lowercase()) != new);
        tags
    }
}

pub(super) fn write(intercom: &Intercom, operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let mut members: Vec<Member<'_>> = operations.iter().map(Member::new).collect();
    let mut goes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut comes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        member.old_tags(intercom).into_iter().for_each(|tag| goes.entry(tag).or_default().push(at));
        member.new_tag().into_iter().for_each(|tag| comes.entry(tag).or_default().push(at));
    }
    for (on, lists) in [(false, goes), (true, comes)] {
        for (tag, mut list) in lists {
            // What failed on the way gets nothing: its old tag may still be there.
            list.retain(|at| members.get(*at).is_some_and(|member| member.outcome.is_none()));
            for chunk in list.chunks(TAG_LIST) {
                send(tag, on, chunk, &mut members, exchange)?;
            }
        }
    }
    let done = |member: Member<'_>| member.outcome.unwrap_or(Outcome::Done { remote_id: Some(member.id) });
    Ok(members.into_iter().map(done).collect())
}

fn send(tag: &str, on: bool, chunk: &[usize], members: &mut [Member<'_>], exchange: &mut Exchange<'_>) -> Next<()> {
    let items: Vec<Json> = chunk.iter().filter_map(|at| Some(members.get(*at)?.item(on))).collect();
    let body = json!({ "name": tag, "companies": items });
    let answer = exchange.ask(Method::Post, "/tags".into(), Some(body))?;
    if (200..300).contains(&answer.status) {
        return confirm(tag, on, chunk, answer, members, exchange);
    }
    // A refusal that names nothing of Intercom's own says nothing about one company either.
    if let ([_, _, ..], true) = (chunk, answer.json().get("errors").is_some()) {
        let (first, second) = chunk.split_at(chunk.len() / 2);
        send(tag, on, first, members, exchange)?;
        return send(tag, on, second, members, exchange);
    }
    let why = format!("Intercom refused the tag: {}", exchange.said(answer));
    for at in chunk {
        let Some(member) = members.get_mut(*at) else { continue };
        match answer.status {
            // It may have been made anew under another id of Intercom's.
            404 if chunk.len() == 1 && !member.by_our_id && company_id(member.operation).is_some() => {
                member.by_our_id = true;
                return send(tag, on, chunk, members, exchange);
            }
            404 if chunk.len() == 1 => {
                member.outcome = Some(Outcome::Gone { why: "the company was deleted in Intercom".into() });
            }
            _ => member.outcome = Some(Outcome::Rejected { why: why.clone() }),
        }
    }
    Ok(())
}

/// Reads what a success says of each company. Where it is silent about one, or says otherwise, the company itself is asked. An
/// answer without a list is the tag alone, as Intercom had it in earlier versions, and speaks for all.
fn confirm(
    tag: &str,
    on: bool,
    chunk: &[usize],
    answer: &Answer,
    members: &mut [Member<'_>],
    exchange: &mut Exchange<'_>,
) -> Next<()> {
    exchange.id(answer)?;
    let said = exchange.object(answer)?;
    let Some(list) = said.get("companies").and_then(Json::as_array) else { return Ok(()) };
    let tagged = |entry: &Json| entry.get("tagged").and_then(Json::as_bool).unwrap_or(on);
    for at in chunk {
        let Some(member) = members.get_mut(*at) else { continue };
        let ours = company_id(member.operation);
        let named = |entry: &&Json| {
            let id = id_of(entry);
            id.as_deref() == Some(member.id.as_str()) || (id.is_some() && id.as_deref() == ours)
        };
        let entry = list.iter().find(named).or_else(|| list.first().filter(|_| chunk.len() == 1 && list.len() == 1));
        match entry {
            Some(entry) if tagged(entry) == on => {
                if member.by_our_id {
                    member.id = id_of(entry).unwrap_or_default();
                }
            }
            // It never had what it was to lose.
            None if !on && list.is_empty() && member.operation.fields.values().all(|change| change.old.is_null()) => {}
            _ => {
                if carries(tag, member, exchange)? != Some(on) {
                    let why = "Intercom answered without confirming the tag of this company".into();
                    member.outcome = Some(Outcome::Rejected { why });
                }
            }
        }
    }
    Ok(())
}

/// Whether a company carries a tag; `None` if it is not there.
fn carries(tag: &str, member: &Member<'_>, exchange: &mut Exchange<'_>) -> Next<Option<bool>> {
    let company = match company_id(member.operation).filter(|_| member.by_our_id) {
        Some(ours) => by_company_id(ours, exchange)?,
        None => {
            let answer = exchange.ask(Method::Get, format!("/companies/{}", encoded(&member.id)), None)?;
            if answer.status == 404 { None } else { Some(exchange.object(answer)?) }
        }
    };
    let Some(company) = company else { return Ok(None) };
    Ok(Some(company_tags(&company)?.iter().any(|name| *name == tag.to_lowercase())))
}
