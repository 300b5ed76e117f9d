//! What spans accounts: everybody's raw scores by day under one profile, and the benchmarks that they are measured by.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::health::{self, CURVE, Pegged};
use crate::identity::{AccountUsage, Traits, traits_at};
use crate::model::{Model, Profile, Refresh};
use crate::names::TraitNames;
use crate::time::Day;
use crate::usage::{Id, Ids};

/// One account's raw scores under one profile, by day, in millionths.
pub(crate) struct Series {
    /// The account's first day.
    pub first: Day,
    /// Raw scores from then on.
    pub raws: Vec<i64>,
}

impl Series {
    fn of(usage: &AccountUsage, weights: &FxHashMap<Id, i64>, window: i32, over: Day) -> Self {
        let Some(first) = usage.cells.first().map(|cell| cell.day).filter(|day| *day <= over) else {
            return Self { first: over, raws: Vec::new() };
        };
        let length = (over.0 - first.0 + 1) as usize;
        let mut daily = vec![0i64; length];
        for cell in usage.cells.iter().take_while(|cell| cell.day <= over) {
            if let (Some(weight), Some(day)) =
                (weights.get(&cell.event), daily.get_mut((cell.day.0 - first.0) as usize))
            {
                *day = day.saturating_add(weight.saturating_mul(i64::from(cell.count)));
            }
        }
        let mut raws = Vec::with_capacity(length);
        let mut sum = 0i64;
        for day in 0..length {
            sum = sum.saturating_add(daily[day]);
            if let Some(gone) = day.checked_sub(window as usize) {
                sum -= daily[gone];
            }
            raws.push(sum);
        }
        Self { first, raws }
    }

    /// The raw score of the window that ends on a day.
    pub fn at(&self, day: Day) -> Option<i64> {
        usize::try_from(day.0 - self.first.0).ok().and_then(|index| self.raws.get(index).copied())
    }
}

/// Everything of one profile that spans accounts.
pub(crate) struct Scale<'m> {
    /// The profile.
    pub profile: &'m Profile,
    /// The weights of its events.
    pub weights: FxHashMap<Id, i64>,
    /// Raw scores of all accounts, in their order.
    pub series: Vec<Series>,
    /// By the last day of the windows that the benchmark was computed from.
    pegs: FxHashMap<Day, Option<Pegged>>,
    /// Serves where no account had raw > 0 then: the run's own day.
    fallback: Option<Pegged>,
}

impl Scale<'_> {
    /// The benchmark in force on a day, whose last day over is `over`.
    pub fn peg(&self, day: Day, over: Day) -> Option<Pegged> {
        match (self.profile.benchmark.refresh, self.profile.benchmark.refresh.computed_from(day, over)) {
            (Refresh::Fixed(raw), _) => Some(Pegged { raw, accounts: 0, is_maximum: false }),
            (_, Some(from)) => self.pegs.get(&from).copied().flatten().or(self.fallback),
            (_, None) => self.fallback,
        }
    }

    /// The score of a raw score on a day, whose last day over is `over`.
    pub fn score(&self, raw: i64, day: Day, over: Day) -> f64 {
        health::score(health::points(raw), self.peg(day, over).map_or(0.0, |peg| peg.raw), CURVE)
    }
}

/// The first profile that is for an account with these traits.
pub(crate) fn profile_of(model: &Model, id: &str, traits: &Traits) -> Option<usize> {
    let names = TraitNames { id, id_name: "account", traits, model: Some(model) };
    model.profiles.iter().position(|profile| profile.only.as_ref().is_none_or(|only| only.holds(&names)))
}

/// Raw scores of all accounts under a profile, and every benchmark that they are measured by up to `over`.
pub(crate) fn scale<'m>(
    profile: &'m Profile,
    accounts: &[(Id, AccountUsage, Traits)],
    ids: &Ids,
    model: &Model,
    today: Day,
    over: Day,
) -> Scale<'m> {
    let weights: FxHashMap<Id, i64> =
        profile.weights.iter().filter_map(|(event, weight)| Some((ids.events.find(event)?, *weight))).collect();
    let series: Vec<Series> =
        accounts.iter().map(|(_, usage, _)| Series::of(usage, &weights, profile.window, over)).collect();
    let first = series.iter().filter(|series| !series.raws.is_empty()).map(|series| series.first).min().unwrap_or(over);
    let refresh = profile.benchmark.refresh;
    let mut from: BTreeSet<Day> =
        (first.0..=over.0).filter_map(|day| refresh.computed_from(Day(day), Day(day))).collect();
    from.extend(refresh.computed_from(today, over));
    // Who is measured against whom is decided as of the benchmark's own day, so that a customer who changes plan later does
    // not move everybody's past.
    let single = model.profiles.len() == 1 && profile.only.is_none();
    let peg = |day: Day| {
        let at = model.calendar.end(day);
        let belongs = |id: Id, usage: &AccountUsage| {
            single || {
                let traits = traits_at(&usage.traits, at);
                let place = profile_of(model, ids.accounts.name(id), &traits);
                place.and_then(|place| model.profiles.get(place)).is_some_and(|found| found.name == profile.name)
            }
        };
        let raws = accounts.iter().zip(&series).filter_map(|((id, usage, _), series)| {
            series.at(day).filter(|raw| *raw > 0).filter(|_| belongs(*id, usage))
        });
        health::benchmark(raws, profile.benchmark.percentile)
    };
    let pegs: FxHashMap<Day, Option<Pegged>> = from.into_iter().map(|day| (day, peg(day))).collect();
    let fallback = peg(over);
    Scale { profile, weights, series, pegs, fallback }
}
