//! A copy in order, which takes the place of what sled made of the same keys over time: it never gives much space back.

use serde::{Deserialize, Serialize};

use super::handle::{Fault, Handle};
use super::{Store, StoreError, Sum, recovery, sum};

/// What a batch of a copy holds at most: keys.
const KEYS: usize = 1024;
/// What a batch of a copy holds at most, if more than one: bytes.
const BYTES: usize = 1 << 20;

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

/// A new database that is filled key by key, in batches of bounded size, and carries its sum from the end on.
#[derive(Debug)]
pub(super) struct Copy {
    handle: Handle,
    batch: sled::Batch,
    held: (usize, usize),
    sum: Sum,
}

impl Copy {
    pub(super) fn into(path: &std::path::Path) -> Result<Self, Fault> {
        let handle = Handle::open(path)?;
        Ok(Self { handle, batch: sled::Batch::default(), held: (0, 0), sum: Sum::default() })
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.sum.add(key, value);
        self.batch.insert(key, value);
        self.held = (self.held.0 + 1, self.held.1 + key.len() + value.len());
        if self.held.0 >= KEYS || self.held.1 >= BYTES {
            self.held = (0, 0);
            self.handle.apply(std::mem::take(&mut self.batch))?;
        }
        Ok(())
    }

    /// Closes it, opens it again and reads all of it: what sled says it wrote is not taken on trust. Its size and sum.
    pub(super) fn finish(mut self) -> Result<(u64, Sum), Fault> {
        let sum = self.sum;
        self.batch.insert(sum::KEY, sum.to_bytes());
        self.handle.apply(self.batch)?;
        self.handle.sync()?;
        let path = self.handle.path().to_owned();
        self.handle.close()?;
        let handle = Handle::open(&path)?;
        sum.compare(Sum::of(&handle)?).map_err(|why| Fault::Damaged(format!("the copy is not equal: {why}")))?;
        let size = handle.size();
        handle.close()?;
        Ok((size, sum))
    }
}

impl Store {
    /// Writes everything anew beside the old, and puts it in its place once it is known to be equal. At any moment before
    /// that, and if the disk gets full, the old stays.
    pub fn compact(self) -> Result<Compacted, StoreError> {
        let bytes_before = self.size();
        let new = self.dir.join(recovery::COMPACTING);
        let copied = self.copy_to(&new);
        let Self { handle, dir, lock, .. } = self;
        let io = |why| StoreError::Io { dir: dir.clone(), why };
        let swapped = copied.and_then(|(bytes_after, sum)| {
            handle.close().map_err(|fault| super::failure(&dir, fault))?;
            recovery::swap(&dir, recovery::COMPACTING).map_err(io)?;
            recovery::clear_aside(&dir).map_err(io)?;
            Ok(Compacted { keys: sum.keys, bytes_before, bytes_after })
        });
        if swapped.is_err() {
            let _ = std::fs::remove_dir_all(&new);
        }
        drop(lock);
        swapped
    }

    pub(super) fn copy_to(&self, path: &std::path::Path) -> Result<(u64, Sum), StoreError> {
        let fault = |fault| self.fault(fault);
        let mut copy = Copy::into(path).map_err(fault)?;
        self.each(|key, value| copy.put(key, value).map_err(fault))?;
        copy.finish().map_err(fault)
    }
}
