//! Rate budgets: how fast each quota of a vendor account may be drawn from.
//!
//! A limit of N in any window is kept by spacing: requests come at 95 % of the rate, with room for 3 % at once, so that the
//! worst window holds N less 2 %, and what the way to the tool squeezes together has room there. When a tool says *too fast*, the
//! rate is halved and comes back a sixteenth a window; when it says *wait*, the whole pool waits. What a tool says of its limit
//! replaces what the manifest guesses.
//!
//! Turns are given one at a time: whoever draws from one pool (destinations, and of each what is fresh and what is sent again)
//! takes turns, however much each of them has to send.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vitalsync_core::connector::{Limit, Pool, Quota};

/// How much of a limit is used.
const USED: f64 = 0.95;
/// How much of a limit may come at once.
const AT_ONCE: f64 = 0.03;
/// The rate is never slowed down to less than this part.
const SLOWEST: f64 = 1.0 / 16.0;
/// How much of the full rate comes back with each window in which nothing was refused.
const COMES_BACK: f64 = 1.0 / 16.0;

/// The budgets of one vendor account.
#[derive(Debug, Default)]
pub struct Budget {
    quotas: &'static [Quota],
    lanes: Mutex<HashMap<Pool, Arc<Lane>>>,
}

/// Who draws: a destination, and whether it sends something again.
pub type Turn = (String, bool);

#[derive(Debug, Default)]
struct Lane {
    /// One for everybody who draws, so that only the first of each waits for the next turn.
    own: Mutex<HashMap<Turn, Arc<tokio::sync::Mutex<()>>>>,
    /// Held by whoever has the next turn; given in the order in which it was asked for.
    next: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pace: Option<Pace>,
    blocked_until: Option<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Budget {
    /// Budgets by a connector's quotas.
    pub fn new(quotas: &'static [Quota]) -> Self {
        Self { quotas, lanes: Mutex::default() }
    }

    fn quota(&self, pool: &Pool) -> Option<&'static Quota> {
        self.quotas.iter().find(|quota| quota.pool == pool.name && quota.keyed == pool.key.is_some())
    }

    /// What the keys of a pool share, if they do.
    fn of_all_keys(&self, pool: &Pool) -> Option<Pool> {
        let all = Pool::of(pool.name);
        (pool.key.is_some() && self.quota(&all).is_some()).then_some(all)
    }

    fn lane(&self, pool: &Pool) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        let lane = lanes.entry(pool.clone()).or_insert_with(|| {
            let pace = self.quota(pool).map(|quota| Pace::new(Limit { requests: quota.limit, window: quota.window }));
            Arc::new(Lane { state: Mutex::new(State { pace, blocked_until: None }), ..Lane::default() })
        });
        Arc::clone(lane)
    }

    /// When a pool may be drawn from again, if the tool said *wait*.
    pub fn blocked_until(&self, pool: &Pool) -> Option<Instant> {
        lock(&self.lane(pool).state).blocked_until
    }

    /// Waits for its turn. False, and nothing is drawn, if the tool said *wait* for longer than until `deadline`, which is asked
    /// for anew whenever it matters: whoever waits learns what others were told meanwhile.
    pub async fn draw(&self, pool: &Pool, turn: &Turn, deadline: impl Fn() -> Instant) -> bool {
        let lane = self.lane(pool);
        let own = Arc::clone(lock(&lane.own).entry(turn.clone()).or_default());
        let _own = own.lock().await;
        let _next = lane.next.lock().await;
        loop {
            let now = Instant::now();
            let at = {
                let mut state = lock(&lane.state);
                let ready = state.pace.as_mut().map_or(now, |pace| pace.ready(now));
                let at = state.blocked_until.map_or(ready, |until| until.max(ready));
                if state.blocked_until.is_some_and(|until| until > now && until > deadline()) {
                    return false;
                }
                at
            };
            if at <= now {
                break;
            }
            tokio::time::sleep_until(at).await;
        }
        // Last, so that nobody takes of what all share and then still waits.
        if let Some(all) = self.of_all_keys(pool)
            && !Box::pin(self.draw(&all, turn, deadline)).await
        {
            return false;
        }
        lock(&lane.state).pace.iter_mut().for_each(|pace| pace.take(Instant::now()));
        true
    }

    /// The tool said *wait*: nothing is drawn from the pool before then.
    pub fn block(&self, pool: &Pool, after: Duration) {
        let lane = self.lane(pool);
        let mut state = lock(&lane.state);
        let until = Instant::now() + after;
        state.blocked_until = Some(state.blocked_until.map_or(until, |before| before.max(until)));
    }

    /// The tool said *too fast*, without saying whether it meant the key or all of them.
    pub fn refused(&self, pool: &Pool) {
        for pool in [Some(pool.clone()), self.of_all_keys(pool)].into_iter().flatten() {
            lock(&self.lane(&pool).state).pace.iter_mut().for_each(|pace| pace.refused(Instant::now()));
        }
    }

    /// The tool said what its limit is.
    pub fn learn(&self, pool: &Pool, limit: Limit) {
        let lane = self.lane(pool);
        let mut state = lock(&lane.state);
        match &mut state.pace {
            Some(pace) => pace.learn(limit),
            pace => *pace = Some(Pace::new(limit)),
        }
    }
}

/// When the next request may be sent, as a function of the moments handed in.
#[derive(Debug, Clone)]
struct Pace {
    limit: Limit,
    /// The part of the rate that is used now.
    part: f64,
    /// When the last refusal slowed it down, or it last came back.
    changed: Option<Instant>,
    /// When all that was taken would have come if it had come evenly.
    even: Option<Instant>,
}

impl Pace {
    fn new(limit: Limit) -> Self {
        Self { limit, part: 1.0, changed: None, even: None }
    }

    fn requests(&self) -> f64 {
        f64::from(self.limit.requests.max(1))
    }

    fn spacing(&self) -> Duration {
        self.limit.window.div_f64(self.requests() * USED * self.part)
    }

    /// The earliest moment from `now` on at which one may be sent.
    fn ready(&mut self, now: Instant) -> Instant {
        self.come_back(now);
        let at_once = (self.requests() * AT_ONCE * self.part).floor().max(1.0) as u32;
        let ahead = self.spacing() * (at_once - 1);
        self.even.and_then(|even| even.checked_sub(ahead)).map_or(now, |at| at.max(now))
    }

    fn take(&mut self, now: Instant) {
        let from = self.even.map_or(now, |even| even.max(now));
        self.even = Some(from + self.spacing());
    }

    /// Halves the rate; once for all that was under way together.
    fn refused(&mut self, now: Instant) {
        let slowed = self.part < 1.0;
        if slowed && self.changed.is_some_and(|at| now.saturating_duration_since(at) < self.limit.window / 2) {
            return;
        }
        self.part = (self.part / 2.0).max(SLOWEST);
        self.changed = Some(now);
    }

    fn come_back(&mut self, now: Instant) {
        let Some(changed) = self.changed.filter(|_| self.part < 1.0) else { return };
        let windows = now.saturating_duration_since(changed).as_secs_f64() / self.limit.window.as_secs_f64().max(1e-3);
        if windows >= 1.0 {
            self.part = (self.part + COMES_BACK * windows.floor()).min(1.0);
            self.changed = Some(now);
        }
    }

    fn learn(&mut self, limit: Limit) {
        if limit.requests > 0 && !limit.window.is_zero() {
            self.limit = limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_SECONDS: Limit = Limit { requests: 100, window: Duration::from_secs(10) };

    /// When requests are sent, in milliseconds, if there is always one to send.
    fn sent(pace: &mut Pace, from: Instant, span: Duration) -> Vec<u64> {
        let (mut sent, mut now) = (Vec::new(), from);
        loop {
            now = pace.ready(now);
            if now > from + span {
                return sent;
            }
            pace.take(now);
            sent.push((now - from).as_millis() as u64);
        }
    }

    #[test]
    fn no_window_holds_more_than_the_limit_and_nine_tenths_of_it_are_used() {
        for (requests, seconds) in [(100, 10), (190, 10), (4, 1), (1, 1), (1600, 10), (20, 60)] {
            let window = Duration::from_secs(seconds);
            let mut pace = Pace::new(Limit { requests, window });
            let sent = sent(&mut pace, Instant::now(), window * 10);
            // One more than the limit takes longer than the window.
            let next = sent.iter().skip(requests as usize);
            let closest = sent.iter().zip(next).map(|(first, next)| next - first).min().unwrap();
            assert!(closest >= seconds * 1000, "{requests} in {seconds} s: one more within {closest} ms");
            assert!(sent.len() * 100 >= requests as usize * 10 * 90, "{requests} in {seconds} s: {}", sent.len());
        }
    }

    #[test]
    fn a_refusal_halves_the_rate_once_and_it_comes_back_slowly() {
        let (mut pace, now) = (Pace::new(TEN_SECONDS), Instant::now());
        let full = pace.spacing();
        // All that was under way together is refused together.
        (0..16).for_each(|n| pace.refused(now + Duration::from_millis(n * 50)));
        assert_eq!(pace.spacing(), full * 2);
        assert!(sent(&mut pace, now, Duration::from_secs(9)).len() <= 45);
        pace.ready(now + Duration::from_secs(11));
        assert!(pace.part > 0.56 && pace.part < 0.57, "{}", pace.part);
        for n in 1..=9 {
            pace.ready(now + Duration::from_secs(11 + n * 11));
        }
        assert_eq!(pace.part, 1.0);
        (0..20).for_each(|n| pace.refused(now + Duration::from_secs(200 + n * 10)));
        assert_eq!(pace.part, SLOWEST);
    }

    #[test]
    fn what_the_tool_says_of_its_limit_counts() {
        let mut pace = Pace::new(TEN_SECONDS);
        pace.learn(Limit { requests: 190, ..TEN_SECONDS });
        let sent = sent(&mut pace, Instant::now(), Duration::from_secs(100));
        assert!((1710..=1900).contains(&sent.len()), "{}", sent.len());
        pace.learn(Limit { requests: 0, ..TEN_SECONDS });
        assert_eq!(pace.limit.requests, 190, "no limit is no limit of nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_already_gives_up_too_when_the_tool_asks_for_too_much_patience() {
        static QUOTAS: [Quota; 1] = [Quota { pool: "api", limit: 1, window: Duration::from_secs(10), keyed: false }];
        let (budget, pool, begin) = (Arc::new(Budget::new(&QUOTAS)), Pool::of("api"), Instant::now());
        let deadline = begin + Duration::from_secs(60);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..3 {
            let (budget, pool) = (Arc::clone(&budget), pool.clone());
            tasks.spawn(async move { budget.draw(&pool, &("crm".to_owned(), n == 2), || deadline).await });
        }
        assert!(tasks.join_next().await.unwrap().unwrap());
        budget.block(&pool, Duration::from_secs(3600));
        assert_eq!(tasks.join_all().await, [false, false]);
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_draw_take_turns_however_much_they_have() {
        static QUOTAS: [Quota; 1] = [Quota { pool: "api", limit: 100, window: Duration::from_secs(10), keyed: false }];
        let budget = Arc::new(Budget::new(&QUOTAS));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        let many = (0..40).map(|_| ("many".to_owned(), false));
        let others = (0..5).flat_map(|_| [("many".to_owned(), true), ("few".to_owned(), false)]);
        for turn in many.chain(others) {
            let (budget, order) = (Arc::clone(&budget), Arc::clone(&order));
            tasks.spawn(async move {
                assert!(budget.draw(&Pool::of("api"), &turn, Instant::now).await);
                lock(&order).push(turn);
            });
        }
        tasks.join_all().await;
        let order = lock(&order);
        let few = order.iter().rposition(|(who, _)| who == "few").unwrap();
        let again = order.iter().rposition(|(_, again)| *again).unwrap();
        assert!(few < 20 && again < 20, "{order:?}");
    }

    const MINUTE: Duration = Duration::from_secs(60);

    /// When posts to channels are sent that all wait at once, by a second a channel and 300 a minute in all.
    async fn posted(channels: impl Iterator<Item = String>) -> Vec<(Instant, String)> {
        static QUOTAS: [Quota; 2] = [
            Quota { pool: "post", limit: 1, window: Duration::from_secs(1), keyed: true },
            Quota { pool: "post", limit: 300, window: MINUTE, keyed: false },
        ];
        let (budget, sent) = (Arc::new(Budget::new(&QUOTAS)), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = tokio::task::JoinSet::new();
        for channel in channels {
            let (budget, sent) = (Arc::clone(&budget), Arc::clone(&sent));
            tasks.spawn(async move {
                let pool = Pool { name: "post", key: Some(channel.clone()) };
                assert!(budget.draw(&pool, &("team".to_owned(), false), Instant::now).await);
                lock(&sent).push((Instant::now(), channel));
            });
        }
        tasks.join_all().await;
        std::mem::take(&mut *lock(&sent))
    }

    #[tokio::test(start_paused = true)]
    async fn what_keys_share_is_kept_besides_what_each_has() {
        let sent = posted((0..600).map(|n| format!("C{}", n % 10))).await;
        assert!(sent.iter().zip(&sent[300..]).all(|(first, next)| next.0 - first.0 >= MINUTE));
        let took = sent[599].0 - sent[0].0;
        assert!(took <= MINUTE * 2 * 100 / 90, "nine tenths of it are used: {took:?}");
        // Who waited long for what is shared has not waited for the own turn by that.
        let sent = posted((0..40).chain([40, 40]).map(|n| format!("C{n}"))).await;
        assert!(sent[41].0 - sent[40].0 >= Duration::from_secs(1), "{:?}", &sent[40..]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_is_told_to_wait_waits_as_a_whole() {
        static QUOTAS: [Quota; 1] = [Quota { pool: "api", limit: 100, window: Duration::from_secs(10), keyed: false }];
        let (budget, pool, from) = (Budget::new(&QUOTAS), Pool::of("api"), Instant::now());
        budget.block(&pool, Duration::from_secs(7));
        budget.block(&pool, Duration::from_secs(3));
        assert!(budget.draw(&pool, &("crm".to_owned(), false), || from + Duration::from_secs(60)).await);
        assert!(Instant::now() - from >= Duration::from_secs(7));
        assert!(Instant::now() - from < Duration::from_secs(8));
        // Whoever waits for a turn when the tool says to come back tomorrow does not stand there until then.
        let turn = ("crm".to_owned(), false);
        let draw = || budget.draw(&pool, &turn, || from + Duration::from_secs(60));
        let say = async { budget.block(&pool, Duration::from_secs(3_600)) };
        assert_eq!(tokio::join!(draw(), draw(), draw(), say), (true, true, false, ()), "two come at once");
        assert!(Instant::now() - from < Duration::from_secs(9));
    }
}
