//! Curvature and landscape agree with PyTorch's, in float64, on nets small enough to compute their
//! Hessians outright. `tests/golden/make_hessian.py` made the values.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use safetensors::SafeTensors;
use tch::{Device, Kind as Dtype, Tensor};

use crate::analysis::curvature::{Quantity, Row, Search, Settings};
use crate::analysis::directions::filter_normalised;
use crate::analysis::hessian::MeanLoss;
use crate::analysis::images::Batch;
use crate::analysis::kept::KeptImages;
use crate::analysis::landscape;
use crate::config::network_name::{Family, NetworkName};
use crate::network::architecture;
use crate::network::parameters::Network;

/// 1, 2 and 4 filters.
const DIVISOR: i64 = 16;

/// Images that go through the net at once, of 12.
const AT_ONCE: i64 = 5;

struct Golden {
    network: Network,
    values: HashMap<String, Tensor>,
}

impl Golden {
    /// The net `name` with its values, in float64.
    fn read(name: NetworkName) -> Golden {
        let root = env!("CARGO_MANIFEST_DIR");
        let bytes = std::fs::read(format!("{root}/tests/golden/hessian-{name}.safetensors"));
        let bytes = bytes.unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let shape = |sides: &[usize]| sides.iter().map(|&side| side as i64).collect::<Vec<_>>();
        let tensors = file.tensors().into_iter();
        let values: HashMap<String, Tensor> = tensors
            .map(|(name, view)| {
                let shape = shape(view.shape());
                (name, Tensor::from_data_size(view.data(), &shape, Dtype::Double))
            })
            .collect();
        let architecture = architecture::build(name, Family::Cifar, 32, 10).unwrap();
        let network = Network::new(architecture.narrowed(DIVISOR), 0, Device::Cpu);
        for (name, mut view) in network.named_views() {
            view.copy_(&values[&name]);
        }
        Golden { network, values }
    }

    /// What the file has of each parameter under `prefix`, as a flat vector.
    fn flat(&self, prefix: &str) -> Tensor {
        let parts = self.network.layout.iter().map(|parameter| {
            let part = &self.values[&format!("{prefix}{}", parameter.name)];
            match part.dim() {
                4 => part.permute([0, 2, 3, 1]).reshape([-1]),
                _ => part.reshape([-1]),
            }
        });
        Tensor::cat(&parts.collect::<Vec<_>>(), 0)
    }

    fn images(&self) -> KeptImages<'static> {
        let parts = |name: &str| self.values[name].split(AT_ONCE, 0).into_iter();
        let batches = parts("images").zip(parts("labels"));
        let batches = batches
            .map(|(images, labels)| Batch { images, labels: labels.to_kind(Dtype::Int64) })
            .collect();
        KeptImages::Kept(batches, Arc::new(AtomicBool::new(false)))
    }

    fn number(&self, name: &str, place: i64) -> f64 {
        self.values[name].double_value(&[place])
    }
}

fn nets() -> [NetworkName; 2] {
    [NetworkName::residual(8), NetworkName::plain(8)]
}

/// ‖one − other‖ / ‖other‖.
fn difference(one: &Tensor, other: &Tensor) -> f64 {
    let (one, other) = (one.to_kind(Dtype::Double), other.to_kind(Dtype::Double));
    (one - &other).norm().double_value(&[]) / other.norm().double_value(&[])
}

#[test]
fn products_with_the_hessian_are_pytorchs_and_near_central_differences() {
    for name in nets() {
        let golden = Golden::read(name);
        let images = golden.images();
        let loss = MeanLoss::new(&golden.network, &images);
        let expected = golden.flat("product.");
        for (kind, bound) in [(Dtype::Double, 1e-10), (Dtype::Float, 1e-4)] {
            let [at, vector] = ["", "vector."].map(|prefix| golden.flat(prefix).to_kind(kind));
            let found = loss.product(&at, &vector).unwrap().unwrap();
            let off = difference(&found, &expected);
            assert!(off < bound, "{name}, {kind:?}: {off}");
        }
        let [at, vector] = ["", "vector."].map(|prefix| golden.flat(prefix));
        let slope = loss.slope(&at).unwrap().unwrap();
        assert!((slope.loss - golden.number("loss", 0)).abs() < 1e-12);
        let norm = slope.gradient.norm().double_value(&[]);
        assert!((norm / golden.number("gradient_norm", 0) - 1.0).abs() < 1e-12);
        let found = loss.difference(&at, &vector, 1e-7).unwrap().unwrap();
        assert!(difference(&found, &expected) < 1e-5, "{name}");
    }
}

fn rows_of(golden: &Golden, kind: Dtype, settings: Settings) -> Vec<Row> {
    let images = golden.images();
    let loss = MeanLoss::new(&golden.network, &images);
    let search = Search::new(loss, golden.flat("").to_kind(kind), 4, settings);
    let mut rows = Vec::new();
    assert!(search.run(&mut rows).unwrap());
    rows
}

#[test]
fn eigenvalues_and_trace_are_those_of_the_whole_hessian() {
    let settings = Settings { eigenvalues: 5, steps: 80, probes: 200 };
    for (name, (kind, bound)) in nets()
        .into_iter()
        .flat_map(|name| [(name, (Dtype::Double, 1e-5)), (name, (Dtype::Float, 1e-4))])
    {
        let golden = Golden::read(name);
        let eigenvalues = &golden.values["eigenvalues"];
        let count = eigenvalues.numel() as i64;
        let largest = eigenvalues.double_value(&[0]);
        let rows = rows_of(&golden, kind, settings);
        let of = |quantity| rows.iter().filter(move |row| row.quantity == quantity);
        let places = (0..5).chain([count - 1]);
        let found = of(Quantity::Eigenvalue).chain(of(Quantity::SmallestEigenvalue));
        assert_eq!(found.clone().count(), 6);
        for (row, place) in found.zip(places) {
            let (expected, residual) = (eigenvalues.double_value(&[place]), row.error.unwrap());
            let off = (row.value - expected).abs();
            assert!(
                off < bound * largest,
                "{name}, {kind:?}, {place}: {} not {expected}",
                row.value
            );
            assert!(off <= residual + 1e-5 * largest, "{off} is beyond the residual {residual}");
            assert!(residual < 2e-3 * largest, "{name}, {kind:?}, {place}: residual {residual}");
        }
        let trace = of(Quantity::Trace).next().unwrap();
        let expected = eigenvalues.sum(Dtype::Double).double_value(&[]);
        let error = trace.error.unwrap();
        assert!((trace.value - expected).abs() < 3.0 * error, "{trace:?}, {expected}");
        let central = of(Quantity::CentralDifference).next().unwrap();
        let off = (central.value - largest).abs();
        assert!(off <= central.error.unwrap() + 1e-5 * largest, "{central:?}, {largest}");
        assert!(off < 0.2 * largest, "{central:?}, {largest}");
    }
}

#[test]
fn as_many_steps_as_parameters_find_the_whole_spectrum() {
    let golden = Golden::read(NetworkName::residual(8));
    let expected = Vec::<f64>::try_from(&golden.values["eigenvalues"]).unwrap();
    let settings = Settings { eigenvalues: expected.len() - 1, steps: 1000, probes: 1 };
    let rows = rows_of(&golden, Dtype::Double, settings);
    let found = rows
        .iter()
        .filter(|row| matches!(row.quantity, Quantity::Eigenvalue | Quantity::SmallestEigenvalue));
    let found: Vec<f64> = found.map(|row| row.value).collect();
    // Scales before ReLU make directions along which nothing changes: many eigenvalues are zero,
    // of which one start vector shows one.
    for value in expected.iter().filter(|value| value.abs() > 1e-3) {
        let nearest = found.iter().map(|one| (one - value).abs()).fold(f64::INFINITY, f64::min);
        assert!(nearest < 1e-6, "{value} is not found: {nearest}");
    }
    assert!(found.iter().all(|one| expected.iter().any(|value| (one - value).abs() < 1e-6)));
}

#[test]
fn directions_and_points_of_a_landscape_are_pytorchs() {
    for name in nets() {
        let golden = Golden::read(name);
        let axes = ["x", "y"].map(|axis| {
            let found = filter_normalised(&golden.network, &golden.flat(&format!("raw-{axis}.")));
            let off = difference(&found, &golden.flat(&format!("{axis}.")));
            assert!(off < 1e-7, "{name}, {axis}: {off}");
            golden.flat(&format!("{axis}."))
        });
        let (images, points) = (golden.images(), &golden.values["points"]);
        for point in 0..points.size()[0] {
            let [x, y, loss, wrong] =
                [0, 1, 2, 3].map(|column| points.double_value(&[point, column]));
            let weights = golden.flat("") + &axes[0] * x + &axes[1] * y;
            let found = landscape::evaluate(&golden.network, &weights, &images).unwrap().unwrap();
            assert!((found.loss / loss - 1.0).abs() < 1e-6, "{name}: {found:?}, {loss}");
            assert_eq!((found.wrong as f64, found.images), (wrong, 12), "{name}");
        }
    }
}
