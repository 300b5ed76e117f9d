//! The state: one sled database in one directory, behind one small type.
//!
//! Everything that must be true together is one batch in one tree, and a batch that was acknowledged survives power loss:
//! sled's own `flush` does not fsync, so this type does. It knows sled's traps (a kill during open leaves a file that
//! bricks the next one; a second process must be told so) and keeps them from everybody else. What keys mean is in
//! [`keys`], how values are encoded in [`codec`] and [`records`]; nothing here knows sources, tools or schedules.

pub mod codec;
pub mod keys;
pub mod records;
pub mod suppressed;
pub mod usage;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The layout of the state that this program writes.
const LAYOUT: u8 = 2;

/// An open state directory, held by this process alone.
#[derive(Debug)]
pub struct Store {
    db: sled::Db,
    file: PathBuf,
    /// Held, not read: another process that wants this state sees it locked.
    _lock: File,
}

/// Why the state can't be used.
#[derive(Debug)]
pub enum StoreError {
    /// Another process holds it.
    Busy {
        /// The state directory.
        dir: PathBuf,
    },
    /// A newer program wrote it.
    Newer {
        /// The state directory.
        dir: PathBuf,
        /// Its layout.
        layout: u8,
    },
    /// It can't be read, and the known cures did not help.
    Damaged {
        /// The state directory.
        dir: PathBuf,
        /// What sled says.
        why: String,
    },
    /// The disk said no.
    Io {
        /// The state directory.
        dir: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy { dir } => write!(
                f,
                "the state in {} is held by another vitalsync process: stop it first, or ask it with `vitalsync status`",
                dir.display()
            ),
            Self::Newer { dir, layout } => write!(
                f,
                "the state in {} has layout {layout}, this program knows up to {LAYOUT}: use the newer program, or another state directory",
                dir.display()
            ),
            Self::Damaged { dir, why } => write!(
                f,
                "the state in {} is damaged ({why}): move the directory aside and run again; usage is read anew from the sources, and every record is compared and written again",
                dir.display()
            ),
            Self::Io { dir, why } => {
                let full = matches!(
                    why.kind(),
                    std::io::ErrorKind::StorageFull
                        | std::io::ErrorKind::FileTooLarge
                        | std::io::ErrorKind::QuotaExceeded
                );
                let dir = dir.display();
                if full {
                    return write!(
                        f,
                        "can't write the state in {dir}: the disk is full: free some space and run again; what was acknowledged is safe"
                    );
                }
                write!(
                    f,
                    "can't write the state in {dir}: {why}: check its rights and the disk; what was acknowledged is safe"
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// Changes that are made together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    batch: sled::Batch,
    len: usize,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.insert(key, value);
        self.len += 1;
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.batch.remove(key);
        self.len += 1;
    }

    /// True if nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Store {
    /// Opens a state directory, making it if it is not there.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let io = |why| StoreError::Io { dir: dir.to_owned(), why };
        std::fs::create_dir_all(dir).map_err(io)?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("LOCK")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { dir: dir.to_owned() }),
            Err(TryLockError::Error(why)) => return Err(io(why)),
        }
        let path = dir.join("db");
        // Left behind by a process that was killed while it opened; sled would take it for its newest snapshot.
        remove_matching(&path, |name| name.starts_with("snap.") && name.ends_with(".generating")).map_err(io)?;
        let db = match open_sled(&path) {
            Ok(db) => db,
            Err(sled::Error::Io(why)) => return Err(io(why)),
            Err(first) => {
                // A torn snapshot: without snapshots sled replays its log.
                let aside = dir.join("snapshots-aside");
                move_snapshots(&path, &aside).map_err(io)?;
                tracing::warn!(error = %first, "the state did not open; its snapshots were moved aside and the log is replayed");
                open_sled(&path).map_err(|error| StoreError::Damaged {
                    dir: dir.to_owned(),
                    why: format!("{first}; then {error}"),
                })?
            }
        };
        let store = Self { db, file: path.join("db"), _lock: lock };
        match store.get(&keys::layout())? {
            Some(layout) if layout.first().is_some_and(|layout| *layout > LAYOUT) => {
                return Err(StoreError::Newer {
                    dir: dir.to_owned(),
                    layout: layout.first().copied().unwrap_or_default(),
                });
            }
            Some(_) => {}
            None => {
                let mut batch = Batch::default();
                batch.put(keys::layout(), vec![LAYOUT]);
                store.apply(batch)?;
            }
        }
        Ok(store)
    }

    pub(crate) fn failed(&self, error: sled::Error) -> StoreError {
        let dir = self.file.parent().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        match error {
            sled::Error::Io(why) => StoreError::Io { dir, why },
            other => StoreError::Damaged { dir, why: other.to_string() },
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get(key).map_err(|error| self.failed(error))?.map(|value| value.to_vec()))
    }

    /// All keys below a prefix with their values, in order.
    pub fn scan(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + '_ {
        self.db.scan_prefix(prefix).map(|entry| {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            Ok((key.to_vec(), value.to_vec()))
        })
    }

    /// The last key below a prefix, with its value.
    pub fn last_below(&self, prefix: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        let last = self.db.scan_prefix(prefix).next_back().transpose().map_err(|error| self.failed(error))?;
        Ok(last.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    /// All keys below a prefix with their values, in order, as sled holds them.
    pub(crate) fn raw_scan(
        &self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StoreError>> + '_ {
        self.db.scan_prefix(prefix).map(|entry| entry.map_err(|error| self.failed(error)))
    }

    /// Makes changes, all or none. When this returns they survive a crash and a power cut.
    pub fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.db.apply_batch(batch.batch).map_err(|error| self.failed(error))?;
        self.db.flush().map_err(|error| self.failed(error))?;
        let io = |why| self.failed(sled::Error::Io(why));
        File::open(&self.file).and_then(|file| file.sync_all()).map_err(io)
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

/// Opens sled. Our own lock is held by then, so a lock that sled itself still finds is that of a database which this process
/// has just closed: sled lets go of it a moment after the last handle is dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "before the runtime serves anything: sled lets go of its lock a moment late"
)]
fn open_sled(path: &Path) -> Result<sled::Db, sled::Error> {
    let mut patience = 100;
    loop {
        match try_open(path) {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") && patience > 0 => {
                patience -= 1;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

fn try_open(path: &Path) -> Result<sled::Db, sled::Error> {
    let open = || {
        sled::Config::new()
            .path(path)
            .cache_capacity(64 << 20)
            .flush_every_ms(Some(1000))
            .mode(sled::Mode::LowSpace)
            .open()
    };
    // Some damage makes sled panic instead of saying so.
    std::panic::catch_unwind(open)
        .unwrap_or_else(|_| Err(sled::Error::ReportableBug("sled panicked while opening".into())))
}

fn remove_matching(dir: &Path, matches: impl Fn(&str) -> bool) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&matches) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn move_snapshots(dir: &Path, aside: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(aside)?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("snap.")) {
            std::fs::rename(entry.path(), aside.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, key: &str, value: &str) {
        let mut batch = Batch::default();
        batch.put(key.into(), value.into());
        store.apply(batch).unwrap();
    }

    #[test]
    fn what_was_acknowledged_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        put(&Store::open(dir.path()).unwrap(), "a", "1");
        assert_eq!(Store::open(dir.path()).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
    }

    #[test]
    fn a_second_process_is_told_that_the_state_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Store::open(dir.path()).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    }

    #[test]
    fn the_leftover_of_a_killed_start_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        put(&Store::open(dir.path()).unwrap(), "a", "1");
        std::fs::write(dir.path().join("db/snap.00000000000000FF.generating"), b"half").unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
    }

    #[test]
    fn a_torn_snapshot_is_moved_aside_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        put(&Store::open(dir.path()).unwrap(), "a", "1");
        drop(Store::open(dir.path()).unwrap());
        let mut torn = 0;
        for entry in std::fs::read_dir(dir.path().join("db")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
                torn += 1;
            }
        }
        assert!(torn > 0, "sled wrote no snapshot; this test tests nothing");
        assert_eq!(Store::open(dir.path()).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
    }

    #[test]
    fn a_newer_layout_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = Store::open(dir.path()).unwrap();
            let mut batch = Batch::default();
            batch.put(keys::layout(), vec![LAYOUT + 1]);
            store.apply(batch).unwrap();
        }
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Newer { .. })));
    }
}
