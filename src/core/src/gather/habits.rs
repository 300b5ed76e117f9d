//! One pass over an account's cells for its habits, and one for its deeds where they are asked for.

use std::ops::Range;

use super::left_out::LeftOut;
use super::tables::Muster;
use super::{Cell, Frame, Tally};
use crate::cycle::{self, Cycle};
use crate::habits::{Deeds, Habits, Lately, RHYTHM_DAYS, Rhythm};
use crate::identity::Traits;
use crate::model::{Evidence, Model, Profile, Signal};
use crate::names::trait_value;
use crate::time::Day;
use crate::today::Names;
use crate::usage::Id;
use crate::value::Value;

/// The spans of [`Lately`] as the ages of their days.
#[derive(Debug, Clone, PartialEq)]
struct Spans {
    /// The last 30 days, the 30 before, the last 90, and 30 at the same phase of the cycle before; the last of them empty where
    /// there is nothing to compare with.
    ages: [Range<i32>; 4],
    /// 90 at the same phase, where all of a cycle's phases are not among the last 90 days.
    season: Option<Range<i32>>,
}

/// What there was in each of the spans.
type Counts = [u32; 4];

const LAST_90: Range<i32> = 0..90;

impl Default for Spans {
    fn default() -> Self {
        Self { ages: [0..30, 30..60, LAST_90, 0..0], season: None }
    }
}

impl Spans {
    /// Of an account that had its first event on a day, under a profile's cycle.
    fn new(cycle: Option<Cycle>, first: Option<Day>, over: Day) -> Self {
        let phase = |days: i32| {
            let since = over.0 - cycle?.before(over).0;
            // It was there all that time.
            first.is_some_and(|first| over.0 - first.0 >= since + days - 1).then_some(since..since + days)
        };
        let [last_30, before_30, last_90, none] = Self::default().ages;
        let season = phase(90).filter(|_| cycle == Some(Cycle::Year));
        Self { ages: [last_30, before_30, last_90, phase(30).unwrap_or(none)], season }
    }

    /// By age in days, as far as is looked, the spans that a day is in, a bit each.
    fn bits(&self) -> Vec<u8> {
        let bit = |age: i32, (span, ages): (usize, &Range<i32>)| u8::from(ages.contains(&age)) << span;
        let of_age = |age| self.ages.iter().enumerate().fold(0, |spans, span| spans | bit(age, span));
        let ends = self.ages.iter().chain(&self.season).map(|ages| ages.end);
        (0..ends.fold(RHYTHM_DAYS, i32::max)).map(of_age).collect()
    }

    fn lately(&self, [last_30, before_30, last_90, phase]: Counts) -> Lately {
        let phase_30 = (!self.ages[3].is_empty()).then_some(phase);
        Lately { last_30, before_30, last_90, phase_30 }
    }
}

/// Tables that serve one account after the other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The spans of the account before, and what [`Spans::bits`] says of them: mostly those of the next one, too.
    spans: (Spans, Vec<u8>),
    /// By age, how much was done on a day.
    by_age: Vec<u32>,
    /// By number of an account's user, the spans in which it did anything, and how much it did in the longest.
    users: Vec<(u8, u32)>,
    /// By event, the spans in which it was done.
    events: Vec<u8>,
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
        let spans = Spans::default();
        let bits = spans.bits();
        Self { spans: (spans, bits), signals, events: vec![0; names.events()], ..Self::default() }
    }
}

impl Frame<'_> {
    /// The habits of an account that was mustered.
    pub(super) fn habits(&self, tally: &Tally, cells: &[Cell], muster: &Muster, tables: &mut Tables) -> Habits {
        let known = tally.chosen.and_then(|place| self.features.get(place));
        let profile = tally.chosen.and_then(|place| self.model.profiles.get(place));
        let asked = Spans::new(profile.and_then(|profile| profile.cycle), tally.first, self.over);
        let names = &self.names;
        tables.users.clear();
        tables.users.resize(muster.users.len(), (0, 0));
        tables.features.clear();
        tables.features.resize(known.map_or(0, |known| known.names.len()), 0);
        if tables.spans.0 != asked {
            tables.spans = (asked.clone(), asked.bits());
        }
        let bits = &tables.spans.1;
        let by_age = &mut tables.by_age;
        by_age.clear();
        by_age.resize(bits.len(), 0);
        let left_out = LeftOut::under(&self.left_out, tally.chosen);
        let is_left_out = |age: usize| left_out.has(self.over.plus(-(age as i32)));
        let mut signals = [Counts::default(); Signal::ALL.len()];
        for (run, user) in muster.runs(cells) {
            let (mut seen, mut lately) = tables.users[user];
            for cell in run.iter().filter(|cell| cell.count > 0) {
                let age = (self.over.0 - cell.day().0) as usize;
                let Some(spans) = bits.get(age) else { continue };
                let (count, event) = (u32::from(cell.count.unsigned_abs()), cell.event as usize);
                let told = tables.signals.get(event).copied().unwrap_or_default();
                if told != 0 {
                    for (_, counts) in signals.iter_mut().enumerate().filter(|(place, _)| told & (1 << place) != 0) {
                        let of_spans = counts.iter_mut().enumerate().filter(|(span, _)| spans & (1 << span) != 0);
                        of_spans.for_each(|(_, sum)| *sum = sum.saturating_add(count));
                    }
                }
                let (is_plain, is_left_out) = (!names.is_derived(cell.event), is_left_out(age));
                if is_plain {
                    by_age[age] = by_age[age].saturating_add(count);
                }
                if is_left_out {
                    continue;
                }
                if is_plain {
                    seen |= spans;
                    lately = lately.saturating_add(if LAST_90.contains(&(age as i32)) { count } else { 0 });
                }
                tables.events[event] |= spans;
            }
            tables.users[user] = (seen, lately);
        }
        for (event, _) in muster.events() {
            let spans = std::mem::take(&mut tables.events[event as usize]);
            for feature in known.map(|known| known.used_by(event)).unwrap_or_default() {
                tables.features[*feature as usize] |= spans;
            }
        }
        let within = |ages: &Range<i32>| {
            let ages = ages.start as usize..ages.end as usize;
            ages.filter(|age| !is_left_out(*age)).map(|age| by_age[age])
        };
        let events = asked.ages.each_ref().map(|ages| within(ages).fold(0, u32::saturating_add));
        let active_on = |ages: &Range<i32>| within(ages).filter(|count| *count > 0).count() as u32;
        let active_days = asked.ages.each_ref().map(active_on);
        let phase_days_90 = asked.season.as_ref().map(active_on);
        let [mut users, mut features] = [Counts::default(); 2];
        let count = |counts: &mut Counts, spans: u8| {
            counts.iter_mut().enumerate().for_each(|(span, count)| *count += u32::from(spans >> span & 1));
        };
        tables.users.iter().for_each(|(spans, _)| count(&mut users, *spans));
        tables.features.iter().for_each(|spans| count(&mut features, *spans));
        let top = tables.users.iter().map(|(_, lately)| *lately).max().filter(|top| *top > 0);
        let active = (0..RHYTHM_DAYS as u32).filter(|age| by_age[*age as usize] > 0);
        tables.gaps.clear();
        active.reduce(|last, age| {
            let left_out = (last + 1..age).filter(|age| is_left_out(*age as usize)).count() as u32;
            tables.gaps.push(age - last - left_out);
            age
        });
        Habits {
            events: asked.lately(events),
            active_days: asked.lately(active_days),
            users: asked.lately(users),
            features: asked.lately(features),
            top_user_share: top.map(|top| f64::from(top) / f64::from(events[2])),
            rhythm: Rhythm::of(&mut tables.gaps),
            phase_silent_days: profile.and_then(|profile| self.phase_silence(profile, cells)),
            phase_days_90,
            signals: self.signals(signals.map(|counts| asked.lately(counts)), &tally.traits),
        }
    }

    /// The longest silence around the same phase of a profile's cycle before.
    fn phase_silence(&self, profile: &Profile, cells: &[Cell]) -> Option<i32> {
        let around = profile.cycle?.around(self.today);
        let active = cells.iter().filter(|cell| cell.count > 0).map(|cell| cell.day());
        let left_out = |from: Day, to: Day| self.model.gaps.within(&profile.name, from.plus(1), to) as i32;
        cycle::silence(around, active, left_out)
    }

    /// What is known of each signal: its events, and the account's traits.
    fn signals(&self, counts: [Lately; Signal::ALL.len()], traits: &Traits) -> [Option<Lately>; Signal::ALL.len()] {
        let told = |signal: Signal, mut told: Lately| {
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
        let plain = |cell: &&Cell| !self.names.is_derived(cell.event);
        let past = || cells.iter().filter(|cell| cell.count > 0 && cell.day() <= self.over);
        let week = first.map(|first| first..first.plus(7));
        let events_where = |within: &dyn Fn(Day) -> bool| -> Vec<Id> {
            sorted(past().filter(|cell| within(cell.day())).map(|cell| cell.event).collect())
        };
        Deeds {
            days: sorted(past().filter(plain).map(|cell| cell.day()).collect()),
            first_week: events_where(&|day| week.as_ref().is_some_and(|week| week.contains(&day))),
            lately: events_where(&|day| self.over.0 - day.0 < LAST_90.end),
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
