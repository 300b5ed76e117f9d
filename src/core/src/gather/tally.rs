//! One account, added up: everything about it that needs no other account.

use super::{Points, Standing};
use crate::by_day::ByDay;
use crate::habits::{Deeds, Habits};
use crate::identity::Traits;
use crate::time::{Day, Timestamp};
use crate::usage::Id;

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
