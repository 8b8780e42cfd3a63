//! Figure 7: standard deviations of the layers' responses (He et al. 2015, section 4.2).

use crate::analysis::responses::Row;
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::part::{Part, curve, panels};
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
    Part {
        title: "Layer responses".to_string(),
        sentences: Vec::new(),
        charts: figure_7(&found).into_iter().collect(),
        tables: vec![table(&found)],
    }
}

/// Standard deviations of the 3×3 layers of a net, in forward order.
fn deviations(rows: &[Row]) -> Vec<f64> {
    rows.iter().filter(|row| row.kernel == KERNEL).map(|row| row.std).collect()
}

fn figure_7(found: &[Found<Row>]) -> Option<Chart> {
    let chosen = one_a_network(found);
    let series = |sorted: bool| -> Vec<Series> {
        let curves = chosen.iter().enumerate().map(|(colour, one)| {
            let mut values = deviations(&one.rows);
            if sorted {
                values.sort_by(|a, b| b.total_cmp(a));
            }
            let points = values.into_iter().enumerate();
            let points = points.map(|(index, value)| ((index + 1) as f64, value, 0.0));
            curve(one.of, colour, "standard deviation", points)
        });
        curves.filter(|series| !series.points.is_empty()).collect()
    };
    if series(false).is_empty() {
        return None;
    }
    Some(Chart {
        name: "figure-7".to_string(),
        title: "Figure 7: standard deviations of layer responses".to_string(),
        note: format!(
            "outputs of the 3×3 layers after batch normalisation, before addition and ReLU; \
             dashed: plain nets; {}",
            sources(&chosen)
        ),
        description: String::new(),
        x_label: "layer".to_string(),
        x_field: "layer".to_string(),
        y_label: "standard deviation".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels: panels(vec![
            ("layers in order", series(false)),
            ("layers sorted by size", series(true)),
        ]),
    })
}

fn table(found: &[Found<Row>]) -> Table {
    let kind = |one: &Found<Row>| match one.of.is_complete() {
        true => RowKind::Whole,
        false => RowKind::Partial,
    };
    let rows: Vec<(RowKind, &Found<Row>)> = found.iter().map(|one| (kind(one), one)).collect();
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("run", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("3×3 layers", &["layers"], |one| Cell::Whole(deviations(&one.rows).len() as i64)),
    ];
    Table::new(("responses", "Layer responses"), "", columns, &rows)
}
