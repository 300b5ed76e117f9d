//! Users: their health and figures, and what follows of them for accounts.
//!
//! A user's health is the raw score of its own events in an account, under that account's profile, against the same percentile
//! over all members with raw > 0, frozen at the same calendar instants. A user of several accounts is a member of each and
//! counts in each, so that a new account of one moves nobody's past; its health is that of the primary one. `per`, groups,
//! components and overrides are about accounts and have no part in it: it is of use alone.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::checklist::share;
use crate::figures::{Account, User, UserHealth};
use crate::gather::members::Member;
use crate::gather::{Ask, Gathered, Tally};
use crate::health::{self, CURVE, Holding};
use crate::identity::{start, stated_start, tenure, traits_at};
use crate::model::{Band, Model};
use crate::scale::{AT_ONCE, Pegs, Scale, belongs};
use crate::time::Day;
use crate::usage::Id;
use crate::window::Window;

/// What members are measured by.
pub(crate) struct Judge<'a> {
    gathered: &'a Gathered<'a>,
    model: &'a Model,
    today: Day,
    over: Day,
    /// By profile.
    scales: Vec<(Scale<'a>, Eras)>,
    /// The place of the profile of each account that has one.
    chosen: FxHashMap<Id, usize>,
    /// By member, in the order of [`crate::gather::members::Members::all`].
    bands: Vec<Option<Band>>,
}

/// Since which days which raw score counted as 100.
type Eras = Vec<(Day, f64)>;

impl<'a> Judge<'a> {
    /// Bands everybody.
    pub fn new(gathered: &'a Gathered<'a>, tallies: &[Tally], model: &'a Model, today: Day, over: Day) -> Self {
        let first = gathered.members.all.iter().filter_map(|member| member.first).min().unwrap_or(over);
        let scale = |place| {
            let scale = scale(place, gathered, tallies, model, (first, today, over))?;
            let eras = eras(&scale, first, over);
            Some((scale, eras))
        };
        let chosen = tallies.iter().filter_map(|tally| Some((tally.id, tally.chosen?))).collect();
        let scales = (0..model.profiles.len()).filter_map(scale).collect();
        let mut judge = Self { gathered, model, today, over, scales, chosen, bands: Vec::new() };
        judge.bands = gathered.members.all.iter().map(|member| judge.band(member)).collect();
        judge
    }

    fn scale_of(&self, member: &Member) -> Option<&(Scale<'a>, Eras)> {
        self.scales.get(*self.chosen.get(&member.account)?)
    }

    fn raw(&self, member: &Member, scale: &Scale<'_>, day: Day) -> i64 {
        self.gathered.members.raw(member, scale.place, scale.profile.window, day)
    }

    /// The band with hold: over all days since the first, run by run of days on which neither raw score nor benchmark changed.
    fn band(&self, member: &Member) -> Option<Band> {
        let (scale, eras) = self.scale_of(member)?;
        let points = self.gathered.members.points(member, scale.place);
        let mut window = Window::new(points, scale.profile.window);
        let mut day = member.first?;
        let mut era = eras.partition_point(|(from, _)| *from <= day);
        let mut holding = Holding::new(scale.profile.bands);
        while day < self.over {
            let raw = health::points(window.ending(day));
            let changes = window.changes().into_iter().chain(eras.get(era).map(|(from, _)| *from));
            let next = changes.min().unwrap_or(self.over).min(self.over);
            let peg = era.checked_sub(1).and_then(|era| eras.get(era)).map_or(0.0, |(_, peg)| *peg);
            holding.stay(health::score(raw, peg, CURVE), (next.0 - day.0) as u32);
            era += usize::from(eras.get(era).is_some_and(|(from, _)| *from == next));
            day = next;
        }
        holding.step(scale.score(self.raw(member, scale, self.over), self.today, self.over));
        holding.band()
    }

    fn health(&self, member: &Member, band: Option<Band>) -> UserHealth {
        let (Some((scale, _)), Some(first)) = (self.scale_of(member), member.first) else {
            return UserHealth::default();
        };
        let raw = self.raw(member, scale, self.over);
        let score = scale.score(raw, self.today, self.over);
        let change = |day: Day| (first <= day).then(|| score - scale.score(self.raw(member, scale, day), day, day));
        UserHealth {
            raw: Some(health::points(raw)),
            score: Some(score),
            band,
            change_7d: change(self.over.plus(-7)),
            change_30d: change(self.over.plus(-30)),
            change_cycle: scale.profile.cycle.and_then(|cycle| change(cycle.before(self.over))),
        }
    }

    /// Daily scores of so many days, and of the last one; none for no days.
    fn recent(&self, member: &Member, days: i32) -> Vec<(Day, f64)> {
        let (Some((scale, _)), Some(first)) = (self.scale_of(member), member.first.filter(|_| days > 0)) else {
            return Vec::new();
        };
        let days = (self.over.0 - days).max(first.0)..=self.over.0;
        days.map(|day| (Day(day), scale.score(self.raw(member, scale, Day(day)), self.today, self.over))).collect()
    }

    /// How many users of each account are healthy in it, or in one that is rolled up into it; only those who count among its
    /// total users. Accounts without any are left out.
    pub fn healthy(&self, tallies: &[Tally]) -> FxHashMap<Id, u32> {
        let parents: FxHashMap<Id, Id> = tallies.iter().map(|tally| (tally.id, tally.parent)).collect();
        let mut found: FxHashSet<(Id, Id)> = FxHashSet::default();
        for (member, band) in self.gathered.members.all.iter().zip(&self.bands) {
            let window = self.chosen.get(&member.account).and_then(|place| self.model.profiles.get(*place));
            let since = self.over.plus(-self.model.user_spans.total(window.map_or(0, |profile| profile.window)));
            let mut account = member.account;
            while *band == Some(Band::Healthy) && member.seen.is_some_and(|seen| seen > since) && account != 0 {
                found.insert((account, member.user));
                account = parents.get(&account).copied().unwrap_or_default();
            }
        }
        let mut counts: FxHashMap<Id, u32> = FxHashMap::default();
        for (account, _) in found {
            *counts.entry(account).or_default() += 1;
        }
        counts
    }

    /// All identified users, by their id, without those who only used accounts that are left out. `accounts` are in the order
    /// of `places`.
    pub fn users(&self, accounts: &[Account], places: &FxHashMap<Id, usize>, ask: &Ask) -> Vec<User> {
        let gathered = self.gathered;
        let members: Vec<(&Member, Option<Band>)> =
            gathered.members.all.iter().zip(self.bands.iter().copied()).collect();
        let told = gathered.user_traits.keys().filter(|user| !gathered.of_excluded.contains(user));
        let mut everyone: Vec<Id> = members.iter().map(|(member, _)| member.user).chain(told.copied()).collect();
        everyone.sort_unstable();
        everyone.dedup();
        everyone.retain(|user| !gathered.excluded.get(user).copied().unwrap_or(false));
        let mut rest = members.as_slice();
        let mut users: Vec<User> = everyone
            .into_iter()
            .filter_map(|id| {
                // Both are in the order of users.
                let from = rest.partition_point(|(member, _)| member.user < id);
                let until = rest.partition_point(|(member, _)| member.user <= id);
                let own = rest.get(from..until).unwrap_or_default();
                rest = rest.get(until..).unwrap_or_default();
                self.user(id, own, accounts, places, ask)
            })
            .collect();
        users.sort_by(|a, b| a.id.cmp(&b.id));
        users
    }

    fn user(
        &self,
        id: Id,
        own: &[(&Member, Option<Band>)],
        accounts: &[Account],
        places: &FxHashMap<Id, usize>,
        ask: &Ask,
    ) -> Option<User> {
        let at = ask.horizon.at;
        let (gathered, calendar) = (self.gathered, &self.model.calendar);
        let mut user = User {
            id: gathered.names.ids.user_id(id)?.to_owned(),
            traits: gathered.user_traits.get(&id).map(|told| traits_at(told, at)).unwrap_or_default(),
            window_days: 30,
            ..User::default()
        };
        let elsewhere = gathered.unassigned_users.get(&id).copied();
        let first = own.iter().filter_map(|(member, _)| member.first).chain(elsewhere.map(|(first, _)| first)).min();
        user.last_active = own.iter().map(|(member, _)| member.last).chain(elsewhere.map(|(_, last)| last)).max();
        user.days_since_last_active = user.last_active.map(|last| (self.today.0 - calendar.day(last).0).max(0));
        user.silent_days = user.days_since_last_active;
        user.tenure_days = tenure(start(stated_start(&user.traits, calendar), first, self.today), self.today);
        let mut days: Vec<Day> = own.iter().flat_map(|(member, _)| self.active_days(member)).collect();
        days.sort_unstable();
        days.dedup();
        user.active_days = days.len() as u32;

        // The primary account: the latest event, then the id, in the order of which accounts are.
        let places = own.iter().filter_map(|(member, band)| Some((member, *band, *places.get(&member.account)?)));
        let primary = places.max_by_key(|(member, _, place)| (member.last, std::cmp::Reverse(*place)));
        if let Some((member, band, place)) = primary {
            user.account = Some(place);
            user.health = self.health(member, band);
            user.recent = self.recent(member, ask.recent_user_days);
            if let Some(account) = accounts.get(place) {
                user.window_days = account.window_days;
                user.champion = account.champions.first().map(|top| top.user.as_ref() == Some(&user.id));
                if let (Some(profile), Some(days)) = (&account.profile, user.silent_days) {
                    let left_out = self.model.gaps.within(profile, self.today.plus(1 - days), self.today);
                    user.silent_days = Some(days - left_out as i32);
                }
                user.activation_percent = share(member.steps_done, account.steps.len());
                user.adoption_window = share(member.features_used, account.features.len());
            }
        }
        Some(user)
    }

    /// Days of the window with a scored event, under the profile of the member's account.
    fn active_days(&self, member: &Member) -> impl Iterator<Item = Day> {
        let scale = self.scale_of(member).map(|(scale, _)| (scale.place, scale.profile.window));
        let days = scale.map(|(place, window)| {
            let since = self.over.plus(-window);
            let points = self.gathered.members.points(member, place);
            points.filter(move |(day, points)| *points > 0 && *day > since).map(|(day, _)| day)
        });
        days.into_iter().flatten()
    }
}

/// Every benchmark that members are measured by under a profile up to `over`. Like accounts, who is measured against whom is
/// decided as of the benchmark's own day.
fn scale<'a>(
    place: usize,
    gathered: &Gathered<'_>,
    tallies: &[Tally],
    model: &'a Model,
    range: (Day, Day, Day),
) -> Option<Scale<'a>> {
    let profile = model.profiles.get(place)?;
    let members = &gathered.members;
    let at_once = |days: &[Day]| {
        let ours = |day: &Day| {
            let ours = tallies.iter().filter(|tally| belongs(tally, *day, place, gathered, model));
            ours.map(|tally| tally.id).collect()
        };
        let ours: Vec<FxHashSet<Id>> = days.iter().map(ours).collect();
        let mut raws = vec![Vec::new(); days.len()];
        for member in &members.all {
            let mut window = Window::new(members.points(member, place), profile.window);
            for ((day, ours), raws) in days.iter().zip(&ours).zip(&mut raws) {
                let raw = window.ending(*day);
                if raw > 0 && ours.contains(&member.account) {
                    raws.push(health::points(raw));
                }
            }
        }
        raws.into_iter().map(|raws| Pegs::of_all(raws, profile.benchmark.percentile)).collect::<Vec<_>>()
    };
    let compute = |days: &[Day]| days.chunks(AT_ONCE).flat_map(at_once).collect();
    Some(Scale::new(profile, place, range, compute))
}

/// The benchmarks in force on the days before `over`, each since its first day.
fn eras(scale: &Scale<'_>, first: Day, over: Day) -> Eras {
    let mut eras: Eras = Vec::new();
    for day in (first.0..over.0).map(Day) {
        let peg = scale.peg(day, day, None).map_or(0.0, |applied| applied.peg.raw);
        if eras.last().is_none_or(|(_, last)| *last != peg) {
            eras.push((day, peg));
        }
    }
    eras
}
