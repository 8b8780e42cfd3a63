//! The paper's networks for 32×32 images (section 4.2).

use super::architecture::{Architecture, Body};
use super::blocks::{BlockKind, Stage, Stem};
use super::highway;
use super::name::NetworkName;
use super::shortcut::Shortcut;
use crate::error::{BadInput, bad_input};

/// The first convolution.
const STEM: Stem = Stem { filters: 16, kernel: 3, stride: 1, pool: false };
/// Side of the images, in pixels.
pub const IMAGE_SIDE: i64 = 32;
/// Depths that the paper trains.
pub const PAPER_DEPTHS: [u64; 6] = [20, 32, 44, 56, 110, 1202];

/// The network of 6n+2 weighted layers: a 3×3 convolution, 2n layers on each of three map sizes, a fully connected layer.
///
/// | output map size | 32×32 | 16×16 | 8×8 |
/// |---|---|---|---|
/// | layers | 1+2n | 2n | 2n |
/// | filters | 16 | 32 | 64 |
///
/// A highway net has a table of its own, in [`highway`].
pub fn architecture(name: NetworkName, classes: i64) -> Architecture {
    let blocks = ((name.depth - 2) / 6) as usize;
    let body = match name.shortcut {
        Shortcut::Gate => highway::body(name.depth),
        _ => Body::Blocks {
            stem: STEM,
            kind: BlockKind::Pair,
            stages: vec![
                Stage { blocks, filters: 16, stride: 1 },
                Stage { blocks, filters: 32, stride: 2 },
                Stage { blocks, filters: 64, stride: 2 },
            ],
        },
    };
    Architecture { name, shortcut: name.shortcut, image_side: IMAGE_SIDE, body, classes }
}

/// Refuses a depth that is not 6n+2, and names the nearest ones that are.
pub fn check_depth(depth: u64) -> Result<(), BadInput> {
    if depth >= 8 && depth % 6 == 2 {
        return Ok(());
    }
    let below = if depth < 8 { 8 } else { depth - (depth + 4) % 6 };
    Err(bad_input(format!(
        "depth {depth} is not 6n+2, as the networks for 32×32 images are: the nearest are {below} and {}, the paper's are {}",
        below + 6,
        PAPER_DEPTHS.map(|depth| depth.to_string()).join(", ")
    )))
}
