//! Who did what, as far as an account's own profile asks: its users, those who stopped, its active days, features and scored
//! events.

use super::cells::FIRST_DAY;
use super::left_out::LeftOut;
use super::tables::{Muster, Sums};
use super::{CORE, Cell, Frame, Tally};
use crate::cycle::Against;
use crate::time::Day;
use crate::usage::{Id, Interner};

/// So many of those who stopped are named.
const NAMED: usize = 5;

/// The first few of users with what each did: those who did most, of equals those whose names come first.
fn first_few(mut users: Vec<(i64, Id)>, names: &Interner) -> Vec<Id> {
    users.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| names.name(a.1).cmp(names.name(b.1))));
    users.iter().take(NAMED).map(|(_, user)| *user).collect()
}

/// A day in the span of all users.
const MEMBER: u8 = 1;
/// A day in the span of active users; this and what follows only of days that do not leave the windows.
const ACTIVE: u8 = 2;
/// A day in the window.
const NOW: u8 = 4;
/// A day in the window that this one is held against.
const THEN: u8 = 8;

/// What days are to the users of an account: the same for nearly all accounts.
#[derive(Debug, Default)]
struct OfDays {
    /// What it was made for: the place of a profile, and the end of the window that its window is held against.
    of: Option<(Option<usize>, Day)>,
    /// By age in days, what a day is, a bit each.
    bits: Vec<u8>,
}

/// What a user of an account did, as far as the account's profile asks.
#[derive(Debug, Clone, Copy, Default)]
struct Did {
    /// On what days: anything on a [`MEMBER`], a scored event on the others.
    days: u8,
    /// Points in the window, in millionths.
    points: i64,
    /// Scored events in the window that this one is held against.
    before: i64,
}

impl Did {
    fn is(self, days: u8) -> bool {
        self.days & days != 0
    }
}

/// Tables that serve one account after the other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    of_days: OfDays,
    /// By the number of a user in the account.
    users: Vec<Did>,
    /// By age in days, whether a scored event was done on a day of the window.
    active: Vec<bool>,
    /// By day and scored event, how often it was done.
    scored: Sums,
}

impl Frame<'_> {
    /// What needs the account's own profile: its users, active days, features, scored events.
    pub(super) fn users_and_features(&self, tally: &mut Tally, cells: &[Cell], muster: &Muster, tables: &mut Tables) {
        let chosen = tally.chosen.and_then(|place| Some((self.model.profiles.get(place)?, self.weights.get(place)?)));
        let window = chosen.map_or(30, |(profile, _)| profile.window);
        let spans = self.model.user_spans;
        let (member_since, active_since) =
            (self.over.plus(-spans.total(window)), self.over.plus(-spans.active(window)));
        let about = self.ask.reasons_of.as_ref();
        let reasons = self.ask.reasons && about.is_none_or(|(id, _)| id == self.names.account(tally.id));
        let under = match about {
            Some((_, name)) => self.model.profiles.iter().position(|profile| profile.name == *name),
            None => tally.chosen,
        };
        let columns = under.and_then(|place| self.columns.get(place)).map(Vec::as_slice).unwrap_or_default();
        let [left_out, left_out_under] = [tally.chosen, under].map(|place| LeftOut::under(&self.left_out, place));
        let window_since = self.over.plus(-window);
        let against =
            chosen.map_or(Against::Before(window), |(profile, _)| Against::of(profile, tally.first, self.over));
        let before = against.end(self.over);
        let before_since = before.plus(-window);
        let longest = under.and_then(|place| self.model.profiles.get(place)).map_or(window, |under| under.window);
        let mut scored_since = self.over.plus(-2 * longest.max(window) - self.ask.recent_days);
        if about.is_some() || self.ask.history_of.is_some() {
            scored_since = scored_since.min(before_since);
        }
        let features = tally.chosen.and_then(|place| self.features.get(place));
        let count = features.map_or(0, |features| features.names.len());
        tally.features_used = vec![false; count];
        let mut features_ever = vec![false; count];
        for (event, when) in muster.events() {
            for feature in features.map(|features| features.used_by(event)).unwrap_or_default() {
                let feature = *feature as usize;
                features_ever[feature] = true;
                tally.features_used[feature] |= when.last > window_since;
            }
            if chosen.and_then(|(_, weights)| weights.get(event as usize)).is_some_and(|weight| *weight >= CORE) {
                let first = tally.first_key_action.map_or(when.first, |first| first.min(when.first));
                tally.first_key_action = Some(first);
            }
        }
        tables.users.clear();
        tables.users.resize(muster.users.len(), Did::default());
        let weights = chosen.map(|(_, weights)| weights.as_slice()).unwrap_or_default();
        if tables.of_days.of != Some((tally.chosen, before)) {
            // Spans may be as long as anybody likes; what is counted begins somewhere.
            let since = member_since.min(active_since).min(window_since).min(before_since).max(Day(FIRST_DAY - 1));
            let bits = |age: i32| {
                let day = self.over.plus(-age);
                let bit = |is: bool, bit: u8| if is { bit } else { 0 };
                let scored = bit(day > active_since, ACTIVE)
                    | bit(day > window_since, NOW)
                    | bit(day <= window_since && day <= before && day > before_since, THEN);
                bit(day > member_since, MEMBER) | if left_out.has(day) { 0 } else { scored }
            };
            let bits = (0..self.over.0 - since.0).map(bits).collect();
            tables.of_days = OfDays { of: Some((tally.chosen, before)), bits };
        }
        let of_days = &tables.of_days.bits;
        tables.active.clear();
        tables.active.resize(of_days.len().min(window as usize), false);
        for (run, user) in muster.runs(cells) {
            let mut did = tables.users[user];
            for cell in run.iter().filter(|cell| cell.count > 0) {
                let (day, count) = (cell.day(), i64::from(cell.count));
                if reasons
                    && day > scored_since
                    && let Ok(column) = columns.binary_search(&cell.event)
                    && !left_out_under.has(day)
                {
                    let place = (day.0 - scored_since.0 - 1) as usize * columns.len() + column;
                    tables.scored.add(place, count);
                }
                let age = (self.over.0 - day.0) as usize;
                let Some(of_day) = of_days.get(age) else { continue };
                // Hardly a branch: which cells are scored is no pattern that a processor could foresee.
                let weight = weights.get(cell.event as usize).copied().unwrap_or_default();
                let days = of_day & if weight == 0 { MEMBER } else { u8::MAX };
                did.days |= days;
                if let Some(active) = tables.active.get_mut(age) {
                    *active |= days & NOW != 0;
                }
                let points = if days & NOW == 0 { 0 } else { weight };
                did.points = did.points.saturating_add(points.saturating_mul(count));
                did.before += if days & THEN == 0 { 0 } else { count };
            }
            tables.users[user] = did;
        }
        let users = || muster.users.iter().zip(&tables.users);
        tally.total_users = users().filter(|(_, did)| did.is(MEMBER)).count() as u32;
        tally.active_users = users().filter(|(_, did)| did.is(ACTIVE)).count() as u32;
        let stopped = users().filter(|(_, did)| did.before > 0 && !did.is(ACTIVE));
        let stopped: Vec<(i64, Id)> = stopped.map(|(user, did)| (did.before, *user)).collect();
        tally.stopped_users = stopped.len() as u32;
        tally.who_stopped = first_few(stopped, &self.names.ids.subjects);
        self.champions(
            tally,
            users().filter(|(_, did)| did.points > 0).map(|(user, did)| (*user, did.points)).collect(),
        );
        tally.features_ever = features_ever.iter().filter(|used| **used).count();
        tally.active_days = tables.active.iter().filter(|active| **active).count() as u32;
        let scored = tables.scored.drain().filter_map(|(place, count)| {
            let day = scored_since.plus(1 + (place / columns.len()) as i32);
            Some((day, *columns.get(place % columns.len())?, u32::try_from(count).unwrap_or(u32::MAX)))
        });
        tally.scored = scored.collect();
    }
}
