//! Gradients by depth, and how alike they are at two inputs (Balduzzi et al. 2017, Figure 1).

use crate::analysis::gradients::row::{Normalized, Quantity, Row, Weights};
use crate::analysis::gradients::summary::sentence;
use crate::config::network_name::NetworkName;
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::logarithmic::logarithmic;
use crate::report::analyses::part::{Part, curve};
use crate::report::draw::chart::{Chart, Series};
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of the table.
type Of<'a> = Column<'a, &'a Found<'a, Row>>;

/// (x, mean, 0) each.
type Points = Vec<(f64, f64, f64)>;

/// What there is about gradients.
pub fn part<'a>(analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    let found: Vec<Found<Row>> = read(analysed, problems);
    let chosen = one_a_network(&found);
    let told = |one: &&Found<Row>| format!("{}: {}.", one.of.source(), sentence(&one.rows));
    Part {
        title: "Gradients".to_string(),
        sentences: chosen.iter().map(told).collect(),
        charts: [norms(&chosen), correlations(&chosen)].into_iter().flatten().collect(),
        tables: vec![table(&found)],
    }
}

/// Which rows a panel shows.
#[derive(Clone, Copy)]
struct Shown {
    title: &'static str,
    weights: Weights,
    normalization: Normalized,
    quantity: Quantity,
    distance: Option<f64>,
}

impl Shown {
    fn of<'b>(&self, rows: &'b [Row], network: NetworkName) -> Vec<&'b Row> {
        let is_meant = |row: &&Row| {
            row.network == network
                && row.weights == self.weights
                && row.normalization == self.normalization
                && row.quantity == self.quantity
                && row.distance == self.distance
        };
        rows.iter().filter(is_meant).collect()
    }

    /// The curves of the chosen nets, and of twins that are not among them.
    fn series(&self, chosen: &[&Found<Row>], points: fn(&[&Row]) -> Points) -> Vec<Series> {
        let is_chosen = |name| chosen.iter().any(|one| one.of.network() == name);
        let mut series = Vec::new();
        for (colour, one) in chosen.iter().enumerate() {
            let own = one.of.network();
            let points = |name| points(&self.of(&one.rows, name));
            series.push(curve(one.of, colour, self.title, points(own)));
            if let Some(twin) = own.twin().filter(|&twin| !is_chosen(twin)) {
                series.push(Series {
                    network: twin.to_string(),
                    label: format!("{twin} (twin)"),
                    dashed: twin.is_plain(),
                    ..curve(one.of, chosen.len() + colour, self.title, points(twin))
                });
            }
        }
        series.retain(|series| !series.points.is_empty());
        series
    }
}

/// Norms in parts of the last layer's.
fn parts_of_last(rows: &[&Row]) -> Points {
    let last = rows.last().and_then(|row| row.mean).unwrap_or(f64::NAN);
    let point = |row: &&Row| Some((row.depth? as f64, row.mean? / last, 0.0));
    rows.iter().filter_map(point).collect()
}

fn norms(chosen: &[&Found<Row>]) -> Option<Chart> {
    let shown = |title, weights, normalization| Shown {
        title,
        weights,
        normalization,
        quantity: Quantity::Output,
        distance: None,
    };
    let panels = [
        shown("at initialisation", Weights::Initial, Normalized::Batch),
        shown("without normalisation", Weights::Initial, Normalized::None),
        shown("trained", Weights::Given, Normalized::Batch),
    ]
    .map(|shown| (shown.title, shown.series(chosen, parts_of_last)));
    let panels = logarithmic(panels.to_vec());
    (!panels.is_empty()).then(|| Chart {
        name: "gradient-norms".to_string(),
        title: "Norms of gradients by depth".to_string(),
        note: format!(
            "of the loss with respect to each layer's output, in parts of the last layer's; from the \
             image (left) to the classifier (right); dashed: plain nets; twins start with the same \
             weights; {}",
            sources(chosen)
        ),
        description: "Norm of the loss's gradient at each layer's output, in parts of the last \
                      layer's, of plain and residual nets: at initialisation with and without batch \
                      normalisation, and trained."
            .to_string(),
        x_label: "layer".to_string(),
        x_field: "layer".to_string(),
        y_label: "norm".to_string(),
        x_scale: 1.0,
        y_log: true,
        panels,
    })
}

/// Correlations by the number of layers between the maps and the scores.
fn by_height(rows: &[&Row]) -> Points {
    let top = rows.last().and_then(|row| row.depth).unwrap_or(0);
    let point = |row: &&Row| Some(((top + 1 - row.depth?) as f64, row.mean?, 0.0));
    let mut points: Points = rows.iter().filter_map(point).collect();
    points.reverse();
    points
}

fn correlations(chosen: &[&Found<Row>]) -> Option<Chart> {
    let shown = |title, normalization, distance| Shown {
        title,
        weights: Weights::Initial,
        normalization,
        quantity: Quantity::Correlation,
        distance: Some(distance),
    };
    let panels = [
        shown("two images", Normalized::Batch, 1.0),
        shown("neighbours", Normalized::Batch, 0.1),
        shown("two images, without normalisation", Normalized::None, 1.0),
    ]
    .map(|shown| (shown.title, shown.series(chosen, by_height)));
    let panels = logarithmic(panels.to_vec());
    (!panels.is_empty()).then(|| Chart {
        name: "gradient-correlations".to_string(),
        title: "Correlation of gradients at two inputs".to_string(),
        note: format!(
            "at initialisation, by the number of layers between the maps and the scores; Balduzzi et \
             al. 2017 give 1/2^L for plain nets and 1/√L for residual ones with batch \
             normalisation; dashed: plain nets; {}",
            sources(chosen)
        ),
        description: "Correlation of the gradients at two inputs by depth, at initialisation, of \
                      plain and residual nets."
            .to_string(),
        x_label: "layers above".to_string(),
        x_field: "layers".to_string(),
        y_label: "correlation".to_string(),
        x_scale: 1.0,
        y_log: true,
        panels,
    })
}

fn table(found: &[Found<Row>]) -> Table {
    let kind = |one: &Found<Row>| match one.of.is_complete() {
        true => RowKind::Whole,
        false => RowKind::Partial,
    };
    let rows: Vec<(RowKind, &Found<Row>)> = found.iter().map(|one| (kind(one), one)).collect();
    let number = |key: &'static str, decimals: usize| {
        move |one: &&Found<Row>| {
            one.of.summary(key).map_or(Cell::Missing, |value| Cell::Number(value, decimals))
        }
    };
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("of", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("first/last, initial", &["initial"], number("output_ratio_initial", 3)),
        Of::new("× a layer", &["factor_initial"], number("output_factor_initial", 3)),
        Of::new("first/last, trained", &["trained"], number("output_ratio_given", 3)),
        Of::new(
            "first/last, no normalisation",
            &["unnormalized"],
            number("output_ratio_initial_unnormalized", 3),
        ),
        Of::new("bits a layer", &["bits"], number("correlation_bits_per_layer_initial", 3)),
        Of::new("power of blocks", &["exponent"], number("correlation_exponent_initial", 3)),
    ];
    let caption = "Norm of the gradient at the first layer's output in parts of the last one's, by \
                   what it is multiplied from layer to layer towards the image, and how the \
                   correlation of the gradients at two images falls: log₂ of it a layer (-1 is \
                   1/2^L), and as a power of the number of blocks.";
    Table::new(("gradients", "Gradients"), caption, columns, &rows)
}
