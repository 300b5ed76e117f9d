//! Which calls were counted before: exactly once, across restarts, in bounded memory.
//!
//! A call is known by a 64-bit fingerprint of its source and its own id, kept under the day of its receipt. Copies that
//! were received at most `window` days apart belong together, also in a chain, and the one that was received first is
//! the one that counts — whatever the order of reading. Of a batch only fingerprints are compared, sorted, with those of
//! the days around it, which come from the state and are held while there is room. Where two different calls
//! have the same fingerprint one is lost: of n calls within the window n²/2⁶⁵ in the mean, one in thirty thousand years
//! at a million calls a day.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rustc_hash::FxHashMap;

use crate::store::keys::{self, Generation};
use crate::store::{Batch, Store, StoreError, parts};

/// Fingerprints are kept in values of so many: 6 KiB, of which sled keeps up to sixteen in a page.
const PART: usize = 768;
/// So many fingerprints are held in memory; those of other days are read from the state for every batch.
const HELD: usize = 3_000_000;

/// A fingerprint of a batch: what it is, the day of receipt, its place in the batch.
#[derive(Debug, Clone, Copy)]
pub struct Print {
    /// The fingerprint.
    pub print: u64,
    /// The day of receipt.
    pub day: i32,
    /// Its place in the batch.
    pub place: u32,
}

/// What a fingerprint comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was counted before: this one does not count.
    Repeated {
        /// The place of the repeated one.
        place: u32,
        /// Another copy, received on that day, was counted, and does not count either: both follow an earlier one.
        instead_of: Option<i32>,
    },
    /// It counts, instead of a copy that was received later, on that day, and counted before.
    Earlier {
        /// The place of the one that counts now.
        place: u32,
        /// When the other one was received.
        instead_of: i32,
    },
}

/// The fingerprints of a generation.
#[derive(Debug, Default)]
pub struct Seen {
    /// By day, sorted; of the days that the last batch needed.
    days: BTreeMap<i32, Vec<u64>>,
}

impl Seen {
    /// Compares a batch with what is known and with itself, keeps it, and says what does not simply count. Sorts the batch by
    /// fingerprint.
    pub fn judge(
        &mut self,
        store: &Store,
        generation: Generation,
        write: u32,
        window: i32,
        prints: &mut [Print],
        batch: &mut Batch,
    ) -> Result<Vec<Verdict>, StoreError> {
        // They come file by file, so mostly with others of their day.
        let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
        for of_day in prints.chunk_by(|a, b| a.day == b.day) {
            *counts.entry(of_day.first().map_or(0, |print| print.day)).or_default() += of_day.len();
        }
        sort(prints);
        let mut by_day: FxHashMap<i32, Vec<u64>> =
            counts.iter().map(|(day, count)| (*day, Vec::with_capacity(*count))).collect();
        let mut doubtful: Vec<u64> = Vec::new();
        let mut previous = None;
        for print in prints.iter() {
            by_day.entry(print.day).or_default().push(print.print);
            if previous == Some(print.print) {
                doubtful.push(print.print);
            }
            previous = Some(print.print);
        }
        let mut known: FxHashMap<u64, Vec<i32>> = FxHashMap::default();
        let table = Table::of(prints);
        let mut around: Vec<i32> = counts.keys().flat_map(|day| day - window..=day + window).collect();
        around.sort_unstable();
        around.dedup();
        self.days.retain(|day, _| around.binary_search(day).is_ok());
        for day in around {
            let read;
            let kept = match self.days.get(&day) {
                Some(kept) => kept,
                None => {
                    read = read_day(store, generation, day)?;
                    &read
                }
            };
            for print in kept.iter().filter(|print| table.has(**print)) {
                known.entry(*print).or_default().push(day);
            }
        }
        doubtful.extend(known.keys());
        doubtful.sort_unstable();
        doubtful.dedup();
        let mut verdicts = Vec::new();
        for print in doubtful {
            let from = prints.partition_point(|other| other.print < print);
            let copies = prints.iter().skip(from).take_while(|other| other.print == print);
            let mut days = known.get(&print).cloned().unwrap_or_default();
            copies.for_each(|copy| verdicts.extend(place_copy(*copy, &mut days, window)));
        }
        for day in counts.into_keys() {
            let mut new = by_day.remove(&day).unwrap_or_default();
            new.dedup();
            new.retain(|print| known.get(print).is_none_or(|days| !days.contains(&day)));
            append(generation, write, day, &new, batch);
            store.spill(batch)?;
            self.remember(store, generation, day, new)?;
        }
        Ok(verdicts)
    }

    /// Holds a day in memory for the next batch, if there is room.
    fn remember(&mut self, store: &Store, generation: Generation, day: i32, new: Vec<u64>) -> Result<(), StoreError> {
        let held: usize = self.days.values().map(Vec::len).sum();
        if held + new.len() > HELD {
            self.days.remove(&day);
            return Ok(());
        }
        let kept = match self.days.entry(day) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(slot) => slot.insert(read_day(store, generation, day)?),
        };
        if kept.is_empty() {
            *kept = new;
        } else if !new.is_empty() {
            kept.extend(new);
            // Two that are sorted: a stable sort merges them.
            kept.sort();
        }
        Ok(())
    }

    /// Forgets the fingerprints of days before `floor`.
    pub fn prune(
        &mut self,
        store: &Store,
        generation: Generation,
        floor: i32,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        self.days.retain(|day, _| *day >= floor);
        for entry in store.scan(&keys::fingerprints_of(generation)) {
            let (key, _) = entry?;
            match keys::read_fingerprints(&key) {
                Some((day, _)) if day < floor => batch.remove(key),
                _ => break,
            }
        }
        Ok(())
    }
}

/// Sorts by fingerprint, day and place. Fingerprints are evenly spread, so their first bits make even parts.
fn sort(prints: &mut [Print]) {
    const BITS: u32 = parts::PARTS.ilog2();
    let part = |print: &Print| (print.print >> (u64::BITS - BITS)) as usize;
    parts::sort(prints, part, |prints| prints.sort_unstable_by_key(|print| (print.print, print.day, print.place)));
}

/// Writes what is new of a day, as parts of a write.
fn append(generation: Generation, write: u32, day: i32, new: &[u64], batch: &mut Batch) {
    // More parts than a write may make are made larger.
    let size = PART.max(new.len().div_ceil(keys::PARTS as usize));
    for (number, prints) in new.chunks(size).enumerate() {
        let bytes = prints.iter().flat_map(|print| print.to_le_bytes()).collect();
        batch.put_new(keys::fingerprints(generation, day, keys::part(write, number)), bytes);
    }
}

fn read_day(store: &Store, generation: Generation, day: i32) -> Result<Vec<u64>, StoreError> {
    let mut prints = Vec::new();
    for entry in store.raw_scan(&keys::fingerprints_on(generation, day)) {
        let (_, value) = entry?;
        prints.extend(value.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default())));
    }
    prints.sort_unstable();
    Ok(prints)
}

/// Finds fingerprints in a sorted batch: they are evenly spread, so their first bits tell nearly where they are. Nearly all
/// that are looked for are not there, which one bit tells most of the time.
struct Table<'a> {
    prints: &'a [Print],
    begins: Vec<u32>,
    shift: u32,
    there: Vec<u64>,
    there_shift: u32,
}

impl<'a> Table<'a> {
    fn of(prints: &'a [Print]) -> Self {
        // Some eight to a place, and sixteen bits for each.
        let bits = (prints.len() / 8).max(2).ilog2().min(24);
        let there_bits = (prints.len() * 16).max(64).ilog2().min(30);
        let (shift, there_shift) = (64 - bits, 64 - there_bits);
        let mut begins = vec![0u32; (1 << bits) + 1];
        let mut there = vec![0u64; 1 << (there_bits - 6)];
        for print in prints {
            begins[(print.print >> shift) as usize + 1] += 1;
            let bit = print.print >> there_shift;
            there[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        for place in 1..begins.len() {
            begins[place] += begins[place - 1];
        }
        Self { prints, begins, shift, there, there_shift }
    }

    fn has(&self, print: u64) -> bool {
        let bit = print >> self.there_shift;
        if self.there[(bit / 64) as usize] & 1 << (bit % 64) == 0 {
            return false;
        }
        let place = (print >> self.shift) as usize;
        let among = self.begins[place] as usize..self.begins[place + 1] as usize;
        self.prints[among].iter().any(|other| other.print == print)
    }
}

/// Places one more copy among the days on which copies were received, and says what that changes. Copies at most `window`
/// days apart belong together; the first of those that belong together counts.
fn place_copy(copy: Print, days: &mut Vec<i32>, window: i32) -> Option<Verdict> {
    let at = days.partition_point(|day| *day <= copy.day);
    let before = at.checked_sub(1).and_then(|at| days.get(at)).copied();
    let after = days.get(at).copied();
    if before != Some(copy.day) {
        days.insert(at, copy.day);
    }
    let follows = before.is_some_and(|before| copy.day - before <= window);
    let leads = after.filter(|after| after - copy.day <= window);
    // The later one was the first of its own, unless it belonged to the same ones already.
    let was_first = leads.filter(|after| before.is_none_or(|before| after - before > window));
    match (follows, was_first) {
        (true, instead_of) => Some(Verdict::Repeated { place: copy.place, instead_of }),
        (false, Some(instead_of)) => Some(Verdict::Earlier { place: copy.place, instead_of }),
        (false, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How often copies count: groups of which none is more than the window after the one before.
    fn groups(days: &[i32], window: i32) -> Vec<i32> {
        let mut days = days.to_vec();
        days.sort_unstable();
        let mut firsts = Vec::new();
        let mut previous = None;
        for day in days {
            if previous.is_none_or(|previous| day - previous > window) {
                firsts.push(day);
            }
            previous = Some(day);
        }
        firsts
    }

    proptest! {
        #[test]
        fn the_first_of_those_that_belong_together_counts(
            calls in prop::collection::vec((0u64..6, 0i32..60), 1..60),
            sizes in prop::collection::vec(1usize..9, 1..9),
            window in 1i32..12,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let mut seen = Seen::default();
            let mut counted: Vec<(u64, i32)> = Vec::new();
            let mut rest = calls.as_slice();
            for (round, size) in sizes.iter().cycle().enumerate() {
                let (now, later) = rest.split_at((*size).min(rest.len()));
                rest = later;
                let mut prints: Vec<Print> = (0u32..).zip(now).map(|(place, (print, day))| {
                    Print { print: print.wrapping_mul(0x9e37_79b9_7f4a_7c15), day: *day, place }
                }).collect();
                let mut batch = Batch::default();
                let verdicts = seen.judge(&store, 1, round as u32 + 1, window, &mut prints, &mut batch).unwrap();
                store.apply(batch).unwrap();
                let mut new: Vec<Option<(u64, i32)>> = now.iter().copied().map(Some).collect();
                let mut gone: Vec<(u64, i32)> = Vec::new();
                for verdict in verdicts {
                    match verdict {
                        Verdict::Repeated { place, instead_of } => {
                            let call = now[place as usize];
                            gone.extend(instead_of.map(|day| (call.0, day)));
                            new[place as usize] = None;
                        }
                        Verdict::Earlier { place, instead_of } => gone.push((now[place as usize].0, instead_of)),
                    }
                }
                counted.extend(new.into_iter().flatten());
                for call in gone {
                    let at = counted.iter().position(|other| *other == call).expect("it was counted");
                    counted.remove(at);
                }
                if rest.is_empty() {
                    break;
                }
                if round % 3 == 2 {
                    seen = Seen::default();
                }
            }
            counted.sort_unstable();
            let mut expected: Vec<(u64, i32)> = (0..6).flat_map(|print| {
                let days: Vec<i32> = calls.iter().filter(|call| call.0 == print).map(|call| call.1).collect();
                groups(&days, window).into_iter().map(move |day| (print, day))
            }).collect();
            expected.sort_unstable();
            prop_assert_eq!(counted, expected);
        }
    }

    proptest! {
        #[test]
        fn prints_are_sorted_however_they_are_spread(
            raw in prop::collection::vec((prop_oneof![any::<u64>(), 0u64..4, any::<u64>().prop_map(|bits| bits | 0xff << 56)], 0i32..3), 0..400),
        ) {
            let order = |print: &Print| (print.print, print.day, print.place);
            let mut prints: Vec<Print> =
                (0u32..).zip(raw).map(|(place, (print, day))| Print { print, day, place }).collect();
            let mut expected = prints.clone();
            expected.sort_by_key(order);
            sort(&mut prints);
            prop_assert!(prints.iter().map(order).eq(expected.iter().map(order)));
        }
    }

    #[test]
    fn so_many_calls_are_lost_as_the_bound_says() {
        // With fingerprints of 32 bits instead of 64, n²/2³³ of n calls: 200,000 ids as senders write them.
        let n = 200_000u64;
        let mut prints: Vec<u64> = (0..n)
            .map(|number| xxhash_rust::xxh3::xxh3_64_with_seed(format!("message-{number}").as_bytes(), 7) >> 32)
            .collect();
        prints.sort_unstable();
        prints.dedup();
        let (lost, expected) = (n - prints.len() as u64, n * n / (1 << 33));
        assert!(lost.abs_diff(expected) <= 12, "lost {lost}, expected {expected}: five standard deviations are 11");
    }
}
