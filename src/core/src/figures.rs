//! The figures of accounts and users as of a time: types, and what follows from them alone. What stands behind each is
//! computed in [`crate::evaluate`]; under which name it is met in rules, mappings and JSON says [`crate::names`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::activity::Activity;
use crate::by_name::ByName;
use crate::checklist::share;
use crate::cycle::{Against, Usual};
use crate::doubt::Doubt;
use crate::gather::HeldOut;
use crate::habits::{Deeds, Habits};
use crate::health::{self, Drop, Pegged};
use crate::identity::Traits;
use crate::model::{Band, Model, Profile};
use crate::past::Snapshot;
use crate::pulse::Stopped;
use crate::time::{Day, Timestamp};
use crate::usage::Id;
use crate::value::Value;

/// All figures as of a time.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// The as-of time.
    pub at: Timestamp,
    /// The as-of day.
    pub today: Day,
    /// The last day of every window.
    pub over: Day,
    /// Accounts, by their id.
    pub accounts: Vec<Account>,
    /// Identified users, by their id, without those who only used accounts that are left out.
    pub users: Vec<User>,
    /// The benchmark in force over all accounts, by profile.
    pub benchmarks: BTreeMap<String, Pegged>,
    /// The benchmarks in force of groups with enough accounts, by profile and group.
    pub group_benchmarks: BTreeMap<String, BTreeMap<String, Pegged>>,
    /// What is odd about the figures.
    pub doubts: Vec<Doubt>,
    /// Events that belong to no account.
    pub unassigned_events: u64,
    /// The names of scored events.
    pub events: EventNames,
    /// True if windows end early, because a source fell silent.
    pub stale: bool,
    /// Scored events that stopped for everybody, by their names.
    pub stopped: Vec<Stopped>,
    /// Derived events that are not in the score yet, by their display names.
    pub counted_since: Vec<HeldOut>,
    /// What is done, event by event; `None` if it was not asked for.
    pub activity: Option<Activity>,
}

impl Evaluation {
    /// An account by its id.
    pub fn find(&self, id: &str) -> Option<&Account> {
        let place = self.accounts.binary_search_by(|account| account.id.as_str().cmp(id)).ok()?;
        self.accounts.get(place)
    }

    /// A user by its id.
    pub fn find_user(&self, id: &str) -> Option<&User> {
        let place = self.users.binary_search_by(|user| user.id.as_str().cmp(id)).ok()?;
        self.users.get(place)
    }

    /// The place of the account that a text names best, the first of equals.
    pub fn named(&self, text: &str) -> Option<usize> {
        let named = self.accounts.iter().enumerate().filter_map(|(place, account)| Some((account.named(text)?, place)));
        named.min().map(|(_, place)| place)
    }
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
    /// Score now − score at the same phase of the profile's cycle before; `None` without a cycle.
    pub change_cycle: Option<f64>,
    /// The bands that it had around that phase.
    pub phase_bands: Vec<Band>,
    /// Days in a row in the healthy band, today included; 0 if it is another.
    pub days_healthy: Option<u32>,
    /// What its window is held against where it is said what moved; `None` without usage and components.
    pub against: Option<Against>,
    /// What moved most, in words that stay the same while it does.
    pub top_reason: Option<Arc<str>>,
    /// Three lines, that stay the same while the band and what moved most do.
    pub story: Option<Arc<str>>,
    /// By what the raw score is divided: active users or seats; `None` where by nothing, or there is nothing to divide by.
    pub size: Option<f64>,
    /// The raw score, or that for each user or seat, that counts as 100.
    pub benchmark: Option<f64>,
    /// The group that the benchmark is of; `None`: all accounts.
    pub benchmark_group: Option<String>,
    /// The share of the components' weight that has a value, 0–1; `None` without a score.
    pub coverage: Option<f64>,
    /// The share of usage in the score, 0–1, where it has components; `None`: all of it.
    pub usage_share: Option<f64>,
    /// Points of usage and of each component that has a value, 1–100; empty where a profile has no components.
    pub components: ByName<f64>,
    /// Why a person stated the band, while they do.
    pub override_reason: Option<String>,
    /// The last day of that.
    pub override_until: Option<Day>,
}

impl Health {
    /// The change that tells whether it goes up or down: against the same phase of the cycle before, where there is one, else
    /// against 30 days ago.
    pub fn trend(&self) -> Option<f64> {
        self.change_cycle.or(self.change_30d)
    }
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
    /// The account that it is rolled up into. Its usage counts there too, and in all above that one.
    pub parent: Option<String>,
    /// How many accounts name it as their parent; 0 for a plain one.
    pub children: u32,
    /// The profile that is its health.
    pub profile: Option<String>,
    /// Its health.
    pub health: Health,
    /// Health under every profile, by name.
    pub profiles: ByName<Health>,
    /// The checklist that is its own.
    pub checklist: Option<String>,
    /// Steps done ÷ steps × 100; `None` without a checklist.
    pub activation_percent: Option<f64>,
    /// The checklist's steps: the name, and the day each was done.
    pub steps: Vec<(String, Option<Day>)>,
    /// The day the last missing step was done.
    pub activated_at: Option<Day>,
    /// Days since the last step, or since the start without one; `None`: it is activated, or has no checklist.
    pub days_stalled: Option<i32>,
    /// Whether these are as many as the checklist says; `None` without a checklist or a start.
    pub stalled: Option<bool>,
    /// The first day with a core event of its profile: a weight of 4 or more.
    pub first_key_action: Option<Day>,
    /// The features of its profile, by name.
    pub features: Arc<[String]>,
    /// For each feature whether it was used in the window.
    pub features_used: Vec<bool>,
    /// Features used in the window ÷ features × 100; `None` without features.
    pub adoption_window: Option<f64>,
    /// The same over all time.
    pub adoption_all_time: Option<f64>,
    /// Users with a scored event in the window, or within `users.active_within`.
    pub active_users: u32,
    /// Users with any event in the last 90 days (`users.total_within`), or in the window if longer.
    pub total_users: u32,
    /// Of the total users, those in the healthy band; `None` if users are not measured.
    pub healthy_users: Option<u32>,
    /// The users with the largest parts of the raw score, at most three, the largest first.
    pub champions: Vec<Champion>,
    /// Users with a scored event in the window that this one is held against ([`crate::cycle::Against`]) and none in this one.
    pub stopped_users: u32,
    /// The first few of them, those who did most first: userIds, and nothing where nobody knows who it was.
    pub who_stopped: Vec<Option<String>>,
    /// Days of the window with a scored event.
    pub active_days: u32,
    /// Days of the window, without those that leave it.
    pub window_days: u32,
    /// The latest event.
    pub last_active: Option<Timestamp>,
    /// Its start: the trait `createdAt`, else the first event.
    pub start: Option<Day>,
    /// As-of date − start date.
    pub tenure_days: Option<i32>,
    /// Days since the latest event.
    pub days_since_last_active: Option<i32>,
    /// How the day of [`crate::gather::Ask::measured_on`] is measured now under the profile of which reasons were asked,
    /// without what was said of it; `None` if that was not asked, or it had no score.
    pub measured: Option<Snapshot>,
    /// How it is used lately; `None`: no event was ever received.
    pub habits: Option<Habits>,
    /// What it did by name and day; empty if that was not asked for.
    pub deeds: Deeds,
    /// How like it is to an account that leaves, 0–100.
    pub churn_risk: Option<f64>,
    /// The same of an end that nobody wants, a payment that fails; `None` where the config does not say how that shows.
    pub churn_risk_involuntary: Option<f64>,
    /// Why the risk is what it is, the weightiest first.
    pub churn_risk_reasons: Vec<&'static str>,
    /// How much speaks for a larger plan, 0–100 ([`crate::expansion`]).
    pub expansion_readiness: Option<f64>,
    /// The same without days that leave its windows.
    pub silent_days: Option<i32>,
    /// True if its windows end early, because a source fell silent.
    pub stale: bool,
    /// Whether it is so young that it has no band.
    pub is_new: bool,
    /// Whether it has left: by its date, if it has one.
    pub has_left: bool,
    /// The day on which it left or will leave, if it states one.
    pub churned_on: Option<Day>,
    /// Lifecycle stages and segments of the config that hold, by full name.
    pub rules: BTreeSet<String>,
    /// Ready-made segments that hold, by full name.
    pub ready: BTreeSet<String>,
    /// Which milestones are reached, since which day: an event, and how often.
    pub milestones: BTreeMap<(String, u32), Day>,
    /// Daily scores of the last days under the benchmark in force now, for edges; the last is today's score.
    pub recent: Vec<(Day, f64)>,
    /// For each of these days the scores around the same phase of the cycle before, likewise under the benchmark in force now;
    /// none without a cycle.
    pub usual: Vec<Usual>,
    /// Scored events of the last days, by day, for reasons; none if these were not asked for.
    pub scored: Vec<(Day, Id, u32)>,
    /// Each day under its profile from the first on, today's being the last; none if it was not asked for.
    pub history: Vec<Daily>,
}

/// What is said of an account on a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Daily {
    /// The day.
    pub day: Day,
    /// 1–100, unrounded.
    pub score: f64,
    /// The band, with hold.
    pub band: Option<Band>,
    /// True if it was said then; else it is computed under today's config.
    pub stored: bool,
}

/// Since which day each named rule holds for an account, by full name. A day is that of the first run that saw it hold.
pub type Since = BTreeMap<String, Day>;

/// A user with a large part of an account's raw score.
#[derive(Debug, Clone, PartialEq)]
pub struct Champion {
    /// The userId; `None`: it was never identified.
    pub user: Option<String>,
    /// Its share of the account's raw score in the window, in percent.
    pub share: f64,
}

/// A user's health in its primary account, under that one's profile.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UserHealth {
    /// Σ count × weight of the user's own events in the window, in points; `None`: none was ever received there.
    pub raw: Option<f64>,
    /// 1–100, unrounded, against the benchmark of users.
    pub score: Option<f64>,
    /// The band, with hold.
    pub band: Option<Band>,
    /// Score now − score 7 days ago.
    pub change_7d: Option<f64>,
    /// Score now − score 30 days ago.
    pub change_30d: Option<f64>,
    /// Score now − score at the same phase of the profile's cycle before; `None` without a cycle.
    pub change_cycle: Option<f64>,
}

/// One identified user's figures.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// The userId.
    pub id: String,
    /// The user's traits.
    pub traits: Traits,
    /// Its health.
    pub health: UserHealth,
    /// Steps of the account's checklist that the user did alone ÷ steps × 100.
    pub activation_percent: Option<f64>,
    /// Features of the account's profile that the user used in the window ÷ features × 100.
    pub adoption_window: Option<f64>,
    /// The latest event.
    pub last_active: Option<Timestamp>,
    /// Days since the latest event.
    pub days_since_last_active: Option<i32>,
    /// The same without days that leave the windows of its account.
    pub silent_days: Option<i32>,
    /// Whether it makes the largest part of its account's raw score; `None` where nobody makes any.
    pub champion: Option<bool>,
    /// Daily scores of the last days under the benchmark in force now, for edges; none if these were not asked for.
    pub recent: Vec<(Day, f64)>,
    /// As-of date − start: the trait `createdAt`, else the first event.
    pub tenure_days: Option<i32>,
    /// Days of the window with a scored event.
    pub active_days: u32,
    /// Days of the window.
    pub window_days: u32,
    /// The primary account (the latest event, then the id): its place in [`Evaluation::accounts`].
    pub account: Option<usize>,
}

/// The share of one user, in percent, above which an account hangs on it.
const ALONE: f64 = 60.0;
impl Account {
    /// How well a text names it: by its id best, then by its name, then by its domain. `None`: it doesn't.
    pub fn named(&self, text: &str) -> Option<u8> {
        let same = |other: Option<&str>| other.is_some_and(|other| other.to_lowercase() == text.to_lowercase());
        let by =
            [self.id == text, same(self.name.as_deref()), same(self.traits.get("domain").and_then(Value::as_text))];
        by.iter().position(|named| *named).map(|place| place as u8)
    }

    /// Active ÷ total users × 100; `None` without users.
    pub fn active_percent(&self) -> Option<f64> {
        (self.total_users > 0).then(|| f64::from(self.active_users) / f64::from(self.total_users) * 100.0)
    }

    /// Users in the healthy band ÷ total users × 100.
    pub fn healthy_percent(&self) -> Option<f64> {
        share(self.healthy_users? as usize, self.total_users as usize)
    }

    /// Whether one user alone makes more than 60 % of the raw score in an account of three users or more; `None` where nobody
    /// makes any.
    pub fn single_champion_risk(&self) -> Option<bool> {
        Some(self.champions.first()?.share > ALONE && self.total_users >= 3)
    }

    /// How many steps are done.
    pub fn steps_done(&self) -> usize {
        self.steps.iter().filter(|(_, done)| done.is_some()).count()
    }

    /// The first step that is not done.
    pub fn missing_step(&self) -> Option<&str> {
        self.steps.iter().find(|(_, done)| done.is_none()).map(|(step, _)| step.as_str())
    }

    /// How many features were used in the window.
    pub fn used_features(&self) -> usize {
        self.features_used.iter().filter(|used| **used).count()
    }

    /// The features that were not used in the window, in their order.
    pub fn unused_features(&self) -> impl Iterator<Item = &str> {
        let unused = self.features.iter().zip(&self.features_used).filter(|(_, used)| !**used);
        unused.map(|(feature, _)| feature.as_str())
    }

    /// The day of the step that was done last.
    pub fn last_step_on(&self) -> Option<Day> {
        self.steps.iter().filter_map(|(_, done)| *done).max()
    }

    /// Days from the start to a day. What was done before the start was done at once.
    pub fn days_to(&self, day: Option<Day>) -> Option<i32> {
        Some((day?.0 - self.start?.0).max(0))
    }

    /// The short names of the rules of a kind that hold; `kind` is `lifecycle.` or `segments.`.
    pub fn held<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.rules.iter().filter_map(move |rule| rule.strip_prefix(kind))
    }

    /// Whether a named rule of any kind holds, by its full name.
    pub fn in_rule(&self, name: &str) -> bool {
        self.rules.contains(name) || self.ready.contains(name)
    }

    /// Since when each named rule that holds now does, given what a run before noted: a rule that has held all along keeps
    /// its day, also where its text was changed meanwhile.
    pub fn since(&self, noted: &Since, today: Day) -> Since {
        let holding = self.rules.iter().chain(&self.ready);
        holding.map(|rule| (rule.clone(), noted.get(rule).copied().unwrap_or(today))).collect()
    }

    /// True if what was noted of it is what [`Account::since`] would give.
    pub fn is_noted(&self, noted: &Since) -> bool {
        let holding = || self.rules.union(&self.ready);
        noted.len() == holding().count() && holding().all(|rule| noted.contains_key(rule))
    }

    /// Whether at the same phase of its cycle before it was silent for as many days, too.
    pub fn rests(&self, days: i32) -> bool {
        self.habits.and_then(|habits| habits.phase_silent_days).is_some_and(|then| then >= days)
    }

    /// The drop since a day, under the benchmark in force now.
    pub fn drop_since(&self, since: Day) -> Option<Drop> {
        health::drop_within(&self.recent, &self.usual, since)
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
    pub fn reasons(&self, model: &Model, profile: &Profile, from: Day, to: Day, events: &EventNames) -> Vec<String> {
        let mut moved: Vec<(f64, String)> = weighed(&self.scored, profile, events, from, to)
            .into_iter()
            .filter(|(_, (before, now, _))| before != now)
            .map(|(event, (before, now, weight))| {
                let part = (now as f64 - before as f64) * weight as f64;
                let event = model.label(&event);
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
        let weight = profile.weight(name);
        if weight == 0 {
            continue;
        }
        let entry = counts.entry(name.clone()).or_insert((0, 0, weight));
        let within = |end: Day| *day <= end && *day > end.plus(-profile.window);
        entry.0 += if within(from) { u64::from(*count) } else { 0 };
        entry.1 += if within(to) { u64::from(*count) } else { 0 };
    }
    counts
}
