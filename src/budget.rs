//! Rate budgets: how fast each quota of a vendor account may be drawn from.
//!
//! A limit of N in any window is kept with a burst b and a rate of (N − b) per window: the worst window then holds N, where
//! a burst of N would let almost 2N through. When a tool says *wait*, the whole pool waits.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota as Rate, RateLimiter};
use tokio::time::Instant;
use vitalsync_core::connector::{Pool, Quota};

/// The budgets of one vendor account.
#[derive(Debug, Default)]
pub struct Budget {
    quotas: &'static [Quota],
    pools: Mutex<HashMap<Pool, Arc<Lane>>>,
}

#[derive(Debug)]
struct Lane {
    limiter: Option<DefaultDirectRateLimiter>,
    blocked_until: Mutex<Option<Instant>>,
}

impl Budget {
    /// Budgets by a connector's quotas.
    pub fn new(quotas: &'static [Quota]) -> Self {
        Self { quotas, pools: Mutex::default() }
    }

    fn lane(&self, pool: &Pool) -> Arc<Lane> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = pools.entry(pool.clone()).or_insert_with(|| {
            let quota = self.quotas.iter().find(|quota| quota.pool == pool.name);
            Arc::new(Lane { limiter: quota.and_then(rate).map(RateLimiter::direct), blocked_until: Mutex::default() })
        });
        Arc::clone(lane)
    }

    /// When a pool may be drawn from again, if the tool said *wait*.
    pub fn blocked_until(&self, pool: &Pool) -> Option<Instant> {
        *self.lane(pool).blocked_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn.
    pub async fn draw(&self, pool: &Pool) {
        let lane = self.lane(pool);
        loop {
            let until = *lane.blocked_until.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => break,
            }
        }
        if let Some(limiter) = &lane.limiter {
            limiter.until_ready().await;
        }
    }

    /// The tool said *wait*: nothing is drawn from the pool before then.
    pub fn block(&self, pool: &Pool, after: Duration) {
        let lane = self.lane(pool);
        let mut blocked = lane.blocked_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + after;
        *blocked = Some(blocked.map_or(until, |before| before.max(until)));
    }
}

/// Burst b and rate (N − b) per window.
fn rate(quota: &Quota) -> Option<Rate> {
    let burst = (quota.limit / 10).max(1);
    let steady = quota.limit.saturating_sub(burst).max(1);
    Some(Rate::with_period(quota.window / steady)?.allow_burst(NonZeroU32::new(burst)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_holds_more_than_the_limit() {
        use governor::clock::FakeRelativeClock;
        for (limit, window) in [(100, 10), (4, 1), (1600, 10), (20, 60)] {
            let quota = Quota { pool: "p", limit, window: Duration::from_secs(window), keyed: false };
            let clock = FakeRelativeClock::default();
            let limiter = RateLimiter::direct_with_clock(rate(&quota).unwrap(), clock.clone());
            let (mut sent, step) = (Vec::new(), Duration::from_millis(5));
            for tick in 0..window * 1000 / 5 * 4 {
                while limiter.check().is_ok() {
                    sent.push(tick * 5);
                }
                clock.advance(step);
            }
            let worst = sent
                .iter()
                .map(|from| sent.iter().filter(|at| (*from..from + window * 1000).contains(at)).count())
                .max();
            assert!(worst.unwrap() <= limit as usize, "{limit} in {window} s: {worst:?}");
            assert!(
                sent.len() as u32 * 10 >= limit * 4 * 7,
                "{limit} in {window} s: only {} sent in four windows",
                sent.len()
            );
        }
    }
}
