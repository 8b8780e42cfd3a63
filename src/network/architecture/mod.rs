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

use crate::config::dataset_name::IMAGE_SIDE;
use crate::config::depths;
use crate::config::network_name::{Family, NetworkName};
use crate::error::{BadInput, bad_input};
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
                depths::check_cifar_depth(depth).map_err(|BadInput(reason)| {
                    match depths::is_imagenet_depth(depth) {
                        true => bad_input(format!(
                            "{name} is one of ImageNet's nets: give --dataset imagenet; {reason}"
                        )),
                        false => BadInput(reason),
                    }
                })?;
            }
            cifar::architecture(name, classes)
        }
    }
}

/// Says which net a name of both families was taken for, where the small one may not be meant.
pub fn taken_for_cifar(architecture: &Architecture) -> Option<String> {
    let (name, depth) = (architecture.name, architecture.name.depth());
    // Shared depths: 50 and 152 are of the form 6n+2 too.
    (architecture.image_side == IMAGE_SIDE && depths::BOTTLENECK_DEPTHS.contains(&depth)).then(|| {
        format!(
            "{name} is here the net for {IMAGE_SIDE}×{IMAGE_SIDE} images with {} parameters; the paper's {depth}-layer net of bottlenecks is that of --dataset imagenet",
            architecture.parameter_count()
        )
    })
}
