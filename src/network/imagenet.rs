//! The paper's networks for ImageNet (Table 1).

use super::architecture::Architecture;
use super::name::NetworkName;
use crate::error::{BadInput, bad_input};

/// Depths of Table 1 whose blocks are two 3×3 layers.
pub const PAIR_DEPTHS: [u64; 2] = [18, 34];
/// Depths of Table 1 whose blocks are bottlenecks.
pub const BOTTLENECK_DEPTHS: [u64; 3] = [50, 101, 152];

/// Whether Table 1 has a net of this depth.
pub fn is_depth(depth: u64) -> bool {
    PAIR_DEPTHS.contains(&depth) || BOTTLENECK_DEPTHS.contains(&depth)
}

/// The network for square images of `side` pixels.
pub fn architecture(name: NetworkName, _side: i64, _classes: i64) -> Result<Architecture, BadInput> {
    Err(bad_input(format!("{name}: there is no such network for ImageNet")))
}
