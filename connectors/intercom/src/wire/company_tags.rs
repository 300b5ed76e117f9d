//! Tags of companies, in lists: what goes is taken away from up to fifty companies in one request, then what comes is set.
//!
//! Everything goes before anything comes, so a crash between leaves companies with too few tags of a group, never with two.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Answer, Method, Operation, Outcome};

use super::companies::{by_company_id, company_id};
use super::exchange::{Exchange, Next, encoded, id_of};
use super::found::company_tags;
use super::tag_lists::{self, Listed, refusal};
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
                tag_lists::send(tag, on, chunk, &mut members, exchange)?;
            }
        }
    }
    let done = |member: Member<'_>| member.outcome.unwrap_or(Outcome::Done { remote_id: Some(member.id) });
    Ok(members.into_iter().map(done).collect())
}

impl Listed for Member<'_> {
    const LIST: &'static str = "companies";

    fn outcome(&mut self) -> &mut Option<Outcome> {
        &mut self.outcome
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

    fn is_named(&self, entry: &Json) -> bool {
        let id = id_of(entry);
        id.as_deref() == Some(self.id.as_str()) || (id.is_some() && id.as_deref() == company_id(self.operation))
    }

    fn confirmed(&mut self, entry: &Json) {
        if self.by_our_id {
            self.id = id_of(entry).unwrap_or_default();
        }
    }

    fn refused(&mut self, tag: &str, on: bool, answer: &Answer, exchange: &mut Exchange<'_>) -> Next<()> {
        self.outcome = Some(match answer.status {
            // It may have been made anew under another id of Intercom's.
            404 if !self.by_our_id && company_id(self.operation).is_some() => {
                self.by_our_id = true;
                return tag_lists::send(tag, on, &[0], std::slice::from_mut(self), exchange);
            }
            404 => Outcome::Gone { why: "the company was deleted in Intercom".into() },
            _ => refusal(answer, exchange),
        });
        Ok(())
    }

    fn unconfirmed(&mut self, tag: &str, on: bool, nothing: bool, exchange: &mut Exchange<'_>) -> Next<()> {
        // Nobody saw it with what it was to lose.
        let is_it = |old: &Value| old.as_text().is_some_and(|old| old.to_lowercase() == tag.to_lowercase());
        let seen = |old: &Value| matches!(old, Value::List(held) if held.iter().any(is_it)) || is_it(old);
        if !on && nothing && !self.operation.fields.values().any(|change| seen(&change.old)) {
            return Ok(());
        }
        if carries(tag, self, exchange)? != Some(on) {
            let why = "Intercom answered without confirming the tag of this company".into();
            self.outcome = Some(Outcome::Rejected { why });
        }
        Ok(())
    }
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
