//! One pass over an account's cells for its habits, and one for its deeds where they are asked for.

use super::tables::{Marks, Sums};
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
const SPANS: [std::ops::Range<i32>; 3] = [0..30, 30..60, 0..90];

impl From<[u32; SPANS.len()]> for Lately {
    fn from([last_30, before_30, last_90]: [u32; SPANS.len()]) -> Self {
        Self { last_30, before_30, last_90 }
    }
}

/// Tables that serve one account after the other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    users: [Marks; SPANS.len()],
    features: [Marks; SPANS.len()],
    by_user: Sums,
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
        Self { signals, ..Self::default() }
    }
}

impl Gather<'_> {
    /// The habits of an account whose health is the profile at a place.
    pub(super) fn habits(&mut self, cells: &[Cell], chosen: Option<usize>, traits: &Traits) -> Habits {
        let known = chosen.and_then(|place| self.gathered.features.get(place));
        let names = &self.gathered.names;
        let tables = &mut self.tables;
        tables.users.iter_mut().chain(&mut tables.features).for_each(Marks::clear);
        let mut active = [false; RHYTHM_DAYS as usize];
        let [mut events, mut users, mut features] = [[0u32; SPANS.len()]; 3];
        let mut signals = [[0u32; SPANS.len()]; Signal::ALL.len()];
        let mut all = 0u32;
        for cell in cells.iter().filter(|cell| cell.count > 0) {
            let age = self.over.0 - cell.day().0;
            if !(0..RHYTHM_DAYS).contains(&age) {
                continue;
            }
            let (count, event) = (u32::from(cell.count.unsigned_abs()), cell.event as usize);
            let plain = !names.is_derived(cell.event);
            let uses = known.map(|known| known.used_by(cell.event)).unwrap_or_default();
            let told = tables.signals.get(event).copied().unwrap_or_default();
            active[age as usize] |= plain;
            if plain && SPANS[2].contains(&age) {
                tables.by_user.add(cell.user as usize, count);
                all = all.saturating_add(count);
            }
            for (span, _) in SPANS.iter().enumerate().filter(|(_, ages)| ages.contains(&age)) {
                if plain {
                    events[span] = events[span].saturating_add(count);
                    users[span] += u32::from(tables.users[span].mark(cell.user));
                }
                let new = uses.iter().filter(|feature| tables.features[span].mark(**feature));
                features[span] += new.count() as u32;
                for (_, counts) in signals.iter_mut().enumerate().filter(|(place, _)| told & (1 << place) != 0) {
                    counts[span] = counts[span].saturating_add(count);
                }
            }
        }
        let top = tables.by_user.drain().into_iter().map(|(_, count)| count).max();
        let days = SPANS.map(|ages| ages.filter(|age| active[*age as usize]).count() as u32);
        let ages = (0..RHYTHM_DAYS as u32).filter(|age| active[*age as usize]);
        tables.gaps.clear();
        ages.reduce(|last, age| {
            tables.gaps.push(age - last);
            age
        });
        Habits {
            events: events.into(),
            active_days: days.into(),
            users: users.into(),
            features: features.into(),
            top_user_share: top.map(|top| f64::from(top) / f64::from(all)),
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
