//! The views of an image in the paper's tests (section 3.4).

use serde::{Deserialize, Serialize};

/// The views of each test image whose scores are averaged.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
pub enum Views {
    /// The centre crop of the image, scaled to the recipe's `test_scale` (the errors of Figure 4).
    #[serde(rename = "centre")]
    Centre,
    /// Four corners and the centre, and their horizontal flips (Tables 2 and 3).
    #[serde(rename = "10-crop")]
    #[value(name = "10-crop")]
    TenCrop,
    /// The whole image at five scales, and its horizontal flips, fully convolutional (Tables 4 and
    /// 5).
    #[serde(rename = "multi-scale")]
    MultiScale,
}

impl std::fmt::Display for Views {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Views::Centre => "centre",
            Views::TenCrop => "10-crop",
            Views::MultiScale => "multi-scale",
        })
    }
}
