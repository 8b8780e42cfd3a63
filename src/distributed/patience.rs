//! How long a training may wait for the other ranks, although all of them show signs of life.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is waited for.
#[derive(Debug, Clone, Copy)]
struct Wait {
    since: Instant,
    /// The rank from which a message is missing, where it is one.
    rank: Option<usize>,
}

/// The wait of this rank's training, if it waits: from the start of an exchange of tensors, whose
/// end a GPU does not tell, or of a message, until all have sent the next message.
pub struct Patience {
    limit: Duration,
    wait: Mutex<Option<Wait>>,
}

impl Patience {
    /// Which ends after `limit`.
    pub fn new(limit: Duration) -> Patience {
        Patience { limit, wait: Mutex::new(None) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<Wait>) -> T) -> T {
        work(&mut self.wait.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The training waits from now on: that it came here counts as going on.
    pub fn begin(&self) {
        self.with(|wait| *wait = Some(Wait { since: Instant::now(), rank: None }));
    }

    /// If it waits, it is for this rank's message.
    pub fn is_for(&self, rank: usize) {
        self.with(|wait| {
            if let Some(wait) = wait {
                wait.rank = Some(rank);
            }
        });
    }

    /// The others have gone on too.
    pub fn end(&self) {
        self.with(|wait| *wait = None);
    }

    /// Once, if the training has waited too long: for whose message, if it is one.
    pub fn exceeded(&self) -> Option<Option<usize>> {
        self.with(|wait| {
            let over = wait.take_if(|wait| wait.since.elapsed() > self.limit);
            over.map(|wait| wait.rank)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_takes_too_long_is_told_once_with_the_rank_that_is_missing() {
        let patience = Patience::new(Duration::ZERO);
        assert_eq!(patience.exceeded(), None, "nothing is waited for");
        patience.is_for(3);
        assert_eq!(patience.exceeded(), None);
        patience.begin();
        std::thread::sleep(Duration::from_millis(2));
        patience.is_for(2);
        assert_eq!(patience.exceeded(), Some(Some(2)));
        assert_eq!(patience.exceeded(), None);
        patience.begin();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(patience.exceeded(), Some(None));
    }

    #[test]
    fn one_that_ends_or_is_within_the_limit_is_not_told() {
        let patience = Patience::new(Duration::from_secs(600));
        patience.begin();
        assert_eq!(patience.exceeded(), None);
        let patience = Patience::new(Duration::ZERO);
        patience.begin();
        patience.end();
        assert_eq!(patience.exceeded(), None);
    }
}
