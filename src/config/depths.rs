//! Which depths the paper's families of networks have.

use crate::error::{BadInput, bad_input};

/// Depths that the paper trains.
pub const PAPER_DEPTHS: [u64; 6] = [20, 32, 44, 56, 110, 1202];

/// The most weighted layers that a name may ask for. The paper's deepest net has 1,202; a net far
/// beyond this bound would take all memory before anything is trained.
pub const MOST_LAYERS: u64 = 10_000;

/// Refuses a depth that is not 6n+2, and names the nearest ones that are; refuses one above
/// [`MOST_LAYERS`].
pub fn check_cifar_depth(depth: u64) -> Result<(), BadInput> {
    if depth > MOST_LAYERS {
        return Err(bad_input(format!(
            "depth {depth} is out of range: a network has at most {MOST_LAYERS} layers"
        )));
    }
    if depth >= 8 && depth % 6 == 2 {
        return Ok(());
    }
    let below = if depth < 8 { 8 } else { depth - (depth + 4) % 6 };
    Err(bad_input(format!(
        "depth {depth} is not of the form 6n+2, which networks for 32×32 images need: the nearest are {below} and {}, the paper's are {}",
        below + 6,
        PAPER_DEPTHS.map(|depth| depth.to_string()).join(", ")
    )))
}

/// Whether the pre-activation net of this depth is of bottlenecks (9n+2 layers) and not of blocks of
/// two 3×3 layers (6n+2). Where a depth is both, nets are of two layers up to 110, which the paper
/// has so, and of bottlenecks above, as its net of 164 layers is.
pub fn has_bottlenecks_on_cifar(depth: u64) -> bool {
    depth % 9 == 2 && (depth % 6 != 2 || depth > 110)
}

/// Refuses a depth that no pre-activation net has.
pub fn check_preactivation_depth(depth: u64) -> Result<(), BadInput> {
    if (8..=MOST_LAYERS).contains(&depth) && (depth % 6 == 2 || depth % 9 == 2) {
        return Ok(());
    }
    Err(bad_input(format!(
        "preact-resnet-{depth}: pre-activation nets have 6n+2 layers, or 9n+2 in bottlenecks, and at most {MOST_LAYERS}; the paper's are 110, 164 and 1001"
    )))
}

/// Refuses a depth that has no layout.
pub fn check_highway_depth(depth: u64) -> Result<(), BadInput> {
    match depth {
        19 | 32 => Ok(()),
        _ => Err(bad_input(format!(
            "highway-{depth}: the highway nets of Table 6 are highway-19 and highway-32"
        ))),
    }
}

/// Depths of Table 1 whose blocks are two 3×3 layers.
pub const PAIR_DEPTHS: [u64; 2] = [18, 34];

/// Depths of Table 1 whose blocks are bottlenecks.
pub const BOTTLENECK_DEPTHS: [u64; 3] = [50, 101, 152];

/// Whether Table 1 has a net of this depth.
pub fn is_imagenet_depth(depth: u64) -> bool {
    PAIR_DEPTHS.contains(&depth) || BOTTLENECK_DEPTHS.contains(&depth)
}

/// "18, 34, 50".
pub(crate) fn list(depths: &[u64]) -> String {
    depths.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_activation_nets_are_of_two_layer_blocks_at_110_and_of_bottlenecks_at_164_and_1001() {
        let kinds = [8, 11, 20, 29, 56, 110, 128, 164, 1001, 1202]
            .map(|depth| (depth, has_bottlenecks_on_cifar(depth)));
        let bottlenecks: Vec<u64> =
            kinds.iter().filter(|(_, bottlenecks)| *bottlenecks).map(|(depth, _)| *depth).collect();
        assert_eq!(bottlenecks, [11, 29, 128, 164, 1001]);
        assert!(kinds.iter().all(|(depth, _)| check_preactivation_depth(*depth).is_ok()));
        for depth in [0, 2, 9, 57, 10_001, u64::MAX] {
            assert!(check_preactivation_depth(depth).is_err(), "{depth}");
        }
    }
}
