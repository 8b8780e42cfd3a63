//! The paper's networks for 32×32 images (section 4.2), and those of pre-activation.

use crate::config::dataset_name::IMAGE_SIDE;
use crate::config::depths;
use crate::config::network_name::{BottleneckStride, NetworkName};
use crate::config::shortcut::Shortcut;
use crate::error::{BadInput, bad_input};
use crate::network::architecture::body::{BlockKind, Body, Order, Stage, Stem};
use crate::network::architecture::highway;
use crate::network::architecture::table::Architecture;

/// The first convolution.
const STEM: Stem = Stem { filters: 16, kernel: 3, stride: 1, pool: false };

/// The network of 6n+2 weighted layers: a 3×3 convolution, 2n layers on each of three map sizes, a
/// fully connected layer.
///
/// | output map size | 32×32 | 16×16 | 8×8 |
/// |---|---|---|---|
/// | layers | 1+2n | 2n | 2n |
/// | filters | 16 | 32 | 64 |
///
/// Nets of pre-activation (He et al. 2016, arXiv 1603.05027) are these, with shortcuts of option A,
/// or nets of 9n+2 layers in bottlenecks, with shortcuts of option B: a 3×3 convolution, 3n layers
/// on each map size with 16 (64 at the ends of a bottleneck), 32 (128) and 64 (256) filters, a fully
/// connected layer.
///
/// A highway net has a table of its own, in [`highway`]. VGG, GoogLeNet and the v1.5 of bottlenecks
/// are refused: they are for larger images.
pub fn architecture(name: NetworkName, classes: i64) -> Result<Architecture, BadInput> {
    let mut shortcut = name.shortcut();
    let body = match name {
        NetworkName::Plain { depth, stride: BottleneckStride::First1x1 }
        | NetworkName::Residual { depth, stride: BottleneckStride::First1x1, .. } => {
            blocks(BlockKind::Basic, Order::PostActivation, (depth - 2) / 6)
        }
        NetworkName::PreActivation { depth } if depths::has_bottlenecks_on_cifar(depth) => {
            shortcut = Some(Shortcut::OptionB);
            let kind = BlockKind::Bottleneck { stride_on_3x3: false };
            blocks(kind, Order::PreActivation, (depth - 2) / 9)
        }
        NetworkName::PreActivation { depth } => {
            shortcut = Some(Shortcut::OptionA);
            blocks(BlockKind::Basic, Order::PreActivation, (depth - 2) / 6)
        }
        NetworkName::Highway { depth } => highway::body(depth),
        _ => {
            return Err(bad_input(format!(
                "{name} is a network for ImageNet: give --dataset imagenet"
            )));
        }
    };
    Ok(Architecture { name, shortcut, image_side: IMAGE_SIDE, body, classes })
}

/// Three stages of `count` blocks.
fn blocks(kind: BlockKind, order: Order, count: u64) -> Body {
    let stage = |filters, stride| Stage { blocks: count as usize, filters, stride };
    let stages = vec![stage(16, 1), stage(32, 2), stage(64, 2)];
    Body::Blocks { stem: STEM, kind, order, stages }
}
