//! What is done, event by event: how often, by how many, since when and until when; and what of it the config misses.
//!
//! Counted in passing while accounts are added up (see [`crate::gather`]), so that names, identities and exclusions are those
//! of every other figure. Of accounts that are rolled up each counts by itself. Nothing here judges a customer.

mod count;
mod silence;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::count::Counter;
use crate::derived::{MARK, event_of};
use crate::figures::Evaluation;
use crate::model::{Done, Model};
use crate::section::nearest;
use crate::time::Day;

/// What "lately" means: so many days, the last of them the last that is over.
pub const LATELY: i32 = 30;
/// So many of the last days that are over are kept one by one.
pub const DAYS: i32 = 180;
/// An account's first days, from its first event on.
pub const FIRST_DAYS: i32 = 7;
/// Frequent is what at least this share of the accounts that did anything lately did …
const BROAD: f64 = 0.2;
/// … and, of the events that are done most often, so many …
const TOP: usize = 10;
/// … that make at least this share of everything done.
const MUCH: f64 = 0.01;

/// Everything that was done, by the event's name of today; a derived event's is the one that it is counted by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// By name, whatever was done at least once.
    pub events: BTreeMap<String, Use>,
    /// Accounts that did anything lately.
    pub active_accounts: u32,
    /// Users who did anything lately.
    pub active_users: u32,
    /// Days on which they did, summed over these accounts.
    pub active_days: u64,
    /// Accounts whose first days can be looked at: they began after the data's own first days, and theirs are over.
    pub started: u32,
}

/// How one event is used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Use {
    /// How often lately.
    pub lately: u64,
    /// How often up to the as-of time.
    pub ever: u64,
    /// Accounts that did it lately.
    pub accounts: u32,
    /// Users who did it lately, those without an account too.
    pub users: u32,
    /// Active days lately of the accounts that did it, summed: how engaged they are.
    pub active_days: u64,
    /// The first day with it.
    pub first: Option<Day>,
    /// The last day with it.
    pub last: Option<Day>,
    /// How often on each of the last [`DAYS`] days that are over, the oldest first.
    pub daily: Vec<u64>,
    /// Accounts that did it in their first days, of those whose first days can be looked at.
    pub starters: u32,
    /// How often they did it then, and ever.
    pub started: (u64, u64),
}

/// What is worth saying of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// Frequent, and no profile scores it or says that it does not count.
    UnscoredFrequent,
    /// Scored, or asked for by a step, a feature, a signal or a milestone, and never done.
    NeverSeen,
    /// Likewise, done regularly before, and by nobody at all any more.
    Silent,
}

impl Flag {
    /// The name in JSON and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnscoredFrequent => "unscored_frequent",
            Self::NeverSeen => "never_seen",
            Self::Silent => "silent",
        }
    }
}

/// One event of the data or of the config.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The name that it is counted by.
    pub counted: String,
    /// What people call it.
    pub name: String,
    /// How it is used; all zero where it was never done.
    pub used: Use,
    /// By profile, in their order, its weight in millionths; 0: excluded, `None`: not named.
    pub weights: Vec<(String, Option<i64>)>,
    /// Steps of the checklist that ask for it.
    pub steps: Vec<String>,
    /// What is worth saying, in order.
    pub flags: Vec<Flag>,
    /// The first day of its silence, if it is silent.
    pub silent_since: Option<Day>,
    /// The nearest name that was seen, if it was never done itself.
    pub nearest: Option<String>,
}

impl Event {
    /// Whether a flag is set.
    pub fn is(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }
}

/// All events of the data and of the config, the most frequent lately first, then by name. None where the evaluation was not
/// asked for its activity.
pub fn events(model: &Model, evaluation: &Evaluation) -> Vec<Event> {
    let Some(activity) = &evaluation.activity else { return Vec::new() };
    let mut names: BTreeSet<&str> = activity.events.keys().map(String::as_str).collect();
    names.extend(model.profiles.iter().flat_map(|profile| profile.weights.keys()).map(String::as_str));
    names.extend(model.written.profiles.values().flat_map(|profile| profile.excluded.keys()).map(String::as_str));
    names.extend(model.steps().filter_map(|step| step_event(&step.done)));
    names.extend(model.written.asked.keys().map(String::as_str));
    let frequent = activity.frequent();
    let until = activity.last_day();
    // Of what is scored on a condition the event itself is not forgotten.
    let considered: BTreeSet<&str> = (model.profiles.iter().flat_map(|profile| profile.weights.keys()))
        .chain(model.written.profiles.values().flat_map(|profile| profile.excluded.keys()))
        .flat_map(|name| [name.as_str(), event_of(name)])
        .collect();
    let fresh: BTreeSet<&str> = evaluation.counted_since.iter().map(|held| held.event.as_str()).collect();
    let seen: Vec<&str> = activity.events.keys().map(String::as_str).filter(|name| !name.starts_with(MARK)).collect();
    let event = |counted: &str| {
        let used = activity.events.get(counted).cloned().unwrap_or_default();
        let weight = |name: &str, own: Option<i64>| {
            let excluded =
                model.written.profiles.get(name).is_some_and(|profile| profile.excluded.contains_key(counted));
            own.or(excluded.then_some(0))
        };
        let weights = model.profiles.iter();
        let weights = weights.map(|one| (one.name.clone(), weight(&one.name, one.stated_weight(counted))));
        let mut event = Event {
            counted: counted.to_owned(),
            name: model.display_event(counted).to_owned(),
            weights: weights.collect(),
            steps: steps(model, counted),
            flags: Vec::new(),
            silent_since: None,
            nearest: None,
            used,
        };
        let scored = event.weights.iter().any(|(_, weight)| weight.is_some_and(|weight| weight > 0));
        let said = event.weights.iter().any(|(_, weight)| weight.is_some());
        if frequent.contains(counted) && !said && !considered.contains(counted) {
            event.flags.push(Flag::UnscoredFrequent);
        }
        // What is counted only since it was written down is not missed yet.
        let fresh = fresh.contains(event.name.as_str()) && activity.events.contains_key(event_of(counted));
        let asked = scored || !event.steps.is_empty() || model.written.asked.contains_key(counted);
        if asked && event.used.ever == 0 && !fresh {
            event.flags.push(Flag::NeverSeen);
            event.nearest = nearest(event_of(counted), seen.iter().copied()).map(str::to_owned);
        }
        if asked && let Some(until) = until {
            event.silent_since = silence::since(&event.used, evaluation.over, until);
            event.flags.extend(event.silent_since.map(|_| Flag::Silent));
        }
        event
    };
    let mut events: Vec<Event> = names.into_iter().map(event).collect();
    events.sort_by(|a, b| {
        b.used.lately.cmp(&a.used.lately).then_with(|| (&a.name, &a.counted).cmp(&(&b.name, &b.counted)))
    });
    events
}

/// The event that a step asks for.
fn step_event(done: &Done) -> Option<&str> {
    match done {
        Done::Event { event, .. } => Some(event),
        Done::Trait(_) => None,
    }
}

fn steps(model: &Model, counted: &str) -> Vec<String> {
    let asking = model.steps().filter(|step| step_event(&step.done) == Some(counted));
    asking.map(|step| step.name.clone()).collect()
}

impl Activity {
    /// The names of frequent events, without derived ones: these count what others are counted for already.
    pub fn frequent(&self) -> BTreeSet<&str> {
        let plain = || self.events.iter().filter(|(name, used)| !name.starts_with(MARK) && used.lately > 0);
        let all: u64 = plain().map(|(_, used)| used.lately).sum();
        let mut by_count: Vec<(&str, &Use)> = plain().map(|(name, used)| (name.as_str(), used)).collect();
        by_count.sort_by(|a, b| b.1.lately.cmp(&a.1.lately).then_with(|| a.0.cmp(b.0)));
        let broad =
            |used: &Use| f64::from(used.accounts) >= BROAD * f64::from(self.active_accounts) && used.accounts > 0;
        let ranked = by_count.into_iter().enumerate();
        let frequent =
            ranked.filter(|(rank, (_, used))| (*rank < TOP && used.lately as f64 >= MUCH * all as f64) || broad(used));
        frequent.map(|(_, (name, _))| name).collect()
    }

    /// How many events were counted, each once.
    pub fn counted(&self) -> u64 {
        self.events.iter().filter(|(name, _)| !name.starts_with(MARK)).map(|(_, used)| used.ever).sum()
    }

    /// The first and the last day with any event.
    pub fn span(&self) -> Option<(Day, Day)> {
        let first = self.events.values().filter_map(|used| used.first).min()?;
        Some((first, self.last_day()?))
    }

    /// The last day with any event: where everything is silent it is the pipe that is, and no single event.
    fn last_day(&self) -> Option<Day> {
        self.events.values().filter_map(|used| used.last).max()
    }
}
