//! The keys of the state: a letter for the kind of thing, then what it is about, in an order that scans well.

use vitalsync_core::time::Day;
use vitalsync_core::usage::{About, Id};

/// The layout of the state.
pub fn layout() -> Vec<u8> {
    b"v".to_vec()
}

/// A single value by its name: the time zone of the counts, the last evaluation, …
pub fn meta(name: &str) -> Vec<u8> {
    join(b"m", &[name.as_bytes()])
}

/// A generation of a source's usage: a rebuild makes a new one.
pub type Generation = u16;

/// A part of what is kept of one thing: which write made it, and a number within that write.
pub type Part = u32;

/// So many parts of one thing a write may make.
pub const PARTS: u32 = 1 << 10;

/// A part that a write made. Writes are numbered from 1; a number beyond the last is the last.
pub fn part(write: u32, number: usize) -> Part {
    write.saturating_mul(PARTS) | (number as u32).min(PARTS - 1)
}

/// Counts of a run, from a stated account and month on: the value with a number in the run. Accounts and months ascend.
pub fn counts(generation: Generation, run: u32, account: Id, month: u16, number: u32) -> Vec<u8> {
    let mut key = self::run(generation, run);
    key.extend_from_slice(&account.to_be_bytes());
    key.extend_from_slice(&month.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// All counts of a run.
pub fn run(generation: Generation, run: u32) -> Vec<u8> {
    join(b"c", &[&generation.to_be_bytes(), &run.to_be_bytes()])
}

/// All counts of a generation.
pub fn runs_of(generation: Generation) -> Vec<u8> {
    join(b"c", &[&generation.to_be_bytes()])
}

/// What a key of counts says: generation, run, and the account and month with which the value begins.
pub fn read_counts(key: &[u8]) -> Option<(Generation, u32, Id, u16)> {
    // Whoever looks for the next run comes to keys of other kinds after the last.
    key.first().filter(|kind| **kind == b'c')?;
    let generation = Generation::from_be_bytes(key.get(1..3)?.try_into().ok()?);
    let run = u32::from_be_bytes(key.get(3..7)?.try_into().ok()?);
    let account = Id::from_be_bytes(key.get(7..11)?.try_into().ok()?);
    let month = u16::from_be_bytes(key.get(11..13)?.try_into().ok()?);
    Some((generation, run, account, month))
}

/// Statements about a group of ids of one generation in one month. The group comes before the generation, so that all about
/// one id lies side by side.
pub fn statements(about: About, shard: u32, generation: Generation, month: u16, part: Part) -> Vec<u8> {
    let mut key = statements_in(about, shard, generation, month);
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// All statements about a group of ids of one generation in one month.
pub fn statements_in(about: About, shard: u32, generation: Generation, month: u16) -> Vec<u8> {
    join(b"s", &[&[about as u8], &shard.to_be_bytes(), &generation.to_be_bytes(), &month.to_be_bytes()])
}

/// All statements of a kind.
pub fn statements_of(about: About) -> Vec<u8> {
    join(b"s", &[&[about as u8]])
}

/// What a key of statements says: what they are about, the group, generation, month and part.
pub fn read_statements(key: &[u8]) -> Option<(About, u32, Generation, u16, Part)> {
    let about = *About::ALL.get(usize::from(*key.get(1)?))?;
    let shard = u32::from_be_bytes(key.get(2..6)?.try_into().ok()?);
    let generation = Generation::from_be_bytes(key.get(6..8)?.try_into().ok()?);
    let month = u16::from_be_bytes(key.get(8..10)?.try_into().ok()?);
    Some((about, shard, generation, month, Part::from_be_bytes(key.get(10..14)?.try_into().ok()?)))
}

/// Fingerprints of the calls that a source received on a day.
pub fn fingerprints(generation: Generation, day: i32, part: Part) -> Vec<u8> {
    let mut key = fingerprints_on(generation, day);
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// All fingerprints of a day.
pub fn fingerprints_on(generation: Generation, day: i32) -> Vec<u8> {
    // The sign bit flipped, so that days sort.
    let day = (day as u32) ^ (1 << 31);
    join(b"d", &[&generation.to_be_bytes(), &day.to_be_bytes()])
}

/// All fingerprints of a source.
pub fn fingerprints_of(generation: Generation) -> Vec<u8> {
    join(b"d", &[&generation.to_be_bytes()])
}

/// The parts of a key of fingerprints: day and part.
pub fn read_fingerprints(key: &[u8]) -> Option<(i32, u32)> {
    let day = u32::from_be_bytes(key.get(3..7)?.try_into().ok()?) ^ (1 << 31);
    Some((day as i32, u32::from_be_bytes(key.get(7..11)?.try_into().ok()?)))
}

/// The generation of a key of counts, statements, fingerprints or files.
pub fn generation(key: &[u8]) -> Option<Generation> {
    match key.first()? {
        b's' => read_statements(key).map(|(_, _, generation, ..)| generation),
        b'c' | b'd' | b'f' => Some(Generation::from_be_bytes(key.get(1..3)?.try_into().ok()?)),
        _ => None,
    }
}

/// The number of the write that made a part of statements or fingerprints.
pub fn write(key: &[u8]) -> Option<u32> {
    let part = match key.first()? {
        b's' => read_statements(key).map(|(.., part)| part),
        b'd' => read_fingerprints(key).map(|(_, part)| part),
        _ => None,
    };
    part.map(|part| part / PARTS)
}

/// What all values of how many names accounts brought begin with.
pub const BROUGHT: &[u8] = b"n";

/// How many names a group of accounts brought.
pub fn brought(group: u32) -> Vec<u8> {
    join(BROUGHT, &[&group.to_be_bytes()])
}

/// What all logins begin with. They are secrets: no export has them.
pub const LOGINS: &[u8] = b"l";

/// The tokens of a login.
pub fn login(name: &str) -> Vec<u8> {
    join(LOGINS, &[name.as_bytes()])
}

/// What all tombstones begin with.
pub const TOMBSTONES: &[u8] = b"x";

/// A tombstone.
pub fn tombstone(hash: &[u8; 16]) -> Vec<u8> {
    join(TOMBSTONES, &[hash])
}

/// What is known of one file of a source.
pub fn file(generation: Generation, path: &str) -> Vec<u8> {
    join(b"f", &[&generation.to_be_bytes(), path.as_bytes()])
}

/// All files of a source.
pub fn files_of(generation: Generation) -> Vec<u8> {
    join(b"f", &[&generation.to_be_bytes()])
}

/// Interned names, a group of them: `a` account, `s` subject, `e` event, `t` names of traits.
pub fn name(kind: u8, group: u32) -> Vec<u8> {
    join(b"i", &[&[kind], &group.to_be_bytes()])
}

/// All interned names of a kind.
pub fn names(kind: u8) -> Vec<u8> {
    join(b"i", &[&[kind]])
}

/// Snapshots of a day under a profile: those of a group of accounts.
pub fn snapshots(profile: &str, day: Day, group: u32) -> Vec<u8> {
    let mut key = snapshots_on(profile, day);
    key.extend_from_slice(&group.to_be_bytes());
    key
}

/// All snapshots of a day under a profile.
pub fn snapshots_on(profile: &str, day: Day) -> Vec<u8> {
    // The sign bit flipped, so that days sort.
    let day = (day.0 as u32) ^ (1 << 31);
    join(SNAPSHOTS, &[profile.as_bytes(), &[0xff], &day.to_be_bytes()])
}

/// What all snapshots begin with.
pub const SNAPSHOTS: &[u8] = b"h";

/// The day of a key of snapshots.
pub fn read_snapshots(key: &[u8]) -> Option<Day> {
    let end = key.iter().position(|byte| *byte == 0xff)?;
    let day = key.get(end + 1..end + 5)?;
    key.get(end + 5..end + 9)?;
    Some(Day((u32::from_be_bytes(day.try_into().ok()?) ^ (1 << 31)) as i32))
}

/// A profile as it was, by the hash of its version.
pub fn version(hash: u64) -> Vec<u8> {
    join(b"p", &[&hash.to_be_bytes()])
}

/// A kind of record of a destination: `k` known, `q` quarantine, `o` outbox, `e` edge. Names end with a byte that none has.
pub fn record(kind: u8, destination: &str, name: &str) -> Vec<u8> {
    join(&[kind], &[destination.as_bytes(), &[0xff], name.as_bytes()])
}

/// All records of a kind of a destination.
pub fn records(kind: u8, destination: &str) -> Vec<u8> {
    join(&[kind], &[destination.as_bytes(), &[0xff]])
}

fn join(kind: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut key = kind.to_vec();
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}
