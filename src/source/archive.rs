//! The source `segment_archive`: a directory of NDJSON files, gzip or plain, as Segment and RudderStack lay them out.
//!
//! Incremental: a file is read again only when its size or time changed, and then goes on after what was read, if that is
//! still the same (its hash says so); else it was rewritten and is read from the beginning, where the calls' own ids keep
//! what was counted from being counted twice. Streamed: memory does not grow with the size of a file or of a line. An
//! incomplete last line, and the rest of a truncated gzip, wait for the file to grow. File names mean nothing.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use vitalsync_core::call::MAX_LINE;
use xxhash_rust::xxh3::Xxh3;

use super::SourceError;

/// A block is handed out when it has so many bytes.
const BLOCK: usize = 4 << 20;
/// How much is read at once.
const READ: usize = 256 << 10;

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
}

/// What is remembered of a source's files.
pub trait Ledger {
    /// What is remembered of a file.
    fn progress(&self, path: &str) -> Option<Progress>;
}

impl Ledger for std::collections::BTreeMap<String, Progress> {
    fn progress(&self, path: &str) -> Option<Progress> {
        self.get(path).cloned()
    }
}

/// Lines of one file, and what to remember of it once they are counted.
#[derive(Debug)]
pub struct Block {
    /// The file, relative to the source.
    pub path: String,
    /// The number of the first line, from 1.
    pub first_line: u64,
    /// The bytes of the lines.
    data: Vec<u8>,
    /// Where each line lies in `data`; `None`: it was too long to keep.
    lines: Vec<Option<(usize, usize)>>,
    /// What to remember.
    pub progress: Progress,
    /// True if the file was read before with other bytes.
    pub rewritten: bool,
    /// Why the file could not be read, or not to its end: the reason's name, and why. Said at every reading, as long as it is so.
    pub fault: Option<(String, String)>,
}

impl Block {
    /// The lines, each with its number; `None` for one that was too long.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = (u64, Option<&[u8]>)> {
        (self.first_line..)
            .zip(&self.lines)
            .map(|(number, span)| (number, span.and_then(|(from, to)| self.data.get(from..to))))
            .collect::<Vec<_>>()
            .into_iter()
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

/// Reads what is new below a location and hands it out block by block. `take` returns false to stop early.
pub fn read(location: &Path, ledger: &dyn Ledger, take: &mut dyn FnMut(Block) -> bool) -> Result<(), SourceError> {
    for (path, full) in list(location)? {
        let known = ledger.progress(&path);
        let mut file =
            FileReader { path, known: known.clone().unwrap_or_default(), rewritten: false, take, stopped: false };
        if let Err(error) = file.read(&full) {
            let fault = Some(("unreadable_file".to_owned(), error.to_string()));
            let progress = Progress { fault: fault.clone(), ..file.known.clone() };
            file.hand_out(Vec::new(), Vec::new(), progress, fault);
        }
        if file.stopped {
            break;
        }
    }
    Ok(())
}

struct FileReader<'a> {
    path: String,
    known: Progress,
    rewritten: bool,
    take: &'a mut dyn FnMut(Block) -> bool,
    stopped: bool,
}

fn content(full: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(full)?;
    let mut magic = [0u8; 2];
    let mut got = 0;
    while got < 2 {
        match file.read(&mut magic[got..])? {
            0 => break,
            n => got += n,
        }
    }
    let whole = io::Cursor::new(magic).take(got as u64).chain(file);
    if magic == [0x1f, 0x8b] {
        return Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ / 2, whole))));
    }
    Ok(Box::new(whole))
}

impl FileReader<'_> {
    fn hand_out(
        &mut self,
        data: Vec<u8>,
        lines: Vec<Option<(usize, usize)>>,
        progress: Progress,
        fault: Option<(String, String)>,
    ) {
        let first_line = self.known.lines + 1;
        self.known = progress.clone();
        let block =
            Block { path: self.path.clone(), first_line, data, lines, progress, rewritten: self.rewritten, fault };
        self.rewritten = false;
        if !(self.take)(block) {
            self.stopped = true;
        }
    }

    fn read(&mut self, full: &Path) -> io::Result<()> {
        let meta = std::fs::metadata(full)?;
        let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |time| time.as_nanos() as i128);
        if self.known.size == meta.len() && self.known.modified == modified {
            if let Some(fault) = self.known.fault.clone() {
                self.hand_out(Vec::new(), Vec::new(), self.known.clone(), Some(fault));
            }
            return Ok(());
        }
        let mut input = content(full)?;
        let mut hash = Xxh3::new();
        if self.known.consumed > 0 && !skip(&mut input, self.known.consumed, &mut hash, &self.known.hash) {
            self.rewritten = true;
            self.known = Progress::default();
            input = content(full)?;
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
        self.known = Progress { size: 0, modified: 0, fault: None, open: false, ..self.known.clone() };
        self.lines(input, hash, (meta.len(), modified))
    }

    /// Reads lines to the end of the content, handing out a block whenever one is full.
    fn lines(&mut self, mut input: Box<dyn Read>, mut hash: Xxh3, whole: (u64, i128)) -> io::Result<()> {
        // `data[..scanned]` is whole lines, `data[scanned..]` the begin of the next; `skipping` a line too long to keep.
        let (mut data, mut lines): (Vec<u8>, Vec<Option<(usize, usize)>>) =
            (Vec::with_capacity(BLOCK + READ), Vec::new());
        let mut scanned = 0usize;
        let mut skipping = false;
        let mut skipped = 0u64;
        let mut chunk = vec![0u8; READ];
        let ended = loop {
            let got = match input.read(&mut chunk) {
                Ok(0) => break None,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Some(error),
            };
            let mut bytes = &chunk[..got];
            while let Some(end) = memchr(bytes) {
                let (line, rest) = bytes.split_at(end + 1);
                bytes = rest;
                if skipping {
                    hash.update(line);
                    skipped += line.len() as u64;
                    skipping = false;
                    lines.push(None);
                    continue;
                }
                data.extend_from_slice(line);
                hash.update(&data[scanned..]);
                lines.push(if data.len() - scanned > MAX_LINE + 1 { None } else { Some((scanned, data.len() - 1)) });
                scanned = data.len();
            }
            if skipping {
                hash.update(bytes);
                skipped += bytes.len() as u64;
            } else {
                data.extend_from_slice(bytes);
                if data.len() - scanned > MAX_LINE {
                    hash.update(&data[scanned..]);
                    skipped += (data.len() - scanned) as u64;
                    data.truncate(scanned);
                    skipping = true;
                }
            }
            if scanned >= BLOCK || skipped >= BLOCK as u64 && !lines.is_empty() && !skipping {
                let rest = data.split_off(scanned);
                let progress = self.after(scanned as u64 + skipped, &hash, lines.len());
                self.hand_out(std::mem::take(&mut data), std::mem::take(&mut lines), progress, None);
                if self.stopped {
                    return Ok(());
                }
                data.reserve(BLOCK + READ);
                data.extend_from_slice(&rest);
                scanned = 0;
                skipped = 0;
            }
        };
        self.end(data, lines, scanned, skipped, skipping, hash, ended, whole);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one loop, taken apart once")]
    fn end(
        &mut self,
        mut data: Vec<u8>,
        mut lines: Vec<Option<(usize, usize)>>,
        scanned: usize,
        skipped: u64,
        skipping: bool,
        mut hash: Xxh3,
        ended: Option<io::Error>,
        whole: (u64, i128),
    ) {
        let mut consumed = scanned;
        let rest = &data[scanned..];
        let mut fault: Option<(&str, String)> = ended.map(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ("truncated_gzip", "the gzip data ends early; the rest is read when the file is whole".to_owned())
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                ("damaged_gzip", format!("the gzip data is damaged: {error}"))
            }
            _ => ("unreadable_file", error.to_string()),
        });
        if fault.is_none() && skipping {
            lines.push(None);
        } else if fault.is_none() && !rest.iter().all(u8::is_ascii_whitespace) {
            // The last line has no line break: whole if it reads, else perhaps still being written.
            if serde_json::from_slice::<serde::de::IgnoredAny>(rest).is_ok() {
                hash.update(rest);
                lines.push(Some((scanned, data.len())));
                consumed = data.len();
            } else {
                let line = self.known.lines + lines.len() as u64 + 1;
                fault = Some((
                    "incomplete_line",
                    format!("line {line} is not complete; it is read when the file has grown"),
                ));
            }
        }
        let mut progress = self.after(consumed as u64 + skipped, &hash, lines.len());
        progress.open = consumed > scanned;
        // An error of the disk may pass: such a file is read again. What ends early or is damaged waits until it changes.
        if fault.as_ref().is_none_or(|(reason, _)| *reason != "unreadable_file") {
            (progress.size, progress.modified) = whole;
        }
        let fault = fault.map(|(reason, why)| (reason.to_owned(), why));
        progress.fault.clone_from(&fault);
        data.truncate(consumed);
        self.hand_out(data, lines, progress, fault);
    }

    fn after(&self, bytes: u64, hash: &Xxh3, lines: usize) -> Progress {
        Progress {
            consumed: self.known.consumed + bytes,
            hash: format!("{:016x}", hash.digest()),
            lines: self.known.lines + lines as u64,
            ..self.known.clone()
        }
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

fn memchr(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;

    use super::*;

    struct Fixture {
        dir: tempfile::TempDir,
        ledger: BTreeMap<String, Progress>,
        clock: u64,
    }

    impl Fixture {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), ledger: BTreeMap::new(), clock: 1 }
        }

        fn write(&mut self, path: &str, bytes: &[u8]) {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            self.clock += 1;
            let time = UNIX_EPOCH + std::time::Duration::from_secs(self.clock);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }

        /// What is new, as `path:line content`, faults as `path! reason`.
        fn read(&mut self) -> Vec<String> {
            let mut seen = Vec::new();
            let mut ledger = self.ledger.clone();
            read(self.dir.path(), &self.ledger, &mut |block| {
                if block.rewritten {
                    seen.push(format!("{} rewritten", block.path));
                }
                for (number, line) in block.lines() {
                    let text = line.map_or("too long".into(), |line| String::from_utf8_lossy(line).into_owned());
                    if !text.is_empty() {
                        seen.push(format!("{}:{number} {text}", block.path));
                    }
                }
                if let Some((reason, _)) = block.fault {
                    seen.push(format!("{}! {reason}", block.path));
                }
                ledger.insert(block.path, block.progress);
                true
            })
            .unwrap();
            self.ledger = ledger;
            seen
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn only_what_is_new_is_read() {
        let mut fixture = Fixture::new();
        fixture.write("b/2.log", b"{\"n\":1}\n{\"n\":2}\n");
        fixture.write("a.gz", &gzip(b"{\"n\":3}\n"));
        assert_eq!(fixture.read(), ["a.gz:1 {\"n\":3}", "b/2.log:1 {\"n\":1}", "b/2.log:2 {\"n\":2}"]);
        assert!(fixture.read().is_empty());
        fixture.write("b/2.log", b"{\"n\":1}\n{\"n\":2}\n{\"n\":4}");
        assert_eq!(fixture.read(), ["b/2.log:3 {\"n\":4}"]);
        fixture.write("b/2.log", b"{\"n\":1}\n{\"n\":2}\n{\"n\":4}\n{\"n\":5}\n");
        assert_eq!(
            fixture.read(),
            ["b/2.log:4 {\"n\":5}"],
            "the line break of the former last line is no line of its own"
        );
    }

    #[test]
    fn gzip_is_known_by_its_content_and_grows_by_members() {
        let mut fixture = Fixture::new();
        let mut bytes = gzip(b"{\"n\":1}\n");
        fixture.write("plain.ndjson", &bytes);
        assert_eq!(fixture.read(), ["plain.ndjson:1 {\"n\":1}"]);
        bytes.extend(gzip(b"{\"n\":2}\n"));
        fixture.write("plain.ndjson", &bytes);
        assert_eq!(fixture.read(), ["plain.ndjson:2 {\"n\":2}"]);
    }

    #[test]
    fn a_rewritten_file_is_read_from_the_beginning() {
        let mut fixture = Fixture::new();
        fixture.write("a", b"{\"n\":1}\n{\"n\":2}\n");
        fixture.read();
        fixture.write("a", b"{\"n\":1}\n{\"n\":9}\n");
        assert_eq!(fixture.read(), ["a rewritten", "a:1 {\"n\":1}", "a:2 {\"n\":9}"]);
        fixture.write("a", b"{\"n\":1}\n");
        assert_eq!(fixture.read(), ["a rewritten", "a:1 {\"n\":1}"]);
        std::fs::remove_file(fixture.dir.path().join("a")).unwrap();
        assert!(fixture.read().is_empty());
        fixture.write("a", b"{\"n\":1}\n");
        assert!(fixture.read().is_empty(), "it reappeared as it was");
    }

    #[test]
    fn a_truncated_gzip_gives_what_it_has_and_the_rest_when_it_is_whole() {
        let mut fixture = Fixture::new();
        let lines: String = (0..2000u64).map(|n| format!("{{\"n\":{n},\"pad\":\"{:x}\"}}\n", n * 7_919_993)).collect();
        let whole = gzip(lines.as_bytes());
        fixture.write("a.gz", &whole[..whole.len() / 2]);
        let first = fixture.read();
        assert_eq!(first.last().unwrap(), "a.gz! truncated_gzip");
        assert!(first.len() > 100);
        assert_eq!(fixture.read(), ["a.gz! truncated_gzip"], "said as long as it is so");
        fixture.write("a.gz", &whole);
        assert_eq!(fixture.read().len() + first.len() - 1, 2000);
        fixture.write("b.gz", b"\x1f\x8b\x08garbage that is no gzip at all");
        assert!(fixture.read()[0].starts_with("b.gz! "));
    }

    #[test]
    fn an_incomplete_last_line_waits() {
        let mut fixture = Fixture::new();
        fixture.write("a", b"{\"n\":1}\n{\"n\":");
        assert_eq!(fixture.read(), ["a:1 {\"n\":1}", "a! incomplete_line"]);
        fixture.write("a", b"{\"n\":1}\n{\"n\":2}\n");
        assert_eq!(fixture.read(), ["a:2 {\"n\":2}"]);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut fixture = Fixture::new();
        let mut bytes = b"{\"n\":1}\n".to_vec();
        bytes.extend(vec![b'x'; 9 << 20]);
        bytes.extend(b"\n{\"n\":2}\n");
        fixture.write("a", &bytes);
        assert_eq!(fixture.read(), ["a:1 {\"n\":1}", "a:2 too long", "a:3 {\"n\":2}"]);
        bytes.extend(b"{\"n\":3}\n");
        fixture.write("a", &bytes);
        assert_eq!(fixture.read(), ["a:4 {\"n\":3}"]);
    }

    #[test]
    fn large_files_come_in_blocks_that_can_be_resumed() {
        let mut fixture = Fixture::new();
        let lines: String =
            (0..200_000).map(|n| format!("{{\"n\":{n},\"pad\":\"................................\"}}\n")).collect();
        fixture.write("a", lines.as_bytes());
        let mut ledger = BTreeMap::new();
        let mut count = 0;
        for _ in 0..20 {
            let before = ledger.clone();
            read(fixture.dir.path(), &before, &mut |block| {
                count += block.lines().len();
                ledger.insert(block.path, block.progress);
                false
            })
            .unwrap();
        }
        assert_eq!(count, 200_000);
    }

    #[test]
    fn links_that_lead_back_are_followed_once() {
        let mut fixture = Fixture::new();
        fixture.write("b/a", b"{\"n\":1}\n");
        for link in ["loop", "b/loop"] {
            std::os::unix::fs::symlink(fixture.dir.path(), fixture.dir.path().join(link)).unwrap();
        }
        assert_eq!(fixture.read(), ["b/a:1 {\"n\":1}"]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let error = list(Path::new("/does/not/exist")).unwrap_err();
        assert!(error.to_string().contains("check `location`"));
    }
}
