//! Evaluation: from resolved usage to the measures of every account and user, as of a time.
//!
//! Pure and repeatable: the same usage, model and time give the same figures, whatever the order of reading. Windows end
//! with the last day that is over; activation, last active and tenure run to the as-of time. What came after it is not
//! seen. Scores of past days are computed under today's config; nothing is stored here.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::expr::Names as _;
use crate::health::{self, CURVE, Drop, Pegged};
use crate::identity::{AccountUsage, Resolved, Resolver, Traits, traits_at};
use crate::model::{Band, Done, Model, Profile};
use crate::names::{AccountNames, TraitNames};
use crate::scale::{Scale, profile_of, scale};
use crate::time::{Day, Timestamp};
use crate::usage::{Id, Ids, Usage};
use crate::value::Value;

/// A user counts as one of an account's for so many days after the last event, or for the window if longer.
pub const MEMBER_DAYS: i32 = 90;

/// All figures as of a time.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// The as-of time.
    pub at: Timestamp,
    /// The last day of every window.
    pub over: Day,
    /// Accounts, by their id.
    pub accounts: Vec<Account>,
    /// Identified users, by their id.
    pub users: Vec<User>,
    /// The benchmark in force, by profile.
    pub benchmarks: BTreeMap<String, Pegged>,
    /// Events that belong to no account.
    pub unassigned_events: u64,
    /// The names of scored events.
    pub events: EventNames,
}

/// Names of events by their numbers.
pub type EventNames = FxHashMap<Id, String>;

/// Health under one profile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Health {
    /// Σ count × weight in the window, in points; `None`: no event was ever received.
    pub raw: Option<f64>,
    /// 1–100, unrounded.
    pub score: Option<f64>,
    /// The band, with hold.
    pub band: Option<Band>,
    /// Score now − score 7 days ago.
    pub change_7d: Option<f64>,
    /// Score now − score 30 days ago.
    pub change_30d: Option<f64>,
    /// What moved most, in words that stay the same while it does.
    pub top_reason: Option<String>,
}

/// One account's figures.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The account's id, as calls state it.
    pub id: String,
    /// Its display name.
    pub name: Option<String>,
    /// Its owner.
    pub owner: Value,
    /// Its traits.
    pub traits: Traits,
    /// The account that it is rolled up into.
    pub parent: Option<String>,
    /// How many accounts are rolled up into it; 0 for a plain one.
    pub children: u32,
    /// The profile that is its health.
    pub profile: Option<String>,
    /// Its health.
    pub health: Health,
    /// Health under every profile, by name.
    pub profiles: BTreeMap<String, Health>,
    /// Steps done ÷ steps × 100; `None` without a checklist.
    pub activation_percent: Option<f64>,
    /// The checklist's steps: the name, and the day each was done.
    pub steps: Vec<(String, Option<Day>)>,
    /// The day the last missing step was done.
    pub activated_at: Option<Day>,
    /// Scored events used in the window ÷ scored events × 100.
    pub adoption_window: Option<f64>,
    /// The same over all time.
    pub adoption_all_time: Option<f64>,
    /// Users with a scored event in the window.
    pub active_users: u32,
    /// Users with any event in the last 90 days, or in the window if longer.
    pub total_users: u32,
    /// Days of the window with a scored event.
    pub active_days: u32,
    /// Days of the window.
    pub window_days: u32,
    /// The latest event.
    pub last_active: Option<Timestamp>,
    /// As-of date − start date.
    pub tenure_days: Option<i32>,
    /// The calendar day of the as-of time.
    pub today: Day,
    /// Lifecycle stages and segments that hold, by full name.
    pub rules: BTreeSet<String>,
    /// Daily scores of the last days under the benchmark in force now, for edges; the last is today's score.
    pub recent: Vec<(Day, f64)>,
    /// Scored events of the last days, by day, for reasons.
    pub scored: Vec<(Day, Id, u32)>,
}

/// One identified user's figures.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// The userId.
    pub id: String,
    /// The user's traits.
    pub traits: Traits,
    /// The latest event.
    pub last_active: Option<Timestamp>,
    /// Days of the window with a scored event.
    pub active_days: u32,
    /// Days of the window.
    pub window_days: u32,
    /// The primary account (the latest event, then the id): its place in [`Evaluation::accounts`].
    pub account: Option<usize>,
}

impl Account {
    /// Active ÷ total users × 100; `None` without users.
    pub fn active_percent(&self) -> Option<f64> {
        (self.total_users > 0).then(|| f64::from(self.active_users) / f64::from(self.total_users) * 100.0)
    }

    /// How many steps are done.
    pub fn steps_done(&self) -> usize {
        self.steps.iter().filter(|(_, done)| done.is_some()).count()
    }

    /// The drop since a day, under the benchmark in force now.
    pub fn drop_since(&self, since: Day) -> Option<Drop> {
        health::drop_within(&self.recent, since)
    }

    /// Counts of each scored event in the windows ending on two days, with its weight in millionths.
    pub fn weighed(
        &self,
        profile: &Profile,
        from: Day,
        to: Day,
        events: &EventNames,
    ) -> BTreeMap<String, (u64, u64, i64)> {
        weighed(&self.scored, profile, events, from, to)
    }

    /// What moved the score between two days: the events whose weighted counts in the window changed most, one line each.
    pub fn reasons(&self, profile: &Profile, from: Day, to: Day, events: &EventNames) -> Vec<String> {
        let mut moved: Vec<(f64, String)> = weighed(&self.scored, profile, events, from, to)
            .into_iter()
            .filter(|(_, (before, now, _))| before != now)
            .map(|(event, (before, now, weight))| {
                let part = (now as f64 - before as f64) * weight as f64;
                (part, format!("{event}: {now} in the last {} days, {before} on {from}", profile.window))
            })
            .collect();
        moved.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        moved.into_iter().take_while(|(part, _)| *part < 0.0).take(3).map(|(_, line)| line).collect()
    }
}

/// Counts of each scored event in the windows ending on two days, with its weight.
fn weighed(
    scored: &[(Day, Id, u32)],
    profile: &Profile,
    events: &EventNames,
    from: Day,
    to: Day,
) -> BTreeMap<String, (u64, u64, i64)> {
    let mut counts: BTreeMap<String, (u64, u64, i64)> = BTreeMap::new();
    for (day, event, count) in scored {
        let Some(name) = events.get(event) else { continue };
        let Some(weight) = profile.weights.get(name) else { continue };
        let entry = counts.entry(name.clone()).or_insert((0, 0, *weight));
        let within = |end: Day| *day <= end && *day > end.plus(-profile.window);
        entry.0 += if within(from) { u64::from(*count) } else { 0 };
        entry.1 += if within(to) { u64::from(*count) } else { 0 };
    }
    counts
}

/// Evaluates everything as of `at`. `recent_days` is how far back [`Account::recent`] goes, for alert rules.
pub fn evaluate(usage: &Usage, ids: &Ids, model: &Model, at: Timestamp, recent_days: i32) -> Evaluation {
    let mut resolver = Resolver::new(&usage.statements, ids, &model.calendar, at);
    for (spot, uses) in &usage.days {
        resolver.add(spot, uses);
    }
    measure(resolver.finish(), ids, model, at, recent_days)
}

/// Measures what was resolved as of the same time.
pub fn measure(mut resolved: Resolved, ids: &Ids, model: &Model, at: Timestamp, recent_days: i32) -> Evaluation {
    let calendar = &model.calendar;
    let (today, over) = (calendar.day(at), calendar.last_over(at));
    exclude_users(&mut resolved, ids, model, at);

    let mut accounts: Vec<(Id, AccountUsage, Traits)> = resolved
        .accounts
        .drain()
        .map(|(id, usage)| {
            let traits = traits_at(&usage.traits, at);
            (id, usage, traits)
        })
        .filter(|(id, usage, traits)| {
            let known = !usage.cells.is_empty() || !usage.traits.is_empty();
            let names = TraitNames { id: ids.accounts.name(*id), id_name: "account", traits, model: Some(model) };
            known && !model.exclude_accounts.as_ref().is_some_and(|rule| rule.holds(&names))
        })
        .collect();
    accounts.sort_by(|a, b| ids.accounts.name(a.0).cmp(ids.accounts.name(b.0)));

    let scales: Vec<Scale<'_>> =
        model.profiles.iter().map(|profile| scale(profile, &accounts, ids, model, today, over)).collect();
    let mut evaluation = Evaluation { at, over, unassigned_events: resolved.unassigned, ..Evaluation::default() };
    for scale in &scales {
        if let Some(peg) = scale.peg(today, over) {
            evaluation.benchmarks.insert(scale.profile.name.clone(), peg);
        }
    }
    let scored = scales.iter().flat_map(|scale| scale.weights.keys());
    let events: EventNames = scored.map(|event| (*event, ids.events.name(*event).to_owned())).collect();
    let members = Members {
        user_traits: &resolved.user_traits,
        unassigned_last: &resolved.unassigned_last,
        events: &events,
        model,
        at,
        today,
        over,
        recent_days,
    };
    for (index, (id, usage, traits)) in accounts.iter().enumerate() {
        evaluation.accounts.push(account(index, *id, usage, traits, &scales, ids, &members));
    }
    evaluation.users = users(&accounts, &evaluation.accounts, &scales, ids, &members);
    evaluation.events = events;
    evaluation
}

fn exclude_users(resolved: &mut Resolved, ids: &Ids, model: &Model, at: Timestamp) {
    let Some(rule) = &model.exclude_users else { return };
    let mut everyone: FxHashSet<Id> = resolved.user_traits.keys().copied().collect();
    for usage in resolved.accounts.values() {
        everyone.extend(usage.user_last.keys());
        everyone.extend(usage.cells.iter().map(|cell| cell.user));
    }
    let excluded = everyone
        .into_iter()
        .filter(|user| {
            let traits = resolved.user_traits.get(user).map(|statements| traits_at(statements, at)).unwrap_or_default();
            let id = ids.user_id(*user).unwrap_or_default();
            rule.holds(&TraitNames { id, id_name: "user.id", traits: &traits, model: None })
        })
        .collect();
    resolved.without_users(&excluded);
}

/// What the evaluation of one account needs besides its own usage.
struct Members<'a> {
    user_traits: &'a FxHashMap<Id, Vec<crate::usage::Stated<Traits>>>,
    unassigned_last: &'a FxHashMap<Id, Timestamp>,
    events: &'a EventNames,
    model: &'a Model,
    at: Timestamp,
    today: Day,
    over: Day,
    recent_days: i32,
}

fn account(
    index: usize,
    id: Id,
    usage: &AccountUsage,
    traits: &Traits,
    scales: &[Scale<'_>],
    ids: &Ids,
    cx: &Members<'_>,
) -> Account {
    let name = ids.accounts.name(id);
    let mut account = Account { id: name.to_owned(), traits: traits.clone(), today: cx.today, ..Account::default() };
    let trait_names = TraitNames { id: name, id_name: "account", traits, model: Some(cx.model) };
    account.name = cx.model.name.as_ref().and_then(|expr| expr.value(&trait_names).as_key());
    account.owner = cx.model.owner.as_ref().map(|expr| expr.value(&trait_names)).unwrap_or_default();
    account.last_active = usage.last;
    let first_event = usage.cells.first().map(|cell| cell.day);
    let created = ["createdAt", "created_at"].iter().find_map(|name| start_day(traits.get(*name)?, cx.model));
    account.tenure_days = created.or(first_event).map(|start| cx.today.0.saturating_sub(start.0));

    for scale in scales {
        let health = health_of(index, usage, scale, cx);
        account.profiles.insert(scale.profile.name.clone(), health);
    }
    let chosen = profile_of(cx.model, name, traits).and_then(|place| scales.get(place));
    let window = chosen.map_or(30, |scale| scale.profile.window);
    account.window_days = window as u32;
    let members = window.max(MEMBER_DAYS);
    let total: FxHashSet<Id> = usage
        .cells
        .iter()
        .filter(|cell| cell.day <= cx.over && cell.day > cx.over.plus(-members))
        .map(|cell| cell.user)
        .collect();
    account.total_users = total.len() as u32;
    if let Some(scale) = chosen {
        account.profile = Some(scale.profile.name.clone());
        account.health = account.profiles.get(&scale.profile.name).cloned().unwrap_or_default();
        let (mut users, mut days, mut used, mut ever) =
            (FxHashSet::default(), FxHashSet::default(), FxHashSet::default(), FxHashSet::default());
        for cell in usage.cells.iter().filter(|cell| cell.day <= cx.today && scale.weights.contains_key(&cell.event)) {
            ever.insert(cell.event);
            if cell.day <= cx.over && cell.day > cx.over.plus(-window) {
                users.insert(cell.user);
                days.insert(cell.day);
                used.insert(cell.event);
            }
        }
        account.active_users = users.len() as u32;
        account.active_days = days.len() as u32;
        let features = scale.profile.weights.len();
        if features > 0 {
            account.adoption_window = Some(used.len() as f64 / features as f64 * 100.0);
            account.adoption_all_time = Some(ever.len() as f64 / features as f64 * 100.0);
        }
        if let Some(series) = scale.series.get(index) {
            let peg = scale.peg(cx.today, cx.over).map_or(0.0, |peg| peg.raw);
            account.recent = ((cx.over.0 - cx.recent_days).max(series.first.0)..=cx.over.0)
                .filter_map(|day| Some((Day(day), health::score(health::points(series.at(Day(day))?), peg, CURVE))))
                .collect();
        }
        let since = cx.over.plus(-2 * window - cx.recent_days);
        account.scored = usage
            .cells
            .iter()
            .filter(|cell| cell.day > since && scale.weights.contains_key(&cell.event))
            .map(|cell| (cell.day, cell.event, cell.count))
            .collect();
    }
    activation(&mut account, usage, ids, cx);

    let names = AccountNames { account: &account, model: cx.model };
    let named = |kind: &str, rules: &[(String, crate::expr::Expr)]| -> Vec<String> {
        rules
            .iter()
            .map(|(name, _)| format!("{kind}.{name}"))
            .filter(|full| names.value(full) == Value::Bool(true))
            .collect()
    };
    let rules =
        named("lifecycle", &cx.model.lifecycle).into_iter().chain(named("segments", &cx.model.segments)).collect();
    account.rules = rules;
    account
}

/// A trait as a start: a date, a time, or seconds or milliseconds since 1970; between 1970 and 2100, else it is none.
fn start_day(value: &Value, model: &Model) -> Option<Day> {
    let years = Day(0)..Day(47_482);
    let time = match value {
        Value::Text(text) => {
            let day = Day::parse(text).or_else(|| Timestamp::parse(text).map(|time| model.calendar.day(time)));
            return day.filter(|day| years.contains(day));
        }
        Value::Number(number) if number.abs() < 1e11 => Timestamp((number * 1000.0) as i64),
        Value::Number(number) => Timestamp(*number as i64),
        _ => return None,
    };
    Some(model.calendar.day(time)).filter(|day| years.contains(day))
}

fn health_of(index: usize, usage: &AccountUsage, scale: &Scale<'_>, cx: &Members<'_>) -> Health {
    let Some(series) = scale.series.get(index) else { return Health::default() };
    let Some(first) = usage.cells.first() else { return Health::default() };
    // The first event came today: it was received, and no day with it is over, so its raw score is 0.
    let raw = series.raws.last().copied().unwrap_or(0);
    let score = scale.score(raw, cx.today, cx.over);
    let past = |days: i32| {
        let day = cx.over.plus(-days);
        series.at(day).map(|raw| score - scale.score(raw, day, day))
    };
    let earlier =
        (first.day.0..cx.over.0).filter_map(|day| Some(scale.score(series.at(Day(day))?, Day(day), Day(day))));
    let band = scale.profile.bands.held(earlier.chain([score]));
    Health {
        raw: Some(health::points(raw)),
        score: Some(score),
        band,
        change_7d: past(7),
        change_30d: past(30),
        top_reason: Some(top_reason(usage, scale, cx, raw)),
    }
}

/// The event that moved the raw score most against the window before, without figures: a text that is written to a CRM must
/// not change every day.
fn top_reason(usage: &AccountUsage, scale: &Scale<'_>, cx: &Members<'_>, raw: i64) -> String {
    let (events, over) = (cx.events, cx.over);
    let window = scale.profile.window;
    if raw == 0 {
        return format!("no scored activity in the last {window} days");
    }
    let scored: Vec<(Day, Id, u32)> = usage
        .cells
        .iter()
        .filter(|cell| cell.day > over.plus(-2 * window))
        .map(|cell| (cell.day, cell.event, cell.count))
        .collect();
    let moved = weighed(&scored, scale.profile, events, over.plus(-window), over)
        .into_iter()
        .map(|(event, (before, now, weight))| ((now as i64 - before as i64) * weight, event))
        .max_by(|a, b| a.0.abs().cmp(&b.0.abs()).then_with(|| b.1.cmp(&a.1)));
    match moved {
        Some((part, event)) if part < 0 => format!("less {event} than in the {window} days before"),
        Some((part, event)) if part > 0 => format!("more {event} than in the {window} days before"),
        _ => "steady use".into(),
    }
}

fn activation(account: &mut Account, usage: &AccountUsage, ids: &Ids, cx: &Members<'_>) {
    if cx.model.activation.is_empty() {
        return;
    }
    for step in &cx.model.activation {
        let done = match &step.done {
            Done::Event { event, count } => ids.events.find(event).and_then(|event| {
                let mut so_often = 0u64;
                let reached = |cell: &&crate::identity::Cell| {
                    so_often += u64::from(cell.count);
                    so_often >= u64::from(*count)
                };
                let cells = usage.cells.iter().filter(|cell| cell.event == event && cell.day <= cx.today);
                cells.into_iter().find(reached).map(|cell| cell.day)
            }),
            Done::Trait(name) => {
                let own = first_set(&usage.traits, name, cx);
                let users: BTreeSet<Id> = usage.cells.iter().map(|cell| cell.user).collect();
                let theirs = users.iter().filter_map(|user| first_set(cx.user_traits.get(user)?, name, cx)).min();
                [own, theirs].into_iter().flatten().min()
            }
        };
        account.steps.push((step.name.clone(), done));
    }
    let done = account.steps_done();
    account.activation_percent = Some(done as f64 / account.steps.len() as f64 * 100.0);
    if done == account.steps.len() {
        account.activated_at = account.steps.iter().filter_map(|(_, day)| *day).max();
    }
}

/// Since which day a trait is set (to anything but null, false or empty text), if it still is. What counts of a day is how it
/// ended: nothing else is kept of it.
fn first_set(statements: &[crate::usage::Stated<Traits>], name: &str, cx: &Members<'_>) -> Option<Day> {
    let mut ends: BTreeMap<Day, bool> = BTreeMap::new();
    for stated in statements.iter().filter(|stated| stated.at <= cx.at.0) {
        if let Some(value) = stated.value.get(name) {
            let set = !matches!(value, Value::Null | Value::Bool(false)) && value.as_text() != Some("");
            ends.insert(cx.model.calendar.day(stated.time()), set);
        }
    }
    let mut since = None;
    for (day, set) in ends {
        since = if set { since.or(Some(day)) } else { None };
    }
    since
}

fn users(
    usages: &[(Id, AccountUsage, Traits)],
    accounts: &[Account],
    scales: &[Scale<'_>],
    ids: &Ids,
    cx: &Members<'_>,
) -> Vec<User> {
    let mut latest: FxHashMap<Id, (Timestamp, usize)> = FxHashMap::default();
    let mut days: FxHashMap<Id, FxHashSet<Day>> = FxHashMap::default();
    for (index, (_, usage, _)) in usages.iter().enumerate() {
        for (user, last) in &usage.user_last {
            let entry = latest.entry(*user).or_insert((*last, index));
            // Accounts are in the order of their ids: of two with the same latest event the first stays.
            if *last > entry.0 {
                *entry = (*last, index);
            }
        }
        let Some(account) = accounts.get(index) else { continue };
        let Some(scale) = scales.iter().find(|scale| Some(&scale.profile.name) == account.profile.as_ref()) else {
            continue;
        };
        let window = scale.profile.window;
        let scored = |cell: &&crate::identity::Cell| {
            cell.day <= cx.over && cell.day > cx.over.plus(-window) && scale.weights.contains_key(&cell.event)
        };
        for cell in usage.cells.iter().filter(scored) {
            days.entry(cell.user).or_default().insert(cell.day);
        }
    }
    let everyone: FxHashSet<Id> = latest.keys().chain(cx.user_traits.keys()).copied().collect();
    let mut users: Vec<User> = everyone
        .into_iter()
        .filter_map(|id| {
            let place = latest.get(&id).map(|(_, index)| *index);
            Some(User {
                id: ids.user_id(id)?.to_owned(),
                traits: cx.user_traits.get(&id).map(|statements| traits_at(statements, cx.at)).unwrap_or_default(),
                last_active: latest.get(&id).map(|(last, _)| *last).max(cx.unassigned_last.get(&id).copied()),
                active_days: days.get(&id).map_or(0, |days| days.len() as u32),
                window_days: place.and_then(|place| accounts.get(place)).map_or(30, |account| account.window_days),
                account: place,
            })
        })
        .collect();
    users.sort_by(|a, b| a.id.cmp(&b.id));
    users
}
