//! The precision of activations and convolutions.

use serde::{Deserialize, Serialize};

/// The precision (dtype) of activations and convolutions. Parameters, their update, batch
/// normalisation's parameters and statistics, and the loss are float32 in all of them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32 (the paper's).
    #[default]
    F32,
    /// float32, whose convolutions round their inputs to TF32's 10 bits: NVIDIA GPUs only.
    Tf32,
    /// bfloat16, accumulated in float32.
    Bf16,
}

impl Precision {
    /// Bytes of one value of a feature map.
    pub fn bytes(self) -> u64 {
        if self == Precision::Bf16 { 2 } else { 4 }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        })
    }
}
