//! The id of a call, as the sender gave it: kept to tell which of two statements of the same moment is the later.
//!
//! Nearly all are UUIDs in their usual form. Of these the first half decides, which takes eight bytes and no allocation:
//! they order as their texts do, and two of the same moment that agree in it are told apart by what they say.

use std::cmp::Ordering;
use std::fmt;

/// A call's id, or what stands for it.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// The first half of a UUID that is written in lower case with four hyphens.
    Uuid(u64),
    /// Any other text.
    Text(Box<str>),
}

impl Default for Message {
    fn default() -> Self {
        Self::Text("".into())
    }
}

/// The length of the first half of a UUID in text.
const HALF: usize = 18;

fn digit(byte: u8) -> Option<u64> {
    match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        b'a'..=b'f' => Some(u64::from(byte - b'a' + 10)),
        _ => None,
    }
}

fn uuid(text: &str) -> Option<u64> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut half = 0;
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else {
            let digit = digit(*byte)?;
            if at < HALF {
                half = half << 4 | digit;
            }
        }
    }
    Some(half)
}

fn written(half: u64) -> [u8; HALF] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (mut text, mut left) = ([b'-'; HALF], half);
    for at in (0..HALF).rev().filter(|at| !matches!(at, 8 | 13)) {
        text[at] = DIGITS[(left & 15) as usize];
        left >>= 4;
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
            // A UUID goes on after its first half.
            (Self::Uuid(a), Self::Text(b)) => written(*a).as_slice().cmp(b.as_bytes()).then(Ordering::Greater),
            (Self::Text(a), Self::Uuid(b)) => a.as_bytes().cmp(written(*b).as_slice()).then(Ordering::Less),
        }
    }
}

impl PartialOrd for Message {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(half) => f.write_str(&String::from_utf8_lossy(&written(*half))),
            Self::Text(text) => f.write_str(text),
        }
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
            if matches!((&one, &other), (Message::Uuid(one), Message::Uuid(other)) if one == other) {
                prop_assert_eq!(&a[..HALF], &b[..HALF]);
            } else {
                prop_assert_eq!(one.cmp(&other), a.cmp(&b));
                prop_assert_eq!(one == other, a == b);
            }
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
