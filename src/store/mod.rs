//! The state: one sled database in one directory, behind one small type.
//!
//! Everything that must be true together is one batch in one tree, and a batch that was acknowledged survives power loss:
//! sled's own `flush` does not fsync, so this type does. sled's traps are kept from everybody else: `handle` has its panics
//! and locks, `recovery` its files, `sum` notices what it loses in silence. What keys mean is in [`keys`], how values are
//! encoded in [`codec`] and [`records`], how counts lie in [`runs`], what each kind is called in [`check`](mod@check); [`portable`] and
//! [`compact`] make copies, `upgrade` one in a newer layout.
//! Nothing here knows sources, tools or schedules.

pub mod check;
pub mod codec;
pub mod compact;
pub mod erase;
mod handle;
pub mod keys;
pub mod parts;
pub mod portable;
pub mod records;
mod recovery;
pub mod retain;
pub mod runs;
mod snapshots;
mod sum;
pub mod suppressed;
mod upgrade;
pub mod usage;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use check::check;
use handle::{Fault, Handle};
use sum::Sum;

/// The layout of the state that this program writes.
const LAYOUT: u8 = 2;

/// So many keys make a batch large.
const SPILLED: usize = 512;
/// So many bytes of new keys do: some pages.
const SPILLED_BYTES: usize = 512 << 10;
/// So many new keys are laid out before they get their values: as many as a page of sled's holds.
const LAID_OUT: usize = 16;

/// An open state directory, held by this process alone.
#[derive(Debug)]
pub struct Store {
    /// Those who read hold it meanwhile; a compact copy takes its place when nobody does.
    handle: RwLock<Arc<Handle>>,
    dir: PathBuf,
    /// What the state should hold. Held locked while a change is made, and while everything is read as of one moment.
    sum: Mutex<Sum>,
    /// Held, not read: another process that wants this state sees it locked.
    lock: File,
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
    /// What it holds is not what was written. It was open when that was found.
    Damaged {
        /// The state directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It can't be opened, and the known cures did not help: it was moved aside, and nothing took its place.
    Aside {
        /// The state directory.
        dir: PathBuf,
        /// Where it is now.
        kept: PathBuf,
        /// What is wrong, if that was just found.
        why: Option<String>,
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
                "the state in {} is held by another vitalsync process: stop it first, or wait until it has ended; if it is the daemon, `vitalsync status` and other commands that look ask it",
                dir.display()
            ),
            Self::Newer { dir, layout } => write!(
                f,
                "the state in {} has layout {layout}, this program knows up to {LAYOUT}: use the newer program, or another state directory",
                dir.display()
            ),
            Self::Damaged { dir, why } => write!(
                f,
                "the state in {dir} is damaged ({why}): stop what uses it, then put the last export back with `vitalsync state import FILE --replace`; without an export move {dir}/{db} away and run again: usage is read anew from the sources, and every record is compared and written again",
                dir = dir.display(),
                db = recovery::DB,
            ),
            Self::Aside { dir, kept, why } => {
                write!(f, "the state in {} can't be read", dir.display())?;
                if let Some(why) = why {
                    write!(f, " ({why})")?;
                }
                write!(
                    f,
                    " and is kept in {kept}: put the last export back with `vitalsync state import FILE`; without an export move {kept} out of that directory and run again: usage is read anew from the sources, and every record is compared and written again",
                    kept = kept.display(),
                )
            }
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
    /// What each key is to have; nothing if it is to go.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Keys that certainly are not there yet.
    new: Vec<(Vec<u8>, Vec<u8>)>,
    new_bytes: usize,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    /// Sets a key that certainly is not there.
    pub fn put_new(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.new_bytes += key.len() + value.len();
        self.new.push((key, value));
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len() + self.new.len()
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// True if nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.new.is_empty()
    }
}

impl Store {
    /// Opens a state directory, making it if it is not there.
    ///
    /// What a killed process or a power cut left behind is put right. What can't be is moved aside, with an error, and the
    /// directory stays closed until somebody decides: a state never begins anew in silence.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_locked(dir, hold(dir)?).map_err(|(error, _)| error)
    }

    /// Whether a directory holds a state, whole or not; nothing is opened or made.
    pub fn is_in(dir: &Path) -> bool {
        let database = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(recovery::DB);
        std::fs::read_dir(dir).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(database)))
    }

    /// Opens a directory that is held; gives the hold back if it can't be opened.
    fn open_locked(dir: &Path, lock: File) -> Result<Self, (StoreError, File)> {
        let io = |why| StoreError::Io { dir: dir.to_owned(), why };
        let opened = match recovery::orphan(dir) {
            Err(why) => Err(io(why)),
            Ok(Some(kept)) => Err(StoreError::Aside { dir: dir.to_owned(), kept, why: None }),
            Ok(None) => match Self::open_checked(dir) {
                Err(StoreError::Damaged { why, .. }) => Err(match recovery::set_aside(dir) {
                    Ok(kept) => StoreError::Aside { dir: dir.to_owned(), kept, why: Some(why) },
                    Err(error) => io(error),
                }),
                done => done,
            },
        };
        match opened {
            Ok((handle, sum)) => {
                Ok(Self { handle: RwLock::new(Arc::new(handle)), dir: dir.to_owned(), sum: Mutex::new(sum), lock })
            }
            Err(error) => Err((error, lock)),
        }
    }

    fn open_checked(dir: &Path) -> Result<(Handle, Sum), StoreError> {
        let io = |why| StoreError::Io { dir: dir.to_owned(), why };
        let fault = |fault| failure(dir, fault);
        let damaged = |why: String| StoreError::Damaged { dir: dir.to_owned(), why };
        let db = dir.join(recovery::DB);
        let mut found = recovery::prepare(dir).map_err(io)?;
        let handle = match Handle::open(&db) {
            Err(Fault::Damaged(first)) if found.reached > 0 && !found.torn => {
                tracing::warn!(error = %first, "the state did not open; its snapshots are moved aside and the whole log is read");
                recovery::move_snapshots(dir).map_err(io)?;
                found.torn = true;
                Handle::open(&db).map_err(|second| match second {
                    Fault::Damaged(second) if second != first => damaged(format!("{first}; then {second}")),
                    other => fault(other),
                })?
            }
            opened => opened.map_err(fault)?,
        };
        if found.torn && recovery::reached(dir).map_err(io)? < found.reached {
            return Err(damaged("its log ends before what was last known to be in it".to_owned()));
        }
        match handle.get(&keys::layout()).map_err(fault)?.map(|layout| layout.first().copied().unwrap_or_default()) {
            Some(layout) if layout > LAYOUT => return Err(StoreError::Newer { dir: dir.to_owned(), layout }),
            Some(upgrade::FROM) => {
                if let Some(bytes) = handle.get(sum::KEY).map_err(fault)? {
                    let sum = Sum::read(&bytes).ok_or_else(|| damaged("its sum does not read".to_owned()))?;
                    sum.compare(Sum::of(&handle).map_err(fault)?).map_err(damaged)?;
                }
                upgrade::upgrade(dir, handle)?;
                return Self::open_checked(dir);
            }
            Some(_) => {}
            None if found.begun || handle.scan(b"").next().is_some() => {
                return Err(damaged("its log has lost its beginning".to_owned()));
            }
            None => {
                let mut sum = Sum::default();
                sum.add(&keys::layout(), &[LAYOUT]);
                let mut batch = sled::Batch::default();
                batch.insert(keys::layout(), vec![LAYOUT]);
                batch.insert(sum::KEY, sum.to_bytes());
                handle.apply(batch).and_then(|()| handle.sync()).map_err(fault)?;
            }
        }
        let sum = match handle.get(sum::KEY).map_err(fault)? {
            Some(bytes) => Sum::read(&bytes).ok_or_else(|| damaged("its sum does not read".to_owned()))?,
            None if found.begun => return Err(damaged("its sum is gone".to_owned())),
            None => {
                // Written before there were sums.
                let sum = Sum::of(&handle).map_err(fault)?;
                let mut batch = sled::Batch::default();
                batch.insert(sum::KEY, sum.to_bytes());
                handle.apply(batch).and_then(|()| handle.sync()).map_err(fault)?;
                sum
            }
        };
        recovery::begin(dir, handle.size()).map_err(io)?;
        if found.torn {
            sum.compare(Sum::of(&handle).map_err(fault)?).map_err(damaged)?;
        }
        Ok((handle, sum))
    }

    /// An error about what a value or key means.
    pub(crate) fn broken(&self, what: &str) -> StoreError {
        self.fault(Fault::Damaged(format!("{what} does not read")))
    }

    fn handle(&self) -> Arc<Handle> {
        Arc::clone(&self.handle.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn io(&self, why: std::io::Error) -> StoreError {
        StoreError::Io { dir: self.dir.clone(), why }
    }

    fn fault(&self, fault: Fault) -> StoreError {
        failure(&self.dir, fault)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.handle().get(key).map_err(|fault| self.fault(fault))?.map(|value| value.to_vec()))
    }

    /// All keys below a prefix with their values, in order.
    pub fn scan(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + '_ {
        self.raw_scan(prefix).map(|entry| {
            let (key, value) = entry?;
            Ok((key.to_vec(), value.to_vec()))
        })
    }

    /// All keys below a prefix with their values, in order, as sled holds them.
    pub(crate) fn raw_scan<'s>(
        &'s self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StoreError>> + use<'s> {
        Handle::entries(self.handle(), prefix).map(|entry| entry.map_err(|fault| self.fault(fault)))
    }

    /// The first key that is not before a key.
    fn first_from(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.handle().first_from(key).map_err(|fault| self.fault(fault))?.map(|key| key.to_vec()))
    }

    /// Makes changes, all or none. When this returns they survive a crash and a power cut.
    pub fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.change(batch).and_then(|()| self.handle().sync()).map_err(|fault| self.fault(fault))
    }

    /// Makes the changes of a batch that has become large before those that make them count: they are seen at once, new
    /// ones perhaps without what they hold, and survive only what comes after them. Whoever uses this tells what was not
    /// finished.
    pub fn spill(&self, batch: &mut Batch) -> Result<(), StoreError> {
        if batch.len() < SPILLED && batch.new_bytes < SPILLED_BYTES {
            return Ok(());
        }
        self.append(std::mem::take(batch))
    }

    /// Adds keys that certainly are not there to a batch, and spills what becomes too large.
    pub fn put_all_new(&self, entries: Vec<(Vec<u8>, Vec<u8>)>, batch: &mut Batch) -> Result<(), StoreError> {
        entries.into_iter().try_for_each(|(key, value)| {
            batch.put_new(key, value);
            self.spill(batch)
        })
    }

    /// Makes the last changes before those that make them count, as [`Store::spill`] does.
    fn append(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.lay(batch).map_err(|fault| self.fault(fault))
    }

    /// Puts new keys that come one after the other blank before they get their values. sled splits pages in the middle and
    /// writes both halves: that costs little while there is little in them. Others go to pages that are filled already.
    fn lay(&self, mut batch: Batch) -> Result<(), Fault> {
        let blank = |(key, _): &(Vec<u8>, Vec<u8>)| Some((key.clone(), codec::blank(key)?.to_vec()));
        let blanks: Vec<_> = batch.new.iter().filter_map(blank).collect();
        if blanks.len() < LAID_OUT {
            return self.change(batch);
        }
        let (new, others) = batch.new.into_iter().partition(|(key, _)| codec::blank(key).is_some());
        batch.new = others;
        batch.new.extend(blanks);
        self.change(batch)?;
        self.write(new, BTreeMap::new(), true)
    }

    fn change(&self, batch: Batch) -> Result<(), Fault> {
        self.write(batch.new, batch.changes, false)
    }

    /// Makes changes, all or none. New keys are blank so far, or not there.
    fn write(
        &self,
        new: Vec<(Vec<u8>, Vec<u8>)>,
        changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
        blank: bool,
    ) -> Result<(), Fault> {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = self.handle();
        let mut next = *sum;
        let mut changes = sled::Batch::default();
        for (key, value) in new {
            if let Some(before) = codec::blank(&key).filter(|_| blank) {
                next.remove(&key, before);
            }
            next.add(&key, &value);
            changes.insert(key, value);
        }
        for (key, value) in changed {
            if let Some(before) = handle.get(&key)? {
                next.remove(&key, &before);
            }
            match value {
                Some(value) => {
                    next.add(&key, &value);
                    changes.insert(key, value);
                }
                None => changes.remove(key),
            }
        }
        changes.insert(sum::KEY, next.to_bytes());
        handle.apply(changes)?;
        *sum = next;
        Ok(())
    }

    /// Hands out everything in order, as of one moment: changes wait meanwhile. Fails at the end if it is not what was
    /// written.
    fn each<E: From<StoreError>>(&self, entry: impl FnMut(&[u8], &[u8]) -> Result<(), E>) -> Result<Sum, E> {
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        self.each_of(*sum, entry)
    }

    /// The same for one who keeps changes waiting.
    fn each_of<E: From<StoreError>>(
        &self,
        sum: Sum,
        mut entry: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Sum, E> {
        let mut found = Sum::default();
        for one in self.raw_scan(b"") {
            let (key, value) = one?;
            if &*key != sum::KEY {
                found.add(&key, &value);
                entry(&key, &value)?;
            }
        }
        let compared = sum.compare(found);
        compared.map_err(|why| StoreError::Damaged { dir: self.dir.clone(), why })?;
        Ok(found)
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.handle().size()
    }

    /// Closes it and keeps the hold on the directory.
    fn close(self) -> Result<File, StoreError> {
        let Self { handle, dir, lock, .. } = self;
        // Nobody else can hold it: whoever reads has borrowed the store.
        if let Some(mut handle) = Arc::into_inner(handle.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            handle.close().map_err(|fault| failure(&dir, fault))?;
        }
        Ok(lock)
    }
}

/// Holds a state directory for this process, making it if it is not there, and ends what a killed process began in it.
fn hold(dir: &Path) -> Result<File, StoreError> {
    let io = |why| StoreError::Io { dir: dir.to_owned(), why };
    // What people do stands in it, and tokens of logins may.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join("LOCK")).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { dir: dir.to_owned() }),
        Err(TryLockError::Error(why)) => return Err(io(why)),
    }
    recovery::settle(dir).map_err(io)?;
    Ok(lock)
}

fn failure(dir: &Path, fault: Fault) -> StoreError {
    let dir = dir.to_owned();
    match fault {
        Fault::Io(why) => StoreError::Io { dir, why },
        Fault::Damaged(why) => StoreError::Damaged { dir, why },
    }
}

#[cfg(test)]
mod tests;
