//! Files read block by block, by whoever has time.
//!
//! A worker reads the very block that it parses next, into a buffer of its own, while the bytes are in its core's cache: no
//! bytes go from thread to thread. It takes the next block of the first file that nobody is reading just then. So a large
//! file keeps all of them busy, and while one inflates a file whole, the others go on with the files behind it. What bounds
//! how far ahead they go is not here: whoever asks says whether it may be more than the first file.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vitalsync_core::call::MAX_LINE;
use xxhash_rust::xxh3::Xxh3;

use super::super::inflate::{Room, content};
use super::{BLOCK, Block, Progress, Task, UNREADABLE, stamp};

/// A block and the longest begin of a line.
const BUFFER: usize = BLOCK + MAX_LINE + 2;
/// How much is read at once of what was read before.
const READ: usize = 128 << 10;

/// Files that are being read, in the order of their tasks.
pub struct Files<'a> {
    tasks: &'a [Task],
    steps: Vec<Mutex<Step<'a>>>,
    /// No file before this one has anything left; this one may have ended too.
    first: AtomicUsize,
    size: usize,
    room: Arc<Room>,
}

enum Step<'a> {
    Closed,
    Open(Box<FileReader<'a>>),
    Ended,
}

impl<'a> Files<'a> {
    /// Files to be read in blocks of `size` bytes, at most [`BLOCK`].
    pub fn new(tasks: &'a [Task], size: usize) -> Self {
        let steps = tasks.iter().map(|_| Mutex::new(Step::Closed)).collect();
        let (first, size) = (AtomicUsize::new(0), size.clamp(1, BLOCK));
        Self { tasks, steps, first, size, room: Arc::default() }
    }

    /// A file before which all are read to their ends.
    pub fn first(&self) -> usize {
        self.first.load(Ordering::Acquire)
    }

    /// True if all blocks were handed out.
    pub fn done(&self) -> bool {
        self.first() >= self.tasks.len()
    }

    /// The next block of the first file that nobody is reading; only of the very first one, unless it may be `ahead`. `None`
    /// if there was none, which does not say that all were handed out. `buffer` goes into the block.
    pub fn next(&self, ahead: bool, buffer: &mut Vec<u8>) -> Option<Block> {
        let first = self.first();
        let count = if ahead { self.steps.len() } else { 1 };
        for (order, step) in self.steps.iter().enumerate().skip(first).take(count) {
            if let Ok(mut step) = step.try_lock()
                && let Some(block) = self.step(order, &mut step, buffer)
            {
                return Some(block);
            }
        }
        // Where somebody panicked, nothing is read any more.
        let mut step = self.steps.get(first)?.lock().ok()?;
        self.step(first, &mut step, buffer)
    }

    fn step(&self, order: usize, step: &mut Step<'a>, buffer: &mut Vec<u8>) -> Option<Block> {
        if matches!(step, Step::Closed) {
            *step = Step::Open(Box::new(FileReader::new(self.tasks.get(order)?, order, self.size)));
        }
        let block = match step {
            Step::Open(reader) => Some(reader.next(&self.room, buffer)),
            _ => None,
        };
        if block.as_ref().is_none_or(|block| block.ends) {
            *step = Step::Ended;
            // One of several that see the same moves it.
            let _ = self.first.compare_exchange(order, order + 1, Ordering::AcqRel, Ordering::Acquire);
        }
        block
    }
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
    content: Option<Content>,
}

/// A file's content while it is cut into lines.
struct Content {
    input: Box<dyn Read + Send>,
    /// What follows the last line break that was read.
    rest: Vec<u8>,
    hash: Xxh3,
    consumed: u64,
    /// Within a line that is too long to keep.
    skipping: bool,
    too_long: u64,
    ended: Option<io::Result<()>>,
    /// The file's size and time before it was opened.
    stamp: (u64, i128),
}

impl Content {
    /// Reads up to so many bytes behind those that are there.
    fn fill(&mut self, buffer: &mut Vec<u8>, filled: &mut usize, target: usize) {
        if buffer.len() < target {
            buffer.resize(target, 0);
        }
        while *filled < target && self.ended.is_none() {
            match self.input.read(&mut buffer[*filled..target]) {
                Ok(0) => self.ended = Some(Ok(())),
                Ok(got) => *filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.ended = Some(Err(error)),
            }
        }
    }

    fn consume(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.consumed += bytes.len() as u64;
    }
}

impl<'a> FileReader<'a> {
    fn new(task: &'a Task, order: usize, size: usize) -> Self {
        let (index, known, told) = (0, task.known.clone(), 0);
        Self { task, order, index, known, told, rewritten: None, size, content: None }
    }

    fn block(&mut self, buffer: &mut Vec<u8>, length: usize, too_long: u64, progress: Progress, ends: bool) -> Block {
        let on_disk = if ends { self.task.size } else { self.task.on_disk(progress.consumed) };
        let size = on_disk.saturating_sub(self.told);
        self.told += size;
        let index = self.index;
        self.index += 1;
        Block {
            order: self.order,
            index,
            path: Arc::clone(&self.task.path),
            data: std::mem::take(buffer),
            length,
            too_long,
            fault: progress.fault.clone(),
            progress,
            rewritten: self.rewritten.take(),
            ends,
            size,
        }
    }

    /// The next block; not to be called again after the one that ends the file.
    fn next(&mut self, room: &Arc<Room>, buffer: &mut Vec<u8>) -> Block {
        let content = match self.content.take() {
            Some(content) => Ok(Some(content)),
            None => self.open(room),
        };
        match content {
            Ok(Some(content)) => self.lines(content, buffer),
            Ok(None) => self.block(buffer, 0, 0, self.known.clone(), true),
            Err(error) => {
                let fault = Some((UNREADABLE.to_owned(), error.to_string()));
                let progress = Progress { fault, size: 0, modified: 0, ..self.known.clone() };
                self.block(buffer, 0, 0, progress, true)
            }
        }
    }

    /// The content behind what was read before; `None` if the file is as it was, and what is wrong with it too.
    fn open(&mut self, room: &Arc<Room>) -> io::Result<Option<Content>> {
        if let Some(error) = &self.task.broken {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let stamp = stamp(&self.task.full)?;
        if (self.known.size, self.known.modified) == stamp && self.known.fault.is_some() {
            return Ok(None);
        }
        // What goes on after what was read before is mostly a growing file.
        let room = (self.known.consumed == 0 && self.task.limit.is_none()).then_some(room);
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
        let consumed = self.known.consumed;
        let (rest, skipping, too_long, ended) = (Vec::new(), false, 0, None);
        Ok(Some(Content { input, rest, hash, consumed, skipping, too_long, ended, stamp }))
    }

    /// Whole lines, or what the content ends with.
    fn lines(&mut self, mut content: Content, buffer: &mut Vec<u8>) -> Block {
        let mut filled = content.rest.len();
        if buffer.len() < filled {
            buffer.resize(filled, 0);
        }
        buffer[..filled].copy_from_slice(&content.rest);
        content.rest.clear();
        loop {
            // A block, or more while its only line has no end.
            let target = (filled + self.size).min(BUFFER);
            content.fill(buffer, &mut filled, target);
            let (mut length, mut too_long) = (None, 0);
            if content.skipping {
                let end = memchr::memchr(b'\n', &buffer[..filled]);
                let gone = end.map_or(filled, |end| end + 1);
                content.consume(&buffer[..gone]);
                buffer.copy_within(gone..filled, 0);
                filled -= gone;
                if end.is_some() {
                    content.skipping = false;
                    (length, too_long) = (Some(0), std::mem::take(&mut content.too_long));
                }
            } else if let Some(end) = memchr::memrchr(b'\n', &buffer[..filled]) {
                content.consume(&buffer[..=end]);
                length = Some(end + 1);
            } else if filled > MAX_LINE {
                content.consume(&buffer[..filled]);
                filled = 0;
                content.skipping = true;
                content.too_long += 1;
            }
            if let Some(length) = length {
                content.rest.extend_from_slice(&buffer[length..filled]);
                let progress = self.after(&content);
                self.content = Some(content);
                return self.block(buffer, length, too_long, progress, false);
            }
            if let Some(ended) = content.ended.take() {
                return self.end(content, ended.err(), buffer, filled);
            }
        }
    }

    fn end(&mut self, mut content: Content, error: Option<io::Error>, buffer: &mut Vec<u8>, filled: usize) -> Block {
        let rest = &buffer[..filled];
        let mut fault: Option<(&str, String)> = error.map(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ("truncated_gzip", "the gzip data ends early; the rest is read when the file is whole".to_owned())
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                ("damaged_gzip", format!("the gzip data is damaged: {error}"))
            }
            _ => (UNREADABLE, error.to_string()),
        });
        let mut length = 0;
        if fault.is_none() && !rest.iter().all(u8::is_ascii_whitespace) {
            // The last line has no line break: whole if it reads, else perhaps still being written.
            if serde_json::from_slice::<serde::de::IgnoredAny>(rest).is_ok() {
                length = filled;
                content.consume(rest);
            } else {
                fault = Some((
                    "incomplete_line",
                    "its last line is not complete; it is read when the file has grown".into(),
                ));
            }
        }
        let mut progress = self.after(&content);
        progress.open = length > 0;
        // An error of the disk may pass: such a file is read again. What ends early or is damaged waits until it changes.
        if fault.as_ref().is_none_or(|(reason, _)| *reason != UNREADABLE) {
            (progress.size, progress.modified) = content.stamp;
        }
        progress.fault = fault.map(|(reason, why)| (reason.to_owned(), why));
        self.block(buffer, length, content.too_long, progress, true)
    }

    fn after(&self, content: &Content) -> Progress {
        Progress { consumed: content.consumed, hash: format!("{:016x}", content.hash.digest()), ..self.known.clone() }
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
