//! A first scoring model from what the data holds: which events to score and how much, which to leave out, and which steps a
//! new account takes.
//!
//! Only order counts, no threshold of anybody's product: of the broadest events the rarer weigh more, where engaged accounts
//! do them. It is a proposal for a person to change; nothing is learnt from who stayed and who left.

use std::collections::BTreeSet;

use crate::activity::{Activity, Use};
use crate::derived::MARK;
use crate::lint::{self, MOST};

/// An event that less than this share of the active accounts did says too little.
const RARE: f64 = 0.02;
/// A longer name, in bytes, is no feature's, and YAML has no keys of any length.
const LONG: usize = 256;
/// A step is what at least this share of new accounts do in their first days, …
const USUAL: f64 = 0.25;
/// … and do then so many times as much as anything else.
const EARLY: f64 = 1.5;
/// So many steps at most.
const STEPS: usize = 5;
/// Of fewer new accounts nothing is typical.
const NEW: u32 = 5;

/// What to begin with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proposal {
    /// Events to score with their weights 1–10, the heaviest first.
    pub scored: Vec<(String, u32)>,
    /// Events to leave out on purpose, with why.
    pub excluded: Vec<(String, &'static str)>,
    /// Events that make steps, the most usual first, with how many new accounts do them in their first days.
    pub steps: Vec<(String, u32)>,
}

impl Proposal {
    /// What fits a history, as of the time it was counted for.
    pub fn of(activity: &Activity) -> Self {
        let plain = || activity.events.iter().filter(|(name, _)| !name.starts_with(MARK) && name.len() <= LONG);
        let mut usable: Vec<(&str, &Use)> = plain()
            .filter(|(name, used)| used.accounts > 0 && !is_view(name) && !lint::is_login(name))
            .filter(|(_, used)| f64::from(used.accounts) >= RARE * f64::from(activity.active_accounts))
            .map(|(name, used)| (name.as_str(), used))
            .collect();
        let breadth = |used: &Use| (used.accounts, used.users, used.lately);
        usable.sort_by(|a, b| breadth(b.1).cmp(&breadth(a.1)).then_with(|| a.0.cmp(b.0)));
        let mut logins: Vec<(&str, &Use)> = plain()
            .map(|(name, used)| (name.as_str(), used))
            .filter(|(name, used)| used.lately > 0 && lint::is_login(name))
            .collect();
        logins.sort_by(|a, b| b.1.lately.cmp(&a.1.lately).then_with(|| a.0.cmp(b.0)));
        // One way of coming in says as much as all of them.
        logins.truncate(1);
        usable.truncate(MOST - logins.len());
        usable.sort_by(|a, b| (a.1.users, a.1.lately, a.0).cmp(&(b.1.users, b.1.lately, b.0)));
        let mut scored: Vec<(String, u32)> = usable
            .iter()
            .enumerate()
            .map(|(rank, (name, used))| ((*name).to_owned(), weight(rank, usable.len(), is_engaged(used, activity))))
            .collect();
        scored.extend(logins.into_iter().map(|(name, _)| (name.to_owned(), 1)));
        scored.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let taken: BTreeSet<&str> = scored.iter().map(|(name, _)| name.as_str()).collect();
        let frequent = activity.frequent();
        let why = |name: &str| match name {
            name if is_view(name) => "looking, not doing",
            name if lint::is_login(name) => "another way of coming in",
            _ => "frequent, but others say more",
        };
        let left = plain().filter(|(name, used)| {
            !taken.contains(name.as_str()) && (frequent.contains(name.as_str()) || used.lately > 0 && is_view(name))
        });
        let excluded = left.map(|(name, _)| (name.clone(), why(name))).collect();
        Self { steps: steps(activity), excluded, scored }
    }
}

/// Whether accounts that do it are active on at least as many days as others.
fn is_engaged(used: &Use, activity: &Activity) -> bool {
    // Means compared without dividing: a ÷ b ≥ c ÷ d.
    used.active_days * u64::from(activity.active_accounts) >= activity.active_days * u64::from(used.accounts)
}

/// The weight of an event by its rank among so many, the rarest first: the rarest quarter is advanced (7–10) where engaged
/// accounts do it, the broadest common (1–3), the rest core (4–6).
fn weight(rank: usize, count: usize, engaged: bool) -> u32 {
    let quarter = (count + 2) / 4;
    let within = |place: usize, of: usize, high: u32, low: u32| {
        let last = of.saturating_sub(1).max(1);
        high - (place as u32 * (high - low) + last as u32 / 2) / last as u32
    };
    if rank < quarter {
        if engaged { within(rank, quarter, 10, 7) } else { 4 }
    } else if rank >= count - quarter {
        within(rank - (count - quarter), quarter, 3, 1)
    } else {
        within(rank - quarter, count - 2 * quarter, 6, 4)
    }
}

fn steps(activity: &Activity) -> Vec<(String, u32)> {
    if activity.started < NEW {
        return Vec::new();
    }
    let all = activity.events.values().fold((0, 0), |all, used| (all.0 + used.started.0, all.1 + used.started.1));
    let share = |(early, ever): (u64, u64)| if ever == 0 { 0.0 } else { early as f64 / ever as f64 };
    let usual = |used: &Use| f64::from(used.starters) >= USUAL * f64::from(activity.started);
    let early = |used: &Use| share(used.started) >= EARLY * share(all);
    let plain = activity
        .events
        .iter()
        .filter(|(name, _)| !name.starts_with(MARK) && name.len() <= LONG && !is_view(name) && !lint::is_login(name));
    let mut steps: Vec<(&String, &Use)> = plain.filter(|(_, used)| usual(used) && early(used)).collect();
    steps.sort_by(|a, b| share(b.1.started).total_cmp(&share(a.1.started)).then_with(|| a.0.cmp(b.0)));
    steps.truncate(STEPS);
    steps.sort_by(|a, b| b.1.starters.cmp(&a.1.starters).then_with(|| a.0.cmp(b.0)));
    steps.into_iter().map(|(name, used)| (name.clone(), used.starters)).collect()
}

/// Whether an event says only that a page or screen was looked at, by its usual names.
fn is_view(event: &str) -> bool {
    const NAMES: [&str; 6] = ["pageviewed", "pageview", "viewedpage", "screenviewed", "screenview", "viewedscreen"];
    NAMES.contains(&lint::letters(event).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten active accounts of ten days each. An event: its name, how many did it, on how many days these were active.
    fn activity(events: &[(&str, u32, u64)]) -> Activity {
        let used = |accounts: u32, days: u64| Use {
            lately: 10 * u64::from(accounts),
            ever: 10 * u64::from(accounts),
            accounts,
            users: accounts,
            active_days: u64::from(accounts) * days,
            ..Use::default()
        };
        Activity {
            events: events.iter().map(|(name, accounts, days)| ((*name).to_owned(), used(*accounts, *days))).collect(),
            active_accounts: 10,
            active_users: 10,
            active_days: 100,
            started: 0,
        }
    }

    fn proposed(events: &[(&str, u32, u64)]) -> Vec<(String, u32)> {
        Proposal::of(&activity(events)).scored
    }

    #[test]
    fn what_is_rare_and_done_by_the_engaged_weighs_most() {
        let scored = proposed(&[
            ("A", 1, 20),
            ("B", 2, 9),
            ("C", 3, 10),
            ("D", 4, 10),
            ("E", 5, 10),
            ("F", 6, 10),
            ("G", 9, 10),
            ("H", 10, 10),
        ]);
        let all: Vec<String> = scored.iter().map(|(name, weight)| format!("{name} {weight}")).collect();
        assert_eq!(all, ["A 10", "C 6", "D 5", "E 5", "B 4", "F 4", "G 3", "H 1"], "those who do B are less engaged");
    }

    #[test]
    fn weights_stay_in_their_bands_for_any_number_of_events() {
        for count in 1..=20 {
            let weights: Vec<u32> = (0..count).map(|rank| weight(rank, count, true)).collect();
            assert!(weights.iter().all(|weight| (1..=10).contains(weight)), "{weights:?}");
            assert!(weights.is_sorted_by(|a, b| a >= b), "{weights:?}");
        }
        assert_eq!([0, 1, 2].map(|rank| weight(rank, 3, true)), [10, 6, 3]);
        assert_eq!(weight(0, 1, true), 6);
    }

    #[test]
    fn coming_in_weighs_one_and_looking_nothing() {
        let found =
            Proposal::of(&activity(&[("Login", 10, 10), ("Signed In", 9, 10), ("Page Viewed", 10, 10), ("A", 5, 10)]));
        assert_eq!(found.scored, [("A".to_owned(), 6), ("Login".to_owned(), 1)]);
        let excluded = [("Page Viewed", "looking, not doing"), ("Signed In", "another way of coming in")];
        assert_eq!(found.excluded, excluded.map(|(name, why)| (name.to_owned(), why)));
    }

    #[test]
    fn at_most_twenty_are_scored_and_the_frequent_rest_is_left_out_in_words() {
        let names: Vec<String> = (0..30).map(|n| format!("E{n:02}")).collect();
        let events: Vec<(&str, u32, u64)> = names.iter().map(|name| (name.as_str(), 5, 10)).collect();
        let found = Proposal::of(&activity(&events));
        assert_eq!((found.scored.len(), found.excluded.len()), (20, 10));
        assert_eq!(Proposal::of(&Activity::default()), Proposal::default());
    }

    #[test]
    fn steps_are_what_new_accounts_do_at_first_and_hardly_later() {
        let started =
            |starters: u32, early: u64, ever: u64| Use { starters, started: (early, ever), ever, ..Use::default() };
        let mut activity = Activity { started: 8, ..Activity::default() };
        activity.events = [
            ("Created", started(8, 8, 8)),
            ("Invited", started(4, 9, 10)),
            ("Shared", started(8, 40, 400)),
            ("Login", started(8, 8, 8)),
            ("Odd", started(1, 1, 1)),
        ]
        .map(|(name, used)| (name.to_owned(), used))
        .into();
        assert_eq!(Proposal::of(&activity).steps, [("Created".to_owned(), 8), ("Invited".to_owned(), 4)]);
        activity.started = 4;
        assert_eq!(Proposal::of(&activity).steps, []);
    }
}
