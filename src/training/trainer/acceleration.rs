//! What makes a GPU's iterations faster: the project's own kernels, and CUDA graphs.

use anyhow::{Context, Result};
use tch::Device;

use crate::config::kernels::Kernels;
use crate::distributed::connect::Transport;
use crate::distributed::group::Group;
use crate::kernels::launcher::launcher;
use crate::network::stepwise::Stepwise;
use crate::training::graphed::GraphedStep;
use crate::training::trainer::Trainer;

impl Trainer<'_> {
    /// Has the project's own kernels do what they can, if the network is to be computed by them.
    /// Returns what that is.
    ///
    /// # Errors
    /// In one line, why the device has none.
    pub fn use_kernels(&mut self) -> Result<Option<String>> {
        let compute = self.network.compute;
        if compute.kernels == Kernels::Libtorch {
            return Ok(None);
        }
        let launcher = launcher(self.network.device()).context("kernels = own")?;
        self.optimizer.use_kernels(launcher);
        let own = match compute.segments {
            1 => Stepwise::new(self.network, self.recipe.micro_batch_size() as i64, launcher),
            _ => Err("activations are recomputed".to_string()),
        };
        let (own, done) = match own {
            Ok(own) => (Some(own), "the whole step".to_string()),
            Err(reason) => (None, format!("normalisation and updates alone ({reason})")),
        };
        self.own = own;
        Ok(Some(format!("own kernels: {done}")))
    }

    /// Has a GPU do each iteration as one CUDA graph from the fourth on, if that is `wanted` and
    /// all ranks can. Returns why that cannot be, if it is a GPU; the numbers are the same.
    pub fn use_graph(&mut self, wanted: bool, device: Device) -> Result<Option<String>> {
        let Device::Cuda(index) = device else { return Ok(None) };
        let graphed = match self.group.map(Group::transport) {
            _ if !wanted => Err(None),
            Some(Transport::Gloo(_)) => {
                Err(Some("ranks exchange tensors through main memory".to_string()))
            }
            _ => GraphedStep::new(index).map_err(|error| Some(format!("{error:#}"))),
        };
        // All ranks do the same from the fourth iteration on. One whose capture fails ends the run.
        let on_all = match self.group {
            None => true,
            Some(group) => group.agree(u8::from(graphed.is_err()))? == 0,
        };
        let reason = match graphed {
            Ok(graphed) if on_all => {
                self.graphed = Some(graphed);
                None
            }
            Ok(_) => Some("another rank trains without".to_string()),
            Err(reason) => reason,
        };
        Ok(reason.map(|reason| format!("training without a CUDA graph, which is slower: {reason}")))
    }
}
