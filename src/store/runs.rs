//! Counts as sorted runs: each write appends one, in the order of accounts and months, and runs are put together when many
//! of about the same size have gathered.
//!
//! sled pays for every page that a write touches, so a write touches only the end of one range of keys; and for every key,
//! so that a value holds what many accounts have. Which runs count is for the caller to say, in one small write: what is here
//! writes runs beside those that count, and removes those that don't. Runs add up, so their order means nothing.

mod merged;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vitalsync_core::usage::{Id, Spot};

pub(super) use self::merged::Merged;
use super::codec::{self, Broken, Cell};
use super::keys::{self, Generation};
use super::{Batch, Store, StoreError};

/// About so many bytes make a value: sled keeps up to sixteen of them in a page, which has to stay below 128 KiB.
pub(super) const VALUE: usize = 6144;
/// So many cells of one id at most are written in one piece, which must be well below [`VALUE`].
const PIECE: usize = 64;
/// So many runs of about the same size are put together. How many are read at once and how often a count is written anew
/// hang on it: of a write every five minutes some thirty runs are left after a month, and each count was written four times.
pub const MANY: usize = 16;
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
