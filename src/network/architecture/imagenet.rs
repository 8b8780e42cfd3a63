//! The paper's networks for ImageNet (Table 1), and those that it compares them with.

use crate::config::depths::{BOTTLENECK_DEPTHS, PAIR_DEPTHS, list};
use crate::config::network_name::{BottleneckStride, NetworkName};
use crate::config::shortcut::Shortcut;
use crate::error::{BadInput, bad_input};
use crate::network::architecture::body::{BlockKind, Body, Order, Stage, Stem, Widths};
use crate::network::architecture::table::Architecture;
use crate::network::architecture::{highway, vgg};

/// Side of the smallest images: five times halved, one pixel is left.
pub const LEAST_SIDE: i64 = 32;

/// conv1 and the pooling that begins conv2_x.
pub(crate) const STEM: Stem = Stem { filters: 64, kernel: 7, stride: 2, pool: true };

/// Blocks in conv2_x to conv5_x (Table 1).
fn blocks(depth: u64) -> Option<[usize; 4]> {
    match depth {
        18 => Some([2, 2, 2, 2]),
        34 | 50 => Some([3, 4, 6, 3]),
        101 => Some([3, 4, 23, 3]),
        152 => Some([3, 8, 36, 3]),
        _ => None,
    }
}

/// The network for square images of `side` pixels.
///
/// | output map size | 112×112 | 56×56 | 28×28 | 14×14 | 7×7 |
/// |---|---|---|---|---|---|
/// | layers | 7×7, 64, stride 2 | 3×3 pooling, conv2_x | conv3_x | conv4_x | conv5_x |
/// | filters of the 3×3 layers | | 64 | 128 | 256 | 512 |
///
/// Nets of bottlenecks are named without a shortcut option: theirs is B, or C where the name says
/// so, and none in plain nets.
pub fn architecture(name: NetworkName, side: i64, classes: i64) -> Result<Architecture, BadInput> {
    if side < LEAST_SIDE {
        return Err(bad_input(format!(
            "{name}: the networks for ImageNet need images of {LEAST_SIDE}×{LEAST_SIDE} pixels and more, not {side}×{side}"
        )));
    }
    let body = match name {
        NetworkName::Plain { depth, stride } | NetworkName::Residual { depth, stride, .. } => {
            table_1(name, depth, stride)?
        }
        NetworkName::PreActivation { .. } => {
            return Err(bad_input(format!(
                "{name}: pre-activation nets are for 32×32 images only: give --dataset cifar10"
            )));
        }
        NetworkName::Highway { depth } => highway::imagenet_body(depth, STEM),
        NetworkName::Vgg { depth } => vgg::body(depth),
        NetworkName::GoogLeNet { auxiliary } => {
            Body::GoogLeNet { widths: Widths::default(), auxiliary }
        }
    };
    Ok(Architecture { name, shortcut: shortcut(name)?, image_side: side, body, classes })
}

fn table_1(name: NetworkName, depth: u64, stride: BottleneckStride) -> Result<Body, BadInput> {
    let blocks = blocks(depth).ok_or_else(|| {
        bad_input(format!(
            "{name}: the networks for ImageNet have {}, {} layers",
            list(&PAIR_DEPTHS),
            list(&BOTTLENECK_DEPTHS)
        ))
    })?;
    let kind = if PAIR_DEPTHS.contains(&depth) {
        BlockKind::Basic
    } else {
        BlockKind::Bottleneck { stride_on_3x3: stride == BottleneckStride::Middle3x3 }
    };
    let stage = |index: usize, filters, stride| Stage { blocks: blocks[index], filters, stride };
    Ok(Body::Blocks {
        stem: STEM,
        kind,
        order: Order::PostActivation,
        stages: vec![stage(0, 64, 1), stage(1, 128, 2), stage(2, 256, 2), stage(3, 512, 2)],
    })
}

fn shortcut(name: NetworkName) -> Result<Option<Shortcut>, BadInput> {
    let NetworkName::Residual { depth, shortcut, stride } = name else { return Ok(None) };
    match shortcut {
        Shortcut::OptionA if BOTTLENECK_DEPTHS.contains(&depth) => Ok(Some(Shortcut::OptionB)),
        Shortcut::OptionB if BOTTLENECK_DEPTHS.contains(&depth) => {
            let plain_name = NetworkName::Residual { depth, shortcut: Shortcut::OptionA, stride };
            Err(bad_input(format!(
                "{name}: on ImageNet {plain_name} already has shortcut option B: write {plain_name}"
            )))
        }
        shortcut => Ok(Some(shortcut)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(name: &str) -> Architecture {
        architecture(name.parse().unwrap(), 224, 1000).unwrap()
    }

    #[test]
    fn parameters_are_those_counted_in_public_code() {
        for (name, expected) in [
            ("plain-18", 11_515_688),
            ("resnet-18", 11_515_688),
            ("resnet-18b", 11_689_512),
            ("plain-34", 21_623_848),
            ("resnet-34", 21_623_848),
            ("resnet-34b", 21_797_672),
            ("resnet-50", 25_557_032),
            ("resnet-50-v1.5", 25_557_032),
            ("resnet-101", 44_549_160),
            ("resnet-152", 60_192_808),
            ("vgg-16", 138_357_544),
            ("vgg-19", 143_667_240),
            ("googlenet", 6_624_904),
            ("googlenet-aux", 13_004_888),
        ] {
            assert_eq!(net(name).parameter_count(), expected, "{name}");
        }
    }

    #[test]
    fn multiply_adds_are_those_of_table_1_as_it_rounds_them() {
        for (name, expected) in [
            ("plain-18", 1.8e9),
            ("resnet-18", 1.8e9),
            ("plain-34", 3.6e9),
            ("resnet-34", 3.6e9),
            ("resnet-50", 3.8e9),
            ("resnet-101", 7.6e9),
            ("resnet-152", 11.3e9),
            // 15.35e9 in the convolutions alone.
            ("vgg-16", 15.3e9),
            ("vgg-19", 19.6e9),
        ] {
            let counted = net(name).multiply_adds() as f64;
            assert!(
                (counted / expected - 1.0).abs() < 0.02,
                "{name}: {counted:.3e} against {expected:.1e}"
            );
        }
        assert!(
            net("resnet-50-v1.5").multiply_adds() > net("resnet-50").multiply_adds(),
            "its 3×3 layers work on larger maps"
        );
    }

    #[test]
    fn the_number_of_weighted_layers_is_the_depth() {
        for name in [
            "plain-18",
            "resnet-34c",
            "resnet-50",
            "plain-101",
            "resnet-152",
            "vgg-16",
            "vgg-19",
            "highway-19",
            "highway-32",
        ] {
            let net = net(name);
            let counted = net.layers().iter().filter(|layer| layer.kind.counts()).count();
            assert_eq!(counted as u64, net.name.depth(), "{name}");
        }
        // GoogLeNet's paper counts along one path: the three first layers, two in each of nine
        // modules, and the classifier.
        assert_eq!(net("googlenet").name.depth(), 3 + 2 * 9 + 1);
    }

    #[test]
    fn a_plain_net_and_its_residual_twin_differ_in_the_shortcut_alone() {
        for depth in [18, 34, 50, 101, 152] {
            let [plain, residual] = [NetworkName::plain(depth), NetworkName::residual(depth)]
                .map(|name| architecture(name, 224, 1000).unwrap());
            let main = |net: &Architecture| {
                net.layers().into_iter().filter(|layer| !layer.is_aside()).collect::<Vec<_>>()
            };
            assert_eq!(main(&plain), main(&residual), "{depth}");
            assert_ne!(plain.shortcut, residual.shortcut);
        }
    }

    #[test]
    fn the_name_of_a_bottleneck_net_means_option_b_and_that_name_cannot_be_given_twice() {
        assert_eq!(
            (net("resnet-50").shortcut, net("resnet-50c").shortcut),
            (Some(Shortcut::OptionB), Some(Shortcut::OptionC))
        );
        assert_eq!(
            (net("resnet-34").shortcut, net("plain-50").shortcut),
            (Some(Shortcut::OptionA), None)
        );
        for (name, written) in
            [("resnet-50b", "write resnet-50"), ("resnet-152b-v1.5", "write resnet-152-v1.5")]
        {
            let message = architecture(name.parse().unwrap(), 224, 1000).unwrap_err().0;
            assert!(message.contains(written) && message.lines().count() == 1, "{message}");
        }
    }

    #[test]
    fn depths_of_the_other_family_and_images_that_are_too_small_are_refused() {
        let refused =
            |name: &str, side| architecture(name.parse().unwrap(), side, 1000).unwrap_err().0;
        assert!(refused("resnet-56", 224).contains("18, 34, 50, 101, 152"));
        assert!(refused("resnet-18", 31).contains("32×32"));
    }
}
