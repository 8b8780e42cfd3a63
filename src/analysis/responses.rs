//! Standard deviations of the layers' responses (He et al. 2015, section 4.2 and Figure 7).

use std::ops::ControlFlow;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind as Dtype, Tensor};

use crate::analysis::kind::Kind;
use crate::analysis::record::Outcome;
use crate::analysis::subject::{Subject, leave_out};
use crate::analysis::walk::{Statistics, Walk};
use crate::console::steps::Steps;
use crate::network::architecture::layer::LayerKind;

/// A line of `responses.csv`: one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// torchvision's name of its normalisation.
    pub layer: String,
    /// Side of its kernel; 0 for the normalisation before a classifier.
    pub kernel: i64,
    /// Standard deviation over images, positions and channels of what the normalisation gives,
    /// before addition and ReLU, in evaluation mode.
    pub std: f64,
    /// Mean of the same.
    pub mean: f64,
}

/// Sums of a layer's responses.
struct Sums {
    values: f64,
    /// float64 scalars, on the device.
    sum: Tensor,
    squares: Tensor,
}

/// Computes it. One pass over the images.
pub fn analyse(subject: &Subject) -> Result<Outcome<Row>> {
    let images = subject.images(Kind::Responses)?;
    let Some(walk) = Walk::new(&subject.network, Statistics::Running) else {
        subject.check_blocks(Kind::Responses)?;
        return Ok(Outcome::default());
    };
    let layers = subject.network.architecture().layers();
    let mut sums: Vec<Option<Sums>> = layers.iter().map(|_| None).collect();
    let (mut seen, steps) = (0, Steps::new("responses", images.len() as u64));
    let complete = images.for_each(subject.at_once(), &mut leave_out, |batch| {
        let _scores = tch::no_grad(|| {
            walk.logits(&batch.images, &mut |layer, maps| {
                if layers[layer].norm.is_some() {
                    add(&mut sums[layer], maps);
                }
            })
        });
        seen += batch.labels.size()[0] as u64;
        steps.show(seen);
        Ok(ControlFlow::Continue(()))
    })?;
    let rows = layers.iter().zip(sums).filter_map(|(layer, sums)| {
        let (sums, norm) = (sums?, layer.norm.as_ref()?);
        let mean = sums.sum.double_value(&[]) / sums.values;
        let variance = sums.squares.double_value(&[]) / sums.values - mean * mean;
        let kernel = match layer.kind {
            LayerKind::Convolution { kernel, .. } => kernel,
            _ => 0,
        };
        Some(Row { layer: norm.name.clone(), kernel, std: variance.max(0.0).sqrt(), mean })
    });
    Ok(Outcome { rows: rows.collect(), images: seen, complete, ..Outcome::default() })
}

fn add(sums: &mut Option<Sums>, maps: &Tensor) {
    let values = maps.numel() as f64;
    let (sum, squares) = (maps.sum(Dtype::Double), maps.square().sum(Dtype::Double));
    *sums = Some(match sums.take() {
        None => Sums { values, sum, squares },
        Some(before) => Sums {
            values: before.values + values,
            sum: before.sum + sum,
            squares: before.squares + squares,
        },
    });
}

/// What was found, in short.
pub fn headline(rows: &[Row]) -> String {
    let stds = || rows.iter().map(|row| row.std);
    format!(
        "{} layers, standard deviations {:.4} to {:.4}",
        rows.len(),
        stds().fold(f64::INFINITY, f64::min),
        stds().fold(0.0, f64::max)
    )
}
