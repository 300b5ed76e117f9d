//! The state made small when much of it is log that nothing needs: after a long first read, after days were counted anew.
//!
//! Only between jobs: changes wait for the copy, and a delivery should not.

use super::Engine;
use crate::store::StoreError;
use crate::store::compact::Compacted;

/// A state of fewer bytes is not written anew by itself: the room is not missed.
pub const WORTH: u64 = 64 << 20;

impl Engine {
    /// Writes the state anew if that is worth it. What the disk has no room for is left as it is.
    pub fn compact(&self) -> Result<Option<Compacted>, StoreError> {
        if !self.store.is_worth_compacting(self.compact_from)? {
            return Ok(None);
        }
        match self.store.compact_in_use(&self.stop) {
            Ok(Some(done)) => {
                tracing::info!(bytes_before = done.bytes_before, bytes_after = done.bytes_after, "state made small");
                Ok(Some(done))
            }
            Err(StoreError::Io { why, .. }) => {
                tracing::warn!(%why, "the state was not made small; it is whole, and the next run tries again");
                Ok(None)
            }
            other => other,
        }
    }
}
