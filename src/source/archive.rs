//! The source `segment_archive`: a directory of NDJSON files, gzip or plain, as Segment and RudderStack lay them out.
//!
//! Incremental: a file is read again only when its size or time changed, and then goes on after what was read, if that is
//! still the same (its hash says so); else it was rewritten and is read from the beginning. Streamed ([`Files`]): memory
//! does not grow with the size of a file or of a line. An incomplete last line, and the rest of a truncated gzip, wait for
//! the file to grow. File names mean nothing: files are read in the order of their first call.

mod read;

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

pub use self::read::Files;
use super::SourceError;
use super::inflate::content;

/// A block is handed out when it has so many bytes: small enough to be parsed while it is still in a core's cache.
pub const BLOCK: usize = 256 << 10;
/// How much of a file is looked at to find its first call.
const HEAD: usize = 64 << 10;
/// Calls shrink about so much: progress within a file is told by it.
const SHRINKS: u64 = 8;
/// The reason of a fault that may pass: the file can't be read now.
pub const UNREADABLE: &str = "unreadable_file";

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

    /// Its buffer, to read the next block into: its lines were parsed.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.length = 0;
        std::mem::take(&mut self.data)
    }
}

/// The files below a location in the order of their paths, each relative to it with its full path. `ours` lies there but is no
/// usage.
pub fn list(location: &Path, ours: &[PathBuf]) -> Result<Vec<(String, PathBuf)>, SourceError> {
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
    let identity = |meta: &Metadata| (meta.dev(), meta.ino());
    let ours: Vec<_> =
        ours.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|meta| identity(&meta)).collect();
    // Links may lead back to where they came from.
    let mut seen = std::collections::HashSet::from([identity(&meta)]);
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
            if ours.contains(&identity(&meta)) {
                continue;
            }
            if meta.is_dir() {
                if seen.insert(identity(&meta)) {
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
    ours: &[PathBuf],
    ledger: &dyn Ledger,
    head: &dyn Fn(&[u8]) -> Option<i64>,
) -> Result<Vec<Task>, SourceError> {
    let mut tasks = Vec::new();
    for (path, full) in list(location, ours)? {
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

#[cfg(test)]
mod tests;
