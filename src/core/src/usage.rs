//! Usage: who did what on which day, filed as it arrived.
//!
//! Counts are kept by stated account (or none), by the id that acted (a `userId`, else an `anonymousId`), day, event and
//! lag, and are never re-filed. What resolves them — memberships, links between ids, traits — is kept as dated statements
//! beside them; of the statements of one day about one thing the last stands, so that no order of reading changes
//! anything. Resolving is the business of [`crate::identity`]; keeping is the store's.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::call::{Call, CallKind};
use crate::time::{Calendar, Day, Timestamp};

/// The number of an interned name; 0 stands for *none*.
pub type Id = u32;

/// Names and their numbers. Numbers depend on the order of reading and never leave the program.
#[derive(Debug, Default, Clone)]
pub struct Interner {
    names: Vec<Box<str>>,
    ids: FxHashMap<Box<str>, Id>,
}

impl Interner {
    /// The number of a name, given one if it has none.
    pub fn id(&mut self, name: &str) -> Id {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.names.push(name.into());
        let id = Id::try_from(self.names.len()).unwrap_or(Id::MAX);
        self.ids.insert(name.into(), id);
        id
    }

    /// The number of a name, if it has one.
    pub fn find(&self, name: &str) -> Option<Id> {
        self.ids.get(name).copied()
    }

    /// The name of a number; empty for 0.
    pub fn name(&self, id: Id) -> &str {
        id.checked_sub(1).and_then(|index| self.names.get(index as usize)).map_or("", AsRef::as_ref)
    }

    /// How many names there are; they are numbered from 1 to this.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// All interned names.
#[derive(Debug, Default, Clone)]
pub struct Ids {
    /// Accounts, as stated.
    pub accounts: Interner,
    /// Ids that act: `u` and a userId, or `a` and an anonymousId.
    pub subjects: Interner,
    /// Event names.
    pub events: Interner,
}

impl Ids {
    /// The number of an identified user.
    pub fn user(&mut self, user_id: &str) -> Id {
        self.subjects.id(&format!("u{user_id}"))
    }

    /// The number of a device or browser.
    pub fn anonymous(&mut self, anonymous_id: &str) -> Id {
        self.subjects.id(&format!("a{anonymous_id}"))
    }

    /// The userId behind a subject; `None` for one that was never identified.
    pub fn user_id(&self, subject: Id) -> Option<&str> {
        self.subjects.name(subject).strip_prefix('u')
    }
}

/// Whose day: the stated account (0: none), the id that acted, the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The stated account, or 0.
    pub account: Id,
    /// The id that acted.
    pub subject: Id,
    /// The event day in the configured zone.
    pub day: Day,
}

/// What happened on a spot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayUse {
    /// The latest moment, in milliseconds since 1970 UTC.
    pub last: i64,
    /// How often, by event and lag (received day − event day), in that order. Differences while a batch is gathered.
    pub counts: Vec<Count>,
}

/// How often an event was received with a lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The event.
    pub event: Id,
    /// Received day − event day.
    pub lag: i32,
    /// How often.
    pub count: i64,
}

impl DayUse {
    /// Adds to a count. Counts that cancel out vanish.
    pub fn add(&mut self, event: Id, lag: i32, count: i64) {
        match self.counts.binary_search_by_key(&(event, lag), |entry| (entry.event, entry.lag)) {
            Ok(at) => {
                let entry = &mut self.counts[at];
                entry.count += count;
                if entry.count == 0 {
                    self.counts.remove(at);
                }
            }
            Err(at) => self.counts.insert(at, Count { event, lag, count }),
        }
    }

    /// Adds what another part of the same spot counted.
    pub fn merge(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        for Count { event, lag, count } in &other.counts {
            self.add(*event, *lag, *count);
        }
    }
}

/// A dated statement: what was said last on its day. The greater of two is the later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stated<T> {
    /// When, in milliseconds since 1970 UTC.
    pub at: i64,
    /// The call's id: of two at the same time the greater is the later.
    pub message: Box<str>,
    /// What.
    pub value: T,
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
}

/// Marks the first membership or link of a day. The last one decides from that day on, the first one decides what was before
/// any; those between decide nothing.
pub const FIRST: &str = "<";

/// Which statement replaces which: the same thing about the same one on the same day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// What it is about.
    pub about: About,
    /// The subject or account.
    pub id: Id,
    /// The day of the statement.
    pub day: Day,
    /// Of traits: their names, sorted and joined. Calls that name other traits do not replace each other. Of memberships and
    /// links: [`FIRST`] for the first one of the day, nothing for the last.
    pub names: Box<str>,
}

/// The value of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// An account or user.
    Id(Id),
    /// Traits, as a JSON object with sorted keys.
    Traits(Box<str>),
}

/// Filed usage: of a batch, as differences, or of a whole history.
#[derive(Debug, Default, Clone)]
pub struct Usage {
    /// Counts by spot.
    pub days: FxHashMap<Spot, DayUse>,
    /// Statements.
    pub statements: FxHashMap<Subject, Stated<Content>>,
}

impl Usage {
    /// True if nothing is filed.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.statements.is_empty()
    }

    /// Keeps a membership or link as the last of its day, as the first, or not at all.
    pub fn state_both(&mut self, subject: Subject, stated: Stated<Content>) {
        self.state(Subject { names: FIRST.into(), ..subject.clone() }, stated.clone());
        self.state(subject, stated);
    }

    /// Keeps a statement if it is the later one; of those marked [`FIRST`] the earlier.
    pub fn state(&mut self, subject: Subject, stated: Stated<Content>) {
        match self.statements.entry(subject) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(stated);
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let first = entry.key().about != About::UserTraits
                    && entry.key().about != About::AccountTraits
                    && &*entry.key().names == FIRST;
                if (stated > *entry.get()) != first && stated != *entry.get() {
                    entry.insert(stated);
                }
            }
        }
    }

    /// Files a call. Returns true if it is an event (track, page, screen).
    pub fn file(&mut self, call: &Call<'_>, ids: &mut Ids, calendar: &Calendar) -> bool {
        let Some(subject) = acting(call, ids) else { return false };
        let day = calendar.day(call.time);
        let message: Box<str> = call.message_id.as_deref().unwrap_or_default().into();
        // A call without an id is told from another of the same time by what it says, never by the order of reading.
        let stated = |value, name: &str| {
            let message = if message.is_empty() { name.into() } else { message.clone() };
            Stated { at: call.time.0, message, value: Content::Id(value) }
        };
        let about = |about, id| Subject { about, id, day, names: "".into() };

        // An identification: the call is about who somebody is. An event that carries both ids says nothing new.
        let is_event = matches!(call.kind, CallKind::Track | CallKind::Page | CallKind::Screen);
        if let (Some(user), Some(device), false) = (&call.user_id, &call.anonymous_id, is_event) {
            let (id, device) = (ids.user(user), ids.anonymous(device));
            self.state_both(about(About::Link, device), stated(id, user));
        }
        match call.kind {
            CallKind::Track | CallKind::Page | CallKind::Screen => {
                let account = call.account.as_deref().map_or(0, |account| ids.accounts.id(account));
                let event = ids.events.id(event_name(call));
                let lag = calendar.day(call.received).0 - day.0;
                let spot = self.days.entry(Spot { account, subject, day }).or_default();
                spot.last = spot.last.max(call.time.0);
                spot.add(event, lag, 1);
                return true;
            }
            CallKind::Group => {
                if let Some(name) = call.account.as_deref() {
                    let account = ids.accounts.id(name);
                    self.state_both(about(About::Membership, subject), stated(account, name));
                    self.file_traits(About::AccountTraits, account, day, call, &message);
                }
            }
            CallKind::Identify => self.file_traits(About::UserTraits, subject, day, call, &message),
            CallKind::Alias => {
                if let Some(previous) = call.previous_id.as_deref() {
                    // The spec lets the old id be of either kind.
                    for old in [ids.user(previous), ids.anonymous(previous)] {
                        if old != subject {
                            self.state_both(about(About::Link, old), stated(subject, ids.subjects.name(subject)));
                        }
                    }
                }
            }
        }
        false
    }

    fn file_traits(&mut self, about: About, id: Id, day: Day, call: &Call<'_>, message: &str) {
        let traits: BTreeMap<String, serde_json::Value> =
            call.traits.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        // A group call without traits still says that the account is there.
        if traits.is_empty() && about == About::UserTraits {
            return;
        }
        let names = traits.keys().map(String::as_str).collect::<Vec<_>>().join("\u{1f}").into();
        let json = serde_json::to_string(&traits).unwrap_or_default().into();
        self.state(
            Subject { about, id, day, names },
            Stated { at: call.time.0, message: message.into(), value: Content::Traits(json) },
        );
    }

    /// A second copy of an event that was received on an earlier day than the first: its lag is the earlier one's.
    /// Together with the first copy's count this makes the lag independent of the order of reading.
    pub fn move_lag(&mut self, call: &Call<'_>, first_received: Day, ids: &mut Ids, calendar: &Calendar) {
        let Some(subject) = acting(call, ids) else { return };
        if !matches!(call.kind, CallKind::Track | CallKind::Page | CallKind::Screen) {
            return;
        }
        let day = calendar.day(call.time);
        let received = calendar.day(call.received);
        let account = call.account.as_deref().map_or(0, |account| ids.accounts.id(account));
        let event = ids.events.id(event_name(call));
        let spot = self.days.entry(Spot { account, subject, day }).or_default();
        spot.add(event, received.0 - day.0, 1);
        spot.add(event, first_received.0 - day.0, -1);
    }

    /// Adds another part of the same history.
    pub fn merge(&mut self, other: Self) {
        for (spot, day) in other.days {
            self.days.entry(spot).or_default().merge(&day);
        }
        for (subject, stated) in other.statements {
            self.state(subject, stated);
        }
    }
}

fn acting(call: &Call<'_>, ids: &mut Ids) -> Option<Id> {
    match (&call.user_id, &call.anonymous_id) {
        (Some(user), _) => Some(ids.user(user)),
        (None, Some(device)) => Some(ids.anonymous(device)),
        (None, None) => None,
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

/// A dated statement's moment.
impl<T> Stated<T> {
    /// When it was said.
    pub fn time(&self) -> Timestamp {
        Timestamp(self.at)
    }
}

/// The fingerprint by which a call is recognised when it comes again: of the source and the call's own id, or of the whole
/// line where it has none.
pub fn fingerprint(source: &str, call: &Call<'_>, line: &[u8]) -> u64 {
    let id = call.message_id.as_deref().map_or(line, str::as_bytes);
    xxhash_rust::xxh3::xxh3_64_with_seed(id, xxhash_rust::xxh3::xxh3_64(source.as_bytes()))
}
