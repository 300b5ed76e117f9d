//! How counts, statements and names are written: a version byte, then variable-length integers and texts.
//!
//! Decoding takes any bytes and answers with an error, never with a panic or a huge allocation.

pub(super) mod old;
mod snapshots;
mod statements;

use std::ops::Range;

use vitalsync_core::time::{DAY_MS, Day};
use vitalsync_core::usage::{Id, Spot};

pub use self::snapshots::{Made, encode_snapshots, read_snapshots};
pub use self::statements::{Entry, Statements, encode_statements, read_statements};

/// The version of all encodings.
const VERSION: u8 = 2;

/// Bytes that are not what this program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// A value that says nothing, for keys of the kinds that are written one after the other at one place: counts, fingerprints.
pub fn blank(key: &[u8]) -> Option<&'static [u8]> {
    match key.first()? {
        b'c' => Some(&[VERSION]),
        b'd' => Some(&[]),
        _ => None,
    }
}

/// The month of a day, in months since year 0.
pub fn month(day: Day) -> u16 {
    use chrono::Datelike;
    /// The days that calls can have: 2000 to 2099.
    const DAYS: Range<i32> = 10_957..47_482;
    static MONTHS: std::sync::LazyLock<Vec<u16>> =
        std::sync::LazyLock::new(|| DAYS.map(|day| slow(Day(day))).collect());
    fn slow(day: Day) -> u16 {
        let date = day.date();
        u16::try_from(date.year().clamp(0, 5000) as u32 * 12 + date.month0()).unwrap_or(u16::MAX)
    }
    let known = usize::try_from(day.0 - DAYS.start).ok().and_then(|place| MONTHS.get(place));
    known.copied().unwrap_or_else(|| slow(day))
}

/// The first day of a month.
pub fn month_start(month: u16) -> Day {
    Day::from_ymd(i32::from(month / 12), u32::from(month % 12) + 1, 1).unwrap_or_default()
}

/// The same, from a table.
pub fn month_start_fast(month: u16) -> Day {
    const MONTHS: Range<u16> = 24_000..25_200;
    static STARTS: std::sync::LazyLock<Vec<Day>> = std::sync::LazyLock::new(|| MONTHS.map(month_start).collect());
    let known = month.checked_sub(MONTHS.start).and_then(|place| STARTS.get(usize::from(place)));
    known.copied().unwrap_or_else(|| month_start(month))
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
    /// Of bytes in the form of this program's version.
    fn new(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Self { bytes };
        if reader.byte()? == VERSION { Ok(reader) } else { Err(Broken) }
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.bytes.split_first().ok_or(Broken)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Broken> {
        let Some(word) = self.bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else { return self.tail() };
        // The first byte without the mark is the last of the number. Its sevens of bits move together by halves.
        let last = !word & 0x8080_8080_8080_8080;
        if last == 0 {
            return self.tail();
        }
        let bits = last.trailing_zeros();
        let word = word & (u64::MAX >> (63 - bits)) & 0x7f7f_7f7f_7f7f_7f7f;
        let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
        let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
        let word = word & 0x0fff_ffff | word >> 32 << 28;
        self.bytes = self.bytes.get(bits as usize / 8 + 1..).ok_or(Broken)?;
        Ok(word)
    }

    /// A number that mostly is a single byte.
    fn small(&mut self) -> Result<u64, Broken> {
        match self.bytes.split_first() {
            Some((first, rest)) if *first < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(*first))
            }
            _ => self.number(),
        }
    }

    /// A number that is longer than a word, or near the end.
    #[cold]
    fn tail(&mut self) -> Result<u64, Broken> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
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

    fn lag(&mut self) -> Result<i32, Broken> {
        i32::try_from(self.signed()?).map_err(|_| Broken)
    }

    /// A number of milliseconds since the begin of a day, in any zone, on a clock that may be far off.
    fn moment(&mut self, day: Day) -> Result<i64, Broken> {
        (i64::from(day.0) * DAY_MS).checked_add(self.signed()?).ok_or(Broken)
    }

    fn text(&mut self) -> Result<&'a str, Broken> {
        let length = usize::try_from(self.number()?).map_err(|_| Broken)?;
        let (text, rest) = self.bytes.split_at_checked(length).ok_or(Broken)?;
        self.bytes = rest;
        std::str::from_utf8(text).map_err(|_| Broken)
    }
}

/// How often one event happened on a spot, with the latest moment of the spot: counts as they are merged, many millions of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The id that acted.
    pub subject: Id,
    /// The event day.
    pub day: Day,
    /// Received day − event day.
    pub lag: i32,
    /// The event.
    pub event: Id,
    /// How often.
    pub count: i64,
    /// The latest moment, in milliseconds since 1970 UTC. Of the cells of a spot the latest counts.
    pub last: i64,
}

impl Cell {
    /// The order in which they are written.
    pub fn order(&self) -> (Id, Day, i32, Id) {
        (self.subject, self.day, self.lag, self.event)
    }

    fn spot(&self) -> (Id, Day, i32) {
        (self.subject, self.day, self.lag)
    }
}

// One byte begins a spot: the day of the month, whether a lag follows, whether several events follow.
const DAY_BITS: u8 = 0x1f;
const LAGS: u8 = 0x20;
const SEVERAL: u8 = 0x40;

/// Begins a value of counts.
pub fn begin_counts(out: &mut Vec<u8>) {
    out.clear();
    out.push(VERSION);
}

/// Writes one subject's cells of a month, in order, behind those of the subject `previous` (0: it is the first). Cells whose
/// count is 0 must not be among them.
pub fn put_subject(out: &mut Vec<u8>, month: u16, previous: Id, cells: &[Cell]) {
    let start = month_start_fast(month);
    let Some(first) = cells.first() else { return };
    put(out, u64::from(first.subject - previous));
    let spots = cells.chunk_by(|a, b| a.spot() == b.spot());
    put(out, spots.clone().count() as u64);
    for spot in spots {
        let Some(first) = spot.first() else { continue };
        let several = spot.len() > 1;
        let mut head = (first.day.0 - start.0) as u8 & DAY_BITS;
        head |= if first.lag == 0 { 0 } else { LAGS };
        head |= if several { SEVERAL } else { 0 };
        out.push(head);
        if first.lag != 0 {
            put_signed(out, i64::from(first.lag));
        }
        let last = spot.iter().map(|cell| cell.last).max().unwrap_or_default();
        put_signed(out, last - i64::from(first.day.0) * DAY_MS);
        if several {
            put(out, spot.len() as u64);
        }
        for cell in spot {
            // Nearly every count is one.
            put(out, u64::from(cell.event) << 1 | u64::from(cell.count != 1));
            if cell.count != 1 {
                put_signed(out, cell.count);
            }
        }
    }
}

/// Ends a block: what one account has in one month, behind one of the account and month `previous`, in whose order they
/// come. The first block of a value follows on what its key says.
pub fn put_block(out: &mut Vec<u8>, previous: (Id, u16), (account, month): (Id, u16), body: &[u8]) {
    put(out, u64::from(account - previous.0));
    put_signed(out, i64::from(month) - i64::from(previous.1));
    put(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// Where the blocks of a value begin.
pub fn blocks_begin(value: &[u8]) -> Result<usize, Broken> {
    Reader::new(value).map(|reader| value.len() - reader.bytes.len())
}

/// The block at a place in a value, behind one of the account and month `previous`: its account and month, and where its
/// body is.
pub fn next_block(value: &[u8], at: usize, previous: (Id, u16)) -> Result<((Id, u16), Range<usize>), Broken> {
    let mut reader = Reader { bytes: value.get(at..).ok_or(Broken)? };
    let account = previous.0.checked_add(reader.id()?).ok_or(Broken)?;
    let month = i64::from(previous.1).checked_add(reader.signed()?).ok_or(Broken)?;
    let month = u16::try_from(month).map_err(|_| Broken)?;
    let length = usize::try_from(reader.number()?).map_err(|_| Broken)?;
    let begin = value.len() - reader.bytes.len();
    let end = begin.checked_add(length).filter(|end| *end <= value.len()).ok_or(Broken)?;
    Ok(((account, month), begin..end))
}

/// The first id in a block.
pub fn first_subject(body: &[u8]) -> Result<Id, Broken> {
    Reader { bytes: body }.id()
}

/// Reads a block of counts, spot by spot.
pub fn read_block(
    account: Id,
    month: u16,
    body: &[u8],
    counts: &mut Vec<(Id, i64)>,
    mut take: impl FnMut(&Spot, i64, &[(Id, i64)]),
) -> Result<(), Broken> {
    let start = month_start_fast(month);
    let mut reader = Reader { bytes: body };
    let mut subject = 0u32;
    while !reader.bytes.is_empty() {
        subject = subject.checked_add(reader.id()?).ok_or(Broken)?;
        for _ in 0..reader.small()? {
            let head = reader.byte()?;
            let day = start.plus(i32::from(head & DAY_BITS));
            let lag = if head & LAGS != 0 { reader.lag()? } else { 0 };
            let last = reader.moment(day)?;
            let several = if head & SEVERAL != 0 { reader.small()? } else { 1 };
            counts.clear();
            for _ in 0..several {
                let event = reader.small()?;
                let count = if event & 1 == 0 { 1 } else { reader.signed()? };
                counts.push((Id::try_from(event >> 1).map_err(|_| Broken)?, count));
            }
            take(&Spot { account, subject, day, lag }, last, counts);
        }
    }
    Ok(())
}

/// Reads a value of counts whose key begins with an account and month, spot by spot.
pub fn read_counts(
    mut place: (Id, u16),
    value: &[u8],
    counts: &mut Vec<(Id, i64)>,
    mut take: impl FnMut(&Spot, i64, &[(Id, i64)]),
) -> Result<(), Broken> {
    let mut read = blocks_begin(value)?;
    while read < value.len() {
        let (next, body) = next_block(value, read, place)?;
        (place, read) = (next, body.end);
        read_block(place.0, place.1, value.get(body).ok_or(Broken)?, counts, &mut take)?;
    }
    Ok(())
}

/// Writes names.
pub fn encode_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = vec![VERSION];
    names.for_each(|name| put_text(&mut out, name));
    out
}

/// Reads what [`encode_names`] wrote.
pub fn read_names(bytes: &[u8], mut take: impl FnMut(&str)) -> Result<(), Broken> {
    let mut reader = Reader::new(bytes)?;
    while !reader.bytes.is_empty() {
        take(reader.text()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vitalsync_core::message::Message;
    use vitalsync_core::usage::{About, Content, LAST, Stated, Subject};

    use super::*;

    fn february() -> u16 {
        month(Day::parse("2026-02-10").unwrap())
    }

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
        fn counts_come_back(raw in prop::collection::btree_map((1u32..50, 0i32..28, -3i32..400, 1u32..9), (any::<i32>(), -5i64..1_000_000), 0..40)) {
            let (month, start) = (february(), month_start(february()));
            let cells: Vec<Cell> = raw.into_iter().filter(|(_, (_, count))| *count != 0).map(|((subject, day, lag, event), (last, count))| {
                let day = start.plus(day);
                Cell { subject, day, lag, event, count, last: i64::from(day.0) * DAY_MS + i64::from(last) }
            }).collect();
            let (mut out, mut body, mut previous) = (Vec::new(), Vec::new(), 0);
            begin_counts(&mut out);
            for subject in cells.chunk_by(|a, b| a.subject == b.subject) {
                put_subject(&mut body, month, previous, subject);
                previous = subject[0].subject;
            }
            put_block(&mut out, (5, 25_000), (7, month), &body);
            let mut back = Vec::new();
            read_counts((5, 25_000), &out, &mut Vec::new(), |spot, last, counts| {
                back.extend(counts.iter().map(|(event, count)| (*spot, last, *event, *count)));
            }).unwrap();
            prop_assert_eq!(back.len(), cells.len());
            for (cell, (spot, last, event, count)) in cells.iter().zip(back) {
                let latest = cells.iter().filter(|other| other.spot() == cell.spot()).map(|other| other.last).max();
                prop_assert_eq!((spot.account, spot.subject, spot.day, spot.lag), (7, cell.subject, cell.day, cell.lag));
                prop_assert_eq!((Some(last), event, count), (latest, cell.event, cell.count));
            }
        }

        #[test]
        fn statements_come_back(raw in prop::collection::vec((1u32..50, 0i32..28, any::<i32>(), 0i32..3, "\\PC{0,9}|fd7abbc2-6dc0-4953-9fe5-cced5121347d", prop::collection::vec("[a-z\"]{0,3}", 1..4)), 0..40), is_id in any::<bool>()) {
            let about = if is_id { About::Link } else { About::UserTraits };
            let mut entries: Vec<Entry> = raw.into_iter().map(|(id, day, at, lag, text, values)| {
                let day = month_start(february()).plus(day);
                let value = if is_id { Content::Id(id * 3) } else { Content::Traits(values.join("\u{1f}").into()) };
                let stated = Stated { at: i64::from(day.0) * DAY_MS + i64::from(at), message: Message::of(&text), value };
                (Subject { about, id, day, lag, part: LAST + lag as u32 }, stated)
            }).collect();
            entries.sort();
            let mut back = Vec::new();
            read_statements(about, february(), &encode_statements(february(), &entries), |subject, stated| back.push((subject, stated))).unwrap();
            prop_assert_eq!(back, entries);
        }

        #[test]
        fn names_come_back(names in prop::collection::vec("\\PC{0,9}", 0..9)) {
            let mut back = Vec::new();
            read_names(&encode_names(names.iter().map(String::as_str)), |name| back.push(name.to_owned())).unwrap();
            prop_assert_eq!(back, names);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            decode(&bytes);
        }

        #[test]
        fn damaged_values_are_read_or_refused(seed in any::<u64>()) {
            decode(&damaged(&mut Random(seed)));
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end.max(1)
        }
    }

    /// Reads bytes as everything that values can be, and what was read as the program goes on to use it.
    fn decode(bytes: &[u8]) -> usize {
        let mut read = 0;
        for month in [24_300, 0, u16::MAX] {
            let _ = read_counts((1, month), bytes, &mut Vec::new(), |spot, _, counts| {
                read += counts.len() + usize::from(spot.received() > spot.day);
            });
            let key = crate::store::keys::counts(1, 1, 1, month, 0);
            let _ = crate::store::runs::keep(&key, bytes, |spot, _| spot.subject % 2 == 0);
            for about in About::ALL {
                let _ = read_statements(about, month, bytes, |subject, _| {
                    read += usize::from(subject.received() > subject.day)
                });
            }
        }
        let _ = read_names(bytes, |name| read += name.len());
        let _ = read_snapshots(bytes, |_, snapshot| read += usize::from(snapshot.score > 1.0));
        read
    }

    /// A value as this program writes it, with some bytes changed, lost, doubled or put in.
    fn damaged(random: &mut Random) -> Vec<u8> {
        let start = month_start(february());
        let mut out = Vec::new();
        match random.below(3) {
            0 => {
                begin_counts(&mut out);
                let (mut previous, mut subject) = (0, 0);
                let mut body = Vec::new();
                for _ in 0..1 + random.below(6) {
                    subject += 1 + random.below(300) as u32;
                    let cells: Vec<Cell> = (0..1 + random.below(4) as i32)
                        .map(|n| Cell {
                            subject,
                            day: start.plus(n * 7),
                            lag: random.below(3) as i32,
                            event: 1 + random.below(200) as u32,
                            count: 1 + random.below(3) as i64,
                            last: i64::from(start.0) * DAY_MS + random.below(1 << 31) as i64,
                        })
                        .collect();
                    put_subject(&mut body, february(), previous, &cells);
                    previous = subject;
                    if random.below(3) == 0 {
                        put_block(&mut out, (1, february()), (2, february()), &std::mem::take(&mut body));
                        previous = 0;
                    }
                }
                put_block(&mut out, (1, february()), (1, february()), &body);
            }
            1 => {
                let is_id = random.below(2) == 0;
                let entries: Vec<Entry> = (0..1 + random.below(5) as u32)
                    .map(|n| {
                        let value =
                            if is_id { Content::Id(n) } else { Content::Traits("\"a\"\u{1f}true\u{1f}\"a\"".into()) };
                        let message =
                            Message::of(if n % 2 == 0 { "fd7abbc2-6dc0-4953-9fe5-cced5121347d" } else { "m" });
                        let day = start.plus(random.below(28) as i32);
                        let about = if is_id { About::Membership } else { About::AccountTraits };
                        (
                            Subject { about, id: n * 9, day, lag: n as i32, part: n },
                            Stated { at: i64::from(day.0) * DAY_MS, message, value },
                        )
                    })
                    .collect();
                out = encode_statements(february(), &entries);
            }
            _ => out = encode_names(["acme", "", "ümlaut", "u\u{1f}"].into_iter()),
        }
        for _ in 0..random.below(5) {
            let at = random.below(out.len());
            match random.below(6) {
                0 => out[at] = random.below(256) as u8,
                1 => out[at] ^= 1 << random.below(8),
                2 => out.truncate(at.max(1)),
                3 => out.insert(at, [0xff, 0x80, 0x7f, 0][random.below(4)]),
                4 => out.splice(at..at, [0xff; 9]).for_each(drop),
                _ => out.extend_from_within(at..),
            }
        }
        if let Some(first) = out.first_mut() {
            *first = VERSION;
        }
        out
    }

    /// `VITALSYNC_FUZZ_SECONDS` says how long; else a moment.
    #[test]
    fn damaged_values_are_read_or_refused_for_long() {
        let seconds = std::env::var("VITALSYNC_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let started = std::time::Instant::now();
        let (mut cases, mut read) = (0u64, 0usize);
        while cases < 2_000 || started.elapsed().as_secs() < seconds {
            read += decode(&damaged(&mut Random(cases.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
            cases += 1;
        }
        println!("{cases} cases, {read} things read");
        assert!(read > 0, "nothing was read; this tests nothing");
    }
}
