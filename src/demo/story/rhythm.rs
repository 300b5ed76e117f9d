//! How the demo's people work: how much on which day, which actions, and the seeded chance behind it.
//!
//! Chance is a hash of who and which day before today, not a running generator: a story told tomorrow is today's moved by a
//! day, except that weekends stay where the calendar has them.

use serde_json::{Value as Json, json};

use super::cast::{Account, Arc};

/// How many days the story goes back. A quarterly benchmark looks at most 93 days back, over windows of 30.
pub(super) const HISTORY: i32 = 123;

/// How present people are on a working day at level 1, as a probability.
const PRESENT: f64 = 0.62;
/// How much a present person does beside logging in.
const ACTIONS: f64 = 3.0;

/// Seeded chance: SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Chance(u64);

impl Chance {
    /// A sequence of its own for these numbers.
    pub(super) fn of(seeds: &[u64]) -> Self {
        let mut chance = Self(0x5eed_ca5e);
        for seed in seeds {
            chance.0 ^= seed.wrapping_mul(0xff51_afd7_ed55_8ccd);
            chance.0 = chance.next();
        }
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 up to, not including, `bound` (at least 1).
    pub(super) fn below(&mut self, bound: i64) -> i64 {
        (self.next() % bound.max(1).unsigned_abs()) as i64
    }

    /// True with a probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A count from 0 to twice the mean.
    pub(super) fn around(&mut self, mean: f64) -> u32 {
        (self.unit() * (2.0 * mean + 1.0)) as u32
    }
}

/// How much an account is used on a day, beside its usual level of 1. `offset` counts from today: −1 is yesterday.
fn phase(arc: Arc, offset: i32) -> f64 {
    match (arc, offset) {
        // A window of 30 days forgets at most a thirtieth a day when use stops. What makes the last week steep is the
        // quarter-end push that leaves the window in it, with hardly anything since to take its place.
        (Arc::Slips, ..-37) => 1.0,
        (Arc::Slips, -37..-30) => 3.9,
        (Arc::Slips, -30..-16) => 0.22,
        (Arc::Slips, -16..-8) => 0.10,
        (Arc::Slips, _) => 0.015,
        (Arc::Returns, -54..-19) => 0.0,
        (Arc::Fades, _) => 0.1 + 0.9 * (f64::from(-offset) / f64::from(HISTORY)).powf(1.5),
        (Arc::New, ..-6) => 0.5,
        (Arc::Never, _) => 0.0,
        _ => 1.0,
    }
}

/// The probability that a member works on a day, and the mean number of actions if so.
pub(super) fn intensity(account: &Account, offset: i32, weekend: bool) -> (f64, f64) {
    let phase = phase(account.arc, offset);
    let rest = match weekend {
        true if account.arc == Arc::Slips && phase > 2.0 => 0.3,
        true => 0.06,
        false => 1.0,
    };
    let wanted = PRESENT * account.level * phase * rest;
    let present = wanted.min(0.95);
    let actions = if present > 0.0 { ACTIONS * wanted / present } else { 0.0 };
    (present, actions)
}

/// What people of a role do, with relative frequencies.
fn habits(role: &str) -> &'static [(i64, &'static str)] {
    match role {
        "admin" => &[
            (32, "Report Viewed"),
            (9, "Report Created"),
            (9, "Report Shared"),
            (5, "Dashboard Built"),
            (12, "Comment Added"),
            (4, "Teammate Invited"),
            (2, "Integration Connected"),
            (8, "Export Downloaded"),
            (3, "Project Created"),
            (6, "Alert Configured"),
        ],
        "analyst" => &[
            (34, "Report Viewed"),
            (15, "Report Created"),
            (11, "Report Shared"),
            (8, "Dashboard Built"),
            (12, "Comment Added"),
            (1, "Integration Connected"),
            (11, "Export Downloaded"),
            (3, "Project Created"),
            (5, "Alert Configured"),
        ],
        _ => &[
            (58, "Report Viewed"),
            (20, "Comment Added"),
            (13, "Export Downloaded"),
            (6, "Report Shared"),
            (2, "Report Created"),
            (1, "Alert Configured"),
        ],
    }
}

/// What somebody of a role does next.
pub(super) fn action(role: &str, chance: &mut Chance) -> &'static str {
    let habits = habits(role);
    let mut left = chance.below(habits.iter().map(|(share, _)| share).sum());
    for (share, event) in habits {
        left -= share;
        if left < 0 {
            return event;
        }
    }
    "Report Viewed"
}

/// An event's properties.
pub(super) fn properties(event: &str, chance: &mut Chance) -> Json {
    let mut one_of = |choices: &[&'static str]| choices[chance.below(choices.len() as i64) as usize];
    match event {
        "Logged In" => json!({"method": one_of(&["password", "sso", "sso", "google"])}),
        "Report Shared" => json!({"with": one_of(&["team", "link", "email"]), "report": one_of(&REPORTS)}),
        "Report Viewed" | "Report Created" | "Comment Added" | "Alert Configured" => {
            json!({"report": one_of(&REPORTS)})
        }
        "Dashboard Built" => json!({"tiles": 3 + chance.below(9)}),
        "Teammate Invited" => json!({"role": one_of(&["viewer", "viewer", "analyst"])}),
        "Integration Connected" => json!({"integration": one_of(&["salesforce", "snowflake", "stripe", "postgres"])}),
        "Export Downloaded" => json!({"format": one_of(&["csv", "pdf", "xlsx"]), "rows": 40 + chance.below(9_000)}),
        _ => json!({}),
    }
}

const REPORTS: [&str; 8] = [
    "Weekly revenue",
    "Pipeline by owner",
    "Churned accounts",
    "Support backlog",
    "Board pack",
    "Campaign return",
    "Stock by warehouse",
    "Headcount plan",
];
