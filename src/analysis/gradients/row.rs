//! Lines of `gradients.csv`.

use serde::{Deserialize, Serialize};

use crate::config::network_name::NetworkName;

/// Which weights a net has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// Those of the run or of the file.
    Given,
    /// Fresh ones by He initialisation.
    Initial,
}

/// With what maps are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalized {
    /// The batch's statistics.
    Batch,
    /// Nothing: batch normalisation is left out.
    None,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// Norm of the gradient with respect to a layer's output.
    Output,
    /// Norm of the gradient with respect to a layer's weights.
    Weights,
    /// Correlation of the gradients at two inputs, with respect to the maps between two blocks.
    Correlation,
}

/// A line: one layer of one net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The net: the one that is analysed, or its twin.
    pub network: NetworkName,
    /// Its weights.
    pub weights: Weights,
    /// With what its maps are normalised.
    pub normalization: Normalized,
    /// What is measured.
    pub quantity: Quantity,
    /// torchvision's name of the layer; for a correlation, of the block that gives the maps, or of
    /// the first layer.
    pub layer: String,
    /// Weighted layers on the main path from the image up to here; empty for projections.
    pub depth: Option<usize>,
    /// How far the second input is on its way from the first to another image (`correlation`).
    pub distance: Option<f64>,
    /// Mean over batches, or over pairs of inputs; empty if it is not finite.
    pub mean: Option<f64>,
    /// Standard deviation of the same; empty for one batch.
    pub std: Option<f64>,
}
