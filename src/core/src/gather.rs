//! From a history to one tally an account: everything about it that needs no other account.
//!
//! Counts come by stated account, those without one first, so that nearly every account is added up as soon as its counts
//! have passed and only tallies stay in memory. What must wait — accounts that get counts from elsewhere: unstated ones,
//! aliases, workspaces that are rolled up — waits in a compact form.

mod ask;
mod cells;
mod champions;
pub(crate) mod features;
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
pub use self::history::{History, Told};
use self::left_out::LeftOut;
use self::members::Members;
use self::people::{Did, OfDays};
pub(crate) use self::points::Points;
pub(crate) use self::standing::Standing;
use self::standing::{Standings, Whom};
use self::steps::{Steps, is_first_time};
use self::tables::{Marks, Muster, Sums};
pub(crate) use self::tally::Tally;
use crate::activity::{Activity, Counter};
use crate::checklist::{Done, Step, checklist_of};
use crate::component::{Component, Whose};
use crate::derived::MARK;
use crate::identity::{Identity, TraitBook, Traits, traits_at};
use crate::model::{MICRO, Model};
use crate::names::TraitNames;
use crate::scale::profile_of;
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

/// Sorts tallies by the ids of their accounts. They are large: each is moved once.
fn sort_by_name(tallies: &mut [Tally], names: &Names<'_>) {
    let mut order: Vec<(&str, usize)> = Vec::with_capacity(tallies.len());
    order.extend(tallies.iter().enumerate().map(|(place, tally)| (names.account(tally.id), place)));
    order.sort_unstable();
    // By place, which of them comes there.
    let mut from: Vec<usize> = order.into_iter().map(|(_, place)| place).collect();
    for place in 0..from.len() {
        let mut at = place;
        while from[at] != place {
            let next = from[at];
            tallies.swap(at, next);
            from[at] = at;
            at = next;
        }
        from[at] = at;
    }
}

/// Whether a scored event is held out: it is derived, and the window that ends on the last day over began before it was
/// counted.
fn held(event: &str, window: i32, model: &Model, ask: &Ask, over: Day) -> Option<HeldOut> {
    let key = event.strip_prefix(MARK)?;
    let since = *ask.since.get(key)?;
    let joins = Day(since.0.saturating_add(window));
    (over.plus(1 - window) < since).then(|| HeldOut { event: model.display_event(event).to_owned(), since, joins })
}

struct Gather<'a> {
    model: &'a Model,
    ids: &'a Ids,
    ask: &'a Ask,
    today: Day,
    over: Day,
    today_start: Timestamp,
    identity: Identity<'a>,
    /// By profile, the weight of each event by its number, in millionths; 0 for others.
    weights: Vec<Vec<i64>>,
    /// By profile, the days that leave its windows.
    left_out: Vec<LeftOut>,
    /// By event number, whether any profile scores it.
    scored_by_any: Vec<bool>,
    /// By profile, the scored events in the order of their numbers.
    columns: Vec<Vec<Id>>,
    /// The milestones that are asked for, as steps.
    milestones: Vec<Step>,
    /// By the number of an event, whether an account did it; empty where no profile has wildcards.
    seen: Vec<bool>,
    book: FxHashMap<Id, Vec<Stated<Traits>>>,
    user_traits: FxHashMap<Id, Vec<Stated<Traits>>>,
    structure: Structure,
    waiting: Waiting,
    /// What is rolled up into an account, and how many do so directly.
    below: FxHashMap<Id, (Raw, u32)>,
    /// The stated account whose counts pass.
    current: (Id, Raw),
    done: FxHashSet<Id>,
    /// What is done, where it was asked for, and the counts that belong to no account.
    activity: Option<(Counter, Raw)>,
    gathered: Gathered<'a>,
    standings: Standings<'a>,
    marks: Marks,
    muster: Muster,
    daily: Vec<i64>,
    /// By event number, how much it moved the raw score.
    moved: Vec<i64>,
    scored: Sums,
    users: Vec<Did>,
    of_days: OfDays,
    /// By age in days, whether a scored event was done on a day of the window.
    active: Vec<bool>,
    /// By event number, whether a step or milestone asks for more than the first of it, and the cells of those; empty where
    /// none does.
    stepped: Vec<bool>,
    step_cells: Vec<Cell>,
    tables: habits::Tables,
    own_cells: Vec<Cell>,
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
    let mut gather = Gather::new(names, structure, model, ask, identity, book, user_traits);
    gather.hear_users();
    history.spots(&mut |spot, last, counts| gather.add(spot, last, counts))?;
    Ok(gather.finish())
}

impl<'a> Gather<'a> {
    fn new(
        names: Names<'a>,
        structure: Structure,
        model: &'a Model,
        ask: &'a Ask,
        identity: Identity<'a>,
        book: FxHashMap<Id, Vec<Stated<Traits>>>,
        user_traits: FxHashMap<Id, Vec<Stated<Traits>>>,
    ) -> Self {
        let at = ask.horizon.at;
        let (today, over) = (model.calendar.day(at), ask.over(model));
        let (mut weights, mut columns) = (Vec::new(), Vec::new());
        let (mut features, mut held_out) = (Vec::new(), Vec::new());
        for profile in &model.profiles {
            let mut of_profile = vec![0; names.events()];
            for (event, weight) in &profile.weights {
                if let Some(held) = held(event, profile.window, model, ask, over) {
                    held_out.push(held);
                    continue;
                }
                if let Some(event) = names.find_event(event) {
                    of_profile[event as usize] = *weight;
                }
            }
            if !profile.wildcards.is_empty() {
                for event in names.events_of_today() {
                    let name = names.event(event);
                    if !profile.weights.contains_key(name) {
                        of_profile[event as usize] = profile.weight(name);
                    }
                }
            }
            let weighted = of_profile.iter().enumerate().filter(|(_, weight)| **weight != 0);
            columns.push(weighted.map(|(event, _)| event as Id).collect());
            weights.push(of_profile);
            let is_held = |event: &str| held(event, profile.window, model, ask, over).is_some();
            features.push(Features::of(profile, model, &names, is_held));
        }
        let milestones = ask.milestones.iter();
        let milestones =
            milestones.map(|(event, count)| Step::new("", Done::Event { event: event.clone(), count: *count }));
        let milestones: Vec<Step> = milestones.collect();
        let mut stepped = Vec::new();
        for step in model.steps().chain(&milestones).filter(|step| !is_first_time(step)) {
            if let Done::Event { event, .. } = &step.done
                && let Some(event) = names.find_event(event)
            {
                stepped.resize(names.events(), false);
                stepped[event as usize] = true;
            }
        }
        let left_out = model.profiles.iter().map(|profile| LeftOut::of(&model.gaps, &profile.name, today)).collect();
        let scored_by = |event: usize| weights.iter().any(|weights: &Vec<i64>| weights[event] != 0);
        let scored_by_any = (0..names.events()).map(scored_by).collect();
        held_out.sort();
        held_out.dedup();
        let wildcards = model.profiles.iter().any(|profile| !profile.wildcards.is_empty());
        Self {
            model,
            tables: habits::Tables::new(model, &names),
            muster: Muster::new(names.events()),
            moved: vec![0; names.events()],
            of_days: OfDays::default(),
            active: Vec::new(),
            ids: names.ids,
            ask,
            today,
            over,
            today_start: model.calendar.start(today),
            identity,
            weights,
            left_out,
            scored_by_any,
            columns,
            milestones,
            seen: vec![false; if wildcards { names.events() } else { 0 }],
            book,
            user_traits,
            structure,
            waiting: Waiting::default(),
            below: FxHashMap::default(),
            current: (0, Raw::default()),
            done: FxHashSet::default(),
            activity: ask.activity.then(|| (Counter::new(over), Raw::default())),
            gathered: Gathered {
                tallies: Vec::with_capacity(names.ids.accounts.len()),
                book: FxHashMap::default(),
                user_traits: FxHashMap::default(),
                excluded: FxHashMap::default(),
                of_excluded: FxHashSet::default(),
                unassigned: 0,
                unassigned_users: FxHashMap::default(),
                members: Members::new(model.profiles.len()),
                names,
                features,
                volumes: FxHashMap::default(),
                by_wildcard: Vec::new(),
                held_out,
                activity: None,
                unreadable: Vec::new(),
            },
            standings: Standings::new(model, ask),
            marks: Marks::default(),
            daily: Vec::new(),
            scored: Sums::default(),
            users: Vec::new(),
            stepped,
            step_cells: Vec::new(),
            own_cells: Vec::new(),
        }
    }

    /// Takes what users said of components, but for those who are left out.
    fn hear_users(&mut self) {
        if self.model.components().all(|component| component.whose == Whose::Account) {
            return;
        }
        let mut users: Vec<Id> = self.user_traits.keys().copied().collect();
        users.retain(|user| !self.is_excluded(*user));
        self.standings.hear(users.iter().filter_map(|user| Some((*user, self.user_traits.get(user)?.as_slice()))));
    }

    fn add(&mut self, spot: &Spot, last: i64, counts: &[(Id, i64)]) {
        let known = self.ask.horizon.received.is_none_or(|until| spot.received() <= until);
        if spot.day > self.today || spot.day.0 < FIRST_DAY || counts.is_empty() || !known {
            return;
        }
        let names = &self.gathered.names;
        if counts.iter().all(|(event, _)| names.event_today(*event) == 0) {
            return;
        }
        let user = self.identity.user(spot.subject, spot.day);
        let account = match spot.account {
            0 => self.identity.account(user, spot.day),
            stated => Some(stated),
        };
        let account = account.map(|account| names.account_today(account));
        let weeks_ago = self.over.0 - spot.day.0;
        if (0..=28).contains(&weeks_ago) && weeks_ago % 7 == 0 {
            for (event, count) in counts {
                let event = names.event_today(*event);
                if self.scored_by_any.get(event as usize).copied().unwrap_or_default() {
                    self.gathered.volumes.entry(event).or_default()[(weeks_ago / 7) as usize] += count;
                }
            }
        }
        // Of a day only its latest moment is kept. Where that is still to come at the as-of time, the day is all that is known.
        let last = Some(Timestamp(last)).filter(|last| *last <= self.ask.horizon.at).unwrap_or(self.today_start);
        let Some(account) = account else {
            let own = self.gathered.unassigned_users.entry(user).or_insert((spot.day, last));
            *own = (own.0.min(spot.day), own.1.max(last));
            let events = counts.iter().filter(|(event, _)| names.event_today(*event) != 0 && !names.is_derived(*event));
            // One part of a spot may take back what another one has.
            self.gathered.unassigned += events.map(|(_, count)| count).sum::<i64>();
            if self.activity.is_some()
                && !self.is_excluded(user)
                && let Some((_, nobodys)) = &mut self.activity
            {
                nobodys.push(user, spot.day, counts, &self.gathered.names);
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
        let (names, waits) = (&self.gathered.names, spot.account == 0 || self.structure.gathers(account));
        let raw = if waits {
            self.waiting.push(account, user, spot.day, counts, names)
        } else {
            self.current.1.push(user, spot.day, counts, names);
            &mut self.current.1
        };
        raw.last = raw.last.max(Some(last));
        if self.ask.users {
            let own = raw.user_last.entry(user).or_insert(last);
            *own = (*own).max(last);
        }
    }

    /// The current account has passed.
    fn close(&mut self) {
        let (stated, mut raw) = std::mem::take(&mut self.current);
        let id = self.gathered.names.account_today(stated);
        if id == 0 || self.structure.gathers(id) {
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
        let silent = self.book.keys().filter(|id| !self.done.contains(id)).copied();
        let mut left: Vec<Id> = self.waiting.ids().chain(silent).chain(self.structure.named()).collect();
        // Children before those that they are rolled up into.
        left.sort_unstable_by_key(|id| (std::cmp::Reverse(self.structure.depth(*id)), *id));
        left.dedup();
        let mut raw = std::mem::take(&mut self.current.1);
        for id in left {
            self.waiting.take(id, &mut raw);
            self.settle(id, &mut raw);
            raw.clear();
        }
        self.waiting = Waiting::default();
        if self.model.exclude_users.is_some() {
            let told: Vec<Id> = self.user_traits.keys().copied().collect();
            for user in told {
                self.is_excluded(user);
            }
        }
        let mut gathered = self.gathered;
        gathered.activity = self.activity.map(|(mut counter, mut nobodys)| {
            nobodys.net();
            counter.nobodys(&nobodys.cells);
            counter.finish(&gathered.names)
        });
        gathered.unreadable = self.standings.unreadable().collect();
        let Gathered { tallies, names, features, by_wildcard, members, .. } = &mut gathered;
        members.all.sort_unstable_by_key(|member| (member.user, member.account));
        // What a wildcard stands for is a feature once somebody used it.
        let is_seen = |event: Id| self.seen.get(event as usize).is_some_and(|seen| *seen);
        for (place, (profile, columns)) in self.model.profiles.iter().zip(&self.columns).enumerate() {
            let seen = columns.iter().copied().filter(|event| is_seen(*event));
            by_wildcard.extend(seen.filter(|event| !profile.weights.contains_key(names.event(*event))));
            let Some(left) = features.get_mut(place).and_then(|features| features.settle(is_seen)) else { continue };
            for tally in tallies.iter_mut().filter(|tally| tally.chosen == Some(place)) {
                let mut left = left.iter();
                tally.features_used.retain(|_| left.next().is_none_or(|left| *left));
            }
        }
        sort_by_name(tallies, names);
        // Past traits decide who is measured against whom, unless all are.
        if !self.model.measures_all() {
            gathered.book = self.book;
        }
        if self.ask.users {
            gathered.user_traits = self.user_traits;
        }
        gathered
    }

    fn is_excluded(&mut self, user: Id) -> bool {
        let Some(rule) = &self.model.exclude_users else { return false };
        *self.gathered.excluded.entry(user).or_insert_with(|| {
            let statements = self.user_traits.get(&user).map(Vec::as_slice).unwrap_or_default();
            let traits = traits_at(statements, self.ask.horizon.at);
            let id = self.ids.user_id(user).unwrap_or_default();
            rule.holds(&TraitNames { id, id_name: "user.id", traits: &traits, model: None })
        })
    }

    /// Adds an account up with all that is rolled up into it, and rolls it up.
    fn settle(&mut self, id: Id, raw: &mut Raw) {
        raw.net();
        let own = raw.cells.len();
        let (below, children) = self.below.remove(&id).unwrap_or_default();
        raw.roll_up(&below);
        let parent = self.structure.parent(id);
        if self.tally(id, raw, own, children) && parent != 0 {
            let (below, children) = self.below.entry(parent).or_default();
            below.roll_up(raw);
            *children += 1;
        }
    }

    /// Adds an account up; its own cells come first. False if there is no such account.
    fn tally(&mut self, id: Id, raw: &Raw, own: usize, children: u32) -> bool {
        self.done.insert(id);
        let name = self.gathered.names.account(id);
        let statements = self.book.get(&id).map(Vec::as_slice).unwrap_or_default();
        let traits = traits_at(statements, self.ask.horizon.at);
        let chosen = profile_of(self.model, name, &traits);
        let left_out = LeftOut::under(&self.left_out, chosen);
        self.muster.call(&raw.cells, self.over, left_out);
        let first = self.muster.first();
        if first.is_none() && statements.is_empty() && children == 0 {
            return false;
        }
        let names = TraitNames { id: name, id_name: "account", traits: &traits, model: Some(self.model) };
        if self.model.exclude_accounts.as_ref().is_some_and(|rule| rule.holds(&names)) {
            self.gathered.of_excluded.extend(raw.user_last.keys());
            return false;
        }
        let parent = self.structure.parent(id);
        let checklist = checklist_of(self.model, name, &traits);
        let last = raw.last;
        let mut tally = Tally { id, parent, children, chosen, checklist, first, last, traits, ..Tally::default() };
        // Its memory serves the next one.
        let muster = std::mem::take(&mut self.muster);
        for place in 0..self.model.profiles.len() {
            let points = self.points(place, &raw.cells, tally.first);
            tally.points.push(points);
            if children > 0 {
                let own = self.points(place, &raw.cells[..own], tally.first);
                tally.own.push(own);
            }
        }
        let statements = self.book.get(&id).map(Vec::as_slice).unwrap_or_default();
        let name = self.gathered.names.account(id);
        let whom = Whom { id: name, statements, first: tally.first, chosen };
        tally.standing = self.standings.of(whom, &raw.cells);
        tally.left = self.standings.left(whom);
        self.users_and_features(&mut tally, &raw.cells, &muster);
        self.count_members(&tally, raw, own);
        tally.habits = self.habits(&tally, &raw.cells, &muster);
        if self.ask.deeds {
            tally.deeds = self.deeds(&raw.cells, tally.first);
        }
        let own_traits = self.book.get(&id).map(Vec::as_slice).unwrap_or_default();
        let (names, calendar) = (&self.gathered.names, &self.model.calendar);
        let steps = Steps { names, user_traits: &self.user_traits, calendar, today: self.today };
        let cells = &mut self.step_cells;
        cells.clear();
        if !self.stepped.is_empty() {
            let is_of_step = |cell: &&Cell| self.stepped.get(cell.event as usize).copied().unwrap_or_default();
            cells.extend(raw.cells.iter().filter(is_of_step));
        }
        let cells = if muster.takes_back() { &raw.cells } else { &*cells };
        let day = |step: &Step| steps.by_account(step, own_traits, &muster, cells);
        if let Some(list) = tally.checklist.and_then(|place| self.model.activation.get(place)) {
            tally.steps = list.steps.iter().map(day).collect();
        }
        tally.milestones = self.milestones.iter().map(day).collect();
        if let Some((counter, _)) = &mut self.activity {
            counter.account(&raw.cells[..own]);
        }
        self.muster = muster;
        self.gathered.tallies.push(tally);
        // Nobody asks again what was said of it, unless it decides who is measured against whom.
        if self.model.measures_all() {
            self.book.remove(&id);
        }
        true
    }
}
