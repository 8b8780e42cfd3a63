//! Eigenvalues and trace of a symmetric operator that is known by its products with vectors alone:
//! Lanczos' method with full reorthogonalisation, and Hutchinson's estimator.

use tch::{Kind as Dtype, Tensor};

use crate::random::Stream;

/// A vector's part that is left after orthogonalisation counts as rounding below this share of the
/// operator's size: of float32, and of float64.
const NOTHING_LEFT: [f64; 2] = [1e-6, 1e-12];

/// A Krylov space: what an operator makes of a start vector, applied again and again.
pub struct Krylov {
    /// Orthonormal vectors, one more than steps were done.
    basis: Vec<Tensor>,
    /// Diagonal of the operator in this basis, which is tridiagonal.
    diagonal: Vec<f64>,
    /// Its other entries; the last one leads out of the space.
    beside: Vec<f64>,
    /// The products with all vectors lie in the space: nothing is left to add.
    pub closed: bool,
}

/// An approximate eigenvalue.
#[derive(Debug, Clone, PartialEq)]
pub struct RitzPair {
    /// Its value.
    pub value: f64,
    /// Norm of H v − λ v for its unit vector, as it follows from the recurrence, and at least what
    /// rounding makes of it: some eigenvalue of the operator is no farther away.
    pub bound: f64,
    /// Its vector in the basis.
    weights: Vec<f64>,
}

impl Krylov {
    /// The space of `start` alone, which is not zero.
    pub fn new(start: &Tensor) -> Krylov {
        let basis = vec![start / norm(start)];
        Krylov { basis, diagonal: Vec::new(), beside: Vec::new(), closed: false }
    }

    /// Steps that are done.
    pub fn steps(&self) -> usize {
        self.diagonal.len()
    }

    /// The vector whose product [`Krylov::add`] takes next: of unit norm.
    pub fn last(&self) -> &Tensor {
        &self.basis[self.basis.len() - 1]
    }

    /// Adds a step: `product` is the operator's with the last vector.
    pub fn add(&mut self, product: &Tensor) {
        let mut rest = product.copy();
        let mut along_last = 0.0;
        // Twice: the first pass leaves rounding, of which the second leaves rounding.
        for _ in 0..2 {
            for (place, vector) in self.basis.iter().enumerate() {
                let along = dot(vector, &rest);
                rest -= vector * along;
                if place + 1 == self.basis.len() {
                    along_last += along;
                }
            }
        }
        let left = norm(&rest);
        self.diagonal.push(along_last);
        self.beside.push(left);
        self.closed = left <= self.rounding() || self.steps() as i64 == product.numel() as i64;
        if !self.closed {
            self.basis.push(rest / left);
        }
    }

    /// What rounding leaves of a product.
    fn rounding(&self) -> f64 {
        let share = NOTHING_LEFT[usize::from(self.last().kind() == Dtype::Double)];
        let entries = self.diagonal.iter().chain(&self.beside);
        share * entries.fold(0.0f64, |size, entry| size.max(entry.abs()))
    }

    /// Approximate eigenvalues, the largest first.
    pub fn pairs(&self) -> Vec<RitzPair> {
        let steps = self.steps();
        if steps == 0 {
            return Vec::new();
        }
        let beside = Tensor::from_slice(&self.beside[..steps - 1]);
        let matrix = Tensor::from_slice(&self.diagonal).diag(0) + beside.diag(1) + beside.diag(-1);
        let (values, vectors) = matrix.linalg_eigh("L");
        let leaving = if self.closed { 0.0 } else { self.beside[steps - 1] };
        let mut flat = vec![0.0; steps * steps];
        vectors.contiguous().copy_data(&mut flat, steps * steps);
        let pair = |place: usize| {
            let weights: Vec<f64> = (0..steps).map(|row| flat[row * steps + place]).collect();
            let bound = (leaving * weights[steps - 1].abs()).max(self.rounding());
            RitzPair { value: values.double_value(&[place as i64]), bound, weights }
        };
        (0..steps).rev().map(pair).collect()
    }

    /// The unit vector of `pair`.
    pub fn vector(&self, pair: &RitzPair) -> Tensor {
        let mut sum = self.basis[0].zeros_like();
        for (vector, &weight) in self.basis.iter().zip(&pair.weights) {
            sum += vector * weight;
        }
        let length = norm(&sum);
        sum / length
    }
}

/// The `most` largest pairs and the smallest one, all of which are in `pairs`.
pub fn extremes(pairs: &[RitzPair], most: usize) -> (&[RitzPair], Option<&RitzPair>) {
    (&pairs[..most.min(pairs.len())], pairs.last())
}

/// A number with the error of its estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Mean of the samples.
    pub value: f64,
    /// Its standard error; none of one sample.
    pub error: Option<f64>,
}

/// A trace from `samples` of vᵀ H v with random signs v (Hutchinson 1990): their mean.
pub fn trace(samples: &[f64]) -> Option<Estimate> {
    let count = samples.len() as f64;
    let value = samples.iter().sum::<f64>() / (!samples.is_empty()).then_some(count)?;
    let squares: f64 = samples.iter().map(|sample| (sample - value).powi(2)).sum();
    let error = (samples.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
    Some(Estimate { value, error })
}

/// Random signs: as many, and of the kind, as `like`.
pub fn signs(stream: &mut Stream, like: &Tensor) -> Tensor {
    let sign = |_| if stream.uniform() < 0.5 { -1.0f32 } else { 1.0 };
    of_numbers((0..like.numel()).map(sign).collect(), like)
}

/// Standard normal numbers, the same.
pub fn normals(stream: &mut Stream, like: &Tensor) -> Tensor {
    of_numbers(stream.normals(like.numel()), like)
}

fn of_numbers(numbers: Vec<f32>, like: &Tensor) -> Tensor {
    Tensor::from_slice(&numbers).to_kind(like.kind()).to_device(like.device())
}

/// Product of two vectors.
pub fn dot(one: &Tensor, other: &Tensor) -> f64 {
    (one * other).sum(Dtype::Double).double_value(&[])
}

/// Euclidean length.
pub fn norm(vector: &Tensor) -> f64 {
    vector.square().sum(Dtype::Double).double_value(&[]).sqrt()
}

/// An eigenvalue with ‖H v − λ v‖, from a unit vector and its product.
pub fn rayleigh(vector: &Tensor, product: &Tensor) -> Estimate {
    let value = dot(vector, product);
    Estimate { value, error: Some(norm(&(product - vector * value))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn stream(index: u64) -> Stream {
        Stream::new(5, Purpose::Analysis, index)
    }

    /// Does steps until the space is closed, at most so many.
    fn space(matrix: &Tensor, most: usize) -> Krylov {
        let mut space = Krylov::new(&normals(&mut stream(0), &matrix.select(0, 0)));
        while space.steps() < most && !space.closed {
            space.add(&matrix.mv(space.last()));
        }
        space
    }

    #[test]
    fn all_eigenvalues_of_a_diagonal_matrix_are_found_with_their_vectors() {
        let eigenvalues: Vec<f64> = (0..30).map(|place| f64::from(place * place) - 40.0).collect();
        let matrix = Tensor::from_slice(&eigenvalues).diag(0);
        let space = space(&matrix, 100);
        let pairs = space.pairs();
        assert_eq!((pairs.len(), space.steps()), (30, 30));
        for (pair, expected) in pairs.iter().zip(eigenvalues.iter().rev()) {
            assert!((pair.value - expected).abs() < 1e-9, "{} is not {expected}", pair.value);
        }
        let last = space.vector(&pairs[0]);
        assert!((last.double_value(&[29]).abs() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_space_closes_when_the_eigenvalues_are_fewer_than_the_dimensions() {
        let values: Vec<f64> = (0..60).map(|place| f64::from(place % 3) - 1.0).collect();
        let space = space(&Tensor::from_slice(&values).diag(0), 60);
        let found: Vec<f64> = space.pairs().iter().map(|pair| pair.value).collect();
        assert_eq!(found.len(), 3);
        assert!(found.iter().zip([1.0, 0.0, -1.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn extreme_eigenvalues_of_a_quadratics_hessian_come_first_and_within_their_bounds() {
        // ½ xᵀ H x with H = Q D Qᵀ; most of the spectrum lies near zero, as a net's does.
        let mut drawn = stream(9);
        let like = Tensor::zeros([300 * 300], (Dtype::Double, tch::Device::Cpu));
        let square = normals(&mut drawn, &like).view([300, 300]);
        let (q, _) = Tensor::linalg_qr(&square, "reduced");
        let known: Vec<f64> = (0..300)
            .map(|place| match place {
                0..4 => 10.0 - 2.0 * f64::from(place),
                299 => -1.5,
                _ => 0.01 * drawn.normal(),
            })
            .collect();
        let matrix = q.matmul(&Tensor::from_slice(&known).diag(0)).matmul(&q.tr());
        let space = space(&matrix, 30);
        let pairs = space.pairs();
        let (largest, smallest) = extremes(&pairs, 4);
        for (pair, expected) in largest.iter().chain(smallest).zip([10.0, 8.0, 6.0, 4.0, -1.5]) {
            let vector = space.vector(pair);
            let found = rayleigh(&vector, &matrix.mv(&vector));
            let error = found.error.unwrap();
            assert!((found.value - expected).abs() <= error.max(1e-9), "{found:?}, {expected}");
            assert!(
                error < 1e-4 && (error - pair.bound).abs() < 1e-9,
                "{error} and {}",
                pair.bound
            );
        }
    }

    #[test]
    fn a_trace_is_exact_for_a_diagonal_matrix_and_within_its_error_for_another() {
        let diagonal = Tensor::from_slice(&[3.0f64, -1.0, 0.5, 7.25]).diag(0);
        let sample = |matrix: &Tensor, index: u64| {
            let vector = signs(&mut stream(index), &matrix.select(0, 0));
            dot(&vector, &matrix.mv(&vector))
        };
        let samples: Vec<f64> = (0..3).map(|index| sample(&diagonal, index)).collect();
        assert_eq!(trace(&samples), Some(Estimate { value: 9.75, error: Some(0.0) }));
        assert_eq!(trace(&samples[..1]).unwrap().error, None);
        assert_eq!(trace(&[]), None);
        // Off the diagonal ones: a sample is the squared sum of 50 signs, of mean 50 and variance
        // 2 · 50 · 49.
        let ones = Tensor::ones([50, 50], (Dtype::Double, tch::Device::Cpu));
        let samples: Vec<f64> = (0..400).map(|index| sample(&ones, index)).collect();
        let found = trace(&samples).unwrap();
        let error = found.error.unwrap();
        assert!((error - (4900.0f64 / 400.0).sqrt()).abs() < 0.7, "{found:?}");
        assert!((found.value - 50.0).abs() < 3.0 * error, "{found:?}");
    }
}
