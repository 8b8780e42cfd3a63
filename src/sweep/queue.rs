//! The runs of a sweep that wait for their turn, in the plan's order.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// The first pause before a failed run is tried again; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Runs that wait, by their place in the plan.
pub struct Queue {
    waiting: BTreeSet<usize>,
    /// Of runs that failed, or that another process has.
    delays: HashMap<usize, Delay>,
}

/// Why a run is not to be started yet.
#[derive(Default)]
struct Delay {
    /// Failed attempts since the run last got farther.
    failed: u32,
    /// The iteration on record at the last failure.
    at: u64,
    not_before: Option<Instant>,
}

impl Queue {
    /// All of these wait.
    pub fn new(waiting: impl Iterator<Item = usize>) -> Queue {
        Queue { waiting: waiting.collect(), delays: HashMap::new() }
    }

    /// The runs that wait.
    pub fn waiting(&self) -> impl Iterator<Item = usize> + '_ {
        self.waiting.iter().copied()
    }

    /// Whether no run waits, be it for a slot or for the end of its pause.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out the first run that is not pausing.
    pub fn take_next(&mut self) -> Option<usize> {
        let now = Instant::now();
        let pauses = |task: &usize| {
            let until = self.delays.get(task).and_then(|delay| delay.not_before);
            until.is_some_and(|until| until > now)
        };
        // Few runs pause at a time: those that failed or are another process's.
        let task = self.waiting.iter().copied().find(|task| !pauses(task))?;
        self.waiting.remove(&task);
        Some(task)
    }

    /// The run waits again, and is not started before `pause` is over.
    pub fn put_back(&mut self, task: usize, pause: Duration) {
        self.waiting.insert(task);
        self.delays.entry(task).or_default().not_before = Some(Instant::now() + pause);
    }

    /// Notes that the run failed when `iteration` was on record. Returns how many attempts have
    /// failed since it last got farther, and how long to pause before the next.
    pub fn failed(&mut self, task: usize, iteration: u64) -> (u32, Duration) {
        let delay = self.delays.entry(task).or_default();
        // A run that gets farther each time is not a hopeless one.
        delay.failed = if iteration > delay.at { 1 } else { delay.failed + 1 };
        delay.at = iteration;
        let pause = PAUSE * 2u32.saturating_pow(delay.failed - 1).min(1000);
        (delay.failed, pause.min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_in_order_and_one_that_pauses_lets_the_others_pass() {
        let mut queue = Queue::new([0, 2, 5].into_iter());
        assert_eq!(queue.take_next(), Some(0));
        queue.put_back(0, Duration::from_secs(60));
        assert_eq!(
            [queue.take_next(), queue.take_next(), queue.take_next()],
            [Some(2), Some(5), None]
        );
        assert!(!queue.is_empty());
        queue.put_back(0, Duration::ZERO);
        assert_eq!(queue.take_next(), Some(0));
        assert!(queue.is_empty());
    }

    #[test]
    fn pauses_double_until_the_run_gets_farther() {
        let mut queue = Queue::new([0].into_iter());
        let seconds: Vec<u64> = (0..4).map(|_| queue.failed(0, 0).1.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8]);
        assert_eq!(queue.failed(0, 50), (1, PAUSE));
        assert_eq!((0..20).map(|_| queue.failed(0, 50).1).last(), Some(LONGEST_PAUSE));
    }

    #[test]
    fn a_million_runs_are_taken_one_after_the_other_in_no_time() {
        let mut queue = Queue::new(0..1_000_000);
        let start = Instant::now();
        let mut taken = 0;
        while let Some(task) = queue.take_next() {
            assert_eq!(task, taken);
            taken += 1;
        }
        // One pass through the plan for each run would take half an hour.
        assert!(taken == 1_000_000 && start.elapsed() < Duration::from_secs(20));
    }
}
