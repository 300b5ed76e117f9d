//! The clock, handed in: the system's in production, a fixed one where `--as-of` or a test says so.

use std::time::{SystemTime, UNIX_EPOCH};

use vitalsync_core::Timestamp;

/// Where `now` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// Always the same moment: a past or simulated day.
    Fixed(Timestamp),
}

impl Clock {
    /// The moment.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Fixed(moment) => *moment,
            Self::System => system(),
        }
    }
}

/// The system's clock, for what is about the machine and not about the data: backoff, quotas, journals.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the clock")]
pub fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
