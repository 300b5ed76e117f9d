//! Users one by one: what each did in each of its accounts. Gathered only where users are measured.
//!
//! What is rolled up into an account belongs to the account below: a user is a member where the event was done.

use super::tables::Marks;
use super::{Cell, Frame, Raw, Tally};
use crate::time::{Day, Timestamp};
use crate::usage::Id;

/// A user in an account.
#[derive(Debug)]
pub(crate) struct Member {
    pub user: Id,
    pub account: Id,
    /// The latest event.
    pub last: Timestamp,
    /// The first day with an event.
    pub first: Option<Day>,
    /// The last day with an event of those that are over.
    pub seen: Option<Day>,
    /// How many steps of the account's checklist it did itself.
    pub steps_done: usize,
    /// How many features of the account's profile it used in the window.
    pub features_used: usize,
    /// Its rows: from, until.
    rows: (u32, u32),
}

/// All members, with their points.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// In the order of users, then accounts, once all are gathered.
    pub all: Vec<Member>,
    /// By row, its day: those with points under any profile.
    days: Vec<Day>,
    /// By row and profile, Σ count × weight in millionths.
    points: Vec<i64>,
    /// How many profiles there are.
    profiles: usize,
}

impl Members {
    /// Nobody yet.
    pub fn new(profiles: usize) -> Self {
        Self { profiles, ..Self::default() }
    }

    /// A member's days in order, each with its points under a profile.
    pub fn points(&self, member: &Member, profile: usize) -> impl Iterator<Item = (Day, i64)> + Clone {
        let rows = member.rows.0 as usize..member.rows.1 as usize;
        rows.filter_map(move |row| Some((*self.days.get(row)?, *self.points.get(row * self.profiles + profile)?)))
    }

    /// A member's raw score in the window of so many days that ends on a day.
    pub fn raw(&self, member: &Member, profile: usize, window: i32, end: Day) -> i64 {
        let rows = self.days.get(member.rows.0 as usize..member.rows.1 as usize).unwrap_or_default();
        let from = member.rows.0 as usize + rows.partition_point(|day| *day <= end.plus(-window));
        let until = member.rows.0 as usize + rows.partition_point(|day| *day <= end);
        let points = (from..until).filter_map(|row| self.points.get(row * self.profiles + profile));
        points.fold(0, |sum, points| sum.saturating_add(*points))
    }
}

/// Tables that serve one account after the other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The account's own cells, user by user.
    cells: Vec<Cell>,
    /// The features that a user used.
    used: Marks,
}

impl Frame<'_> {
    /// Counts the members of an account; its own cells come first.
    pub(super) fn count_members(
        &self,
        tally: &Tally,
        raw: &Raw,
        own: usize,
        members: &mut Members,
        Tables { cells, used }: &mut Tables,
    ) {
        if raw.user_last.is_empty() {
            return;
        }
        let Self { model, weights, features, over, .. } = self;
        cells.clear();
        cells.extend(raw.cells.iter().take(own).filter(|cell| cell.count > 0));
        let order = |cell: &Cell| (cell.user, cell.day());
        // Most come as they were filed, user by user.
        if !cells.is_sorted_by_key(order) {
            cells.sort_unstable_by_key(order);
        }
        let window = tally.chosen.and_then(|place| model.profiles.get(place)).map_or(0, |profile| profile.window);
        let features = tally.chosen.and_then(|place| features.get(place));
        let list = tally.checklist.and_then(|place| model.activation.get(place));
        for (user, last) in &raw.user_last {
            let from = cells.partition_point(|cell| cell.user < *user);
            let until = cells.partition_point(|cell| cell.user <= *user);
            let cells = cells.get(from..until).unwrap_or_default();
            used.clear();
            let in_window = cells.iter().filter(|cell| cell.day() <= *over && cell.day() > over.plus(-window));
            let uses = in_window.flat_map(|cell| features.map(|all| all.used_by(cell.event)).unwrap_or_default());
            let features_used = uses.filter(|feature| used.mark(**feature)).count();
            let done = |step: &&_| self.done_by_user(step, *user, cells);
            let first_row = members.days.len();
            for of_day in cells.chunk_by(|a, b| a.day() == b.day()) {
                let Some(day) = of_day.first().map(|cell| cell.day()).filter(|day| day <= over) else { continue };
                let place = members.points.len();
                members.points.extend(weights.iter().map(|weights| {
                    let weight = |cell: &Cell| weights.get(cell.event as usize).copied().unwrap_or_default();
                    let points = of_day.iter().map(|cell| weight(cell).saturating_mul(i64::from(cell.count)));
                    points.fold(0i64, i64::saturating_add)
                }));
                if members.points.iter().skip(place).all(|points| *points == 0) {
                    members.points.truncate(place);
                } else {
                    members.days.push(day);
                }
            }
            members.all.push(Member {
                user: *user,
                account: tally.id,
                last: *last,
                first: cells.first().map(|cell| cell.day()),
                seen: cells.iter().rev().map(|cell| cell.day()).find(|day| day <= over),
                steps_done: list.map_or(0, |list| list.steps.iter().filter(done).count()),
                features_used,
                rows: (first_row as u32, members.days.len() as u32),
            });
        }
    }
}
