//! Figure 7: standard deviations of the layers' responses (He et al. 2015, section 4.2).

use crate::analysis::responses::Row;
use crate::logs::statistics::mean;
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::part::{Part, curve, panels, row_kind};
use crate::report::draw::chart::{Chart, Series};
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// Side of the kernels of the layers that the paper looks at.
const KERNEL: i64 = 3;

/// A column of the table.
type Of<'a> = Column<'a, &'a Found<'a, Row>>;

/// What there is about responses.
pub fn part<'a>(analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    let found: Vec<Found<Row>> = read(analysed, problems);
    let chosen = one_a_network(&found);
    Part {
        title: "Layer responses".to_string(),
        sentences: twins(&chosen).into_iter().chain(depths(&chosen)).collect(),
        charts: figure_7(&chosen).into_iter().collect(),
        tables: vec![table(&found)],
    }
}

/// Standard deviations of the 3×3 layers of a net, in forward order.
fn deviations(rows: &[Row]) -> Vec<f64> {
    rows.iter().filter(|row| row.kernel == KERNEL).map(|row| row.std).collect()
}

/// The same, the largest first, as in the paper's lower panel.
fn sorted(rows: &[Row]) -> Vec<f64> {
    let mut values = deviations(rows);
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

fn figure_7(chosen: &[&Found<Row>]) -> Option<Chart> {
    let series = |values: fn(&[Row]) -> Vec<f64>| -> Vec<Series> {
        let curves = chosen.iter().enumerate().map(|(colour, one)| {
            let points = values(&one.rows).into_iter().enumerate();
            let points = points.map(|(index, value)| ((index + 1) as f64, value, 0.0));
            curve(one.of, colour, "standard deviation", points)
        });
        curves.filter(|series| !series.points.is_empty()).collect()
    };
    let means = chosen
        .iter()
        .filter_map(|one| Some(format!("{} {:.2}", one.of.label(), mean(&deviations(&one.rows))?)));
    let means: Vec<String> = means.collect();
    (!means.is_empty()).then(|| Chart {
        name: "figure-7".to_string(),
        title: "Figure 7: standard deviations of layer responses".to_string(),
        note: format!(
            "outputs of the 3×3 layers after batch normalisation, before addition and ReLU; \
             dashed: plain nets; {}",
            sources(chosen)
        ),
        description: format!(
            "Standard deviation of each 3×3 layer's output; mean over layers: {}.",
            means.join(", ")
        ),
        x_label: "layer".to_string(),
        x_field: "layer".to_string(),
        y_label: "standard deviation".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels: panels(vec![
            ("in order of layers", series(deviations)),
            ("sorted by size", series(sorted)),
        ]),
    })
}

/// Residual nets against plain nets of the same depth, protocol and seed.
fn twins(chosen: &[&Found<Row>]) -> Vec<String> {
    let mut sentences = Vec::new();
    for residual in chosen.iter().filter(|one| one.of.network().is_residual()) {
        let twin = chosen.iter().find(|other| {
            other.of.network().is_plain()
                && other.of.network().depth() == residual.of.network().depth()
                && other.of.is_comparable_with(residual.of)
        });
        let Some(plain) = twin else { continue };
        let (ours, theirs) = (sorted(&residual.rows), sorted(&plain.rows));
        let (Some(our_mean), Some(their_mean)) = (mean(&ours), mean(&theirs)) else { continue };
        let word = if our_mean < their_mean { "less" } else { "not less" };
        let lower = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours < theirs).count();
        sentences.push(format!(
            "The layers of {} respond {word} than those of {}: their standard deviations are \
             {our_mean:.2} and {their_mean:.2} in the mean; sorted by size, {lower} of {} are \
             lower.",
            residual.of.label(),
            plain.of.label(),
            ours.len()
        ));
    }
    sentences
}

/// The residual nets of one protocol and seed, by depth.
fn depths(chosen: &[&Found<Row>]) -> Option<String> {
    let residual = || chosen.iter().filter(|one| one.of.network().is_residual());
    let first = residual().find(|one| one.of.origin.is_some())?;
    let nets: Vec<(String, f64)> = residual()
        .filter(|one| one.of.is_comparable_with(first.of))
        .filter_map(|one| Some((one.of.label(), mean(&deviations(&one.rows))?)))
        .collect();
    if nets.len() < 2 {
        return None;
    }
    let falls = nets.windows(2).all(|pair| pair[1].1 < pair[0].1);
    let means: Vec<String> = nets.iter().map(|(net, mean)| format!("{mean:.2} ({net})")).collect();
    let how = match falls {
        true => "The deeper the residual net, the less a layer responds",
        false => "A layer does not respond less, the deeper the residual net is",
    };
    Some(format!("{how}: standard deviations are {} in the mean.", means.join(", ")))
}

fn table(found: &[Found<Row>]) -> Table {
    let rows: Vec<(RowKind, &Found<Row>)> =
        found.iter().map(|one| (row_kind(one.of), one)).collect();
    let number = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Number(value, 3));
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("of", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("3×3 layers", &["layers"], |one| Cell::Whole(deviations(&one.rows).len() as i64)),
        Of::new("mean", &["mean"], move |one| number(mean(&deviations(&one.rows)))),
        Of::new("largest", &["largest"], move |one| number(sorted(&one.rows).first().copied())),
        Of::new("smallest", &["smallest"], move |one| number(sorted(&one.rows).last().copied())),
    ];
    let caption = "Standard deviations of the outputs of the 3×3 layers, after batch normalisation \
                   and before addition and ReLU: mean over layers, largest and smallest.";
    Table::new(("responses", "Layer responses"), caption, columns, &rows)
}
