//! Usage in the state: how a batch of counts and statements is merged into what is kept, and read back.
//!
//! One value holds a slice of the users of a stated account, generation and month, split at about 4 KiB: sled likes few and
//! fat keys, and a batch rewrites only the slices that it touches. Names lie 128 together.

use std::collections::BTreeSet;

use vitalsync_core::gather::{History, Told};
use vitalsync_core::usage::{About, Content, FIRST, Id, Ids, Interner, LAST, Spot, Stated, Subject, replaces};

use super::codec::{self, Broken, Cell, Entry};
use super::keys::{self, Generation};
use super::{Batch, Store, StoreError};

/// Values of counts are split beyond this.
const CHUNK: usize = 4096;
/// So many ids share a value of statements.
pub(super) const SHARD: Id = 64;
/// So many names share a value.
pub(super) const NAMES: usize = 128;

/// The interned kinds of names, their letters, and whether they have kinds of their own.
const KINDS: [(u8, bool); 4] = [(b'a', false), (b's', true), (b'e', false), (b't', false)];

pub(super) fn interner(ids: &mut Ids, kind: u8) -> &mut Interner {
    match kind {
        b'a' => &mut ids.accounts,
        b's' => &mut ids.subjects,
        b'e' => &mut ids.events,
        _ => &mut ids.shapes,
    }
}

/// How many names of each kind the state already has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Saved([usize; 4]);

/// One event's count as it is filed, in 32 bytes whose order is that of the state.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// From the top: account (32 bits), month (16), subject (32), day of the month (5), lag (16), event (27).
    key: u128,
    last: i64,
    count: i32,
}

/// Numbers of events fit in so many bits; names beyond it must not be interned.
pub const EVENT_BITS: u32 = 27;

impl Row {
    /// A count at a spot whose latest moment is `last`.
    pub fn new(spot: &Spot, event: Id, count: i32, last: i64) -> Self {
        let month = codec::month(spot.day);
        let day = spot.day.0 - codec::month_start_fast(month).0;
        let key = u128::from(spot.account) << 96
            | u128::from(month) << 80
            | u128::from(spot.subject) << 48
            | u128::from(day as u8 & 31) << 43
            | u128::from(spot.lag.clamp(0, 0xffff) as u16) << 27
            | u128::from(event & ((1 << EVENT_BITS) - 1));
        Self { key, last, count }
    }

    /// Where it belongs.
    pub fn spot(&self) -> Spot {
        let cell = self.cell();
        Spot { account: self.account(), subject: cell.subject, day: cell.day, lag: cell.lag }
    }

    /// The event.
    pub fn event(&self) -> Id {
        self.key as u32 & ((1 << EVENT_BITS) - 1)
    }

    /// The latest moment.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Counts nothing from now on.
    pub fn cancel(&mut self) {
        self.count = 0;
    }

    fn account(&self) -> Id {
        (self.key >> 96) as u32
    }

    fn month(&self) -> u16 {
        (self.key >> 80) as u16
    }

    fn subject(&self) -> Id {
        (self.key >> 48) as u32
    }

    fn cell(&self) -> Cell {
        Cell {
            subject: self.subject(),
            day: codec::month_start_fast(self.month()).plus((self.key >> 43) as i32 & 31),
            lag: i32::from((self.key >> 27) as u16),
            event: self.event(),
            count: i64::from(self.count),
            last: self.last,
        }
    }
}

impl Store {
    /// All interned names.
    pub fn load_ids(&self) -> Result<(Ids, Saved), StoreError> {
        let mut ids = Ids::default();
        let mut saved = Saved::default();
        for ((kind, kinds), count) in KINDS.into_iter().zip(&mut saved.0) {
            let names = interner(&mut ids, kind);
            for entry in self.scan(&keys::names(kind)) {
                let (_, value) = entry?;
                codec::read_names(&value, |name| names.restore(name, kinds)).map_err(|Broken| self.broken("a value of names"))?;
            }
            *count = names.len();
        }
        Ok((ids, saved))
    }

    /// All names that are kept, with the letter of their kind.
    pub fn each_name(&self, mut take: impl FnMut(u8, &str)) -> Result<(), StoreError> {
        for (kind, _) in KINDS {
            for entry in self.scan(&keys::names(kind)) {
                let (_, value) = entry?;
                codec::read_names(&value, |name| take(kind, name)).map_err(|Broken| self.broken("a value of names"))?;
            }
        }
        Ok(())
    }

    /// Adds names that the state does not have yet to a batch.
    pub fn save_ids(&self, ids: &mut Ids, saved: Saved, batch: &mut Batch) -> Saved {
        let mut now = saved;
        for ((kind, _), count) in KINDS.into_iter().zip(&mut now.0) {
            let names = interner(ids, kind);
            if names.len() > *count {
                for group in *count / NAMES..names.len().div_ceil(NAMES) {
                    let those = group * NAMES + 1..=((group + 1) * NAMES).min(names.len());
                    let value = codec::encode_names(those.map(|id| names.name(id as Id)));
                    batch.put(keys::name(kind, group as u32), value);
                }
            }
            *count = names.len();
        }
        now
    }

    /// Merges counts of a generation, in any order, into what is kept.
    pub fn merge_counts(
        &self,
        generation: Generation,
        rows: &mut [Row],
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        rows.sort_unstable_by_key(|row| row.key);
        let mut merger = Merger::default();
        for rows in rows.chunk_by(|a, b| a.key >> 80 == b.key >> 80) {
            let Some(first) = rows.first() else { continue };
            self.merge_month(first.account(), generation, first.month(), rows, &mut merger, batch)?;
        }
        Ok(())
    }

    fn merge_month(
        &self,
        account: Id,
        generation: Generation,
        month: u16,
        rows: &[Row],
        merger: &mut Merger,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        // Each kept slice takes the added subjects from its first one up to the next slice's.
        let mut slices: Vec<(Id, Vec<u8>)> = Vec::new();
        for entry in self.scan(&keys::counts_of(account, generation, month)) {
            let (key, value) = entry?;
            slices.push((keys::read_counts(&key).map_or(0, |(.., first)| first), value));
        }
        if slices.is_empty() {
            slices.push((0, Vec::new()));
        }
        let mut rest = rows;
        for (index, (first, value)) in slices.iter().enumerate() {
            let end = slices.get(index + 1).map(|(next, _)| *next);
            let taken = end.map_or(rest.len(), |end| rest.partition_point(|row| row.subject() < end));
            let (added, later) = rest.split_at(taken);
            rest = later;
            if added.is_empty() {
                continue;
            }
            merger.read(month, value).map_err(|Broken| self.broken("a value of counts"))?;
            merger.merge(added);
            merger.write(month, *first, |first, value| {
                batch.put(keys::counts(account, generation, month, first), value);
            });
        }
        Ok(())
    }

    /// Merges statements of a generation into what is kept. They may come in any order.
    pub fn merge_statements(
        &self,
        generation: Generation,
        mut entries: Vec<Entry>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let place = |subject: &Subject| (subject.about, subject.id / SHARD, codec::month(subject.day));
        entries.sort_unstable_by(|a, b| {
            (place(&a.0), &a.0, &a.1).cmp(&(place(&b.0), &b.0, &b.1))
        });
        let mut entries = entries.into_iter().peekable();
        while let Some((first, _)) = entries.peek() {
            let (about, shard, month) = place(first);
            let key = keys::statements(about, shard, generation, month);
            let mut merged: Vec<Entry> = Vec::new();
            if let Some(value) = self.get(&key)? {
                self.read_entries(about, month, &value, |subject, stated| merged.push((subject, stated)))?;
            }
            let kept = merged.len();
            while let Some(entry) = entries.next_if(|(subject, _)| place(subject) == (about, shard, month)) {
                // A link or membership is said as the last of its day, and is perhaps the first too.
                if about.is_id() {
                    merged.push((Subject { part: FIRST, ..entry.0 }, entry.1.clone()));
                }
                merged.push(entry);
            }
            if about.is_id() {
                // A first one that is not written is the same as the last.
                for place in 0..kept {
                    let Some((subject, stated)) = merged.get(place).cloned() else { continue };
                    if subject.part == LAST {
                        merged.push((Subject { part: FIRST, ..subject }, stated));
                    }
                }
            }
            merged.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            merged.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same && replaces(&kept.0, &next.1, &kept.1) {
                    std::mem::swap(next, kept);
                }
                same
            });
            if about.is_id() {
                let lasts: BTreeSet<usize> = (1..merged.len())
                    .filter(|index| {
                        let (last, first) = (&merged[index - 1], &merged[*index]);
                        first.0.part == FIRST && first.0 == Subject { part: FIRST, ..last.0 } && first.1 == last.1
                    })
                    .collect();
                let mut index = 0;
                merged.retain(|_| {
                    index += 1;
                    !lasts.contains(&(index - 1))
                });
            }
            batch.put(key, codec::encode_statements(month, &merged));
        }
        Ok(())
    }

    /// All statements about one kind of thing, of all generations.
    pub fn each_statement(
        &self,
        about: About,
        mut take: impl FnMut(Subject, Stated<Content>),
    ) -> Result<(), StoreError> {
        for entry in self.raw_scan(&keys::statements_of(about)) {
            let (key, value) = entry?;
            let (about, _, _, month) = keys::read_statements(&key).ok_or_else(|| self.broken("a key of statements"))?;
            self.read_entries(about, month, &value, &mut take)?;
        }
        Ok(())
    }

    pub(crate) fn read_entries(
        &self,
        about: About,
        month: u16,
        value: &[u8],
        take: impl FnMut(Subject, Stated<Content>),
    ) -> Result<(), StoreError> {
        codec::read_statements(about, month, value, take).map_err(|Broken| self.broken("a value of statements"))
    }
}

/// Buffers that are used over and over while counts are merged.
#[derive(Debug, Default)]
pub struct Merger {
    kept: Vec<Cell>,
    merged: Vec<Cell>,
    counts: Vec<(Id, i64)>,
    subject: Vec<u8>,
}

impl Merger {
    fn read(&mut self, month: u16, value: &[u8]) -> Result<(), Broken> {
        self.kept.clear();
        if value.is_empty() {
            return Ok(());
        }
        let kept = &mut self.kept;
        codec::read_counts(0, month, value, &mut self.counts, |spot, last, counts| {
            kept.extend(counts.iter().map(|(event, count)| Cell {
                subject: spot.subject,
                day: spot.day,
                lag: spot.lag,
                event: *event,
                count: *count,
                last,
            }));
        })
    }

    /// Adds rows, in order, to what was read. Counts that cancel out vanish.
    fn merge(&mut self, rows: &[Row]) {
        let Self { kept, merged, .. } = self;
        merged.clear();
        let mut add = |cell: Cell| match merged.last_mut() {
            Some(last) if last.order() == cell.order() => {
                last.count += cell.count;
                last.last = last.last.max(cell.last);
            }
            Some(last) if last.count == 0 => *last = cell,
            _ => merged.push(cell),
        };
        let mut rows = rows.iter().filter(|row| row.count != 0).map(Row::cell).peekable();
        for cell in kept.iter() {
            while let Some(row) = rows.next_if(|row| row.order() < cell.order()) {
                add(row);
            }
            add(*cell);
        }
        rows.for_each(&mut add);
        merged.retain(|cell| cell.count != 0);
    }

    /// Writes rows of one account and month, in any order, into slices, the first of which begins with `start`.
    pub fn write_rows(&mut self, month: u16, start: Id, rows: &[Row], put: impl FnMut(Id, Vec<u8>)) {
        let mut rows = rows.to_vec();
        rows.sort_unstable_by_key(|row| row.key);
        self.kept.clear();
        self.merge(&rows);
        self.write(month, start, put);
    }

    /// Writes the merged cells into slices, the first of which begins with `start`.
    fn write(&mut self, month: u16, start: Id, mut put: impl FnMut(Id, Vec<u8>)) {
        let mut slice = Vec::new();
        codec::begin_counts(&mut slice);
        let (mut from, mut previous, mut empty) = (start, 0, true);
        for cells in self.merged.chunk_by(|a, b| a.subject == b.subject) {
            let Some(subject) = cells.first().map(|cell| cell.subject) else { continue };
            self.subject.clear();
            codec::put_subject(&mut self.subject, month, previous, cells);
            if slice.len() + self.subject.len() > CHUNK && !empty {
                put(from, std::mem::take(&mut slice));
                codec::begin_counts(&mut slice);
                self.subject.clear();
                codec::put_subject(&mut self.subject, month, 0, cells);
                from = subject;
            }
            slice.extend_from_slice(&self.subject);
            (previous, empty) = (subject, false);
        }
        put(from, slice);
    }
}

/// The usage of some generations, to read through.
#[derive(Debug)]
pub struct Kept<'a> {
    store: &'a Store,
    generations: BTreeSet<Generation>,
}

impl<'a> Kept<'a> {
    /// The usage of generations.
    pub fn of(store: &'a Store, generations: impl IntoIterator<Item = Generation>) -> Self {
        Self { store, generations: generations.into_iter().collect() }
    }
}

impl History for Kept<'_> {
    type Error = StoreError;

    fn statements(&self, about: About, take: &mut dyn FnMut(Told<'_>)) -> Result<(), StoreError> {
        let mut current = None;
        for entry in self.store.raw_scan(&keys::statements_of(about)) {
            let (key, value) = entry?;
            let (about, shard, generation, month) =
                keys::read_statements(&key).ok_or_else(|| self.store.broken("a key of statements"))?;
            if !self.generations.contains(&generation) {
                continue;
            }
            if current.replace(shard).is_some_and(|before| before != shard) {
                take(Told::Settled);
            }
            self.store.read_entries(about, month, &value, |subject, stated| take(Told::Statement(&subject, &stated)))?;
        }
        take(Told::Settled);
        Ok(())
    }

    fn spots(&self, take: &mut dyn FnMut(&Spot, i64, &[(Id, i64)])) -> Result<(), StoreError> {
        let mut counts = Vec::new();
        for entry in self.store.raw_scan(b"c") {
            let (key, value) = entry?;
            let (account, generation, month, _) =
                keys::read_counts(&key).ok_or_else(|| self.store.broken("a key of counts"))?;
            if self.generations.contains(&generation) {
                codec::read_counts(account, month, &value, &mut counts, &mut *take)
                    .map_err(|Broken| self.store.broken("a value of counts"))?;
            }
        }
        Ok(())
    }
}
