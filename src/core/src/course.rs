//! One account's scores under one profile, day by day: usage against its benchmark, blended with components.
//!
//! Bands, changes and drops are all read off this one course. Past days are measured by what was known of them: seats, active
//! users, groups and components as of the day.

use crate::component::{Blend, blend};
use crate::gather::{Points, Standing, Tally};
use crate::health::{self, CURVE, Pegged};
use crate::model::{Per, Profile};
use crate::past::Snapshot;
use crate::scale::{Applied, Scale, size};
use crate::time::Day;
use crate::window::Window;

/// One account's raw scores under one profile, by day, in millionths.
struct Series {
    /// The account's first day.
    first: Day,
    /// Raw scores from then on.
    raws: Vec<i64>,
}

impl Series {
    /// Of an account that had its first event on or before `over`; without raw scores otherwise.
    fn of(tally: &Tally, points: &Points, window: i32, over: Day) -> Self {
        let Some(first) = tally.first.filter(|day| *day <= over) else { return Self { first: over, raws: Vec::new() } };
        let mut window = Window::new(points.daily.iter().copied(), window);
        let raws = (first.0..=over.0).map(|day| window.ending(Day(day))).collect();
        Self { first, raws }
    }

    /// The raw score of the window that ends on a day.
    fn at(&self, day: Day) -> Option<i64> {
        usize::try_from(day.0 - self.first.0).ok().and_then(|index| self.raws.get(index).copied())
    }
}

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Parts {
    /// 1–100, unrounded; `None` where nothing has a value.
    pub score: Option<f64>,
    /// Of usage alone.
    pub usage: Option<f64>,
    /// The share of usage in the score.
    pub usage_share: f64,
    /// The share of the weight that has a value.
    pub coverage: f64,
}

/// One account's scores under one profile.
pub(crate) struct Course<'a> {
    scale: &'a Scale<'a>,
    points: &'a Points,
    standing: Option<&'a Standing>,
    series: Series,
    over: Day,
    /// Whether anything was ever done.
    is_used: bool,
    /// The benchmark in force now.
    peg: Option<Applied<'a>>,
}

impl<'a> Course<'a> {
    /// The course of an account, up to now: on `today`, with the windows that end on `over`. `None` if there is no such
    /// profile.
    pub fn of(tally: &'a Tally, scale: &'a Scale<'a>, today: Day, over: Day) -> Option<Self> {
        let points = tally.points.get(scale.place)?;
        let series = Series::of(tally, points, scale.profile.window, over);
        let standing = tally.standing.get(scale.place);
        let peg = scale.peg(today, over, standing.map(|standing| &standing.group));
        Some(Self { scale, points, standing, series, over, is_used: tally.first.is_some(), peg })
    }

    fn profile(&self) -> &'a Profile {
        self.scale.profile
    }

    /// The first day that may have a score; none for an account without usage and components.
    pub fn first(&self) -> Option<Day> {
        let used = (!self.series.raws.is_empty()).then_some(self.series.first);
        let components = self.standing.into_iter().flat_map(|standing| &standing.components);
        components.filter_map(|component| component.first()).chain(used).min()
    }

    /// The raw score now in millionths; `None` if nothing was ever done. If the first event came today no day with it is over:
    /// then it is 0.
    pub fn raw(&self) -> Option<i64> {
        self.is_used.then(|| self.series.raws.last().copied().unwrap_or_default())
    }

    /// The raw score on a past day in millionths; `None` before the first.
    pub fn raw_on(&self, day: Day) -> Option<i64> {
        self.series.at(day)
    }

    /// By what the raw score is divided.
    pub fn size(&self, day: Day) -> Option<f64> {
        size(self.profile(), self.points, self.standing, day)
    }

    /// The benchmark in force on a past day.
    fn peg_on(&self, day: Day) -> Option<Applied<'a>> {
        self.scale.peg(day, day, self.standing.map(|standing| &standing.group))
    }

    /// The benchmark in force now.
    pub fn peg(&self) -> Option<Applied<'a>> {
        self.peg
    }

    fn usage(raw: Option<i64>, size: Option<f64>, peg: Option<Pegged>) -> Option<f64> {
        Some(health::score(health::points(raw?) / size?, peg.map_or(0.0, |peg| peg.raw), CURVE))
    }

    /// Points of a component on a day.
    pub fn component(&self, index: usize, day: Day) -> Option<f64> {
        self.standing?.components.get(index)?.at(day).copied()
    }

    /// Usage together with the components of a day.
    fn blended(&self, usage: Option<f64>, component: impl Fn(usize) -> Option<f64>) -> Parts {
        let profile = self.profile();
        if profile.components.is_empty() {
            let coverage = if usage.is_some() { 1.0 } else { 0.0 };
            return Parts { score: usage, usage, usage_share: 1.0, coverage };
        }
        let components = profile.components.iter().enumerate();
        let parts = components.map(|(index, of)| (of.weight, component(index)));
        let Blend { score, weight, coverage } = blend(parts.chain([(profile.usage_weight, usage)]));
        let of_usage = usage.map_or(0.0, |_| profile.usage_weight);
        Parts { score, usage, usage_share: if weight > 0.0 { of_usage / weight } else { 0.0 }, coverage }
    }

    /// The score now.
    pub fn now(&self) -> Parts {
        let usage = Self::usage(self.raw(), self.size(self.over), self.peg().map(|applied| applied.peg));
        self.blended(usage, |index| self.component(index, self.over))
    }

    /// The score on a past day, as it was then.
    pub fn on(&self, day: Day) -> Parts {
        let raw = self.series.at(day);
        let usage =
            raw.and_then(|raw| Self::usage(Some(raw), self.size(day), self.peg_on(day).map(|applied| applied.peg)));
        self.blended(usage, |index| self.component(index, day))
    }

    /// How a past day is measured; `None` if it has no score.
    pub fn measured(&self, day: Day) -> Option<Snapshot> {
        let parts = self.on(day);
        Some(Snapshot {
            raw: self.raw_on(day).unwrap_or_default(),
            divisor: self.size(day).filter(|_| self.profile().per != Per::Account),
            benchmark: self.peg_on(day).map_or(0.0, |applied| applied.peg.raw),
            usage: parts.usage_share,
            score: parts.score?,
            band: None,
        })
    }

    /// The score on a past day as far as the customer moved it since: under the benchmark and the seats of now, and without
    /// components that have no value now, whose end is none of the customer's doing.
    pub fn since(&self, day: Day) -> Option<f64> {
        let raw = self.series.at(day);
        let size = if self.standing.is_some_and(|standing| standing.seats.first().is_some()) { self.over } else { day };
        let usage = raw.and_then(|raw| Self::usage(Some(raw), self.size(size), self.peg().map(|applied| applied.peg)));
        self.blended(usage, |index| self.component(index, self.over).and(self.component(index, day))).score
    }
}
