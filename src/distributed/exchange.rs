//! What moves tensors between ranks, whatever library does it.

use anyhow::Result;
use tch::{Device, Tensor};

/// One rank's side of a number of ranks that exchange tensors. Tensors are moved and never added
/// up: the order of sums is the program's own. All ranks make the same calls in the same order.
pub trait Exchange {
    /// How many ranks there are.
    fn world(&self) -> usize;

    /// Where tensors must be to be exchanged.
    fn device(&self) -> Device;

    /// Sends part r of `input` to rank r, and returns the parts that came, in order of ranks: both
    /// [world × part], contiguous, on [`device`](Self::device).
    fn all_to_all(&self, input: &Tensor) -> Result<Tensor>;

    /// The `own` values [part] of all ranks, in order of ranks: [world × part], contiguous, on
    /// [`device`](Self::device).
    fn all_gather(&self, own: &Tensor) -> Result<Tensor>;

    /// Waits until the exchanges that were begun here are over.
    fn wait(&self) -> Result<()>;
}
