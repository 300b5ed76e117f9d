//! One account, added up: everything about it that needs no other account.

use super::cells::Raw;
use super::left_out::LeftOut;
use super::standing::{Standings, Whom};
use super::tables::Muster;
use super::{Cell, Frame, Points, Standing, habits, members, people, points};
use crate::by_day::ByDay;
use crate::checklist::{Step, checklist_of};
use crate::habits::{Deeds, Habits};
use crate::identity::{Traits, traits_at};
use crate::names::TraitNames;
use crate::scale::profile_of;
use crate::time::{Day, Timestamp};
use crate::today::Names;
use crate::usage::{Id, Stated};

/// One account, added up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub id: Id,
    /// The account that it is rolled up into; 0: none.
    pub parent: Id,
    /// How many accounts are rolled up into it directly.
    pub children: u32,
    pub traits: Traits,
    /// The place of the profile that is its health.
    pub chosen: Option<usize>,
    /// The first day with an event.
    pub first: Option<Day>,
    pub last: Option<Timestamp>,
    /// By profile.
    pub points: Vec<Points>,
    /// By profile, the points without those of children; empty where there are none.
    pub own: Vec<Points>,
    /// By profile, what traits say of it; empty where no profile asks.
    pub standing: Vec<Standing>,
    /// Since when it has left, by the day from which that was known.
    pub left: ByDay<Day>,
    pub active_users: u32,
    pub total_users: u32,
    /// How many users were active in the window that this one is held against and are not in this one, and the first few of
    /// them.
    pub stopped_users: u32,
    pub who_stopped: Vec<Id>,
    pub active_days: u32,
    /// By feature of its profile, whether it was used in the window.
    pub features_used: Vec<bool>,
    /// How many features were ever used.
    pub features_ever: usize,
    /// The place of its checklist.
    pub checklist: Option<usize>,
    /// By step, the day it was done.
    pub steps: Vec<Option<Day>>,
    /// The first day with a core event of its profile.
    pub first_key_action: Option<Day>,
    /// The users with the largest parts of the raw score, in millionths, the largest first.
    pub champions: Vec<(Id, i64)>,
    /// The raw score in millionths.
    pub window_points: i64,
    /// By milestone, the day it was reached.
    pub milestones: Vec<Option<Day>>,
    /// Scored events of the last days.
    pub scored: Vec<(Day, Id, u32)>,
    pub habits: Habits,
    pub deeds: Deeds,
}

impl Tally {
    /// Whether it had left by a day, as far as that was known then.
    pub fn has_left(&self, day: Day) -> bool {
        self.left.at(day).is_some_and(|since| *since <= day)
    }
}

/// An account with its counts, and with those of all that is rolled up into it.
#[derive(Clone, Copy)]
pub(super) struct Counted<'c> {
    pub id: Id,
    /// All that was stated of it.
    pub statements: &'c [Stated<Traits>],
    pub raw: &'c Raw,
    /// So many cells, the first ones, are its own.
    pub own: usize,
    /// How many accounts are rolled up into it directly.
    pub children: u32,
}

/// Why there is no tally of an account.
pub(super) enum Absent {
    /// Nobody acted, and nothing was said of it.
    Unknown,
    /// The config leaves it out.
    Excluded,
}

/// Tables that serve one account after the other.
pub(super) struct Tables {
    pub muster: Muster,
    points: points::Tables,
    people: people::Tables,
    habits: habits::Tables,
    pub members: members::Tables,
    /// Cells of the events that steps count.
    step_cells: Vec<Cell>,
}

impl Tables {
    pub fn new(frame: &Frame<'_>) -> Self {
        let events = frame.names.events();
        Self {
            muster: Muster::new(events),
            points: points::Tables::new(events),
            people: people::Tables::default(),
            habits: habits::Tables::new(frame.model, &frame.names),
            members: members::Tables::default(),
            step_cells: Vec::new(),
        }
    }
}

impl Frame<'_> {
    /// Adds an account up. Its [`Muster`] stays in the tables.
    pub(super) fn tally(
        &self,
        account: Counted<'_>,
        standings: &mut Standings<'_>,
        tables: &mut Tables,
    ) -> Result<Tally, Absent> {
        let Counted { id, statements, raw, own, children } = account;
        let Tables { muster, points, people, habits, step_cells, .. } = tables;
        let name = self.names.account(id);
        let traits = traits_at(statements, self.ask.horizon.at);
        let chosen = profile_of(self.model, name, &traits);
        muster.call(&raw.cells, self.over, LeftOut::under(&self.left_out, chosen));
        let first = muster.first();
        if first.is_none() && statements.is_empty() && children == 0 {
            return Err(Absent::Unknown);
        }
        let names = TraitNames { id: name, id_name: "account", traits: &traits, model: Some(self.model) };
        if self.model.exclude_accounts.as_ref().is_some_and(|rule| rule.holds(&names)) {
            return Err(Absent::Excluded);
        }
        let checklist = checklist_of(self.model, name, &traits);
        let parent = self.structure.parent(id);
        let mut tally =
            Tally { id, parent, children, chosen, checklist, first, last: raw.last, traits, ..Tally::default() };
        let mut of_profiles = |cells| {
            let places = 0..self.model.profiles.len();
            places.map(|place| self.points(place, cells, first, points)).collect()
        };
        tally.points = of_profiles(&raw.cells);
        if children > 0 {
            tally.own = of_profiles(&raw.cells[..own]);
        }
        let whom = Whom { id: name, statements, first, chosen };
        tally.standing = standings.of(whom, &raw.cells);
        tally.left = standings.left(whom);
        self.users_and_features(&mut tally, &raw.cells, muster, people);
        tally.habits = self.habits(&tally, &raw.cells, muster, habits);
        if self.ask.deeds {
            tally.deeds = self.deeds(&raw.cells, first);
        }
        step_cells.clear();
        if !self.stepped.is_empty() {
            let is_of_step = |cell: &&Cell| self.stepped.get(cell.event as usize).copied().unwrap_or_default();
            step_cells.extend(raw.cells.iter().filter(is_of_step));
        }
        let cells = if muster.takes_back() { &raw.cells } else { &*step_cells };
        let day = |step: &Step| self.done_by_account(step, statements, muster, cells);
        if let Some(list) = checklist.and_then(|place| self.model.activation.get(place)) {
            tally.steps = list.steps.iter().map(day).collect();
        }
        tally.milestones = self.milestones.iter().map(day).collect();
        Ok(tally)
    }
}

/// Sorts tallies by the ids of their accounts. They are large: each is moved once.
pub(super) fn sort_by_name(tallies: &mut [Tally], names: &Names<'_>) {
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
