//! Plain and residual networks: one builder, which differs between the two in one value, the [`Shortcut`]. Beside them those that the paper
//! compares with: highway nets, VGG and GoogLeNet.

mod architecture;
mod blocks;
pub mod cifar;
mod forward;
pub mod fused;
mod googlenet;
mod gradient;
pub mod highway;
pub mod imagenet;
mod layer;
pub mod memory;
mod name;
pub mod outline;
mod shortcut;
mod state;
mod vgg;
pub mod weights;

pub use architecture::{Architecture, Body, LayerStage};
pub use blocks::{BlockKind, Stage, Stem};
pub use forward::Mode;
pub use googlenet::{Inception, Widths};
pub use gradient::Gradient;
pub use layer::{Layer, LayerKind, Parameter, ParameterKind};
pub use name::{NetworkName, Variant};
pub use shortcut::Shortcut;
pub use state::{Compute, Network};

use crate::error::{BadInput, bad_input};

/// Which of the paper's tables a network is from; the data set decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Section 4.2: nets of 6n+2 layers for 32×32 images.
    Cifar,
    /// Table 1: nets of 18 to 152 layers for large images.
    Imagenet,
}

/// The network `name` of `family` for square images of `side` pixels in `classes` classes; an error says which networks the family has.
pub fn architecture(name: NetworkName, family: Family, side: i64, classes: i64) -> Result<Architecture, BadInput> {
    match family {
        Family::Imagenet => imagenet::architecture(name, side, classes),
        Family::Cifar if name.variant != Variant::Paper => Err(bad_input(format!("{name} is a network for ImageNet: give --dataset imagenet"))),
        Family::Cifar => {
            if name.shortcut != Shortcut::Gate {
                cifar::check_depth(name.depth)?;
            }
            Ok(cifar::architecture(name, classes))
        }
    }
}
