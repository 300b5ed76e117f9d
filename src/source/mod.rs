//! Sources of usage. Each hands out lines in blocks, with what it will remember once the block is counted.

pub mod archive;
mod inflate;

use std::fmt;
use std::path::PathBuf;

/// Why a source as a whole could not be read.
#[derive(Debug)]
pub enum SourceError {
    /// There is nothing where the config points.
    Missing {
        /// The place.
        location: PathBuf,
    },
    /// The place can't be listed.
    Unreadable {
        /// The place.
        location: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { location } => {
                write!(
                    f,
                    "there is no archive at {}: check `location`, or whether the disk is mounted",
                    location.display()
                )
            }
            Self::Unreadable { location, why } => {
                write!(f, "can't list {}: {why}: check its rights", location.display())
            }
        }
    }
}

impl std::error::Error for SourceError {}
