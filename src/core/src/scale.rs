//! What spans accounts: the benchmarks that they are measured by under one profile, over all and within groups.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Copied;
use std::slice;

use rustc_hash::FxHashMap;

use crate::by_day::ByDay;
use crate::gather::{Ask, Gathered, Points, Standing, Tally};
use crate::health::{self, CURVE, FEW, Pegged};
use crate::identity::{Traits, traits_at};
use crate::model::{Model, Per, Profile, Refresh};
use crate::names::TraitNames;
use crate::time::Day;
use crate::window::Window;

/// So many benchmarks are computed at once: each holds a raw score of every account.
pub(crate) const AT_ONCE: usize = 32;

/// By what a raw score of a day is divided; `None` where there is nothing to divide by.
pub(crate) fn size(profile: &Profile, points: &Points, standing: Option<&Standing>, day: Day) -> Option<f64> {
    match profile.per {
        Per::Account => Some(1.0),
        // Without any the raw score is 0, whatever it is divided by.
        Per::ActiveUser => Some(f64::from(points.active.at(day).copied().unwrap_or_default().max(1))),
        Per::Seat(_) => standing?.seats.at(day).copied(),
    }
}

/// What an account brings into the benchmarks of some days: of a parent only its own use, without its children's. So an
/// account that becomes a parent, or a roll-up that is turned on, moves nobody else's score.
struct Own<'t> {
    tally: &'t Tally,
    points: &'t Points,
    profile: &'t Profile,
    place: usize,
    /// Whether it is measured whatever the day.
    always: bool,
    window: Window<Copied<slice::Iter<'t, (Day, i64)>>>,
}

impl<'t> Own<'t> {
    /// For raw scores from a day on; none of one that was not used yet.
    fn of(tally: &'t Tally, place: usize, profile: &'t Profile, model: &Model, from: Day) -> Option<Self> {
        tally.first?;
        let points = tally.own.get(place).or_else(|| tally.points.get(place))?;
        let before = points.daily.partition_point(|(day, _)| *day <= from.plus(-profile.window));
        let window = Window::new(points.daily.get(before..)?.iter().copied(), profile.window);
        let always = model.measures_all() && tally.left.first().is_none();
        Some(Self { tally, points, profile, place, always, window })
    }

    /// Its raw score on a day. Days come in their order.
    fn raw_at(&mut self, day: Day) -> Option<f64> {
        self.tally.first.filter(|first| *first <= day)?;
        // Most have none on most days: there is nothing to divide.
        let raw = Some(self.window.ending(day)).filter(|raw| *raw > 0)?;
        Some(health::points(raw) / size(self.profile, self.points, self.tally.standing.get(self.place), day)?)
    }
}

/// The raw scores of a day, and those of groups again, each with its group.
type Raws<'t> = (Vec<f64>, Vec<(f64, &'t String)>);

/// The benchmarks of one day.
#[derive(Debug, Default)]
pub(crate) struct Pegs {
    all: Option<Pegged>,
    /// Of groups with enough accounts.
    groups: BTreeMap<String, Pegged>,
}

impl Pegs {
    /// Of raw scores without groups.
    pub fn of_all(raws: Vec<f64>, percent: f64) -> Self {
        Self { all: health::benchmark(raws.into_iter(), percent), groups: BTreeMap::new() }
    }

    /// Of raw scores of which some are those of groups.
    fn new(raws: Vec<f64>, grouped: &[(f64, &String)], percent: f64) -> Self {
        let mut by_group: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
        for (raw, group) in grouped {
            by_group.entry(group).or_default().push(*raw);
        }
        let enough = by_group.into_iter().filter(|(_, raws)| raws.len() >= FEW);
        let groups =
            enough.filter_map(|(group, raws)| Some((group.clone(), health::benchmark(raws.into_iter(), percent)?)));
        Self { groups: groups.collect(), ..Self::of_all(raws, percent) }
    }

    fn of(&self, group: Option<&String>) -> Option<Applied<'_>> {
        let within = group.and_then(|group| self.groups.get_key_value(group));
        let within = within.map(|(group, peg)| Applied { peg: *peg, group: Some(group) });
        within.or_else(|| self.all.map(|peg| Applied { peg, group: None }))
    }
}

/// A benchmark, and the group that it is of; of all accounts, if there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applied<'s> {
    pub peg: Pegged,
    pub group: Option<&'s str>,
}

/// Everything of one profile that spans accounts.
pub(crate) struct Scale<'m> {
    /// The profile.
    pub profile: &'m Profile,
    /// Its place.
    pub place: usize,
    /// The day after which it is not renewed, and its last day over.
    until: Option<(Day, Day)>,
    pegs: Benchmarks,
    /// By day from `first` up to `over`, that being its last day over, the day whose benchmarks are in force.
    in_force: Vec<Option<Day>>,
    first: Day,
    /// The run's own day, which serves where no account had raw > 0 then.
    over: Day,
}

/// Benchmarks by the last day of the windows that they were computed from.
type Benchmarks = FxHashMap<Day, Pegs>;

impl<'m> Scale<'m> {
    /// A profile's, with every benchmark in force from `first` up to `over`. `compute` makes those of some days, which come in
    /// their order, [`AT_ONCE`].
    pub fn new(
        profile: &'m Profile,
        place: usize,
        (first, today, over): (Day, Day, Day),
        compute: impl Fn(&[Day]) -> Vec<Pegs>,
    ) -> Self {
        let (pegs, in_force) = (FxHashMap::default(), Vec::new());
        let mut scale = Self { profile, place, until: None, pegs, in_force, first, over };
        scale.add(instants(profile, first, today, over), &compute);
        if !scale.is_pegged(over) {
            let from = |day: &Day| profile.benchmark.refresh.computed_from(*day, *day);
            let alone = |day: &Day| from(day).is_some_and(|from| !scale.is_pegged(from));
            let alone = (first.0..over.0).map(Day).filter(alone).collect();
            scale.add(alone, &compute);
        }
        scale.in_force = (first.0..=over.0).map(|day| scale.day_in_force(Day(day), Day(day))).collect();
        scale
    }

    fn add(&mut self, days: BTreeSet<Day>, compute: &impl Fn(&[Day]) -> Vec<Pegs>) {
        let days: Vec<Day> = days.into_iter().collect();
        self.pegs.extend(days.iter().copied().zip(compute(&days)));
    }

    /// True if an account had raw > 0 in the windows that end on a day.
    fn is_pegged(&self, day: Day) -> bool {
        self.pegs.get(&day).is_some_and(|pegs| pegs.all.is_some())
    }
}

impl Scale<'_> {
    /// The benchmark in force on a day, whose last day over is `over`, for an account with these groups: for that in which it
    /// was when the benchmark was renewed, or came into first after.
    pub fn peg(&self, day: Day, over: Day, groups: Option<&ByDay<String>>) -> Option<Applied<'_>> {
        let refresh = self.profile.benchmark.refresh;
        if let Refresh::Fixed(raw) = refresh {
            return Some(Applied { peg: Pegged { raw, accounts: 0, is_maximum: false }, group: None });
        }
        let (day, over) = self.until.map_or((day, over), |(until, until_over)| (day.min(until), over.min(until_over)));
        let (from, pegs) = self.in_force(day, over)?;
        pegs.of(groups.and_then(|groups| groups.at_or_after(from)))
    }

    /// What a raw score in millionths is on a day, whose last day over is `over`, against all and undivided.
    pub fn score(&self, raw: i64, day: Day, over: Day) -> f64 {
        let peg = self.peg(day, over, None).map_or(0.0, |applied| applied.peg.raw);
        health::score(health::points(raw), peg, CURVE)
    }

    /// The benchmarks of groups in force on a day.
    pub fn groups(&self, day: Day, over: Day) -> impl Iterator<Item = (&str, Pegged)> {
        let pegs = self.in_force(day, over).map(|(_, pegs)| pegs);
        pegs.into_iter().flat_map(|pegs| pegs.groups.iter().map(|(group, peg)| (group.as_str(), *peg)))
    }

    /// The benchmarks in force on a day, and the last day of the windows that they were computed from: where no account had
    /// raw > 0 then, the run's own day serves, and where none has now, the day's.
    fn in_force(&self, day: Day, over: Day) -> Option<(Day, &Pegs)> {
        // Each account asks of every one of its days.
        let known = usize::try_from(day.0 - self.first.0).ok().filter(|_| day == over);
        let known = known.and_then(|place| self.in_force.get(place).copied());
        let from = known.unwrap_or_else(|| self.day_in_force(day, over))?;
        Some((from, self.pegs.get(&from)?))
    }

    fn day_in_force(&self, day: Day, over: Day) -> Option<Day> {
        let from = self.profile.benchmark.refresh.computed_from(day, over)?;
        [from, self.over, over].into_iter().find(|from| self.is_pegged(*from))
    }
}

/// The place of the first profile that is for an account with these traits.
pub(crate) fn profile_of(model: &Model, id: &str, traits: &Traits) -> Option<usize> {
    let names = TraitNames { id, id_name: "account", traits, model: Some(model) };
    model.profiles.iter().position(|profile| profile.only.as_ref().is_none_or(|only| only.holds(&names)))
}

/// The last days of the windows from which benchmarks are computed that are in force from `first` up to `over`.
fn instants(profile: &Profile, first: Day, today: Day, over: Day) -> BTreeSet<Day> {
    let refresh = profile.benchmark.refresh;
    let mut from: BTreeSet<Day> =
        (first.0..=over.0).filter_map(|day| refresh.computed_from(Day(day), Day(day))).collect();
    from.extend(refresh.computed_from(today, over));
    from.insert(over);
    from
}

/// Whether an account is measured under a profile as of the end of a day. Who is measured against whom is decided as of the
/// benchmark's own day, so that a customer who changes plan or leaves later does not move everybody's past.
pub(crate) fn belongs(tally: &Tally, day: Day, place: usize, gathered: &Gathered<'_>, model: &Model) -> bool {
    !tally.has_left(day)
        && (model.measures_all() || {
            let statements = gathered.book.get(&tally.id).map(Vec::as_slice).unwrap_or_default();
            let traits = traits_at(statements, model.calendar.end(day));
            profile_of(model, gathered.names.account(tally.id), &traits) == Some(place)
        })
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
    let compute = |days: &[Day]| {
        let Some(first) = days.first() else { return Vec::new() };
        // Accounts lie far from each other: what is needed of each is found once.
        let own = |tally| Own::of(tally, place, profile, model, *first);
        let mut all: Vec<Own<'_>> = tallies.iter().filter_map(own).collect();
        let at_once = |days: &[Day]| {
            let mut raws: Vec<Raws<'_>> = vec![Default::default(); days.len()];
            raws.iter_mut().for_each(|(raws, _)| raws.reserve_exact(all.len()));
            for own in &mut all {
                let tally = own.tally;
                let groups = tally.standing.get(place).map(|standing| &standing.group);
                for (day, (raws, grouped)) in days.iter().zip(&mut raws) {
                    if let Some(raw) = own.raw_at(*day)
                        && (own.always || belongs(tally, *day, place, gathered, model))
                    {
                        raws.push(raw);
                        grouped.extend(groups.and_then(|groups| groups.at(*day)).map(|group| (raw, group)));
                    }
                }
            }
            let percent = profile.benchmark.percentile;
            raws.into_iter().map(|(raws, grouped)| Pegs::new(raws, &grouped, percent)).collect::<Vec<_>>()
        };
        days.chunks(AT_ONCE).flat_map(at_once).collect()
    };
    let until = ask.unrenewed_since.map(|at| (model.calendar.day(at), model.calendar.last_over(at)));
    Some(Scale { until, ..Scale::new(profile, place, (first, today, over), compute) })
}
