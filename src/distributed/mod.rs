//! One run trained by several processes, its ranks, one a device (data-parallel training): each has
//! an equal number of the batch's normalisation groups, and all make the same update.

pub mod connect;
pub mod control;
pub mod exchange;
pub mod frame;
pub mod gloo;
pub mod group;
pub mod launch;
pub mod levels;
pub mod meeting;
pub mod nccl;
pub mod patience;
pub mod place;
pub mod shared;
pub mod tree;
