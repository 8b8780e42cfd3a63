//! Plain and residual networks: one builder, which differs between the two in one value, the
//! [`Shortcut`]. Beside them those that the paper compares with: highway nets, VGG and GoogLeNet.

pub mod architecture;
pub mod embedding;
pub mod forward;
pub mod memory;
pub mod parameters;
pub mod stepwise;
pub mod weights;
