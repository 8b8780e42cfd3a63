//! Largest and smallest eigenvalues of the Hessian of a net's loss, and its trace.

use std::cell::Cell;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::analysis::hessian::{MeanLoss, Slope};
use crate::analysis::kept::KeptImages;
use crate::analysis::kind::Kind;
use crate::analysis::lanczos::{
    Estimate, Krylov, dot, extremes, norm, normals, rayleigh, signs, trace,
};
use crate::analysis::record::Outcome;
use crate::analysis::subject::Subject;
use crate::console::steps::Steps;

/// Residuals of all eigenvalues that are wanted, as a share of the largest in magnitude, at which
/// the Krylov space is large enough.
const CONVERGED: f64 = 1e-3;

/// Half the distance of central differences, as a share of the parameters' norm.
const DIFFERENCE_STEP: f64 = 1e-4;

/// Images of a batch of the other kinds for one here: a second derivative keeps more maps.
const FEWER_AT_ONCE: usize = 4;

/// Streams of the start vector and of the signs.
const START: u64 = 0;
const SIGNS: u64 = 1 << 32;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many of the largest eigenvalues.
    pub eigenvalues: usize,
    /// Steps of Lanczos' method at most: the dimension of the Krylov space.
    pub steps: usize,
    /// Random vectors of the trace.
    pub probes: u64,
}

/// What a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Mean loss of the images.
    Loss,
    /// Norm of its gradient.
    GradientNorm,
    /// An eigenvalue of its Hessian, the largest first.
    Eigenvalue,
    /// The smallest: the most negative one.
    SmallestEigenvalue,
    /// The curvature along the first eigenvector by central differences of gradients.
    CentralDifference,
    /// The Hessian's trace.
    Trace,
}

/// A line of `curvature.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is of.
    pub quantity: Quantity,
    /// Number of the eigenvalue, from 1.
    pub index: Option<usize>,
    /// The number, in nats (per squared unit of the parameters).
    pub value: f64,
    /// How far off it may be: see docs/analyses.md.
    pub error: Option<f64>,
}

impl Row {
    fn of(quantity: Quantity, index: Option<usize>, estimate: Estimate) -> Row {
        Row { quantity, index, value: estimate.value, error: estimate.error }
    }
}

/// Computes it.
pub fn analyse(subject: &Subject, settings: Settings) -> Result<Outcome<Row>> {
    subject.check_blocks(Kind::Curvature)?;
    let set = subject.images(Kind::Curvature)?;
    let count = set.len() as u64;
    let at_once = (subject.at_once() / FEWER_AT_ONCE).max(1);
    let Some(images) = KeptImages::new(set, at_once)? else { return Ok(Outcome::default()) };
    let loss = MeanLoss::new(&subject.network, &images);
    let parameters = subject.network.parameters().detach();
    let search = Search::new(loss, parameters, subject.seed, settings);
    let mut rows = Vec::new();
    let complete = search.run(&mut rows)?;
    let integer = |value: usize| toml::Value::Integer(value as i64);
    let asked = toml::Table::from_iter([
        ("eigenvalues".to_string(), integer(settings.eigenvalues)),
        ("steps".to_string(), integer(settings.steps)),
        ("probes".to_string(), integer(settings.probes as usize)),
    ]);
    // Without a row there is nothing to write.
    let images = if rows.is_empty() { 0 } else { count };
    Ok(Outcome { images, complete, settings: asked, summary: summary(&rows), rows })
}

/// The search for the numbers at one place.
pub(crate) struct Search<'a> {
    loss: MeanLoss<'a>,
    /// float32 or float64, [parameters].
    parameters: Tensor,
    seed: u64,
    settings: Settings,
    steps: Steps,
    /// Passes over the images so far.
    passes: Cell<u64>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(
        loss: MeanLoss<'a>,
        parameters: Tensor,
        seed: u64,
        settings: Settings,
    ) -> Search<'a> {
        // Slope, space, eigenvectors with the smallest one's, central difference, trace.
        let passes = 1 + settings.steps + settings.eigenvalues + 1 + 1 + settings.probes as usize;
        let steps = Steps::new("curvature", passes as u64);
        Search { loss, parameters, seed, settings, steps, passes: Cell::new(0) }
    }

    /// Adds the rows; returns whether no signal came before the end.
    pub(crate) fn run(&self, rows: &mut Vec<Row>) -> Result<bool> {
        let Some(Slope { loss, gradient }) = self.loss.slope(&self.parameters)? else {
            return Ok(false);
        };
        let exact = |value| Estimate { value, error: None };
        rows.push(Row::of(Quantity::Loss, None, exact(loss)));
        rows.push(Row::of(Quantity::GradientNorm, None, exact(norm(&gradient))));
        self.pass_done();
        let (space, whole) = self.space()?;
        let whole = self.eigenvalues(&space, rows, whole)?;
        Ok(whole && self.trace(rows)?)
    }

    /// A Krylov space that holds the wanted eigenvectors, or is as large as it may be, and whether no
    /// signal came meanwhile.
    fn space(&self) -> Result<(Krylov, bool)> {
        let mut stream = Kind::Curvature.stream(self.seed, START);
        let mut space = Krylov::new(&normals(&mut stream, &self.parameters));
        while space.steps() < self.settings.steps && !space.closed && !self.is_enough(&space) {
            let Some(product) = self.product(space.last())? else { return Ok((space, false)) };
            space.add(&product);
        }
        // Steps that were not needed.
        self.passes.set(1 + self.settings.steps as u64);
        Ok((space, true))
    }

    fn is_enough(&self, space: &Krylov) -> bool {
        if space.steps() <= self.settings.eigenvalues {
            return false;
        }
        let pairs = space.pairs();
        let (largest, smallest) = extremes(&pairs, self.settings.eigenvalues);
        let wanted = || largest.iter().chain(smallest);
        let size = wanted().fold(0.0f64, |size, pair| size.max(pair.value.abs()));
        wanted().all(|pair| pair.bound <= CONVERGED * size)
    }

    /// Rows of the eigenvalues: each vector is multiplied once more, so that the residual has the
    /// rounding of all products in it. After a signal, what follows from the recurrence.
    fn eigenvalues(&self, space: &Krylov, rows: &mut Vec<Row>, mut whole: bool) -> Result<bool> {
        let pairs = space.pairs();
        let (largest, smallest) = extremes(&pairs, self.settings.eigenvalues);
        let mut first = None;
        for (place, pair) in largest.iter().chain(smallest).enumerate() {
            let vector = space.vector(pair);
            let product = if whole { self.product(&vector)? } else { None };
            whole = product.is_some();
            let estimate = match &product {
                Some(product) => rayleigh(&vector, product),
                None => Estimate { value: pair.value, error: Some(pair.bound) },
            };
            rows.push(match place < largest.len() {
                true => Row::of(Quantity::Eigenvalue, Some(place + 1), estimate),
                false => Row::of(Quantity::SmallestEigenvalue, None, estimate),
            });
            first = first.or(product.map(|product| (vector, product)));
        }
        match first {
            Some((vector, product)) if whole => self.central_difference(&vector, &product, rows),
            _ => Ok(false),
        }
    }

    /// How far the first eigenvector's product is from central differences.
    fn central_difference(
        &self,
        vector: &Tensor,
        product: &Tensor,
        rows: &mut Vec<Row>,
    ) -> Result<bool> {
        let step = DIFFERENCE_STEP * norm(&self.parameters);
        let Some(found) = self.loss.difference(&self.parameters, vector, step)? else {
            return Ok(false);
        };
        self.pass_done();
        let (value, error) = (dot(vector, &found), Some(norm(&(found - product))));
        rows.push(Row::of(Quantity::CentralDifference, Some(1), Estimate { value, error }));
        Ok(true)
    }

    fn trace(&self, rows: &mut Vec<Row>) -> Result<bool> {
        let (mut samples, mut whole) = (Vec::new(), true);
        for probe in 0..self.settings.probes {
            let mut stream = Kind::Curvature.stream(self.seed, SIGNS | probe);
            let vector = signs(&mut stream, &self.parameters);
            let Some(product) = self.product(&vector)? else {
                whole = false;
                break;
            };
            samples.push(dot(&vector, &product));
        }
        rows.extend(trace(&samples).map(|estimate| Row::of(Quantity::Trace, None, estimate)));
        Ok(whole)
    }

    fn product(&self, vector: &Tensor) -> Result<Option<Tensor>> {
        let product = self.loss.product(&self.parameters, vector)?;
        self.pass_done();
        Ok(product)
    }

    fn pass_done(&self) {
        self.passes.set(self.passes.get() + 1);
        self.steps.show(self.passes.get());
    }
}

/// Numbers that rules ask for.
fn summary(rows: &[Row]) -> toml::Table {
    let value = |quantity| rows.iter().find(|row| row.quantity == quantity).map(|row| row.value);
    let (largest, smallest) = (value(Quantity::Eigenvalue), value(Quantity::SmallestEigenvalue));
    // Li et al. 2018, Figure 7, at the net itself. A smallest one above zero is no negative curvature.
    let ratio = largest
        .zip(smallest)
        .filter(|(largest, _)| *largest > 0.0)
        .map(|(largest, smallest)| (-smallest).max(0.0) / largest);
    let numbers = [
        ("largest_eigenvalue", largest),
        ("smallest_eigenvalue", smallest),
        ("negative_to_positive", ratio),
        ("trace", value(Quantity::Trace)),
    ];
    let present = numbers
        .into_iter()
        .filter_map(|(name, number)| Some((name.to_string(), toml::Value::Float(number?))));
    present.collect()
}

/// What was found, in short.
pub fn headline(rows: &[Row]) -> String {
    let of = |quantity: Quantity| {
        let row = rows.iter().find(|row| row.quantity == quantity);
        row.map_or("not computed".to_string(), |row| match row.error {
            Some(error) => format!("{:.4} ± {error:.1e}", row.value),
            None => format!("{:.4}", row.value),
        })
    };
    format!(
        "largest eigenvalue {}, smallest {}, trace {}",
        of(Quantity::Eigenvalue),
        of(Quantity::SmallestEigenvalue),
        of(Quantity::Trace)
    )
}
