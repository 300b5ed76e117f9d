//! One pass over an account's cells for its habits, and one for its deeds where they are asked for.

use std::ops::Range;

use super::tables::Crew;
use super::{Cell, Gather};
use crate::habits::{Deeds, Habits, Lately, RHYTHM_DAYS, Rhythm};
use crate::identity::Traits;
use crate::model::{Evidence, Model, Signal};
use crate::names::trait_value;
use crate::time::Day;
use crate::today::Names;
use crate::usage::Id;
use crate::value::Value;

/// The spans of [`Lately`]: the last 30 days, the 30 before, the last 90; as the ages of their days.
const SPANS: [Range<i32>; 3] = [0..30, 30..60, 0..90];

impl From<[u32; SPANS.len()]> for Lately {
    fn from([last_30, before_30, last_90]: [u32; SPANS.len()]) -> Self {
        Self { last_30, before_30, last_90 }
    }
}

/// Tables that serve one account after the other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// By age in days, the spans that a day is in, a bit each.
    spans: Vec<u8>,
    /// By number of an account's user, the spans in which it did anything, and how much it did in the longest.
    users: Vec<(u8, u32)>,
    /// By feature, the spans in which it was used.
    features: Vec<u8>,
    gaps: Vec<u32>,
    /// By event, the signals that it is one of, a bit each; empty without signals.
    signals: Vec<u8>,
}

impl Tables {
    pub(super) fn new(model: &Model, names: &Names<'_>) -> Self {
        let mut signals = Vec::new();
        for (place, signal) in Signal::ALL.iter().enumerate() {
            let evidence = model.signals.get(signal).into_iter().flatten();
            for evidence in evidence {
                if let Evidence::Event(event) = evidence
                    && let Some(event) = names.find_event(event)
                {
                    signals.resize(signals.len().max(names.events()), 0);
                    signals[event as usize] |= 1 << place;
                }
            }
        }
        let bit = |age: i32, (span, ages): (usize, &Range<i32>)| u8::from(ages.contains(&age)) << span;
        let spans = |age| SPANS.iter().enumerate().fold(0, |spans, span| spans | bit(age, span));
        Self { spans: (0..RHYTHM_DAYS).map(spans).collect(), signals, ..Self::default() }
    }
}

impl Gather<'_> {
    /// The habits of an account whose users were numbered and whose health is the profile at a place.
    pub(super) fn habits(&mut self, cells: &[Cell], crew: &Crew, chosen: Option<usize>, traits: &Traits) -> Habits {
        let known = chosen.and_then(|place| self.gathered.features.get(place));
        let names = &self.gathered.names;
        let tables = &mut self.tables;
        tables.users.clear();
        tables.users.resize(crew.users.len(), (0, 0));
        tables.features.clear();
        tables.features.resize(known.map_or(0, |known| known.names.len()), 0);
        let mut by_age = [0u32; RHYTHM_DAYS as usize];
        let mut signals = [[0u32; SPANS.len()]; Signal::ALL.len()];
        for (cell, user) in crew.with(cells).filter(|(cell, _)| cell.count > 0) {
            let age = (self.over.0 - cell.day().0) as usize;
            let Some(spans) = tables.spans.get(age) else { continue };
            let (count, event) = (u32::from(cell.count.unsigned_abs()), cell.event as usize);
            if !names.is_derived(cell.event) {
                by_age[age] = by_age[age].saturating_add(count);
                let (seen, lately) = &mut tables.users[user];
                *seen |= spans;
                *lately = if SPANS[2].contains(&(age as i32)) { lately.saturating_add(count) } else { *lately };
            }
            for feature in known.map(|known| known.used_by(cell.event)).unwrap_or_default() {
                tables.features[*feature as usize] |= spans;
            }
            let told = tables.signals.get(event).copied().unwrap_or_default();
            for (_, counts) in signals.iter_mut().enumerate().filter(|(place, _)| told & (1 << place) != 0) {
                let of_spans = counts.iter_mut().enumerate().filter(|(span, _)| spans & (1 << span) != 0);
                of_spans.for_each(|(_, sum)| *sum = sum.saturating_add(count));
            }
        }
        let within = |ages: Range<i32>| by_age[ages.start as usize..ages.end as usize].iter().copied();
        let events = SPANS.map(|ages| within(ages).fold(0, u32::saturating_add));
        let days = SPANS.map(|ages| within(ages).filter(|count| *count > 0).count() as u32);
        let [mut users, mut features] = [[0u32; SPANS.len()]; 2];
        let count = |counts: &mut [u32; SPANS.len()], spans: u8| {
            counts.iter_mut().enumerate().for_each(|(span, count)| *count += u32::from(spans >> span & 1));
        };
        tables.users.iter().for_each(|(spans, _)| count(&mut users, *spans));
        tables.features.iter().for_each(|spans| count(&mut features, *spans));
        let top = tables.users.iter().map(|(_, lately)| *lately).max().filter(|top| *top > 0);
        let active = (0..RHYTHM_DAYS as u32).filter(|age| by_age[*age as usize] > 0);
        tables.gaps.clear();
        active.reduce(|last, age| {
            tables.gaps.push(age - last);
            age
        });
        Habits {
            events: events.into(),
            active_days: days.into(),
            users: users.into(),
            features: features.into(),
            top_user_share: top.map(|top| f64::from(top) / f64::from(events[2])),
            rhythm: Rhythm::of(&mut tables.gaps),
            signals: self.signals(signals, traits),
        }
    }

    /// What is known of each signal: its events, and the account's traits.
    fn signals(
        &self,
        counts: [[u32; SPANS.len()]; Signal::ALL.len()],
        traits: &Traits,
    ) -> [Option<Lately>; Signal::ALL.len()] {
        let told = |signal: Signal, counts: [u32; SPANS.len()]| {
            let mut told = Lately::from(counts);
            for evidence in self.model.signals.get(&signal)? {
                if let Evidence::Trait(name) = evidence {
                    told.stands(how_many(&trait_value(traits, name)));
                }
            }
            Some(told)
        };
        let mut all = [None; Signal::ALL.len()];
        for ((place, signal), counts) in all.iter_mut().zip(Signal::ALL).zip(counts) {
            *place = told(signal, counts);
        }
        all
    }

    /// What an account did by name and day, up to the last day that is over.
    pub(super) fn deeds(&self, cells: &[Cell], first: Option<Day>) -> Deeds {
        let plain = |cell: &&Cell| !self.gathered.names.is_derived(cell.event);
        let past = || cells.iter().filter(|cell| cell.count > 0 && cell.day() <= self.over);
        let week = first.map(|first| first..first.plus(7));
        let events_where = |within: &dyn Fn(Day) -> bool| -> Vec<Id> {
            sorted(past().filter(|cell| within(cell.day())).map(|cell| cell.event).collect())
        };
        Deeds {
            days: sorted(past().filter(plain).map(|cell| cell.day()).collect()),
            first_week: events_where(&|day| week.as_ref().is_some_and(|week| week.contains(&day))),
            lately: events_where(&|day| self.over.0 - day.0 < SPANS[2].end),
        }
    }
}

/// How often a trait says something: a number is how many, what else is set is once.
fn how_many(value: &Value) -> u32 {
    match value {
        Value::Number(number) => number.clamp(0.0, 1e6) as u32,
        Value::Null | Value::Bool(false) => 0,
        Value::Text(text) if text.is_empty() => 0,
        _ => 1,
    }
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all
}
