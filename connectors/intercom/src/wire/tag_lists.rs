//! The list form of `POST /tags`: one request for up to fifty companies or contacts.
//!
//! A list that is refused is halved until the one is alone that Intercom does not know; the others are not held up. What a
//! success does not confirm, or says otherwise, is looked at one by one.

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Answer, Method, Outcome};

use super::exchange::{Exchange, Next};

/// A record that can stand in a list.
pub(super) trait Listed {
    /// The list's key, in the request and in the answer.
    const LIST: &'static str;

    /// What became of the record, once that is known.
    fn outcome(&mut self) -> &mut Option<Outcome>;
    /// The record as an item of the list; `on`: the tag is set, not taken away.
    fn item(&self, on: bool) -> Json;
    /// Whether an item of an answer is about this record.
    fn is_named(&self, entry: &Json) -> bool;
    /// An item of an answer said what was asked.
    fn confirmed(&mut self, _entry: &Json) {}
    /// Speaks of this record without a list, where Intercom has a way; false: it has none.
    fn alone(&mut self, _tag: &str, _exchange: &mut Exchange<'_>) -> Next<bool> {
        Ok(false)
    }
    /// A list of this record alone was refused.
    fn refused(&mut self, tag: &str, on: bool, answer: &Answer, exchange: &mut Exchange<'_>) -> Next<()>;
    /// A success said nothing of this record, or otherwise; `nothing`: of no record at all.
    fn unconfirmed(&mut self, tag: &str, on: bool, nothing: bool, exchange: &mut Exchange<'_>) -> Next<()>;
}

/// Why a tag was not taken, as an outcome.
pub(super) fn refusal(answer: &Answer, exchange: &Exchange<'_>) -> Outcome {
    Outcome::Rejected { why: format!("Intercom refused the tag: {}", exchange.said(answer)) }
}

/// Sets a tag on some of the records, or takes it away from them.
pub(super) fn send<T: Listed>(
    tag: &str,
    on: bool,
    chunk: &[usize],
    members: &mut [T],
    exchange: &mut Exchange<'_>,
) -> Next<()> {
    if let [at] = chunk
        && let Some(member) = members.get_mut(*at)
        && member.alone(tag, exchange)?
    {
        return Ok(());
    }
    let items: Vec<Json> = chunk.iter().filter_map(|at| Some(members.get(*at)?.item(on))).collect();
    let body = json!({ "name": tag, T::LIST: items });
    let answer = exchange.ask(Method::Post, "/tags".into(), Some(body))?;
    if (200..300).contains(&answer.status) {
        return confirm(tag, on, chunk, answer, members, exchange);
    }
    match chunk {
        [at] => members.get_mut(*at).map_or(Ok(()), |member| member.refused(tag, on, answer, exchange)),
        _ if answer.json().get("errors").is_some() => {
            let (first, second) = chunk.split_at(chunk.len() / 2);
            send(tag, on, first, members, exchange)?;
            send(tag, on, second, members, exchange)
        }
        // A refusal that names nothing of Intercom's own says nothing about one record either.
        _ => {
            for at in chunk {
                let Some(member) = members.get_mut(*at) else { continue };
                *member.outcome() = Some(refusal(answer, exchange));
            }
            Ok(())
        }
    }
}

/// Reads what a success says of each record. An answer without a list is the tag alone, as Intercom had it in earlier versions,
/// and speaks for all.
fn confirm<T: Listed>(
    tag: &str,
    on: bool,
    chunk: &[usize],
    answer: &Answer,
    members: &mut [T],
    exchange: &mut Exchange<'_>,
) -> Next<()> {
    exchange.id(answer)?;
    let said = exchange.object(answer)?;
    let Some(list) = said.get(T::LIST).and_then(Json::as_array) else { return Ok(()) };
    let tagged = |entry: &Json| entry.get("tagged").and_then(Json::as_bool).unwrap_or(on);
    for at in chunk {
        let Some(member) = members.get_mut(*at) else { continue };
        let named = list.iter().find(|entry| member.is_named(entry));
        match named.or_else(|| list.first().filter(|_| chunk.len() == 1 && list.len() == 1)) {
            Some(entry) if tagged(entry) == on => member.confirmed(entry),
            entry => member.unconfirmed(tag, on, entry.is_none() && list.is_empty(), exchange)?,
        }
    }
    Ok(())
}
