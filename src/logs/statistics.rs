//! Means over seeds, and how far they can be trusted.

use serde::Serialize;

pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A mean over seeds, and their spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanStd {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation (divided by n - 1); `None` for one value.
    pub standard_deviation: Option<f64>,
    /// Number of values.
    pub count: usize,
}

/// 97.5 % quantiles of Student's t distribution for 1, 2, … degrees of freedom.
pub const T_QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

impl MeanStd {
    /// Half the width of the 95 % confidence interval of the mean (Student's t); `None` for one
    /// value.
    pub fn confidence(&self) -> Option<f64> {
        let quantile = T_QUANTILES.get(self.count.checked_sub(2)?).copied().unwrap_or(1.96);
        Some(quantile * self.standard_deviation? / (self.count as f64).sqrt())
    }

    /// The spread of the values that are there; `None` if there is none.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<MeanStd> {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        let mean = mean(&values)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_deviation =
            (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt());
        Some(MeanStd { mean, standard_deviation, count: values.len() })
    }
}
