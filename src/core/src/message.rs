//! The id of a call, as the sender gave it: kept to tell which of two statements of the same moment is the later.
//!
//! Nearly all are UUIDs in their usual form, which take sixteen bytes and no allocation; they order as their texts do.

use std::cmp::Ordering;
use std::fmt;

/// A call's id, or what stands for it.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// A UUID, written in lower case with four hyphens.
    Uuid([u8; 16]),
    /// Any other text.
    Text(Box<str>),
}

impl Default for Message {
    fn default() -> Self {
        Self::Text("".into())
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0u8; 16];
    let mut at = 0;
    for (index, byte) in bytes.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = digit(text[at])? << 4 | digit(text[at + 1])?;
        at += 2;
    }
    Some(bytes)
}

fn written(uuid: &[u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    text
}

impl Message {
    /// The id that a text is.
    pub fn of(text: &str) -> Self {
        uuid(text).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }

    /// True for the empty text.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

impl Ord for Message {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Text(b)) => written(a).as_slice().cmp(b.as_bytes()),
            (Self::Text(a), Self::Uuid(b)) => a.as_bytes().cmp(written(b).as_slice()),
        }
    }
}

impl PartialOrd for Message {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => f.write_str(&String::from_utf8_lossy(&written(uuid))),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_order_as_their_texts(
            a in "[0-9a-c]{8}-[0-9a-c]{4}-[0-9a-c]{4}-[0-9a-c]{4}-[0-9a-c]{12}|[0-9a-zA-Z-]{0,40}",
            b in "[0-9a-c]{8}-[0-9a-c]{4}-[0-9a-c]{4}-[0-9a-c]{4}-[0-9a-c]{12}|[0-9a-zA-Z-]{0,40}",
        ) {
            let (one, other) = (Message::of(&a), Message::of(&b));
            prop_assert_eq!(one.to_string(), a.clone());
            prop_assert_eq!(one.cmp(&other), a.cmp(&b));
            prop_assert_eq!(one == other, a == b);
        }
    }

    #[test]
    fn only_the_usual_form_is_packed() {
        let text = "fd7abbc2-6dc0-4953-9fe5-cced5121347d";
        assert!(matches!(Message::of(text), Message::Uuid(_)));
        for other in [&text.to_uppercase(), &text.replace('-', ""), "", "m1", &text.replace('-', "a")] {
            assert!(matches!(Message::of(other), Message::Text(_)), "{other}");
        }
    }
}
