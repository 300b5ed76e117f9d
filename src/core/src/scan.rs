//! Calls read from their line by a scanner of our own, several times faster than `serde_json`.
//!
//! Where it answers, the answer is the one that `serde_json` would give; where it is in any doubt (an escape in a text that
//! is asked for, a fraction as an id, deep nesting), it does not answer and `serde_json` does. It never takes a line that
//! `serde_json` refuses: what is skipped is checked as well.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::call::{AccountPaths, Fields};

mod walk;

use walk::{Member, Walk, is_bare};

/// The account paths that are looked for while scanning, at most. Others are followed afterwards.
pub(crate) const LOOKED_FOR: usize = 4;

/// A JSON object's members: key and the value's JSON text.
pub type Members<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// The objects in which an account may be stated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Context,
    Properties,
    Traits,
}

/// Where a path leads that is looked for while scanning: one of the roots, and one name.
fn looked_for(path: &[String]) -> Option<(Root, &str)> {
    let [root, name] = path else { return None };
    let root = match root.as_str() {
        "context" => Root::Context,
        "properties" => Root::Properties,
        "traits" => Root::Traits,
        _ => return None,
    };
    Some((root, name.as_str()))
}

/// The value that the scanner found for the account path of this number; `None` if that is to be followed in another way.
pub(crate) fn found<'a, T>(fields: &Fields<'a, T>, number: usize, path: &[String]) -> Option<Option<&'a str>> {
    let found = fields.found?;
    looked_for(path).and_then(|_| found.get(number).copied())
}

/// What is looked for of the account paths, and what is found of it.
struct Lookout<'a, 'p> {
    wanted: [Option<(Root, &'p str)>; LOOKED_FOR],
    found: [Option<&'a str>; LOOKED_FOR],
}

impl<'a> Lookout<'a, '_> {
    /// Walks over the value of a root, notes what is looked for in it, and returns its text and the place after it.
    #[inline]
    fn object(&mut self, walk: &mut Walk<'a>, root: Root, at: usize) -> Option<(&'a str, usize)> {
        let mut names = [&b""[..]; LOOKED_FOR];
        for (number, wanted) in self.wanted.iter().enumerate() {
            if let Some((_, name)) = wanted.filter(|wanted| wanted.0 == root) {
                names[number] = name.as_bytes();
                // Of a repeated root the last counts.
                self.found[number] = None;
            }
        }
        let end = match walk.byte(at)? {
            b'{' if names.iter().any(|name| !name.is_empty()) => walk.object(at, |walk, member| {
                let key = walk.key(member)?;
                let end = walk.skip(member, 2)?;
                for (number, name) in names.iter().enumerate() {
                    if name.len() == key.len() && *name == key && !key.is_empty() {
                        self.found[number] = Some(walk.slice(member.value, end)?);
                    }
                }
                Some(end)
            })?,
            _ => walk.value(at, 1)?,
        };
        Some((walk.slice(at, end)?, end))
    }
}

/// Reads the fields of a line; `None` where `serde_json` is to be asked, and what stands in `fields` means nothing.
pub(crate) fn read<'a>(line: &'a str, accounts: &AccountPaths, fields: &mut Fields<'a, &'a str>) -> Option<()> {
    let mut lookout = Lookout { wanted: [None; LOOKED_FOR], found: [None; LOOKED_FOR] };
    for (wanted, path) in lookout.wanted.iter_mut().zip(&accounts.0) {
        *wanted = looked_for(path);
    }
    let mut walk = Walk::new(line);
    let open = walk.solid(0);
    if walk.byte(open)? != b'{' {
        return None;
    }
    let end = walk.object(open, |walk, member| {
        let key = walk.key(member)?;
        let field = match (key.len(), key) {
            (4, b"type") => &mut fields.kind,
            (4, b"name") => &mut fields.name,
            (5, b"event") => &mut fields.event,
            (6, b"userId") => &mut fields.user_id,
            (6, b"sentAt") => &mut fields.sent_at,
            (7, b"groupId") => &mut fields.group_id,
            (9, b"messageId") => &mut fields.message_id,
            (9, b"timestamp") => &mut fields.timestamp,
            (10, b"previousId") => &mut fields.previous_id,
            (10, b"receivedAt") => &mut fields.received_at,
            (11, b"anonymousId") => &mut fields.anonymous_id,
            (17, b"originalTimestamp") => &mut fields.original_timestamp,
            (7, b"context") => {
                let (raw, end) = lookout.object(walk, Root::Context, member.value)?;
                fields.context = Some(raw);
                return Some(end);
            }
            (10, b"properties") => {
                let (raw, end) = lookout.object(walk, Root::Properties, member.value)?;
                fields.properties = Some(raw);
                return Some(end);
            }
            (6, b"traits") => {
                let (raw, end) = lookout.object(walk, Root::Traits, member.value)?;
                fields.traits = Some(raw).filter(|raw| *raw != "null");
                return Some(end);
            }
            _ => return walk.skip(member, 1),
        };
        let (text, end) = text(walk, member)?;
        *field = text;
        Some(end)
    })?;
    fields.found = Some(lookout.found);
    walk.ends(end).then_some(())
}

/// A text, or an integer as its text; null, true and false and empty text count as absent.
#[inline(always)]
fn text<'a>(walk: &mut Walk<'a>, member: Member) -> Option<(Option<&'a str>, usize)> {
    let at = member.value;
    match walk.byte(at)? {
        b'"' => {
            let close = match member.end {
                Some(close) => close,
                None => walk.string(at)?,
            };
            Some((Some(walk.plain(at, close)?).filter(|text| !text.is_empty()), close + 1))
        }
        b'n' | b't' | b'f' => Some((None, walk.literal(at)?)),
        _ => {
            let (end, whole) = walk.number(at)?;
            let number = walk.slice(at, end)?;
            (whole && is_whole(number)).then_some((Some(number), end))
        }
    }
}

/// The text that a value stands for, as [`text`] has it, objects and lists being absent too; `None` where `serde_json` is to
/// be asked. The value must have been found valid.
pub(crate) fn loose(value: &str) -> Option<Option<&str>> {
    match value.as_bytes() {
        [b'"', text @ .., b'"'] if is_bare(text) => Some(value.get(1..value.len() - 1).filter(|text| !text.is_empty())),
        [b'n' | b't' | b'f' | b'{' | b'[', ..] => Some(None),
        _ => is_whole(value).then_some(Some(value)),
    }
}

/// Whether a valid JSON value is a whole number: it is its own text, whatever its size. A negative zero is a fraction to
/// `serde_json`.
pub(crate) fn is_whole(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && value != "-0"
}

/// The last member of this name of a value that is an object; `None` where `serde_json` is to be asked.
pub(crate) fn find<'a>(value: &'a str, name: &str) -> Option<Option<&'a str>> {
    let mut found = None;
    let mut walk = Walk::new(value);
    let end = walk.object(0, |walk, member| {
        let key = walk.key(member)?;
        let end = walk.skip(member, 1)?;
        if key == name.as_bytes() && !name.is_empty() {
            found = Some(walk.slice(member.value, end)?);
        }
        Some(end)
    })?;
    walk.ends(end).then_some(found.filter(|value| *value != "null"))
}

/// The members of a JSON object, sorted by key, of a repeated key the last; the values as JSON text. `None` if it is not
/// an object.
pub fn members(raw: &str) -> Option<Members<'_>> {
    let mut members = Vec::new();
    members_into(raw, &mut members).then_some(members)
}

/// [`members`] into a list that is kept for the next time. False, and the list empty, if it is not an object.
pub fn members_into<'a>(raw: &'a str, members: &mut Members<'a>) -> bool {
    members.clear();
    if plain_members(raw, members).is_none() {
        members.clear();
        let Ok(map) = serde_json::from_str::<BTreeMap<Cow<'a, str>, &'a RawValue>>(raw) else { return false };
        members.extend(map.into_iter().map(|(key, value)| (key, value.get())));
    }
    true
}

fn plain_members<'a>(raw: &'a str, members: &mut Members<'a>) -> Option<()> {
    let mut walk = Walk::new(raw);
    let open = walk.solid(0);
    if walk.byte(open)? != b'{' {
        return None;
    }
    let mut sorted = true;
    let end = walk.object(open, |walk, member| {
        let key = walk.plain(member.key, member.close)?;
        let end = walk.skip(member, 1)?;
        sorted &= members.last().is_none_or(|(last, _)| **last < *key);
        members.push((Cow::Borrowed(key), walk.slice(member.value, end)?));
        Some(end)
    })?;
    if !walk.ends(end) {
        return None;
    }
    if !sorted {
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        members.dedup_by(|later, earlier| {
            let again = later.0 == earlier.0;
            if again {
                earlier.1 = later.1;
            }
            again
        });
    }
    Some(())
}
