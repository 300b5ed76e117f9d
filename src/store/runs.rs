//! Counts as sorted runs: each write appends one, in the order of accounts and months, and runs are put together when many
//! of about the same size have gathered.
//!
//! sled pays for every page that a write touches, so a write touches only the end of one range of keys; and for every key,
//! so that a value holds what many accounts have. Which runs count is for the caller to say, in one small write: what is here
//! writes runs beside those that count, and removes those that don't. Runs add up, so their order means nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use vitalsync_core::usage::{Id, Spot};

use super::codec::{self, Broken, Cell};
use super::keys::{self, Generation};
use super::{Batch, Store, StoreError};

/// About so many bytes make a value: sled keeps up to sixteen of them in a page, which has to stay below 128 KiB.
pub(super) const VALUE: usize = 4096;
/// So many cells of one id at most are written in one piece, which must be well below [`VALUE`].
const PIECE: usize = 64;
/// So many runs of about the same size are put together. What is read a day, and how often a count is written anew, both
/// hang on it: a month of writes every five minutes leaves some forty runs, and each count was written four times.
pub const MANY: usize = 12;
/// Of about the same size are runs below this, and those within eight times, eight times that, …
const SMALL: u64 = 32 << 10;

/// A run, as those remember it who say that it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number in keys: that of the write that made it.
    pub number: u32,
    /// Bytes of its values, as they were written.
    pub bytes: u64,
    /// The first month that it has counts of.
    pub first: u16,
    /// Earlier months were made small in it.
    #[serde(default)]
    pub small: u16,
}

impl Run {
    /// Before this month nothing in it is to be made small.
    pub fn small_before(&self) -> u16 {
        self.small.max(self.first)
    }

    fn tier(&self) -> u32 {
        (self.bytes / SMALL).checked_ilog2().map_or(0, |bits| bits / 3 + 1)
    }
}

/// Those of about the same size that have become so many that they are to be put together, the smallest first.
pub fn due(runs: &[Run]) -> Option<Vec<Run>> {
    let mut tiers: BTreeMap<u32, Vec<Run>> = BTreeMap::new();
    runs.iter().for_each(|run| tiers.entry(run.tier()).or_default().push(*run));
    tiers.into_values().find(|runs| runs.len() >= MANY)
}

/// Adds up cells that say the same; their order is then that in which they are written. What cancels out vanishes.
pub(super) fn add_up(cells: &mut Vec<Cell>) {
    // Mostly a few sorted ones, one after the other.
    cells.sort_by_key(Cell::order);
    cells.dedup_by(|next, kept| {
        let same = next.order() == kept.order();
        if same {
            kept.count = kept.count.saturating_add(next.count);
            kept.last = kept.last.max(next.last);
        }
        same
    });
    cells.retain(|cell| cell.count != 0);
}

/// Writes a run. The cells must come in order: by account, month, then their own.
#[derive(Debug)]
pub(super) struct Writer {
    generation: Generation,
    run: Run,
    /// How many values were begun.
    values: u32,
    /// The value that is being filled: its key, and what it holds.
    key: Vec<u8>,
    value: Vec<u8>,
    /// The account and month of its last block.
    previous: (Id, u16),
    /// The account and month that come next, what they have so far, and the last id in it.
    place: (Id, u16),
    body: Vec<u8>,
    subject: Id,
    piece: Vec<u8>,
}

impl Writer {
    pub(super) fn new(generation: Generation, number: u32) -> Self {
        Self {
            generation,
            run: Run { number, bytes: 0, first: u16::MAX, small: 0 },
            values: 0,
            key: Vec::new(),
            value: Vec::new(),
            previous: (0, 0),
            place: (0, 0),
            body: Vec::new(),
            subject: 0,
            piece: Vec::new(),
        }
    }

    /// Adds cells of one account and month. What has become full is handed to `put`.
    pub(super) fn add<E>(
        &mut self,
        place: (Id, u16),
        cells: &[Cell],
        put: &mut impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.place != place {
            self.close(put)?;
            self.place = place;
        }
        for cells in cells.chunk_by(|a, b| a.subject == b.subject).flat_map(|cells| cells.chunks(PIECE)) {
            self.piece.clear();
            codec::put_subject(&mut self.piece, place.1, self.subject, cells);
            if self.body.len() + self.piece.len() > VALUE {
                self.close(put)?;
                self.piece.clear();
                codec::put_subject(&mut self.piece, place.1, 0, cells);
            }
            self.body.extend_from_slice(&self.piece);
            self.subject = cells.first().map_or(0, |cell| cell.subject);
        }
        Ok(())
    }

    /// Ends a block.
    fn close<E>(&mut self, put: &mut impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        if self.body.is_empty() {
            return Ok(());
        }
        if !self.value.is_empty() && self.value.len() + self.body.len() > VALUE {
            self.flush(put)?;
        }
        if self.value.is_empty() {
            self.key = keys::counts(self.generation, self.run.number, self.place.0, self.place.1, self.values);
            self.values += 1;
            self.previous = self.place;
            codec::begin_counts(&mut self.value);
        }
        codec::put_block(&mut self.value, self.previous, self.place, &self.body);
        self.previous = self.place;
        self.run.first = self.run.first.min(self.place.1);
        self.body.clear();
        self.subject = 0;
        Ok(())
    }

    fn flush<E>(&mut self, put: &mut impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.run.bytes += self.value.len() as u64;
        put(std::mem::take(&mut self.key), std::mem::take(&mut self.value))
    }

    /// The run that was written; `None` if nothing was.
    pub(super) fn finish<E>(
        mut self,
        put: &mut impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), E>,
    ) -> Result<Option<Run>, E> {
        self.close(put)?;
        if !self.value.is_empty() {
            self.flush(put)?;
        }
        Ok(Some(self.run).filter(|run| run.bytes > 0))
    }
}

/// One run, read block by block.
struct Cursor<'s> {
    values: Box<dyn Iterator<Item = Result<(sled::IVec, sled::IVec), StoreError>> + 's>,
    value: sled::IVec,
    /// So much of it was read, up to this account and month.
    read: usize,
    place: (Id, u16),
    /// The block that was read last, and the first id in it.
    body: Range<usize>,
    first: Id,
}

impl<'s> Cursor<'s> {
    fn of(store: &'s Store, generation: Generation, run: u32) -> Self {
        let values = Box::new(store.raw_scan(&keys::run(generation, run)));
        Self { values, value: sled::IVec::default(), read: 0, place: (0, 0), body: 0..0, first: 0 }
    }

    /// Goes to the next block: its account and month, and the first id in it.
    fn next(&mut self, store: &Store) -> Result<Option<(Id, u16, Id)>, StoreError> {
        let broken = |Broken| store.broken("a value of counts");
        while self.read >= self.value.len() {
            let Some(entry) = self.values.next() else { return Ok(None) };
            let (key, value) = entry?;
            let (.., account, month) = keys::read_counts(&key).ok_or_else(|| store.broken("a key of counts"))?;
            self.read = codec::blocks_begin(&value).map_err(broken)?;
            if (account, month) < self.place {
                return Err(broken(Broken));
            }
            if (account, month) > self.place {
                (self.place, self.first) = ((account, month), 0);
            }
            self.value = value;
        }
        let (place, body) = codec::next_block(&self.value, self.read, self.place).map_err(broken)?;
        let first = codec::first_subject(self.value.get(body.clone()).unwrap_or_default()).map_err(broken)?;
        // Whoever reads on relies on the order.
        if (place, first) < (self.place, self.first) {
            return Err(broken(Broken));
        }
        (self.place, self.first, self.read, self.body) = (place, first, body.end, body);
        Ok(Some((place.0, place.1, first)))
    }
}

/// Several runs, read as one: blocks in the order of accounts, months, and the first ids in them.
pub(super) struct Merged<'s> {
    store: &'s Store,
    cursors: Vec<Cursor<'s>>,
    heads: BinaryHeap<Reverse<(Id, u16, Id, usize)>>,
    /// Cells that others may have to be added to, of one account and month, and the first id among them.
    place: (Id, u16),
    cells: Vec<Cell>,
    first: Id,
}

impl<'s> Merged<'s> {
    pub(super) fn of(store: &'s Store, runs: impl IntoIterator<Item = (Generation, u32)>) -> Result<Self, StoreError> {
        let cursors = runs.into_iter().map(|(generation, run)| Cursor::of(store, generation, run)).collect();
        let heads = BinaryHeap::new();
        let mut merged = Self { store, cursors, heads, place: (0, 0), cells: Vec::new(), first: 0 };
        (0..merged.cursors.len()).try_for_each(|which| merged.advance(which))?;
        Ok(merged)
    }

    fn advance(&mut self, which: usize) -> Result<(), StoreError> {
        let Some(cursor) = self.cursors.get_mut(which) else { return Ok(()) };
        if let Some((account, month, first)) = cursor.next(self.store)? {
            self.heads.push(Reverse((account, month, first, which)));
        }
        Ok(())
    }

    /// Hands out the next block; false if there is none.
    pub(super) fn block(
        &mut self,
        take: impl FnOnce(Id, u16, &[u8]) -> Result<(), Broken>,
    ) -> Result<bool, StoreError> {
        let Some(Reverse((account, month, _, which))) = self.heads.pop() else { return Ok(false) };
        if let Some(cursor) = self.cursors.get(which) {
            let body = cursor.value.get(cursor.body.clone()).unwrap_or_default();
            take(account, month, body).map_err(|Broken| self.store.broken("a value of counts"))?;
        }
        self.advance(which)?;
        Ok(true)
    }

    /// Gives what the next ids of an account and month have, added up and in order. All that one id has comes at once.
    pub(super) fn next(&mut self, cells: &mut Vec<Cell>) -> Result<Option<(Id, u16)>, StoreError> {
        cells.clear();
        loop {
            let next = self.heads.peek().map(|Reverse((account, month, first, _))| ((*account, *month), *first));
            let until = next.filter(|(place, _)| *place == self.place).map(|(_, first)| first);
            if !self.cells.is_empty() && until.is_none_or(|until| self.first < until) {
                self.cells.sort_by_key(Cell::order);
                let ready = self.cells.partition_point(|cell| until.is_none_or(|until| cell.subject < until));
                cells.extend(self.cells.drain(..ready));
                self.first = self.cells.first().map_or(0, |cell| cell.subject);
                add_up(cells);
                if !cells.is_empty() {
                    return Ok(Some(self.place));
                }
                continue;
            }
            let Some((place, first)) = next else { return Ok(None) };
            self.first = if self.cells.is_empty() { first } else { self.first.min(first) };
            self.place = place;
            let mut gathered = std::mem::take(&mut self.cells);
            self.block(|_, month, body| read_cells(month, body, &mut gathered))?;
            self.cells = gathered;
        }
    }
}

/// Adds the cells of a block.
pub(super) fn read_cells(month: u16, body: &[u8], cells: &mut Vec<Cell>) -> Result<(), Broken> {
    codec::read_block(0, month, body, &mut Vec::new(), |spot, last, counts| {
        cells.extend(counts.iter().map(|(event, count)| cell(spot, *event, *count, last)));
    })
}

fn cell(spot: &Spot, event: Id, count: i64, last: i64) -> Cell {
    Cell { subject: spot.subject, day: spot.day, lag: spot.lag, event, count, last }
}

/// What a value comes to without some of its spots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing of it goes.
    All,
    /// So much.
    Some(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// Takes those spots out of a value that are not to be kept. It stays under its key: its order is the same.
pub(crate) fn keep(
    key: &[u8],
    value: &[u8],
    mut keeps: impl FnMut(&Spot, &[(Id, i64)]) -> bool,
) -> Result<Left, Broken> {
    let (.., account, month) = keys::read_counts(key).ok_or(Broken)?;
    let mut place = (account, month);
    let (mut previous, mut read) = (place, codec::blocks_begin(value)?);
    let (mut left, mut cells, mut body, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut gone, mut some) = (false, false);
    codec::begin_counts(&mut left);
    while read < value.len() {
        let (next, block) = codec::next_block(value, read, place)?;
        (place, read) = (next, block.end);
        cells.clear();
        codec::read_block(place.0, place.1, value.get(block).ok_or(Broken)?, &mut counts, |spot, last, counts| {
            if keeps(spot, counts) {
                cells.extend(counts.iter().map(|(event, count)| cell(spot, *event, *count, last)));
            } else {
                gone = true;
            }
        })?;
        if cells.is_empty() {
            continue;
        }
        body.clear();
        let mut subject = 0;
        for cells in cells.chunk_by(|a, b| a.subject == b.subject) {
            codec::put_subject(&mut body, place.1, subject, cells);
            subject = cells.first().map_or(0, |cell| cell.subject);
        }
        codec::put_block(&mut left, previous, place, &body);
        (previous, some) = (place, true);
    }
    Ok(match (gone, some) {
        (false, _) => Left::All,
        (true, true) => Left::Some(left),
        (true, false) => Left::Nothing,
    })
}

impl Store {
    /// Writes what some runs of a generation have as one run. It counts for nothing yet, and they still count.
    pub fn merge_runs(&self, generation: Generation, runs: &[Run], number: u32) -> Result<Option<Run>, StoreError> {
        let mut merged = Merged::of(self, runs.iter().map(|run| (generation, run.number)))?;
        let mut writer = Writer::new(generation, number);
        let mut batch = Batch::default();
        let mut put = |key, value| {
            batch.put_new(key, value);
            self.spill(&mut batch)
        };
        let mut cells = Vec::new();
        while let Some(place) = merged.next(&mut cells)? {
            writer.add(place, &cells, &mut put)?;
        }
        let small = runs.iter().map(Run::small_before).min().unwrap_or(0);
        let run = writer.finish(&mut put)?;
        self.append(batch)?;
        Ok(run.map(|run| Run { small, ..run }))
    }

    /// The numbers of the runs of a generation that are there, whether they count or not.
    pub fn runs(&self, generation: Generation) -> Result<Vec<u32>, StoreError> {
        let mut found: Vec<u32> = Vec::new();
        let mut from = Some(keys::run(generation, 0));
        while let Some(key) = from.map(|from| self.first_from(&from)).transpose()?.flatten() {
            let Some((_, run, ..)) = keys::read_counts(&key).filter(|(of, ..)| *of == generation) else { break };
            found.push(run);
            from = run.checked_add(1).map(|next| keys::run(generation, next));
        }
        Ok(found)
    }

    /// Removes all runs of a generation but those that count.
    pub fn drop_runs(&self, generation: Generation, but: &[Run]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for run in self.runs(generation)?.into_iter().filter(|run| but.iter().all(|kept| kept.number != *run)) {
            for entry in self.raw_scan(&keys::run(generation, run)) {
                let (key, _) = entry?;
                batch.remove(key.to_vec());
                self.spill(&mut batch)?;
            }
        }
        self.apply(batch)
    }
}

#[cfg(test)]
mod tests;
