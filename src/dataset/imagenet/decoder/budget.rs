//! How much memory all decoders together take for the images that they are decoding: a folder of
//! hostile or merely huge images would take a gigabyte for each loader.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that all decoders of the program may take at once. Only one image may take more, alone.
/// An image of 12 megapixels takes 36 MB.
static ALL: Budget = Budget::new(1 << 30);

/// A number of bytes that threads share, in the order in which they ask.
struct Budget {
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
struct State {
    taken: u64,
    /// The number that the next thread to ask gets, and whose turn it is: the large ones are not
    /// passed over for ever.
    next: u64,
    turn: u64,
}

/// Bytes taken, until it is dropped.
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

/// Waits until `bytes` are free, or nothing is taken.
pub(crate) fn take(bytes: u64) -> Share<'static> {
    ALL.take(bytes)
}

impl Budget {
    const fn new(limit: u64) -> Budget {
        let state = State { taken: 0, next: 0, turn: 0 };
        Budget { limit, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn take(&self, bytes: u64) -> Share<'_> {
        let mut state = self.locked();
        let number = state.next;
        state.next += 1;
        while state.turn != number
            || (state.taken > 0 && state.taken.saturating_add(bytes) > self.limit)
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.turn += 1;
        state.taken += bytes;
        self.wake(&state);
        Share { budget: self, bytes }
    }

    /// Wakes those who wait, if any do.
    fn wake(&self, state: &State) {
        if state.turn != state.next {
            self.changed.notify_all();
        }
    }

    /// Nothing that can panic is done under the lock.
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.locked();
        state.taken -= self.bytes;
        self.budget.wake(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_never_take_more_than_the_limit_together_and_one_may_alone() {
        let budget = Budget::new(100);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let budget = &budget;
                scope.spawn(move || {
                    for step in 0..200 {
                        let bytes = [10, 60, 90, 250][(thread + step) % 4];
                        let _share = budget.take(bytes);
                        let taken = budget.locked().taken;
                        assert!(taken <= 100 || taken == 250, "{taken}");
                    }
                });
            }
        });
        assert_eq!(budget.locked().taken, 0);
        drop(budget.take(u64::MAX));
    }
}
