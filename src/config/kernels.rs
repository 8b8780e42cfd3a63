//! Whose kernels compute a network.

use serde::{Deserialize, Serialize};

/// Whose kernels compute a network on a GPU.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Kernels {
    /// libtorch's and cuDNN's.
    #[default]
    Libtorch,
    /// The project's own where it has some, libtorch's elsewhere: bfloat16 on NVIDIA GPUs.
    Own,
}

impl Kernels {
    /// Whether it is what a recipe has that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Kernels::default()
    }
}

impl std::fmt::Display for Kernels {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Kernels::Libtorch => "libtorch",
            Kernels::Own => "own",
        })
    }
}
