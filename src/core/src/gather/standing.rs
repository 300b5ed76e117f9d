//! What traits say of an account by day, where a profile or a stage of life asks: seats, groups, components, departure.
//!
//! A statement counts from its day on. Of today's statements, seats and components count with the last day over, since today's
//! score has them; everything else has days of its own. Nothing here is computed where the config doesn't ask for it.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Ask, Cell};
use crate::by_day::ByDay;
use crate::component::{Combine, Component, Crowd, Share, Whose};
use crate::identity::Traits;
use crate::model::{Model, Per, Profile};
use crate::names::{TraitNames, trait_value};
use crate::time::Day;
use crate::usage::{Id, Stated};
use crate::value::Value;

/// What traits say of one account under one profile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Its seats, if raw scores are divided by them: finite and above 0.
    pub seats: ByDay<f64>,
    /// The group within which it is measured, if there are groups.
    pub group: ByDay<String>,
    /// Points of each component, 1–100.
    pub components: Vec<ByDay<f64>>,
}

impl Standing {
    /// True if a profile asks for nothing of it.
    pub fn is_idle(profile: &Profile) -> bool {
        !matches!(profile.per, Per::Seat(_)) && profile.within.is_none() && profile.components.is_empty()
    }
}

/// Of whom a standing is found out.
#[derive(Clone, Copy)]
pub(super) struct Whom<'s> {
    /// The account's id.
    pub id: &'s str,
    /// All that was stated of it.
    pub statements: &'s [Stated<Traits>],
    /// The first day with an event.
    pub first: Option<Day>,
    /// The place of the profile that is its health.
    pub chosen: Option<usize>,
}

/// What was said of a component by day, and the moment it was said; none where that is too old.
type Voice = ByDay<(Share, i64)>;

/// What users said of a component.
#[derive(Debug, Default)]
struct Said {
    by_user: FxHashMap<Id, Voice>,
    /// How many last said what can't be read.
    unreadable: u64,
}

/// Finds out the standing of accounts.
#[derive(Debug)]
pub(super) struct Standings<'a> {
    model: &'a Model,
    over: Day,
    /// After this day no seats are told, and no value of a component grows too old.
    until: Day,
    /// By profile and component; nothing for components of accounts.
    said: Vec<Vec<Said>>,
    /// How many accounts last said of a component of their own profile what can't be read.
    unreadable: Vec<Vec<u64>>,
    /// Users of whom any component asks.
    heard: FxHashSet<Id>,
}

impl<'a> Standings<'a> {
    /// Of a model, up to a last day over.
    pub fn new(model: &'a Model, ask: &Ask) -> Self {
        let until = ask.unrenewed_since.map_or(Day(i32::MAX), |at| model.calendar.last_over(at));
        let lengths = || model.profiles.iter().map(|profile| profile.components.len());
        let said = lengths().map(|length| std::iter::repeat_with(Said::default).take(length).collect()).collect();
        let unreadable = lengths().map(|length| vec![0; length]).collect();
        Self { model, over: ask.over(model), until, said, unreadable, heard: FxHashSet::default() }
    }

    /// Hears all users who count, with their statements, before any account is asked for.
    pub fn hear<'u>(&mut self, users: impl Iterator<Item = (Id, &'u [Stated<Traits>])> + Clone) {
        for (place, profile) in self.model.profiles.iter().enumerate() {
            for (index, component) in
                profile.components.iter().enumerate().filter(|(_, one)| one.whose != Whose::Account)
            {
                let said = self.said_by(component, users.clone());
                self.heard.extend(said.by_user.keys());
                self.said[place][index] = said;
            }
        }
    }

    fn said_by<'u>(&self, component: &Component, users: impl Iterator<Item = (Id, &'u [Stated<Traits>])>) -> Said {
        let mut said = Said::default();
        for (user, statements) in users {
            let (voice, is_readable) = self.voice(component, statements);
            said.unreadable += u64::from(!is_readable);
            if voice.first().is_some() {
                said.by_user.insert(user, voice);
            }
        }
        said
    }

    /// By profile and component, how many accounts or users last said what can't be read.
    pub fn unreadable(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        let of_profiles = self.said.iter().zip(&self.unreadable).enumerate();
        of_profiles.flat_map(|(place, (said, accounts))| {
            let counts = said.iter().zip(accounts).map(|(said, accounts)| said.unreadable + accounts);
            counts.enumerate().map(move |(component, count)| (place, component, count))
        })
    }

    /// Since when an account has left, by the day from which that was known.
    pub fn left(&self, whom: Whom<'_>) -> ByDay<Day> {
        let Some(rule) = self.model.churned() else { return ByDay::default() };
        let date = |names: &TraitNames<'_>| self.model.churned_on.as_ref()?.value(names).day(&self.model.calendar);
        self.by_day(whom, Day(i32::MAX), |names| rule.holds(names).then(|| date(names).unwrap_or(Day(i32::MIN))))
    }

    /// The standing of an account under every profile; nothing if none asks.
    pub fn of(&mut self, whom: Whom<'_>, cells: &[Cell]) -> Vec<Standing> {
        if self.model.profiles.iter().all(Standing::is_idle) {
            return Vec::new();
        }
        let mut present: FxHashMap<Id, Vec<Day>> = FxHashMap::default();
        for cell in cells.iter().filter(|cell| cell.count > 0 && self.heard.contains(&cell.user)) {
            if cell.day() <= self.over {
                present.entry(cell.user).or_default().push(cell.day());
            }
        }
        present.values_mut().for_each(|days| days.sort_unstable());
        let profiles = self.model.profiles.iter().enumerate();
        profiles.map(|(place, profile)| self.under(place, profile, whom, &present)).collect()
    }

    fn under(
        &mut self,
        place: usize,
        profile: &Profile,
        whom: Whom<'_>,
        present: &FxHashMap<Id, Vec<Day>>,
    ) -> Standing {
        let mut standing = Standing::default();
        if let Per::Seat(seats) = &profile.per {
            let count = |names: &TraitNames<'_>| {
                seats.value(names).as_number().filter(|seats| seats.is_finite() && *seats > 0.0)
            };
            let told = whom.statements.partition_point(|stated| self.day(stated) <= self.until);
            let whom = Whom { statements: &whom.statements[..told], ..whom };
            standing.seats = self.by_day(whom, self.over, count);
        }
        if let Some(within) = &profile.within {
            standing.group = self.by_day(whom, Day(i32::MAX), |names| match within.value(names) {
                Value::Bool(flag) => Some(flag.to_string()),
                value => value.as_key(),
            });
        }
        for (index, component) in profile.components.iter().enumerate() {
            standing.components.push(match component.whose {
                Whose::Account => {
                    let (voice, is_readable) = self.voice(component, whom.statements);
                    self.unreadable[place][index] += u64::from(!is_readable && whom.chosen == Some(place));
                    voice.map(|(share, _)| component.points(*share as f64))
                }
                Whose::Users(combine) => {
                    let span = self.model.user_spans.total(profile.window);
                    self.crowd(component, combine, &self.said[place][index], span, present)
                }
            });
        }
        standing
    }

    /// What users said together: of those who did anything in the last `span` days, as total users are counted.
    fn crowd(
        &self,
        component: &Component,
        combine: Combine,
        said: &Said,
        span: i32,
        present: &FxHashMap<Id, Vec<Day>>,
    ) -> ByDay<f64> {
        let mut changes: Vec<(Day, bool, Share, i64)> = Vec::new();
        for (user, days) in present {
            let Some(voice) = said.by_user.get(user) else { continue };
            for together in days.chunk_by(|a, b| b.0 - a.0 <= span) {
                let (Some(first), Some(last)) = (together.first(), together.last()) else { continue };
                for (from, to, (share, at)) in voice.spans(self.over) {
                    let (from, to) = (from.max(*first), to.min(last.plus(span - 1)));
                    if from <= to {
                        changes.push((from, true, *share, *at));
                        changes.push((to.plus(1), false, *share, *at));
                    }
                }
            }
        }
        changes.sort_unstable();
        let (mut by_day, mut crowd) = (ByDay::default(), Crowd::default());
        for of_day in changes.chunk_by(|a, b| a.0 == b.0) {
            for (_, comes, share, at) in of_day {
                if *comes { crowd.add(*share, *at) } else { crowd.remove(*share, *at) }
            }
            if let Some((day, ..)) = of_day.first().filter(|(day, ..)| *day <= self.over) {
                by_day.set(*day, crowd.combined(combine).map(|share| component.points(share)));
            }
        }
        by_day
    }

    /// What one said of a component, and whether the last of it can be read.
    fn voice(&self, component: &Component, statements: &[Stated<Traits>]) -> (Voice, bool) {
        let (mut voice, mut is_readable, mut ends) = (Voice::default(), true, None::<Day>);
        for stated in statements {
            let Some(value) = stated_trait(&stated.value, &component.from) else { continue };
            let day = self.day(stated).min(self.over);
            if let Some(end) = ends.filter(|end| *end < day) {
                voice.set(end, None);
            }
            let share = component.share(&value);
            is_readable = share.is_some() || value.is_null();
            ends = share.and(component.max_age).map(|age| day.plus(age.saturating_add(1)));
            ends = ends.filter(|end| *end <= self.until);
            voice.set(day, share.map(|share| (share, stated.at)));
        }
        if let Some(end) = ends.filter(|end| *end <= self.over) {
            voice.set(end, None);
        }
        (voice, is_readable)
    }

    /// What a rule gives of an account's traits, by day; what was stated after `last` counts with it. An account that was used
    /// before anything was stated of it had no traits.
    fn by_day<T: PartialEq>(&self, whom: Whom<'_>, last: Day, of: impl Fn(&TraitNames<'_>) -> Option<T>) -> ByDay<T> {
        let day = |stated: &Stated<Traits>| self.day(stated).min(last);
        let mut by_day = ByDay::default();
        let mut traits = Traits::new();
        let of = |traits: &Traits| of(&TraitNames { id: whom.id, id_name: "account", traits, model: Some(self.model) });
        let stated = whom.statements.first().map(day);
        if let Some(first) = whom.first.filter(|first| stated.is_none_or(|stated| *first < stated)) {
            by_day.set(first, of(&traits));
        }
        for of_day in whom.statements.chunk_by(|a, b| day(a) == day(b)) {
            for (name, value) in of_day.iter().flat_map(|stated| stated.value.shared()) {
                traits.insert(Arc::clone(name), value.clone());
            }
            traits.retain(|_, value| !value.is_null());
            if let Some(stated) = of_day.first() {
                by_day.set(day(stated), of(&traits));
            }
        }
        by_day
    }

    fn day(&self, stated: &Stated<Traits>) -> Day {
        self.model.calendar.day(stated.time())
    }
}

/// The value of a trait, or of what is nested in one, if the statement is about it.
fn stated_trait(stated: &Traits, name: &str) -> Option<Value> {
    let first = name.split('.').next().unwrap_or(name);
    let is_about = stated.get(name).is_some() || stated.get(first).is_some();
    is_about.then(|| trait_value(stated, name))
}
