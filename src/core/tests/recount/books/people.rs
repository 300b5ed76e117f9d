//! The recount of users one by one: of each what it did in each of its accounts, and what follows for these.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};

use super::health::{curve, held, percentile, points, renewed};
use super::{Account, Books, Done, Health, is_of, overlay, set_since};
use crate::setup::{ProfileSetup, Renewed, StepSetup};

/// By profile, what counted as 100 on each day.
type Pegs = BTreeMap<String, BTreeMap<NaiveDate, f64>>;

/// One identified user, recounted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct User {
    pub id: String,
    pub traits: BTreeMap<String, serde_json::Value>,
    pub health: Health,
    pub activation_percent: Option<f64>,
    pub adoption_window: Option<f64>,
    pub last_active: Option<i64>,
    pub days_since_last_active: Option<i64>,
    pub tenure_days: Option<i64>,
    pub active_days: usize,
    pub window_days: i64,
    pub account: Option<String>,
}

impl Books {
    /// Identified users with an event in an account, or with traits.
    pub fn all_users(&self) -> Vec<User> {
        let stating = self.calls.iter().filter(|call| call.kind == "identify" && !call.traits.is_empty());
        let mut everyone: BTreeSet<String> = stating.map(|call| call.person.clone()).collect();
        everyone.retain(|person| !self.used_left_out.contains(person));
        everyone.extend(self.done.iter().filter(|done| done.account.is_some()).map(|done| done.user.clone()));
        let pegs = self.pegs_of_users();
        let mut users: Vec<User> = everyone.iter().filter_map(|person| self.user(person, &pegs)).collect();
        users.sort_by(|a, b| a.id.cmp(&b.id));
        users
    }

    fn user(&self, person: &str, pegs: &Pegs) -> Option<User> {
        let id = person.strip_prefix('u')?;
        let anywhere = || self.done.iter().filter(|done| done.user == person);
        let own = || anywhere().filter(|done| done.account.is_some());
        let latest = |done: &Done| Some(done.time).filter(|time| *time <= self.at);
        let traits = overlay(self.user_statements(person).into_iter());
        let mut user = User { id: id.to_owned(), window_days: 30, ..User::default() };
        user.last_active = anywhere().filter_map(latest).max();
        user.days_since_last_active = user.last_active.map(|time| (self.today - self.local_day(time)).num_days());
        let start = self.begins(&traits, anywhere().map(|done| done.day).min());
        user.tenure_days = start.map(|start| (self.today - start).num_days()).filter(|days| *days >= 0);
        let active = own().filter(|done| {
            self.profile_of(done.account.as_ref().unwrap(), self.today).is_some_and(|profile| {
                let age = (self.over - done.day).num_days();
                (0..profile.window).contains(&age) && profile.weight(&done.event).is_some()
            })
        });
        user.active_days = active.map(|done| done.day).collect::<BTreeSet<_>>().len();
        user.traits = traits;

        let last = own().filter_map(latest).max();
        let account = own().filter(|done| Some(done.time) == last).filter_map(|done| done.account.clone()).min();
        let Some(account) = account else { return Some(user) };
        let there: Vec<&Done> = own().filter(|done| done.account.as_ref() == Some(&account)).collect();
        if let Some(profile) = self.profile_of(&account, self.today) {
            user.window_days = profile.window;
            user.health = self.health_of(&there, profile, &pegs[&profile.name]);
            let features = self.features(profile);
            let used = features.iter().filter(|(_, events)| {
                there.iter().any(|done| {
                    let age = (self.over - done.day).num_days();
                    (0..profile.window).contains(&age) && events.iter().any(|event| is_of(&done.event, event))
                })
            });
            user.adoption_window = (!features.is_empty()).then(|| 100.0 * used.count() as f64 / features.len() as f64);
        }
        if let Some(steps) = self.checklist(&account) {
            let done = steps.iter().filter(|step| match step {
                StepSetup::Event(event, count, _) => there.iter().filter(|done| done.event == *event).count() >= *count,
                StepSetup::Trait(name, _) => set_since(&self.user_statements(person), name).is_some(),
            });
            user.activation_percent = Some(100.0 * done.count() as f64 / steps.len() as f64);
        }
        user.account = Some(account);
        Some(user)
    }

    /// What counts as 100 on a day, whose last day over is `over`: over everybody in each account.
    fn peg_of_users(&self, profile: &ProfileSetup, day: NaiveDate, over: NaiveDate) -> f64 {
        let last = match renewed(profile, day, over) {
            Ok(last) => last,
            Err(raw) => return raw,
        };
        [last, self.over, over].into_iter().find_map(|last| self.peg_of_users_from(profile, last)).unwrap_or(0.0)
    }

    fn peg_of_users_from(&self, profile: &ProfileSetup, last: NaiveDate) -> Option<f64> {
        let raws = raws(self, profile, last).into_iter().filter(|raw| *raw > 0.0);
        percentile(raws.collect(), profile).map(|peg| peg.0)
    }

    fn pegs_of_users(&self) -> Pegs {
        let of = |profile: &ProfileSetup| (profile.name.clone(), self.daily_pegs(profile));
        self.setup.profiles.iter().map(of).collect()
    }

    fn daily_pegs(&self, profile: &ProfileSetup) -> BTreeMap<NaiveDate, f64> {
        let Some(first) = self.done.iter().map(|done| done.day).min() else { return BTreeMap::new() };
        let mut known: BTreeMap<NaiveDate, f64> = BTreeMap::new();
        let mut last = None;
        // Then a day is measured by its own.
        let nobody_now = self.peg_of_users_from(profile, self.over).is_none();
        for day in first.iter_days().take_while(|day| *day <= self.over) {
            let anew =
                nobody_now || profile.renewed == Renewed::EveryRun || day.day() == 1 || day.weekday() == Weekday::Mon;
            // Between two Mondays or firsts nothing is renewed but by `every_run`.
            let raw = last.filter(|_| !anew).unwrap_or_else(|| self.peg_of_users(profile, day, day));
            last = Some(raw);
            known.insert(day, raw);
        }
        known
    }

    fn health_of(&self, done: &[&Done], profile: &ProfileSetup, pegs: &BTreeMap<NaiveDate, f64>) -> Health {
        let Some(first) = done.iter().map(|done| done.day).min() else { return Health::default() };
        let raw_on = |day| points(done.iter().copied(), profile, day);
        let raw = raw_on(self.over);
        let now = curve(raw, self.peg_of_users(profile, self.today, self.over));
        let mut daily: Vec<(NaiveDate, f64)> = first
            .iter_days()
            .take_while(|day| *day < self.over)
            .map(|day| (day, curve(raw_on(day), pegs[&day])))
            .collect();
        let change = |then: NaiveDate| daily.iter().find(|(day, _)| *day == then).map(|(_, score)| now - score);
        let back = |days: i64| change(self.over - TimeDelta::days(days));
        let (change_7d, change_30d) = (back(7), back(30));
        let change_cycle = profile.phase(self.over).and_then(|(day, _)| change(day));
        daily.push((self.over, now));
        let band = held(&daily.iter().map(|(_, score)| *score).collect::<Vec<_>>(), profile);
        let (raw, score, band) = (Some(raw), Some(now), Some(band));
        Health { raw, score, band, change_7d, change_30d, change_cycle, ..Health::default() }
    }

    /// Everybody with what was done in each account, where it was done.
    pub(super) fn members(&self) -> BTreeMap<(&str, &str), Vec<&Done>> {
        let mut members: BTreeMap<(&str, &str), Vec<&Done>> = BTreeMap::new();
        for done in &self.done {
            if let Some(account) = &done.account {
                members.entry((account, &done.user)).or_default().push(done);
            }
        }
        members
    }

    /// Sets who is behind each account's score, and how many of its users are well.
    pub(super) fn people(&self, accounts: &mut [Account]) {
        let pegs = self.pegs_of_users();
        let mut healthy: BTreeSet<(String, String)> = BTreeSet::new();
        for ((account, person), done) in self.members() {
            let Some(profile) = self.profile_of(account, self.today) else { continue };
            let total = self.total_span(profile.window);
            let seen = done.iter().any(|done| (0..total).contains(&(self.over - done.day).num_days()));
            if seen && self.health_of(&done, profile, &pegs[&profile.name]).band == Some("healthy") {
                healthy.extend(self.lines[account].iter().map(|above| (above.clone(), person.to_owned())));
            }
        }
        for account in accounts {
            let Some(profile) = self.profile_of(&account.id, self.today) else { continue };
            account.healthy_users = Some(healthy.iter().filter(|(id, _)| *id == account.id).count());
            let users: BTreeSet<&String> = self.events_of(&account.id).map(|done| &done.user).collect();
            let made = |user: &String| {
                let own = self.events_of(&account.id).filter(|done| done.user == *user);
                // Weights have one decimal at most.
                (points(own, profile, self.over) * 10.0).round() as i64
            };
            let mut made: Vec<(i64, bool, String)> =
                users.into_iter().map(|user| (-made(user), user.starts_with('a'), user[1..].to_owned())).collect();
            made.retain(|(points, ..)| *points < 0);
            made.sort();
            let all: i64 = made.iter().map(|(points, ..)| points).sum();
            let named = |(points, device, id): &(i64, bool, String)| {
                (Some(id.clone()).filter(|_| !device), 100.0 * *points as f64 / all as f64)
            };
            account.champions = made.iter().take(3).map(named).collect();
            account.champion_risk = account.champions.first().map(|top| top.1 > 60.0 && account.total_users >= 3);
        }
    }

    /// For how many days a user with any event is one of all users.
    pub(super) fn total_span(&self, window: i64) -> i64 {
        self.setup.total_within.max(window).max(self.active_span(window))
    }

    /// For how many days a user with a scored event is active.
    pub(super) fn active_span(&self, window: i64) -> i64 {
        self.setup.active_within.unwrap_or(window)
    }

    fn local_day(&self, time: i64) -> NaiveDate {
        crate::told::day(time, self.setup.zone)
    }
}

/// How many days in a row, up to the last, a band was healthy; a day without a score ends the row.
pub(super) fn days_healthy(daily: &[(NaiveDate, f64)], band: impl Fn(&[f64]) -> &'static str) -> usize {
    let scores: Vec<f64> = daily.iter().map(|(_, score)| *score).collect();
    let no_gap =
        |until: usize| daily[until - 1].0 + TimeDelta::days((scores.len() - until) as i64) == daily[scores.len() - 1].0;
    (1..=scores.len()).rev().take_while(|until| no_gap(*until) && band(&scores[..*until]) == "healthy").count()
}

/// The raw scores that a benchmark of users is taken from.
pub(super) fn raws(books: &Books, profile: &ProfileSetup, last: NaiveDate) -> Vec<f64> {
    let belongs = |account: &str| {
        let found = books.profile_of(account, last);
        !books.has_left(account, last) && found.is_some_and(|found| found.name == profile.name)
    };
    let early = |done: &&&Done| done.day <= last && last - done.day < TimeDelta::days(profile.window);
    let members = books.members().into_iter().filter(|((account, _), _)| belongs(account));
    members.map(|(_, done)| points(done.iter().filter(early).copied(), profile, last)).collect()
}
