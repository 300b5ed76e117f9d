//! A file's content, inflated where it is gzip, known by its first bytes.
//!
//! A member of bounded size is inflated whole, which takes a third less time; there is room for so many bytes of those at
//! once. Everything else — more members than one, growing or damaged files, larger ones, and what comes when the room is
//! taken — is inflated as a stream, in little memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::bufread::GzDecoder;
use libdeflater::Decompressor;

/// How much compressed data is read at once from a stream.
const READ: usize = 128 << 10;
/// The bytes that whole members may take at once, compressed and inflated.
const ROOM: usize = 32 << 20;
/// Data shrinks by no more than that: more is a lie or a bomb.
const RATIO: usize = 1032;

/// The memory that whole members take.
#[derive(Debug, Default)]
pub struct Room {
    taken: AtomicUsize,
}

/// A part of the room.
struct Taken {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    fn take(self: &Arc<Self>, bytes: usize) -> Option<Taken> {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= ROOM);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Taken { room: Arc::clone(self), bytes })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An inflated member.
struct Whole {
    content: io::Cursor<Vec<u8>>,
    _taken: Taken,
}

impl Read for Whole {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.content.read(into)
    }
}

/// Members one after the other. Zeros after a member are padding, as tar and tapes leave it; what comes after them must be
/// another one.
struct Members<R> {
    /// Nothing at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let got = member.read(into)?;
            if got > 0 || into.is_empty() {
                return Ok(got);
            }
            skip_zeros(member.get_mut())?;
            let ends = member.get_mut().fill_buf()?.is_empty();
            self.member = self.member.take().filter(|_| !ends).map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }
}

fn skip_zeros(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let zeros = input.fill_buf()?.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok(());
        }
        input.consume(zeros);
    }
}

/// The content of a file. `room`: where it may be inflated whole.
pub fn content(full: &Path, room: Option<&Arc<Room>>) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(full)?;
    let mut magic = [0u8; 2];
    let mut got = 0;
    while got < 2 {
        match file.read(&mut magic[got..])? {
            0 => break,
            n => got += n,
        }
    }
    let gzip = magic == [0x1f, 0x8b];
    if gzip
        && let Some(room) = room
        && let Some(whole) = whole(full, room)
    {
        return Ok(Box::new(whole));
    }
    let all = io::Cursor::new(magic).take(got as u64).chain(file);
    if gzip {
        let member = GzDecoder::new(BufReader::with_capacity(READ, all));
        return Ok(Box::new(Members { member: Some(member) }));
    }
    Ok(Box::new(all))
}

/// A file that is one member of bounded size, inflated; `None` if it is not, or is not sound: the stream will tell.
fn whole(full: &Path, room: &Arc<Room>) -> Option<Whole> {
    let mut file = File::open(full).ok()?;
    let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
    // Its last words say how much is in it. Most that are too large are so by that alone, and are not read here.
    let (mut crc, mut length) = ([0; 4], [0; 4]);
    file.seek(SeekFrom::End(-8)).ok()?;
    file.read_exact(&mut crc).and_then(|()| file.read_exact(&mut length)).ok()?;
    let length = u32::from_le_bytes(length) as usize;
    // None in it, or zeros after it, behind which the words are.
    if length == 0 || length > size.saturating_mul(RATIO) {
        return None;
    }
    let taken = room.take(size + length)?;
    file.seek(SeekFrom::Start(0)).ok()?;
    let mut compressed = Vec::with_capacity(size);
    file.take(size as u64 + 1).read_to_end(&mut compressed).ok()?;
    if compressed.len() != size {
        return None;
    }
    let mut content = vec![0; length];
    let written = Decompressor::new().gzip_decompress(&compressed, &mut content).ok()?;
    // Of several members only the first was inflated: then another begins somewhere, and the file's last words are its own.
    let begins = memchr::memmem::find(compressed.get(1..)?, b"\x1f\x8b\x08").is_some();
    let alone = written == length && (!begins || libdeflater::crc32(&content).to_le_bytes() == crc);
    alone.then(|| Whole { content: io::Cursor::new(content), _taken: taken })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Whether a file is inflated whole, and what it gives.
    fn read(bytes: &[u8], room: &Arc<Room>) -> (bool, io::Result<Vec<u8>>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let is_whole = whole(file.path(), room).is_some();
        let mut content = Vec::new();
        let read = super::content(file.path(), Some(room)).unwrap().read_to_end(&mut content).map(|_| content);
        (is_whole, read)
    }

    #[test]
    fn one_member_is_inflated_whole_and_anything_else_as_a_stream() {
        let room = Arc::new(Room::default());
        let (one, other) = (b"one\n".repeat(1000), b"other\n".repeat(7));
        for (bytes, is_whole, content) in [
            (gzip(&one), true, one.clone()),
            (gzip(b""), false, Vec::new()),
            ([gzip(&one), gzip(&other)].concat(), false, [&*one, &*other].concat()),
            ([gzip(b"aaaa"), gzip(b"bbbb")].concat(), false, b"aaaabbbb".to_vec()),
            (other.clone(), false, other.clone()),
        ] {
            let (found, read) = read(&bytes, &room);
            assert_eq!((found, read.unwrap()), (is_whole, content));
        }
        assert_eq!(room.taken.load(Ordering::Relaxed), 0, "what was read gave its room back");
    }

    /// As tar and tapes leave it; gzip(1) takes no notice of it either.
    #[test]
    fn zeros_after_a_member_are_padding() {
        let room = Arc::new(Room::default());
        let (one, other) = (b"one\n".repeat(1000), b"other\n".repeat(7));
        for zeros in [1, 4, 7, 8, 512, READ + 1] {
            let padding = vec![0; zeros];
            let padded = [gzip(&one), padding.clone()].concat();
            assert_eq!(read(&padded, &room).1.unwrap(), one, "{zeros}");
            let several = [gzip(b""), gzip(&one), padding.clone(), gzip(&other), padding.clone()].concat();
            assert_eq!(read(&several, &room).1.unwrap(), [&*one, &*other].concat(), "{zeros}");
            let garbage = [padded, b"x".to_vec()].concat();
            assert!(read(&garbage, &room).1.is_err(), "{zeros}");
            let mut torn = gzip(&one);
            torn.truncate(torn.len() - 9);
            torn.extend(padding);
            assert!(read(&torn, &room).1.is_err(), "{zeros}");
        }
    }

    #[test]
    fn damage_and_lies_are_left_to_the_stream() {
        let room = Arc::new(Room::default());
        let bytes = gzip(&b"one\n".repeat(1000));
        let mut torn = bytes.clone();
        torn.truncate(bytes.len() - 3);
        let mut lie = bytes.clone();
        let end = lie.len();
        lie[end - 4..].copy_from_slice(&0x0900_0000u32.to_le_bytes());
        for bytes in [torn, lie] {
            let (whole, read) = read(&bytes, &room);
            assert!(!whole && read.is_err());
        }
    }

    #[test]
    fn what_has_no_room_is_a_stream() {
        let room = Arc::new(Room::default());
        let taken = room.take(ROOM - 10).unwrap();
        assert!(room.take(11).is_none());
        let (whole, content) = read(&gzip(b"one\n"), &room);
        assert_eq!((whole, content.unwrap()), (false, b"one\n".to_vec()));
        drop(taken);
        assert!(read(&gzip(b"one\n"), &room).0);
    }
}
