//! How counts and statements are written: a version byte, then variable-length integers and texts.
//!
//! Decoding takes any bytes and answers with an error, never with a panic or a huge allocation.

use vitalsync_core::time::{DAY_MS, Day};
use vitalsync_core::usage::{Content, Count, DayUse, Id, Stated};

/// The version of both encodings.
const VERSION: u8 = 1;

/// Bytes that are not what this program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// The month of a day, in months since year 0.
pub fn month(day: Day) -> u16 {
    use chrono::Datelike;
    let date = day.date();
    u16::try_from(date.year().clamp(0, 5000) as u32 * 12 + date.month0()).unwrap_or(u16::MAX)
}

/// The first day of a month.
pub fn month_start(month: u16) -> Day {
    Day::from_ymd(i32::from(month / 12), u32::from(month % 12) + 1, 1).unwrap_or_default()
}

/// One subject's days of a month, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectMonth {
    /// The subject.
    pub subject: Id,
    /// What it did on which day.
    pub days: Vec<(Day, DayUse)>,
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)) as u64);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.bytes.split_first().ok_or(Broken)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Broken> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(Broken)?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken)
    }

    fn signed(&mut self) -> Result<i64, Broken> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn id(&mut self) -> Result<Id, Broken> {
        Id::try_from(self.number()?).map_err(|_| Broken)
    }

    fn text(&mut self) -> Result<&'a str, Broken> {
        let length = usize::try_from(self.number()?).map_err(|_| Broken)?;
        if length > self.bytes.len() {
            return Err(Broken);
        }
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        std::str::from_utf8(text).map_err(|_| Broken)
    }

    fn version(&mut self) -> Result<(), Broken> {
        if self.byte()? == VERSION { Ok(()) } else { Err(Broken) }
    }
}

/// Writes the counts of some subjects, given in order, in one month.
pub fn encode_counts(month: u16, subjects: &[SubjectMonth]) -> Vec<u8> {
    let start = month_start(month);
    let mut out = vec![VERSION];
    let mut previous = 0;
    for subject in subjects {
        put(&mut out, u64::from(subject.subject - previous));
        previous = subject.subject;
        put(&mut out, subject.days.len() as u64);
        for (day, uses) in &subject.days {
            out.push((day.0 - start.0) as u8);
            put_signed(&mut out, uses.last - i64::from(day.0) * DAY_MS);
            put(&mut out, uses.counts.len() as u64);
            for Count { event, lag, count } in &uses.counts {
                put(&mut out, u64::from(*event));
                put_signed(&mut out, i64::from(*lag));
                put_signed(&mut out, *count);
            }
        }
    }
    out
}

/// Reads what [`encode_counts`] wrote.
pub fn decode_counts(month: u16, bytes: &[u8]) -> Result<Vec<SubjectMonth>, Broken> {
    let start = month_start(month);
    let mut reader = Reader { bytes };
    reader.version()?;
    let (mut subjects, mut previous) = (Vec::new(), 0u32);
    while !reader.bytes.is_empty() {
        let subject = previous.checked_add(reader.id()?).ok_or(Broken)?;
        previous = subject;
        let mut found = SubjectMonth { subject, days: Vec::new() };
        for _ in 0..reader.number()? {
            let day = start.plus(i32::from(reader.byte()?));
            let last = i64::from(day.0) * DAY_MS + reader.signed()?;
            let mut uses = DayUse { last, counts: Vec::new() };
            for _ in 0..reader.number()? {
                let event = reader.id()?;
                let lag = i32::try_from(reader.signed()?).map_err(|_| Broken)?;
                uses.counts.push(Count { event, lag, count: reader.signed()? });
            }
            found.days.push((day, uses));
        }
        subjects.push(found);
    }
    Ok(subjects)
}

/// A statement with whom it is about, its day and (of traits) their names.
pub type Entry = (Id, Day, Box<str>, Stated<Content>);

/// Writes statements about subjects in one month. Texts that repeat (traits mostly do) are written once.
pub fn encode_statements(month: u16, entries: &[Entry]) -> Vec<u8> {
    let start = month_start(month);
    let mut texts: Vec<&str> = Vec::new();
    let mut index = rustc_hash::FxHashMap::default();
    for (_, _, names, stated) in entries {
        let json = if let Content::Traits(json) = &stated.value { &**json } else { "" };
        for text in [&**names, json] {
            index.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as u64 - 1
            });
        }
    }
    let mut out = vec![VERSION];
    put(&mut out, texts.len() as u64);
    texts.iter().for_each(|text| put_text(&mut out, text));
    for (id, day, names, stated) in entries {
        put(&mut out, u64::from(*id));
        out.push((day.0 - start.0) as u8);
        put(&mut out, index.get(&**names).copied().unwrap_or_default());
        put_signed(&mut out, stated.at - i64::from(day.0) * DAY_MS);
        put_text(&mut out, &stated.message);
        match &stated.value {
            Content::Id(value) => put(&mut out, u64::from(*value) + 1),
            Content::Traits(json) => {
                put(&mut out, 0);
                put(&mut out, index.get(&**json).copied().unwrap_or_default());
            }
        }
    }
    out
}

/// Reads what [`encode_statements`] wrote.
pub fn decode_statements(month: u16, bytes: &[u8]) -> Result<Vec<Entry>, Broken> {
    let start = month_start(month);
    let mut reader = Reader { bytes };
    reader.version()?;
    let mut texts = Vec::new();
    for _ in 0..reader.number()? {
        texts.push(reader.text()?);
    }
    let text = |index: u64| usize::try_from(index).ok().and_then(|index| texts.get(index)).copied().ok_or(Broken);
    let mut entries = Vec::new();
    while !reader.bytes.is_empty() {
        let id = reader.id()?;
        let day = start.plus(i32::from(reader.byte()?));
        let names = text(reader.number()?)?.into();
        let at = i64::from(day.0) * DAY_MS + reader.signed()?;
        let message = reader.text()?.into();
        let value = match reader.number()? {
            0 => Content::Traits(text(reader.number()?)?.into()),
            id => Content::Id(Id::try_from(id - 1).map_err(|_| Broken)?),
        };
        entries.push((id, day, names, Stated { at, message, value }));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn months_cover_their_days() {
        for text in ["2000-01-01", "2024-02-29", "2026-12-31", "2099-12-31"] {
            let day = Day::parse(text).unwrap();
            let start = month_start(month(day));
            assert!(start <= day && day.0 - start.0 < 31, "{text}");
        }
    }

    proptest! {
        #[test]
        fn counts_come_back(raw in prop::collection::vec((1u32..50, 0i32..28, any::<i32>(), 1u32..9, -3i32..400, 1i64..1_000_000), 0..40)) {
            let month = month(Day::parse("2026-02-10").unwrap());
            let start = month_start(month);
            let mut subjects: std::collections::BTreeMap<Id, std::collections::BTreeMap<Day, DayUse>> = Default::default();
            for (subject, day, last, event, lag, count) in raw {
                let uses = subjects.entry(subject).or_default().entry(start.plus(day)).or_default();
                uses.last = i64::from(start.plus(day).0) * DAY_MS + i64::from(last);
                uses.add(event, lag, count);
            }
            let subjects: Vec<SubjectMonth> =
                subjects.into_iter().map(|(subject, days)| SubjectMonth { subject, days: days.into_iter().collect() }).collect();
            prop_assert_eq!(decode_counts(month, &encode_counts(month, &subjects)).unwrap(), subjects);
        }

        #[test]
        fn statements_come_back(raw in prop::collection::vec((1u32..50, 0i32..28, any::<i32>(), "[a-z]{0,3}", "\\PC{0,9}", any::<Option<u32>>()), 0..40)) {
            let month = month(Day::parse("2026-02-10").unwrap());
            let entries: Vec<Entry> = raw.into_iter().map(|(id, day, at, names, text, value)| {
                let day = month_start(month).plus(day);
                let value = value.map_or_else(|| Content::Traits(text.clone().into()), |id| Content::Id(id / 2));
                (id, day, names.into(), Stated { at: i64::from(day.0) * DAY_MS + i64::from(at), message: text.into(), value })
            }).collect();
            prop_assert_eq!(decode_statements(month, &encode_statements(month, &entries)).unwrap(), entries);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            let _ = decode_counts(24_300, &bytes);
            let _ = decode_statements(24_300, &bytes);
        }
    }
}
