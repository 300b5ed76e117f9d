//! Rate windows, as functions of the moment handed in.
//!
//! Refused requests do not count against a window: the vendors do not say whether they do.

use std::collections::VecDeque;

use serde::Deserialize;

/// The adjustable limits of an account. `None` leaves a limit as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// HubSpot: requests in any ten seconds (default 100).
    pub ten_secondly: Option<u32>,
    /// HubSpot: requests in a day of UTC (default 250,000).
    pub daily: Option<u32>,
    /// HubSpot: searches in any second (default 5).
    pub search_secondly: Option<u32>,
    /// HubSpot and Intercom: how long a write stays invisible to search, in milliseconds (default 0).
    pub index_lag_ms: Option<i64>,
    /// Intercom: requests in each ten-second window (default 1,666: a sixth of 10,000 a minute).
    pub per_window: Option<u32>,
    /// Slack: posts to one channel within `post_window_ms` (default 4).
    pub post_burst: Option<u32>,
    /// Slack: see `post_burst`, in milliseconds (default 4,000).
    pub post_window_ms: Option<i64>,
}

/// A window that rolls: at most `max` in any `span_ms`.
#[derive(Debug, Clone)]
pub(crate) struct Rolling {
    pub max: u32,
    pub span_ms: i64,
    taken: VecDeque<i64>,
}

impl Rolling {
    pub fn new(max: u32, span_ms: i64) -> Self {
        Self { max, span_ms, taken: VecDeque::new() }
    }

    /// Takes one, and says how many are left; else after how many milliseconds one is free.
    pub fn take(&mut self, now: i64) -> Result<u32, i64> {
        while self.taken.front().is_some_and(|at| *at <= now.saturating_sub(self.span_ms)) {
            self.taken.pop_front();
        }
        let used = self.taken.len() as u32;
        if used >= self.max {
            return Err(self.taken.front().map_or(self.span_ms, |at| at.saturating_add(self.span_ms) - now));
        }
        self.taken.push_back(now);
        Ok(self.max - used - 1)
    }
}

/// A window of the clock: at most `max` between two multiples of `span_ms`.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    pub max: u32,
    pub span_ms: i64,
    window: i64,
    pub used: u32,
}

impl Fixed {
    pub fn new(max: u32, span_ms: i64) -> Self {
        Self { max, span_ms, window: i64::MIN, used: 0 }
    }

    /// Takes one; `Ok` and `Err` both hold what is left after it (0 if refused).
    pub fn take(&mut self, now: i64) -> Result<u32, u32> {
        let window = now.div_euclid(self.span_ms);
        if window != self.window {
            (self.window, self.used) = (window, 0);
        }
        if self.used >= self.max {
            return Err(0);
        }
        self.used += 1;
        Ok(self.max - self.used)
    }

    /// When the window of `now` ends, in milliseconds.
    pub fn resets_at(&self, now: i64) -> i64 {
        (now.div_euclid(self.span_ms) + 1) * self.span_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rolling_window_frees_one_after_its_span() {
        let mut window = Rolling::new(2, 1000);
        assert_eq!([window.take(0), window.take(400), window.take(999)], [Ok(1), Ok(0), Err(1)]);
        assert_eq!([window.take(1000), window.take(1001)], [Ok(0), Err(399)]);
    }

    #[test]
    fn a_fixed_window_frees_all_at_its_end() {
        let mut window = Fixed::new(2, 1000);
        assert_eq!([window.take(900), window.take(950), window.take(999)], [Ok(1), Ok(0), Err(0)]);
        assert_eq!((window.resets_at(999), window.take(1000)), (1000, Ok(1)));
    }
}
