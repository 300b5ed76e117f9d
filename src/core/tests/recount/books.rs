//! The naive recount: every measure from the raw calls, as the model file words it. No rollups, no interning, no sharing of
//! code with the core; loops are as long as they need to be.
//!
//! Where the model file is silent it follows what the core documents: a ring of aliases is the one whose name comes first;
//! of a day's calls of one actor for one account, received on one day, only the latest moment is kept, whichever event it was;
//! of one id's calls of one day that name the same traits the last stands; of a trait's day its end counts; an account's step counts the events of all its users together; its users are those with an event.

mod health;
mod people;
mod steps;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use serde_json::Value;

use crate::setup::{DERIVED, ForWhom, NoAccounts, PerSetup, ProfileSetup, RollUp, Setup};
use crate::told::{Told, day};

/// An event with whom it belongs to.
#[derive(Debug, Clone)]
struct Done {
    day: NaiveDate,
    time: i64,
    event: String,
    user: String,
    account: Option<String>,
    /// Counted beside its event.
    derived: bool,
}

/// The days around the same phase of the cycle before.
fn around(profile: &ProfileSetup, day: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    let days = |(phase, slack): (NaiveDate, i64)| {
        phase.iter_days().take(slack as usize + 1).chain((1..=slack).map(move |back| phase - TimeDelta::days(back)))
    };
    profile.phase(day).map(days).into_iter().flatten()
}

/// That an id is somebody else, or that somebody belongs to an account.
struct Statement<'c> {
    /// Time and messageId.
    when: (i64, &'c str),
    day: NaiveDate,
    what: String,
}

/// The books of a history, opened at a time.
pub struct Books {
    /// Without the weights that are held out.
    setup: Setup,
    held_out: BTreeSet<(&'static str, NaiveDate, NaiveDate)>,
    /// Windows that were not counted through for the derived event.
    held_windows: BTreeSet<i64>,
    at: i64,
    today: NaiveDate,
    over: NaiveDate,
    calls: Vec<Told>,
    done: Vec<Done>,
    /// Who used an account that is left out.
    used_left_out: BTreeSet<String>,
    /// Every account with all above it, itself first.
    lines: BTreeMap<String, Vec<String>>,
    /// Benchmarks that were asked for before, by profile and day.
    pegs: RefCell<BTreeMap<(String, NaiveDate), Pegs>>,
}

/// Health under one profile, recounted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Health {
    pub raw: Option<f64>,
    pub score: Option<f64>,
    pub band: Option<&'static str>,
    pub change_7d: Option<f64>,
    pub change_30d: Option<f64>,
    pub change_cycle: Option<f64>,
    pub days_healthy: Option<usize>,
    pub coverage: Option<f64>,
    pub group: Option<String>,
}

/// A feature and its events.
type Feature = (String, Vec<String>);

/// One account, recounted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Account {
    pub id: String,
    pub traits: BTreeMap<String, Value>,
    pub parent: Option<String>,
    pub children: usize,
    pub profile: Option<String>,
    pub profiles: BTreeMap<String, Health>,
    pub recent: Vec<(NaiveDate, f64)>,
    /// The lowest and the highest score around the same phase of the cycle before, of each of these days.
    pub usual: Vec<Option<(f64, f64)>>,
    /// Events in the 30 days that end at the same phase, and the longest silence around it.
    pub phase: (Option<usize>, Option<i64>),
    pub activation_percent: Option<f64>,
    pub steps: Vec<(String, Option<NaiveDate>)>,
    pub activated_at: Option<NaiveDate>,
    pub days_stalled: Option<i64>,
    pub stalled: Option<bool>,
    pub first_key_action: Option<NaiveDate>,
    pub adoption_window: Option<f64>,
    pub adoption_all_time: Option<f64>,
    pub unused: Vec<String>,
    pub active_users: usize,
    pub total_users: usize,
    pub healthy_users: Option<usize>,
    pub champions: Vec<(Option<String>, f64)>,
    pub champion_risk: Option<bool>,
    pub expansion: Option<f64>,
    pub active_percent: Option<f64>,
    pub active_days: usize,
    pub window_days: i64,
    pub last_active: Option<i64>,
    pub tenure_days: Option<i64>,
    pub is_new: bool,
    pub has_left: bool,
}

/// A benchmark: the raw score, over how many accounts, and whether it is the maximum.
pub type Peg = (f64, usize, bool);

/// The benchmarks of a day: of all, and of groups.
type Pegs = (Option<Peg>, BTreeMap<String, Peg>);

impl Books {
    pub fn open<'l>(
        lines: impl IntoIterator<Item = &'l str>,
        setup: &Setup,
        at: i64,
        received: Option<NaiveDate>,
    ) -> Self {
        let mut seen = HashSet::new();
        let mut calls = Vec::new();
        for line in lines {
            let call = Told::read(line, setup.zone);
            let id = if call.message.is_empty() { line.to_owned() } else { call.message.clone() };
            if seen.insert(id) {
                calls.push(call);
            }
        }
        let local = DateTime::from_timestamp_millis(at).unwrap().with_timezone(&setup.zone);
        let today = local.date_naive();
        let is_over = local.time() >= NaiveTime::from_hms_opt(23, 59, 59).unwrap();
        let over = if is_over { today } else { today.pred_opt().unwrap() };
        // Statements later than T are not seen; events count by their day.
        calls.retain(|call| if call.is_event() { call.day <= today } else { call.time <= at });
        calls.retain(|call| received.is_none_or(|until| call.received <= until));
        let mut setup = setup.clone();
        let (mut held_out, mut held_windows) = (BTreeSet::new(), BTreeSet::new());
        if let Some(since) = setup.since.map(|days| day(crate::START, Tz::UTC) + TimeDelta::days(days)) {
            for profile in &mut setup.profiles {
                // The first day of the window must not be before it was counted.
                if over - TimeDelta::days(profile.window - 1) < since {
                    held_windows.insert(profile.window);
                }
                if over - TimeDelta::days(profile.window - 1) < since && profile.weight(DERIVED).is_some() {
                    profile.weights.retain(|(event, _)| event != DERIVED);
                    held_out.insert((DERIVED, since, since + TimeDelta::days(profile.window)));
                }
            }
        }
        let mut books = Self {
            setup,
            held_out,
            held_windows,
            at,
            today,
            over,
            calls,
            done: Vec::new(),
            used_left_out: BTreeSet::new(),
            lines: BTreeMap::new(),
            pegs: RefCell::default(),
        };
        let persons: Vec<String> = books.calls.iter().map(|call| books.person(&call.actor(), call.day)).collect();
        for (call, person) in books.calls.iter_mut().zip(persons) {
            call.person = person;
        }
        let events: Vec<&Told> = books.calls.iter().filter(|call| call.is_event()).collect();
        let (mut done, mut used_left_out) = (Vec::new(), BTreeSet::new());
        for call in &events {
            let event = now(&books.setup.event_aliases, &call.event);
            if books.setup.no_events.contains(&event) {
                continue;
            }
            let user = call.person.clone();
            let account = call.account.clone().or_else(|| books.membership(&user, call.day));
            let account = account.map(|account| now(&books.setup.account_aliases, &account));
            if account.as_ref().is_some_and(|account| books.is_left_out(account)) {
                used_left_out.insert(user);
                continue;
            }
            let beside = |other: &&&Told| {
                (&other.account, other.actor(), other.day, other.received)
                    == (&call.account, call.actor(), call.day, call.received)
            };
            let time = events.iter().filter(beside).map(|other| other.time).max().unwrap();
            if event == "E1" && call.kind_property == "x" {
                let (user, account) = (user.clone(), account.clone());
                done.push(Done { day: call.day, time, event: DERIVED.to_owned(), user, account, derived: true });
            }
            done.push(Done { day: call.day, time, event, user, account, derived: false });
        }
        (books.done, books.used_left_out) = (done, used_left_out);
        let stated = books.calls.iter().filter(|call| call.kind == "group").filter_map(|call| call.account.as_ref());
        let stated = stated.map(|account| now(&books.setup.account_aliases, account));
        let own: BTreeSet<String> = stated.chain(books.done.iter().filter_map(|done| done.account.clone())).collect();
        let own = own.into_iter().filter(|account| !books.is_left_out(account));
        let all: BTreeSet<String> = own.flat_map(|account| books.line_of(&account)).collect();
        books.lines = all.into_iter().map(|account| (account.clone(), books.line_of(&account))).collect();
        books
    }

    pub fn held_out(&self) -> Vec<(&'static str, NaiveDate, NaiveDate)> {
        self.held_out.iter().copied().collect()
    }

    // ---- structure

    fn is_left_out(&self, account: &str) -> bool {
        match &self.setup.no_accounts {
            None => false,
            Some(NoAccounts::Id(id)) => *id == account,
            Some(NoAccounts::Plan(plan)) => {
                self.account_traits(account, self.today).get("plan") == Some(&Value::from(*plan))
            }
        }
    }

    /// The account that one names as the one above.
    fn above(&self, account: &str) -> Option<String> {
        let named = match self.setup.roll_up.as_ref()? {
            RollUp::Trait => self.account_traits(account, self.today).get("up")?.as_str()?.to_owned(),
            RollUp::Id(up) => up.iter().find(|(below, _)| *below == account)?.1.to_owned(),
        };
        let above = now(&self.setup.account_aliases, &named);
        (above != account && !self.is_left_out(account) && !self.is_left_out(&above)).then_some(above)
    }

    /// The same without rings: of those in one, the first by name has none above it.
    fn parent(&self, account: &str) -> Option<String> {
        let above = self.above(account)?;
        let mut ring = BTreeSet::from([account.to_owned()]);
        let mut next = above.clone();
        while next != account {
            if !ring.insert(next.clone()) {
                return Some(above);
            }
            match self.above(&next) {
                Some(further) => next = further,
                None => return Some(above),
            }
        }
        (ring.first().unwrap() != account).then_some(above)
    }

    /// An account and all above it.
    fn line_of(&self, account: &str) -> Vec<String> {
        let mut line = vec![account.to_owned()];
        while let Some(above) = self.parent(line.last().unwrap()) {
            line.push(above);
        }
        line
    }

    /// Everything that says that an id is somebody else.
    fn links(&self, id: &str) -> Vec<Statement<'_>> {
        let mut links = Vec::new();
        let mut link = |call, what| links.push(statement(call, what));
        for call in self.calls.iter().filter(|call| call.time <= self.at) {
            if let (Some(user), Some(device)) = (&call.user, &call.device)
                && !call.is_event()
                && id == format!("a{device}")
            {
                link(call, format!("u{user}"));
            }
            if let Some(previous) = &call.previous
                && call.kind == "alias"
                && (id == format!("u{previous}") || id == format!("a{previous}"))
                && id != call.actor()
            {
                link(call, call.actor());
            }
        }
        links
    }

    /// The person behind an id on a day.
    fn person(&self, id: &str, day: NaiveDate) -> String {
        let mut path = vec![id.to_owned()];
        while let Some(next) = last_up_to_else_first(self.links(path.last().unwrap()), day) {
            if let Some(start) = path.iter().position(|passed| *passed == next) {
                return path[start..].iter().min().unwrap().clone();
            }
            path.push(next);
        }
        path.pop().unwrap()
    }

    /// The account of a person on a day, by group calls.
    fn membership(&self, person: &str, day: NaiveDate) -> Option<String> {
        let groups = self.calls.iter().filter(|call| call.kind == "group");
        let own = groups.filter(|call| call.person == person);
        let made = own.map(|call| statement(call, call.account.clone().unwrap()));
        last_up_to_else_first(made.collect(), day)
    }

    fn accounts(&self) -> BTreeSet<String> {
        self.lines.keys().cloned().collect()
    }

    /// Those that belong to it, and those of all accounts below.
    fn events_of(&self, account: &str) -> impl Iterator<Item = &Done> {
        let line = |done: &Done| self.lines.get(done.account.as_ref()?);
        self.done.iter().filter(move |done| line(done).is_some_and(|line| line.iter().any(|above| above == account)))
    }

    /// Events in the 30 days that end at the same phase of the cycle before, of an account that was there by then, and its longest
    /// silence around that phase.
    fn phase(&self, account: &str, profile: &ProfileSetup) -> (Option<usize>, Option<i64>) {
        let Some((end, _)) = profile.phase(self.over) else { return (None, None) };
        let since = end - TimeDelta::days(29);
        let was_there = self.first_day(account).is_some_and(|first| first <= since);
        let within = |done: &&Done| !done.derived && since <= done.day && done.day <= end;
        let silent = |day: NaiveDate| {
            let last = self.events_of(account).map(|done| done.day).filter(|last| *last <= day).max()?;
            Some((day - last).num_days())
        };
        let events = was_there.then(|| self.events_of(account).filter(within).count());
        (events, around(profile, self.today).filter_map(silent).max())
    }

    fn own_events_of(&self, account: &str) -> impl Iterator<Item = &Done> {
        self.done.iter().filter(move |done| done.account.as_deref() == Some(account))
    }

    fn first_day(&self, account: &str) -> Option<NaiveDate> {
        self.events_of(account).map(|done| done.day).min()
    }

    // ---- traits

    /// Calls that state traits, in their order, without those that a later one of the day replaces.
    fn stating(&self, whose: impl Fn(&Told) -> bool, id: impl Fn(&Told) -> String) -> Vec<&Told> {
        let names = |call: &Told| call.traits.keys().cloned().collect::<BTreeSet<_>>();
        let mut calls: Vec<&Told> = self.calls.iter().filter(|call| whose(call)).collect();
        calls.sort_by_key(|call| call.when());
        let replaced = |call: &Told| {
            calls.iter().any(|later| {
                later.when() > call.when()
                    && later.day == call.day
                    && id(later) == id(call)
                    && names(later) == names(call)
            })
        };
        calls.iter().filter(|call| !replaced(call)).copied().collect()
    }

    fn account_statements(&self, account: &str) -> Vec<&Told> {
        let today = |call: &Told| call.account.as_ref().map(|stated| now(&self.setup.account_aliases, stated));
        let whose = |call: &Told| call.kind == "group" && today(call).as_deref() == Some(account);
        self.stating(whose, |call| call.account.clone().unwrap())
    }

    fn user_statements(&self, person: &str) -> Vec<&Told> {
        let whose = |call: &Told| call.kind == "identify" && !call.traits.is_empty() && call.person == person;
        self.stating(whose, Told::actor)
    }

    /// Traits at the end of a day, or as of T.
    fn account_traits(&self, account: &str, day: NaiveDate) -> BTreeMap<String, Value> {
        overlay(self.account_statements(account).into_iter().filter(|call| call.day <= day))
    }

    fn profile_of(&self, account: &str, day: NaiveDate) -> Option<&ProfileSetup> {
        self.setup.profiles.iter().find(|profile| self.is_for(&profile.only, account, day))
    }

    fn is_for(&self, whom: &ForWhom, account: &str, day: NaiveDate) -> bool {
        match whom {
            ForWhom::Everyone => true,
            ForWhom::Plan(plan) => self.account_traits(account, day).get("plan") == Some(&Value::from(*plan)),
        }
    }

    // ---- everything

    pub fn all_accounts(&self, recent_days: i64) -> Vec<Account> {
        let mut all: Vec<Account> = self.accounts().iter().map(|id| self.account(id, recent_days)).collect();
        self.people(&mut all);
        all
    }

    fn account(&self, id: &str, recent_days: i64) -> Account {
        let mut account =
            Account { id: id.to_owned(), traits: self.account_traits(id, self.today), ..Account::default() };
        let start = self.begins(&account.traits, self.first_day(id));
        let age = start.map(|start| (self.today - start).num_days());
        account.tenure_days = age.filter(|days| *days >= 0);
        account.is_new = self.setup.new_days > 0 && age.is_some_and(|days| days < self.setup.new_days);
        account.has_left = self.has_left(id, self.today);
        for profile in &self.setup.profiles {
            account.profiles.insert(profile.name.clone(), self.health(id, profile, account.is_new));
        }
        account.parent = self.lines[id].get(1).cloned();
        account.children = self.lines.values().filter(|line| line.get(1).is_some_and(|above| above == id)).count();
        let chosen = self.profile_of(id, self.today);
        account.profile = chosen.map(|profile| profile.name.clone());
        account.window_days = chosen.map_or(30, |profile| profile.window);
        let age = |done: &Done| (self.over - done.day).num_days();
        let within = |done: &Done, days: i64| (0..days).contains(&age(done));
        let users_where = |holds: &dyn Fn(&Done) -> bool| {
            self.events_of(id).filter(|done| holds(done)).map(|done| &done.user).collect::<BTreeSet<_>>().len()
        };
        account.total_users = users_where(&|done| within(done, self.total_span(account.window_days)));
        if let Some(profile) = chosen {
            let scored = |done: &Done| profile.weight(&done.event).is_some();
            account.active_users = users_where(&|done| scored(done) && within(done, self.active_span(profile.window)));
            let days: BTreeSet<NaiveDate> = self
                .events_of(id)
                .filter(|done| scored(done) && within(done, profile.window))
                .map(|done| done.day)
                .collect();
            account.active_days = days.len();
            let features = self.features(profile);
            let used = |(_, events): &&Feature, days: Option<i64>| {
                let mut done = self.events_of(id).filter(|done| days.is_none_or(|days| within(done, days)));
                done.any(|done| events.iter().any(|event| is_of(&done.event, event)))
            };
            let percent = |days| {
                let count = features.iter().filter(|feature| used(feature, days)).count() as f64;
                (!features.is_empty()).then(|| 100.0 * count / features.len() as f64)
            };
            account.adoption_window = percent(Some(profile.window));
            account.adoption_all_time = percent(None);
            let unused = features.iter().filter(|feature| !used(feature, Some(profile.window)));
            account.unused = unused.map(|(name, _)| name.clone()).collect();
            let peg = self.peg(profile, self.today, self.over, Some(id)).map_or(0.0, |(peg, _)| peg.0);
            let days = self.over - TimeDelta::days(recent_days);
            // Under the seats of now, and without components that have no value now.
            let score = |day: NaiveDate| {
                let size = if profile.per == PerSetup::Seats { self.over } else { day };
                let usage = self.first_day(id).filter(|first| *first <= day);
                let usage = usage.and_then(|_| self.usage(id, profile, day, size, peg));
                self.blended(id, profile, usage, day, self.over).0
            };
            for day in days.iter_days().take_while(|day| *day <= self.over) {
                account.recent.extend(score(day).map(|score| (day, score)));
            }
            for (day, _) in account.recent.iter().filter(|_| profile.cycle.is_some()) {
                let scores: Vec<f64> = around(profile, *day).filter_map(score).collect();
                let ends = scores.iter().copied().reduce(f64::min).zip(scores.iter().copied().reduce(f64::max));
                account.usual.push(ends);
            }
            account.phase = self.phase(id, profile);
        }
        account.active_percent =
            (account.total_users > 0).then(|| 100.0 * account.active_users as f64 / account.total_users as f64);
        account.last_active = self.events_of(id).map(|done| done.time).filter(|time| *time <= self.at).max();
        if let Some(profile) = chosen {
            let core = |done: &&Done| profile.weight(&done.event).is_some_and(|weight| weight >= 4.0);
            account.first_key_action = self.events_of(id).filter(core).map(|done| done.day).min();
        }
        self.activation(&mut account, start);
        let trend = chosen.map(|profile| &account.profiles[&profile.name]);
        let trend = trend.and_then(|health| health.change_cycle.or(health.change_30d));
        let trend = trend.map(|change| 50.0 + 5.0 * change.clamp(-10.0, 10.0));
        let limit = account
            .traits
            .get("seats")
            .and_then(Value::as_f64)
            .filter(|seats| *seats > 0.0)
            .map(|seats| 200.0 * (3.0 / seats - 0.5));
        let parts = [
            account.adoption_window,
            account.active_percent,
            trend,
            account.activation_percent,
            limit.map(|limit| limit.clamp(0.0, 100.0)),
        ];
        let known: Vec<f64> = parts.into_iter().flatten().collect();
        account.expansion = (known.len() >= 3).then(|| known.iter().sum::<f64>() / known.len() as f64);
        account
    }

    /// The features of a profile, without what is held out.
    fn features(&self, profile: &ProfileSetup) -> Vec<Feature> {
        if self.setup.features.is_empty() {
            let mut own: Vec<String> = profile.weights.iter().map(|(event, _)| event.clone()).collect();
            // An event on a condition goes by a name that comes before all others.
            own.sort_by_key(|event| (event != DERIVED, event.clone()));
            own.extend(self.by_wildcard(profile).into_keys());
            return own.iter().map(|event| (event.clone(), vec![event.clone()])).collect();
        }
        let held = |event: &str| event == DERIVED && self.held_windows.contains(&profile.window);
        let counted = |(name, events): &(&str, &[&str])| {
            let events = events.iter().filter(|event| !held(event)).map(|event| (*event).to_owned());
            ((*name).to_owned(), events.collect::<Vec<String>>())
        };
        self.setup.features.iter().map(counted).filter(|(_, events)| !events.is_empty()).collect()
    }

    /// Events that were seen in an account and that a wildcard scores.
    fn by_wildcard(&self, profile: &ProfileSetup) -> BTreeMap<String, f64> {
        let seen = self.done.iter().filter(|done| done.account.is_some());
        seen.filter_map(|done| Some((done.event.clone(), profile.wild_weight(&done.event)?))).collect()
    }

    /// The start; of who has acted never one that is yet to come.
    fn begins(&self, traits: &BTreeMap<String, Value>, first: Option<NaiveDate>) -> Option<NaiveDate> {
        match (self.start(traits), first) {
            (Some(stated), Some(first)) if stated > self.today => Some(first),
            (stated, first) => stated.or(first),
        }
    }

    fn start(&self, traits: &BTreeMap<String, Value>) -> Option<NaiveDate> {
        for name in ["createdAt", "created_at"] {
            let start = match traits.get(name) {
                Some(Value::String(text)) => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().or_else(|| {
                    let time = DateTime::parse_from_rfc3339(text).ok()?;
                    Some(day(time.timestamp_millis(), self.setup.zone))
                }),
                Some(Value::Number(number)) => {
                    let number = number.as_i64().unwrap();
                    let seconds = if number < 100_000_000_000 { number } else { number / 1000 };
                    Some(day(seconds * 1000, self.setup.zone))
                }
                _ => None,
            };
            if start.is_some() {
                return start;
            }
        }
        None
    }

    /// Events that belong to no account.
    pub fn unassigned(&self) -> usize {
        self.done.iter().filter(|done| done.account.is_none() && !done.derived).count()
    }
}

/// Today's name of an event or account.
fn now(aliases: &[(String, String)], name: &str) -> String {
    let found = aliases.iter().find(|(old, _)| old == name);
    found.map_or(name, |(_, new)| new).to_owned()
}

fn statement(call: &Told, what: String) -> Statement<'_> {
    Statement { when: call.when(), day: call.day, what }
}

/// The last statement up to the end of a day, else the first after; of two at the same time the greater messageId is later.
fn last_up_to_else_first(statements: Vec<Statement<'_>>, day: NaiveDate) -> Option<String> {
    let before = statements.iter().filter(|statement| statement.day <= day).max_by_key(|statement| statement.when);
    let found = before.or_else(|| statements.iter().min_by_key(|statement| statement.when));
    found.map(|statement| statement.what.clone())
}

/// Whether an event is one of that name, which may end with a `*`.
fn is_of(event: &str, name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(begin) => event.starts_with(begin) && event != DERIVED,
        None => event == name,
    }
}

fn overlay<'t>(calls: impl Iterator<Item = &'t Told>) -> BTreeMap<String, Value> {
    let mut traits = BTreeMap::new();
    for call in calls {
        traits.extend(call.traits.clone());
    }
    traits.retain(|_, value| !value.is_null());
    traits
}

/// The day since when a trait is set: to anything but null, false or empty text. Of each day its end counts.
fn set_since(calls: &[&Told], name: &str) -> Option<NaiveDate> {
    let stating: Vec<&&Told> = calls.iter().filter(|call| call.traits.contains_key(name)).collect();
    let mut since = None;
    for (index, call) in stating.iter().enumerate() {
        if stating.get(index + 1).is_some_and(|next| next.day == call.day) {
            continue;
        }
        let set = match &call.traits[name] {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        since = if set { since.or(Some(call.day)) } else { None };
    }
    since
}
