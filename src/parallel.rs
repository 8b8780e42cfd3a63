//! Work on several threads whose results come back in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::{Result, bail};

/// Makes items 0 to `count - 1` on `threads` threads, each with a state of its own, and hands them to `take` in order, on this thread. An error of
/// `take` ends the work.
pub fn in_order<S, T: Send>(
    count: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    make: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, count.max(1));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // What is made and not taken yet is bounded: the threads wait.
        let (sender, receiver) = mpsc::sync_channel(4 * threads);
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, state, make) = (&next, &state, &make);
            scope.spawn(move || {
                let mut state = state();
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= count || sender.send((item, make(&mut state, item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
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
        }
        Ok(())
    })
}

/// Threads that this machine has room for.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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
        let result = in_order(1000, 2, || (), |(), item| item, |item, _| if item == 3 { bail!("enough") } else { Ok(()) });
        assert_eq!(result.unwrap_err().to_string(), "enough");
    }
}
