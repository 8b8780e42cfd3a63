//! Gradients of the loss by depth: how large they are at each layer, and how alike they are at
//! different inputs. Whether they vanish is what He et al. 2015 (section 4.1) deny of plain nets
//! with batch normalisation; that they become noise is what Balduzzi et al. 2017 (arXiv 1702.08591)
//! find there instead.

pub mod compute;
pub mod norms;
pub mod row;
pub mod shattering;
pub mod summary;
