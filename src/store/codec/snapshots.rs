//! How the snapshots of a day are written: what all share once, then about eleven bytes an account.
//!
//! The score is kept to the last bit. It follows from the rest only as long as nobody touches the curve, and what was said
//! of a day must outlive that.

use vitalsync_core::Timestamp;
use vitalsync_core::model::{Band, MICRO};
use vitalsync_core::past::Snapshot;
use vitalsync_core::usage::Id;

use super::{Broken, Reader, VERSION, put, put_signed};

/// What all snapshots of one write share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The version of the profile, by its hash.
    pub config: u64,
    /// The as-of time of the run: what was received later is not in them.
    pub at: Timestamp,
    /// How many ids were to be forgotten: if there are more now, what is counted again may be less.
    pub forgotten: u32,
}

// One byte begins a snapshot: its band, how its raw score and score are written, whether more follows.
const BAND: u8 = 0b11;
/// The raw score is in whole points.
const WHOLE: u8 = 0x04;
/// A divisor follows.
const DIVIDED: u8 = 0x08;
/// The place of its benchmark follows: it is not the first.
const OTHER_BENCHMARK: u8 = 0x10;
/// The share of usage in the score follows: it is not all.
const BLENDED: u8 = 0x80;
/// The score is 1.
const LOWEST: u8 = 0x20;
/// The score is 100.
const HIGHEST: u8 = 0x40;

const BANDS: [Option<Band>; 4] = [None, Some(Band::AtRisk), Some(Band::Normal), Some(Band::Healthy)];

/// Writes snapshots of accounts in the order of their numbers.
pub fn encode_snapshots(made: Made, entries: &[(Id, Snapshot)]) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&made.config.to_be_bytes());
    put_signed(&mut out, made.at.0);
    put(&mut out, made.forgotten.into());
    // Nearly always one.
    let mut benchmarks: Vec<u64> = Vec::new();
    for (_, snapshot) in entries {
        let bits = snapshot.benchmark.to_bits();
        if benchmarks.last() != Some(&bits) && !benchmarks.contains(&bits) {
            benchmarks.push(bits);
        }
    }
    put(&mut out, benchmarks.len() as u64);
    benchmarks.iter().for_each(|bits| out.extend_from_slice(&bits.to_be_bytes()));
    let mut previous = 0;
    for (account, snapshot) in entries {
        put(&mut out, u64::from(account - previous));
        previous = *account;
        let benchmark = benchmarks.iter().position(|bits| *bits == snapshot.benchmark.to_bits()).unwrap_or_default();
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        let whole = snapshot.raw % MICRO == 0;
        let (lowest, highest) = (snapshot.score == 1.0, snapshot.score == 100.0);
        let band = BANDS.iter().position(|band| *band == snapshot.band).unwrap_or_default() as u8;
        out.push(
            band | flag(whole, WHOLE)
                | flag(snapshot.divisor.is_some(), DIVIDED)
                | flag(benchmark > 0, OTHER_BENCHMARK)
                | flag(snapshot.usage != 1.0, BLENDED)
                | flag(lowest, LOWEST)
                | flag(highest, HIGHEST),
        );
        put_signed(&mut out, if whole { snapshot.raw / MICRO } else { snapshot.raw });
        if let Some(divisor) = snapshot.divisor {
            out.extend_from_slice(&divisor.to_bits().to_be_bytes());
        }
        if benchmark > 0 {
            put(&mut out, benchmark as u64);
        }
        if snapshot.usage != 1.0 {
            out.extend_from_slice(&snapshot.usage.to_bits().to_be_bytes());
        }
        if !lowest && !highest {
            out.extend_from_slice(&snapshot.score.to_bits().to_be_bytes());
        }
    }
    out
}

/// Reads what [`encode_snapshots`] wrote.
pub fn read_snapshots(bytes: &[u8], mut take: impl FnMut(Id, Snapshot)) -> Result<Made, Broken> {
    let mut reader = Reader::new(bytes)?;
    let made = Made { config: reader.eight()?, at: Timestamp(reader.signed()?), forgotten: reader.id()? };
    let benchmarks: Vec<f64> =
        (0..reader.number()?).map(|_| reader.eight().map(f64::from_bits)).collect::<Result<_, _>>()?;
    let mut account: Id = 0;
    while !reader.bytes.is_empty() {
        account = account.checked_add(reader.id()?).ok_or(Broken)?;
        let head = reader.byte()?;
        let has = |flag: u8| head & flag != 0;
        let raw = reader.signed()?;
        let raw = if has(WHOLE) { raw.checked_mul(MICRO).ok_or(Broken)? } else { raw };
        let divisor = if has(DIVIDED) { Some(f64::from_bits(reader.eight()?)) } else { None };
        let benchmark = if has(OTHER_BENCHMARK) { usize::try_from(reader.number()?).map_err(|_| Broken)? } else { 0 };
        let benchmark = *benchmarks.get(benchmark).ok_or(Broken)?;
        let usage = if has(BLENDED) { f64::from_bits(reader.eight()?) } else { 1.0 };
        let score = match (has(LOWEST), has(HIGHEST)) {
            (true, _) => 1.0,
            (_, true) => 100.0,
            _ => f64::from_bits(reader.eight()?),
        };
        let band = BANDS[usize::from(head & BAND)];
        take(account, Snapshot { raw, divisor, benchmark, usage, score, band });
    }
    Ok(made)
}

impl Reader<'_> {
    fn eight(&mut self) -> Result<u64, Broken> {
        let (first, rest) = self.bytes.split_first_chunk().ok_or(Broken)?;
        self.bytes = rest;
        Ok(u64::from_be_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vitalsync_core::health;

    use super::*;

    fn snapshot() -> impl Strategy<Value = Snapshot> {
        let raw = prop_oneof![Just(0), (0..5000i64).prop_map(|points| points * MICRO), any::<i64>()];
        let divisor = prop_oneof![9 => Just(None), 1 => (0.5..100.0f64).prop_map(Some)];
        let benchmark = prop_oneof![4 => Just(208.2), 1 => Just(0.0), 1 => 0.1..1e6f64];
        let score = prop_oneof![Just(1.0), Just(100.0), 1.0..100.0f64];
        let usage = prop_oneof![9 => Just(1.0), 1 => 0.0..1.0f64];
        let all = (raw, divisor, benchmark, usage, score, 0..4usize);
        all.prop_map(|(raw, divisor, benchmark, usage, score, band)| Snapshot {
            raw,
            divisor,
            benchmark,
            usage,
            score,
            band: BANDS[band],
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            snapshots in prop::collection::btree_map(1..5000u32, snapshot(), 0..40),
            config in any::<u64>(),
            at in any::<i64>(),
            forgotten in any::<u32>(),
        ) {
            let entries: Vec<(Id, Snapshot)> = snapshots.into_iter().collect();
            let made = Made { config, at: Timestamp(at), forgotten };
            let bytes = encode_snapshots(made, &entries);
            let mut read = Vec::new();
            prop_assert_eq!(read_snapshots(&bytes, |id, snapshot| read.push((id, snapshot))), Ok(made));
            prop_assert_eq!(&read, &entries);
            // Cut off within a snapshot it is refused, or ends with a whole one; never a panic.
            for end in 0..bytes.len() {
                let mut fewer = Vec::new();
                if read_snapshots(&bytes[..end], |id, snapshot| fewer.push((id, snapshot))).is_ok() {
                    prop_assert_eq!(&fewer[..], &entries[..fewer.len()]);
                }
            }
        }
    }

    #[test]
    fn an_account_takes_at_most_twelve_bytes_a_day() {
        let entries: Vec<(Id, Snapshot)> = (1..=512)
            .map(|id| {
                let raw = i64::from(id) * 7 * MICRO;
                let score = health::score(health::points(raw), 20_000.0, 2.0);
                (id, Snapshot { raw, divisor: None, benchmark: 20_000.0, usage: 1.0, score, band: Some(Band::Normal) })
            })
            .collect();
        let bytes =
            encode_snapshots(Made { config: 1, at: Timestamp(1_760_000_000_000), forgotten: 0 }, &entries).len();
        assert!(bytes <= 512 * 12 + 32, "{bytes} bytes");
    }
}
