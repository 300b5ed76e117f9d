//! How counts and statements were written in layout 1: only to be read once, by [`upgrade`](super::super::upgrade).

use vitalsync_core::time::Day;
use vitalsync_core::usage::{About, Id};

use super::{Broken, Reader, month_start_fast};
use crate::store::keys::Generation;

/// The version of its encodings.
const VERSION: u8 = 1;

fn reader(bytes: &[u8]) -> Result<Reader<'_>, Broken> {
    let mut reader = Reader { bytes };
    if reader.byte()? == VERSION { Ok(reader) } else { Err(Broken) }
}

/// The stated account and month of a key of counts: `c`, source, account, month, first subject.
pub fn counts_key(key: &[u8]) -> Option<(Id, u16)> {
    let account = key.get(3..7)?.try_into().ok()?;
    Some((Id::from_be_bytes(account), u16::from_be_bytes(key.get(7..9)?.try_into().ok()?)))
}

/// What a key of statements is about, and the month: `s`, about, source, shard, month.
pub fn statements_key(key: &[u8]) -> Option<(About, u16)> {
    let about = *About::ALL.get(usize::from(*key.get(1)?))?;
    Some((about, u16::from_be_bytes(key.get(8..10)?.try_into().ok()?)))
}

/// The source's number in a key of statements.
pub fn statements_generation(key: &[u8]) -> Option<Generation> {
    Some(Generation::from_be_bytes(key.get(2..4)?.try_into().ok()?))
}

/// Reads a value of counts: subject, day, the day's latest moment, event, lag, count.
pub fn read_counts(month: u16, bytes: &[u8], mut take: impl FnMut(Id, Day, i64, Id, i32, i64)) -> Result<(), Broken> {
    let start = month_start_fast(month);
    let mut reader = reader(bytes)?;
    let mut subject = 0u32;
    while !reader.bytes.is_empty() {
        subject = subject.checked_add(reader.id()?).ok_or(Broken)?;
        for _ in 0..reader.number()? {
            let day = start.plus(i32::from(reader.byte()?));
            let last = reader.moment(day)?;
            for _ in 0..reader.number()? {
                let (event, lag) = (reader.id()?, reader.lag()?);
                take(subject, day, last, event, lag, reader.signed()?);
            }
        }
    }
    Ok(())
}

/// What was stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// An account or user.
    Id(Id),
    /// Traits, as a JSON object.
    Traits(&'a str),
}

/// Reads a value of statements: whom it is about, the day, names of traits (or `<` for the first of a day), when, the call's
/// id, what.
pub fn read_statements(
    month: u16,
    bytes: &[u8],
    mut take: impl FnMut(Id, Day, &str, i64, &str, Said<'_>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let start = month_start_fast(month);
    let mut reader = reader(bytes)?;
    let mut texts = Vec::new();
    for _ in 0..reader.number()? {
        texts.push(reader.text()?);
    }
    let text = |index: u64| usize::try_from(index).ok().and_then(|index| texts.get(index)).copied().ok_or(Broken);
    while !reader.bytes.is_empty() {
        let id = reader.id()?;
        let day = start.plus(i32::from(reader.byte()?));
        let names = text(reader.number()?)?;
        let at = reader.moment(day)?;
        let message = reader.text()?;
        let said = match reader.number()? {
            0 => Said::Traits(text(reader.number()?)?),
            id => Said::Id(Id::try_from(id - 1).map_err(|_| Broken)?),
        };
        take(id, day, names, at, message, said)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            let _ = read_counts(24_300, &bytes, |_, _, _, _, _, _| {});
            let _ = read_statements(24_300, &bytes, |_, _, _, _, _, _| Ok(()));
        }
    }
}
