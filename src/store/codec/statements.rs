//! Statements: the values of one kind, month and write, in order.

use vitalsync_core::message::Message;
use vitalsync_core::time::{DAY_MS, Day};
use vitalsync_core::usage::{About, Content, Id, JOINT, Stated, Subject};

use super::{Broken, DAY_BITS, LAGS, Reader, VERSION, month_start_fast, put, put_signed, put_text};

/// A statement with what it is about.
pub type Entry = (Subject, Stated<Content>);

fn put_message(out: &mut Vec<u8>, message: &Message) {
    match message {
        // A text of length 0 is one of length 1 here, and so on.
        Message::Uuid(half) => {
            out.push(0);
            out.extend_from_slice(&half.to_be_bytes());
        }
        Message::Text(text) => {
            put(out, text.len() as u64 + 1);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn read_message(reader: &mut Reader<'_>) -> Result<Message, Broken> {
    let length = usize::try_from(reader.number()?).map_err(|_| Broken)?;
    let (bytes, rest) = reader.bytes.split_at_checked(length.checked_sub(1).unwrap_or(8)).ok_or(Broken)?;
    reader.bytes = rest;
    Ok(match length {
        0 => Message::Uuid(u64::from_be_bytes(bytes.try_into().map_err(|_| Broken)?)),
        _ => Message::Text(std::str::from_utf8(bytes).map_err(|_| Broken)?.into()),
    })
}

/// A value of statements of a kind in one month that is being written. Values of traits that repeat (they mostly do) are
/// written once.
#[derive(Debug)]
pub struct Statements<'e> {
    start: Day,
    /// The texts of values so far, how many they are, and where each is among them.
    texts: Vec<u8>,
    count: u64,
    places: rustc_hash::FxHashMap<&'e str, u64>,
    /// The statements so far, and what the last one is about.
    body: Vec<u8>,
    previous: Id,
    /// The places of the values of one.
    parts: Vec<u64>,
}

impl<'e> Statements<'e> {
    /// None so far.
    pub fn of(month: u16) -> Self {
        Self {
            start: month_start_fast(month),
            texts: Vec::new(),
            count: 0,
            places: rustc_hash::FxHashMap::default(),
            body: Vec::new(),
            previous: 0,
            parts: Vec::new(),
        }
    }

    /// Adds one that comes after those before; if the value then has more than `most` bytes, gives the one without it and
    /// begins another with it.
    pub fn add(&mut self, entry: &'e Entry, most: usize) -> Option<Vec<u8>> {
        let before = (self.texts.len(), self.count, self.body.len());
        self.put(entry);
        if before.2 == 0 || self.texts.len() + self.body.len() <= most {
            return None;
        }
        self.texts.truncate(before.0);
        self.count = before.1;
        self.body.truncate(before.2);
        let full = self.end();
        self.put(entry);
        Some(full)
    }

    fn put(&mut self, (subject, stated): &'e Entry) {
        let Self { texts, count, places, body, parts, .. } = self;
        put(body, u64::from(subject.id - self.previous));
        self.previous = subject.id;
        let lags = if subject.lag == 0 { 0 } else { LAGS };
        body.push((subject.day.0 - self.start.0) as u8 & DAY_BITS | lags);
        if subject.lag != 0 {
            put_signed(body, i64::from(subject.lag));
        }
        put(body, u64::from(subject.part));
        put_signed(body, stated.at - i64::from(subject.day.0) * DAY_MS);
        put_message(body, &stated.message);
        match &stated.value {
            Content::Id(value) => put(body, u64::from(*value)),
            Content::Traits(values) => {
                parts.clear();
                parts.extend(values.split(JOINT).map(|value| {
                    *places.entry(value).or_insert_with(|| {
                        put_text(texts, value);
                        *count += 1;
                        *count - 1
                    })
                }));
                put(body, parts.len() as u64);
                parts.iter().for_each(|place| put(body, *place));
            }
        }
    }

    /// The value; then there are none again.
    pub fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.texts.len() + self.body.len());
        out.push(VERSION);
        put(&mut out, self.count);
        out.append(&mut self.texts);
        out.append(&mut self.body);
        self.places.clear();
        (self.count, self.previous) = (0, 0);
        out
    }
}

/// Writes statements of a kind in one month, in order.
pub fn encode_statements(month: u16, entries: &[Entry]) -> Vec<u8> {
    let mut value = Statements::of(month);
    entries.iter().for_each(|entry| value.put(entry));
    value.end()
}

/// Reads what [`encode_statements`] wrote.
pub fn read_statements(
    about: About,
    month: u16,
    bytes: &[u8],
    mut take: impl FnMut(Subject, Stated<Content>),
) -> Result<(), Broken> {
    let start = month_start_fast(month);
    let mut reader = Reader::new(bytes)?;
    let mut texts = Vec::new();
    for _ in 0..reader.number()? {
        texts.push(reader.text()?);
    }
    let mut parts = Vec::new();
    let mut id: Id = 0;
    while !reader.bytes.is_empty() {
        id = id.checked_add(reader.id()?).ok_or(Broken)?;
        let head = reader.byte()?;
        let day = start.plus(i32::from(head & DAY_BITS));
        let lag = if head & LAGS != 0 { reader.lag()? } else { 0 };
        let part = reader.id()?;
        let at = reader.moment(day)?;
        let message = read_message(&mut reader)?;
        let value = if about.is_id() {
            Content::Id(reader.id()?)
        } else {
            parts.clear();
            let mut length = 0;
            for _ in 0..reader.number()? {
                let place = usize::try_from(reader.number()?).map_err(|_| Broken)?;
                let text = *texts.get(place).ok_or(Broken)?;
                length += text.len() + 1;
                // A few bytes must not become gigabytes.
                if length > 4 * vitalsync_core::call::MAX_LINE {
                    return Err(Broken);
                }
                parts.push(text);
            }
            let mut values = String::with_capacity(length.saturating_sub(1));
            for (index, text) in parts.iter().enumerate() {
                if index > 0 {
                    values.push(JOINT);
                }
                values.push_str(text);
            }
            Content::Traits(values.into())
        };
        take(Subject { about, id, day, lag, part }, Stated { at, message, value });
    }
    Ok(())
}
