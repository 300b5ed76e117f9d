//! sled, held at arm's length: every call goes through here, so that its panics and errors become one of two faults.
//!
//! What bites in sled 0.34.7 and is cured here: it panics on some damage, also at a later read; its `flush` does not fsync, nor
//! does it fsync the files of large values; its lock is let go of a moment after it is closed. A database that panicked is not
//! touched again, not even to close it. What its files look like from outside is in [`recovery`](super::recovery).

use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// How often, 20 ms apart, a lock that sled is about to let go of is tried.
const PATIENCE: u32 = 150;

/// Why sled did not do what it was asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// The system said no.
    Io(io::Error),
    /// What is on disk is not what sled wrote.
    Damaged(String),
}

impl From<io::Error> for Fault {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            // It reads past the end of what is there.
            sled::Error::Io(why) if why.kind() == io::ErrorKind::UnexpectedEof => Self::Damaged(why.to_string()),
            sled::Error::Io(why) => Self::Io(why),
            other => Self::Damaged(other.to_string().lines().next().unwrap_or_default().to_owned()),
        }
    }
}

thread_local! {
    /// A panic of sled is told by the error that it becomes, not by a trace.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something of sled's, and catches its panic.
fn caught<T>(work: impl FnOnce() -> Result<T, sled::Error>) -> Result<Result<T, Fault>, Fault> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    let quiet = QUIET.replace(true);
    let done = std::panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(quiet);
    match done {
        Ok(done) => Ok(done.map_err(Fault::from)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no reason given");
            let code = [28, 27, 122, 5].into_iter().find(|code| text.contains(&format!("os error {code}")));
            let text: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
            Err(code.map_or_else(
                || Fault::Damaged(format!("sled panicked: {text}")),
                |code| Fault::Io(io::Error::from_raw_os_error(code)),
            ))
        }
    }
}

/// An open database.
#[derive(Debug)]
pub(super) struct Handle {
    /// Nothing once it is closed.
    db: Option<sled::Db>,
    path: PathBuf,
    /// It panicked.
    broken: AtomicBool,
    /// Files of large values that are known to be on disk.
    synced: Mutex<HashSet<OsString>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.broken.load(Ordering::Relaxed) {
            // Closing would write, or wait for threads that are gone.
            std::mem::forget(self.db.take());
        }
    }
}

impl Handle {
    /// Opens a directory of sled's, making it if it is not there. Nobody else may have it open but a handle of this process
    /// that was just closed.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(16 << 20)
            .flush_every_ms(Some(1000))
            .mode(sled::Mode::LowSpace);
        let mut opened = Err(Fault::Damaged(String::new()));
        patiently(|| {
            opened = caught(|| config.open()).and_then(|done| done);
            !matches!(&opened, Err(Fault::Io(error)) if error.to_string().contains("could not acquire lock"))
        });
        Ok(Self { db: Some(opened?), path: path.to_owned(), broken: AtomicBool::new(false), synced: Mutex::default() })
    }

    fn guarded<T>(&self, work: impl FnOnce(&sled::Db) -> Result<T, sled::Error>) -> Result<T, Fault> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Fault::Damaged("sled panicked before".to_owned()));
        }
        let Some(db) = &self.db else {
            return Err(Fault::Io(io::Error::other("it was closed to be replaced; the next start finishes that")));
        };
        caught(|| work(db)).unwrap_or_else(|fault| {
            self.broken.store(true, Ordering::Relaxed);
            Err(fault)
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Fault> {
        self.guarded(|db| db.get(key))
    }

    /// Keys below a prefix with their values, in order. Ends after the first fault.
    pub(super) fn scan<'h>(
        &'h self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), Fault>> + use<'h> {
        Self::entries(self, prefix)
    }

    /// The same of a database that is borrowed, or held as long as its keys are read.
    pub(super) fn entries<H: Deref<Target = Self>>(
        held: H,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), Fault>> + use<H> {
        let mut entries = held.db.as_ref().map(|db| db.scan_prefix(prefix));
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let entry = held.guarded(|_| entries.as_mut().and_then(Iterator::next).transpose()).transpose();
            ended = !matches!(entry, Some(Ok(_)));
            entry
        })
    }

    /// The first key that is not before a key.
    pub(super) fn first_from(&self, key: &[u8]) -> Result<Option<sled::IVec>, Fault> {
        self.guarded(|db| db.range(key..).next().transpose()).map(|entry| entry.map(|(key, _)| key))
    }

    /// Makes changes, all or none; they survive once [`Handle::sync`] returned.
    pub(super) fn apply(&self, batch: sled::Batch) -> Result<(), Fault> {
        self.guarded(|db| db.apply_batch(batch))
    }

    /// Sets one key, at once.
    pub(super) fn put(&self, key: &[u8], value: sled::IVec) -> Result<(), Fault> {
        self.guarded(|db| db.insert(key, value)).map(|_| ())
    }

    /// Brings everything that was applied to the disk.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.guarded(|db| db.flush())?;
        File::open(self.path.join("db"))?.sync_all()?;
        let blobs = self.path.join("blobs");
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = false;
        for entry in std::fs::read_dir(&blobs)? {
            let name = entry?.file_name();
            if !synced.contains(&name) {
                match File::open(blobs.join(&name)).and_then(|file| file.sync_all()) {
                    // It was replaced meanwhile.
                    Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
                    done => done?,
                }
                new = synced.insert(name);
            }
        }
        if new {
            File::open(&blobs)?.sync_all()?;
        }
        Ok(())
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> u64 {
        self.guarded(|db| db.size_on_disk()).unwrap_or(0)
    }

    /// Closes it, and waits until sled's threads have let go of it. From then on every call fails.
    pub(super) fn close(&mut self) -> Result<(), Fault> {
        let file = File::open(self.path.join("db"))?;
        if self.broken.load(Ordering::Relaxed) {
            return Ok(());
        }
        drop(self.db.take());
        if patiently(|| !matches!(file.try_lock(), Err(TryLockError::WouldBlock))) {
            return Ok(());
        }
        Err(Fault::Io(io::Error::new(io::ErrorKind::TimedOut, "sled did not let go of its file")))
    }
}

/// Tries until it is true, or patience is at its end.
#[expect(
    clippy::disallowed_methods,
    reason = "never where the runtime serves: what is waited for, sled's lock or a reader, takes a moment"
)]
pub(super) fn patiently(mut done: impl FnMut() -> bool) -> bool {
    (0..PATIENCE).any(|try_| {
        if try_ > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        done()
    })
}
