//! The paper's networks for 32×32 images (section 4.2).

use crate::config::dataset_name::IMAGE_SIDE;
use crate::config::network_name::{BottleneckStride, NetworkName};
use crate::error::{BadInput, bad_input};
use crate::network::architecture::body::{BlockKind, Body, Stage, Stem};
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
/// A highway net has a table of its own, in [`highway`]. VGG, GoogLeNet and the v1.5 of bottlenecks
/// are refused: they are for larger images.
pub fn architecture(name: NetworkName, classes: i64) -> Result<Architecture, BadInput> {
    let body = match name {
        NetworkName::Plain { depth, stride: BottleneckStride::First1x1 }
        | NetworkName::Residual { depth, stride: BottleneckStride::First1x1, .. } => basic(depth),
        NetworkName::Highway { depth } => highway::body(depth),
        _ => {
            return Err(bad_input(format!(
                "{name} is a network for ImageNet: give --dataset imagenet"
            )));
        }
    };
    Ok(Architecture { name, shortcut: name.shortcut(), image_side: IMAGE_SIDE, body, classes })
}

/// The body of plain and residual nets.
fn basic(depth: u64) -> Body {
    let blocks = ((depth - 2) / 6) as usize;
    Body::Blocks {
        stem: STEM,
        kind: BlockKind::Basic,
        stages: vec![
            Stage { blocks, filters: 16, stride: 1 },
            Stage { blocks, filters: 32, stride: 2 },
            Stage { blocks, filters: 64, stride: 2 },
        ],
    }
}
