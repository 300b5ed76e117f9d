//! The keys of the state: a letter for the kind of thing, then what it is about, in an order that scans well.

use vitalsync_core::usage::{About, Id};

/// The layout of the state.
pub fn layout() -> Vec<u8> {
    b"v".to_vec()
}

/// A single value by its name: the time zone of the counts, the last evaluation, …
pub fn meta(name: &str) -> Vec<u8> {
    join(b"m", &[name.as_bytes()])
}

/// Counts: all users of one source and stated account in one month, from a subject on.
pub fn counts(source: u16, account: Id, month: u16, first: Id) -> Vec<u8> {
    join(b"c", &[&source.to_be_bytes(), &account.to_be_bytes(), &month.to_be_bytes(), &first.to_be_bytes()])
}

/// What all chunks of one source, stated account and month begin with.
pub fn counts_of(source: u16, account: Id, month: u16) -> Vec<u8> {
    join(b"c", &[&source.to_be_bytes(), &account.to_be_bytes(), &month.to_be_bytes()])
}

/// The parts of a key of counts: stated account and month.
pub fn read_counts(key: &[u8]) -> Option<(Id, u16, Id)> {
    let account = key.get(3..7)?.try_into().ok()?;
    let month = key.get(7..9)?.try_into().ok()?;
    let first = key.get(9..13)?.try_into().ok()?;
    Some((Id::from_be_bytes(account), u16::from_be_bytes(month), Id::from_be_bytes(first)))
}

/// Statements about a group of subjects in one month.
pub fn statements(about: About, source: u16, shard: u32, month: u16) -> Vec<u8> {
    join(b"s", &[&[about as u8], &source.to_be_bytes(), &shard.to_be_bytes(), &month.to_be_bytes()])
}

/// The parts of a key of statements: what they are about, and the month.
pub fn read_statements(key: &[u8]) -> Option<(About, u16)> {
    let about = *About::ALL.get(usize::from(*key.get(1)?))?;
    Some((about, u16::from_be_bytes(key.get(8..10)?.try_into().ok()?)))
}

/// Fingerprints of the calls that a source received on a day.
pub fn fingerprints(source: u16, day: i32, part: u32) -> Vec<u8> {
    // The sign bit flipped, so that days sort.
    let day = (day as u32) ^ (1 << 31);
    join(b"d", &[&source.to_be_bytes(), &day.to_be_bytes(), &part.to_be_bytes()])
}

/// All fingerprints of a source.
pub fn fingerprints_of(source: u16) -> Vec<u8> {
    join(b"d", &[&source.to_be_bytes()])
}

/// The parts of a key of fingerprints: day and part.
pub fn read_fingerprints(key: &[u8]) -> Option<(i32, u32)> {
    let day = u32::from_be_bytes(key.get(3..7)?.try_into().ok()?) ^ (1 << 31);
    Some((day as i32, u32::from_be_bytes(key.get(7..11)?.try_into().ok()?)))
}

/// What is known of one file of a source.
pub fn file(source: u16, path: &str) -> Vec<u8> {
    join(b"f", &[&source.to_be_bytes(), path.as_bytes()])
}

/// All files of a source.
pub fn files_of(source: u16) -> Vec<u8> {
    join(b"f", &[&source.to_be_bytes()])
}

/// An interned name: `a` account, `s` subject, `e` event, `o` source.
pub fn name(kind: u8, id: Id) -> Vec<u8> {
    join(b"i", &[&[kind], &id.to_be_bytes()])
}

/// All interned names of a kind.
pub fn names(kind: u8) -> Vec<u8> {
    join(b"i", &[&[kind]])
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
