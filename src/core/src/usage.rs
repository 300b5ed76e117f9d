//! Usage: who did what on which day, filed as it arrived.
//!
//! Counts are kept by stated account (or none), by the id that acted (a `userId`, else an `anonymousId`), day, lag and
//! event, and are never re-filed; day and lag together are the day of receipt, so that what was received on one day can be
//! replaced, and a past state of knowledge be asked for. What resolves counts — memberships, links between ids, traits — is
//! kept as dated statements beside them; of the statements of one day, received on one day, about one thing the last
//! stands, so that no order of reading changes anything. Resolving is the business of [`crate::identity`]; keeping is the
//! store's.

use rustc_hash::FxHashMap;

use crate::call::{Call, CallKind};
use crate::derived::Conditions;
use crate::intern::Hash;
use crate::message::Message;
use crate::time::{Calendar, Day, Timestamp};

pub use crate::intern::{Id, Interner};

/// The kind of subject that a `userId` is.
pub const USER: u8 = b'u';
/// The kind of subject that an `anonymousId` is.
pub const DEVICE: u8 = b'a';

/// All interned names.
#[derive(Debug, Default, Clone)]
pub struct Ids {
    /// Accounts, as stated.
    pub accounts: Interner,
    /// Ids that act, each of its kind: [`USER`] or [`DEVICE`].
    pub subjects: Interner,
    /// Event names.
    pub events: Interner,
    /// Names of traits that were stated together, sorted and joined by [`JOINT`].
    pub shapes: Interner,
}

impl Ids {
    /// The number of an identified user.
    pub fn user(&mut self, user_id: &str) -> Id {
        self.subjects.id_of(USER, user_id)
    }

    /// The number of a device or browser.
    pub fn anonymous(&mut self, anonymous_id: &str) -> Id {
        self.subjects.id_of(DEVICE, anonymous_id)
    }

    /// The userId behind a subject; `None` for one that was never identified.
    pub fn user_id(&self, subject: Id) -> Option<&str> {
        self.subjects.name(subject).strip_prefix(char::from(USER))
    }
}

/// Joins the names of traits, and their values: JSON has it in no text.
pub const JOINT: char = '\u{1f}';

/// Where a count belongs: the stated account (0: none), the id that acted, the event day and the lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The stated account, or 0.
    pub account: Id,
    /// The id that acted.
    pub subject: Id,
    /// The event day in the configured zone.
    pub day: Day,
    /// Received day − event day.
    pub lag: i32,
}

impl Spot {
    /// The day of receipt.
    pub fn received(&self) -> Day {
        self.day.plus(self.lag)
    }
}

/// What happened on a spot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayUse {
    /// The latest moment, in milliseconds since 1970 UTC.
    pub last: i64,
    /// How often, by event, in that order. Differences while a batch is gathered.
    pub counts: Vec<(Id, i64)>,
}

impl DayUse {
    /// Adds to a count. Counts that cancel out vanish.
    pub fn add(&mut self, event: Id, count: i64) {
        match self.counts.binary_search_by_key(&event, |entry| entry.0) {
            Ok(at) => {
                let entry = &mut self.counts[at];
                entry.1 += count;
                if entry.1 == 0 {
                    self.counts.remove(at);
                }
            }
            Err(at) => self.counts.insert(at, (event, count)),
        }
    }

    /// Adds what another part of the same spot counted.
    pub fn merge(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        for (event, count) in &other.counts {
            self.add(*event, *count);
        }
    }
}

/// A dated statement: what was said last on its day. The greater of two is the later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stated<T> {
    /// When, in milliseconds since 1970 UTC.
    pub at: i64,
    /// The call's id: of two at the same time the greater is the later.
    pub message: Message,
    /// What.
    pub value: T,
}

impl<T> Stated<T> {
    /// When it was said.
    pub fn time(&self) -> Timestamp {
        Timestamp(self.at)
    }
}

/// What statements are about, in the order of the store's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// The account that a subject belongs to.
    Membership,
    /// The user that a subject really is: an identified device, an aliased id.
    Link,
    /// A subject's traits.
    UserTraits,
    /// An account's traits.
    AccountTraits,
}

impl About {
    /// All kinds, in order.
    pub const ALL: [Self; 4] = [Self::Membership, Self::Link, Self::UserTraits, Self::AccountTraits];

    /// True for those whose value is an id.
    pub fn is_id(self) -> bool {
        matches!(self, Self::Membership | Self::Link)
    }
}

/// Marks the last membership or link of a day: it decides from that day on.
pub const LAST: Id = 0;
/// Marks the first membership or link of a day: it decides what was before any. Those between decide nothing.
pub const FIRST: Id = 1;

/// Which statement replaces which: the same thing about the same one on the same day, received on the same day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// What it is about.
    pub about: About,
    /// The subject or account.
    pub id: Id,
    /// The day of the statement.
    pub day: Day,
    /// Received day − that day.
    pub lag: i32,
    /// Of traits: the number of their names ([`Ids::shapes`]); calls that name other traits do not replace each other. Of
    /// memberships and links: [`FIRST`] or [`LAST`].
    pub part: Id,
}

impl Subject {
    /// The day of receipt.
    pub fn received(&self) -> Day {
        self.day.plus(self.lag)
    }
}

/// The value of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// An account or user.
    Id(Id),
    /// The values of traits as JSON, in the order of their names, joined by [`JOINT`].
    Traits(Box<str>),
}

/// Of two statements about the same thing, whether the other one stands instead of the kept one.
pub fn replaces(subject: &Subject, other: &Stated<Content>, kept: &Stated<Content>) -> bool {
    let first = subject.about.is_id() && subject.part == FIRST;
    (other > kept) != first && other != kept
}

/// Takes what calls say, one thing after the other.
pub trait Filer {
    /// An event, once.
    fn count(&mut self, spot: Spot, event: Id, at: i64);
    /// A derived event, once, beside the event itself.
    fn count_derived(&mut self, spot: Spot, event: Id, at: i64) {
        self.count(spot, event, at);
    }
    /// The value of a trait that can't be kept: a number beyond all that are finite, or what is no text.
    fn unkept(&mut self) {}
    /// A statement. Memberships and links come as [`LAST`] and are the first of their day too.
    fn state(&mut self, subject: Subject, stated: Stated<Content>);
}

/// Who acted and for which account, by the hashes of their names.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    subject: Option<Hash>,
    account: Option<Hash>,
}

impl Sought {
    /// What is sought for a call.
    pub fn of(call: &Call<'_>) -> Self {
        Self {
            subject: acting(call).map(|(kind, name)| Hash::of(Some(kind), name)),
            account: call.account.as_deref().map(|account| Hash::of(None, account)),
        }
    }

    /// Looks for the names of calls that are filed soon, for all at once.
    pub fn warm(sought: &[Self], ids: &Ids) {
        ids.subjects.warm(sought.iter().filter_map(|sought| sought.subject));
        ids.accounts.warm(sought.iter().filter_map(|sought| sought.account));
    }
}

/// The id that acts, with its kind.
fn acting<'c>(call: &'c Call<'_>) -> Option<(u8, &'c str)> {
    let device = || Some((DEVICE, call.anonymous_id.as_deref()?));
    call.user_id.as_deref().map(|user| (USER, user)).or_else(device)
}

/// Hands what a call says to a filer, derived events included; its names may have been sought before. Returns true if it is
/// an event (track, page, screen).
pub fn file(
    call: &Call<'_>,
    sought: Sought,
    ids: &mut Ids,
    calendar: &Calendar,
    conditions: &Conditions<'_>,
    filer: &mut impl Filer,
) -> bool {
    let Some(((kind, name), hash)) = acting(call).zip(sought.subject) else { return false };
    let subject = ids.subjects.id_hashed(Some(kind), name, hash);
    let day = calendar.day(call.time);
    let lag = calendar.day(call.received).0 - day.0;
    if matches!(call.kind, CallKind::Track | CallKind::Page | CallKind::Screen) {
        let account = call.account.as_deref().zip(sought.account);
        let account = account.map_or(0, |(account, hash)| ids.accounts.id_hashed(None, account, hash));
        let (spot, name) = (Spot { account, subject, day, lag }, event_name(call));
        filer.count(spot, ids.events.id(name), call.time.0);
        conditions.met(name, call.properties, |met| filer.count_derived(spot, ids.events.id(met), call.time.0));
        return true;
    }
    let message = Message::of(call.message_id.as_deref().unwrap_or_default());
    // A call without an id is told from another of the same time by what it says, never by the order of reading.
    let stated = |value, name: &str| {
        let message = if message.is_empty() { Message::of(name) } else { message.clone() };
        Stated { at: call.time.0, message, value: Content::Id(value) }
    };
    let about = |about, id| Subject { about, id, day, lag, part: LAST };

    // An identification: the call is about who somebody is. An event that carries both ids says nothing new.
    if let (Some(user), Some(device)) = (&call.user_id, &call.anonymous_id) {
        let (id, device) = (ids.user(user), ids.anonymous(device));
        filer.state(about(About::Link, device), stated(id, user));
    }
    match call.kind {
        CallKind::Track | CallKind::Page | CallKind::Screen => {}
        CallKind::Group => {
            if let Some(name) = call.account.as_deref() {
                let account = ids.accounts.id(name);
                filer.state(about(About::Membership, subject), stated(account, name));
                file_traits(about(About::AccountTraits, account), call, &message, ids, filer);
            }
        }
        CallKind::Identify => file_traits(about(About::UserTraits, subject), call, &message, ids, filer),
        CallKind::Alias => {
            if let Some(previous) = call.previous_id.as_deref() {
                let own = format!("{}{name}", char::from(kind));
                // The spec lets the old id be of either kind.
                for old in [ids.user(previous), ids.anonymous(previous)] {
                    if old != subject {
                        filer.state(about(About::Link, old), stated(subject, &own));
                    }
                }
            }
        }
    }
    false
}

fn file_traits(mut subject: Subject, call: &Call<'_>, message: &Message, ids: &mut Ids, filer: &mut impl Filer) {
    let mut traits = call.traits.and_then(crate::scan::members).unwrap_or_default();
    traits.retain(|(_, value)| {
        let is_kept = is_kept(value);
        if !is_kept {
            filer.unkept();
        }
        is_kept
    });
    // A group call without traits still says that the account is there.
    if traits.is_empty() && subject.about == About::UserTraits {
        return;
    }
    let (names, values) = joined(traits.iter().map(|(name, value)| (&**name, *value)));
    subject.part = ids.shapes.id(&names);
    let value = Content::Traits(values.into());
    filer.state(subject, Stated { at: call.time.0, message: message.clone(), value });
}

/// Whether a valid JSON text is a value too. Nearly all that are can be told at a glance: a number that is too large has many
/// digits or an exponent, a text that is none has an escape.
fn is_kept(value: &str) -> bool {
    /// Shorter numbers without an exponent are finite, and what is so short is not nested too deep.
    const SHORT: usize = 120;
    let is_suspect = |pair: &[u8]| match pair {
        [b'\\', b'u'] => true,
        [digit, b'e' | b'E'] => digit.is_ascii_digit(),
        _ => false,
    };
    let is_plain_text = value.starts_with('"') && !value.contains('\\');
    let is_short = value.len() < SHORT && !value.as_bytes().windows(2).any(is_suspect);
    is_plain_text || is_short || crate::value::Value::parse(value).is_some()
}

/// Names of traits, or their values, mostly take less than so many bytes.
const ROOM: usize = 240;

/// Names of traits, which come in order, and their values as JSON texts, each joined by [`JOINT`].
pub fn joined<'a>(traits: impl Iterator<Item = (&'a str, &'a str)>) -> (String, String) {
    let (mut names, mut values) = (String::with_capacity(ROOM), String::with_capacity(ROOM));
    for (name, value) in traits.filter(|(name, _)| !name.as_bytes().contains(&(JOINT as u8))) {
        if !values.is_empty() {
            names.push(JOINT);
            values.push(JOINT);
        }
        names.push_str(name);
        values.push_str(value);
    }
    (names, values)
}

/// The traits that a statement's names and values are, as JSON texts by name.
pub fn members<'a>(names: &'a str, joined: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    names.split(JOINT).zip(values(joined))
}

/// The values of traits, as JSON texts, of a statement that joins them.
pub fn values(joined: &str) -> impl Iterator<Item = &str> {
    // No trait at all has an empty value; a trait without a name has a value.
    let count = if joined.is_empty() { 0 } else { usize::MAX };
    joined.split(JOINT).take(count)
}

/// Filed usage in memory: of a batch, as differences, or of a whole history.
#[derive(Debug, Default, Clone)]
pub struct Usage {
    /// Counts by spot.
    pub days: FxHashMap<Spot, DayUse>,
    /// Statements.
    pub statements: FxHashMap<Subject, Stated<Content>>,
}

impl Filer for Usage {
    fn count(&mut self, spot: Spot, event: Id, at: i64) {
        let uses = self.days.entry(spot).or_default();
        uses.last = uses.last.max(at);
        uses.add(event, 1);
    }

    fn state(&mut self, subject: Subject, stated: Stated<Content>) {
        if subject.about.is_id() {
            self.keep(Subject { part: FIRST, ..subject }, stated.clone());
        }
        self.keep(subject, stated);
    }
}

impl Usage {
    /// True if nothing is filed.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.statements.is_empty()
    }

    /// Keeps a statement if it is the later one; of those marked [`FIRST`] the earlier.
    pub fn keep(&mut self, subject: Subject, stated: Stated<Content>) {
        match self.statements.entry(subject) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(stated);
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                if replaces(&subject, &stated, entry.get()) {
                    entry.insert(stated);
                }
            }
        }
    }

    /// Files a call. Returns true if it is an event (track, page, screen).
    pub fn file(&mut self, call: &Call<'_>, ids: &mut Ids, calendar: &Calendar, conditions: &Conditions<'_>) -> bool {
        file(call, Sought::of(call), ids, calendar, conditions, self)
    }

    /// Adds another part of the same history.
    pub fn merge(&mut self, other: Self) {
        for (spot, day) in other.days {
            self.days.entry(spot).or_default().merge(&day);
        }
        for (subject, stated) in other.statements {
            self.keep(subject, stated);
        }
    }
}

/// The name that a call counts under.
pub fn event_name<'c>(call: &'c Call<'_>) -> &'c str {
    match (&call.event, call.kind) {
        (Some(name), _) => name,
        (None, CallKind::Screen) => "Screen Viewed",
        _ => "Page Viewed",
    }
}

/// The fingerprint by which a call is recognised when it comes again: of the source and the call's own id, or of the whole
/// line where it has none.
pub fn fingerprint(source: u64, call: &Call<'_>, line: &[u8]) -> u64 {
    let id = call.message_id.as_deref().map_or(line, str::as_bytes);
    xxhash_rust::xxh3::xxh3_64_with_seed(id, source)
}

/// What stands for a source in its fingerprints.
pub fn fingerprint_seed(source: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(source.as_bytes())
}
