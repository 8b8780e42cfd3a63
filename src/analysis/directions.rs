//! Random directions in the space of a net's parameters, filter-normalised (Li et al. 2018, arXiv
//! 1712.09913, section 4).

use tch::{Kind as Dtype, Tensor};

use crate::analysis::kind::Kind;
use crate::network::architecture::layer::ParameterKind;
use crate::network::parameters::Network;

/// What keeps a filter of zeros from a division by zero, as in the authors' program.
const SMALLEST: f64 = 1e-10;

/// The direction with this number: float32, as long as the network's flat parameter vector.
///
/// Each weight is standard normal; its stream is of the seed, the direction's number and the
/// parameter's position in the network, so that nets whose parameters have the same shapes, plain
/// and residual twins, have the same numbers before normalisation.
pub fn direction(network: &Network, seed: u64, number: u64) -> Tensor {
    let values: Vec<f32> = network
        .layout
        .iter()
        .enumerate()
        .flat_map(|(position, parameter)| {
            let count = parameter.count() as usize;
            let mut stream = Kind::Landscape.stream(seed, number << 32 | position as u64);
            let is_weight = matches!(parameter.kind, ParameterKind::Weight { .. });
            let draw = move |_| if is_weight { stream.normal() as f32 } else { 0.0 };
            (0..count).map(draw)
        })
        .collect();
    filter_normalised(network, &Tensor::from_slice(&values).to_device(network.device()))
}

/// The same direction with each filter, a row of a fully connected layer for one, as long as the
/// network's, and with zeros for biases and for normalisation's scales and shifts.
pub fn filter_normalised(network: &Network, direction: &Tensor) -> Tensor {
    let counts: Vec<i64> = network.layout.iter().map(|parameter| parameter.count()).collect();
    let parts = |flat: &Tensor| flat.detach().to_kind(Dtype::Double).split_with_sizes(&counts, 0);
    let (drawn, own) = (parts(direction), parts(network.parameters()));
    let normalised =
        network.layout.iter().zip(drawn.iter().zip(&own)).map(|(parameter, (d, w))| {
            let ParameterKind::Weight { .. } = parameter.kind else { return d.zeros_like() };
            // Outputs come first in the flat vector too.
            let rows = |values: &Tensor| values.view([parameter.shape[0], -1]);
            let norm =
                |values: &Tensor| rows(values).norm_scalaropt_dim(2.0, [1i64].as_slice(), true);
            (rows(d) * (norm(w) / (norm(d) + SMALLEST))).view([-1])
        });
    Tensor::cat(&normalised.collect::<Vec<_>>(), 0).to_kind(Dtype::Float)
}

/// Directions under torchvision's names of their parts, each with its own name before: "x.fc.weight".
/// Contiguous, on the CPU.
pub fn named(network: &Network, directions: &[(String, Tensor)]) -> Vec<(String, Tensor)> {
    let parts = directions.iter().flat_map(|(name, direction)| {
        let views = network.views_of(direction).into_iter();
        network.layout.iter().zip(views).map(move |(parameter, view)| {
            (format!("{name}.{}", parameter.name), view.contiguous().to_device(tch::Device::Cpu))
        })
    });
    parts.collect()
}
