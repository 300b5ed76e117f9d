//! What spans accounts: everybody's raw scores by day under one profile, and the benchmarks that they are measured by.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::gather::{Ask, Gathered, Tally};
use crate::health::{self, CURVE, Pegged};
use crate::identity::{Traits, traits_at};
use crate::model::{Model, Profile, Refresh};
use crate::names::TraitNames;
use crate::time::Day;

/// So many benchmarks are computed at once.
const AT_ONCE: usize = 128;

/// One account's raw scores under one profile, by day, in millionths.
pub(crate) struct Series {
    /// The account's first day.
    pub first: Day,
    /// Raw scores from then on.
    pub raws: Vec<i64>,
}

impl Series {
    /// Of an account that had its first event on or before `over`; without raw scores otherwise.
    pub fn of(tally: &Tally, place: usize, window: i32, over: Day) -> Self {
        let (Some(first), Some(points)) = (tally.first.filter(|day| *day <= over), tally.points.get(place)) else {
            return Self { first: over, raws: Vec::new() };
        };
        let length = (over.0 - first.0 + 1) as usize;
        let mut daily = vec![0i64; length];
        for (day, points) in &points.daily {
            if let Some(sum) = daily.get_mut((day.0 - first.0) as usize) {
                *sum = *points;
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

/// The raw score of the window that ends on a day, as the benchmark counts it: of a parent only its own use, without its
/// children's. So an account that becomes a parent, or a roll-up that is turned on, moves nobody else's score.
fn raw_at(tally: &Tally, place: usize, window: i32, day: Day) -> Option<i64> {
    tally.first.filter(|first| *first <= day)?;
    let daily = tally.own_daily.get(place).or_else(|| tally.points.get(place).map(|points| &points.daily))?;
    let since = day.plus(-window);
    let from = daily.partition_point(|(at, _)| *at <= since);
    Some(
        daily
            .iter()
            .skip(from)
            .take_while(|(at, _)| *at <= day)
            .fold(0, |sum, (_, points)| sum.saturating_add(*points)),
    )
}

/// Everything of one profile that spans accounts.
pub(crate) struct Scale<'m> {
    /// The profile.
    pub profile: &'m Profile,
    /// Its place.
    pub place: usize,
    /// The day after which it is not renewed, and its last day over.
    until: Option<(Day, Day)>,
    /// By the last day of the windows that the benchmark was computed from.
    pegs: FxHashMap<Day, Option<Pegged>>,
    /// Serves where no account had raw > 0 then: the run's own day.
    fallback: Option<Pegged>,
}

impl<'m> Scale<'m> {
    /// A profile's, with its benchmarks by the last day of the windows that they were computed from.
    pub fn new(profile: &'m Profile, place: usize, pegs: FxHashMap<Day, Option<Pegged>>, over: Day) -> Self {
        let fallback = pegs.get(&over).copied().flatten();
        Self { profile, place, until: None, pegs, fallback }
    }
}

impl Scale<'_> {
    /// The benchmark in force on a day, whose last day over is `over`.
    pub fn peg(&self, day: Day, over: Day) -> Option<Pegged> {
        let (day, over) = self.until.map_or((day, over), |(until, until_over)| (day.min(until), over.min(until_over)));
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

/// The place of the first profile that is for an account with these traits.
pub(crate) fn profile_of(model: &Model, id: &str, traits: &Traits) -> Option<usize> {
    let names = TraitNames { id, id_name: "account", traits, model: Some(model) };
    model.profiles.iter().position(|profile| profile.only.as_ref().is_none_or(|only| only.holds(&names)))
}

/// The last days of the windows from which benchmarks are computed that are in force from `first` up to `over`.
pub(crate) fn instants(profile: &Profile, first: Day, today: Day, over: Day) -> BTreeSet<Day> {
    let refresh = profile.benchmark.refresh;
    let mut from: BTreeSet<Day> =
        (first.0..=over.0).filter_map(|day| refresh.computed_from(Day(day), Day(day))).collect();
    from.extend(refresh.computed_from(today, over));
    from.insert(over);
    from
}

/// Whether an account is measured under a profile as of the end of a day. Who is measured against whom is decided as of the
/// benchmark's own day, so that a customer who changes plan later does not move everybody's past.
pub(crate) fn belongs(tally: &Tally, day: Day, place: usize, gathered: &Gathered<'_>, model: &Model) -> bool {
    model.measures_all() || {
        let statements = gathered.book.get(&tally.id).map(Vec::as_slice).unwrap_or_default();
        let traits = traits_at(statements, model.calendar.end(day));
        profile_of(model, gathered.names.account(tally.id), &traits) == Some(place)
    }
}

/// Every benchmark that accounts are measured by under a profile up to `over`.
pub(crate) fn scale<'m>(
    place: usize,
    gathered: &Gathered<'_>,
    model: &'m Model,
    ask: &Ask,
    today: Day,
    over: Day,
) -> Option<Scale<'m>> {
    let profile = model.profiles.get(place)?;
    let tallies = &gathered.tallies;
    let first = tallies.iter().filter_map(|tally| tally.first).filter(|day| *day <= over).min().unwrap_or(over);
    let mut pegs: FxHashMap<Day, Option<Pegged>> = FxHashMap::default();
    let days: Vec<Day> = instants(profile, first, today, over).into_iter().collect();
    for days in days.chunks(AT_ONCE) {
        let mut raws: Vec<Vec<i64>> = vec![Vec::new(); days.len()];
        for tally in tallies {
            for (day, raws) in days.iter().zip(&mut raws) {
                if let Some(raw) = raw_at(tally, place, profile.window, *day)
                    && raw > 0
                    && belongs(tally, *day, place, gathered, model)
                {
                    raws.push(raw);
                }
            }
        }
        for (day, raws) in days.iter().zip(raws) {
            pegs.insert(*day, health::benchmark(raws.into_iter(), profile.benchmark.percentile));
        }
    }
    let until = ask.unrenewed_since.map(|at| (model.calendar.day(at), model.calendar.last_over(at)));
    Some(Scale { until, ..Scale::new(profile, place, pegs, over) })
}
