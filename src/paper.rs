//! The paper's numbers, from `paper.toml`, the one place where they stand.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::network::NetworkName;

/// What the paper says of a network on CIFAR-10.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarResult {
    /// The network.
    pub network: NetworkName,
    /// Exact number of parameters.
    pub parameters: i64,
    /// Test error in percent; the best of several runs where there were several.
    pub test_error: Option<f64>,
    /// Whether `test_error` was read off a figure.
    #[serde(default)]
    pub approximate: bool,
    /// Mean over several runs, in percent.
    pub mean_test_error: Option<f64>,
    /// Standard deviation over several runs, in percentage points.
    pub standard_deviation: Option<f64>,
    /// Table or figure.
    pub source: String,
}

/// A row of Table 6 that the paper quotes from another paper.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quoted {
    /// The method.
    pub name: String,
    /// Weighted layers.
    pub layers: Option<u64>,
    /// Parameters, in millions.
    pub million_parameters: Option<f64>,
    /// Test error in percent; the best of several runs where there were several.
    pub test_error: f64,
    /// Mean over several runs, in percent.
    pub mean_test_error: Option<f64>,
    /// Standard deviation over several runs, in percentage points.
    pub standard_deviation: Option<f64>,
}

/// What a public reproduction measured over several runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reproduced {
    /// The network.
    pub network: NetworkName,
    /// Mean test error in percent.
    pub mean_test_error: f64,
    /// Standard deviation in percentage points.
    pub standard_deviation: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    cifar10: Vec<CifarResult>,
    quoted: Vec<Quoted>,
    reproduced: Vec<Reproduced>,
}

fn paper() -> &'static Paper {
    static PAPER: OnceLock<Paper> = OnceLock::new();
    PAPER.get_or_init(|| toml::from_str(include_str!("paper.toml")).expect("paper.toml is part of the program and tested"))
}

/// What the paper says of `network` on CIFAR-10, if it has it.
pub fn cifar10(network: NetworkName) -> Option<&'static CifarResult> {
    paper().cifar10.iter().find(|result| result.network == network)
}

/// All networks of the paper on CIFAR-10.
pub fn cifar10_networks() -> &'static [CifarResult] {
    &paper().cifar10
}

/// The rows of Table 6 that the paper quotes.
pub fn quoted() -> &'static [Quoted] {
    &paper().quoted
}

/// What a public reproduction measured for `network`.
pub fn reproduced(network: NetworkName) -> Option<&'static Reproduced> {
    paper().reproduced.iter().find(|result| result.network == network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_test_errors_are_those_of_table_6() {
        let errors = [20, 32, 44, 56, 110, 1202].map(|depth| cifar10(NetworkName::residual(depth)).unwrap().test_error.unwrap());
        assert_eq!(errors, [8.75, 7.51, 7.17, 6.97, 6.43, 7.93]);
        assert_eq!(cifar10(NetworkName::residual(26)).map(|result| result.parameters), None);
        assert!(cifar10(NetworkName::plain(56)).unwrap().approximate);
    }
}
