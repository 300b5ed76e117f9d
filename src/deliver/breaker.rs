//! The circuit breaker of a destination: after some failures in a row nothing is sent for a while, then one request tries.
//!
//! A failure is an answer that says that the tool is broken (5xx, 408) or no answer at all; a refusal is an answer like any
//! other, and *wait* is the budget's business. Pure: the moment is handed in. Each destination has its own; others go on.

use std::time::Duration;

use tokio::time::Instant;
use vitalsync_core::connector::Reply;

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// How long it is open at first; twice as long after each trial that fails.
const FIRST: Duration = Duration::from_secs(1);
/// The longest that it is open.
const LONGEST: Duration = Duration::from_secs(300);
/// Whoever comes while another one tries looks again after so long.
const LOOK: Duration = Duration::from_millis(100);

/// Whether a destination may be sent to.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    pause: Duration,
    /// One request is on its way to see whether the tool is back.
    trying: bool,
}

impl Breaker {
    /// True if what came back is a failure of the tool.
    pub fn is_failure(reply: &Reply) -> bool {
        match reply {
            Reply::Answer(answer) => answer.status >= 500 || answer.status == 408,
            Reply::Lost { .. } => true,
        }
    }

    /// Asks for leave to send one request; it must be followed by [`succeeded`](Self::succeeded), [`failed`](Self::failed) or
    /// [`gave_up`](Self::gave_up). `Err`: not before then.
    pub fn ask(&mut self, now: Instant) -> Result<(), Instant> {
        match &mut self.open {
            None => Ok(()),
            Some(open) if now < open.until => Err(open.until),
            Some(open) if open.trying => Err(now + LOOK),
            Some(open) => {
                open.trying = true;
                Ok(())
            }
        }
    }

    /// The tool answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The tool is broken, or out of reach.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            // What was on its way when it opened says nothing new.
            Some(open) if !open.trying => {}
            Some(open) => {
                let pause = (open.pause * 2).min(LONGEST);
                *open = Open { until: now + pause, pause, trying: false };
            }
            None if self.failures >= FAILURES => {
                self.open = Some(Open { until: now + FIRST, pause: FIRST, trying: false });
            }
            None => {}
        }
    }

    /// Leave was given and nothing was sent.
    pub fn gave_up(&mut self) {
        if let Some(open) = &mut self.open {
            open.trying = false;
        }
    }

    /// Failures in a row and how long it is open yet, if it is open.
    pub fn state(&self, now: Instant) -> Option<(u32, Duration)> {
        self.open.map(|open| (self.failures, open.until.saturating_duration_since(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (Breaker, Instant) {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES {
            assert_eq!(breaker.ask(now), Ok(()));
            breaker.failed(now);
        }
        (breaker, now)
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_breaks_the_row() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for n in 0..20 {
            assert_eq!(breaker.ask(now), Ok(()));
            if n % FAILURES == FAILURES - 1 { breaker.succeeded() } else { breaker.failed(now) }
        }
        let (mut breaker, now) = opened();
        assert_eq!(breaker.ask(now), Err(now + FIRST));
        assert_eq!(breaker.state(now), Some((FAILURES, FIRST)));
    }

    #[test]
    fn one_tries_and_the_others_wait_for_it() {
        let (mut breaker, now) = opened();
        let then = now + FIRST;
        assert_eq!(breaker.ask(then), Ok(()));
        assert_eq!(breaker.ask(then), Err(then + LOOK));
        breaker.succeeded();
        assert_eq!((breaker.ask(then), breaker.ask(then)), (Ok(()), Ok(())));
        assert_eq!(breaker.state(then), None);
    }

    #[test]
    fn each_trial_that_fails_makes_it_longer_up_to_a_bound() {
        let (mut breaker, mut now) = opened();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let Err(until) = breaker.ask(now) else { panic!("it is open") };
            pauses.push(until - now);
            now = until;
            assert_eq!(breaker.ask(now), Ok(()));
            // Answers to what was sent before it opened change nothing.
            breaker.failed(now);
        }
        assert_eq!(pauses[..4], [1, 2, 4, 8].map(Duration::from_secs));
        assert_eq!(pauses.last(), Some(&LONGEST));
    }

    #[test]
    fn a_trial_that_never_took_place_leaves_room_for_another() {
        let (mut breaker, now) = opened();
        let then = now + FIRST;
        assert_eq!(breaker.ask(then), Ok(()));
        breaker.gave_up();
        assert_eq!(breaker.ask(then), Ok(()));
    }
}
