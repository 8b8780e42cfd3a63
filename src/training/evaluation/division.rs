//! Who evaluates which images: one process all, or each rank of a run some of the batches, one
//! after the other. Batches are the same whoever evaluates them, and their sums are added in their
//! order, so that the result does not depend on the number of ranks.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::distributed::group::Group;
use crate::error::Stopped;

/// What an evaluation depends on beside network and images.
pub struct Division<'a> {
    /// The other ranks, if there are some.
    pub group: Option<&'a Group>,
    /// Set where it is to be left between two batches.
    pub stop: &'a AtomicBool,
}

impl<'a> Division<'a> {
    /// One process evaluates all.
    pub fn alone(stop: &'a AtomicBool) -> Division<'a> {
        Division { group: None, stop }
    }

    /// Which of so many batches are this process's.
    pub fn own(&self, batches: usize) -> Range<usize> {
        let Some(group) = self.group else { return 0..batches };
        let (rank, world) = (group.place().rank, group.place().world);
        batches * rank / world..batches * (rank + 1) / world
    }

    /// Asks whether there is to be another batch.
    ///
    /// # Errors
    /// [`Stopped`] if not: on all ranks as soon as one is asked to stop.
    pub fn go_on(&self) -> Result<()> {
        let own = self.stop.load(Ordering::Relaxed);
        let stopped = match self.group {
            None => own,
            Some(group) => group.agree(u8::from(own))? != 0,
        };
        if stopped { Err(Stopped.into()) } else { Ok(()) }
    }

    /// Asks as often as the ranks with the most of so many batches do, after one's own.
    pub fn wait_for_others(&self, batches: usize) -> Result<()> {
        let world = self.group.map_or(1, |group| group.place().world);
        (self.own(batches).len()..batches.div_ceil(world)).try_for_each(|_| self.go_on())
    }

    /// The sums of all batches, from this process's, in the batches' order.
    pub fn sums(&self, own: &[f64]) -> Result<Vec<f64>> {
        match self.group {
            None => Ok(own.to_vec()),
            Some(group) => group.numbers(own),
        }
    }

    /// Hands `take` the lines of all processes.
    pub fn lines(&self, own: Vec<String>, take: &mut dyn FnMut(String)) -> Result<()> {
        let all = match self.group {
            None => own,
            Some(group) => group.lines(&own)?,
        };
        all.into_iter().for_each(take);
        Ok(())
    }
}
