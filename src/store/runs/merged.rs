//! Several runs read as one, each of them value by value: what is held is little more than a value of each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use vitalsync_core::usage::Id;

use super::{add_up, cell};
use crate::store::codec::{self, Broken, Cell};
use crate::store::keys::{self, Generation};
use crate::store::{Store, StoreError};

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
pub(in crate::store) struct Merged<'s> {
    store: &'s Store,
    cursors: Vec<Cursor<'s>>,
    heads: BinaryHeap<Reverse<(Id, u16, Id, usize)>>,
    /// Cells that others may have to be added to, of one account and month, and the first id among them.
    place: (Id, u16),
    cells: Vec<Cell>,
    first: Id,
}

impl<'s> Merged<'s> {
    pub(in crate::store) fn of(
        store: &'s Store,
        runs: impl IntoIterator<Item = (Generation, u32)>,
    ) -> Result<Self, StoreError> {
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
    pub(in crate::store) fn block(
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
    pub(in crate::store) fn next(&mut self, cells: &mut Vec<Cell>) -> Result<Option<(Id, u16)>, StoreError> {
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
