//! Plain and residual networks: one builder, which differs between the two in one value, the [`Shortcut`]. Highway nets beside them.

mod architecture;
pub mod cifar;
mod forward;
pub mod fused;
mod gradient;
pub mod highway;
mod layer;
pub mod memory;
mod name;
mod state;
pub mod weights;

pub use architecture::{Architecture, Body, HighwayStage, Shortcut, Stage};
pub use forward::Mode;
pub use gradient::Gradient;
pub use layer::{Layer, LayerKind, Parameter, ParameterKind};
pub use name::NetworkName;
pub use state::{Compute, Network};
