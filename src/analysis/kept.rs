//! Images that are looked at again and again: kept on the device where they are few, else read
//! again each time, so that memory has a bound whatever their number.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::analysis::images::{Batch, ImageSet};
use crate::analysis::subject::leave_out;

/// Bytes that are kept at most: 21,845 images of 32×32, 445 of 224×224.
const MOST_BYTES: i64 = 256 << 20;

/// Images for many passes.
pub enum KeptImages<'a> {
    /// All batches, and whether a signal asked for an end.
    Kept(Vec<Batch>, Arc<AtomicBool>),
    /// Too many for that.
    ReadAgain {
        /// The images.
        set: ImageSet<'a>,
        /// Images of a batch at most.
        at_once: usize,
        /// Whether those that cannot be read were told of.
        told: Cell<bool>,
    },
}

impl<'a> KeptImages<'a> {
    /// `set`, handed on in batches of at most `at_once`. `None` where a signal came first.
    pub fn new(set: ImageSet<'a>, at_once: usize) -> Result<Option<KeptImages<'a>>> {
        if set.bytes() > MOST_BYTES {
            return Ok(Some(KeptImages::ReadAgain { set, at_once, told: Cell::new(false) }));
        }
        let mut kept = Vec::new();
        let complete = set.for_each(at_once, &mut leave_out, |batch| {
            kept.push(batch);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(complete.then(|| KeptImages::Kept(kept, set.stop())))
    }

    /// Hands on all images, always in the same batches. Returns whether no signal came before their
    /// end.
    pub fn for_each(&self, mut take: impl FnMut(&Batch) -> Result<()>) -> Result<bool> {
        match self {
            KeptImages::Kept(batches, stop) => {
                for batch in batches {
                    if stop.load(Ordering::Relaxed) {
                        return Ok(false);
                    }
                    take(batch)?;
                }
                Ok(true)
            }
            KeptImages::ReadAgain { set, at_once, told } => {
                let mut unreadable = |reason| {
                    if !told.get() {
                        leave_out(reason);
                    }
                };
                let complete = set.for_each(*at_once, &mut unreadable, |batch| {
                    take(&batch)?;
                    Ok(ControlFlow::Continue(()))
                })?;
                told.set(true);
                Ok(complete)
            }
        }
    }
}
