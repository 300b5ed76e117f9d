//! The health model as the config means it: profiles, bands, benchmarks, checklists. Types only; the arithmetic is in
//! [`crate::health`], putting it together in [`crate::evaluate`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use crate::checklist::{Checklist, Done, Step};
use crate::component::Component;
use crate::cycle::Cycle;
use crate::derived::{self, Derived, EventRule};
use crate::expansion::Limit;
use crate::expr::Expr;
use crate::gaps::Gaps;
use crate::risk::Weights;
use crate::section::Place;
use crate::time::{Calendar, Day};
use crate::wildcard::Wildcard;

/// Weights and raw scores are kept in millionths, so that sums are exact in any order.
pub const MICRO: i64 = 1_000_000;

/// Everything that evaluation needs of the config.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The calendar of days, windows and benchmarks.
    pub calendar: Calendar,
    /// An account's display name.
    pub name: Option<Expr>,
    /// An account's owner.
    pub owner: Option<Expr>,
    /// The id of the account that an account is rolled up into, as text or a number; null: none.
    pub roll_up: Option<Expr>,
    /// Account ids of old, each with today's: never one that is itself of old.
    pub account_aliases: BTreeMap<String, String>,
    /// Accounts that are left out altogether.
    pub exclude_accounts: Option<Expr>,
    /// Users that are left out altogether.
    pub exclude_users: Option<Expr>,
    /// Events that are not counted.
    pub exclude_events: Option<EventRule>,
    /// Event names of old, each with today's: never one that is itself of old.
    pub event_aliases: BTreeMap<String, String>,
    /// Days that leave every window.
    pub gaps: Gaps,
    /// Events on a condition that are to be counted, each once.
    pub derived: Vec<Derived>,
    /// What events are called in words, by what [`Self::display_event`] gives.
    pub labels: BTreeMap<String, String>,
    /// Scoring models; the first whose `only` holds is an account's health.
    pub profiles: Vec<Profile>,
    /// Activation checklists; the first whose `only` holds is an account's.
    pub activation: Vec<Checklist>,
    /// What tells of trouble beside use.
    pub signals: BTreeMap<Signal, Vec<Evidence>>,
    /// What each signal of churn weighs.
    pub risk_weights: Weights,
    /// How long users count.
    pub user_spans: UserSpans,
    /// How near an account is to the limit of its plan.
    pub expansion: Option<Limit>,
    /// Named rules: lifecycle stages, [`Model::churned`] among them.
    pub lifecycle: Vec<(String, Expr)>,
    /// The day on which a churned account left.
    pub churned_on: Option<Expr>,
    /// An account is new for so many days from its start; 0: none is.
    pub new_days: i32,
    /// What people say of an account's band.
    pub overrides: Vec<Override>,
    /// Named rules: segments of the config's own, each after those that it uses.
    pub segments: Vec<(String, Expr)>,
    /// Ready-made segments that none of the config's own takes the place of.
    pub ready: Vec<(String, Expr)>,
    /// Where the config says what, for warnings about it.
    pub written: Written,
}

/// Where in the config things stand, for warnings about them.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// By the profile's name.
    pub profiles: BTreeMap<String, WrittenProfile>,
    /// Steps, features, signals and milestones, by the event that they ask for, as it is counted.
    pub asked: BTreeMap<String, BTreeSet<Place>>,
}

/// Where the parts of a profile stand; what it takes over from another one stands there.
#[derive(Debug, Clone, Default)]
pub struct WrittenProfile {
    /// The profile itself.
    pub place: Place,
    /// Its bands, if they are written down.
    pub bands: Option<Place>,
    /// The scored events, by the names that they are counted by.
    pub events: BTreeMap<String, Place>,
    /// Events of weight 0, likewise: left out on purpose.
    pub excluded: BTreeMap<String, Place>,
    /// The components.
    pub components: BTreeMap<String, Place>,
}

impl Model {
    /// What people call an event: its name, and of a derived event's counted name the chosen one. Of one that the config
    /// names no more it is the event's own.
    pub fn display_event<'a>(&'a self, name: &'a str) -> &'a str {
        let key = name.strip_prefix(derived::MARK);
        let found = key.and_then(|key| self.derived.iter().find(|derived| derived.key == key));
        found.map_or_else(|| derived::event_of(name), |derived| derived.name.as_str())
    }

    /// True for a derived event's counted name that the config has no more: nothing is known of it.
    pub fn is_unknown(&self, name: &str) -> bool {
        name.strip_prefix(derived::MARK).is_some_and(|key| self.derived.iter().all(|derived| derived.key != key))
    }

    /// What an event is called in a sentence: its label, else what people call it.
    pub fn label<'a>(&'a self, name: &'a str) -> &'a str {
        let name = self.display_event(name);
        self.labels.get(name).map_or(name, String::as_str)
    }

    /// The steps of all checklists.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.activation.iter().flat_map(|list| &list.steps)
    }

    /// The rule of accounts that have left.
    pub fn churned(&self) -> Option<&Expr> {
        self.lifecycle.iter().find(|(name, _)| name == "churned").map(|(_, rule)| rule)
    }

    /// What a person says of an account's band on a day.
    pub fn stated_band(&self, account: &str, day: Day) -> Option<&Override> {
        self.overrides.iter().find(|stated| stated.account == account && day <= stated.until)
    }

    /// All components of all profiles.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.profiles.iter().flat_map(|profile| &profile.components)
    }

    /// True if one profile is everybody's.
    pub fn measures_all(&self) -> bool {
        matches!(self.profiles.as_slice(), [profile] if profile.only.is_none())
    }
}

/// How long a user counts as one of an account's, in days that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserSpans {
    /// Active: a scored event within so many days; `None`: in the window.
    pub active: Option<i32>,
    /// Total: any event within so many days, or in the span of the active ones or the window if longer.
    pub total: i32,
}

impl Default for UserSpans {
    fn default() -> Self {
        Self { active: None, total: 90 }
    }
}

impl UserSpans {
    /// The days of active users under a window.
    pub fn active(&self, window: i32) -> i32 {
        self.active.unwrap_or(window)
    }

    /// The days of all users under a window.
    pub fn total(&self, window: i32) -> i32 {
        self.total.max(self.active(window)).max(window)
    }
}

/// One scoring model.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The accounts that it is for; everyone, if left out.
    pub only: Option<Expr>,
    /// The window in days.
    pub window: i32,
    /// Weight of each scored event in millionths, 0 < weight ≤ 10; a derived event by [`Derived::counted_as`].
    pub weights: BTreeMap<String, i64>,
    /// Weights of names with wildcards, in millionths, the one that goes first at the front. 0 excludes; names without a `*`
    /// are here only where one of the others would score what they exclude.
    pub wildcards: Vec<(Wildcard, i64)>,
    /// By what raw scores are divided before they are compared.
    pub per: Per,
    /// Features over events; without any, each scored event is one.
    pub features: Vec<Feature>,
    /// The bounds of the bands.
    pub bands: Bands,
    /// What raw score counts as 100.
    pub benchmark: Benchmark,
    /// What puts accounts into groups, each with a benchmark of its own: a rule over traits.
    pub within: Option<Expr>,
    /// What the score is made of beside usage.
    pub components: Vec<Component>,
    /// The weight of usage beside the components.
    pub usage_weight: f64,
    /// After how long use repeats, if it does.
    pub cycle: Option<Cycle>,
}

impl Default for Profile {
    /// Scores nothing yet, over 30 days.
    fn default() -> Self {
        Self {
            name: String::new(),
            only: None,
            window: 30,
            weights: BTreeMap::new(),
            wildcards: Vec::new(),
            features: Vec::new(),
            per: Per::Account,
            bands: Bands::default(),
            benchmark: Benchmark::default(),
            within: None,
            components: Vec::new(),
            usage_weight: 100.0,
            cycle: None,
        }
    }
}

impl Profile {
    /// The weight of an event, by today's name or [`Derived::counted_as`], in millionths; 0: it is not scored.
    pub fn weight(&self, event: &str) -> i64 {
        self.stated_weight(event).unwrap_or_default()
    }

    /// The same where the profile says something of it, by its name or by a wildcard; 0: it is excluded.
    pub fn stated_weight(&self, event: &str) -> Option<i64> {
        let by_wildcard = || self.wildcards.iter().find(|(name, _)| name.matches(event)).map(|(_, weight)| *weight);
        self.weights.get(event).copied().or_else(by_wildcard)
    }
}

/// By what an account's raw score is divided.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Per {
    /// By nothing.
    #[default]
    Account,
    /// By its users with a scored event in the window.
    ActiveUser,
    /// By its seats, a rule over traits; without seats there is no score.
    Seat(Expr),
}

/// A person's word on an account's band.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The account, by today's id.
    pub account: String,
    /// The band.
    pub band: Band,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub until: Day,
    /// Where it stands in the config.
    pub place: Place,
}

/// A feature: used by whoever does one of its events, scored or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Events; derived ones by [`Derived::counted_as`].
    pub events: BTreeSet<String>,
    /// Names that stand for several events.
    pub wildcards: Vec<Wildcard>,
}

/// Bounds on the unrounded score, half-open: healthy from `healthy` up, at risk below `at_risk`, normal between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    /// Healthy from here up.
    pub healthy: f64,
    /// At risk below.
    pub at_risk: f64,
    /// A band is left only after so many days in a row …
    pub hold_days: u32,
    /// … more than so many points beyond its bound.
    pub hold_points: f64,
}

impl Default for Bands {
    fn default() -> Self {
        Self { healthy: 70.0, at_risk: 40.0, hold_days: 2, hold_points: 5.0 }
    }
}

/// How well an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Below the lower bound.
    AtRisk,
    /// Between the bounds.
    Normal,
    /// From the upper bound up.
    Healthy,
}

impl Band {
    /// The names in rules, JSON and mappings.
    pub const NAMES: [&'static str; 3] = ["healthy", "normal", "at_risk"];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Normal => "normal",
            Self::AtRisk => "at_risk",
        }
    }
}

/// What raw score is pegged to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Benchmark {
    /// The percentile over accounts with raw > 0.
    pub percentile: f64,
    /// When it is renewed.
    pub refresh: Refresh,
}

impl Default for Benchmark {
    fn default() -> Self {
        Self { percentile: 90.0, refresh: Refresh::Quarterly }
    }
}

/// When a benchmark is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// With every day.
    EveryRun,
    /// On Mondays.
    Weekly,
    /// On the first of each month.
    Monthly,
    /// On the first of January, April, July and October.
    Quarterly,
    /// Never: it is this raw score.
    Fixed(f64),
}

impl Refresh {
    /// The last day of the windows that the benchmark in force on `day` was computed from. `over` is the last day that is
    /// over as of then; `None` for a fixed benchmark.
    pub fn computed_from(self, day: Day, over: Day) -> Option<Day> {
        match self {
            Self::EveryRun => Some(over),
            Self::Weekly => Some(day.week_start().plus(-1)),
            Self::Monthly => Some(day.month_start().plus(-1)),
            Self::Quarterly => Some(day.quarter_start().plus(-1)),
            Self::Fixed(_) => None,
        }
    }
}

/// What tells of trouble beside use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Looked at the way out, turned renewal off.
    CancelIntent,
    /// Went to a smaller plan.
    Downgrade,
    /// Asked for help.
    Ticket,
    /// Said that it is not content.
    NegativeFeedback,
    /// A payment failed: an end that nobody wants.
    PaymentFailed,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::CancelIntent, Self::Downgrade, Self::Ticket, Self::NegativeFeedback, Self::PaymentFailed];
    /// Their names in the config, in the same order.
    pub const NAMES: [&'static str; 5] =
        ["cancel_intent", "downgrade", "ticket", "negative_feedback", "payment_failed"];
}

/// By what a signal is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// An event; a derived event's [`Derived::counted_as`].
    Event(String),
    /// A trait of the account that is set; a number is how many.
    Trait(String),
}
