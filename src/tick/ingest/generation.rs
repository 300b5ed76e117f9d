//! Generations of a source's usage. A source has one that counts; a recount makes the next one beside it and takes its place
//! in one write; what it replaced is then removed in small ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vitalsync_core::Day;
use vitalsync_core::call::AccountPaths;
use vitalsync_core::model::Model;
use vitalsync_core::pulse::Heard;
use vitalsync_core::usage::Ids;

use crate::store::runs::{self, Run};
use crate::store::usage::Counting;
use crate::store::{Batch, Store, StoreError, keys};

/// So many keys are removed in one write.
const REMOVED: usize = 10_000;
/// Calls that are received so many days after others may be read in any order: the fingerprints of these days more are kept.
const SLACK: i32 = 7;
/// After so many writes the months that they stated something of are tidied.
const TIDY: u32 = 16;
/// Conditions count from here in a generation that saw all calls with them.
pub const ALWAYS: i32 = i32::MIN;

/// What is remembered of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Generation {
    /// Its number in keys.
    pub number: keys::Generation,
    /// The latest day of receipt.
    pub newest: Option<i32>,
    /// The hours in which calls were received lately.
    pub heard: Heard,
    /// Fingerprints of earlier days are gone.
    pub floor: Option<i32>,
    /// True if a call did not say when it was received. Such calls come in any order: all fingerprints are kept.
    pub undated: bool,
    /// Days of receipt that are to be counted anew.
    pub stale: BTreeSet<i32>,
    /// True if all days are.
    pub all_stale: bool,
    /// How many writes have added to it.
    pub writes: u32,
    /// True while the next write makes parts, before they count.
    pub writing: bool,
    /// Its runs of counts. Others that are there count for nothing.
    pub runs: Vec<Run>,
    /// The months that they stated something of since it was last tidied …
    pub untidy: BTreeSet<u16>,
    /// … in so many writes.
    pub untidy_writes: u32,
    /// Since which day of receipt each condition on properties is counted, by its key.
    pub since: BTreeMap<String, i32>,
    /// The window within which repetitions are noticed; 0: not known yet.
    pub window: i32,
    /// Counts of earlier event days have lost their days, or are gone: nothing of them can be counted anew.
    pub kept_from: Option<i32>,
    /// Where its calls were asked for their account; none in a generation of an earlier program.
    pub accounts: Option<Vec<Vec<String>>>,
}

fn meta(number: keys::Generation) -> String {
    format!("generation:{number}")
}

impl Generation {
    /// A generation by its number.
    pub fn load(store: &Store, number: keys::Generation) -> Result<Self, StoreError> {
        let kept = store.meta::<Self>(&meta(number))?.unwrap_or_default();
        Ok(Self { number, ..kept })
    }

    /// Adds it to a batch.
    pub fn save(&self, batch: &mut Batch) {
        batch.put_meta(&meta(self.number), self);
    }

    /// A call was received on a day.
    pub fn saw(&mut self, day: i32) {
        self.newest = self.newest.max(Some(day));
    }

    /// True if days are to be counted anew.
    pub fn is_stale(&self) -> bool {
        self.all_stale || !self.stale.is_empty()
    }

    /// Days are to be counted anew; `None`: nobody knows which.
    pub fn stale_days(&mut self, runs: Option<&[(i32, i32)]>) {
        match runs {
            Some(runs) => self.stale.extend(runs.iter().flat_map(|(from, to)| *from..=*to)),
            None => self.all_stale = true,
        }
    }

    /// A call did not say when it was received. Fingerprints that are gone may be needed again: those that can be had come
    /// back when all days are counted anew, once.
    pub fn saw_undated(&mut self) {
        self.all_stale |= !self.undated && self.floor.is_some();
        self.undated = true;
    }

    /// Repetitions are noticed within a window. If it grew, fingerprints are missing that it needs.
    pub fn set_window(&mut self, window: i32) {
        self.all_stale |= self.window != 0 && window > self.window && self.floor.is_some();
        self.window = window;
    }

    /// Calls state their account here. If it was elsewhere before, all are to be filed anew.
    pub fn set_paths(&mut self, paths: &AccountPaths) {
        let asked = self.accounts.replace(paths.0.clone());
        self.all_stale |= self.newest.is_some() && asked.is_some_and(|asked| asked != paths.0);
    }

    /// True if the counts of an event day have lost their days.
    pub fn is_rolled(&self, day: i32) -> bool {
        self.kept_from.is_some_and(|kept_from| day < kept_from)
    }

    /// The first day of receipt whose repetitions can all be noticed.
    pub fn oldest(&self, window: i32) -> Option<i32> {
        self.floor.map(|floor| floor + window)
    }

    /// Conditions that are new count from the day after the latest receipt on, in an empty generation from always on.
    pub fn learn(&mut self, model: &Model) {
        let from = self.newest.map_or(ALWAYS, |newest| newest + 1);
        for derived in &model.derived {
            self.since.entry(derived.key.clone()).or_insert(from);
        }
        self.since.retain(|key, _| model.derived.iter().any(|derived| derived.key == *key));
    }

    /// Begins a write that states something of some months; its number. Until the generation is saved again its parts count for nothing.
    pub fn write(&mut self, months: impl IntoIterator<Item = u16>, batch: &mut Batch) -> u32 {
        Self { writing: true, ..self.clone() }.save(batch);
        self.untidy.extend(months);
        self.untidy_writes += 1;
        self.writes += 1;
        self.writes
    }

    /// The number of a write that changes no figure: it must be saved before it is used, so that no later write has it.
    pub fn spend(&mut self) -> u32 {
        self.writes += 1;
        self.writes
    }

    /// Removes what a write, or putting runs together, left behind that was not finished.
    pub fn clear(&mut self, store: &Store) -> Result<(), StoreError> {
        store.drop_runs(self.number, &self.runs)?;
        if !self.writing {
            return Ok(());
        }
        store.drop_unfinished(self.number, self.writes)?;
        self.writing = false;
        let mut batch = Batch::default();
        self.save(&mut batch);
        store.apply(batch)
    }

    /// Other runs count from now on instead of some. Whenever this ends early, either those count or these, and what does
    /// not is removed, now or when it is next cleared.
    pub fn swap(&mut self, store: &Store, old: &[Run], new: impl IntoIterator<Item = Run>) -> Result<(), StoreError> {
        self.runs.retain(|run| !old.contains(run));
        self.runs.extend(new);
        let mut batch = Batch::default();
        self.save(&mut batch);
        store.apply(batch)?;
        store.drop_runs(self.number, &self.runs)
    }

    /// Puts together what many writes made.
    pub fn tidy(&mut self, store: &Store, ids: &Ids) -> Result<(), StoreError> {
        while let Some(old) = runs::due(&self.runs) {
            let number = self.spend();
            let new = store.merge_runs(self.number, &old, number)?;
            self.swap(store, &old, new)?;
        }
        if self.untidy_writes < TIDY {
            return Ok(());
        }
        let write = self.spend();
        let mut batch = Batch::default();
        self.save(&mut batch);
        store.apply(batch)?;
        store.tidy(self.number, write, &self.untidy, ids)?;
        (self.untidy, self.untidy_writes) = (BTreeSet::new(), 0);
        let mut batch = Batch::default();
        self.save(&mut batch);
        store.apply(batch)
    }

    /// Lets the fingerprints go that are not needed any more; the day from which they are kept, if that is news.
    pub fn raise_floor(&mut self, window: i32) -> Option<i32> {
        let floor = self.newest? - window - SLACK;
        if self.undated || self.floor.is_some_and(|kept| kept >= floor) {
            return None;
        }
        self.floor = Some(floor);
        self.floor
    }
}

/// The sources with the number of the generation that counts.
pub fn sources(store: &Store) -> Result<BTreeMap<String, keys::Generation>, StoreError> {
    Ok(store.meta("sources")?.unwrap_or_default())
}

/// The generations that count, and what of them: those of sources that are `known` by their name.
pub fn counting(store: &Store, known: impl Fn(&str) -> bool) -> Result<Vec<(keys::Generation, Counting)>, StoreError> {
    let numbers = sources(store)?.into_iter().filter(|(name, _)| known(name));
    numbers
        .map(|(_, number)| {
            let Generation { writes, runs, .. } = Generation::load(store, number)?;
            Ok((number, Counting { writes, runs }))
        })
        .collect()
}

/// Since which day of receipt derived events are counted in all sources that are `known`, by their key; always, if not named.
/// What a source has not begun to count it counts from its next day on.
pub fn counted_since(
    store: &Store,
    known: impl Fn(&str) -> bool,
    model: &Model,
) -> Result<BTreeMap<String, Day>, StoreError> {
    let mut since: BTreeMap<String, Day> = BTreeMap::new();
    if model.derived.is_empty() {
        return Ok(since);
    }
    for (_, number) in sources(store)?.into_iter().filter(|(name, _)| known(name)) {
        let mut generation = Generation::load(store, number)?;
        generation.learn(model);
        for (key, day) in generation.since.into_iter().filter(|(_, day)| *day != ALWAYS) {
            let latest = since.entry(key).or_insert(Day(day));
            *latest = (*latest).max(Day(day));
        }
    }
    Ok(since)
}

/// A number of which the state has nothing: the next one, after the last one the first again.
pub fn next_number(
    store: &Store,
    taken: &BTreeSet<keys::Generation>,
    batch: &mut Batch,
) -> Result<keys::Generation, StoreError> {
    let mut number = store.meta::<keys::Generation>("generations")?.unwrap_or(0);
    for _ in 0..=keys::Generation::MAX {
        number = number.checked_add(1).unwrap_or(1);
        if !taken.contains(&number) {
            break;
        }
    }
    batch.put_meta("generations", &number);
    Ok(number)
}

/// The numbers of which the state has something: generations that count, that are to be removed, that are being made.
pub fn taken(store: &Store) -> Result<BTreeSet<keys::Generation>, StoreError> {
    let mut taken: BTreeSet<keys::Generation> = sources(store)?.into_values().collect();
    taken.extend(store.meta::<BTreeSet<keys::Generation>>("leftovers")?.unwrap_or_default());
    taken.extend(super::recount::begun(store)?);
    Ok(taken)
}

/// The generation of a source that counts, made if there is none.
pub fn current(store: &Store, source: &str) -> Result<Generation, StoreError> {
    let mut sources = sources(store)?;
    if let Some(number) = sources.get(source) {
        return Generation::load(store, *number);
    }
    let mut batch = Batch::default();
    let number = next_number(store, &taken(store)?, &mut batch)?;
    sources.insert(source.to_owned(), number);
    batch.put_meta("sources", &sources);
    let generation = Generation { number, ..Generation::default() };
    generation.save(&mut batch);
    store.apply(batch)?;
    Ok(generation)
}

/// Marks a generation for removal.
pub fn drop_later(store: &Store, number: keys::Generation, batch: &mut Batch) -> Result<(), StoreError> {
    let mut leftovers: BTreeSet<keys::Generation> = store.meta("leftovers")?.unwrap_or_default();
    leftovers.insert(number);
    batch.put_meta("leftovers", &leftovers);
    Ok(())
}

/// Removes generations that were replaced, or never finished.
pub fn drop_leftovers(store: &Store) -> Result<(), StoreError> {
    let leftovers: BTreeSet<keys::Generation> = store.meta("leftovers")?.unwrap_or_default();
    if leftovers.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::default();
    let mut count = 0;
    for number in &leftovers {
        store.drop_runs(*number, &[])?;
    }
    for kind in [&b"s"[..], b"d", b"f"] {
        for entry in store.raw_scan(kind) {
            let (key, _) = entry?;
            if keys::generation(&key).is_some_and(|number| leftovers.contains(&number)) {
                batch.remove(key.to_vec());
                count += 1;
                if count % REMOVED == 0 {
                    store.apply(std::mem::take(&mut batch))?;
                }
            }
        }
    }
    for number in &leftovers {
        batch.remove(keys::meta(&meta(*number)));
    }
    batch.put_meta("leftovers", &BTreeSet::<keys::Generation>::new());
    store.apply(batch)
}

#[cfg(test)]
mod tests;
