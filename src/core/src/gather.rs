//! From a history to one tally an account: everything about it that needs no other account.
//!
//! Counts come by stated account, those without one first, so that nearly every account is added up as soon as its counts
//! have passed and only tallies stay in memory. What must wait — accounts that get counts from elsewhere: unstated ones,
//! aliases, workspaces that are rolled up — waits in a compact form.

mod ask;
mod cells;
mod champions;
pub(crate) mod features;
mod frame;
mod habits;
mod history;
mod left_out;
pub(crate) mod members;
mod people;
mod points;
mod standing;
mod steps;
mod tables;
mod tally;

use rustc_hash::{FxHashMap, FxHashSet};

pub use self::ask::Ask;
pub(crate) use self::cells::Cell;
use self::cells::{FIRST_DAY, Raw, Waiting};
use self::features::Features;
use self::frame::Frame;
pub use self::history::{History, Told};
use self::members::Members;
pub(crate) use self::points::Points;
pub(crate) use self::standing::Standing;
use self::standing::Standings;
pub(crate) use self::tally::Tally;
use self::tally::{Absent, Counted, Tables, sort_by_name};
use crate::activity::{Activity, Counter};
use crate::checklist::Done;
use crate::component::{Component, Whose};
use crate::identity::{Identity, TraitBook, Traits, traits_at};
use crate::model::{MICRO, Model};
use crate::names::TraitNames;
use crate::time::{Day, Timestamp};
use crate::today::{Names, Structure};
use crate::usage::{About, Id, Ids, Spot, Stated};

/// A derived event that is not in the score yet, because it was not counted through the whole window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldOut {
    /// What people call it.
    pub event: String,
    /// The day of receipt since which it is counted.
    pub since: Day,
    /// The day on which it joins the score: the first whose last window over was counted through.
    pub joins: Day,
}

/// A scored event is a core event from this weight up, in millionths: 4–6 are core, 7–10 advanced.
const CORE: i64 = 4 * MICRO;

/// What everybody's evaluation shares.
pub(crate) struct Gathered<'a> {
    pub tallies: Vec<Tally>,
    pub book: FxHashMap<Id, Vec<Stated<Traits>>>,
    pub user_traits: FxHashMap<Id, Vec<Stated<Traits>>>,
    /// Users that are left out.
    pub excluded: FxHashMap<Id, bool>,
    /// Users of accounts that are left out.
    pub of_excluded: FxHashSet<Id>,
    pub unassigned: i64,
    /// Of users with events that belong to no account, the first day and the latest moment of these.
    pub unassigned_users: FxHashMap<Id, (Day, Timestamp)>,
    pub members: Members,
    pub names: Names<'a>,
    /// By profile.
    pub features: Vec<Features>,
    /// How often each scored event was done, by everybody, on the last day of the windows, and one, two, three and four weeks
    /// before.
    pub volumes: FxHashMap<Id, [i64; 5]>,
    /// Events that were seen and that a wildcard scores.
    pub by_wildcard: Vec<Id>,
    pub held_out: Vec<HeldOut>,
    pub activity: Option<Activity>,
    /// By profile and component, how many accounts or users last said what can't be read.
    pub unreadable: Vec<(usize, usize, u64)>,
}

/// Adds up every account of a history.
pub(crate) fn gather<'a, H: History>(
    history: &H,
    ids: &'a Ids,
    model: &'a Model,
    ask: &'a Ask,
) -> Result<Gathered<'a>, H::Error> {
    let mut identity = Identity::new(ids, ask.horizon);
    history.statements(About::Link, &mut |told| match told {
        Told::Statement(subject, stated) => identity.link(&subject, stated),
        Told::Settled => identity.settle_links(),
    })?;
    history.statements(About::Membership, &mut |told| {
        if let Told::Statement(subject, stated) = told {
            identity.membership(&subject, stated);
        }
    })?;
    identity.settle_memberships();
    let mut names = Names::new(ids, model);
    let (mut book, mut user_traits) = (FxHashMap::default(), FxHashMap::default());
    let repeats = model.components().any(Component::asks_when);
    let (mut told_traits, mut of_merged) = (TraitBook::new(repeats), TraitBook::new(repeats));
    history.statements(About::AccountTraits, &mut |told| match told {
        Told::Statement(subject, stated) => {
            let account = names.account_today(subject.id);
            let traits = if names.is_merged(account) { &mut of_merged } else { &mut told_traits };
            traits.add(account, ask.horizon, &subject, stated);
        }
        Told::Settled => told_traits.settle(ids, &mut book),
    })?;
    of_merged.settle(ids, &mut book);
    let steps_ask = model.steps().any(|step| matches!(step.done, Done::Trait(_)));
    let components_ask = model.components().any(|component| component.whose != Whose::Account);
    if ask.users || steps_ask || components_ask || model.exclude_users.is_some() {
        history.statements(About::UserTraits, &mut |told| {
            if let Told::Statement(subject, stated) = told {
                told_traits.add(identity.user(subject.id, subject.day), ask.horizon, &subject, stated);
            }
        })?;
        told_traits.settle(ids, &mut user_traits);
    }
    let structure = Structure::new(&mut names, model, &book, ask.horizon.at);
    let frame = Frame::new(names, structure, user_traits, model, ask);
    let mut gather = Gather::new(frame, identity, book);
    gather.hear_users();
    history.spots(&mut |spot, last, counts| gather.add(spot, last, counts))?;
    Ok(gather.finish())
}

/// Where counts go on their way to an account that has all of its own.
struct Gather<'a> {
    frame: Frame<'a>,
    identity: Identity<'a>,
    book: FxHashMap<Id, Vec<Stated<Traits>>>,
    standings: Standings<'a>,
    /// By event number, whether any profile scores it.
    scored_by_any: Vec<bool>,
    waiting: Waiting,
    /// What is rolled up into an account, and how many do so directly.
    below: FxHashMap<Id, (Raw, u32)>,
    /// The stated account whose counts pass.
    current: (Id, Raw),
    tables: Tables,
    /// The accounts that were added up.
    done: FxHashSet<Id>,
    /// By the number of an event, whether an account did it; empty where no profile has wildcards.
    seen: Vec<bool>,
    /// What is done, where it was asked for, and the counts that belong to no account.
    activity: Option<(Counter, Raw)>,
    found: Found,
}

/// What comes of counts.
#[derive(Default)]
struct Found {
    tallies: Vec<Tally>,
    members: Members,
    volumes: FxHashMap<Id, [i64; 5]>,
    unassigned: i64,
    unassigned_users: FxHashMap<Id, (Day, Timestamp)>,
    excluded: FxHashMap<Id, bool>,
    of_excluded: FxHashSet<Id>,
}

impl<'a> Gather<'a> {
    fn new(frame: Frame<'a>, identity: Identity<'a>, book: FxHashMap<Id, Vec<Stated<Traits>>>) -> Self {
        let (model, ask, events) = (frame.model, frame.ask, frame.names.events());
        let scored_by = |event: usize| frame.weights.iter().any(|weights| weights[event] != 0);
        let wildcards = model.profiles.iter().any(|profile| !profile.wildcards.is_empty());
        Self {
            identity,
            book,
            standings: Standings::new(model, ask),
            scored_by_any: (0..events).map(scored_by).collect(),
            waiting: Waiting::default(),
            below: FxHashMap::default(),
            current: (0, Raw::default()),
            tables: Tables::new(&frame),
            done: FxHashSet::default(),
            seen: vec![false; if wildcards { events } else { 0 }],
            activity: ask.activity.then(|| (Counter::new(frame.over), Raw::default())),
            found: Found {
                tallies: Vec::with_capacity(frame.names.ids.accounts.len()),
                members: Members::new(model.profiles.len()),
                ..Found::default()
            },
            frame,
        }
    }

    /// Takes what users said of components, but for those who are left out.
    fn hear_users(&mut self) {
        if self.frame.model.components().all(|component| component.whose == Whose::Account) {
            return;
        }
        let mut users: Vec<Id> = self.frame.user_traits.keys().copied().collect();
        users.retain(|user| !self.is_excluded(*user));
        let told = |user: &Id| Some((*user, self.frame.user_traits.get(user)?.as_slice()));
        self.standings.hear(users.iter().filter_map(told));
    }

    fn add(&mut self, spot: &Spot, last: i64, counts: &[(Id, i64)]) {
        let Frame { ask, today, today_start, over, ref names, .. } = self.frame;
        let known = ask.horizon.received.is_none_or(|until| spot.received() <= until);
        if spot.day > today || spot.day.0 < FIRST_DAY || counts.is_empty() || !known {
            return;
        }
        if counts.iter().all(|(event, _)| names.event_today(*event) == 0) {
            return;
        }
        let user = self.identity.user(spot.subject, spot.day);
        let account = match spot.account {
            0 => self.identity.account(user, spot.day),
            stated => Some(stated),
        };
        let account = account.map(|account| names.account_today(account));
        let weeks_ago = over.0 - spot.day.0;
        if (0..=28).contains(&weeks_ago) && weeks_ago % 7 == 0 {
            for (event, count) in counts {
                let event = names.event_today(*event);
                if self.scored_by_any.get(event as usize).copied().unwrap_or_default() {
                    self.found.volumes.entry(event).or_default()[(weeks_ago / 7) as usize] += count;
                }
            }
        }
        // Of a day only its latest moment is kept. Where that is still to come at the as-of time, the day is all that is known.
        let last = Some(Timestamp(last)).filter(|last| *last <= ask.horizon.at).unwrap_or(today_start);
        let Some(account) = account else {
            let own = self.found.unassigned_users.entry(user).or_insert((spot.day, last));
            *own = (own.0.min(spot.day), own.1.max(last));
            let events = counts.iter().filter(|(event, _)| names.event_today(*event) != 0 && !names.is_derived(*event));
            // One part of a spot may take back what another one has.
            self.found.unassigned += events.map(|(_, count)| count).sum::<i64>();
            if self.activity.is_some()
                && !self.is_excluded(user)
                && let Some((_, nobodys)) = &mut self.activity
            {
                nobodys.push(user, spot.day, counts, &self.frame.names);
            }
            return;
        };
        if self.is_excluded(user) {
            return;
        }
        if spot.account != 0 && spot.account != self.current.0 {
            self.close();
            self.current.0 = spot.account;
        }
        let names = &self.frame.names;
        let raw = if spot.account == 0 || self.frame.structure.gathers(account) {
            self.waiting.push(account, user, spot.day, counts, names)
        } else {
            self.current.1.push(user, spot.day, counts, names);
            &mut self.current.1
        };
        raw.last = raw.last.max(Some(last));
        if self.frame.ask.users {
            let own = raw.user_last.entry(user).or_insert(last);
            *own = (*own).max(last);
        }
    }

    /// The current account has passed.
    fn close(&mut self) {
        let (stated, mut raw) = std::mem::take(&mut self.current);
        let id = self.frame.names.account_today(stated);
        if id == 0 || self.frame.structure.gathers(id) {
            return;
        }
        self.waiting.take(id, &mut raw);
        self.settle(id, &mut raw);
        // Its memory serves the next one.
        raw.clear();
        self.current.1 = raw;
    }

    fn finish(mut self) -> Gathered<'a> {
        self.close();
        let structure = &self.frame.structure;
        let silent = self.book.keys().filter(|id| !self.done.contains(id)).copied();
        let mut left: Vec<Id> = self.waiting.ids().chain(silent).chain(structure.named()).collect();
        // Children before those that they are rolled up into.
        left.sort_unstable_by_key(|id| (std::cmp::Reverse(structure.depth(*id)), *id));
        left.dedup();
        let mut raw = std::mem::take(&mut self.current.1);
        for id in left {
            self.waiting.take(id, &mut raw);
            self.settle(id, &mut raw);
            raw.clear();
        }
        self.waiting = Waiting::default();
        if self.frame.model.exclude_users.is_some() {
            let told: Vec<Id> = self.frame.user_traits.keys().copied().collect();
            for user in told {
                self.is_excluded(user);
            }
        }
        let by_wildcard = self.settle_wildcards();
        let Self { frame, mut found, standings, activity, book, .. } = self;
        let (model, names) = (frame.model, frame.names);
        found.members.all.sort_unstable_by_key(|member| (member.user, member.account));
        sort_by_name(&mut found.tallies, &names);
        Gathered {
            activity: activity.map(|(mut counter, mut nobodys)| {
                nobodys.net();
                counter.nobodys(&nobodys.cells);
                counter.finish(&names)
            }),
            unreadable: standings.unreadable().collect(),
            tallies: found.tallies,
            // Past traits decide who is measured against whom, unless all are.
            book: if model.measures_all() { FxHashMap::default() } else { book },
            user_traits: if frame.ask.users { frame.user_traits } else { FxHashMap::default() },
            excluded: found.excluded,
            of_excluded: found.of_excluded,
            unassigned: found.unassigned,
            unassigned_users: found.unassigned_users,
            members: found.members,
            names,
            features: frame.features,
            volumes: found.volumes,
            by_wildcard,
            held_out: frame.held_out,
        }
    }

    /// What a wildcard stands for is a feature once somebody used it. The events that were seen and that a wildcard scores.
    fn settle_wildcards(&mut self) -> Vec<Id> {
        let Frame { model, names, columns, features, .. } = &mut self.frame;
        let is_seen = |event: Id| self.seen.get(event as usize).is_some_and(|seen| *seen);
        let mut by_wildcard = Vec::new();
        for (place, (profile, columns)) in model.profiles.iter().zip(columns).enumerate() {
            let seen = columns.iter().copied().filter(|event| is_seen(*event));
            by_wildcard.extend(seen.filter(|event| !profile.weights.contains_key(names.event(*event))));
            let Some(left) = features.get_mut(place).and_then(|features| features.settle(is_seen)) else { continue };
            for tally in self.found.tallies.iter_mut().filter(|tally| tally.chosen == Some(place)) {
                let mut left = left.iter();
                tally.features_used.retain(|_| left.next().is_none_or(|left| *left));
            }
        }
        by_wildcard
    }

    fn is_excluded(&mut self, user: Id) -> bool {
        let Frame { model, ask, names, user_traits, .. } = &self.frame;
        let Some(rule) = &model.exclude_users else { return false };
        *self.found.excluded.entry(user).or_insert_with(|| {
            let statements = user_traits.get(&user).map(Vec::as_slice).unwrap_or_default();
            let traits = traits_at(statements, ask.horizon.at);
            let id = names.ids.user_id(user).unwrap_or_default();
            rule.holds(&TraitNames { id, id_name: "user.id", traits: &traits, model: None })
        })
    }

    /// Adds an account up with all that is rolled up into it, and rolls it up.
    fn settle(&mut self, id: Id, raw: &mut Raw) {
        raw.net();
        let own = raw.cells.len();
        let (below, children) = self.below.remove(&id).unwrap_or_default();
        raw.roll_up(&below);
        let parent = self.frame.structure.parent(id);
        if self.add_up(id, raw, own, children) && parent != 0 {
            let (below, children) = self.below.entry(parent).or_default();
            below.roll_up(raw);
            *children += 1;
        }
    }

    /// Adds an account up; its own cells come first. False if there is no such account.
    fn add_up(&mut self, id: Id, raw: &Raw, own: usize, children: u32) -> bool {
        self.done.insert(id);
        let Self { frame, tables, found, .. } = self;
        let statements = self.book.get(&id).map(Vec::as_slice).unwrap_or_default();
        let account = Counted { id, statements, raw, own, children };
        let tally = match frame.tally(account, &mut self.standings, tables) {
            Ok(tally) => tally,
            Err(absent) => {
                if let Absent::Excluded = absent {
                    found.of_excluded.extend(raw.user_last.keys());
                }
                return false;
            }
        };
        if !self.seen.is_empty() {
            tables.muster.events().for_each(|(event, _)| self.seen[event as usize] = true);
        }
        frame.count_members(&tally, raw, own, &mut found.members, &mut tables.members);
        if let Some((counter, _)) = &mut self.activity {
            counter.account(&raw.cells[..own]);
        }
        found.tallies.push(tally);
        // Nobody asks again what was said of it, unless it decides who is measured against whom.
        if frame.model.measures_all() {
            self.book.remove(&id);
        }
        true
    }
}
