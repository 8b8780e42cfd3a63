//! Highway nets of 19 and 32 layers (Srivastava, Greff, Schmidhuber, "Training Very Deep Networks", arXiv 1507.06228), with which the paper
//! compares in section 2 and Table 6.
//!
//! The paper quotes their results and describes no layout. Here the 19-layer net has FitNet-4's widths (Romero et al., arXiv 1412.6550),
//! with a highway layer wherever the width stays; this gives the 2.3 million parameters of Table 6. The 32-layer net has three stages of ten
//! layers, with widths that give its 1.25 million: depth and size are the original's, the widths are this project's.

use super::architecture::{Body, HighwayStage};
use crate::error::{BadInput, bad_input};

/// Outputs of FitNet-4's hidden fully connected layer.
const HIDDEN: i64 = 500;
/// A gate's bias at the start: sigmoid(-1) = 0.27 of the transformed signal passes. Section 2.2 of the highway paper asks for a negative one.
pub const GATE_BIAS: f32 = -1.0;

/// The layers of the highway net of `depth` layers, one of those that [`check_depth`] accepts.
pub fn body(depth: u64) -> Body {
    let stage = |layers, filters| HighwayStage { layers, filters };
    let stages = match depth {
        19 => vec![stage(3, 32), stage(2, 48), stage(6, 80), stage(6, 128)],
        _ => vec![stage(10, 20), stage(10, 40), stage(10, 72)],
    };
    Body::Highway { stages, hidden: HIDDEN }
}

/// Refuses a depth that has no layout.
pub fn check_depth(depth: u64) -> Result<(), BadInput> {
    match depth {
        19 | 32 => Ok(()),
        _ => Err(bad_input(format!("highway-{depth}: the highway nets of Table 6 are highway-19 and highway-32"))),
    }
}
