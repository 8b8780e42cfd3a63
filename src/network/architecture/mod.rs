//! What a network is, as tables: no libtorch.

pub mod blocks;
pub mod body;
pub mod cifar;
pub mod googlenet;
pub mod highway;
pub mod imagenet;
pub mod layer;
pub mod outline;
pub mod table;
pub mod vgg;

use crate::config::depths;
use crate::config::network_name::{Family, NetworkName};
use crate::error::BadInput;
use crate::network::architecture::table::Architecture;

/// The network `name` of `family` for square images of `side` pixels in `classes` classes; an error
/// says which networks the family has.
pub fn build(
    name: NetworkName,
    family: Family,
    side: i64,
    classes: i64,
) -> Result<Architecture, BadInput> {
    match family {
        Family::Imagenet => imagenet::architecture(name, side, classes),
        Family::Cifar => {
            if let NetworkName::Plain { depth, .. } | NetworkName::Residual { depth, .. } = name {
                depths::check_cifar_depth(depth)?;
            }
            cifar::architecture(name, classes)
        }
    }
}
