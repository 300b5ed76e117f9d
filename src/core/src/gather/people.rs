//! Who did what, as far as an account's own profile asks: its users, those who stopped, its active days, features and scored
//! events.

use super::left_out::LeftOut;
use super::tables::Muster;
use super::{CORE, Cell, Gather, Tally};
use crate::cycle::Against;
use crate::usage::{Id, Interner};

/// So many of those who stopped are named.
const NAMED: usize = 5;

/// The first few of users with what each did: those who did most, of equals those whose names come first.
fn first_few(mut users: Vec<(i64, Id)>, names: &Interner) -> Vec<Id> {
    users.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| names.name(a.1).cmp(names.name(b.1))));
    users.iter().take(NAMED).map(|(_, user)| *user).collect()
}

/// What a user of an account did, as far as the account's profile asks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Did {
    /// Anything in the span of all users.
    is_member: bool,
    /// A scored event in the span of active users.
    is_active: bool,
    /// Points in the window, in millionths.
    points: i64,
    /// Scored events in the window that this one is held against.
    before: i64,
}

impl Gather<'_> {
    /// What needs the account's own profile: its users, active days, features, scored events.
    pub(super) fn users_and_features(&mut self, tally: &mut Tally, cells: &[Cell], muster: &Muster) {
        let chosen = tally.chosen.and_then(|place| Some((self.model.profiles.get(place)?, self.weights.get(place)?)));
        let window = chosen.map_or(30, |(profile, _)| profile.window);
        let spans = self.model.user_spans;
        let (member_since, active_since) =
            (self.over.plus(-spans.total(window)), self.over.plus(-spans.active(window)));
        let about = self.ask.reasons_of.as_ref();
        let reasons = self.ask.reasons && about.is_none_or(|(id, _)| id == self.gathered.names.account(tally.id));
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
        let features = tally.chosen.and_then(|place| self.gathered.features.get(place));
        let count = features.map_or(0, |features| features.names.len());
        tally.features_used = vec![false; count];
        let mut features_ever = vec![false; count];
        for (event, when) in muster.events() {
            if let Some(seen) = self.seen.get_mut(event as usize) {
                *seen = true;
            }
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
        self.users.clear();
        self.users.resize(muster.users.len(), Did::default());
        let mut days: Vec<bool> = vec![false; window as usize + 1];
        let since = member_since.min(active_since).min(before_since).min(scored_since);
        for (run, user) in muster.runs(cells) {
            let user = &mut self.users[user];
            for cell in run.iter().filter(|cell| cell.count > 0 && cell.day() > since) {
                let day = cell.day();
                user.is_member |= day <= self.over && day > member_since;
                let count = i64::from(cell.count);
                if reasons
                    && day > scored_since
                    && let Ok(column) = columns.binary_search(&cell.event)
                    && !left_out_under.has(day)
                {
                    let place = (day.0 - scored_since.0 - 1) as usize * columns.len() + column;
                    self.scored.add(place, count);
                }
                let weight =
                    chosen.and_then(|(_, weights)| weights.get(cell.event as usize)).copied().unwrap_or_default();
                if weight == 0 || left_out.has(day) {
                    continue;
                }
                user.is_active |= day <= self.over && day > active_since;
                if day <= self.over && day > window_since {
                    days[(day.0 - window_since.0) as usize] = true;
                    user.points = user.points.saturating_add(weight.saturating_mul(count));
                } else if day <= before && day > before_since {
                    user.before += count;
                }
            }
        }
        let users = || muster.users.iter().zip(&self.users);
        tally.total_users = users().filter(|(_, did)| did.is_member).count() as u32;
        tally.active_users = users().filter(|(_, did)| did.is_active).count() as u32;
        let stopped = users().filter(|(_, did)| did.before > 0 && !did.is_active);
        let stopped: Vec<(i64, Id)> = stopped.map(|(user, did)| (did.before, *user)).collect();
        tally.stopped_users = stopped.len() as u32;
        tally.who_stopped = first_few(stopped, &self.ids.subjects);
        self.champions(
            tally,
            users().filter(|(_, did)| did.points > 0).map(|(user, did)| (*user, did.points)).collect(),
        );
        tally.features_ever = features_ever.iter().filter(|used| **used).count();
        tally.active_days = days.iter().filter(|active| **active).count() as u32;
        let scored = self.scored.drain().filter_map(|(place, count)| {
            let day = scored_since.plus(1 + (place / columns.len()) as i32);
            Some((day, *columns.get(place % columns.len())?, u32::try_from(count).unwrap_or(u32::MAX)))
        });
        tally.scored = scored.collect();
    }
}
