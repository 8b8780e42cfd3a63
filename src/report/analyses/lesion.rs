//! Nets without some of their blocks, or with blocks exchanged (Veit et al. 2016, Figures 3 to 5).

use std::collections::BTreeMap;

use crate::analysis::lesion::{Row, Test};
use crate::config::recipe::Recipe;
use crate::logs::statistics::MeanStd;
use crate::network::architecture;
use crate::network::architecture::blocks::Block;
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::part::{Part, curve, row_kind};
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// Width of the bins of Kendall's tau.
const TAU_BIN: f64 = 0.1;

/// A column of the table.
type Of<'a> = Column<'a, &'a Found<'a, Row>>;

/// (x, mean, deviation) each.
type Points = Vec<(f64, f64, f64)>;

/// What there is about lesions.
pub fn part<'a>(analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    let found: Vec<Found<Row>> = read(analysed, problems);
    let chosen = one_a_network(&found);
    Part {
        title: "Lesions".to_string(),
        sentences: chosen.iter().filter_map(|one| sentence(one)).collect(),
        charts: [by_block(&chosen), by_count(&chosen), by_order(&chosen)]
            .into_iter()
            .flatten()
            .collect(),
        tables: vec![table(&found)],
    }
}

/// The rows of one test.
fn of_test(rows: &[Row], test: Test) -> impl Iterator<Item = &Row> {
    rows.iter().filter(move |row| row.test == test)
}

/// The error of the whole net, in percent.
fn whole(rows: &[Row]) -> Option<f64> {
    of_test(rows, Test::Whole).next().map(|row| row.error)
}

/// Names of all the net's blocks, in order.
fn blocks(of: &Analysed) -> Vec<String> {
    let data = &of.analysis.record.dataset;
    // The side of the images changes no name.
    let side = Recipe::for_dataset(data.name).image_side();
    architecture::build(of.network(), of.family(), side, data.classes as i64)
        .map(|built| built.blocks().iter().map(Block::name).collect())
        .unwrap_or_default()
}

/// Error after the deletion of one block, by its place in the net, counted from 1.
fn singles(one: &Found<Row>) -> Points {
    let blocks = blocks(one.of);
    let place = |name: &str| blocks.iter().position(|block| block == name);
    of_test(&one.rows, Test::Single)
        .filter_map(|row| Some(((place(&row.block)? + 1) as f64, row.error, 0.0)))
        .collect()
}

/// Error by the number of blocks deleted at random: mean and deviation over the draws.
fn randoms(rows: &[Row]) -> Points {
    let key = |row: &Row| row.count;
    let none = whole(rows).map(|error| (0.0, error, 0.0));
    none.into_iter()
        .chain(grouped(of_test(rows, Test::Random), key, |row| row.count as f64))
        .collect()
}

/// Error by the number of blocks deleted, the cheapest first.
fn ranked(rows: &[Row]) -> Points {
    let none = whole(rows).map(|error| (0.0, error, 0.0));
    let points = of_test(rows, Test::Ranked).map(|row| (row.count as f64, row.error, 0.0));
    none.into_iter().chain(points).collect()
}

/// Error by Kendall's tau, in bins: mean and deviation over the draws.
fn exchanges(rows: &[Row]) -> Points {
    let tau = |row: &Row| row.tau.unwrap_or(f64::NAN);
    // The whole net has a bin of its own, at 1.
    let bin = |row: &Row| (tau(row) / TAU_BIN + 1e-9).floor() as i64;
    let mut points = grouped(of_test(rows, Test::Exchange), bin, tau);
    if let (false, Some(error)) = (points.is_empty(), whole(rows)) {
        points.retain(|point| point.0 < 1.0);
        points.push((1.0, error, 0.0));
    }
    points
}

/// Rows with the same key as one point: the mean of their places, and mean and deviation of their
/// errors.
fn grouped<'a, Key: Ord>(
    rows: impl Iterator<Item = &'a Row>,
    key: impl Fn(&Row) -> Key,
    place: impl Fn(&Row) -> f64,
) -> Points {
    let mut groups: BTreeMap<Key, Vec<&Row>> = BTreeMap::new();
    rows.for_each(|row| groups.entry(key(row)).or_default().push(row));
    let point = |rows: Vec<&Row>| {
        let x = rows.iter().map(|row| place(row)).sum::<f64>() / rows.len() as f64;
        let error = MeanStd::of(rows.iter().map(|row| Some(row.error)))?;
        // No digit that means nothing.
        let x = (x * 1e4).round() / 1e4;
        Some((x, error.mean, error.standard_deviation.unwrap_or(0.0)))
    };
    groups.into_values().filter_map(point).collect()
}

/// Plain nets on the left, residual nets on the right, on the same vertical axis of 0 to 100 %.
/// `curves` are those of a net, with what they show.
fn chart(
    chosen: &[&Found<Row>],
    (name, title): (&str, &str),
    (x_label, x_field): (&str, &str),
    note: &str,
    curves: impl Fn(&Found<Row>) -> Vec<(&'static str, bool, Points)>,
) -> Option<Chart> {
    let series = |plain: bool| -> Vec<Series> {
        let nets = chosen.iter().enumerate();
        nets.filter(|(_, one)| one.of.network().is_plain() == plain)
            .flat_map(|(colour, one)| {
                curves(one).into_iter().map(move |(kind, bold, points)| Series {
                    label: format!("{}, {kind}", one.of.label()),
                    bold,
                    dashed: !bold,
                    ..curve(one.of, colour, kind, points)
                })
            })
            .filter(|series| !series.points.is_empty())
            .collect()
    };
    let titled = [("plain nets", series(true)), ("nets with shortcuts", series(false))];
    let panel = |(title, series): (&str, Vec<Series>)| {
        let places = series.iter().flat_map(|series| &series.points).map(|point| point.0);
        let (low, high) = places
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let margin = ((high - low) * 0.03).max(0.01);
        let x = (low - margin, high + margin);
        Panel { title: title.to_string(), x, y: (0.0, 100.0), series }
    };
    let panels: Vec<Panel> =
        titled.into_iter().filter(|(_, series)| !series.is_empty()).map(panel).collect();
    (!panels.is_empty()).then(|| Chart {
        name: name.to_string(),
        title: format!("Lesions: {title}"),
        note: format!("{note}; {}", sources(chosen)),
        description: described(&panels),
        x_label: x_label.to_string(),
        x_field: x_field.to_string(),
        y_label: "error (%)".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels,
    })
}

fn described(panels: &[Panel]) -> String {
    let curves = panels.iter().flat_map(|panel| &panel.series).map(|series| {
        let errors = series.points.iter().map(|point| point.1);
        let (low, high) = errors
            .fold((f64::INFINITY, 0.0f64), |(low, high), error| (low.min(error), high.max(error)));
        format!("{}: {low:.1} to {high:.1} %", series.label)
    });
    format!("Errors of damaged nets. {}.", curves.collect::<Vec<_>>().join("; "))
}

/// Veit's Figure 3.
fn by_block(chosen: &[&Found<Row>]) -> Option<Chart> {
    chart(
        chosen,
        ("lesion-blocks", "one block deleted"),
        ("block", "block"),
        "error of the net without this one block; dashed: of the whole net (Veit et al., Figure 3)",
        |one| {
            let singles = singles(one);
            let ends = singles.first().zip(singles.last()).zip(whole(&one.rows));
            let whole = ends
                .map(|((first, last), error)| vec![(first.0, error, 0.0), (last.0, error, 0.0)]);
            vec![("without the block", true, singles), ("whole", false, whole.unwrap_or_default())]
        },
    )
}

/// Veit's Figure 5a.
fn by_count(chosen: &[&Found<Row>]) -> Option<Chart> {
    chart(
        chosen,
        ("lesion-counts", "several blocks deleted"),
        ("blocks deleted", "blocks_deleted"),
        "bold: blocks drawn at random, mean and standard deviation over draws; dashed: the blocks \
         that cost least alone first (Veit et al., Figure 5a)",
        |one| {
            vec![
                ("at random", true, randoms(&one.rows)),
                ("cheapest first", false, ranked(&one.rows)),
            ]
        },
    )
}

/// Veit's Figure 5b.
fn by_order(chosen: &[&Found<Row>]) -> Option<Chart> {
    chart(
        chosen,
        ("lesion-order", "blocks exchanged"),
        ("Kendall's rank correlation with the original order", "tau"),
        "pairs of blocks of one shape have changed places; mean and standard deviation over draws, \
         in bins of 0.1 (Veit et al., Figure 5b)",
        |one| vec![("exchanged", true, exchanges(&one.rows))],
    )
}

/// Error after a deletion: the median over blocks, and the least and most with their blocks.
struct Deletion<'a> {
    median: f64,
    least: &'a Row,
    most: &'a Row,
}

fn deletion(rows: &[Row]) -> Option<Deletion<'_>> {
    let mut singles: Vec<&Row> = of_test(rows, Test::Single).collect();
    singles.sort_by(|a, b| a.error.total_cmp(&b.error));
    let (least, most) = (singles.first()?, singles.last()?);
    let middle = |index: usize| singles[index].error;
    let (below, above) = ((singles.len() - 1) / 2, singles.len() / 2);
    Some(Deletion { median: (middle(below) + middle(above)) / 2.0, least, most })
}

/// Blocks, those that are needed, and within how many points.
fn needed(of: &Analysed) -> Option<(u64, u64, f64)> {
    let within = of.analysis.record.settings.get("within_points")?.as_float()?;
    Some((of.summary("blocks")? as u64, of.summary("blocks_needed")? as u64, within))
}

fn sentence(one: &Found<Row>) -> Option<String> {
    let (whole, deletion) = (whole(&one.rows)?, deletion(&one.rows)?);
    let Deletion { median, least, most } = deletion;
    let depth = needed(one.of).map_or(String::new(), |(blocks, needed, within)| {
        let points = if within == 1.0 { "point" } else { "points" };
        format!(
            "; {needed} of {blocks} blocks are enough for an error at most {within} {points} higher"
        )
    });
    Some(format!(
        "{}: without one block the error rises from {whole:.2} % to {median:.2} % in the median \
         ({:.2} % without {}, {:.2} % without {}){depth}.",
        one.of.label(),
        least.error,
        least.block,
        most.error,
        most.block
    ))
}

fn table(found: &[Found<Row>]) -> Table {
    let rows: Vec<(RowKind, &Found<Row>)> =
        found.iter().map(|one| (row_kind(one.of), one)).collect();
    let error =
        |of: fn(Deletion) -> f64| move |one: &&Found<Row>| Cell::error(deletion(&one.rows).map(of));
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("of", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("error", &["error"], |one| Cell::error(whole(&one.rows))),
        Of::new("without one: median", &["median"], error(|deletion| deletion.median)),
        Of::new("least", &["least"], error(|deletion| deletion.least.error)),
        Of::new("most", &["most"], error(|deletion| deletion.most.error)),
        Of::words("costliest block", |one| {
            deletion(&one.rows).map_or(String::new(), |deletion| deletion.most.block.clone())
        }),
        Of::new("blocks", &["blocks"], |one| {
            needed(one.of).map_or(Cell::Missing, |(blocks, ..)| Cell::Whole(blocks as i64))
        }),
        Of::new("needed", &["needed"], |one| {
            needed(one.of).map_or(Cell::Missing, |(_, needed, _)| Cell::Whole(needed as i64))
        }),
        Of::new("within (points)", &["within_points"], |one| {
            needed(one.of).map_or(Cell::Missing, |(.., within)| Cell::Number(within, 1))
        }),
    ];
    let caption = "Errors in percent of the whole net and after the deletion of one block. Needed: \
                   blocks that are left when as many as possible are deleted, the cheapest first, \
                   with an error at most so many points above the whole net's: an upper bound of \
                   the depth that the net needs.";
    Table::new(("lesion", "Lesions"), caption, columns, &rows)
}
