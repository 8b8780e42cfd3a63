//! What a batch gives: the gradient of its mean loss, that loss, and how many of its images are
//! wrong; of all its groups, wherever they are computed.

use std::ops::Range;

use anyhow::Result;
use tch::Tensor;

use crate::config::recipe::Recipe;
use crate::distributed::group::Group;
use crate::distributed::tree;
use crate::network::forward::gradient::Gradient;
use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::network::stepwise::Stepwise;
use crate::training::batches::Batches;
use crate::training::metrics::wrong;

/// What a batch gives.
pub(crate) struct BatchGradient {
    /// Mean of the gradients of its groups: float32, [parameters].
    pub parameters: Tensor,
    /// Mean cross-entropy, in nats: a float32 scalar.
    pub loss: Tensor,
    /// Wrongly classified images: a float32 scalar.
    pub wrong: Tensor,
}

impl BatchGradient {
    /// Of the batch that `batches` is at; running statistics are updated. Together with the other
    /// ranks of `group` if there are some, by the `own` kernels if those are given. Does not wait
    /// for the device if there are no other ranks.
    pub fn of(
        network: &Network,
        batches: &dyn Batches,
        recipe: &Recipe,
        group: Option<&Group>,
        own: Option<&Stepwise>,
    ) -> Result<BatchGradient> {
        let count = recipe.micro_batch_size() as i64;
        let groups = recipe.groups();
        if groups == 1 {
            let (images, labels) = batches.micro_batch(0, count);
            let gradient = match own {
                Some(own) => own.gradient(network, Mode::Training, &images, &labels)?,
                None => network.gradient(&images, &labels),
            };
            let wrong = wrong_of(&gradient, &labels);
            let Gradient { loss, parameters, .. } = gradient;
            return Ok(BatchGradient { parameters, loss, wrong });
        }
        let before = network.running_stats().copy();
        let mut statistics = Vec::new();
        // Of one group: gradient, loss and wrong images in one vector.
        let mut one = |group: &Range<usize>| {
            if group.len() > 1 {
                return None;
            }
            let (images, labels) = batches.micro_batch(group.start as i64 * count, count);
            let gradient = match own {
                Some(own) => {
                    // Sums begin at the running mean, which must not be another group's.
                    network.running_stats().shallow_clone().copy_(&before);
                    own.gradient(network, Mode::Group, &images, &labels)
                }
                None => Ok(network.group_gradient(&images, &labels)),
            };
            // A launch fails as libtorch's operations do, which are panics everywhere in tch.
            let gradient = gradient.unwrap_or_else(|error| panic!("{error:#}"));
            statistics.push(network.running_stats().copy());
            let wrong = wrong_of(&gradient, &labels);
            let Gradient { loss, parameters, .. } = gradient;
            let [loss, wrong] = [loss, wrong].map(|value| value.view([1]));
            Some(Tensor::cat(&[parameters, loss, wrong], 0))
        };
        let own = group.map_or(0..groups, |group| group.share(groups));
        let sums: Vec<Tensor> = tree::subtrees(0..groups, &own)
            .into_iter()
            .map(|subtree| tree::sum(subtree, &mut one))
            .collect();
        let statistics = Tensor::cat(&statistics, 0);
        let (sum, statistics) = match group {
            None => (sums[0].shallow_clone(), statistics),
            Some(group) => (group.sum(groups, &sums)?, group.gather(&statistics)?),
        };
        network.average_statistics(&before, &statistics);
        let values = sum.size()[0] - 2;
        let mean = |sum: Tensor| sum / groups as f64;
        Ok(BatchGradient {
            parameters: mean(sum.narrow(0, 0, values)),
            loss: mean(sum.get(values)),
            wrong: sum.get(values + 1),
        })
    }
}

/// How many images of a batch with these labels are wrong: a float32 scalar.
fn wrong_of(gradient: &Gradient, labels: &Tensor) -> Tensor {
    match &gradient.wrong {
        Some(counted) => counted.shallow_clone(),
        None => wrong(&gradient.logits, labels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::NetworkName;
    use crate::network::architecture::cifar;
    use crate::random::{Purpose, Stream};
    use tch::Device;

    /// One batch of eight images.
    struct Fixed(Tensor, Tensor);

    impl Batches for Fixed {
        fn load(&mut self, _iteration: u64) -> Result<()> {
            Ok(())
        }

        fn micro_batch(&self, start: i64, count: i64) -> (Tensor, Tensor) {
            (self.0.narrow(0, start, count), self.1.narrow(0, start, count))
        }
    }

    #[test]
    fn a_batch_in_groups_has_the_mean_of_their_gradients_and_losses_and_the_statistics_of_all() {
        let mut stream = Stream::new(4, Purpose::Shapes, 0);
        let values: Vec<f32> = stream.normals(8 * 3 * 32 * 32);
        let images = Tensor::from_slice(&values).view([8, 3, 32, 32]);
        let labels = Tensor::from_slice(&[3i64, 1, 4, 1, 5, 9, 2, 6]);
        let network = || {
            Network::new(cifar::architecture(NetworkName::residual(8), 10).unwrap(), 1, Device::Cpu)
        };
        let recipe = Recipe { batch_size: 8, group_size: 4, ..Recipe::default() };
        let trained = network();
        let batches = Fixed(images.shallow_clone(), labels.shallow_clone());
        let found = BatchGradient::of(&trained, &batches, &recipe, None, None).unwrap();
        let part = |start| (images.narrow(0, start, 4), labels.narrow(0, start, 4));
        let [one, other] = [0, 4].map(|start| network().gradient(&part(start).0, &part(start).1));
        let close = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]) < 1e-6;
        assert!(
            close(&found.parameters, &((one.parameters + other.parameters) / 2.0)),
            "gradients"
        );
        assert!(close(&found.loss, &((one.loss + other.loss) / 2.0)), "losses");
        let logits = Tensor::cat(&[one.logits, other.logits], 0);
        assert!(found.wrong.equal(&wrong(&logits, &labels)), "wrong images");
        // One group after the other in one network: the running statistics are the same.
        let in_turn = network();
        for start in [0, 4] {
            in_turn.gradient(&part(start).0, &part(start).1);
        }
        assert!(close(trained.running_stats(), in_turn.running_stats()), "statistics");
    }
}
