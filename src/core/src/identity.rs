//! Identity: whom the filed counts belong to, as of a time.
//!
//! Identify, group and alias calls link ids. An id stands for the user that it was last linked to up to the end of the day
//! in question, else for the one that it was linked to first after. An event without a stated account belongs to the
//! account of the user's last group call up to the end of its day, else of the first one after. Nothing is written back:
//! another alias, or another as-of time, gives another answer from the same counts.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::by_name::ByName;
use crate::message::Message;
use crate::time::{Calendar, Day, Timestamp};
use crate::usage::{About, Content, Id, Ids, JOINT, Stated, Subject};
use crate::value::Value;

/// Traits as they were stated, by name.
pub type Traits = ByName<Value>;

/// Values of trait statements as of a time: the latest of each name.
pub fn traits_at(statements: &[Stated<Traits>], at: Timestamp) -> Traits {
    let mut known = statements.iter().take_while(|stated| stated.at <= at.0);
    // Mostly there is but one.
    let mut traits = known.next().map(|stated| stated.value.clone()).unwrap_or_default();
    for stated in known {
        for (name, value) in stated.value.shared() {
            traits.insert(Arc::clone(name), value.clone());
        }
    }
    traits.retain(|_, value| !value.is_null());
    traits
}

/// The start that somebody's traits state, `createdAt` or `created_at`.
pub(crate) fn stated_start(traits: &Traits, calendar: &Calendar) -> Option<Day> {
    ["createdAt", "created_at"].iter().find_map(|name| traits.get(name)?.day(calendar))
}

/// The day from which somebody is a customer: the stated one, else that of the first event. A stated one that is yet to come is
/// none of somebody who has acted.
pub(crate) fn start(stated: Option<Day>, first: Option<Day>, today: Day) -> Option<Day> {
    stated.filter(|stated| *stated <= today).or(first).or(stated)
}

/// For how many days somebody has been a customer; `None` before the first.
pub(crate) fn tenure(start: Option<Day>, today: Day) -> Option<i32> {
    start.map(|start| today.0.saturating_sub(start.0)).filter(|days| *days >= 0)
}

/// What is known: calls that happened up to a moment and, where asked for, that were received by the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The as-of time.
    pub at: Timestamp,
    /// The last day of receipt; `None`: whenever received.
    pub received: Option<Day>,
}

impl Horizon {
    /// As of a time, whenever received.
    pub fn at(at: Timestamp) -> Self {
        Self { at, received: None }
    }

    fn sees(&self, subject: &Subject, at: i64) -> bool {
        at <= self.at.0 && self.received.is_none_or(|until| subject.received() <= until)
    }
}

/// For each id what it stands for, by day. Nearly every id stands for one thing all the time.
#[derive(Debug, Default)]
struct Dated {
    one: Vec<Id>,
    many: FxHashMap<Id, Vec<(Day, Id)>>,
}

/// Stands in [`Dated::one`] for an id that stood for several things.
const MANY: Id = Id::MAX;

impl Dated {
    /// The last statement up to the end of a day, else the first one after.
    fn at(&self, id: Id, day: Day) -> Option<Id> {
        match self.one.get(id as usize).copied()? {
            0 => None,
            MANY => {
                let statements = self.many.get(&id)?;
                let before = statements.partition_point(|(stated, _)| *stated <= day);
                let (_, value) = if before > 0 { statements.get(before - 1) } else { statements.first() }?;
                Some(*value)
            }
            value => Some(value),
        }
    }

    /// Takes all statements about some ids, in any order. Nearly every id is said to stand for one thing: only where it is
    /// not, the order of what was said matters.
    fn settle<'n>(&mut self, claims: &mut Claims, horizon: Horizon, name: impl Fn(Id) -> &'n str) {
        let last = claims.iter().map(|claim| claim.id as usize).max().unwrap_or_default();
        if self.one.len() <= last {
            self.one.resize(last + 1, 0);
        }
        for claim in claims.iter().filter(|claim| claim.is_seen(horizon)) {
            let one = &mut self.one[claim.id as usize];
            *one = if *one == 0 || *one == claim.value { claim.value } else { MANY };
        }
        let claims = &mut claims.take(|claim| self.one[claim.id as usize] == MANY);
        first_and_last(claims);
        claims.retain(|claim| claim.is_seen(horizon));
        // Of two at the same time the greater message id is later, then the greater name.
        claims.sort_unstable_by(|a, b| {
            (a.id, a.at)
                .cmp(&(b.id, b.at))
                .then_with(|| a.message.cmp(&b.message))
                .then_with(|| if a.value == b.value { a.day.cmp(&b.day) } else { name(a.value).cmp(name(b.value)) })
        });
        for claims in claims.chunk_by(|a, b| a.id == b.id) {
            let Some(first) = claims.first() else { continue };
            let mut runs: Vec<(Day, Id)> = Vec::new();
            for claim in claims {
                if runs.last().is_none_or(|(_, value)| *value != claim.value) {
                    runs.push((claim.day, claim.value));
                }
            }
            self.many.insert(first.id, runs);
        }
    }
}

/// One statement about what an id stands for.
#[derive(Debug)]
struct Claim {
    /// Whom it is about in the end.
    id: Id,
    /// The id that it was stated with.
    stated: Id,
    value: Id,
    day: Day,
    lag: i32,
    at: i64,
    message: Message,
}

impl Claim {
    fn is_seen(&self, horizon: Horizon) -> bool {
        self.at <= horizon.at.0 && horizon.received.is_none_or(|until| self.day.plus(self.lag) <= until)
    }
}

/// Many statements, none of which is moved for more.
#[derive(Debug, Default)]
struct Claims {
    full: Vec<Vec<Claim>>,
    last: Vec<Claim>,
}

impl Claims {
    /// So many lie together.
    const TOGETHER: usize = 4096;

    fn push(&mut self, claim: Claim) {
        if self.last.len() == Self::TOGETHER {
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(Self::TOGETHER)));
        }
        self.last.push(claim);
    }

    fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.full.iter().flatten().chain(&self.last)
    }

    /// All that are wanted; from then on there are none.
    fn take(&mut self, is_wanted: impl Fn(&Claim) -> bool) -> Vec<Claim> {
        let full = std::mem::take(&mut self.full).into_iter().flatten();
        full.chain(self.last.drain(..)).filter(is_wanted).collect()
    }
}

/// Of what was stated with an id on a day, and received on one, only the first and the last is kept, however many writes
/// told of it.
fn first_and_last(claims: &mut Vec<Claim>) {
    let of = |claim: &Claim| (claim.stated, claim.day, claim.lag);
    claims.sort_unstable_by(|a, b| {
        (of(a), a.at).cmp(&(of(b), b.at)).then_with(|| a.message.cmp(&b.message)).then_with(|| a.value.cmp(&b.value))
    });
    let differ = |a: Option<&Claim>, b: Option<&Claim>| a.map(of) != b.map(of);
    let is_end = |place: usize| {
        let claim = claims.get(place);
        differ(place.checked_sub(1).and_then(|before| claims.get(before)), claim)
            || differ(claim, claims.get(place + 1))
    };
    let ends: Vec<bool> = (0..claims.len()).map(is_end).collect();
    let mut ends = ends.into_iter();
    claims.retain(|_| ends.next() == Some(true));
}

/// Gathers links first, then memberships, then answers.
#[derive(Debug)]
pub struct Identity<'a> {
    ids: &'a Ids,
    horizon: Horizon,
    links: Dated,
    groups: Dated,
    claims: Claims,
}

impl<'a> Identity<'a> {
    /// Knows nobody yet.
    pub fn new(ids: &'a Ids, horizon: Horizon) -> Self {
        Self { ids, horizon, links: Dated::default(), groups: Dated::default(), claims: Claims::default() }
    }

    /// Takes a link. [`Self::settle_links`] must follow before links of the same id are complete twice.
    pub fn link(&mut self, subject: &Subject, stated: Stated<Content>) {
        self.claim(subject.id, subject, stated);
    }

    /// All links of the ids that were told since the last time were told.
    pub fn settle_links(&mut self) {
        self.links.settle(&mut self.claims, self.horizon, |id| self.ids.subjects.name(id));
    }

    /// Takes a membership, when all links are settled: it is that of the person, whichever of the ids it was stated with.
    pub fn membership(&mut self, subject: &Subject, stated: Stated<Content>) {
        self.claim(self.user(subject.id, subject.day), subject, stated);
    }

    fn claim(&mut self, id: Id, subject: &Subject, stated: Stated<Content>) {
        if let Content::Id(value) = stated.value {
            let Subject { id: of, day, lag, .. } = *subject;
            self.claims.push(Claim { id, stated: of, value, day, lag, at: stated.at, message: stated.message });
        }
    }

    /// All memberships were told.
    pub fn settle_memberships(&mut self) {
        self.groups.settle(&mut self.claims, self.horizon, |id| self.ids.accounts.name(id));
        self.claims = Claims::default();
    }

    /// The user behind an id on a day.
    pub fn user(&self, subject: Id, day: Day) -> Id {
        let Some(mut next) = self.links.at(subject, day) else { return subject };
        // Hardly ever there is more than one link to follow.
        let Some(mut further) = self.links.at(next, day) else { return next };
        let mut seen = vec![subject];
        loop {
            if let Some(start) = seen.iter().position(|id| *id == next) {
                // A ring of aliases: all of them are the one whose name comes first.
                let ring = seen.iter().skip(start).copied();
                return ring.min_by_key(|id| self.ids.subjects.name(*id)).unwrap_or(next);
            }
            seen.push(next);
            next = further;
            match self.links.at(next, day) {
                Some(link) => further = link,
                None => return next,
            }
        }
    }

    /// The account that a user belongs to on a day.
    pub fn account(&self, user: Id, day: Day) -> Option<Id> {
        self.groups.at(user, day)
    }
}

/// Gathers the trait statements about some ids.
#[derive(Debug, Default)]
pub struct TraitBook {
    repeats: bool,
    statements: Vec<(Id, Told)>,
    /// Names of traits by the number of their set, shared by all that have them.
    names: FxHashMap<Id, Vec<Arc<str>>>,
}

/// A statement of traits: when, its message, the number of its names, its values.
type Told = (i64, Message, Id, Box<str>);

impl TraitBook {
    /// Knows nothing yet. `repeats`: what only repeats the statement before it is kept, because it is asked when something was
    /// last said.
    pub fn new(repeats: bool) -> Self {
        Self { repeats, ..Self::default() }
    }

    /// Takes a statement about whom it is about in the end.
    pub fn add(&mut self, whose: Id, horizon: Horizon, subject: &Subject, stated: Stated<Content>) {
        if let Content::Traits(values) = stated.value
            && horizon.sees(subject, stated.at)
        {
            self.statements.push((whose, (stated.at, stated.message, subject.part, values)));
        }
    }

    /// Everybody's statements, in the order of their time, into `all`. What only repeats the statement before it is left out
    /// where that is not asked for.
    pub fn settle(&mut self, ids: &Ids, all: &mut FxHashMap<Id, Vec<Stated<Traits>>>) {
        // The numbers of names come from the order of reading, so the names decide.
        self.statements.sort_unstable_by(|(id, a), (other, b)| {
            (id, a.0, &a.1)
                .cmp(&(other, b.0, &b.1))
                .then_with(|| (ids.shapes.name(a.2), &a.3).cmp(&(ids.shapes.name(b.2), &b.3)))
        });
        for told in self.statements.chunk_by(|a, b| a.0 == b.0) {
            let Some((id, _)) = told.first() else { continue };
            let mut kept: Vec<Stated<Traits>> = Vec::new();
            let mut previous: Option<(Id, &str)> = None;
            for (_, (at, message, shape, values)) in told {
                if self.repeats || previous != Some((*shape, values)) {
                    let names = self
                        .names
                        .entry(*shape)
                        .or_insert_with(|| ids.shapes.name(*shape).split(JOINT).map(Arc::from).collect());
                    let value = crate::usage::values(values)
                        .zip(names)
                        .filter_map(|(json, name)| Some((Arc::clone(name), Value::parse(json)?)))
                        .collect();
                    kept.push(Stated { at: *at, message: message.clone(), value });
                    previous = Some((*shape, values));
                }
            }
            all.insert(*id, kept);
        }
        self.statements.clear();
    }
}

/// What statements are read in which order, so that each can be resolved by those before it.
pub const READING: [About; 4] = [About::Link, About::Membership, About::AccountTraits, About::UserTraits];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{FIRST, LAST, Usage};

    const DAY_MS: i64 = crate::time::DAY_MS;

    /// A sequence of small numbers that looks like chance.
    fn dice(seed: u64) -> impl FnMut(i64) -> i64 {
        let mut state = seed;
        move |sides| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % sides
        }
    }

    /// What everybody stands for on every day, as told.
    fn answers(ids: &Ids, horizon: Horizon, told: &[(Subject, Stated<Content>)]) -> Vec<(Id, Option<Id>)> {
        let mut identity = Identity::new(ids, horizon);
        let of = |about| told.iter().filter(move |(subject, _)| subject.about == about);
        of(About::Link).for_each(|(subject, stated)| identity.link(subject, stated.clone()));
        identity.settle_links();
        of(About::Membership).for_each(|(subject, stated)| identity.membership(subject, stated.clone()));
        identity.settle_memberships();
        let all = (1..=ids.subjects.len() as Id).flat_map(|id| (-1..5).map(move |day| (id, Day(day))));
        all.map(|(id, day)| (identity.user(id, day), identity.account(identity.user(id, day), day))).collect()
    }

    #[test]
    fn what_several_writes_say_of_a_day_is_as_if_one_had() {
        let mut ids = Ids::default();
        ["a", "b", "c"].iter().for_each(|name| _ = ids.accounts.id(name));
        ["a", "b", "c", "d"].iter().for_each(|name| _ = ids.user(name));
        let mut changed = 0;
        for seed in 0..3000 {
            let mut dice = dice(seed);
            let (mut usage, mut told) = (Usage::default(), Vec::new());
            for _ in 0..2 + dice(10) {
                let about = [About::Link, About::Membership][dice(2) as usize];
                let (id, day, lag) = (1 + dice(4) as Id, Day(dice(3) as i32), dice(2) as i32);
                let at = i64::from(day.0) * DAY_MS + dice(4);
                let message = Message::of(["m", "n"][dice(2) as usize]);
                let stated = Stated { at, message, value: Content::Id(1 + dice(3) as Id) };
                for part in [FIRST, LAST] {
                    let subject = Subject { about, id, day, lag, part };
                    usage.keep(subject, stated.clone());
                    told.push((subject, stated.clone()));
                }
            }
            let whole: Vec<_> = usage.statements.into_iter().collect();
            let received = [None, Some(Day(dice(4) as i32))][dice(2) as usize];
            let horizon = Horizon { at: Timestamp(dice(3) * DAY_MS + dice(4)), received };
            changed += u32::from(whole.len() < told.len());
            assert_eq!(answers(&ids, horizon, &told), answers(&ids, horizon, &whole), "seed {seed}: {told:?}");
        }
        assert!(changed > 1000, "most histories say something twice");
    }
}
