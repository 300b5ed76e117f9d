//! Usage in the state: how a batch of counts and statements is merged into what is kept, and read back.
//!
//! Counts are sorted runs, one a write: [`runs`]. Of statements one value holds what one write added for some
//! ids, a generation and a month; parts are put together when there are many of them. sled pays dearly for values that are
//! read and written again, so a write only adds. Names lie 128 together.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::gather::{History, Told};
use vitalsync_core::usage::{About, Content, FIRST, Id, Ids, Interner, LAST, Spot, Stated, Subject, replaces};

use super::codec::{self, Broken, Cell, Entry};
use super::keys::{self, Generation};
use super::runs::{self, Merged, Run};
use super::{Batch, Store, StoreError, parts};

/// Parts of the same month that so many writes made are put together.
const MANY: usize = 16;
/// So many keys are changed in one write of tidying: sled takes them in no order, and holds their pages.
const TIDIED: usize = 512;
/// So many ids share values of statements: as many as give a write a page or so of each month.
pub(super) const SHARD: Id = 512;
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

    /// True if it counts nothing.
    pub fn is_cancelled(&self) -> bool {
        self.count == 0
    }

    fn account(&self) -> Id {
        (self.key >> 96) as u32
    }

    /// The account and month, between which runs don't look.
    fn place(&self) -> (Id, u16) {
        (self.account(), self.month())
    }

    /// The month.
    pub fn month(&self) -> u16 {
        (self.key >> 80) as u16
    }

    /// The id that acted.
    pub fn subject(&self) -> Id {
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
                codec::read_names(&value, |name| names.restore(name, kinds))
                    .map_err(|Broken| self.broken("a value of names"))?;
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

    /// Adds counts of a generation, in any order, as the run of a write. Nothing that is kept is read.
    pub fn add_counts(
        &self,
        generation: Generation,
        write: u32,
        rows: &mut [Row],
        batch: &mut Batch,
    ) -> Result<Option<Run>, StoreError> {
        let accounts = rows.iter().map(Row::account).max().map_or(1, |last| last as usize + 1);
        let part = |row: &Row| row.account() as usize * parts::PARTS / accounts;
        parts::sort(rows, part, |rows| rows.sort_unstable_by_key(|row| row.key));
        let mut writer = runs::Writer::new(generation, write);
        let mut put = |key, value| {
            batch.put_new(key, value);
            self.spill(batch)
        };
        let mut cells = Vec::new();
        // Id by id: an account may have most of all.
        for rows in rows.chunk_by(|a, b| a.key >> 48 == b.key >> 48) {
            let Some(first) = rows.first() else { continue };
            cells.clear();
            cells.extend(rows.iter().filter(|row| row.count != 0).map(Row::cell));
            runs::add_up(&mut cells);
            writer.add(first.place(), &cells, &mut put)?;
        }
        writer.finish(&mut put)
    }

    /// Removes the statements and fingerprints of writes of a generation that were not finished: those after the last that was.
    pub fn drop_unfinished(&self, generation: Generation, writes: u32) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for kind in [&b"s"[..], b"d"] {
            for entry in self.raw_scan(kind) {
                let (key, _) = entry?;
                if keys::generation(&key) == Some(generation) && keys::write(&key).is_some_and(|write| write > writes) {
                    batch.remove(key.to_vec());
                    if batch.len() >= TIDIED {
                        self.apply(std::mem::take(&mut batch))?;
                    }
                }
            }
        }
        self.apply(batch)
    }

    /// Puts the statements together that several writes made of the same month, where they are many.
    pub fn tidy(
        &self,
        generation: Generation,
        write: u32,
        months: &BTreeSet<u16>,
        ids: &Ids,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let shards = |ids: usize| 0..=ids as u32 / SHARD;
        for about in About::ALL {
            let ids = if about == About::AccountTraits { ids.accounts.len() } else { ids.subjects.len() };
            for shard in shards(ids) {
                for month in months {
                    let prefix = keys::statements_in(about, shard, generation, *month);
                    let Some(parts) = self.many(&prefix, write)? else { continue };
                    let mut entries: Vec<Entry> = Vec::new();
                    for (key, value) in parts {
                        self.read_entries(about, *month, &value, |subject, stated| entries.push((subject, stated)))?;
                        batch.remove(key);
                    }
                    for (number, value) in values(*month, &said(about, entries)).into_iter().enumerate() {
                        let key = keys::statements(about, shard, generation, *month, keys::part(write, number));
                        batch.put(key, value);
                    }
                    // Each of these moves what it has as a whole; none of them must last before the next.
                    if batch.len() >= TIDIED {
                        self.append(std::mem::take(&mut batch))?;
                    }
                }
            }
        }
        self.apply(batch)
    }

    /// The parts below a prefix, if as many writes made them as to be put together.
    #[expect(clippy::type_complexity, reason = "keys with values")]
    fn many(&self, prefix: &[u8], write: u32) -> Result<Option<Vec<(Vec<u8>, Vec<u8>)>>, StoreError> {
        let mut parts = Vec::new();
        let (mut writes, mut last) = (0, None);
        for entry in self.raw_scan(prefix) {
            let (key, value) = entry?;
            let part = key.get(prefix.len()..).and_then(|part| part.try_into().ok()).map_or(0, u32::from_be_bytes);
            let made_by = part / keys::PARTS;
            // A tidying that was interrupted wrote this one already.
            if made_by >= write {
                return Ok(None);
            }
            if last.replace(made_by) != Some(made_by) {
                writes += 1;
            }
            parts.push((key, value));
        }
        if writes < MANY {
            return Ok(None);
        }
        Ok(Some(parts.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()))
    }

    /// All statements about one kind of thing, of all generations.
    pub fn each_statement(
        &self,
        about: About,
        mut take: impl FnMut(Subject, Stated<Content>),
    ) -> Result<(), StoreError> {
        for entry in self.raw_scan(&keys::statements_of(about)) {
            let (key, value) = entry?;
            let (about, _, _, month, _) =
                keys::read_statements(&key).ok_or_else(|| self.broken("a key of statements"))?;
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

/// Statements of a generation, in any order, as the keys and values of a write, none of which is there yet.
pub fn statements(generation: Generation, write: u32, mut entries: Vec<Entry>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let place = |subject: &Subject| (subject.about, subject.id / SHARD, codec::month(subject.day));
    // The order of places, and nearly that of subjects in each: these are mostly large and compared more slowly.
    entries.sort_by_cached_key(|(subject, _)| {
        let (about, shard, month) = place(subject);
        let day = subject.day.0 - codec::month_start_fast(month).0;
        (about as u64) << 62
            | u64::from(shard) << 39
            | u64::from(month) << 23
            | u64::from(subject.id % SHARD) << 14
            | u64::from(day as u8 & 31)
    });
    let mut values = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while let Some((first, _)) = entries.peek() {
        let (about, shard, month) = place(first);
        let mut of_place: Vec<Entry> = Vec::new();
        while let Some(entry) = entries.next_if(|(subject, _)| place(subject) == (about, shard, month)) {
            of_place.push(entry);
        }
        let those = self::values(month, &said(about, of_place)).into_iter().enumerate();
        let key = |number| keys::statements(about, shard, generation, month, keys::part(write, number));
        values.extend(those.map(|(number, value)| (key(number), value)));
    }
    values
}

/// Statements as values of about a page's worth, as long as there is a number for each; at least one.
pub(super) fn values(month: u16, entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut value = codec::Statements::of(month);
    let mut values: Vec<Vec<u8>> = entries.iter().filter_map(|entry| value.add(entry, runs::VALUE)).collect();
    values.push(value.end());
    if values.len() <= keys::PARTS as usize { values } else { halves(month, entries) }
}

/// The same for many: all are larger.
fn halves(month: u16, entries: &[Entry]) -> Vec<Vec<u8>> {
    fn split(month: u16, entries: &[Entry], deep: u32, values: &mut Vec<Vec<u8>>) {
        let value = codec::encode_statements(month, entries);
        if value.len() <= runs::VALUE || entries.len() < 2 || 2 << deep > keys::PARTS {
            values.push(value);
            return;
        }
        let (first, second) = entries.split_at(entries.len() / 2);
        split(month, first, deep + 1, values);
        split(month, second, deep + 1, values);
    }
    let mut values = Vec::new();
    split(month, entries, 0, &mut values);
    values
}

/// What statements come to, in order: of those about the same the one that stands; of links and memberships, each of which
/// stands for the last and perhaps the first of its day, the first where it is another one.
pub(super) fn said(about: About, mut entries: Vec<Entry>) -> Vec<Entry> {
    if about.is_id() {
        for place in 0..entries.len() {
            let Some((subject, stated)) = entries.get(place).cloned() else { continue };
            if subject.part == LAST {
                entries.push((Subject { part: FIRST, ..subject }, stated));
            }
        }
    }
    // Parts come in order, one after the other: a stable sort merges them.
    entries.sort_by_key(|entry| entry.0);
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same && replaces(&kept.0, &next.1, &kept.1) {
            std::mem::swap(next, kept);
        }
        same
    });
    if about.is_id() {
        // The last one of a day comes before the first one.
        entries.dedup_by(|first, last| {
            first.0.part == FIRST && first.0 == Subject { part: FIRST, ..last.0 } && first.1 == last.1
        });
    }
    entries
}

/// The usage of some generations, to read through.
#[derive(Debug)]
pub struct Kept<'a> {
    store: &'a Store,
    generations: BTreeMap<Generation, Counting>,
}

/// What counts of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counting {
    /// The number of its last finished write.
    pub writes: u32,
    /// Its runs of counts.
    pub runs: Vec<Run>,
}

impl<'a> Kept<'a> {
    /// The usage of generations.
    pub fn of(store: &'a Store, generations: impl IntoIterator<Item = (Generation, Counting)>) -> Self {
        Self { store, generations: generations.into_iter().collect() }
    }

    fn counts(&self, generation: Generation, part: keys::Part) -> bool {
        self.generations.get(&generation).is_some_and(|counting| part / keys::PARTS <= counting.writes)
    }
}

/// Tells what so many writes said, and forgets it.
fn tell(about: About, entries: &mut Vec<Entry>, writes: usize, take: &mut dyn FnMut(Told)) {
    if writes > 1 {
        *entries = said(about, std::mem::take(entries));
    }
    entries.drain(..).for_each(|(subject, stated)| take(Told::Statement(subject, stated)));
}

impl History for Kept<'_> {
    type Error = StoreError;

    fn statements(&self, about: About, take: &mut dyn FnMut(Told)) -> Result<(), StoreError> {
        // Traits that were said of the same in several writes are put together as if it had been one.
        let mut current: Option<(u32, Generation, u16)> = None;
        let mut entries: Vec<Entry> = Vec::new();
        let mut writes = 0;
        for entry in self.store.raw_scan(&keys::statements_of(about)) {
            let (key, value) = entry?;
            let (about, shard, generation, month, part) =
                keys::read_statements(&key).ok_or_else(|| self.store.broken("a key of statements"))?;
            if !self.counts(generation, part) {
                continue;
            }
            let now = (shard, generation, month);
            if current.is_some_and(|before| before != now) {
                tell(about, &mut entries, std::mem::take(&mut writes), take);
            }
            if current.is_some_and(|(before, ..)| before != shard) {
                take(Told::Settled);
            }
            current = Some(now);
            writes += 1;
            if about.is_id() {
                let tell = |subject, stated| take(Told::Statement(subject, stated));
                self.store.read_entries(about, month, &value, tell)?;
            } else {
                self.store.read_entries(about, month, &value, |subject, stated| entries.push((subject, stated)))?;
            }
        }
        tell(about, &mut entries, writes, take);
        take(Told::Settled);
        Ok(())
    }

    fn spots(&self, take: &mut dyn FnMut(&Spot, i64, &[(Id, i64)])) -> Result<(), StoreError> {
        let all = self.generations.iter();
        let runs = all.flat_map(|(number, counting)| counting.runs.iter().map(|run| (*number, run.number)));
        let mut merged = Merged::of(self.store, runs)?;
        let mut counts = Vec::new();
        while merged.block(|account, month, body| codec::read_block(account, month, body, &mut counts, &mut *take))? {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vitalsync_core::message::Message;
    use vitalsync_core::time::DAY_MS;
    use vitalsync_core::usage::JOINT;

    use super::*;

    fn entries(raw: Vec<(Id, i32, String, Vec<u8>)>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = raw
            .into_iter()
            .map(|(id, day, text, values)| {
                let day = codec::month_start(24_300).plus(day);
                let values: Vec<String> = values.iter().map(|value| text.repeat(usize::from(*value))).collect();
                let value = Content::Traits(values.join(&JOINT.to_string()).into());
                let stated = Stated { at: i64::from(day.0) * DAY_MS, message: Message::of(&text), value };
                (Subject { about: About::UserTraits, id, day, lag: 0, part: 0 }, stated)
            })
            .collect();
        entries.sort();
        entries
    }

    fn back(values: &[Vec<u8>]) -> Vec<Entry> {
        let mut back = Vec::new();
        for value in values {
            codec::read_statements(About::UserTraits, 24_300, value, |subject, stated| back.push((subject, stated)))
                .unwrap();
        }
        back
    }

    proptest! {
        #[test]
        fn values_hold_all_in_order_and_about_a_page(
            raw in prop::collection::vec((1u32..90, 0i32..28, "[a-z]{0,9}", prop::collection::vec(any::<u8>(), 1..5)), 1..60),
        ) {
            let entries = entries(raw);
            let values = values(24_300, &entries);
            prop_assert_eq!(&back(&values), &entries);
            for value in &values {
                prop_assert!(value.len() <= runs::VALUE + 8 || back(std::slice::from_ref(value)).len() == 1);
            }
            for two in values.windows(2) {
                prop_assert!(two[0].len() + two[1].len() > runs::VALUE / 2, "none is small for nothing");
            }
        }
    }

    #[test]
    fn many_statements_have_a_number_for_each_value() {
        let raw = (0..2 * keys::PARTS).map(|id| (id + 1, 0, format!("{id:9}"), vec![255; 2])).collect();
        let entries = entries(raw);
        let values = values(24_300, &entries);
        assert!(values.len() <= keys::PARTS as usize, "{}", values.len());
        assert_eq!(back(&values), entries);
    }
}
