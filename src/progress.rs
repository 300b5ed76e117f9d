//! How far long work is, reading above all, for people: a bar on a terminal, else a line now and then.
//!
//! Lines come every ten seconds or each tenth of the bytes, never two in one second, so that neither a short run nor a long
//! one fills a log. The clock is handed in.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::tick::ingest::{Phase, Watch};

/// A line comes after so much time …
const LONG: Duration = Duration::from_secs(10);
/// … or so many parts of a hundred, and so much time.
const PART: u64 = 10;
const SHORT: Duration = Duration::from_secs(1);

/// Time since some moment.
pub type Clock = Box<dyn Fn() -> Duration + Send + Sync>;
/// Takes a line.
pub type Say = Box<dyn Fn(String) + Send + Sync>;

/// The clock of this process.
pub fn clock() -> Clock {
    let began = std::time::Instant::now();
    Box::new(move || began.elapsed())
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Reading => "reading",
        Phase::Copying => "copying what stays",
        Phase::Recounting => "counting anew",
    }
}

/// What is done of what is to be done.
#[derive(Debug, Clone)]
struct Done {
    source: String,
    phase: Phase,
    files: (usize, usize),
    bytes: (u64, u64),
    calls: u64,
    began: Duration,
}

impl Done {
    fn percent(&self) -> u64 {
        (self.bytes.0 * 100).checked_div(self.bytes.1).unwrap_or(100).min(100)
    }

    /// `product: reading: 34 %, file 12 of 40, 1200000 calls, 300000 a second, 9 s left`
    fn line(&self, now: Duration) -> String {
        let mut line = format!("{}: {}", self.source, name(self.phase));
        if self.phase == Phase::Copying {
            return line;
        }
        let file = (self.files.0 + 1).min(self.files.1);
        let _ = write!(line, ": {} %, file {file} of {}, {} calls", self.percent(), self.files.1, self.calls);
        let seconds = now.saturating_sub(self.began).as_secs_f64();
        if seconds >= 1.0 {
            let _ = write!(line, ", {:.0} a second", self.calls as f64 / seconds);
            if self.bytes.0 > 0 && self.bytes.0 < self.bytes.1 {
                let left = seconds * (self.bytes.1 - self.bytes.0) as f64 / self.bytes.0 as f64;
                let _ = write!(line, ", {left:.0} s left");
            }
        }
        line
    }
}

/// Lines for a log.
pub struct Lines {
    clock: Clock,
    say: Say,
    /// What is done, and when and at how many percent that was said last.
    state: Mutex<(Done, Option<(Duration, u64)>)>,
}

impl Lines {
    /// Lines about a source.
    pub fn new(source: &str, clock: Clock, say: Say) -> Self {
        let began = clock();
        let done =
            Done { source: source.to_owned(), phase: Phase::Reading, files: (0, 0), bytes: (0, 0), calls: 0, began };
        Self { clock, say, state: Mutex::new((done, None)) }
    }

    fn change(&self, change: impl FnOnce(&mut Done, Duration), always: bool) {
        let now = (self.clock)();
        let line = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (done, said) = &mut *state;
            change(done, now);
            let due = said
                .is_none_or(|(at, percent)| now >= at + LONG || now >= at + SHORT && done.percent() >= percent + PART);
            (always || due && done.files.1 > 0).then(|| {
                *said = Some((now, done.percent()));
                done.line(now)
            })
        };
        if let Some(line) = line {
            (self.say)(line);
        }
    }
}

impl Watch for Lines {
    fn phase(&self, phase: Phase) {
        self.change(|done, _| done.phase = phase, phase == Phase::Copying);
    }

    fn begins(&self, files: usize, bytes: u64) {
        let begin = |done: &mut Done, now| {
            (done.files, done.bytes, done.calls, done.began) = ((0, files), (0, bytes), 0, now);
        };
        self.change(begin, files > 0);
    }

    fn filed(&self, calls: u64, files: usize, bytes: u64) {
        let add = |done: &mut Done, _| {
            done.files.0 += files;
            done.bytes.0 += bytes;
            done.calls += calls;
        };
        self.change(add, false);
    }
}

/// A bar on a terminal.
pub struct Bar {
    bar: ProgressBar,
    calls: Mutex<Done>,
    clock: Clock,
}

impl Bar {
    /// A bar about a source, drawn on standard error.
    pub fn new(source: &str, clock: Clock) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent} %, {msg}, {eta} left") {
            bar.set_style(style.progress_chars("=> "));
        }
        let began = clock();
        let done =
            Done { source: source.to_owned(), phase: Phase::Reading, files: (0, 0), bytes: (0, 0), calls: 0, began };
        bar.set_prefix(format!("{source}: {}", name(Phase::Reading)));
        Self { bar, calls: Mutex::new(done), clock }
    }

    fn done(&self) -> std::sync::MutexGuard<'_, Done> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Bar {
    fn phase(&self, phase: Phase) {
        let source = self.done().source.clone();
        self.bar.set_prefix(format!("{source}: {}", name(phase)));
    }

    fn begins(&self, files: usize, bytes: u64) {
        let mut done = self.done();
        (done.files, done.calls, done.began) = ((0, files), 0, (self.clock)());
        self.bar.reset();
        self.bar.set_length(bytes);
        self.bar.set_message(format!("{files} files"));
    }

    fn filed(&self, calls: u64, files: usize, bytes: u64) {
        let mut done = self.done();
        done.files.0 += files;
        done.calls += calls;
        let seconds = (self.clock)().saturating_sub(done.began).as_secs_f64().max(0.001);
        let (file, of) = ((done.files.0 + 1).min(done.files.1), done.files.1);
        self.bar.set_message(format!("{:.0} calls a second, file {file} of {of}", done.calls as f64 / seconds));
        self.bar.inc(bytes);
    }
}

/// Takes how many of some steps are done, and how many there are.
pub type Steps = Box<dyn Fn(usize, usize) + Send + Sync>;

/// A bar of steps on a terminal, drawn on standard error and gone when it is dropped.
pub fn step_bar(what: &str) -> Steps {
    let bar =
        ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {pos} of {len}, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(what.to_owned());
    Box::new(move |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })
}

/// Lines about steps that take long, at most one in ten seconds.
pub fn step_lines(what: &str, clock: Clock, say: Say) -> Steps {
    let (what, said) = (what.to_owned(), Mutex::new(Duration::ZERO));
    Box::new(move |done, all| {
        let now = clock();
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= *said + LONG && done < all {
            *said = now;
            let left = now.as_secs_f64() * (all - done) as f64 / done.max(1) as f64;
            say(format!("{what}: {done} of {all}, {left:.0} s left"));
        }
    })
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bar").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn steps_that_take_long_are_told_now_and_then() {
        let (now, said) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (time, told) = (Arc::clone(&now), Arc::clone(&said));
        let clock: Clock = Box::new(move || Duration::from_millis(time.load(Ordering::Relaxed)));
        let steps = step_lines("months", clock, Box::new(move |line| told.lock().unwrap().push(line)));
        for done in 0..=20 {
            steps(done, 20);
            now.fetch_add(4000, Ordering::Relaxed);
        }
        let said = said.lock().unwrap();
        assert_eq!(said[..2], ["months: 3 of 20, 68 s left", "months: 6 of 20, 56 s left"]);
        assert_eq!(said.len(), 6, "{said:#?}");
    }

    #[test]
    fn lines_are_few_and_say_how_long_it_takes() {
        let now = Arc::new(AtomicU64::new(0));
        let said = Arc::new(Mutex::new(Vec::new()));
        let (time, told) = (Arc::clone(&now), Arc::clone(&said));
        let clock: Clock = Box::new(move || Duration::from_millis(time.load(Ordering::Relaxed)));
        let lines = Lines::new("product", clock, Box::new(move |line| told.lock().unwrap().push(line)));
        lines.begins(4, 1000);
        // A thousand blocks within ten seconds, then one that takes long.
        for block in 1..=999 {
            now.fetch_add(10, Ordering::Relaxed);
            lines.filed(5, usize::from(block % 250 == 0), 1);
        }
        now.fetch_add(60_000, Ordering::Relaxed);
        lines.filed(5, 1, 1);
        let said = said.lock().unwrap();
        assert_eq!(said[0], "product: reading: 0 %, file 1 of 4, 0 calls");
        assert_eq!(said[1], "product: reading: 10 %, file 1 of 4, 500 calls, 500 a second, 9 s left");
        assert_eq!(said.len(), 11, "{said:#?}");
        assert_eq!(said[10], "product: reading: 100 %, file 4 of 4, 5000 calls, 71 a second");
    }
}
