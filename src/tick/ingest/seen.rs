//! Which calls were counted before: exactly once, across restarts, in bounded memory.
//!
//! A call is known by a 64-bit fingerprint of its source and its own id, kept under the day of its receipt. Copies that
//! were received at most `window` days apart belong together, also in a chain, and the one that was received first is
//! the one that counts — whatever the order of reading. Of a batch only fingerprints are compared with those of the days
//! around it, which come from the state and are held while there is room. Where two different calls have the same
//! fingerprint one is lost: of n calls within the window n²/2⁶⁵ in the mean, one in thirty thousand years at a million
//! calls a day.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::store::keys::{self, Generation};
use crate::store::{Batch, Store, StoreError};

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
    /// Compares a batch with what is known and with itself, keeps it, and says what does not simply count.
    pub fn judge(
        &mut self,
        store: &Store,
        generation: Generation,
        write: u32,
        window: i32,
        prints: &[Print],
        batch: &mut Batch,
    ) -> Result<Vec<Verdict>, StoreError> {
        // They come file by file, so mostly with others of their day.
        let runs =
            || prints.chunk_by(|a, b| a.day == b.day).filter_map(|run| run.first().map(|first| (first.day, run)));
        let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
        runs().for_each(|(day, run)| *counts.entry(day).or_default() += run.len());
        let mut by_day: BTreeMap<i32, Vec<u64>> =
            counts.into_iter().map(|(day, count)| (day, Vec::with_capacity(count))).collect();
        runs().for_each(|(day, run)| by_day.entry(day).or_default().extend(run.iter().map(|print| print.print)));
        // Nearly all are new. Those that perhaps are not are looked for, and only they are sorted.
        let mut there = Filter::for_many(prints.len());
        let mut suspects: Vec<u64> = prints.iter().map(|print| print.print).filter(|print| there.add(*print)).collect();
        let mut around: Vec<i32> = by_day.keys().flat_map(|day| day - window..=day + window).collect();
        around.sort_unstable();
        around.dedup();
        self.days.retain(|day, _| around.binary_search(day).is_ok());
        let mut known: Vec<(u64, i32)> = Vec::new();
        for day in around {
            let read;
            let kept = match self.days.get(&day) {
                Some(kept) => kept,
                None => {
                    read = read_day(store, generation, day)?;
                    &read
                }
            };
            known.extend(kept.iter().filter(|print| there.has(**print)).map(|print| (*print, day)));
        }
        known.sort_unstable();
        suspects.extend(known.iter().map(|(print, _)| *print));
        let mut suspected = Filter::for_many(suspects.len());
        suspects.iter().for_each(|print| _ = suspected.add(*print));
        suspects.sort_unstable();
        let suspected = |print: u64| suspected.has(print) && suspects.binary_search(&print).is_ok();
        let mut copies: Vec<Print> = prints.iter().copied().filter(|print| suspected(print.print)).collect();
        copies.sort_unstable_by_key(|copy| (copy.print, copy.day, copy.place));
        let mut repeated: BTreeSet<(i32, u64)> = BTreeSet::new();
        let mut verdicts = Vec::new();
        for copies in copies.chunk_by(|a, b| a.print == b.print) {
            let print = copies.first().map_or(0, |copy| copy.print);
            let from = known.partition_point(|(other, _)| *other < print);
            let mut days: Vec<i32> =
                known.iter().skip(from).take_while(|(other, _)| *other == print).map(|(_, day)| *day).collect();
            repeated.extend(days.iter().map(|day| (*day, print)));
            copies.iter().for_each(|copy| verdicts.extend(place_copy(*copy, &mut days, window)));
        }
        for (day, mut new) in by_day {
            new.sort_unstable();
            new.dedup();
            if repeated.range((day, 0)..=(day, u64::MAX)).next().is_some() {
                new.retain(|print| !repeated.contains(&(day, *print)));
            }
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

/// Tells of nearly all fingerprints that are not among some that they are not: of a hundred it lets one pass. They are evenly
/// spread, so their first bits choose a word, and their last ones three bits in it.
struct Filter {
    words: Vec<u64>,
    shift: u32,
}

impl Filter {
    /// An empty one for so many: sixteen bits or more for each.
    fn for_many(count: usize) -> Self {
        let bits = count.div_ceil(4).max(2).next_power_of_two().ilog2();
        Self { words: vec![0; 1 << bits], shift: u64::BITS - bits }
    }

    fn place(&self, print: u64) -> (usize, u64) {
        ((print >> self.shift) as usize, 1 << (print & 63) | 1 << (print >> 6 & 63) | 1 << (print >> 12 & 63))
    }

    /// Adds one; true if it perhaps was there.
    fn add(&mut self, print: u64) -> bool {
        let (word, bits) = self.place(print);
        let there = self.words[word] & bits == bits;
        self.words[word] |= bits;
        there
    }

    /// True if it perhaps is there.
    fn has(&self, print: u64) -> bool {
        let (word, bits) = self.place(print);
        self.words[word] & bits == bits
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
                let prints: Vec<Print> = (0u32..).zip(now).map(|(place, (print, day))| {
                    Print { print: print.wrapping_mul(0x9e37_79b9_7f4a_7c15), day: *day, place }
                }).collect();
                let mut batch = Batch::default();
                let verdicts = seen.judge(&store, 1, round as u32 + 1, window, &prints, &mut batch).unwrap();
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
        fn a_filter_lets_all_pass_that_are_there(prints in prop::collection::vec(any::<u64>(), 0..400), others in prop::collection::vec(any::<u64>(), 400)) {
            let mut filter = Filter::for_many(prints.len());
            prints.iter().for_each(|print| _ = filter.add(*print));
            prop_assert!(prints.iter().all(|print| filter.has(*print)));
            let passed = others.iter().filter(|print| filter.has(**print)).count();
            prop_assert!(passed < 40, "{passed}");
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
