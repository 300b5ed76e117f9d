//! A copy in order, which takes the place of what sled made of the same keys over time: it never gives much space back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use super::handle::{Fault, Handle, patiently};
use super::{Store, StoreError, Sum, recovery, sum};

/// So many keys of a copy are laid out at once at most.
const KEYS: usize = 4096;
/// So many bytes are, if there is more than one key.
const BYTES: usize = 1 << 20;
/// A value of fewer bytes is written again with its page at less cost than a key is put twice.
const LARGE: usize = 2048;

/// What compacting came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Keys copied.
    pub keys: u64,
    /// Bytes on disk before.
    pub bytes_before: u64,
    /// Bytes on disk after.
    pub bytes_after: u64,
}

impl Compacted {
    /// In words.
    pub fn said(&self) -> String {
        let [before, after] = [self.bytes_before, self.bytes_after].map(|bytes| bytes as f64 / 1e6);
        format!("{before:.1} MB before, {after:.1} MB now")
    }
}

/// A new database that is filled key by key and carries its sum from the end on. Some keys at a time are put in their order
/// without their large values, which come then: sled splits pages in the middle and writes both halves, which costs little
/// while there is little in them. So most of what is large is in the log once.
#[derive(Debug)]
pub(super) struct Copy {
    handle: Handle,
    held: Vec<(sled::IVec, sled::IVec)>,
    bytes: usize,
    sum: Sum,
}

impl Copy {
    pub(super) fn into(path: &Path) -> Result<Self, Fault> {
        let handle = Handle::open(path)?;
        Ok(Self { handle, held: Vec::new(), bytes: 0, sum: Sum::default() })
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.sum.add(key, value);
        self.held.push((key.into(), value.into()));
        self.bytes += key.len() + value.len();
        if self.held.len() >= KEYS || self.bytes >= BYTES { self.lay() } else { Ok(()) }
    }

    /// Writes what is held.
    fn lay(&mut self) -> Result<(), Fault> {
        let is_large = |value: &sled::IVec| value.len() >= LARGE;
        for (key, value) in &self.held {
            self.handle.put(key, if is_large(value) { sled::IVec::default() } else { value.clone() })?;
        }
        self.bytes = 0;
        let mut large = self.held.drain(..).filter(|(_, value)| is_large(value));
        large.try_for_each(|(key, value)| self.handle.put(&key, value))
    }

    /// Writes what is left and closes it.
    pub(super) fn close(mut self) -> Result<Written, Fault> {
        self.lay()?;
        self.handle.put(sum::KEY, self.sum.to_bytes().into())?;
        self.handle.sync()?;
        let path = self.handle.path().to_owned();
        self.handle.close()?;
        Ok(Written { path, sum: self.sum })
    }

    /// Closes and checks it. Its size and sum.
    pub(super) fn finish(self) -> Result<(u64, Sum), Fault> {
        self.close()?.check()
    }
}

/// A copy that is closed.
#[derive(Debug)]
pub(super) struct Written {
    path: PathBuf,
    sum: Sum,
}

impl Written {
    /// Opens it and reads all of it: what sled says it wrote is not taken on trust. Its size and sum.
    fn check(&self) -> Result<(u64, Sum), Fault> {
        let mut handle = Handle::open(&self.path)?;
        self.sum.compare(Sum::of(&handle)?).map_err(|why| Fault::Damaged(format!("the copy is not equal: {why}")))?;
        let size = handle.size();
        handle.close()?;
        Ok((size, self.sum))
    }
}

impl Store {
    /// True if writing it anew is worth it: the database has `least` bytes, and a fifth more than when it was last whole
    /// and compact. So a first long read is followed by a copy, and later each copy of five bytes by one new byte at least;
    /// what is worth it does not follow from how much is live, because even a fresh copy of sled's holds much that is not.
    pub fn is_worth_compacting(&self, least: u64) -> Result<bool, StoreError> {
        let size = self.size();
        let before = recovery::began_with(&self.dir).map_err(|why| self.io(why))?;
        Ok(size >= least && size - size / 6 >= before)
    }

    /// Writes everything anew beside the old, and puts it in its place once it is known to be equal. At any moment before
    /// that, and if the disk gets full, the old stays.
    pub fn compact(self) -> Result<Compacted, StoreError> {
        let busy = StoreError::Busy { dir: self.dir.clone() };
        self.compact_in_use(&AtomicBool::new(false))?.ok_or(busy)
    }

    /// The same while others use it: changes wait. `None` if it was stopped, or if somebody still reads the old one some
    /// seconds after the copy is there: then nothing was done.
    pub fn compact_in_use(&self, stop: &AtomicBool) -> Result<Option<Compacted>, StoreError> {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.dir.join(recovery::COMPACTING);
        let done = self.copy_to(&new, *sum, stop).and_then(|copy| self.take_place(&copy, &mut sum));
        if done.is_err() {
            // What is left of it is cleared away at the next open, too.
            let _ = std::fs::remove_dir_all(&new);
        }
        done.map(Some).or_else(|left| left.map_or(Ok(None), Err))
    }

    /// Puts the copy in the place of what it is a copy of, once nobody reads that. `sum` is held: nothing is changed.
    fn take_place(&self, copy: &Written, sum: &mut Sum) -> Result<Compacted, Option<StoreError>> {
        let mut done = None;
        patiently(|| {
            let mut held = self.handle.write().unwrap_or_else(PoisonError::into_inner);
            done = Arc::get_mut(&mut held).map(|handle| self.swap(copy, handle, sum));
            done.is_some()
        });
        done.ok_or(None)?.map_err(Some)
    }

    /// sled holds in memory what was read of a database, so the old one is closed before the copy is read.
    fn swap(&self, copy: &Written, handle: &mut Handle, sum: &mut Sum) -> Result<Compacted, StoreError> {
        let bytes_before = handle.size();
        handle.close().map_err(|fault| self.fault(fault))?;
        let checked = copy.check().map_err(|fault| self.fault(fault));
        let swap = |_| recovery::swap(&self.dir, recovery::COMPACTING).map_err(|why| self.io(why));
        let swapped = checked.and_then(swap);
        // Decided and not finished, it stays closed: the next start finishes it.
        if swapped.is_ok() || self.dir.join(recovery::COMPACTING).exists() {
            (*handle, *sum) = Self::open_checked(&self.dir)?;
        }
        swapped?;
        recovery::clear_aside(&self.dir).map_err(|why| self.io(why))?;
        Ok(Compacted { keys: sum.keys, bytes_before, bytes_after: handle.size() })
    }

    pub(super) fn copy_to(&self, path: &Path, sum: Sum, stop: &AtomicBool) -> Result<Written, Option<StoreError>> {
        let fault = |fault| Some(self.fault(fault));
        let mut copy = Copy::into(path).map_err(fault)?;
        self.each_of(sum, |key, value| match stop.load(Ordering::Relaxed) {
            true => Err(None),
            false => copy.put(key, value).map_err(fault),
        })?;
        copy.close().map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Batch;

    #[test]
    fn a_copy_that_is_not_equal_takes_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for round in 0..40 {
            let mut batch = Batch::default();
            (0..50).for_each(|key| batch.put_meta(&format!("{key:02}"), &round.to_string().repeat(400)));
            store.apply(batch).unwrap();
        }
        let (sum, never) = (*store.sum.lock().unwrap(), AtomicBool::new(false));
        let new = dir.path().join(recovery::COMPACTING);
        let copy = store.copy_to(&new, sum, &never).unwrap();
        let mut handle = Handle::open(&new).unwrap();
        handle.put(b"mx", b"that nobody wrote".into()).unwrap();
        handle.sync().unwrap();
        handle.close().unwrap();
        let mut held = sum;
        let refused = store.take_place(&copy, &mut held).unwrap_err().unwrap();
        assert!(refused.to_string().contains("the copy is not equal"), "{refused}");
        assert_eq!((held, store.verify().problem_count), (sum, 0), "the old one goes on");
        let mut batch = Batch::default();
        batch.put_meta("last", &1);
        store.apply(batch).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!((store.verify().problem_count, new.exists()), (0, false));
        store.compact().unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().meta::<u8>("last").unwrap(), Some(1));
    }
}
