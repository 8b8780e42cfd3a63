//! When a training reads its metrics and saves its state, by the clock; and what several ranks of a
//! run tell one another before each iteration, whose clocks and signals differ.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Metrics are read when this much time has passed, so that a slow run still shows where it is. It
/// does not affect results.
const READ_AFTER: Duration = Duration::from_secs(2);

/// A checkpoint is written only if the time since the one before is so many times what writing that
/// one took: it costs at most 1 %.
const CHECKPOINT_COST: u32 = 100;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Due {
    /// The end: a signal came.
    pub stop: bool,
    /// Reading metrics.
    pub reading: bool,
    /// A checkpoint.
    pub checkpoint: bool,
    /// Telling that images could not be read.
    pub telling: bool,
}

impl Due {
    /// As one number, whose bits are what some rank has, where those of all are put together.
    pub fn bits(self) -> u8 {
        let Due { stop, reading, checkpoint, telling } = self;
        [stop, reading, checkpoint, telling]
            .into_iter()
            .rev()
            .fold(0, |bits, flag| bits << 1 | u8::from(flag))
    }

    /// From such a number.
    pub fn from_bits(bits: u8) -> Due {
        let [stop, reading, checkpoint, telling] = [0, 1, 2, 3].map(|place| bits >> place & 1 == 1);
        Due { stop, reading, checkpoint, telling }
    }
}

/// The clock of a training.
pub(crate) struct Pace {
    checkpoint_every: Duration,
    last_read: Instant,
    last_checkpoint: Instant,
    /// From one checkpoint to the next.
    wait: Duration,
}

impl Pace {
    /// Begins now. At zero a checkpoint is due after each iteration.
    pub fn new(checkpoint_every: Duration) -> Pace {
        let now = Instant::now();
        Pace { checkpoint_every, last_read: now, last_checkpoint: now, wait: checkpoint_every }
    }

    /// What is due now.
    pub fn due(&self, stop: &AtomicBool) -> Due {
        Due {
            stop: stop.load(Ordering::Relaxed),
            reading: self.last_read.elapsed() > READ_AFTER,
            checkpoint: self.last_checkpoint.elapsed() >= self.wait,
            telling: false,
        }
    }

    /// Metrics were read.
    pub fn read(&mut self) {
        self.last_read = Instant::now();
    }

    /// A checkpoint was written, which `took` so long.
    pub fn saved(&mut self, took: Duration) {
        self.last_checkpoint = Instant::now();
        self.wait = match self.checkpoint_every.is_zero() {
            true => Duration::ZERO,
            false => self.checkpoint_every.max(took * CHECKPOINT_COST),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ranks_tell_one_another_comes_apart_as_it_was() {
        for bits in 0..16 {
            assert_eq!(Due::from_bits(bits).bits(), bits);
        }
        let [one, other] =
            [Due { stop: true, ..Due::default() }, Due { checkpoint: true, ..Due::default() }];
        let both = Due::from_bits(one.bits() | other.bits());
        assert_eq!(both, Due { stop: true, checkpoint: true, ..Due::default() });
    }

    #[test]
    fn at_zero_a_checkpoint_is_always_due_and_a_slow_one_makes_the_next_wait() {
        let stop = AtomicBool::new(false);
        let mut pace = Pace::new(Duration::ZERO);
        assert!(pace.due(&stop).checkpoint);
        pace.saved(Duration::from_secs(9));
        assert!(pace.due(&stop).checkpoint);
        let mut pace = Pace::new(Duration::from_nanos(1));
        pace.saved(Duration::from_secs(9));
        assert_eq!(pace.due(&stop), Due::default());
        stop.store(true, Ordering::Relaxed);
        assert!(pace.due(&stop).stop);
    }
}
