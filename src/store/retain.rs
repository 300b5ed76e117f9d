//! Old usage made small: months of counts without their days, and later not at all; of old statements those that still say
//! something.
//!
//! Everything here may be done again, in part or as a whole, and then changes nothing: so a kill between two writes does no
//! harm. What must be written before — from which day on counts have their days — is the business of the caller.
//!
//! A month without its days has, of each user and event, one on its first day and the rest on its last day: first and last
//! use, sums, users and features stay right; an activation step that asks for an event several times may count as done
//! later in its month.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::usage::About;

use super::codec::{Cell, Entry};
use super::keys::{self, Generation};
use super::runs::{self, Merged, Run};
use super::usage::{said, values};
use super::{Batch, Store, StoreError};

/// So many keys are changed in one write.
const CHANGED: usize = 1_000;

/// What was made small.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Counts that became one with others of their month.
    pub rolled: u64,
    /// Counts that were removed.
    pub removed: u64,
    /// Statements that were removed.
    pub statements: u64,
}

/// Runs that are to count, and those whose place they take.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swap {
    /// These don't count any more …
    pub old: Vec<Run>,
    /// … but these.
    pub new: Vec<Run>,
}

/// Writes now and then.
struct Writer<'a> {
    store: &'a Store,
    /// By generation the number of the write that this is.
    writes: &'a BTreeMap<Generation, u32>,
    batch: Batch,
    retained: &'a mut Retained,
}

/// What several writes said of one month.
struct Parts<T> {
    generation: Generation,
    month: u16,
    parts: Vec<(Vec<u8>, T)>,
}

impl Writer<'_> {
    /// All that belongs together was changed.
    fn changed(&mut self) -> Result<(), StoreError> {
        if self.batch.len() >= CHANGED { self.store.apply(std::mem::take(&mut self.batch)) } else { Ok(()) }
    }

    fn part(&self, generation: Generation, number: usize) -> keys::Part {
        keys::part(self.writes.get(&generation).copied().unwrap_or_default(), number)
    }
}

impl Store {
    /// Takes the days from the counts of months before `by_day`, and the counts from months before `any`: writes runs with
    /// these numbers, the older months apart, so that they need not be written again when the next month's turn comes.
    /// They count for nothing yet. `None`: all is small.
    pub fn retain_counts(
        &self,
        generation: Generation,
        runs: &[Run],
        numbers: [u32; 2],
        by_day: u16,
        any: u16,
        retained: &mut Retained,
    ) -> Result<Option<Swap>, StoreError> {
        let before = by_day.max(any);
        // Several that have older months have to be put together: one may take back what another one has.
        let old: Vec<Run> = runs.iter().filter(|run| run.first < before).copied().collect();
        match old.as_slice() {
            [] => return Ok(None),
            [one] if one.first >= any && one.small >= before => return Ok(None),
            _ => {}
        }
        let mut merged = Merged::of(self, old.iter().map(|run| (generation, run.number)))?;
        let [mut older, mut newer] = numbers.map(|number| runs::Writer::new(generation, number));
        let mut batch = Batch::default();
        let mut put = |key, value| {
            batch.put_new(key, value);
            self.spill(&mut batch)
        };
        let mut cells = Vec::new();
        while let Some(place) = merged.next(&mut cells)? {
            let month = place.1;
            if month < any {
                retained.removed += cells.len() as u64;
            } else if month < before {
                let small = rolled(&mut cells);
                retained.rolled += (cells.len() - small.len().min(cells.len())) as u64;
                older.add(place, &small, &mut put)?;
            } else {
                newer.add(place, &cells, &mut put)?;
            }
        }
        let older = older.finish(&mut put)?.map(|run| Run { small: before, ..run });
        let newer = newer.finish(&mut put)?;
        self.append(batch)?;
        Ok(Some(Swap { old, new: older.into_iter().chain(newer).collect() }))
    }

    /// Removes the statements from before `any` that later ones took the place of. `writes`: for each generation a number
    /// that no write had.
    pub fn retain_statements(
        &self,
        writes: &BTreeMap<Generation, u32>,
        any: u16,
        retained: &mut Retained,
    ) -> Result<(), StoreError> {
        let mut writer = Writer { store: self, writes, batch: Batch::default(), retained };
        for about in About::ALL {
            self.retain_about(about, any, &mut writer)?;
        }
        self.apply(writer.batch)
    }

    fn retain_about(&self, about: About, before: u16, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        // All that is said about a group of ids decides together, whichever source said it.
        let mut group: Vec<Parts<Vec<Entry>>> = Vec::new();
        let mut current = 0;
        for entry in self.raw_scan(&keys::statements_of(about)) {
            let (key, value) = entry?;
            let (_, shard, generation, month, _) =
                keys::read_statements(&key).ok_or_else(|| self.broken("a key of statements"))?;
            if !writer.writes.contains_key(&generation) || month >= before {
                continue;
            }
            if current != shard {
                settle(about, current, std::mem::take(&mut group), writer)?;
                current = shard;
            }
            let mut entries = Vec::new();
            self.read_entries(about, month, &value, |subject, stated| entries.push((subject, stated)))?;
            let part = (key.to_vec(), entries);
            match group.last_mut() {
                Some(last) if (last.generation, last.month) == (generation, month) => last.parts.push(part),
                _ => group.push(Parts { generation, month, parts: vec![part] }),
            }
        }
        settle(about, current, group, writer)
    }
}

/// What some ids did in a month, without its days. What they took back more often than they did it is nothing.
fn rolled(cells: &mut [Cell]) -> Vec<Cell> {
    cells.sort_unstable_by_key(|cell| (cell.subject, cell.event, cell.day, cell.lag));
    let mut small = Vec::new();
    for of_event in cells.chunk_by(|a, b| (a.subject, a.event) == (b.subject, b.event)) {
        let sum: i64 = of_event.iter().map(|cell| cell.count).sum();
        let used = || of_event.iter().filter(|cell| cell.count > 0);
        let (Some(first), Some(last)) = (used().next(), used().next_back()) else { continue };
        if sum <= 0 {
            continue;
        }
        let mut put = |day, count| {
            let latest = used().filter(|cell| cell.day == day).map(|cell| cell.last).max().unwrap_or_default();
            small.push(Cell { day, lag: 0, count, last: latest, ..*first });
        };
        if first.day == last.day {
            put(first.day, sum);
        } else {
            put(first.day, 1);
            if sum > 1 {
                put(last.day, sum - 1);
            }
        }
    }
    runs::add_up(&mut small);
    small
}

/// Of old statements about some ids those stay that say something new: of links each that is another one than the link
/// before, and the last; of memberships those of the last day; of traits that are stated together the first and the last.
fn settle(about: About, shard: u32, group: Vec<Parts<Vec<Entry>>>, writer: &mut Writer<'_>) -> Result<(), StoreError> {
    let group: Vec<(Parts<()>, Vec<Entry>)> = group.into_iter().map(|of| put_together(about, of)).collect();
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (value, (_, entries)) in group.iter().enumerate() {
        places.extend((0..entries.len()).map(|entry| (value, entry)));
    }
    let said = |place: &(usize, usize)| group.get(place.0).and_then(|(_, entries)| entries.get(place.1));
    let thing = |place: &(usize, usize)| {
        said(place).map(|(subject, _)| (subject.id, if about.is_id() { 0 } else { subject.part }))
    };
    let moment = |place: &(usize, usize)| said(place).map(|(_, stated)| (stated.at, &stated.message));
    let content = |place: &(usize, usize)| said(place).map(|(_, stated)| &stated.value);
    places.sort_by(|a, b| (thing(a), moment(a), content(a)).cmp(&(thing(b), moment(b), content(b))));
    let mut kept: BTreeSet<(usize, usize)> = BTreeSet::new();
    for of_thing in places.chunk_by(|a, b| thing(a) == thing(b)) {
        let (Some(first), Some(last)) = (of_thing.first(), of_thing.last()) else { continue };
        kept.extend([*last]);
        match about {
            About::UserTraits | About::AccountTraits => kept.extend([*first]),
            About::Membership => {
                let day = |place: &(usize, usize)| said(place).map(|(subject, _)| subject.day);
                kept.extend(of_thing.iter().filter(|place| day(place) == day(last)));
            }
            About::Link => {
                let mut before = None;
                for at_once in of_thing.chunk_by(|a, b| moment(a) == moment(b)) {
                    let same = at_once.iter().all(|place| content(place) == content(&at_once[0]));
                    let value = content(&at_once[0]).filter(|_| same);
                    if value.is_none() || value != before {
                        // Of the same said twice at once one is enough.
                        kept.extend(at_once.iter().take(if same { 1 } else { at_once.len() }));
                    }
                    before = value;
                }
            }
        }
    }
    for (number, (of, entries)) in group.iter().enumerate() {
        let left: Vec<Entry> = (0..entries.len())
            .filter(|entry| kept.contains(&(number, *entry)))
            .filter_map(|entry| entries.get(entry).cloned())
            .collect();
        if left.len() == entries.len() {
            continue;
        }
        writer.retained.statements += (entries.len() - left.len()) as u64;
        of.parts.iter().for_each(|(key, ())| writer.batch.remove(key.clone()));
        let values = if left.is_empty() { Vec::new() } else { values(of.month, &left) };
        for (number, value) in values.into_iter().enumerate() {
            let part = writer.part(of.generation, number);
            writer.batch.put(keys::statements(about, shard, of.generation, of.month, part), value);
        }
        writer.changed()?;
    }
    Ok(())
}

/// What several writes said of a month, as if it had been one.
fn put_together(about: About, of: Parts<Vec<Entry>>) -> (Parts<()>, Vec<Entry>) {
    let (keys, entries): (Vec<_>, Vec<_>) = of.parts.into_iter().map(|(key, entries)| ((key, ()), entries)).unzip();
    let several = keys.len() > 1;
    let entries: Vec<Entry> = entries.into_iter().flatten().collect();
    let entries = if several { said(about, entries) } else { entries };
    (Parts { generation: of.generation, month: of.month, parts: keys }, entries)
}
