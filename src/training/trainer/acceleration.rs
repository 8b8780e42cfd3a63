//! What makes a GPU's iterations faster: the project's own kernels, and CUDA graphs.

use anyhow::{Context, Result};
use tch::Device;

use crate::config::kernels::Kernels;
use crate::distributed::connect::Transport;
use crate::distributed::group::Group;
use crate::kernels::launcher::launcher;
use crate::network::forward::own::has_convolutions_for;
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
        if self.network.compute.kernels == Kernels::Libtorch {
            return Ok(None);
        }
        let launcher = launcher(self.network.device()).context("kernels = own")?;
        self.optimizer.use_kernels(launcher);
        self.batches.use_kernels(launcher);
        // Not by the memory that is there, which differs between two starts of one run: segments
        // are autograd's alone.
        let images = self.recipe.micro_batch_size() as i64;
        let (own, done) = match Stepwise::new(self.network, images, launcher) {
            Ok(own) => (Some(own), "the whole step, with all maps kept".to_string()),
            Err(reason)
                if self.network.compute.fused
                    && has_convolutions_for(self.network.architecture()) =>
            {
                (None, format!("normalisation, some 1×1 convolutions and updates ({reason})"))
            }
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

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;
    use crate::config::network_name::Family;
    use crate::config::precision::Precision;
    use crate::config::recipe::Recipe;
    use crate::network::architecture;
    use crate::network::architecture::body::Body;
    use crate::network::architecture::cifar;
    use crate::network::parameters::{Compute, Network};
    use crate::random::{Purpose, Stream};
    use crate::training::batches::Batches;

    /// Other images each iteration.
    struct Noise(u64);

    impl Batches for Noise {
        fn load(&mut self, iteration: u64) -> Result<()> {
            self.0 = iteration;
            Ok(())
        }

        fn micro_batch(&self, start: i64, count: i64) -> (Tensor, Tensor) {
            let mut stream = Stream::new(self.0, Purpose::Shapes, start as u64);
            let values: Vec<f32> = stream.normals((count * 3 * 1024) as usize);
            let images = Tensor::from_slice(&values).view([count, 32, 32, 3]);
            let labels = Tensor::arange(count, (Kind::Int64, Device::Cpu)) + self.0 as i64;
            (images.permute([0, 3, 1, 2]), labels.remainder(10))
        }
    }

    /// How far five iterations move the parameters and the running statistics.
    fn moved(network: &str, recipe: &Recipe, precision: Precision, kernels: Kernels) -> Tensor {
        let compute = Compute { precision, kernels, ..Compute::default() };
        moved_by(network, recipe, compute)
    }

    fn moved_by(network: &str, recipe: &Recipe, compute: Compute) -> Tensor {
        let architecture = cifar::architecture(network.parse().unwrap(), 10).unwrap();
        let mut network = Network::new(architecture, 0, Device::Cpu).with_compute(compute);
        let all = |network: &Network| {
            Tensor::cat(&[network.parameters().detach(), network.running_stats().copy()], 0)
        };
        let before = all(&network);
        let mut trainer = Trainer::new(&mut network, Box::new(Noise(0)), recipe, None);
        trainer.use_kernels().unwrap();
        trainer.time(5).unwrap();
        all(trainer.network()) - before
    }

    #[test]
    fn what_the_own_kernels_do_is_said() {
        for (name, expected) in [
            ("resnet-50", "normalisation, some 1×1 convolutions and updates (resnet-50"),
            ("resnet-18", "normalisation and updates alone (resnet-18"),
        ] {
            let mut net =
                architecture::build(name.parse().unwrap(), Family::Imagenet, 64, 10).unwrap();
            if let Body::Blocks { stages, .. } = &mut net.body {
                stages.truncate(1);
            }
            let compute =
                Compute { precision: Precision::Bf16, kernels: Kernels::Own, ..Compute::default() };
            let mut network = Network::new(net, 0, Device::Cpu).with_compute(compute);
            let recipe = Recipe { batch_size: 2, ..Recipe::default() };
            let mut trainer = Trainer::new(&mut network, Box::new(Noise(0)), &recipe, None);
            let said = trainer.use_kernels().unwrap().unwrap();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn five_steps_of_the_own_kernels_lead_where_those_of_libtorch_do() {
        let recipe = Recipe { batch_size: 2, learning_rate: 0.02, ..Recipe::default() };
        let groups = Recipe { batch_size: 4, group_size: 2, ..recipe.clone() };
        // By own convolutions, the second in groups, and with own normalisation alone.
        for (network, recipe) in
            [("plain-8", &recipe), ("resnet-8", &groups), ("resnet-8b", &recipe)]
        {
            let of = |precision, kernels| moved(network, recipe, precision, kernels);
            let full = of(Precision::F32, Kernels::Libtorch);
            let from_full =
                |moved: Tensor| ((moved - &full).norm() / full.norm()).double_value(&[]);
            let half = from_full(of(Precision::Bf16, Kernels::Libtorch));
            let own = from_full(of(Precision::Bf16, Kernels::Own));
            assert!(own < 1.3 * half && half < 0.5, "{network}: {own} against {half}");
        }
    }
    #[test]
    fn the_memory_that_is_there_changes_no_bit_of_a_step_of_the_own_kernels() {
        let recipe = Recipe { batch_size: 2, ..Recipe::default() };
        let [whole, in_segments] = [1, 3].map(|segments| {
            let (precision, kernels) = (Precision::Bf16, Kernels::Own);
            let compute = Compute { precision, kernels, segments, ..Compute::default() };
            moved_by("resnet-8", &recipe, compute)
        });
        assert!(whole.equal(&in_segments));
    }
}
