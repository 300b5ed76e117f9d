//! One call of a Segment-style source, read from a line of JSON without copying.
//!
//! Tolerant where vendors differ (a number as user id, RudderStack's `context.traits`, a repeated key: the last counts),
//! strict where a count would be wrong: a line that says not who, what or when is rejected with the reason. Times in the
//! future are clamped to `receivedAt`. Nothing is resolved here: which account or person an id stands for is decided when
//! accounts are evaluated.
//!
//! Lines are read by [`crate::scan`] where they are ordinary; what it leaves, and what a line means at all, is `serde_json`'s.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::scan;
use crate::time::Timestamp;

/// Lines longer than this are rejected unread (Segment's own limit for a call is 32 KB).
pub const MAX_LINE: usize = 1 << 20;

/// A name of an account, user or event has at most so many bytes. Longer ones of users and events are filed together, since
/// their account still counts; a call for a longer account is for none that is known and must not count for another one.
pub const MAX_NAME: usize = 1024;

/// Times outside these years are taken for a broken clock.
const YEARS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// Somebody did something.
    Track,
    /// Somebody is known, with traits.
    Identify,
    /// Somebody belongs to an account, with the account's traits.
    Group,
    /// Somebody saw a page.
    Page,
    /// Somebody saw a screen.
    Screen,
    /// One id continues another.
    Alias,
}

/// A call, borrowed from its line where possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    /// What it does.
    pub kind: CallKind,
    /// The sender's id of the call.
    pub message_id: Option<Cow<'a, str>>,
    /// The identified user.
    pub user_id: Option<Cow<'a, str>>,
    /// The device or browser.
    pub anonymous_id: Option<Cow<'a, str>>,
    /// What an alias continues.
    pub previous_id: Option<Cow<'a, str>>,
    /// The account that the call states, if it does; of a group call always.
    pub account: Option<Cow<'a, str>>,
    /// The event's name; of a page or screen its name, if it has one.
    pub event: Option<Cow<'a, str>>,
    /// When it happened, never after `received`.
    pub time: Timestamp,
    /// When the source received it; where it does not say, when it happened.
    pub received: Timestamp,
    /// The user's traits (identify) or the account's (group), as JSON text.
    pub traits: Option<&'a str>,
    /// The properties of a track, page or screen call, as JSON text.
    pub properties: Option<&'a str>,
    /// True if the call does not say when it was received.
    pub undated: bool,
}

/// Why a line was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// Not a JSON object.
    BadJson,
    /// Over [`MAX_LINE`].
    TooLong,
    /// No `type`.
    NoType,
    /// A `type` that is none of the six.
    UnknownType,
    /// No call but a request to forget its user: see [`deletion`].
    Deletion,
    /// Neither `userId` nor `anonymousId`.
    NoUser,
    /// A track call without an event name.
    NoEvent,
    /// A group call without an account.
    NoAccount,
    /// An account beyond [`MAX_NAME`].
    LongAccount,
    /// A time that is missing, unreadable or outside the years 2000–2099.
    AbsurdTime,
}

impl Rejection {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::TooLong => "too_long",
            Self::NoType => "no_type",
            Self::UnknownType => "unknown_type",
            Self::Deletion => "deletion",
            Self::NoUser => "no_user",
            Self::NoEvent => "no_event",
            Self::NoAccount => "no_account",
            Self::LongAccount => "long_account",
            Self::AbsurdTime => "absurd_time",
        }
    }
}

/// Where a call may state its account: dotted paths, the first found counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPaths(pub Vec<Vec<String>>);

impl Default for AccountPaths {
    fn default() -> Self {
        Self(vec![vec!["context".into(), "groupId".into()]])
    }
}

/// The fields of a line as written; objects as their JSON text.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a, T> {
    pub(crate) kind: Option<T>,
    pub(crate) message_id: Option<T>,
    pub(crate) user_id: Option<T>,
    pub(crate) anonymous_id: Option<T>,
    pub(crate) previous_id: Option<T>,
    pub(crate) group_id: Option<T>,
    pub(crate) event: Option<T>,
    pub(crate) name: Option<T>,
    pub(crate) timestamp: Option<T>,
    pub(crate) original_timestamp: Option<T>,
    pub(crate) sent_at: Option<T>,
    pub(crate) received_at: Option<T>,
    pub(crate) context: Option<&'a str>,
    pub(crate) properties: Option<&'a str>,
    pub(crate) traits: Option<&'a str>,
    /// What the scanner found of the account paths, if it read the line.
    pub(crate) found: Option<[Option<&'a str>; scan::LOOKED_FOR]>,
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// [`crate::scan`], and `serde_json` what it leaves.
    Scanner,
    /// `serde_json` alone.
    Careful,
}

impl<T> Fields<'_, T> {
    /// Who read the line goes on with what is in it.
    fn way(&self) -> Way {
        if self.found.is_some() { Way::Scanner } else { Way::Careful }
    }
}

impl<T: AsRef<str>> Fields<'_, T> {
    fn texts(&self) -> [Option<&str>; 15] {
        let [kind, message, user, device, previous, group, event, name, time, original, sent, received] = [
            &self.kind,
            &self.message_id,
            &self.user_id,
            &self.anonymous_id,
            &self.previous_id,
            &self.group_id,
            &self.event,
            &self.name,
            &self.timestamp,
            &self.original_timestamp,
            &self.sent_at,
            &self.received_at,
        ]
        .map(|text| text.as_ref().map(T::as_ref));
        let (context, properties, traits) = (self.context, self.properties, self.traits);
        [
            kind, message, user, device, previous, group, event, name, time, original, sent, received, context,
            properties, traits,
        ]
    }
}

/// Reads one line.
#[inline]
pub fn parse<'a>(line: &'a [u8], accounts: &AccountPaths) -> Result<Call<'a>, Rejection> {
    let text = text(line)?;
    let mut fields = Fields::default();
    match scan::read(text, accounts, &mut fields) {
        Some(()) => call(&fields, accounts),
        None => call(&careful(text)?, accounts),
    }
}

/// The user whom a request to forget is about (`{"type":"delete","userId":…}`, as Segment sends it).
pub fn deletion(line: &[u8]) -> Option<String> {
    let fields = careful(text(line).ok()?).ok()?;
    fields.user_id.filter(|_| fields.kind.as_deref() == Some("delete")).map(Cow::into_owned)
}

/// The same without the scanner: what the tests compare with.
#[doc(hidden)]
pub fn parse_carefully<'a>(line: &'a [u8], accounts: &AccountPaths) -> Result<Call<'a>, Rejection> {
    call(&careful(text(line)?)?, accounts)
}

/// Whether the scanner takes a line, and if so, whether it finds in it what `serde_json` finds: for the tests.
#[doc(hidden)]
pub fn taken(line: &[u8], accounts: &AccountPaths) -> Option<bool> {
    let text = text(line).ok()?;
    let mut fields = Fields::default();
    scan::read(text, accounts, &mut fields)?;
    Some(careful(text).is_ok_and(|careful| careful.texts() == fields.texts()))
}

fn text(line: &[u8]) -> Result<&str, Rejection> {
    if line.len() > MAX_LINE {
        return Err(Rejection::TooLong);
    }
    simdutf8::basic::from_utf8(line).map_err(|_| Rejection::BadJson)
}

pub(crate) fn careful(text: &str) -> Result<Fields<'_, Cow<'_, str>>, Rejection> {
    serde_json::from_str(text).map_err(|_| Rejection::BadJson)
}

#[inline]
fn call<'a, T>(fields: &Fields<'a, T>, accounts: &AccountPaths) -> Result<Call<'a>, Rejection>
where
    T: Clone + AsRef<str> + Into<Cow<'a, str>>,
{
    let kind = match fields.kind.as_ref().map(T::as_ref) {
        None => return Err(Rejection::NoType),
        Some("track") => CallKind::Track,
        Some("identify") => CallKind::Identify,
        Some("group") => CallKind::Group,
        Some("page") => CallKind::Page,
        Some("screen") => CallKind::Screen,
        Some("alias") => CallKind::Alias,
        Some("delete") if fields.user_id.is_some() => return Err(Rejection::Deletion),
        Some(_) => return Err(Rejection::UnknownType),
    };
    if fields.user_id.is_none() && fields.anonymous_id.is_none() {
        return Err(Rejection::NoUser);
    }
    // Derived events are counted under names that begin so.
    let named = |name: &Option<T>| name.as_ref().is_some_and(|name| !name.as_ref().starts_with(crate::derived::MARK));
    if kind == CallKind::Track && !named(&fields.event) {
        return Err(Rejection::NoEvent);
    }
    let stated = || accounts.0.iter().enumerate().find_map(|(number, path)| stated_account(fields, number, path));
    let account = match kind {
        CallKind::Group => own(&fields.group_id).or_else(stated),
        _ => stated(),
    };
    if kind == CallKind::Group && account.is_none() {
        return Err(Rejection::NoAccount);
    }
    let counts_for_it = !matches!(kind, CallKind::Identify | CallKind::Alias);
    if counts_for_it && account.as_ref().is_some_and(|account| account.len() > MAX_NAME) {
        return Err(Rejection::LongAccount);
    }
    let (time, received) = times(fields)?;
    let way = fields.way();
    let is_event = matches!(kind, CallKind::Track | CallKind::Page | CallKind::Screen);
    let traits = match kind {
        CallKind::Identify | CallKind::Group => fields
            .traits
            .or_else(|| (kind == CallKind::Identify).then(|| pick_raw(fields.context?, "traits", way)).flatten()),
        _ => None,
    };
    let event = match kind {
        CallKind::Track => &fields.event,
        CallKind::Page | CallKind::Screen => &fields.name,
        _ => &None,
    };
    Ok(Call {
        kind,
        message_id: own(&fields.message_id),
        user_id: own(&fields.user_id),
        anonymous_id: own(&fields.anonymous_id),
        previous_id: own(&fields.previous_id),
        account,
        event: own(event).filter(|name| !name.starts_with(crate::derived::MARK)),
        time,
        received,
        traits,
        properties: fields.properties.filter(|raw| is_event && *raw != "null"),
        undated: fields.received_at.is_none(),
    })
}

fn own<'a, T: Clone + Into<Cow<'a, str>>>(text: &Option<T>) -> Option<Cow<'a, str>> {
    text.clone().map(T::into)
}

/// When a call happened and was received. A missing `receivedAt` is when it happened; a missing `timestamp` is
/// `originalTimestamp`, else `sentAt`, else `receivedAt`.
fn times<T: AsRef<str>>(fields: &Fields<'_, T>) -> Result<(Timestamp, Timestamp), Rejection> {
    let read = |text: &Option<T>| match text {
        None => Ok(None),
        Some(text) => {
            moment(text.as_ref()).filter(|time| YEARS.contains(&time.0)).map(Some).ok_or(Rejection::AbsurdTime)
        }
    };
    let received = read(&fields.received_at)?;
    let happened = match read(&fields.timestamp)? {
        Some(time) => Some(time),
        None => read(&fields.original_timestamp)?.or(read(&fields.sent_at)?),
    };
    match (happened, received) {
        (Some(time), Some(received)) => Ok((time.min(received), received)),
        (Some(time), None) | (None, Some(time)) => Ok((time, time)),
        (None, None) => Err(Rejection::AbsurdTime),
    }
}

/// ISO 8601, or a number of seconds or milliseconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| {
        let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
        Some(Timestamp(if number.abs() < 1e11 { number * 1000.0 } else { number } as i64))
    })
}

fn stated_account<'a, T>(fields: &Fields<'a, T>, number: usize, path: &[String]) -> Option<Cow<'a, str>>
where
    T: Clone + Into<Cow<'a, str>>,
{
    if let Some(found) = scan::found(fields, number, path) {
        return pick(found?, &[], Way::Scanner);
    }
    let (first, rest) = path.split_first()?;
    let root = match first.as_str() {
        "context" => fields.context,
        "properties" => fields.properties,
        "traits" => fields.traits,
        "groupId" if rest.is_empty() => return own(&fields.group_id),
        "userId" if rest.is_empty() => return own(&fields.user_id),
        _ => None,
    }?;
    pick(root, rest, fields.way())
}

fn pick<'a>(raw: &'a str, path: &[String], way: Way) -> Option<Cow<'a, str>> {
    match path.split_first() {
        None => match scan::loose(raw).filter(|_| way == Way::Scanner) {
            Some(text) => text.map(Cow::Borrowed),
            None => serde_json::from_str::<Loose<'a>>(raw).ok()?.0,
        },
        Some((key, rest)) => pick(pick_raw(raw, key, way)?, rest, way),
    }
}

/// The value of one key of a JSON object; null counts as absent.
fn pick_raw<'a>(raw: &'a str, key: &str, way: Way) -> Option<&'a str> {
    if !raw.starts_with('{') {
        return None;
    }
    let found = if way == Way::Scanner { scan::find(raw, key) } else { None };
    found.unwrap_or_else(|| careful_pick(raw, key))
}

fn careful_pick<'a>(raw: &'a str, key: &str) -> Option<&'a str> {
    struct Pick<'k>(&'k str);
    impl<'de> Visitor<'de> for Pick<'_> {
        type Value = Option<&'de str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(name) = map.next_key::<Loose<'de>>()? {
                if name.0.as_deref() == Some(self.0) {
                    found = Some(map.next_value::<&'de RawValue>()?.get());
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found.filter(|raw| *raw != "null"))
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(Pick(key)).ok()?
}

/// Text, or a number as its text, a whole one with all its digits, however many; anything else, and empty text, counts as absent.
struct Loose<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Loose<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Loose<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Loose((!text.is_empty()).then_some(Cow::Borrowed(text))))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Loose((!text.is_empty()).then(|| Cow::Owned(text.to_owned()))))
            }
            // Whole ones are taken as they are written.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Loose(number.is_finite().then(|| crate::value::plain_number(number).into())))
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Loose(None))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Loose(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
        }
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        if scan::is_whole(raw) {
            return Ok(Loose(Some(Cow::Borrowed(raw))));
        }
        serde_json::Deserializer::from_str(raw).deserialize_any(Reader).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Fields<'de, Cow<'de, str>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de, Cow<'de, str>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a call as a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Loose<'de>>()? {
                    match key.0.as_deref().unwrap_or_default() {
                        "type" => fields.kind = map.next_value::<Loose<'de>>()?.0,
                        "messageId" => fields.message_id = map.next_value::<Loose<'de>>()?.0,
                        "userId" => fields.user_id = map.next_value::<Loose<'de>>()?.0,
                        "anonymousId" => fields.anonymous_id = map.next_value::<Loose<'de>>()?.0,
                        "previousId" => fields.previous_id = map.next_value::<Loose<'de>>()?.0,
                        "groupId" => fields.group_id = map.next_value::<Loose<'de>>()?.0,
                        "event" => fields.event = map.next_value::<Loose<'de>>()?.0,
                        "name" => fields.name = map.next_value::<Loose<'de>>()?.0,
                        "timestamp" => fields.timestamp = map.next_value::<Loose<'de>>()?.0,
                        "originalTimestamp" => fields.original_timestamp = map.next_value::<Loose<'de>>()?.0,
                        "sentAt" => fields.sent_at = map.next_value::<Loose<'de>>()?.0,
                        "receivedAt" => fields.received_at = map.next_value::<Loose<'de>>()?.0,
                        "context" => fields.context = Some(map.next_value::<&'de RawValue>()?.get()),
                        "properties" => fields.properties = Some(map.next_value::<&'de RawValue>()?.get()),
                        "traits" => {
                            fields.traits = Some(map.next_value::<&'de RawValue>()?.get()).filter(|raw| *raw != "null")
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Call<'_>, Rejection> {
        parse(line.as_bytes(), &AccountPaths::default())
    }

    #[test]
    fn a_track_call_says_who_what_when_and_for_whom() {
        let line = r#"{"type":"track","messageId":"m","userId":"u","anonymousId":null,"event":"Report \"X\"","timestamp":"2026-01-01T00:00:00.000Z","receivedAt":"2026-01-01T00:00:01.000Z","context":{"library":{"groupId":"no"},"groupId":"acme"},"properties":{"a":[1,{"b":null}]}}"#;
        let call = read(line).unwrap();
        assert_eq!(
            (call.kind, call.user_id.as_deref(), call.anonymous_id.as_deref()),
            (CallKind::Track, Some("u"), None)
        );
        assert_eq!((call.event.as_deref(), call.account.as_deref()), (Some("Report \"X\""), Some("acme")));
        assert_eq!((call.received.0 - call.time.0, call.message_id.as_deref()), (1000, Some("m")));
    }

    #[test]
    fn the_account_is_where_the_config_says_first_found() {
        let paths = AccountPaths(vec![
            vec!["context".into(), "groupId".into()],
            vec!["properties".into(), "org".into(), "id".into()],
        ]);
        let line = r#"{"type":"page","userId":7,"name":"Home","timestamp":1767225600,"context":{"groupId":""},"properties":{"org":{"id":42}}}"#;
        let call = parse(line.as_bytes(), &paths).unwrap();
        assert_eq!((call.account.as_deref(), call.user_id.as_deref()), (Some("42"), Some("7")));
        assert_eq!(call.time.to_string(), "2026-01-01T00:00:00Z");
        let group = r#"{"type":"group","userId":"u","groupId":"g","context":{"groupId":"other"},"receivedAt":"2026-01-01T00:00:00Z","traits":{"plan":"team"}}"#;
        let call = parse(group.as_bytes(), &paths).unwrap();
        assert_eq!((call.account.as_deref(), call.traits.unwrap()), (Some("g"), r#"{"plan":"team"}"#));
    }

    #[test]
    fn a_call_for_an_account_that_is_too_long_counts_for_no_other() {
        let call = |kind: &str, length: usize| {
            let line = format!(
                r#"{{"type":"{kind}","userId":"u","event":"E","context":{{"groupId":"{}"}},"receivedAt":"2026-01-01T00:00:00Z"}}"#,
                "g".repeat(length)
            );
            read(&line).map(|_| ())
        };
        for kind in ["track", "page", "group"] {
            assert_eq!([1024, 1025].map(|length| call(kind, length)), [Ok(()), Err(Rejection::LongAccount)], "{kind}");
        }
        assert_eq!(call("identify", 1025), Ok(()), "it says who somebody is, of no account");
    }

    #[test]
    fn whole_numbers_as_ids_keep_their_digits() {
        // An escape is left to serde_json.
        for name in ["E", r"\u0045"] {
            let line = format!(
                r#"{{"type":"track","userId":36893488147419103231,"event":"{name}","context":{{"groupId":-9007199254740993}},"receivedAt":"2026-01-01T00:00:00Z"}}"#
            );
            let call = read(&line).unwrap();
            let ids = (call.user_id.as_deref(), call.account.as_deref(), call.event.as_deref());
            assert_eq!(ids, (Some("36893488147419103231"), Some("-9007199254740993"), Some("E")));
        }
    }

    #[test]
    fn rudderstacks_form_of_an_identify_is_read() {
        let line = r#"{"type":"identify","channel":"web","rudderId":"r","userId":"u","anonymousId":"a","context":{"traits":{"email":"x"}},"originalTimestamp":"2026-01-01T00:00:00.000Z","request_ip":"::1"}"#;
        assert_eq!(read(line).unwrap().traits.unwrap(), r#"{"email":"x"}"#);
    }

    #[test]
    fn future_times_are_clamped_and_absurd_ones_rejected() {
        let at = |time: &str, received: &str| {
            let line = format!(
                r#"{{"type":"track","event":"E","userId":"u","timestamp":"{time}","receivedAt":"{received}"}}"#
            );
            read(&line).map(|call| call.time.to_string())
        };
        assert_eq!(at("2026-05-01T00:00:00Z", "2026-01-01T00:00:00Z").unwrap(), "2026-01-01T00:00:00Z");
        for time in
            ["1926-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "soon", "99999-01-01T00:00:00Z"]
        {
            assert_eq!(at(time, "2026-01-01T00:00:00Z").unwrap_err(), Rejection::AbsurdTime, "{time}");
        }
        assert_eq!(read(r#"{"type":"track","event":"E","userId":"u"}"#).unwrap_err(), Rejection::AbsurdTime);
    }

    #[test]
    fn broken_lines_are_rejected_with_the_reason() {
        let deep = "[".repeat(100_000);
        let long = format!("{{\"type\":\"track\",\"x\":\"{}\"}}", "y".repeat(MAX_LINE));
        for (line, reason) in [
            ("", Rejection::BadJson),
            ("[]", Rejection::BadJson),
            ("{\"type\":\"track\"", Rejection::BadJson),
            ("{\"type\":\"track\"} x", Rejection::BadJson),
            (deep.as_str(), Rejection::BadJson),
            (long.as_str(), Rejection::TooLong),
            ("{}", Rejection::NoType),
            ("{\"type\":null,\"userId\":\"u\"}", Rejection::NoType),
            ("{\"type\":\"merge\",\"userId\":\"u\"}", Rejection::UnknownType),
            ("{\"type\":\"delete\",\"userId\":\"u\"}", Rejection::Deletion),
            ("{\"type\":\"track\",\"event\":\"E\",\"userId\":\"\"}", Rejection::NoUser),
            ("{\"type\":\"track\",\"userId\":\"u\"}", Rejection::NoEvent),
            ("{\"type\":\"track\",\"userId\":\"u\",\"event\":\"\\u0001E\"}", Rejection::NoEvent),
            ("{\"type\":\"group\",\"userId\":\"u\"}", Rejection::NoAccount),
        ] {
            assert_eq!(read(line).unwrap_err(), reason, "{}", &line[..line.len().min(60)]);
        }
        assert_eq!(parse(b"{\"type\":\"\xff\"}", &AccountPaths::default()).unwrap_err(), Rejection::BadJson);
        // A repeated key: the last counts, as in JavaScript.
        let line =
            r#"{"type":"x","type":"track","event":"E","userId":"u","userId":"v","timestamp":"2026-01-01T00:00:00Z"}"#;
        assert_eq!(read(line).unwrap().user_id.as_deref(), Some("v"));
    }
}
