//! The source `segment_archive`: a directory of NDJSON files, gzip or plain, as Segment and RudderStack lay them out.
//!
//! Incremental: a file is read again only when its size or time changed, and then goes on after what was read, if that is
//! still the same (its hash says so); else it was rewritten and is read from the beginning. Streamed, by several readers at
//! once: memory does not grow with the size of a file or of a line. An incomplete last line, and the rest of a truncated
//! gzip, wait for the file to grow. File names mean nothing: files are read in the order of their first call.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use vitalsync_core::call::MAX_LINE;
use xxhash_rust::xxh3::Xxh3;

use super::SourceError;
use super::inflate::{Room, content};

/// A block is handed out when it has so many bytes: small enough to be parsed while it is still in a core's cache.
pub const BLOCK: usize = 256 << 10;
/// A block and the longest begin of a line.
const BUFFER: usize = BLOCK + MAX_LINE + 2;
/// How much is read at once of what was read before.
const READ: usize = 128 << 10;
/// How much of a file is looked at to find its first call.
const HEAD: usize = 64 << 10;
/// Calls shrink about so much: progress within a file is told by it.
const SHRINKS: u64 = 8;
/// So many blocks a reader may be ahead of the file whose turn it is.
const AHEAD: usize = 512;

/// What is remembered of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Its size when it was last read to its end; 0 before that.
    pub size: u64,
    /// Its modification time then, in nanoseconds since 1970.
    pub modified: i128,
    /// So many bytes of its content (after inflation) are counted.
    pub consumed: u64,
    /// The hash of those bytes.
    pub hash: String,
    /// So many lines of it are counted.
    pub lines: u64,
    /// True if the last of them had no line break yet.
    #[serde(default)]
    pub open: bool,
    /// What keeps the rest from being read: the reason's name, and why.
    pub fault: Option<(String, String)>,
    /// The days on which its calls were received, as runs of days; `None`: not known.
    #[serde(default)]
    pub days: Option<Vec<(i32, i32)>>,
}

/// What is remembered of a source's files.
pub trait Ledger: Sync {
    /// What is remembered of a file.
    fn progress(&self, path: &str) -> Option<Progress>;

    /// True for a file that is not to be read now.
    fn skips(&self, _path: &str) -> bool {
        false
    }

    /// Where reading a file ends for now, in bytes of its content; `None`: at its end.
    fn limit(&self, _path: &str) -> Option<u64> {
        None
    }
}

impl Ledger for std::collections::BTreeMap<String, Progress> {
    fn progress(&self, path: &str) -> Option<Progress> {
        self.get(path).cloned()
    }
}

/// Lines of one file, and what to remember of it once they are counted.
#[derive(Debug)]
pub struct Block {
    /// The file's place in the order of reading, from 0.
    pub order: usize,
    /// The block's place in its file, from 0.
    pub index: usize,
    /// The file, relative to the source.
    pub path: Arc<str>,
    /// The bytes of the lines, in a buffer that is longer.
    data: Vec<u8>,
    length: usize,
    /// So many lines behind them were too long to keep.
    pub too_long: u64,
    /// What to remember; of its lines those before this block.
    pub progress: Progress,
    /// True if the file was read before with other bytes.
    pub rewritten: Option<Progress>,
    /// Why the file could not be read, or not to its end: the reason's name, and why. Said at every reading, as long as it is so.
    pub fault: Option<(String, String)>,
    /// True for the last block of its file.
    pub ends: bool,
    /// So many bytes on disk were read for it.
    pub size: u64,
}

impl Block {
    /// The bytes of the lines, each with its line break, except perhaps the last.
    pub fn data(&self) -> &[u8] {
        self.data.get(..self.length).unwrap_or_default()
    }
}

/// Buffers that go round between readers and those who parse.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    fn take(&self) -> Vec<u8> {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| vec![0; BUFFER])
    }

    /// Takes a block's buffer back: its lines were parsed.
    pub fn take_back(&self, block: &mut Block) {
        block.length = 0;
        self.keep(std::mem::take(&mut block.data));
    }

    fn keep(&self, buffer: Vec<u8>) {
        if buffer.len() == BUFFER {
            self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

/// Whose turn it is: readers of later files wait when they are too far ahead, so that what waits for its turn is bounded.
#[derive(Debug, Default)]
pub struct Turn {
    current: Mutex<usize>,
    moved: Condvar,
    stopped: AtomicBool,
}

impl Turn {
    /// Everything of the file whose turn it was is taken.
    pub fn next(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.moved.notify_all();
    }

    /// Ends reading.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(self.current.lock());
        self.moved.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn wait(&self, order: usize, ahead: usize) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        while *current < order && ahead >= AHEAD && !self.is_stopped() {
            current = self.moved.wait(current).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The files below a location in the order of their paths, each relative to it with its full path.
pub fn list(location: &Path) -> Result<Vec<(String, PathBuf)>, SourceError> {
    let unreadable = |why: io::Error| SourceError::Unreadable { location: location.to_owned(), why };
    let meta = match std::fs::metadata(location) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SourceError::Missing { location: location.to_owned() });
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    if meta.is_file() {
        let name = location.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push((name, location.to_owned()));
        return Ok(files);
    }
    let mut open = vec![(String::new(), location.to_owned())];
    // Links may lead back to where they came from.
    let mut seen = std::collections::HashSet::from([(meta.dev(), meta.ino())]);
    while let Some((prefix, dir)) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(|why| SourceError::Unreadable { location: dir.clone(), why })? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Hidden files, and the empty object that Segment writes to test its access.
            if name.starts_with('.') || name == "dummy-object.txt" {
                continue;
            }
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
            if meta.is_dir() {
                if seen.insert((meta.dev(), meta.ino())) {
                    open.push((path, entry.path()));
                }
            } else if meta.is_file() {
                files.push((path, entry.path()));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// A file that has something to say.
#[derive(Debug)]
pub struct Task {
    path: Arc<str>,
    full: PathBuf,
    known: Progress,
    limit: Option<u64>,
    /// Its size on disk.
    pub size: u64,
    /// When its first call was received, or the latest that is known of it; in milliseconds since 1970.
    pub first: Option<i64>,
    broken: Option<io::Error>,
}

impl Task {
    /// True if nothing of the file was counted yet.
    pub fn is_new(&self) -> bool {
        self.known.consumed == 0
    }

    /// About so many bytes on disk hold so many of its content.
    fn on_disk(&self, content: u64) -> u64 {
        let bytes = if self.path.ends_with("gz") { content / SHRINKS } else { content };
        bytes.min(self.size)
    }
}

/// The files that are new, changed or faulty, in the order of their first call. `head` tells a call's moment from its line.
pub fn tasks(
    location: &Path,
    ledger: &dyn Ledger,
    head: &dyn Fn(&[u8]) -> Option<i64>,
) -> Result<Vec<Task>, SourceError> {
    let mut tasks = Vec::new();
    for (path, full) in list(location)? {
        if ledger.skips(&path) {
            continue;
        }
        let (known, limit) = (ledger.progress(&path).unwrap_or_default(), ledger.limit(&path));
        let (size, broken) = match stamp(&full) {
            Ok((size, modified)) => {
                let read = known.size == size && known.modified == modified
                    || limit.is_some_and(|limit| known.consumed >= limit);
                if read && known.fault.is_none() {
                    continue;
                }
                (size, None)
            }
            Err(error) => (0, Some(error)),
        };
        let first = match known.days.as_ref().and_then(|days| days.last()) {
            Some((_, last)) => Some(i64::from(*last) * vitalsync_core::time::DAY_MS),
            None => first_call(&full, head),
        };
        tasks.push(Task { path: path.into(), full, known, limit, size, first, broken });
    }
    tasks.sort_by(|a, b| (a.first, &a.path).cmp(&(b.first, &b.path)));
    Ok(tasks)
}

fn stamp(full: &Path) -> io::Result<(u64, i128)> {
    let meta = std::fs::metadata(full)?;
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((meta.len(), modified.map_or(0, |time| time.as_nanos() as i128)))
}

fn first_call(full: &Path, head: &dyn Fn(&[u8]) -> Option<i64>) -> Option<i64> {
    let mut bytes = Vec::new();
    // What a damaged file gives before its damage is enough.
    let _ = content(full, None).ok()?.take(HEAD as u64).read_to_end(&mut bytes);
    bytes.split(|byte| *byte == b'\n').find_map(head)
}

/// Reads files with several readers and hands out their blocks of `size` bytes, at most [`BLOCK`], each file's in their order.
/// `take` returns false to stop.
pub fn read(
    tasks: &[Task],
    readers: usize,
    size: usize,
    pool: &Pool,
    turn: &Turn,
    take: &(dyn Fn(Block) -> bool + Sync),
) {
    let size = size.clamp(1, BLOCK);
    let (next, room) = (AtomicUsize::new(0), Room::default());
    let room = &room;
    std::thread::scope(|scope| {
        for _ in 0..readers.min(tasks.len()) {
            scope.spawn(|| {
                while let Some((order, task)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|order| Some((order, tasks.get(order)?)))
                    .filter(|_| !turn.is_stopped())
                {
                    let (known, index, told, rewritten) = (task.known.clone(), 0, 0, None);
                    FileReader { task, order, index, known, told, rewritten, size, pool, turn, room, take }.read();
                }
            });
        }
    });
}

struct FileReader<'a> {
    task: &'a Task,
    order: usize,
    index: usize,
    known: Progress,
    /// So many bytes on disk were told.
    told: u64,
    rewritten: Option<Progress>,
    size: usize,
    pool: &'a Pool,
    turn: &'a Turn,
    room: &'a Room,
    take: &'a (dyn Fn(Block) -> bool + Sync),
}

/// Bytes of a file's content while they are cut into lines.
struct Lines {
    buffer: Vec<u8>,
    filled: usize,
    hash: Xxh3,
    consumed: u64,
    /// Within a line that is too long to keep.
    skipping: bool,
    too_long: u64,
}

impl FileReader<'_> {
    fn hand_out(&mut self, data: Vec<u8>, length: usize, too_long: u64, progress: Progress, ends: bool) -> bool {
        self.turn.wait(self.order, self.index);
        let on_disk = if ends { self.task.size } else { self.task.on_disk(progress.consumed) };
        let size = on_disk.saturating_sub(self.told);
        self.told += size;
        let block = Block {
            order: self.order,
            index: self.index,
            path: Arc::clone(&self.task.path),
            data,
            length,
            too_long,
            fault: progress.fault.clone(),
            progress,
            rewritten: self.rewritten.take(),
            ends,
            size,
        };
        self.index += 1;
        !self.turn.is_stopped() && (self.take)(block)
    }

    fn read(&mut self) {
        if let Err(error) = self.try_read() {
            let fault = Some(("unreadable_file".to_owned(), error.to_string()));
            let progress = Progress { fault, size: 0, modified: 0, ..self.known.clone() };
            self.hand_out(Vec::new(), 0, 0, progress, true);
        }
    }

    fn try_read(&mut self) -> io::Result<()> {
        if let Some(error) = &self.task.broken {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let whole = stamp(&self.task.full)?;
        if (self.known.size, self.known.modified) == whole && self.known.fault.is_some() {
            self.hand_out(Vec::new(), 0, 0, self.known.clone(), true);
            return Ok(());
        }
        // What goes on after what was read before is mostly a growing file.
        let room = (self.known.consumed == 0 && self.task.limit.is_none()).then_some(self.room);
        let mut input = content(&self.task.full, room)?;
        let mut hash = Xxh3::new();
        if self.known.consumed > 0 && !skip(&mut input, self.known.consumed, &mut hash, &self.known.hash) {
            self.rewritten = Some(std::mem::take(&mut self.known));
            input = content(&self.task.full, None)?;
            hash = Xxh3::new();
        }
        if self.known.open {
            let mut next = [0u8; 1];
            match input.read(&mut next)? {
                1 if next == *b"\n" => {
                    hash.update(&next);
                    self.known.consumed += 1;
                }
                got => input = Box::new(io::Cursor::new(next).take(got as u64).chain(input)),
            }
        }
        if let Some(limit) = self.task.limit {
            input = Box::new(input.take(limit.saturating_sub(self.known.consumed)));
        }
        self.known = Progress { size: 0, modified: 0, fault: None, open: false, ..self.known.clone() };
        let mut lines = Lines {
            buffer: self.pool.take(),
            filled: 0,
            hash,
            consumed: self.known.consumed,
            skipping: false,
            too_long: 0,
        };
        let ended = self.blocks(&mut input, &mut lines);
        match ended {
            Some(ended) => self.end(lines, ended.err(), whole),
            None => self.pool.keep(lines.buffer),
        }
        Ok(())
    }

    /// Hands out whole lines, block by block, to the end of the content; `None` if it was stopped.
    fn blocks(&mut self, input: &mut dyn Read, lines: &mut Lines) -> Option<io::Result<()>> {
        loop {
            // A block, or more while its only line has no end.
            let target = (lines.filled + self.size).min(BUFFER);
            let mut ended = None;
            while lines.filled < target {
                match input.read(&mut lines.buffer[lines.filled..target]) {
                    Ok(0) => {
                        ended = Some(Ok(()));
                        break;
                    }
                    Ok(got) => lines.filled += got,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        ended = Some(Err(error));
                        break;
                    }
                }
            }
            if lines.skipping {
                let end = memchr::memchr(b'\n', &lines.buffer[..lines.filled]);
                let gone = end.map_or(lines.filled, |end| end + 1);
                lines.hash.update(&lines.buffer[..gone]);
                lines.consumed += gone as u64;
                lines.buffer.copy_within(gone..lines.filled, 0);
                lines.filled -= gone;
                if end.is_some() {
                    lines.skipping = false;
                    let progress = self.after(lines);
                    if !self.hand_out(Vec::new(), 0, std::mem::take(&mut lines.too_long), progress, false) {
                        return None;
                    }
                }
                if ended.is_some() {
                    return ended;
                }
                continue;
            }
            let whole = memchr::memrchr(b'\n', &lines.buffer[..lines.filled]).map_or(0, |end| end + 1);
            if whole > 0 {
                let mut next = self.pool.take();
                let rest = lines.filled - whole;
                next[..rest].copy_from_slice(&lines.buffer[whole..lines.filled]);
                lines.hash.update(&lines.buffer[..whole]);
                lines.consumed += whole as u64;
                let data = std::mem::replace(&mut lines.buffer, next);
                lines.filled = rest;
                let progress = self.after(lines);
                if !self.hand_out(data, whole, 0, progress, false) {
                    return None;
                }
            }
            if lines.filled > MAX_LINE {
                lines.hash.update(&lines.buffer[..lines.filled]);
                lines.consumed += lines.filled as u64;
                lines.filled = 0;
                lines.skipping = true;
                lines.too_long += 1;
            }
            if ended.is_some() {
                return ended;
            }
        }
    }

    fn end(&mut self, mut lines: Lines, error: Option<io::Error>, whole: (u64, i128)) {
        let rest = &lines.buffer[..lines.filled];
        let mut fault: Option<(&str, String)> = error.map(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ("truncated_gzip", "the gzip data ends early; the rest is read when the file is whole".to_owned())
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                ("damaged_gzip", format!("the gzip data is damaged: {error}"))
            }
            _ => ("unreadable_file", error.to_string()),
        });
        let mut length = 0;
        if fault.is_none() && !rest.iter().all(u8::is_ascii_whitespace) {
            // The last line has no line break: whole if it reads, else perhaps still being written.
            if serde_json::from_slice::<serde::de::IgnoredAny>(rest).is_ok() {
                length = lines.filled;
                lines.hash.update(&lines.buffer[..length]);
                lines.consumed += length as u64;
            } else {
                fault = Some((
                    "incomplete_line",
                    "its last line is not complete; it is read when the file has grown".into(),
                ));
            }
        }
        let mut progress = self.after(&lines);
        progress.open = length > 0;
        // An error of the disk may pass: such a file is read again. What ends early or is damaged waits until it changes.
        if fault.as_ref().is_none_or(|(reason, _)| *reason != "unreadable_file") {
            (progress.size, progress.modified) = whole;
        }
        progress.fault = fault.map(|(reason, why)| (reason.to_owned(), why));
        let too_long = lines.too_long;
        self.hand_out(lines.buffer, length, too_long, progress, true);
    }

    fn after(&self, lines: &Lines) -> Progress {
        Progress { consumed: lines.consumed, hash: format!("{:016x}", lines.hash.digest()), ..self.known.clone() }
    }
}

/// Reads over what was counted before; false if it is not there or not the same.
fn skip(input: &mut dyn Read, bytes: u64, hash: &mut Xxh3, expected: &str) -> bool {
    let mut left = bytes;
    let mut chunk = vec![0u8; READ];
    while left > 0 {
        let want = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match input.read(&mut chunk[..want]) {
            Ok(0) => return false,
            Ok(got) => {
                hash.update(&chunk[..got]);
                left -= got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    format!("{:016x}", hash.digest()) == expected
}

#[cfg(test)]
mod tests;
