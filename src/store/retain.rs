//! Old usage made small: months of counts without their days, and later not at all; of old statements those that still say
//! something.
//!
//! Everything here may be done again, in part or as a whole, and then changes nothing: so a kill between two writes does no
//! harm. What must be written before — from which day on counts have their days — is the business of the caller.
//!
//! A month without its days has, of each user and event, one on its first day and the rest on its last day: first and last
//! use, sums, users and features stay right; an activation step that asks for an event several times may count as done
//! later in its month.

use std::collections::BTreeSet;

use vitalsync_core::usage::{About, Id, Spot};

use super::codec::{self, Broken, Entry};
use super::keys::{self, Generation};
use super::usage::{Merger, Row};
use super::{Batch, Store, StoreError};

/// So many values are changed in one write.
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
    batch: Batch,
    changed: usize,
}

impl Writer<'_> {
    fn changed(&mut self) -> Result<(), StoreError> {
        self.changed += 1;
        if self.changed.is_multiple_of(CHANGED) {
            self.store.apply(std::mem::take(&mut self.batch))?;
        }
        Ok(())
    }
}

impl Store {
    /// Takes the days from the counts of months before `by_day`, and the counts from months before `any`; and statements
    /// from before `any` that later ones took the place of.
    pub fn retain(&self, generations: &BTreeSet<Generation>, by_day: u16, any: u16) -> Result<Retained, StoreError> {
        let mut retained = Retained::default();
        let mut writer = Writer { store: self, batch: Batch::default(), changed: 0 };
        let mut merger = Merger::default();
        for entry in self.raw_scan(b"c") {
            let (key, value) = entry?;
            let (account, generation, month, first) =
                keys::read_counts(&key).ok_or_else(|| self.broken("a key of counts"))?;
            if !generations.contains(&generation) || month >= by_day.max(any) {
                continue;
            }
            if month < any {
                writer.batch.remove(key.to_vec());
                retained.removed += 1;
                writer.changed()?;
                continue;
            }
            let rows = rolled(account, month, &value).map_err(|Broken| self.broken("a value of counts"))?;
            let mut written = Vec::new();
            merger.write_rows(month, first, &rows, |first, value| written.push((first, value)));
            if written.first().is_some_and(|(_, now)| now[..] != value[..]) {
                for (first, value) in written {
                    writer.batch.put(keys::counts(account, generation, month, first), value);
                }
                retained.rolled += 1;
                writer.changed()?;
            }
        }
        for about in About::ALL {
            self.retain_statements(about, generations, any, &mut writer, &mut retained)?;
        }
        self.apply(writer.batch)?;
        Ok(retained)
    }

    fn retain_statements(
        &self,
        about: About,
        generations: &BTreeSet<Generation>,
        before: u16,
        writer: &mut Writer<'_>,
        retained: &mut Retained,
    ) -> Result<(), StoreError> {
        // All that is said about a group of ids decides together, whichever source said it.
        let mut group: Vec<(Vec<u8>, u16, Vec<Entry>)> = Vec::new();
        let mut current = None;
        for entry in self.raw_scan(&keys::statements_of(about)) {
            let (key, value) = entry?;
            let (_, shard, generation, month) =
                keys::read_statements(&key).ok_or_else(|| self.broken("a key of statements"))?;
            if current.replace(shard) != Some(shard) {
                settle(about, std::mem::take(&mut group), writer, retained)?;
            }
            if generations.contains(&generation) && month < before {
                let mut entries = Vec::new();
                self.read_entries(about, month, &value, |subject, stated| entries.push((subject, stated)))?;
                group.push((key.to_vec(), month, entries));
            }
        }
        settle(about, group, writer, retained)
    }
}

/// A month's rows of a slice, without their days.
fn rolled(account: Id, month: u16, value: &[u8]) -> Result<Vec<Row>, Broken> {
    let mut cells = Vec::new();
    codec::read_counts(account, month, value, &mut Vec::new(), |spot, last, counts| {
        cells.extend(counts.iter().map(|(event, count)| (spot.subject, *event, spot.day, *count, last)));
    })?;
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
    Ok(rows)
}

/// Of old statements about some ids those stay that say something new: of links each that is another one than the link
/// before, and the last; of memberships those of the last day; of traits that are stated together the first and the last.
fn settle(
    about: About,
    group: Vec<(Vec<u8>, u16, Vec<Entry>)>,
    writer: &mut Writer<'_>,
    retained: &mut Retained,
) -> Result<(), StoreError> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (value, (_, _, entries)) in group.iter().enumerate() {
        places.extend((0..entries.len()).map(|entry| (value, entry)));
    }
    let said = |place: &(usize, usize)| group.get(place.0).and_then(|(_, _, entries)| entries.get(place.1));
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
    for (number, (key, month, entries)) in group.iter().enumerate() {
        let left: Vec<Entry> = (0..entries.len())
            .filter(|entry| kept.contains(&(number, *entry)))
            .filter_map(|entry| entries.get(entry).cloned())
            .collect();
        if left.len() == entries.len() {
            continue;
        }
        retained.statements += (entries.len() - left.len()) as u64;
        if left.is_empty() {
            writer.batch.remove(key.clone());
        } else {
            writer.batch.put(key.clone(), codec::encode_statements(*month, &left));
        }
        writer.changed()?;
    }
    Ok(())
}
