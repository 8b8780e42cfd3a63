//! The step as one CUDA graph: the host launches one thing an iteration instead of some thousand.

use anyhow::{Context, Result};

use crate::system::cuda_graph::CudaGraph;

/// Steps that are done operation by operation first: libraries allocate their workspaces and choose
/// their algorithms in them, which they must not do while a graph is captured.
const WARM_UP: usize = 3;

/// A step that is captured once and then replayed.
pub(crate) struct GraphedStep {
    graph: CudaGraph,
    warmed_up: usize,
    captured: bool,
}

impl GraphedStep {
    /// A step on GPU `device`, not captured yet. Fails if the library for graphs is not there.
    pub(crate) fn new(device: usize) -> Result<GraphedStep> {
        Ok(GraphedStep { graph: CudaGraph::new(device)?, warmed_up: 0, captured: false })
    }

    /// Does `compute` once, in one way or another. It must do the same operations on the same
    /// tensors each time.
    pub(crate) fn step(&mut self, compute: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.warmed_up < WARM_UP {
            self.warmed_up += 1;
            return self.graph.warm_up(compute);
        }
        if !self.captured {
            // Captured operations are not done.
            self.graph
                .capture(compute)
                .context("the step cannot be captured; --graph off trains without")?;
            self.captured = true;
        }
        self.graph.replay()
    }
}
