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

use vitalsync_core::Day;
use vitalsync_core::usage::{About, Id, Spot};

use super::codec::{self, Broken, Entry};
use super::keys::{self, Generation};
use super::usage::{Merger, Row, said};
use super::{Batch, Store, StoreError};

/// So many keys are changed in one write.
const CHANGED: usize = 1_000;

/// What was made small.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Values of counts that lost their days.
    pub rolled: u64,
    /// Values of counts that were removed.
    pub removed: u64,
    /// Statements that were removed.
    pub statements: u64,
}

/// Writes now and then.
struct Writer<'a> {
    store: &'a Store,
    /// By generation the number of the write that this is.
    writes: &'a BTreeMap<Generation, u32>,
    batch: Batch,
    retained: Retained,
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

    /// One account's counts of a month.
    fn roll(&mut self, account: Id, of: Parts<Vec<u8>>, merger: &mut Merger) -> Result<(), StoreError> {
        let (month, mut cells) = (of.month, Vec::new());
        for (_, value) in &of.parts {
            read(account, month, value, &mut cells).map_err(|Broken| self.store.broken("a value of counts"))?;
        }
        let mut written = Vec::new();
        merger.write_rows(month, &mut rolled(account, cells), |number, value| written.push((number, value)));
        if written.iter().map(|(_, value)| value).eq(of.parts.iter().map(|(_, value)| value)) {
            return Ok(());
        }
        self.retained.rolled += of.parts.len() as u64;
        of.parts.into_iter().for_each(|(key, _)| self.batch.remove(key));
        for (number, value) in written {
            self.batch.put(keys::counts(account, of.generation, month, self.part(of.generation, number)), value);
        }
        self.changed()
    }
}

impl Store {
    /// Takes the days from the counts of months before `by_day`, and the counts from months before `any`; and statements
    /// from before `any` that later ones took the place of. `writes`: for each generation a number that no write had.
    pub fn retain(&self, writes: &BTreeMap<Generation, u32>, by_day: u16, any: u16) -> Result<Retained, StoreError> {
        let mut writer = Writer { store: self, writes, batch: Batch::default(), retained: Retained::default() };
        let mut merger = Merger::default();
        let mut current: Option<(Id, Parts<Vec<u8>>)> = None;
        for entry in self.raw_scan(b"c") {
            let (key, value) = entry?;
            let (account, generation, month, _) =
                keys::read_counts(&key).ok_or_else(|| self.broken("a key of counts"))?;
            if !writes.contains_key(&generation) || month >= by_day.max(any) {
                continue;
            }
            if month < any {
                writer.batch.remove(key.to_vec());
                writer.retained.removed += 1;
                writer.changed()?;
                continue;
            }
            let part = (key.to_vec(), value.to_vec());
            match &mut current {
                Some((of, parts)) if (*of, parts.generation, parts.month) == (account, generation, month) => {
                    parts.parts.push(part);
                }
                other => {
                    let next = (account, Parts { generation, month, parts: vec![part] });
                    if let Some((of, parts)) = other.replace(next) {
                        writer.roll(of, parts, &mut merger)?;
                    }
                }
            }
        }
        if let Some((of, parts)) = current {
            writer.roll(of, parts, &mut merger)?;
        }
        for about in About::ALL {
            self.retain_statements(about, any, &mut writer)?;
        }
        self.apply(writer.batch)?;
        Ok(writer.retained)
    }

    fn retain_statements(&self, about: About, before: u16, writer: &mut Writer<'_>) -> Result<(), StoreError> {
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

/// The id that acted, the event, its day, how often, the latest moment.
type Count = (Id, Id, Day, i64, i64);

fn read(account: Id, month: u16, value: &[u8], cells: &mut Vec<Count>) -> Result<(), Broken> {
    codec::read_counts(account, month, value, &mut Vec::new(), |spot, last, counts| {
        cells.extend(counts.iter().map(|(event, count)| (spot.subject, *event, spot.day, *count, last)));
    })
}

/// A month's rows without their days.
fn rolled(account: Id, mut cells: Vec<Count>) -> Vec<Row> {
    cells.sort_unstable();
    let mut rows = Vec::new();
    for of_event in cells.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let sum: i64 = of_event.iter().map(|cell| cell.3).sum();
        let used = || of_event.iter().filter(|cell| cell.3 > 0);
        let (Some(first), Some(last)) = (used().next(), used().next_back()) else { continue };
        if sum <= 0 {
            continue;
        }
        let mut row = |day, count: i64| {
            let at = used().filter(|cell| cell.2 == day).map(|cell| cell.4).max().unwrap_or_default();
            let spot = Spot { account, subject: first.0, day, lag: 0 };
            rows.push(Row::new(&spot, first.1, i32::try_from(count).unwrap_or(i32::MAX), at));
        };
        if first.2 == last.2 {
            row(first.2, sum);
        } else {
            row(first.2, 1);
            if sum > 1 {
                row(last.2, sum - 1);
            }
        }
    }
    rows
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
        if !left.is_empty() {
            let key = keys::statements(about, shard, of.generation, of.month, writer.part(of.generation, 0));
            writer.batch.put(key, codec::encode_statements(of.month, &left));
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
