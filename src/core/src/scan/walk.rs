//! The grammar of JSON, walked over one line without a copy.
//!
//! A first pass finds the quotes that open and close strings, 64 bytes at a time, and checks every escape; the walk then
//! jumps from quote to quote, which is what makes it fast: a call is mostly short strings that nobody asks for. Nothing is
//! decoded here. `None` always means "in doubt, ask `serde_json`": it comes for everything that is not JSON, and for some
//! things that are (control characters between tokens, deep nesting).

/// Objects and lists inside one another, at most.
const DEEPEST: u32 = 64;
/// Bytes in a block.
const BLOCK: usize = 64;
/// Blocks that are indexed at a time: a window.
const BLOCKS: usize = 32;

/// A walk over a text that is to be JSON.
pub(super) struct Walk<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// The quotes of the window, as bits; escaped ones left out. Eight bytes more than there are bits, so that a whole word
    /// can be read anywhere.
    quotes: [u8; BLOCKS * 8 + 8],
    /// Where the window starts, and where it ends.
    start: usize,
    end: usize,
    /// The byte that the last backslash escapes, if that is not indexed yet.
    escaped: Option<usize>,
    /// Whether there was a backslash.
    escapes: bool,
}

impl<'a> Walk<'a> {
    /// A walk over `text` up to its last byte that is not whitespace.
    #[inline]
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.trim_end_matches([' ', '\n', '\r', '\t']);
        let (bytes, quotes) = (text.as_bytes(), [0; BLOCKS * 8 + 8]);
        Self { text, bytes, quotes, start: 0, end: 0, escaped: None, escapes: false }
    }

    /// The first byte at or after a place that is not a space.
    pub(super) fn solid(&self, mut at: usize) -> usize {
        while self.bytes.get(at) == Some(&b' ') {
            at += 1;
        }
        at
    }

    /// Whether the text ends here, but for spaces.
    pub(super) fn ends(&self, at: usize) -> bool {
        self.solid(at) == self.bytes.len()
    }

    /// The text between two places.
    #[inline(always)]
    pub(super) fn slice(&self, start: usize, end: usize) -> Option<&'a str> {
        self.text.get(start..end)
    }

    /// The byte at a place.
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The text between two quotes; `None` if it has escapes.
    #[inline]
    pub(super) fn plain(&self, open: usize, close: usize) -> Option<&'a str> {
        self.bare(open, close)?;
        self.slice(open + 1, close)
    }

    /// The bytes between two quotes; `None` if there are escapes.
    #[inline]
    pub(super) fn key(&self, member: Member) -> Option<&'a [u8]> {
        self.bare(member.key, member.close)
    }

    #[inline(always)]
    fn bare(&self, open: usize, close: usize) -> Option<&'a [u8]> {
        let key = self.bytes.get(open + 1..close)?;
        (!self.escapes || is_bare(key)).then_some(key)
    }

    /// The closing quote of the string that opens at a place.
    #[inline]
    pub(super) fn string(&mut self, open: usize) -> Option<usize> {
        if self.byte(open)? != b'"' {
            return None;
        }
        let mut at = open + 1;
        loop {
            if at >= self.end {
                self.refill()?;
                continue;
            }
            let quotes = self.quotes_from(at)?;
            if quotes != 0 {
                return Some(at + quotes.trailing_zeros() as usize);
            }
            at = (at - (at - self.start) % 8 + 64).min(self.end);
        }
    }

    /// The quotes from a place in the window on, as bits: at least the next 57.
    #[inline(always)]
    fn quotes_from(&self, at: usize) -> Option<u64> {
        let place = at.checked_sub(self.start)?;
        Some(u64::from_le_bytes(*self.quotes.get(place / 8..)?.first_chunk()?) >> (place % 8))
    }

    /// Walks the members of the object that opens at a place, and returns the place after it. `member` returns the place
    /// after its value.
    #[inline]
    pub(super) fn object(
        &mut self,
        open: usize,
        mut member: impl FnMut(&mut Self, Member) -> Option<usize>,
    ) -> Option<usize> {
        let mut at = self.solid(open + 1);
        if self.byte(at)? == b'}' {
            return Some(at + 1);
        }
        loop {
            let one = self.member(at)?;
            let after = member(self, one)?;
            match self.next(after, b'}')? {
                Next::One(place) => at = place,
                Next::End(place) => return Some(place),
            }
        }
    }

    /// The member whose key opens at a place. Most are so short that the quotes of key and value are found at once.
    #[inline(always)]
    fn member(&mut self, key: usize) -> Option<Member> {
        if self.byte(key)? == b'"'
            && key + 1 < self.end
            && let quotes = self.quotes_from(key + 1)?
            && quotes != 0
        {
            let close = key + 1 + quotes.trailing_zeros() as usize;
            match self.pair(close + 1)? {
                [b':', b'"'] => {
                    let after = quotes & quotes.wrapping_sub(1);
                    let after = after & after.wrapping_sub(1);
                    let end = (after != 0).then(|| key + 1 + after.trailing_zeros() as usize);
                    return Some(Member { key, close, value: close + 2, end });
                }
                [b':', next] if next != b' ' => return Some(Member { key, close, value: close + 2, end: None }),
                _ => {}
            }
        }
        let (close, value) = self.long_member(key)?;
        Some(Member { key, close, value, end: None })
    }

    #[inline(never)]
    fn long_member(&mut self, key: usize) -> Option<(usize, usize)> {
        let close = self.string(key)?;
        let colon = self.solid(close + 1);
        (self.byte(colon)? == b':').then(|| (close, self.solid(colon + 1)))
    }

    #[inline(always)]
    fn pair(&self, at: usize) -> Option<[u8; 2]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// What follows a member or an item: a comma and the next one, or the end.
    #[inline(always)]
    fn next(&self, after: usize, end: u8) -> Option<Next> {
        if self.pair(after) == Some([b',', b'"']) {
            return Some(Next::One(after + 1));
        }
        let after = self.solid(after);
        match self.byte(after)? {
            b',' => Some(Next::One(self.solid(after + 1))),
            byte if byte == end => Some(Next::End(after + 1)),
            _ => None,
        }
    }

    fn list(&mut self, open: usize, depth: u32) -> Option<usize> {
        let mut at = self.solid(open + 1);
        if self.byte(at)? == b']' {
            return Some(at + 1);
        }
        loop {
            let after = self.value(at, depth)?;
            match self.next(after, b']')? {
                Next::One(place) => at = place,
                Next::End(place) => return Some(place),
            }
        }
    }

    /// The place after the value at a place.
    #[inline]
    pub(super) fn value(&mut self, at: usize, depth: u32) -> Option<usize> {
        match self.byte(at)? {
            b'"' => Some(self.string(at)? + 1),
            b'{' | b'[' => self.nested(at, depth),
            b't' | b'f' | b'n' => self.literal(at),
            _ => Some(self.number(at)?.0),
        }
    }

    /// The place after a member's value.
    #[inline(always)]
    pub(super) fn skip(&mut self, member: Member, depth: u32) -> Option<usize> {
        match member.end {
            Some(close) => Some(close + 1),
            None => self.value(member.value, depth),
        }
    }

    fn nested(&mut self, at: usize, depth: u32) -> Option<usize> {
        if depth >= DEEPEST {
            return None;
        }
        match self.byte(at)? {
            b'{' => self.object(at, |walk, member| walk.skip(member, depth + 1)),
            _ => self.list(at, depth + 1),
        }
    }

    /// The place after `true`, `false` or `null`.
    pub(super) fn literal(&self, at: usize) -> Option<usize> {
        let four = self.bytes.get(at..)?.first_chunk::<4>()?;
        match four {
            b"true" | b"null" => Some(at + 4),
            b"fals" if self.byte(at + 4)? == b'e' => Some(at + 5),
            _ => None,
        }
    }

    /// The place after a number, and whether it is an integer.
    pub(super) fn number(&self, at: usize) -> Option<(usize, bool)> {
        let digits = |mut at: usize| {
            while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let first = if self.byte(at)? == b'-' { at + 1 } else { at };
        let mut end = digits(first);
        if end == first || (self.byte(first)? == b'0' && end > first + 1) {
            return None;
        }
        let whole = end;
        if self.byte(end) == Some(b'.') {
            let start = end + 1;
            end = digits(start);
            if end == start {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.byte(end) {
            let start = end + 1 + usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            end = digits(start);
            if end == start {
                return None;
            }
        }
        Some((end, end == whole))
    }

    /// Indexes the next window; `None` if there is none, or something in it is odd.
    #[inline(never)]
    fn refill(&mut self) -> Option<()> {
        self.start = self.end;
        let (blocks, rest) = self.bytes.get(self.start..)?.as_chunks::<BLOCK>();
        let mut count = 0;
        for block in blocks.iter().take(BLOCKS) {
            let quotes = self.index(block)?;
            self.note(count, quotes)?;
            count += 1;
        }
        if count < BLOCKS && !rest.is_empty() {
            let quotes = self.last(rest)?;
            self.note(count, quotes)?;
            count += 1;
        }
        self.quotes.get_mut(count * 8..)?.fill(0);
        (count > 0).then_some(())
    }

    #[inline]
    fn note(&mut self, block: usize, quotes: u64) -> Option<()> {
        *self.quotes.get_mut(block * 8..)?.first_chunk_mut()? = quotes.to_le_bytes();
        Some(())
    }

    /// The quotes of the next block.
    #[inline(always)]
    fn index(&mut self, block: &[u8; BLOCK]) -> Option<u64> {
        let mut quotes = places(block, b'"');
        if is_odd(block) || self.escaped.is_some() {
            if block.iter().any(|byte| *byte < b' ') {
                return None;
            }
            quotes &= !self.escapes_of(block)?;
        }
        self.end += BLOCK;
        Some(quotes)
    }

    /// The quotes of what is left over, less than a block: from the last whole block of bytes if nothing is odd about it.
    fn last(&mut self, rest: &[u8]) -> Option<u64> {
        if let Some(block) = self.bytes.last_chunk::<BLOCK>()
            && self.escaped.is_none()
            && !is_odd(block)
        {
            self.end += BLOCK;
            return Some(places(block, b'"') >> (BLOCK - rest.len()));
        }
        let mut block = [b' '; BLOCK];
        block.get_mut(..rest.len())?.copy_from_slice(rest);
        self.index(&block)
    }

    /// The bytes of the next block that are escaped; `None` if an escape is not one of JSON's.
    #[inline(never)]
    fn escapes_of(&mut self, block: &[u8; BLOCK]) -> Option<u64> {
        let bit = |at: usize| if at < BLOCK { 1u64 << at } else { 0 };
        let mut escaped = self.escaped.take().map_or(0, |at| bit(at - self.end));
        let mut slashes = places(block, b'\\') & !escaped;
        while slashes != 0 {
            let place = slashes.trailing_zeros() as usize;
            let at = self.end + place;
            match self.byte(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' if self.bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => {}
                _ => return None,
            }
            if place + 1 == BLOCK {
                self.escaped = Some(at + 1);
            }
            escaped |= bit(place + 1);
            slashes &= !bit(place) & !bit(place + 1);
            self.escapes = true;
        }
        Some(escaped)
    }
}

/// Where a member stands.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// The quotes of its key.
    pub(super) key: usize,
    pub(super) close: usize,
    /// Its value.
    pub(super) value: usize,
    /// The closing quote of a text as value, if that is already known.
    pub(super) end: Option<usize>,
}

enum Next {
    One(usize),
    End(usize),
}

/// Which bytes of a block are `byte`, as bits. Written so that the compiler makes vector code of it: for every byte the bit
/// of its row of eight, rows laid over one another, the square of bits turned.
#[inline]
fn places(block: &[u8; BLOCK], byte: u8) -> u64 {
    let mut rows = [0u8; BLOCK];
    for place in 0..BLOCK {
        rows[place] = if block[place] == byte { 1 << (place / 8) } else { 0 };
    }
    let (rows, _) = rows.as_chunks::<8>();
    turned(rows.iter().fold(0, |all, row| all | u64::from_le_bytes(*row)))
}

/// A square of eight times eight bits, rows for columns. After Warren, Hacker's Delight, 7-3.
#[inline]
fn turned(mut square: u64) -> u64 {
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let swap = (square ^ (square >> shift)) & mask;
        square ^= swap ^ (swap << shift);
    }
    square
}

/// Whether a text, mostly a short one, has no backslash. Without a way out on the first: so it becomes vector code.
#[inline]
pub(super) fn is_bare(text: &[u8]) -> bool {
    text.iter().fold(0, |found, byte| found | u8::from(*byte == b'\\')) == 0
}

/// Whether a block has a backslash or a control character.
#[inline]
fn is_odd(block: &[u8; BLOCK]) -> bool {
    let mut odd = 0;
    for byte in block {
        odd |= u8::from(*byte == b'\\') | u8::from(*byte < b' ');
    }
    odd != 0
}
