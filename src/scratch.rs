//! Directories for a while: what is made in one goes with it.

use std::path::{Path, PathBuf};

use crate::clock;

/// A directory of this process that goes when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new name among the system's temporary files; the directory is made by whoever first writes into it.
    pub fn new(purpose: &str) -> Self {
        let name = format!("vitalsync-{purpose}-{}-{}", std::process::id(), clock::system().0);
        Self(std::env::temp_dir().join(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
