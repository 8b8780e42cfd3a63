//! Work on several threads whose results come back in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};

use anyhow::{Result, bail};

/// Items that are made ahead of the one that is taken next, a thread: this bounds the memory.
const AHEAD: usize = 4;

/// How far the taking is, which the making waits for.
struct Pace {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Pace {
    fn locked(&self) -> MutexGuard<'_, (usize, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self, items: usize) {
        self.locked().0 = items;
        self.changed.notify_all();
    }

    /// There is nothing more to do: the taking has ended early, or a making thread has failed.
    fn end(&self) {
        self.locked().1 = true;
        self.changed.notify_all();
    }

    /// Waits until `item` is one of the next `ahead` to be taken; whether there is still something
    /// to do.
    fn wait_for_turn(&self, item: usize, ahead: usize) -> bool {
        let mut state = self.locked();
        while !state.1 && item >= state.0 + ahead {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.1
    }
}

/// Ends the work when it goes out of scope.
struct Ending<'a>(&'a Pace);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Makes items 0 to `count - 1` on `threads` threads, each with a state of its own, and hands them
/// to `take` in order, on this thread. An error of `take` ends the work, and so does a panic in
/// `make`, as an error.
pub fn in_order<S, T: Send>(
    count: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    make: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, count.max(1));
    let next = AtomicUsize::new(0);
    let pace = Pace { state: Mutex::new((0, false)), changed: Condvar::new() };
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, state, make, pace) = (&next, &state, &make, &pace);
            scope.spawn(move || {
                let work = || {
                    let mut state = state();
                    loop {
                        let item = next.fetch_add(1, Ordering::Relaxed);
                        if item >= count
                            || !pace.wait_for_turn(item, AHEAD * threads)
                            || sender.send((item, make(&mut state, item))).is_err()
                        {
                            return;
                        }
                    }
                };
                // Its message is on stderr already; that an item is missing is the error that is
                // returned.
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    pace.end();
                }
            });
        }
        drop(sender);
        // Also if `take` panics: threads that wait would never end.
        let _ending = Ending(&pace);
        take_all(count, &receiver, &pace, &mut take)
    })
}

fn take_all<T>(
    count: usize,
    receiver: &mpsc::Receiver<(usize, T)>,
    pace: &Pace,
    take: &mut impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let mut early = BTreeMap::new();
    for item in 0..count {
        let made = loop {
            if let Some(made) = early.remove(&item) {
                break made;
            }
            match receiver.recv() {
                Ok((other, made)) => early.insert(other, made),
                Err(_) => bail!("a working thread failed"),
            };
        };
        take(item, made)?;
        pace.taken(item + 1);
    }
    Ok(())
}

/// Threads that this machine has room for.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Threads for each of `processes` on this machine: those that this one is bound to, if a launcher
/// has dealt out the cores, else an equal part of all.
pub fn share_of_threads(processes: usize) -> usize {
    // SAFETY: asks the system for a number.
    let cores = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    let available = available_threads();
    match available < usize::try_from(cores).unwrap_or_default() {
        true => available,
        false => (available / processes.max(1)).max(1),
    }
}

/// Raises the number of files that may be open at once to the most that is allowed: a sweep holds
/// the lock and the pipes of each of its runs at work.
pub fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or write the limit, which is there.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7] {
            let mut taken = Vec::new();
            let slow_at_times = |made: &mut usize, item: usize| {
                *made += 1;
                if item.is_multiple_of(5) {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                item * item
            };
            in_order(
                50,
                threads,
                || 0,
                slow_at_times,
                |item, made| {
                    assert_eq!(made, item * item);
                    taken.push(item);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(taken, (0..50).collect::<Vec<_>>());
        }
        in_order(0, 4, || (), |(), _| (), |_, ()| Ok(())).unwrap();
    }

    #[test]
    fn an_error_ends_the_work() {
        let result = in_order(
            1000,
            2,
            || (),
            |(), item| item,
            |item, _| if item == 3 { bail!("enough") } else { Ok(()) },
        );
        assert_eq!(result.unwrap_err().to_string(), "enough");
    }

    #[test]
    fn a_panic_in_a_thread_is_an_error_and_no_thread_waits_for_ever() {
        let make = |(): &mut (), item: usize| assert!(item != 5, "the fifth item fails");
        let result = in_order(1000, 3, || (), make, |_, ()| Ok(()));
        assert_eq!(result.unwrap_err().to_string(), "a working thread failed");
    }

    #[test]
    fn no_more_than_a_few_items_are_made_ahead() {
        let most = AtomicUsize::new(0);
        let make = |(): &mut (), item: usize| most.fetch_max(item, Ordering::Relaxed);
        let take = |item: usize, _| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert!(most.load(Ordering::Relaxed) <= item + 2 * AHEAD);
            Ok(())
        };
        in_order(60, 2, || (), make, take).unwrap();
    }
}
