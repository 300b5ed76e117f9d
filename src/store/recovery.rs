//! The files of the state directory from outside: what is put right before sled sees them, and how one database takes
//! another's place.
//!
//! A new database is built beside the old one and then renamed to `db.ready`: that rename is the decision. Whatever is found
//! at the next open is carried on from there, or cleared away. Nothing here reads a key.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// sled's directory in the state directory.
pub(super) const DB: &str = "db";
/// Half a database, by `state import`.
pub(super) const IMPORTING: &str = "db.importing";
/// Half a database, by `state compact`.
pub(super) const COMPACTING: &str = "db.compacting";
/// Half a database, in this program's layout.
pub(super) const UPGRADING: &str = "db.upgrading";
/// A whole one that is to take the place of the old one.
const READY: &str = "db.ready";
/// The old one.
const OLD: &str = "db.old";
/// What a database that can't be read is kept as, with a number.
const CORRUPT: &str = "db.corrupt-";
/// Where snapshots that can't be read are kept.
const ASIDE: &str = "snapshots-aside";
/// In sled's directory: the state was written once, so it can't be empty. It holds how many bytes the database had then.
const BEGUN: &str = "begun";
/// sled's own settings as this program makes them, without the checksum that follows. A torn file of settings reads as other
/// settings, and then the database is refused.
const CONF: &[u8] = b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n";

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                names.extend(entry?.file_name().into_string());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    names.sort();
    Ok(names)
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { sync_tree(&entry.path())? } else { sync(&entry.path())? }
    }
    sync(dir)
}

/// Ends what a killed process began: a swap that was decided is finished, a half database is removed.
pub(super) fn settle(dir: &Path) -> io::Result<()> {
    let [db, ready, old] = [DB, READY, OLD].map(|name| dir.join(name));
    for half in [IMPORTING, COMPACTING, UPGRADING] {
        clear(&dir.join(half))?;
    }
    if ready.exists() {
        if db.exists() {
            clear(&old)?;
            fs::rename(&db, &old)?;
            sync(dir)?;
        }
        fs::rename(&ready, &db)?;
        sync(dir)?;
    } else if !db.exists() && old.exists() {
        fs::rename(&old, &db)?;
    }
    clear(&old)
}

/// Puts a whole, closed database in the place of the one that is there, if one is.
pub(super) fn swap(dir: &Path, from: &str) -> io::Result<()> {
    sync_tree(&dir.join(from))?;
    fs::rename(dir.join(from), dir.join(READY))?;
    sync(dir)?;
    settle(dir)
}

/// Moves the database where nothing touches it.
pub(super) fn set_aside(dir: &Path) -> io::Result<PathBuf> {
    let free = (1u32..).map(|n| dir.join(format!("{CORRUPT}{n}"))).find(|path| !path.exists());
    let kept = free.unwrap_or_else(|| dir.join(CORRUPT));
    fs::rename(dir.join(DB), &kept)?;
    sync(dir)?;
    Ok(kept)
}

/// The database that was moved aside and that nothing took the place of.
pub(super) fn orphan(dir: &Path) -> io::Result<Option<PathBuf>> {
    if dir.join(DB).exists() {
        return Ok(None);
    }
    Ok(names(dir)?.into_iter().rfind(|name| name.starts_with(CORRUPT)).map(|name| dir.join(name)))
}

/// Remembers that there is something to lose, and with how many bytes it began.
pub(super) fn begin(dir: &Path, bytes: u64) -> io::Result<()> {
    let db = dir.join(DB);
    let mark = db.join(BEGUN);
    if mark.exists() {
        return Ok(());
    }
    let mut file = File::create(mark)?;
    file.write_all(bytes.to_string().as_bytes())?;
    file.sync_all()?;
    sync(&db)?;
    sync(dir)
}

/// With how many bytes the database began; 0 if that isn't known.
pub(super) fn began_with(dir: &Path) -> io::Result<u64> {
    match fs::read(dir.join(DB).join(BEGUN)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        bytes => Ok(str::from_utf8(&bytes.unwrap_or_default()).ok().and_then(|text| text.parse().ok()).unwrap_or(0)),
    }
}

/// Removes the snapshots that were moved aside: what they hold may have been erased since.
pub(super) fn clear_aside(dir: &Path) -> io::Result<()> {
    clear(&dir.join(ASIDE))
}

/// What stands in the directory before sled opens it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The state was written once.
    pub(super) begun: bool,
    /// How far the log reached when sled last opened it; 0 if that isn't known.
    pub(super) reached: u64,
    /// Snapshots could not be read and were moved aside.
    pub(super) torn: bool,
}

/// How far the log reached, by the names of snapshots.
pub(super) fn reached(dir: &Path) -> io::Result<u64> {
    let names = names(&dir.join(DB))?;
    let ends = names.iter().filter_map(|name| u64::from_str_radix(name.strip_prefix("snap.")?, 16).ok());
    Ok(ends.max().unwrap_or(0))
}

/// Puts right what sled trips over: the leftover of a kill while it opened, torn snapshots, torn settings.
pub(super) fn prepare(dir: &Path) -> io::Result<Found> {
    let db = dir.join(DB);
    for name in names(&db)?.iter().filter(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
        fs::remove_file(db.join(name))?;
    }
    match fs::read(db.join("conf")) {
        Ok(conf) if conf.get(..conf.len().saturating_sub(4)) != Some(CONF) => {
            tracing::warn!("sled's settings were torn and are written anew");
            fs::remove_file(db.join("conf"))?;
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut found = Found { begun: db.join(BEGUN).exists(), reached: reached(dir)?, torn: false };
    let newest = names(&db)?.into_iter().rfind(|name| name.starts_with("snap."));
    if let Some(newest) = newest
        && !is_whole(&fs::read(db.join(newest))?)
    {
        tracing::warn!("the newest snapshot is torn: all are moved aside and the whole log is read");
        move_snapshots(dir)?;
        found.torn = true;
    }
    Ok(found)
}

/// A snapshot ends with its length (8 bytes) and its CRC-32.
fn is_whole(snapshot: &[u8]) -> bool {
    let Some((body, end)) = snapshot.len().checked_sub(12).map(|at| snapshot.split_at(at)) else { return false };
    let mut crc = flate2::Crc::new();
    crc.update(body);
    !body.is_empty() && end.get(8..) == Some(&crc.sum().to_le_bytes())
}

/// Without snapshots sled reads its whole log.
pub(super) fn move_snapshots(dir: &Path) -> io::Result<()> {
    let (db, aside) = (dir.join(DB), dir.join(ASIDE));
    clear(&aside)?;
    fs::create_dir_all(&aside)?;
    for name in names(&db)?.iter().filter(|name| name.starts_with("snap.")) {
        fs::rename(db.join(name), aside.join(name))?;
    }
    Ok(())
}
