//! What follows from the rows of gradients: numbers, and a sentence made by rule.

use crate::analysis::gradients::row::{Normalized, Quantity, Row, Weights};
use crate::analysis::gradients::shattering::DISTANCES;
use crate::analysis::statistics::slope;
use crate::config::network_name::NetworkName;

/// Gradients vanish if the first layer's is smaller than this part of the last one's, and explode if
/// it is as many times larger.
const VANISHED: f64 = 0.1;

/// Correlations below this are not told from the noise of a few pairs, and end a fit.
const NOISE: f64 = 0.05;

/// A net whose rows are summarised: its key in the summary, and which rows are its.
#[derive(Clone, Copy)]
struct Case<'a> {
    rows: &'a [Row],
    network: NetworkName,
    weights: Weights,
    normalization: Normalized,
}

impl Case<'_> {
    fn rows(&self, quantity: Quantity, distance: Option<f64>) -> impl Iterator<Item = &Row> {
        let own = *self;
        self.rows.iter().filter(move |row| {
            row.network == own.network
                && row.weights == own.weights
                && row.normalization == own.normalization
                && row.quantity == quantity
                && row.distance == distance
        })
    }

    /// Depth and norm of each layer on the main path.
    fn norms(&self, quantity: Quantity) -> Vec<(f64, f64)> {
        let point = |row: &Row| Some((row.depth? as f64, row.mean?));
        self.rows(quantity, None).filter_map(point).collect()
    }

    /// The first layer's norm, in parts of the last one's.
    fn ratio(&self, quantity: Quantity) -> Option<f64> {
        let norms = self.norms(quantity);
        let ratio = norms.first()?.1 / norms.last()?.1;
        ratio.is_finite().then_some(ratio)
    }

    /// By what a norm is multiplied from a layer to the one before it, by the straight line through
    /// logarithms.
    fn factor(&self, quantity: Quantity) -> Option<f64> {
        let logs = self.norms(quantity).into_iter().map(|(depth, norm)| (depth, norm.ln()));
        Some((-slope(&logs.collect::<Vec<_>>())?).exp())
    }

    /// From the classifier down, as far as it is above the noise: layers and blocks between the maps
    /// and the classifier, counted from 1, and the correlation.
    fn correlations(&self, distance: f64) -> Vec<(f64, f64, f64)> {
        let mut rows: Vec<&Row> = self.rows(Quantity::Correlation, Some(distance)).collect();
        rows.reverse();
        let Some(top) = rows.first().and_then(|row| row.depth) else { return Vec::new() };
        let place = |(block, row): (usize, &&Row)| {
            let depth = row.depth.filter(|&depth| depth <= top)?;
            let mean = row.mean.filter(|&mean| mean > NOISE)?;
            Some(((top - depth + 1) as f64, (block + 1) as f64, mean))
        };
        rows.iter().enumerate().map_while(place).collect()
    }

    /// log₂ of the correlation a layer: -1 is 1/2^L.
    fn bits(&self, distance: f64) -> Option<f64> {
        let points = self.correlations(distance).into_iter();
        slope(&points.map(|(layers, _, mean)| (layers, mean.log2())).collect::<Vec<_>>())
    }

    /// The power of the number of blocks with which the correlation goes: -½ is 1/√L.
    fn exponent(&self, distance: f64) -> Option<f64> {
        let points = self.correlations(distance).into_iter();
        slope(&points.map(|(_, blocks, mean)| (blocks.ln(), mean.ln())).collect::<Vec<_>>())
    }
}

/// The nets of the rows, the one that is analysed first.
fn networks(rows: &[Row]) -> Vec<NetworkName> {
    let mut networks: Vec<NetworkName> = Vec::new();
    for row in rows {
        if !networks.contains(&row.network) {
            networks.push(row.network);
        }
    }
    networks
}

/// Numbers and a sentence. Keys of the twin begin with `twin_`; those of nets without batch
/// normalisation end with `_unnormalized`.
pub fn summary(rows: &[Row]) -> toml::Table {
    let mut table = toml::Table::new();
    let mut add = |key: String, value: Option<f64>| {
        if let Some(value) = value {
            table.insert(key, toml::Value::Float(value));
        }
    };
    for (index, network) in networks(rows).into_iter().enumerate() {
        let prefix = if index == 0 { "" } else { "twin_" };
        for (weights, normalization, suffix) in [
            (Weights::Given, Normalized::Batch, "given"),
            (Weights::Initial, Normalized::Batch, "initial"),
            (Weights::Initial, Normalized::None, "initial_unnormalized"),
        ] {
            let case = Case { rows, network, weights, normalization };
            for (quantity, name) in [(Quantity::Output, "output"), (Quantity::Weights, "weights")] {
                add(format!("{prefix}{name}_ratio_{suffix}"), case.ratio(quantity));
                add(format!("{prefix}{name}_factor_{suffix}"), case.factor(quantity));
            }
            for (distance, name) in DISTANCES.into_iter().zip(["_near", ""]) {
                let key = |measure| format!("{prefix}correlation_{measure}{name}_{suffix}");
                add(key("bits_per_layer"), case.bits(distance));
                add(key("exponent"), case.exponent(distance));
            }
        }
    }
    let own = |weights| {
        let network = rows.first()?.network;
        Case { rows, network, weights, normalization: Normalized::Batch }.ratio(Quantity::Output)
    };
    if let (Some(given), Some(initial)) = (own(Weights::Given), own(Weights::Initial)) {
        add("output_ratio_smallest".to_string(), Some(given.min(initial)));
    }
    table.insert("sentence".to_string(), toml::Value::String(sentence(rows)));
    table
}

/// Whether gradients vanish, of each net with and without batch normalisation, at initialisation,
/// and with the given weights.
pub fn sentence(rows: &[Row]) -> String {
    let parts = networks(rows).into_iter().map(|network| {
        let case = |weights, normalization| {
            let case = Case { rows, network, weights, normalization };
            (case.ratio(Quantity::Output), case.factor(Quantity::Output))
        };
        let cases = [
            ("at initialisation", case(Weights::Initial, Normalized::Batch)),
            ("with the given weights", case(Weights::Given, Normalized::Batch)),
            ("without normalisation", case(Weights::Initial, Normalized::None)),
        ];
        let told: Vec<String> = cases
            .into_iter()
            .filter_map(|(when, (ratio, factor))| {
                let (ratio, factor) = (ratio?, factor?);
                Some(format!("{} {when} (× {ratio:.3}, × {factor:.3} a layer)", verb(ratio)))
            })
            .collect();
        format!("{network}: gradients {}", told.join(", "))
    });
    let parts: Vec<String> = parts.collect();
    format!("from the last layer to the first, {}", parts.join("; "))
}

fn verb(ratio: f64) -> &'static str {
    match ratio {
        _ if ratio < VANISHED => "vanish",
        _ if ratio > 1.0 / VANISHED => "explode",
        _ => "keep their size",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(quantity: Quantity, depth: usize, distance: Option<f64>, mean: f64) -> Row {
        Row {
            network: NetworkName::plain(8),
            weights: Weights::Initial,
            normalization: Normalized::Batch,
            quantity,
            layer: String::new(),
            depth: Some(depth),
            distance,
            mean: Some(mean),
            std: None,
        }
    }

    fn number(table: &toml::Table, key: &str) -> f64 {
        table.get(key).and_then(toml::Value::as_float).unwrap_or(f64::NAN)
    }

    #[test]
    fn laws_are_found_in_rows_that_follow_them() {
        let mut rows = Vec::new();
        for depth in 1..=7 {
            // 1.25 times as large in each earlier layer.
            rows.push(row(Quantity::Output, depth, None, 1.25f64.powi(7 - depth as i32)));
        }
        for (distance, law) in [(0.1, 0.5f64), (1.0, 1.0)] {
            for depth in [1, 3, 5, 7] {
                let (layers, blocks) = (8 - depth, (9 - depth) / 2);
                let halved = 0.5f64.powi(layers as i32 - 1);
                let root = (blocks as f64).powf(-0.5);
                let mean = if law == 1.0 { halved } else { root };
                rows.push(row(Quantity::Correlation, depth, Some(distance), mean));
            }
        }
        let table = summary(&rows);
        let near = |key: &str, expected: f64| {
            assert!((number(&table, key) - expected).abs() < 1e-9, "{key}: {table}");
        };
        near("output_factor_initial", 1.25);
        near("output_ratio_initial", 1.25f64.powi(6));
        // 1, 1/4, 1/16, and 1/64 is below the noise.
        near("correlation_bits_per_layer_initial", -1.0);
        near("correlation_exponent_near_initial", -0.5);
        assert!(table.get("output_ratio_smallest").is_none());
        assert!(table.get("twin_output_ratio_initial").is_none());
    }

    #[test]
    fn the_sentence_says_what_gradients_do() {
        for (last, expected) in [
            (0.5, "keep their size at initialisation (× 2.000"),
            (0.05, "explode at initialisation (× 20.000"),
            (20.0, "vanish at initialisation (× 0.050"),
        ] {
            let norms = [(1, 1.0), (2, (1.0f64 * last).sqrt()), (3, last)];
            let rows: Vec<Row> = norms
                .into_iter()
                .map(|(depth, norm)| row(Quantity::Output, depth, None, norm))
                .collect();
            let found = sentence(&rows);
            assert!(found.contains("plain-8: gradients") && found.contains(expected), "{found}");
        }
    }
}
