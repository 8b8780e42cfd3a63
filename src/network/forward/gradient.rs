//! The gradient of a batch's loss, with all activations kept, or with some recomputed (gradient
//! checkpointing).

use tch::{Kind, Tensor};

use crate::network::architecture::blocks::Block;
use crate::network::architecture::googlenet::AUXILIARY_WEIGHT;
use crate::network::forward::fused::Maps;
use crate::network::forward::pass::{Mode, Pass, Position};
use crate::network::memory::segment_blocks;
use crate::network::parameters::Network;

/// What one forward and backward pass gives.
pub struct Gradient {
    /// Mean cross-entropy of the batch, in nats: a float32 scalar.
    pub loss: Tensor,
    /// float32, [images, classes].
    pub logits: Tensor,
    /// Wrongly classified images, a float32 scalar, where kernels counted them on the way.
    pub wrong: Option<Tensor>,
    /// Of the loss, plus 0.3 of that of each auxiliary classifier, by the flat parameter vector:
    /// float32, [parameters].
    pub parameters: Tensor,
}

impl Network {
    /// Loss, logits and gradient in training mode; running statistics are updated once. Does not
    /// wait for the device.
    pub fn gradient(&self, images: &Tensor, labels: &Tensor) -> Gradient {
        self.gradient_in(Mode::Training, images, labels)
    }

    /// The same of one of a batch's groups, whose own statistics the running ones become.
    pub fn group_gradient(&self, images: &Tensor, labels: &Tensor) -> Gradient {
        self.gradient_in(Mode::Group, images, labels)
    }

    fn gradient_in(&self, mode: Mode, images: &Tensor, labels: &Tensor) -> Gradient {
        let blocks = self.architecture.blocks();
        if self.compute.segments > 1 && !blocks.is_empty() {
            return self.checkpointed(mode, images, labels, &blocks);
        }
        let (logits, auxiliary) = self.scores(images, mode);
        let loss = logits.cross_entropy_for_logits(labels);
        let whole = auxiliary.iter().fold(loss.shallow_clone(), |sum, logits| {
            sum + logits.cross_entropy_for_logits(labels) * AUXILIARY_WEIGHT
        });
        let mut gradients = Tensor::run_backward(&[&whole], &[&self.parameters], false, false);
        Gradient {
            loss: loss.detach(),
            logits: logits.detach(),
            wrong: None,
            parameters: gradients.remove(0),
        }
    }

    /// Keeps the inputs of each segment only, and computes a segment again when its gradient is
    /// due. Each parameter belongs to one segment, so that the sum over segments adds zeros to it:
    /// the gradients are those of the plain way, bit for bit.
    fn checkpointed(
        &self,
        mode: Mode,
        images: &Tensor,
        labels: &Tensor,
        blocks: &[Block],
    ) -> Gradient {
        let parts: Vec<&[Block]> =
            blocks.chunks(segment_blocks(blocks.len(), self.compute.segments)).collect();
        let (last, before) = parts.split_last().expect("a network has blocks");
        let mut starts = Vec::new();
        let mut here =
            Start { maps: images.shallow_clone(), position: Position::default(), first: true };
        for part in before {
            let (maps, position) = tch::no_grad(|| self.segment(&here, part, mode));
            starts.push(std::mem::replace(
                &mut here,
                Start { maps: maps.main, position, first: false },
            ));
        }
        let here = here.leaf();
        let mut pass = Pass::new(self, mode, here.position);
        let maps = here.walk(&mut pass, last);
        let logits = pass.classify(&maps.main);
        let loss = logits.cross_entropy_for_logits(labels);
        let (mut parameters, mut upstream) = here.backward(&loss, &self.parameters);
        for (start, part) in starts.into_iter().zip(before).rev() {
            let start = start.leaf();
            let (maps, _) = self.segment(&start, part, Mode::Recompute);
            // The gradient of this sum by the maps is `upstream`.
            let carried = (maps.main
                * upstream.expect("only the first segment has no maps before it"))
            .sum(Kind::Float);
            let (more, next) = start.backward(&carried, &self.parameters);
            parameters += more;
            upstream = next;
        }
        Gradient { loss: loss.detach(), logits: logits.detach(), wrong: None, parameters }
    }

    fn segment(&self, start: &Start, part: &[Block], mode: Mode) -> (Maps, Position) {
        let mut pass = Pass::new(self, mode, start.position);
        let maps = start.walk(&mut pass, part);
        (maps, pass.position())
    }
}

/// Where a segment starts.
struct Start {
    /// Maps, or for the first segment images.
    maps: Tensor,
    position: Position,
    first: bool,
}

impl Start {
    /// The same with maps that gradients can be taken of.
    fn leaf(self) -> Start {
        if self.first {
            self
        } else {
            Start { maps: self.maps.detach().set_requires_grad(true), ..self }
        }
    }

    fn walk(&self, pass: &mut Pass, part: &[Block]) -> Maps {
        let maps =
            if self.first { pass.stem(&self.maps) } else { self.maps.shallow_clone().into() };
        pass.blocks(maps, part)
    }

    /// Gradients of a scalar by parameters and by this segment's maps, unless they are the images.
    fn backward(&self, scalar: &Tensor, parameters: &Tensor) -> (Tensor, Option<Tensor>) {
        let mut leaves = vec![parameters];
        leaves.extend((!self.first).then_some(&self.maps));
        let mut gradients = Tensor::run_backward(&[scalar], &leaves, false, false).into_iter();
        (gradients.next().expect("one a leaf"), gradients.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name;
    use crate::config::network_name::NetworkName;
    use crate::config::precision::Precision;
    use crate::network::architecture;
    use crate::network::architecture::cifar;
    use crate::network::parameters::Compute;
    use crate::random::{Purpose, Stream};
    use tch::Device;

    fn after_one_pass(name: &str, compute: Compute) -> (Gradient, Tensor) {
        after_one_pass_from(3, name, compute)
    }

    fn after_one_pass_from(seed: u64, name: &str, compute: Compute) -> (Gradient, Tensor) {
        let name: NetworkName = name.parse().unwrap();
        let network = Network::new(cifar::architecture(name, 10).unwrap(), seed, Device::Cpu)
            .with_compute(compute);
        let mut stream = Stream::new(1, Purpose::Shapes, 0);
        let values: Vec<f32> = stream.normals(4 * 32 * 32 * 3);
        let images = Tensor::from_slice(&values).view([4, 32, 32, 3]).permute([0, 3, 1, 2]);
        let gradient = network.gradient(&images, &Tensor::from_slice(&[1i64, 4, 0, 9]));
        (gradient, network.running_stats().copy())
    }

    #[test]
    fn recomputed_segments_give_exactly_the_gradients_and_statistics_of_the_plain_way() {
        for precision in [Precision::F32, Precision::Bf16] {
            for name in
                ["resnet-20", "plain-20", "resnet-20b", "preact-resnet-20", "preact-resnet-29"]
            {
                let (plain, statistics) =
                    after_one_pass(name, Compute { precision, ..Compute::default() });
                for segments in [2, 4, 9] {
                    let (again, same) =
                        after_one_pass(name, Compute { precision, segments, ..Compute::default() });
                    assert!(
                        plain.loss.equal(&again.loss) && plain.logits.equal(&again.logits),
                        "{name} {precision} {segments}"
                    );
                    assert!(
                        plain.parameters.equal(&again.parameters),
                        "{name} {precision} {segments}: gradients"
                    );
                    assert!(statistics.equal(&same), "{name} {precision} {segments}: statistics");
                }
            }
        }
    }

    #[test]
    fn recomputed_segments_of_imagenet_nets_give_exactly_the_gradients_and_statistics_of_the_plain_way()
     {
        for name in ["resnet-18", "plain-34", "resnet-50", "resnet-50-v1.5"] {
            // Odd map sizes, and channels of which the fused kernels can do some.
            let net = || {
                architecture::build(name.parse().unwrap(), network_name::Family::Imagenet, 56, 10)
                    .unwrap()
                    .narrowed(8)
            };
            let one_pass = |compute| {
                let network = Network::new(net(), 3, Device::Cpu).with_compute(compute);
                let mut stream = Stream::new(1, Purpose::Shapes, 0);
                let values: Vec<f32> = stream.normals(4 * 56 * 56 * 3);
                let images = Tensor::from_slice(&values).view([4, 56, 56, 3]).permute([0, 3, 1, 2]);
                (
                    network.gradient(&images, &Tensor::from_slice(&[1i64, 4, 0, 9])),
                    network.running_stats().copy(),
                )
            };
            for precision in [Precision::F32, Precision::Bf16] {
                let (plain, statistics) = one_pass(Compute { precision, ..Compute::default() });
                for segments in [2, 5, 16] {
                    let (again, same) =
                        one_pass(Compute { precision, segments, ..Compute::default() });
                    assert!(
                        plain.logits.equal(&again.logits) && statistics.equal(&same),
                        "{name} {precision} {segments}"
                    );
                    assert!(
                        plain.parameters.equal(&again.parameters),
                        "{name} {precision} {segments}: gradients"
                    );
                }
            }
        }
    }

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).norm().double_value(&[]) / b.norm().double_value(&[])
    }

    #[test]
    fn the_fused_path_has_the_gradients_and_statistics_of_the_separate_operations() {
        for name in [
            "resnet-8",
            "plain-8",
            "resnet-8c",
            "preact-resnet-8",
            "resnet-20",
            "plain-20",
            "preact-resnet-29",
            "highway-19",
        ] {
            let mut differences: Vec<f64> = (0..7)
                .map(|seed| {
                    let [(fused, statistics), (plain, expected)] = [true, false].map(|fused| {
                        after_one_pass_from(seed, name, Compute { fused, ..Compute::default() })
                    });
                    assert!(difference(&statistics, &expected) < 1e-5, "{name}: statistics");
                    assert!(difference(&fused.logits, &plain.logits) < 2e-5, "{name}: logits");
                    difference(&fused.parameters, &plain.parameters)
                })
                .collect();
            differences.sort_by(f64::total_cmp);
            // Now and then the last bit decides whether one pixel passes ReLU, which changes a
            // gradient by 1e-3, in the separate operations from one number of threads to another
            // too: the more pixels, the rarer a net without one.
            let shallow = name.ends_with("-8") || name.ends_with("-8c");
            let (rank, bound) = if shallow { (3, 1e-5) } else { (0, 5e-5) };
            assert!(
                differences[rank] < bound && differences[6] < 0.1,
                "{name}: gradients: {differences:?}"
            );
        }
    }

    #[test]
    fn bfloat16_gradients_point_where_float32_ones_do() {
        let [(half, _), (full, _)] = [Precision::Bf16, Precision::F32].map(|precision| {
            after_one_pass("resnet-20", Compute { precision, ..Compute::default() })
        });
        let cosine = (&half.parameters * &full.parameters).sum(Kind::Double)
            / (half.parameters.norm() * full.parameters.norm());
        assert!(cosine.double_value(&[]) > 0.95, "{cosine:?}");
        assert_eq!((half.parameters.kind(), half.logits.kind()), (Kind::Float, Kind::Float));
    }
}
