//! Gradients of a net's mean loss, and products of its Hessian with vectors.

use anyhow::Result;
use tch::{Kind as Dtype, Reduction, Tensor};

use crate::analysis::kept::KeptImages;
use crate::analysis::walk::{Statistics, Walk, no_tap};
use crate::network::parameters::Network;

/// The mean cross-entropy of images as a function of a net's parameters, with the running
/// statistics as they are. Then an image's loss does not depend on the other images of its batch,
/// so that the mean's derivatives are means over batches of any size.
pub struct MeanLoss<'a> {
    network: &'a Network,
    images: &'a KeptImages<'a>,
}

/// A value and its gradient.
pub struct Slope {
    /// Mean loss, in nats.
    pub loss: f64,
    /// float32 or float64, [parameters].
    pub gradient: Tensor,
}

impl<'a> MeanLoss<'a> {
    /// Of a net of blocks.
    pub fn new(network: &'a Network, images: &'a KeptImages<'a>) -> MeanLoss<'a> {
        MeanLoss { network, images }
    }

    /// Value and gradient at `parameters`, [parameters]. `None` where a signal came.
    pub fn slope(&self, parameters: &Tensor) -> Result<Option<Slope>> {
        let (mut loss, mut sum) = (0.0, None);
        let images = self.sum(parameters, &mut |batch_loss, leaf| {
            loss += batch_loss.to_kind(Dtype::Double).double_value(&[]);
            let gradient = Tensor::run_backward(&[batch_loss], &[leaf], false, false);
            add(&mut sum, &gradient[0]);
        })?;
        Ok(mean(sum, images, parameters)
            .zip(images)
            .map(|(gradient, images)| Slope { loss: loss / images, gradient }))
    }

    /// The Hessian at `parameters` times `vector`, by differentiating the gradient's product with
    /// it. `None` where a signal came.
    pub fn product(&self, parameters: &Tensor, vector: &Tensor) -> Result<Option<Tensor>> {
        let mut sum = None;
        let images = self.sum(parameters, &mut |batch_loss, leaf| {
            let gradient = Tensor::run_backward(&[batch_loss], &[leaf], true, true);
            let along = (&gradient[0] * vector).sum(gradient[0].kind());
            add(&mut sum, &Tensor::run_backward(&[&along], &[leaf], false, false)[0]);
        })?;
        Ok(mean(sum, images, parameters))
    }

    /// The same by central differences of gradients, `step` apart from `parameters` on both sides.
    pub fn difference(
        &self,
        parameters: &Tensor,
        vector: &Tensor,
        step: f64,
    ) -> Result<Option<Tensor>> {
        let (there, back) = (parameters + vector * step, parameters - vector * step);
        let (Some(there), Some(back)) = (self.slope(&there)?, self.slope(&back)?) else {
            return Ok(None);
        };
        Ok(Some((there.gradient - back.gradient) / (2.0 * step)))
    }

    /// Hands the summed loss of each batch to `take`, with the parameters that it is to be
    /// differentiated by. Returns the number of images.
    fn sum(
        &self,
        parameters: &Tensor,
        take: &mut dyn FnMut(&Tensor, &Tensor),
    ) -> Result<Option<f64>> {
        let mut seen = 0;
        let complete = self.images.for_each(|batch| {
            let leaf = parameters.detach().copy().set_requires_grad(true);
            let Some(walk) = Walk::with_parameters(self.network, &leaf, Statistics::Running) else {
                return Ok(());
            };
            let scores = walk.logits(&batch.images, &mut no_tap);
            let loss =
                scores.cross_entropy_loss::<Tensor>(&batch.labels, None, Reduction::Sum, -100, 0.0);
            take(&loss, &leaf);
            seen += batch.labels.size()[0];
            Ok(())
        })?;
        Ok((complete && seen > 0).then_some(seen as f64))
    }
}

/// Adds in float64.
fn add(sum: &mut Option<Tensor>, part: &Tensor) {
    let part = part.detach().to_kind(Dtype::Double);
    *sum = Some(match sum.take() {
        None => part,
        Some(before) => before + part,
    });
}

fn mean(sum: Option<Tensor>, images: Option<f64>, like: &Tensor) -> Option<Tensor> {
    Some((sum? / images?).to_kind(like.kind()))
}
