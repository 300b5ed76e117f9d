//! Where parsed blocks lie until they are filed.
//!
//! Workers read, parse and lay down; one thread files, in the order of the files. What lies here and what waits for an
//! earlier block weighs a bounded number of bytes: above that, a worker reads only while the one that files has nothing to
//! do, and only of the file whose turn it is, so that the block that everything waits for always comes. Threads wake each
//! other seldom: a wake costs more than a small block.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes of parsed blocks may wait.
const WEIGHT: usize = 8 << 20;
/// The one that files is woken for so many blocks, or when others wait for it.
const WAKE: usize = 8;

/// Parsed blocks on their way to the one that files them.
pub struct Desk<T> {
    state: Mutex<State<T>>,
    /// Blocks came, or the last worker left.
    came: Condvar,
    /// There is room, or something is missed.
    room: Condvar,
}

struct State<T> {
    came: Vec<T>,
    /// Of all that is parsed and not filed, in bytes.
    weight: usize,
    /// The file whose turn it is.
    turn: usize,
    /// The one that files sleeps.
    idle: bool,
    /// So many workers wait.
    waiting: usize,
    /// So many workers are there.
    workers: usize,
    stopped: bool,
}

/// A worker's place: the desk knows when it leaves.
pub struct Place<'d, T>(&'d Desk<T>);

/// Ends everything when it is dropped, however that comes.
pub struct Ends<'d, T>(&'d Desk<T>);

impl<T> Desk<T> {
    /// A desk for so many workers.
    pub fn new(workers: usize) -> Self {
        let (came, weight, turn, idle, waiting, stopped) = (Vec::new(), 0, 0, false, 0, false);
        let state = Mutex::new(State { came, weight, turn, idle, waiting, workers, stopped });
        Self { state, came: Condvar::new(), room: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of one of the workers.
    pub fn place(&self) -> Place<'_, T> {
        Place(self)
    }

    /// For the one that files.
    pub fn ends(&self) -> Ends<'_, T> {
        Ends(self)
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.came.notify_one();
        self.room.notify_all();
    }

    /// Wakes the one that files if it sleeps and something came.
    fn wake(&self, state: &mut State<T>) {
        if state.idle && !state.came.is_empty() {
            state.idle = false;
            self.came.notify_one();
        }
    }

    /// Waits for blocks and takes all that came, each worker's in their order; false if none will come any more.
    pub fn take(&self, blocks: &mut Vec<T>) -> bool {
        let mut state = self.state();
        while state.came.is_empty() {
            if state.workers == 0 || state.stopped {
                return false;
            }
            state.idle = true;
            if state.waiting > 0 {
                self.room.notify_all();
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        std::mem::swap(&mut state.came, blocks);
        true
    }

    /// A block of so many bytes was filed; `ended`: its file's last.
    pub fn filed(&self, weight: usize, ended: bool) {
        let mut state = self.state();
        let before = state.weight;
        state.weight = before.saturating_sub(weight);
        state.turn += usize::from(ended);
        // Once there is room for many, not for each.
        if state.waiting > 0 && before > WEIGHT / 2 && state.weight <= WEIGHT / 2 {
            self.room.notify_all();
        }
    }
}

impl<T> Place<'_, T> {
    /// Waits until a block may be read: true if of any file, false if only of the `first` that has something left. `None` if
    /// nothing is to be read any more.
    pub fn may_read(&self, first: impl Fn() -> usize) -> Option<bool> {
        let mut state = self.0.state();
        loop {
            if state.stopped {
                return None;
            }
            if state.weight <= WEIGHT {
                return Some(true);
            }
            if state.idle && state.came.is_empty() && first() <= state.turn {
                return Some(false);
            }
            self.0.wake(&mut state);
            state.waiting += 1;
            state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Lays down a block that weighs so many bytes.
    pub fn lay(&self, block: T, weight: usize) {
        let mut state = self.0.state();
        state.came.push(block);
        state.weight += weight;
        if state.came.len() >= WAKE || state.weight > WEIGHT {
            self.0.wake(&mut state);
        }
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.state();
            state.workers = state.workers.saturating_sub(1);
            state.workers
        };
        if std::thread::panicking() {
            // Its block is missing: nothing behind it can be filed.
            self.0.stop();
        } else if left == 0 {
            self.0.came.notify_one();
        }
    }
}

impl<T> Drop for Ends<'_, T> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a worker that looks for something to read is told.
    fn asked(desk: &Desk<u32>, first: usize) -> Option<bool> {
        std::thread::scope(|scope| scope.spawn(|| desk.place().may_read(|| first)).join().unwrap())
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_missed_still_comes() {
        let desk = Desk::new(9);
        desk.place().lay(1, WEIGHT);
        assert_eq!(asked(&desk, 0), Some(true));
        desk.place().lay(2, 1);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| desk.place().may_read(|| 0));
            let mut blocks = Vec::new();
            assert!(desk.take(&mut blocks));
            assert_eq!(blocks, [1, 2]);
            while desk.state().waiting == 0 {
                std::thread::yield_now();
            }
            assert!(!waits.is_finished(), "the one that files has blocks");
            let misses = scope.spawn(|| desk.take(&mut Vec::new()));
            assert_eq!(waits.join().unwrap(), Some(false), "it sleeps: the file whose turn it is, goes on");
            let ahead = scope.spawn(|| desk.place().may_read(|| 1));
            while desk.state().waiting == 0 {
                std::thread::yield_now();
            }
            desk.filed(WEIGHT, false);
            assert_eq!(ahead.join().unwrap(), Some(true), "room again");
            desk.stop();
            assert!(!misses.join().unwrap());
        });
        assert_eq!(asked(&desk, 0), None);
    }

    #[test]
    fn the_last_worker_and_a_panic_end_the_waiting() {
        for panics in [false, true] {
            let desk = Desk::<u32>::new(if panics { 2 } else { 1 });
            std::thread::scope(|scope| {
                let takes = scope.spawn(|| desk.take(&mut Vec::new()));
                let place = desk.place();
                let left = scope.spawn(move || {
                    let _place = place;
                    assert!(!panics, "as it is meant");
                });
                assert_eq!(left.join().is_err(), panics);
                assert!(!takes.join().unwrap());
            });
        }
    }
}
