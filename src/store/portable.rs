//! The state as one file that needs no sled: the way to back up, to restore and to move between versions.
//!
//! gzip of NDJSON. First a header; then a line a key, in order, its value as JSON, as text or as hexadecimal bytes, whichever
//! is the first that holds it to the byte; last the number of keys and an XXH3-128 over all lines before. The same state makes
//! the same lines. Logins are not in it: whoever restores it logs in again. An import builds a new database beside the old and puts it in its place at the very end.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vitalsync_core::Timestamp;
use xxhash_rust::xxh3::Xxh3;

use super::compact::Copy;
use super::{LAYOUT, Store, StoreError, failure, hold, keys, recovery};

/// The version of the file's form.
const FORM: u32 = 1;
/// The longest line that is read.
const LINE: u64 = 256 << 20;

/// Why a file was not written or not taken.
#[derive(Debug)]
pub enum PortableError {
    /// The state.
    Store(StoreError),
    /// The file can't be read or written.
    Io(io::Error),
    /// It is not a whole export, or a newer one.
    Refused {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The state is not empty.
    Occupied {
        /// The state directory.
        dir: std::path::PathBuf,
    },
}

impl From<StoreError> for PortableError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for PortableError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for PortableError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Refused { line, why } => write!(f, "line {line}: {why}; nothing was changed"),
            Self::Occupied { dir } => write!(
                f,
                "the state in {} is not empty: `--replace` puts the export in its place; nothing was changed",
                dir.display()
            ),
        }
    }
}

impl std::error::Error for PortableError {}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header<'a> {
    vitalsync_state: u32,
    layout: u8,
    #[serde(borrow)]
    program: Cow<'a, str>,
    created_at: Timestamp,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer<'a> {
    keys: u64,
    #[serde(borrow)]
    checksum: Cow<'a, str>,
}

/// A key and its value, one of three.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    #[serde(borrow)]
    k: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    json: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    hex: Option<Cow<'a, str>>,
}

/// What an export holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Keys.
    pub keys: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The layout of the state.
    pub layout: u8,
    /// XXH3-128 over all lines but the last.
    pub checksum: String,
}

/// Bytes as text: printable ASCII as it is, all else and the backslash as `\xNN`.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if matches!(byte, b' '..=b'~') && *byte != b'\\' {
            text.push(*byte as char);
        } else {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'\\' => {
                let digits = after.strip_prefix(b"x")?;
                bytes.extend(unhex(digits.get(..2)?)?);
                digits.get(2..)?
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    Some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default() as char;
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: u8| (digit as char).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    text.chunks(2).map(byte).collect()
}

fn entry<'a>(key: &[u8], value: &'a [u8]) -> Entry<'a> {
    let entry = Entry { k: escaped(key).into(), ..Entry::default() };
    let Ok(text) = std::str::from_utf8(value) else { return Entry { hex: Some(hex(value).into()), ..entry } };
    if value.first().is_some_and(|first| b"{[\"".contains(first))
        && !text.contains(['\n', '\r'])
        && let Ok(json) = serde_json::from_str::<&RawValue>(text)
        && json.get() == text
    {
        return Entry { json: Some(json), ..entry };
    }
    if text.chars().any(char::is_control) {
        return Entry { hex: Some(hex(value).into()), ..entry };
    }
    Entry { text: Some(text.into()), ..entry }
}

/// Lines, and the hash of them.
struct Lines<W> {
    out: W,
    hash: Xxh3,
}

impl<W: Write> Lines<W> {
    fn line<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.out.write_all(&text)
    }
}

/// Writes the state as of one moment: changes wait meanwhile, so the reader should be quick. `created_at` goes into the header
/// alone. Refuses a state that is damaged.
pub fn export(store: &Store, out: &mut impl Write, created_at: Timestamp) -> Result<Summary, PortableError> {
    let zip = GzEncoder::new(io::BufWriter::with_capacity(1 << 16, out), Compression::default());
    let mut lines = Lines { out: zip, hash: Xxh3::new() };
    let program = env!("CARGO_PKG_VERSION").into();
    lines.line(&Header { vitalsync_state: FORM, layout: LAYOUT, program, created_at })?;
    let mut layout = LAYOUT;
    let mut keys = 0;
    store.each(|key, value| {
        if key.starts_with(keys::LOGINS) {
            return Ok(());
        }
        if key == keys::layout() {
            layout = value.first().copied().unwrap_or(LAYOUT);
        }
        keys += 1;
        lines.line(&entry(key, value)).map_err(PortableError::Io)
    })?;
    let checksum = format!("{:032x}", lines.hash.digest128());
    lines.line(&Trailer { keys, checksum: checksum.as_str().into() })?;
    lines.out.finish()?.flush()?;
    Ok(Summary { keys, created_at, layout, checksum })
}

/// Reads an export to its end, gzip or not, without touching any state.
pub fn inspect(input: impl BufRead) -> Result<Summary, PortableError> {
    read(input, |_, _| Ok(()))
}

/// The lines of an export, each with its number.
struct Reader<R: BufRead> {
    input: Input<R>,
    line: Vec<u8>,
    number: u64,
}

enum Input<R: BufRead> {
    Zip(Box<io::BufReader<GzDecoder<R>>>),
    Plain(R),
}

impl<R: BufRead> Reader<R> {
    fn refused(&self, why: impl Into<String>) -> PortableError {
        PortableError::Refused { line: self.number.max(1), why: why.into() }
    }

    fn failed(&self, error: io::Error) -> PortableError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.refused("the file is cut off here"),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                self.refused(format!("the file is damaged here ({error})"))
            }
            _ => PortableError::Io(error),
        }
    }

    /// Reads the next line; false at the end.
    fn next(&mut self) -> Result<bool, PortableError> {
        self.number += 1;
        self.line.clear();
        let read = match &mut self.input {
            Input::Zip(input) => input.take(LINE).read_until(b'\n', &mut self.line),
            Input::Plain(input) => input.take(LINE).read_until(b'\n', &mut self.line),
        };
        match read {
            Err(error) => Err(self.failed(error)),
            Ok(0) => Ok(false),
            Ok(_) if self.line.ends_with(b"\n") => Ok(true),
            Ok(_) => Err(self.refused("the file is cut off here")),
        }
    }

    /// Requires that nothing follows the last line.
    fn end(mut self) -> Result<(), PortableError> {
        let more = self.next()?;
        let after = match &mut self.input {
            Input::Zip(input) => input.get_mut().get_mut().fill_buf()?.is_empty(),
            Input::Plain(_) => true,
        };
        if more || !after { Err(self.refused("something follows the last line")) } else { Ok(()) }
    }
}

/// Reads an export to its end and hands out its keys in order. What was handed out counts only if this returns `Ok`.
fn read(
    mut input: impl BufRead,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), PortableError>,
) -> Result<Summary, PortableError> {
    let plain = input.fill_buf()?.first() == Some(&b'{');
    let input = if plain {
        Input::Plain(input)
    } else {
        Input::Zip(Box::new(io::BufReader::with_capacity(1 << 16, GzDecoder::new(input))))
    };
    let mut reader = Reader { input, line: Vec::new(), number: 0 };
    let mut hash = Xxh3::new();
    if !reader.next()? {
        return Err(reader.refused("the file is empty"));
    }
    let header: Header = serde_json::from_slice(&reader.line)
        .map_err(|_| reader.refused("this is no export of a vitalsync state, or its beginning is damaged"))?;
    if header.vitalsync_state > FORM || header.layout > LAYOUT {
        return Err(reader.refused(format!(
            "a newer program wrote this (form {}, layout {}; this one knows up to {FORM} and {LAYOUT}): use that one",
            header.vitalsync_state, header.layout
        )));
    }
    let (layout, created_at) = (header.layout, header.created_at);
    hash.update(&reader.line);
    let (mut keys, mut last, mut found) = (0, Vec::new(), None);
    loop {
        if !reader.next()? {
            return Err(reader.refused("the file is cut off here: its last line is missing"));
        }
        if reader.line.starts_with(b"{\"keys\"") {
            break;
        }
        hash.update(&reader.line);
        let (key, value) = decoded(&reader.line).map_err(|why| reader.refused(why))?;
        if keys > 0 && key <= last {
            return Err(reader.refused("the keys are not in order"));
        }
        if key == keys::layout() {
            found = value.first().copied();
        }
        each(&key, &value)?;
        keys += 1;
        last = key;
    }
    let checksum = format!("{:032x}", hash.digest128());
    let trailer: Trailer =
        serde_json::from_slice(&reader.line).map_err(|error| reader.refused(format!("does not read: {error}")))?;
    if trailer.keys != keys {
        return Err(reader.refused(format!("{} keys were written and {keys} are here", trailer.keys)));
    }
    if trailer.checksum != checksum {
        return Err(reader.refused("the checksum is not that of the lines: the file was changed or damaged"));
    }
    if found.is_none_or(|found| found > layout) {
        return Err(reader.refused("the layout of the state is missing or not what the first line says"));
    }
    reader.end()?;
    Ok(Summary { keys, created_at, layout, checksum })
}

fn decoded(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let entry: Entry = serde_json::from_slice(line).map_err(|error| format!("does not read: {error}"))?;
    let key = unescaped(&entry.k).filter(|key| !key.is_empty() && key != super::sum::KEY);
    let value = match (entry.json, entry.text, entry.hex) {
        (Some(json), None, None) => Some(json.get().as_bytes().to_vec()),
        (None, Some(text), None) => Some(text.into_owned().into_bytes()),
        (None, None, Some(hex)) => unhex(hex.as_bytes()),
        _ => None,
    };
    key.zip(value).ok_or_else(|| "is no key with a value".to_owned())
}

/// Makes an export the state of a directory. Whatever happens before the very end leaves the old state as it was.
pub fn import(dir: &Path, input: impl BufRead, replace: bool) -> Result<Summary, PortableError> {
    let mut lock = hold(dir)?;
    if !replace && dir.join(recovery::DB).exists() {
        match Store::open_locked(dir, lock) {
            Ok(store) => {
                let first = store
                    .scan(b"")
                    .find(|entry| !matches!(entry, Ok((key, _)) if key == super::sum::KEY || *key == keys::layout()));
                if first.transpose()?.is_some() {
                    return Err(PortableError::Occupied { dir: dir.to_owned() });
                }
                lock = store.close()?;
            }
            // Nothing is lost by taking its place.
            Err((StoreError::Aside { .. }, held)) => lock = held,
            Err((error, _)) => return Err(error.into()),
        }
    }
    let new = dir.join(recovery::IMPORTING);
    let imported = fill(dir, &new, input);
    match &imported {
        Ok((_, size)) => {
            recovery::swap(dir, recovery::IMPORTING).map_err(|why| StoreError::Io { dir: dir.to_owned(), why })?;
            recovery::begin(dir, *size).map_err(|why| StoreError::Io { dir: dir.to_owned(), why })?;
        }
        Err(_) => {
            let _ = std::fs::remove_dir_all(&new);
        }
    }
    drop(lock);
    imported.map(|(summary, _)| summary)
}

/// What was imported, and its size on disk.
fn fill(dir: &Path, new: &Path, input: impl BufRead) -> Result<(Summary, u64), PortableError> {
    let fault = |fault| failure(dir, fault);
    let mut copy = Copy::into(new).map_err(fault)?;
    let summary = read(input, |key, value| Ok(copy.put(key, value).map_err(fault)?))?;
    let (size, _) = copy.finish().map_err(fault)?;
    Ok((summary, size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Batch;
    use super::*;

    fn made(entries: &[(Vec<u8>, Vec<u8>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut batch = Batch::default();
        entries.iter().for_each(|(key, value)| batch.put(key.clone(), value.clone()));
        store.apply(batch).unwrap();
        store.close().unwrap();
        dir
    }

    fn exported(dir: &Path) -> (Vec<u8>, Summary) {
        let mut out = Vec::new();
        let summary = export(&Store::open(dir).unwrap(), &mut out, Timestamp(1_760_000_000_000)).unwrap();
        (out, summary)
    }

    fn lines(file: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    }

    fn some() -> tempfile::TempDir {
        let long = (0..300).map(|n: u32| (format!("c{n:03}").into(), n.to_le_bytes().repeat(50)));
        let kinds =
            [("mlast", "{\"at\": 1}"), ("ia\x01", "Ann Ångström"), ("kcrm\u{7f}x", "[1 ,2]"), ("mlines", "{\n}")];
        let kinds = kinds.map(|(key, value)| (key.into(), value.into()));
        made(&long.chain(kinds).collect::<Vec<_>>())
    }

    #[test]
    fn an_export_reads_well() {
        let (file, summary) = exported(some().path());
        let text = lines(&file);
        for line in [
            "{\"vitalsync_state\":1,\"layout\":2,\"program\":\"0.1.0\",\"created_at\":",
            "{\"k\":\"mlast\",\"json\":{\"at\": 1}}\n",
            "{\"k\":\"ia\\\\x01\",\"text\":\"Ann Ångström\"}\n",
            "{\"k\":\"kcrm\\\\x7fx\",\"json\":[1 ,2]}\n",
            "{\"k\":\"mlines\",\"hex\":\"7b0a7d\"}\n",
            "{\"k\":\"v\",\"hex\":\"02\"}\n{\"keys\":305,\"checksum\":\"",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(inspect(&*file).unwrap(), summary);
        assert_eq!(inspect(text.as_bytes()).unwrap(), summary, "unpacked it is read too");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn export_import_export_is_the_same(
            entries in prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 1..12),
                prop_oneof![prop::collection::vec(any::<u8>(), 0..80), "\\PC{0,20}".prop_map(String::into_bytes),
                    "[{\\[\"][a-z\" :,\n\\]}]{0,12}".prop_map(String::into_bytes), Just(vec![b'x'; 5000])],
                0..60,
            )
        ) {
            let entries: Vec<_> = entries.into_iter().map(|(mut key, value)| { key.insert(0, b'm'); (key, value) }).collect();
            let first = made(&entries);
            let (file, summary) = exported(first.path());
            let second = tempfile::tempdir().unwrap();
            prop_assert_eq!(import(second.path(), &*file, false).unwrap(), summary);
            prop_assert!(exported(second.path()).0 == file);
            let store = Store::open(second.path()).unwrap();
            for (key, value) in entries {
                prop_assert_eq!(store.get(&key).unwrap(), Some(value));
            }
            prop_assert!(!store.verify().problems.iter().any(|problem| problem.starts_with("after")));
        }

        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(inspect(&*bytes).is_err());
            let zip = { let mut zip = GzEncoder::new(Vec::new(), Compression::fast()); zip.write_all(&bytes).unwrap(); zip.finish().unwrap() };
            prop_assert!(inspect(&*zip).is_err());
        }
    }

    /// Whatever is wrong with the file: it is refused with a line, and the state is as it was.
    #[track_caller]
    fn is_refused(state: &Path, before: &[u8], file: &[u8], what: &str) -> String {
        let error = import(state, file, true).expect_err(what);
        assert!(matches!(error, PortableError::Refused { line: 1.., .. }), "{what}: {error:?}");
        assert!(!state.join(recovery::IMPORTING).exists(), "{what}");
        assert!(exported(state).0 == before, "{what}: something was changed");
        error.to_string()
    }

    #[test]
    fn a_file_that_is_not_whole_changes_nothing() {
        let state = made(&[(b"mkept".to_vec(), b"1".to_vec())]);
        let before = exported(state.path()).0;
        let (file, _) = exported(some().path());
        let plain = lines(&file);
        for at in (0..file.len()).step_by(file.len() / 12).chain([file.len() - 1, file.len() - 8]) {
            is_refused(state.path(), &before, &file[..at], &format!("cut at {at}"));
        }
        // The ten bytes of gzip's own header say nothing of the content.
        for at in (10..file.len()).step_by(file.len() / 20) {
            let mut flipped = file.clone();
            flipped[at] ^= 4;
            // Deflate ends within a byte, the rest of which says nothing.
            let mut content = String::new();
            let read = GzDecoder::new(&*flipped).read_to_string(&mut content);
            if read.is_ok() && content == plain {
                continue;
            }
            is_refused(state.path(), &before, &flipped, &format!("flipped at {at}"));
        }
        for at in (0..plain.len()).step_by(plain.len() / 12) {
            is_refused(state.path(), &before, &plain.as_bytes()[..at], &format!("plain, cut at {at}"));
            let mut flipped = plain.clone().into_bytes();
            flipped[at] ^= 1;
            is_refused(state.path(), &before, &flipped, &format!("plain, flipped at {at}"));
        }
        for more in [&b"x"[..], &[0; 9], &file] {
            let text = is_refused(state.path(), &before, &[&file, more].concat(), "appended");
            assert!(text.contains("follows the last line"), "{text}");
        }
        let text = is_refused(
            state.path(),
            &before,
            format!("{plain}{{\"k\":\"mz\",\"text\":\"\"}}\n").as_bytes(),
            "appended",
        );
        assert!(text.contains("line 308: something follows"), "{text}");
    }

    #[test]
    fn a_changed_file_says_where() {
        let state = made(&[(b"mkept".to_vec(), b"1".to_vec())]);
        let before = exported(state.path()).0;
        let text = lines(&exported(some().path()).0);
        let third = text.lines().nth(2).unwrap();
        for (from, to, says) in [
            (third, "", "line 3: does not read"),
            (third, "{\"k\":\"c001\"}", "line 3: is no key with a value"),
            (third, "{\"k\":\"c000\",\"text\":\"\"}", "line 3: the keys are not in order"),
            ("Ann", "Eve", "line 307: the checksum is not that of the lines"),
            ("\"keys\":305", "\"keys\":304", "304 keys were written and 305 are here"),
            ("\"layout\":2", "\"layout\":9", "line 1: a newer program wrote this"),
            ("\"vitalsync_state\":1", "\"vitalsync_state\":2", "line 1: a newer program wrote this"),
            ("\"vitalsync_state\":1,", "", "line 1: this is no export"),
        ] {
            assert!(text.contains(from), "{from}");
            let said = is_refused(state.path(), &before, text.replacen(from, to, 1).as_bytes(), says);
            assert!(said.contains(says) && said.ends_with("nothing was changed"), "{says}: {said}");
        }
    }

    #[test]
    fn a_state_is_replaced_only_when_asked() {
        let state = made(&[(b"mkept".to_vec(), b"1".to_vec())]);
        let before = exported(state.path()).0;
        let (file, _) = exported(some().path());
        assert!(matches!(import(state.path(), &*file, false), Err(PortableError::Occupied { .. })));
        assert!(exported(state.path()).0 == before);
        let held = Store::open(state.path()).unwrap();
        for replace in [false, true] {
            let busy = import(state.path(), &*file, replace);
            assert!(matches!(busy, Err(PortableError::Store(StoreError::Busy { .. }))), "{busy:?}");
        }
        drop(held);
        import(state.path(), &*file, true).unwrap();
        assert!(exported(state.path()).0 == file);
    }

    #[test]
    fn a_damaged_state_is_restored() {
        for replace in [false, true] {
            let state = some();
            let (file, _) = exported(state.path());
            std::fs::write(state.path().join("db/db"), b"").unwrap();
            if replace {
                assert!(Store::open(state.path()).is_err());
            }
            import(state.path(), &*file, replace).unwrap();
            assert!(exported(state.path()).0 == file);
            assert!(state.path().join("db.corrupt-1").exists(), "what was damaged is kept");
        }
    }
}
