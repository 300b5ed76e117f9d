//! Identity: whom the filed counts belong to, as of a time.
//!
//! Identify, group and alias calls link ids. An id stands for the user that it was last linked to up to the end of the day in question, else for the one that it was
//! linked to first after. An event without a stated account belongs to the account of the user's last group call up to the
//! end of its day, else of the first one after. Nothing is written back: another alias, or another as-of time, gives another
//! answer from the same counts.

use std::cmp::Ordering;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::time::{Calendar, Day, Timestamp};
use crate::usage::{About, Content, DayUse, Id, Ids, Spot, Stated, Subject};
use crate::value::Value;

/// Counts of one event by one user on one day, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The event day.
    pub day: Day,
    /// The user, after all links.
    pub user: Id,
    /// The event.
    pub event: Id,
    /// How often.
    pub count: u32,
}

/// One account's usage, resolved.
#[derive(Debug, Clone, Default)]
pub struct AccountUsage {
    /// Counts, sorted by day.
    pub cells: Vec<Cell>,
    /// The latest event.
    pub last: Option<Timestamp>,
    /// Each user's latest event in this account.
    pub user_last: FxHashMap<Id, Timestamp>,
    /// The account's traits.
    pub traits: Vec<Stated<Traits>>,
}

/// Traits as they were stated, by name.
pub type Traits = std::collections::BTreeMap<String, Value>;

/// All usage as of a time.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// By account.
    pub accounts: FxHashMap<Id, AccountUsage>,
    /// Each user's trait statements, in the order of their time.
    pub user_traits: FxHashMap<Id, Vec<Stated<Traits>>>,
    /// Events that belong to no account.
    pub unassigned: u64,
    /// The latest of these of each user.
    pub unassigned_last: FxHashMap<Id, Timestamp>,
}

/// Values of trait statements as of a time: the latest of each name.
pub fn traits_at(statements: &[Stated<Traits>], at: Timestamp) -> Traits {
    let mut traits = Traits::new();
    for stated in statements.iter().take_while(|stated| stated.at <= at.0) {
        for (name, value) in &stated.value {
            traits.insert(name.clone(), value.clone());
        }
    }
    traits.retain(|_, value| !value.is_null());
    traits
}

type Dated = FxHashMap<Id, Vec<(Day, Stated<Id>)>>;

/// The last statement up to the end of a day, else the first one after.
fn at_day(statements: &[(Day, Stated<Id>)], day: Day) -> Option<Id> {
    let before = statements.partition_point(|(stated, _)| *stated <= day);
    let (_, stated) = if before > 0 { statements.get(before - 1) } else { statements.first() }?;
    Some(stated.value)
}

/// Sorted by time; of two at the same time the greater message id is later, then the greater name.
fn sort(statements: &mut [(Day, Stated<Id>)], name: impl Fn(Id) -> String) {
    statements.sort_by(|(_, a), (_, b)| match (a.at, &a.message).cmp(&(b.at, &b.message)) {
        Ordering::Equal => name(a.value).cmp(&name(b.value)),
        order => order,
    });
}

struct Links<'a> {
    links: Dated,
    ids: &'a Ids,
}

impl Links<'_> {
    /// The user behind an id on a day.
    fn user(&self, subject: Id, day: Day) -> Id {
        let mut current = subject;
        let mut seen = Vec::new();
        while let Some(next) = self.links.get(&current).and_then(|links| at_day(links, day)) {
            seen.push(current);
            if let Some(start) = seen.iter().position(|id| *id == next) {
                // A ring of aliases: all of them are the one whose name comes first.
                return seen
                    .iter()
                    .skip(start)
                    .copied()
                    .min_by_key(|id| self.ids.subjects.name(*id).to_owned())
                    .unwrap_or(next);
            }
            current = next;
        }
        current
    }
}

/// Resolves usage spot by spot, so that the whole of it never has to be in memory.
pub struct Resolver<'a> {
    links: Links<'a>,
    /// A person's group calls, from whichever of the ids they were made with.
    groups: Dated,
    at: Timestamp,
    today: Day,
    today_start: Timestamp,
    resolved: Resolved,
}

impl<'a> Resolver<'a> {
    /// As of a time: event days up to that of `at`, statements up to `at` itself.
    pub fn new(
        statements: &FxHashMap<Subject, Stated<Content>>,
        ids: &'a Ids,
        calendar: &Calendar,
        at: Timestamp,
    ) -> Self {
        let mut links = Links { links: Dated::default(), ids };
        let mut memberships = Dated::default();
        let mut trait_statements = Vec::new();
        for (subject, stated) in statements {
            if stated.at > at.0 {
                continue;
            }
            let (at, message) = (stated.at, stated.message.clone());
            match (&stated.value, subject.about) {
                (Content::Id(value), About::Link) => {
                    links
                        .links
                        .entry(subject.id)
                        .or_default()
                        .push((subject.day, Stated { at, message, value: *value }));
                }
                (Content::Id(value), _) => {
                    memberships
                        .entry(subject.id)
                        .or_default()
                        .push((subject.day, Stated { at, message, value: *value }));
                }
                (Content::Traits(json), about) => trait_statements.push((about, subject, at, message, json)),
            }
        }
        for statements in links.links.values_mut() {
            sort(statements, |id| ids.subjects.name(id).to_owned());
        }
        let mut groups = Dated::default();
        for (subject, statements) in memberships {
            for (day, stated) in statements {
                groups.entry(links.user(subject, day)).or_default().push((day, stated));
            }
        }
        for statements in groups.values_mut() {
            sort(statements, |id| ids.accounts.name(id).to_owned());
        }
        let mut resolved = Resolved::default();
        for (about, subject, at, message, json) in trait_statements {
            let value: Traits = serde_json::from_str::<serde_json::Map<_, _>>(json)
                .map(|map| map.iter().map(|(name, value)| (name.clone(), Value::from_json(value))).collect())
                .unwrap_or_default();
            let stated = Stated { at, message, value };
            match about {
                About::AccountTraits => resolved.accounts.entry(subject.id).or_default().traits.push(stated),
                _ => resolved.user_traits.entry(links.user(subject.id, subject.day)).or_default().push(stated),
            }
        }
        let order = |a: &Stated<Traits>, b: &Stated<Traits>| {
            (a.at, &a.message)
                .cmp(&(b.at, &b.message))
                .then_with(|| a.value.partial_cmp(&b.value).unwrap_or(Ordering::Equal))
        };
        resolved.accounts.values_mut().for_each(|usage| usage.traits.sort_by(order));
        resolved.user_traits.values_mut().for_each(|statements| statements.sort_by(order));
        let today = calendar.day(at);
        Self { links, groups, at, today, today_start: calendar.start(today), resolved }
    }

    /// Adds a spot. The same spot may come in parts.
    pub fn add(&mut self, spot: &Spot, uses: &DayUse) {
        if spot.day > self.today || uses.counts.is_empty() {
            return;
        }
        let user = self.links.user(spot.subject, spot.day);
        let account = match spot.account {
            0 => self.groups.get(&user).and_then(|statements| at_day(statements, spot.day)),
            stated => Some(stated),
        };
        // Of a day only its latest moment is kept. Where that is still to come at the as-of time, the day is all that is known.
        let last = Some(Timestamp(uses.last)).filter(|last| *last <= self.at).unwrap_or(self.today_start);
        let Some(account) = account else {
            let own = self.resolved.unassigned_last.entry(user).or_insert(last);
            *own = (*own).max(last);
            self.resolved.unassigned += uses.counts.iter().map(|entry| entry.count.unsigned_abs()).sum::<u64>();
            return;
        };
        let usage = self.resolved.accounts.entry(account).or_default();
        for entry in &uses.counts {
            let count = u32::try_from(entry.count).unwrap_or(0);
            if count > 0 {
                usage.cells.push(Cell { day: spot.day, user, event: entry.event, count });
            }
        }
        usage.last = usage.last.max(Some(last));
        let own = usage.user_last.entry(user).or_insert(last);
        *own = (*own).max(last);
    }

    /// Everything that was added, resolved.
    pub fn finish(mut self) -> Resolved {
        for usage in self.resolved.accounts.values_mut() {
            usage.cells.sort_unstable_by_key(|cell| (cell.day, cell.user, cell.event));
            usage.cells.shrink_to_fit();
        }
        self.resolved
    }
}

impl Resolved {
    /// Takes out everything that users did, as if they had never been.
    pub fn without_users(&mut self, excluded: &FxHashSet<Id>) {
        if excluded.is_empty() {
            return;
        }
        for usage in self.accounts.values_mut() {
            usage.cells.retain(|cell| !excluded.contains(&cell.user));
            usage.user_last.retain(|user, _| !excluded.contains(user));
            usage.last = usage.user_last.values().max().copied();
        }
        self.user_traits.retain(|user, _| !excluded.contains(user));
    }
}
