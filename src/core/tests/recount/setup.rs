//! What a case is: a config in the recount's own terms with its translation to the core's `Model`. Generated, small numbers throughout so that a failing case shrinks to something readable.

use std::collections::BTreeMap;

use chrono::{Months, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;
use vitalsync_core::component::{Combine, Component, Reads, Whose};
use vitalsync_core::cycle::Cycle;
use vitalsync_core::derived::{self, Derived, EventRule};
use vitalsync_core::expansion::Limit;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::model::{
    Bands, Benchmark, Checklist, Done, Feature, Model, Per, Profile, Refresh, Step, UserSpans,
};
use vitalsync_core::names::trait_scope;
use vitalsync_core::section::{Faults, Place};
use vitalsync_core::value::Type;
use vitalsync_core::wildcard::Wildcard;
use vitalsync_core::{Calendar, Day};

/// 2026-01-05T00:00:00Z, a Monday: 140 days from here hold a change of the clocks and a first of April.
pub const START: i64 = 1_767_571_200_000;
pub const DAYS: i64 = 140;
pub const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Clone)]
pub struct Setup {
    pub zone: Tz,
    pub profiles: Vec<ProfileSetup>,
    /// Checklists, each with whom it is for.
    pub checklists: Vec<(ForWhom, Vec<StepSetup>)>,
    /// The days of active users, if not the window, and of all users.
    pub active_within: Option<i64>,
    pub total_within: i64,
    /// Named features with their events, one of which may end with `*`; without any, each scored event is one.
    pub features: Features,
    /// Old and new names.
    pub event_aliases: Vec<(String, String)>,
    pub account_aliases: Vec<(String, String)>,
    pub no_events: Vec<String>,
    pub no_accounts: Option<NoAccounts>,
    pub roll_up: Option<RollUp>,
    /// The day since when [`DERIVED`] is counted; always if there is none.
    pub since: Option<i64>,
    /// An account is new for so many days.
    pub new_days: i64,
}

/// A derived event: of E1, the ones whose kind is x.
pub const DERIVED: &str = "E1 of x";

/// Features and their events.
pub type Features = &'static [(&'static str, &'static [&'static str])];

/// Which accounts are left out.
#[derive(Debug, Clone, PartialEq)]
pub enum NoAccounts {
    Plan(&'static str),
    Id(&'static str),
}

/// Which account is rolled up into which.
#[derive(Debug, Clone, PartialEq)]
pub enum RollUp {
    /// Into the one that the trait `up` names.
    Trait,
    /// By its id: these into those.
    Id(Pairs),
}

/// Two levels; and a ring with one that hangs on it.
const UP: [Pairs; 2] = [
    &[("acc0", "mid"), ("acc1", "mid"), ("acc2", "acc3"), ("mid", "top"), ("acc3", "top")],
    &[("acc1", "acc2"), ("acc2", "acc0"), ("acc0", "acc1"), ("acc3", "acc2")],
];

#[derive(Debug, Clone)]
pub struct ProfileSetup {
    pub name: String,
    pub only: ForWhom,
    pub window: i64,
    /// Points, by event.
    pub weights: Vec<(String, f64)>,
    /// Points of `E*`, and of an event that this does not score: what has no weight of its own.
    pub wild: Option<(f64, &'static str)>,
    pub healthy: f64,
    pub at_risk: f64,
    pub hold_days: usize,
    pub hold_points: f64,
    pub percentile: f64,
    pub renewed: Renewed,
    pub per: PerSetup,
    /// Whether it is measured within its plan.
    pub within: bool,
    /// What the score is made of, and the weight of usage beside it.
    pub components: Vec<ComponentSetup>,
    pub usage_weight: f64,
    /// After how many months use repeats; 0: after a week.
    pub cycle: Option<u32>,
}

/// By what raw scores are divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PerSetup {
    Account,
    ActiveUser,
    Seats,
}

/// A component: the account's pulse in words, its seats from 20 down to 0, or its users' answers from 0 to 10.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentSetup {
    pub of: OfWhat,
    pub weight: f64,
    pub max_age: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OfWhat {
    Pulse,
    Seats,
    Nps(Combine),
}

/// Words of a pulse.
pub const PULSE: [(&str, f64); 3] = [("green", 1.0), ("yellow", 0.5), ("red", 0.0)];

impl ComponentSetup {
    pub fn name(&self) -> &'static str {
        match self.of {
            OfWhat::Pulse => "pulse",
            OfWhat::Seats => "seats",
            OfWhat::Nps(_) => "nps",
        }
    }

    fn component(&self) -> Component {
        let (whose, reads) = match self.of {
            OfWhat::Pulse => (Whose::Account, Reads::Words(PULSE.map(|(word, share)| (word.to_owned(), share)).into())),
            OfWhat::Seats => (Whose::Account, Reads::Range(20.0, 0.0)),
            OfWhat::Nps(combine) => (Whose::Users(combine), Reads::Range(0.0, 10.0)),
        };
        let (name, max_age) = (self.name().to_owned(), self.max_age.map(|days| days as i32));
        Component { from: name.clone(), name, whose, reads, weight: self.weight, max_age }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum ForWhom {
    Everyone,
    Plan(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Renewed {
    EveryRun,
    Weekly,
    Monthly,
    Quarterly,
    Fixed(f64),
}

#[derive(Debug, Clone)]
pub enum StepSetup {
    /// How often, and by how many users, each alone; 0: all together.
    Event(String, usize, usize),
    Trait(String, usize),
}

impl StepSetup {
    pub fn name(&self) -> String {
        match self {
            Self::Event(event, count, by) => format!("{event} x{count} by {by}"),
            Self::Trait(name, by) => format!("has {name} by {by}"),
        }
    }
}

impl ProfileSetup {
    /// The day at the same phase of the cycle before, and how many days on either side are as good.
    pub fn phase(&self, day: NaiveDate) -> Option<(NaiveDate, i64)> {
        Some(match self.cycle? {
            0 => (day - TimeDelta::days(7), 0),
            months => (day - Months::new(months), 3),
        })
    }

    pub fn weight(&self, event: &str) -> Option<f64> {
        let own = self.weights.iter().find(|(name, _)| name == event).map(|(_, weight)| *weight);
        own.or_else(|| self.wild_weight(event))
    }

    /// Of an event that a wildcard scores.
    pub fn wild_weight(&self, event: &str) -> Option<f64> {
        let (weight, excluded) = self.wild.as_ref()?;
        let own = self.weights.iter().any(|(name, _)| name == event);
        (!own && event != DERIVED && event != *excluded && event.starts_with('E')).then_some(*weight)
    }
}

impl Setup {
    pub fn calendar(&self) -> Calendar {
        Calendar::of(self.zone.name()).unwrap()
    }

    /// Since when derived events are counted, as the core is told.
    pub fn since(&self) -> BTreeMap<String, Day> {
        let day = |days: i64| Day((START / DAY_MS + days) as i32);
        self.since.map(|days| (derived().key, day(days))).into_iter().collect()
    }

    pub fn model(&self) -> Model {
        let cycle = |months: u32| match months {
            0 => Cycle::Week,
            1 => Cycle::Month,
            3 => Cycle::Quarter,
            _ => Cycle::Year,
        };
        let profile = |profile: &ProfileSetup| Profile {
            cycle: profile.cycle.map(cycle),
            name: profile.name.clone(),
            only: only(&profile.only),
            window: profile.window as i32,
            weights: profile.weights.iter().map(|(event, w)| (counted(event), (w * 1e6).round() as i64)).collect(),
            bands: Bands {
                healthy: profile.healthy,
                at_risk: profile.at_risk,
                hold_days: profile.hold_days as u32,
                hold_points: profile.hold_points,
            },
            benchmark: Benchmark {
                percentile: profile.percentile,
                refresh: match profile.renewed {
                    Renewed::EveryRun => Refresh::EveryRun,
                    Renewed::Weekly => Refresh::Weekly,
                    Renewed::Monthly => Refresh::Monthly,
                    Renewed::Quarterly => Refresh::Quarterly,
                    Renewed::Fixed(raw) => Refresh::Fixed(raw),
                },
            },
            features: self.features.iter().map(|(name, events)| feature(name, events)).collect(),
            per: match profile.per {
                PerSetup::Account => Per::Account,
                PerSetup::ActiveUser => Per::ActiveUser,
                PerSetup::Seats => Per::Seat(expr("traits.seats", &trait_scope(&[]), Type::Number)),
            },
            within: profile.within.then(|| expr("traits.plan", &trait_scope(&[]), Type::Any)),
            components: profile.components.iter().map(ComponentSetup::component).collect(),
            usage_weight: profile.usage_weight,
            wildcards: profile.wild.iter().flat_map(wildcards).collect(),
        };
        let step = |step: &StepSetup| {
            let (done, by) = match step {
                StepSetup::Event(event, count, by) => {
                    (Done::Event { event: counted(event), count: *count as u32 }, *by)
                }
                StepSetup::Trait(name, by) => (Done::Trait(name.clone()), *by),
            };
            Step { by: Some(by as u32).filter(|by| *by > 0), ..Step::new(step.name(), done) }
        };
        let checklist = |(whom, steps): &(ForWhom, Vec<StepSetup>)| Checklist {
            only: only(whom),
            ..Checklist::of(steps.iter().map(step).collect())
        };
        Model {
            calendar: self.calendar(),
            profiles: self.profiles.iter().map(profile).collect(),
            activation: self.checklists.iter().map(checklist).collect(),
            event_aliases: self.event_aliases.iter().cloned().collect(),
            account_aliases: self.account_aliases.iter().cloned().collect(),
            exclude_events: Some(EventRule::Names(self.no_events.iter().cloned().collect())),
            exclude_accounts: self.no_accounts.as_ref().map(|out| match out {
                NoAccounts::Plan(plan) => rule(&format!("traits.plan == \"{plan}\"")),
                NoAccounts::Id(id) => rule(&format!("account == \"{id}\"")),
            }),
            roll_up: self.roll_up.as_ref().map(|up| match up {
                RollUp::Trait => expr("traits.up", &trait_scope(&[]), Type::Any),
                RollUp::Id(up) => {
                    let says = up.iter().map(|(below, above)| format!("account == \"{below}\" ? \"{above}\" : "));
                    expr(&format!("{}\"\"", says.collect::<String>()), &trait_scope(&[]), Type::Any)
                }
            }),
            derived: vec![derived()],
            user_spans: UserSpans {
                active: self.active_within.map(|days| days as i32),
                total: self.total_within as i32,
            },
            expansion: Some(Limit {
                used: expr("3", &trait_scope(&[]), Type::Number),
                limit: expr("traits.seats", &trait_scope(&[]), Type::Number),
            }),
            lifecycle: vec![("churned".to_owned(), rule("has(traits.gone)"))],
            churned_on: Some(expr("traits.gone", &trait_scope(&[]), Type::Any)),
            new_days: self.new_days as i32,
            ..Model::default()
        }
    }
}

fn feature(name: &str, events: &[&str]) -> Feature {
    let (wildcards, events): (Vec<&str>, Vec<&str>) = events.iter().partition(|event| event.ends_with('*'));
    Feature {
        name: name.to_owned(),
        events: events.into_iter().map(counted).collect(),
        wildcards: wildcards.into_iter().map(Wildcard::new).collect(),
    }
}

fn only(whom: &ForWhom) -> Option<Expr> {
    match whom {
        ForWhom::Everyone => None,
        ForWhom::Plan(plan) => Some(rule(&format!("traits.plan == \"{plan}\""))),
    }
}

fn derived() -> Derived {
    Derived::new(Some(DERIVED), "E1", expr("properties.kind == \"x\"", &derived::scope(), Type::Bool))
}

/// The name under which an event is counted.
fn counted(event: &str) -> String {
    if event == DERIVED { derived().counted_as() } else { event.to_owned() }
}

/// What is exact goes first.
fn wildcards((weight, excluded): &(f64, &str)) -> [(Wildcard, i64); 2] {
    [(Wildcard::new(excluded), 0), (Wildcard::new("E*"), (weight * 1e6).round() as i64)]
}

/// A rule about an account's traits.
pub fn rule(source: &str) -> Expr {
    expr(source, &trait_scope(&[]), Type::Bool)
}

pub fn expr(source: &str, scope: &Scope, kind: Type) -> Expr {
    let mut faults = Faults::default();
    let parsed = Expr::parse(source, Place::default(), scope, kind, &mut faults);
    parsed.unwrap_or_else(|| panic!("{source}: {:?}", faults.into_sorted()))
}

// ---- configs

fn profile(name: &'static str, only: ForWhom) -> BoxedStrategy<ProfileSetup> {
    let renewed = prop_oneof![
        3 => Just(Renewed::EveryRun),
        2 => Just(Renewed::Weekly),
        2 => Just(Renewed::Monthly),
        3 => Just(Renewed::Quarterly),
        2 => (1u32..60).prop_map(|raw| Renewed::Fixed(f64::from(raw))),
    ];
    let window = prop_oneof![Just(30), Just(1), Just(7), Just(14), Just(100)];
    let bands = (prop_oneof![Just(0.0), Just(2.0), Just(5.0)], 1usize..4, 30u32..45, 50u32..80);
    let percentile = prop_oneof![2 => Just(90.0), 1 => Just(50.0), 1 => Just(75.0)];
    let weight = |names: &'static [&'static str]| {
        let one = prop_oneof![2 => Just(0.0), 3 => (1u32..=10).prop_map(f64::from), 1 => (1u32..=99).prop_map(|w| f64::from(w) / 10.0)];
        prop::collection::vec(one, names.len()).prop_map(move |weights| {
            let named = names.iter().map(|name| (*name).to_owned()).zip(weights);
            // Weight 0 is excluded; one event at least is scored.
            let mut scored: Vec<(String, f64)> = named.filter(|(_, weight)| *weight > 0.0).collect();
            if scored.is_empty() {
                scored.push(("E0".to_owned(), 3.0));
            }
            scored
        })
    };
    let weights = weight(&["E0", "E1", "E2", "E3", "Never", "Page Viewed", "Home", "Fresh", DERIVED]);
    let combine = select(vec![Combine::Mean, Combine::Min, Combine::Max, Combine::Median, Combine::Latest]);
    let component =
        |of: OfWhat, weight: u32, age: Option<i64>| ComponentSetup { of, weight: f64::from(weight), max_age: age };
    let age = || prop::option::of(select(vec![1i64, 10, 45]));
    let components = (combine, prop::array::uniform3(0..4u32), prop::array::uniform3(age()), 0..4u32).prop_map(
        move |(combine, weights, ages, usage)| {
            let of = [OfWhat::Pulse, OfWhat::Seats, OfWhat::Nps(combine)];
            let all = of.into_iter().zip(weights).zip(ages).map(|((of, weight), age)| component(of, weight * 10, age));
            // Of weight 30 it is none at all.
            let some: Vec<ComponentSetup> = all.filter(|component| component.weight < 30.0).collect();
            (some, f64::from(usage * 10))
        },
    );
    let components = prop_oneof![2 => Just((Vec::new(), 100.0)), 1 => components];
    let per = prop_oneof![2 => Just(PerSetup::Account), 1 => Just(PerSetup::ActiveUser), 1 => Just(PerSetup::Seats)];
    // Boxed, as all of it together is more than a test's stack holds.
    let cycle = prop::option::weighted(0.4, select(vec![0u32, 1, 1, 3, 12]));
    let more = (per, prop::bool::weighted(0.3), components, cycle).boxed();
    let wild = prop::option::weighted(0.3, (prop_oneof![Just(1.0), Just(2.5)], select(vec!["E0", "E2", "E5"])));
    (renewed, window, bands, percentile, weights, wild, more)
        .prop_map(
            move |(
                renewed,
                window,
                bands,
                percentile,
                weights,
                wild,
                (per, within, (components, usage_weight), cycle),
            )| {
                let (hold_points, hold_days, at_risk, healthy) = bands;
                ProfileSetup {
                    name: name.to_owned(),
                    only: only.clone(),
                    window,
                    weights,
                    wild,
                    healthy: f64::from(healthy),
                    at_risk: f64::from(at_risk),
                    hold_days,
                    hold_points,
                    percentile,
                    // Groups have no fixed benchmark.
                    within: within && !matches!(renewed, Renewed::Fixed(_)),
                    renewed,
                    per,
                    components,
                    usage_weight,
                    cycle,
                }
            },
        )
        .boxed()
}

pub fn setup() -> impl Strategy<Value = Setup> {
    let profiles = prop_oneof![
        4 => profile("all", ForWhom::Everyone).prop_map(|all| vec![all]),
        4 => (profile("pro", ForWhom::Plan("pro")), profile("all", ForWhom::Everyone)).prop_map(|(pro, all)| vec![pro, all]),
        1 => (profile("pro", ForWhom::Plan("pro")), profile("free", ForWhom::Plan("free")))
            .prop_map(|(pro, free)| vec![pro, free]),
    ];
    let step = prop_oneof![
        3 => (0..4u8, 1usize..4, 0usize..3).prop_map(|(event, count, by)| StepSetup::Event(format!("E{event}"), count, by)),
        1 => prop_oneof![Just("Never"), Just("Fresh"), Just(DERIVED)].prop_map(|event| StepSetup::Event(event.to_owned(), 1, 0)),
        2 => (0usize..3).prop_map(|by| StepSetup::Trait("ready".to_owned(), by)),
        1 => Just(StepSetup::Trait("plan".to_owned(), 0)),
    ];
    let whom = prop_oneof![3 => Just(ForWhom::Everyone), 1 => Just(ForWhom::Plan("pro"))];
    let checklists = prop::collection::vec((whom, prop::collection::vec(step, 1..4)), 0..3);
    let zone = prop_oneof![Just(Tz::UTC), Just(Tz::Europe__Brussels)];
    let since = prop::option::weighted(0.4, 0..DAYS);
    let features: [Features; 4] = [
        &[],
        &[("all", &["E*"]), ("home", &["Home", "Page Viewed"]), ("x", &[DERIVED])],
        &[("x or two", &[DERIVED, "E2"]), ("any", &["*"]), ("never", &["Never"])],
        &[],
    ];
    let spans = (prop::option::weighted(0.3, 1..60i64), prop_oneof![2 => Just(90i64), 1 => 1..120i64]);
    let new_days = prop_oneof![2 => Just(0), 1 => Just(14), 1 => Just(60)];
    (zone, profiles, (checklists, select(features.to_vec()), spans), identity(), since, new_days).prop_map(
        |(
            zone,
            profiles,
            (checklists, features, (active_within, total_within)),
            (events, no_events, accounts, no_accounts, roll_up),
            since,
            new_days,
        )| {
            let named = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
            Setup {
                zone,
                profiles,
                checklists,
                features,
                active_within,
                total_within,
                event_aliases: named(events),
                account_aliases: named(accounts),
                no_events: no_events.iter().map(|event| (*event).into()).collect(),
                no_accounts,
                roll_up,
                since,
                new_days,
            }
        },
    )
}

pub type Pairs = &'static [(&'static str, &'static str)];

/// Names of old, events and accounts that are left out, roll-ups.
fn identity() -> impl Strategy<Value = (Pairs, &'static [&'static str], Pairs, Option<NoAccounts>, Option<RollUp>)> {
    let events: [Pairs; 4] = [
        &[],
        &[("E5", "E1")],
        &[("E4", "Fresh"), ("E5", "Fresh")],
        &[("Home", "E2"), ("E5", "E0"), ("Unheard", "E1"), ("E1", "E3")],
    ];
    let no_events: [&[&str]; 4] = [&[], &["E3"], &["E1", "Page Viewed"], &["Fresh", "E0", "E2"]];
    let accounts: [Pairs; 4] = [
        &[],
        &[("acc1", "acc2")],
        &[("acc0", "moved"), ("acc3", "moved"), ("unheard", "acc1")],
        &[("acc2", "top"), ("acc13", "acc0"), ("mid", "acc4")],
    ];
    let no_accounts =
        [None, None, Some(NoAccounts::Plan("free")), Some(NoAccounts::Id("acc3")), Some(NoAccounts::Id("mid"))];
    let roll_up = [None, Some(RollUp::Trait), Some(RollUp::Id(UP[0])), Some(RollUp::Id(UP[1]))];
    (
        select(events.to_vec()),
        select(no_events.to_vec()),
        select(accounts.to_vec()),
        select(no_accounts.to_vec()),
        select(roll_up.to_vec()),
    )
}

// ---- histories
