//! Training error beside test error: what a net has not fitted, and what it fits and does not
//! generalise, by depth and by parameters.

use crate::analysis::generalisation::Row;
use crate::analysis::images::Split;
use crate::config::network_name::NetworkName;
use crate::console::words::listed;
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::part::{Part, curve, panels, row_kind};
use crate::report::draw::chart::{Chart, Series};
use crate::report::figures::axis::{TEST, TRAINING};
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// The paper's "similar training error" of 110 and 1202 layers: both below, in percent.
const FITTED: f64 = 0.1;

/// Nets up to this depth have a panel of their own: beside 1202 layers they would be one point.
const SHALLOW: u64 = 110;

/// A column of the table.
type Of<'a> = Column<'a, &'a Found<'a, Row>>;

/// What there is about generalisation.
pub fn part<'a>(analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    let found: Vec<Found<Row>> = read(analysed, problems);
    let chosen = one_a_network(&found);
    // Of a part of the training images there is a row in the table alone.
    let whole = chosen.iter().filter(|one| one.of.is_complete());
    let judged: Vec<(&Found<Row>, Judged)> =
        whole.filter_map(|one| Some((*one, Judged::of(&one.rows)?))).collect();
    let depth = |one: &Found<Row>| Some(one.of.network().depth() as f64);
    let millions = |one: &Found<Row>| Some(one.of.summary("parameters")? / 1e6);
    let charts = [
        chart(&judged, ("generalisation-depth", "by depth"), ("layers", "layers"), &depth),
        chart(
            &judged,
            ("generalisation-parameters", "by parameters"),
            ("parameters (millions)", "million_parameters"),
            &millions,
        ),
    ];
    Part {
        title: "Generalisation".to_string(),
        sentences: sentences(&judged).into_iter().chain(overfitting(&judged)).collect(),
        charts: charts.into_iter().flatten().collect(),
        tables: vec![table(&found)],
    }
}

/// Errors in percent, with their standard errors.
#[derive(Clone, Copy)]
struct Judged {
    training: f64,
    test: f64,
    /// Of the test error, in squared points: that of a proportion of so many images.
    test_variance: f64,
    /// Standard error of twice the training error minus the test error, in points.
    uncertainty: f64,
}

/// The larger part of a test error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Larger {
    /// What it has not fitted: the training error.
    Bias,
    /// What it has not generalised: the gap between the errors.
    Variance,
    /// It cannot be told.
    Neither,
}

impl Judged {
    /// Nothing where a split is missing.
    fn of(rows: &[Row]) -> Option<Judged> {
        let of = |split: Split| rows.iter().find(|row| row.split == split);
        let (training, test) = (of(Split::Train)?, of(Split::Test)?);
        let variance = |row: &Row| row.error * (100.0 - row.error) / row.images.max(1) as f64;
        Some(Judged {
            training: training.error,
            test: test.error,
            test_variance: variance(test),
            uncertainty: (4.0 * variance(training) + variance(test)).sqrt(),
        })
    }

    /// In percentage points.
    fn gap(self) -> f64 {
        self.test - self.training
    }

    /// Which part is the larger one, by more than two standard errors.
    fn larger(self) -> Larger {
        let excess = self.training - self.gap();
        match excess.abs() <= 2.0 * self.uncertainty {
            true => Larger::Neither,
            false if excess > 0.0 => Larger::Bias,
            false => Larger::Variance,
        }
    }
}

/// Which part of the test error is the larger one: a sentence for each answer, with the nets that
/// it holds for.
fn sentences(judged: &[(&Found<Row>, Judged)]) -> Vec<String> {
    let nets = |larger: Larger| -> Vec<String> {
        let those = judged.iter().filter(|(_, one)| one.larger() == larger);
        let net = |(found, one): &(&Found<Row>, Judged)| {
            let (label, gap) = (found.of.label(), one.gap());
            format!("{label} (training {:.2} %, gap {gap:.2} points)", one.training)
        };
        those.map(net).collect()
    };
    let sentence = |larger: Larger, text: &str| {
        let nets = nets(larger);
        (!nets.is_empty()).then(|| format!("{text}: {}.", listed(&nets)))
    };
    [
        sentence(Larger::Bias, "Bias: the training error is the larger part of the test error"),
        sentence(
            Larger::Variance,
            "Variance: the gap between training and test error is the larger part of the test \
             error",
        ),
        sentence(Larger::Neither, "Training error and gap are about as large"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The paper's case: 1202 layers beside 110, of one protocol and seed.
fn overfitting(judged: &[(&Found<Row>, Judged)]) -> Option<String> {
    let of = |depth: u64| {
        judged.iter().find(|(one, _)| {
            one.of.network() == NetworkName::residual(depth) && one.of.origin.is_some()
        })
    };
    let ((deepest, deep), (deeper, shallow)) = (of(1202)?, of(110)?);
    if !deepest.of.is_comparable_with(deeper.of) {
        return None;
    }
    let fitted = deep.training < FITTED && shallow.training < FITTED;
    let higher = deep.test - shallow.test;
    let uncertainty = 2.0 * (deep.test_variance + shallow.test_variance).sqrt();
    let how = match fitted {
        true if higher > uncertainty => {
            "the net of 1202 layers overfits: both are fitted, and its test error is higher"
        }
        true if higher < -uncertainty => {
            "the net of 1202 layers is better: both are fitted, and its test error is lower"
        }
        true => "neither is better: both are fitted, and their test errors are too close to tell",
        false => "nothing is said of overfitting: one of them is not fitted",
    };
    Some(format!(
        "Of 110 and 1202 layers, {how} (training {:.3} and {:.3} %, test {:.2} and {:.2} %).",
        shallow.training, deep.training, shallow.test, deep.test
    ))
}

/// A net's errors, and which part is the larger.
type JudgedNet<'a> = (&'a Found<'a, Row>, Judged);

/// Test and training errors, a curve a family of nets.
fn chart(
    judged: &[(&Found<Row>, Judged)],
    (name, by): (&str, &str),
    (x_label, x_field): (&str, &str),
    place: &dyn Fn(&Found<Row>) -> Option<f64>,
) -> Option<Chart> {
    let series = |all: bool| -> Vec<Series> {
        let mut families: Vec<(String, Vec<&JudgedNet>)> = Vec::new();
        for one in judged.iter().filter(|(one, _)| all || one.of.network().depth() <= SHALLOW) {
            let family = family(one.0.of);
            match families.iter_mut().find(|(other, _)| *other == family) {
                Some((_, nets)) => nets.push(one),
                None => families.push((family, vec![one])),
            }
        }
        let families = families.iter().enumerate();
        families.flat_map(|(colour, (family, nets))| pair(family, nets, colour, place)).collect()
    };
    let is_deep = |(one, _): &&(&Found<Row>, Judged)| one.of.network().depth() > SHALLOW;
    let mut titled = vec![("up to 110 layers", series(false))];
    match judged.iter().filter(is_deep).count() {
        0 => titled[0].0 = "errors",
        _ => titled.push(("all nets", series(true))),
    }
    titled.retain(|(_, series)| !series.is_empty());
    let places: Vec<f64> = judged.iter().filter_map(|(one, _)| place(one)).collect();
    // Of nets in one place there is nothing to see that the table does not say.
    if places.iter().all(|x| Some(x) == places.first()) {
        return None;
    }
    let described = judged.iter().map(|(one, errors)| {
        format!("{}: training {:.2} %, test {:.2} %", one.of.label(), errors.training, errors.test)
    });
    let chosen: Vec<&Found<Row>> = judged.iter().map(|(one, _)| *one).collect();
    Some(Chart {
        name: name.to_string(),
        title: format!("Generalisation: training and test error {by}"),
        note: format!(
            "bold: test error; dashed: error of the training images without augmentation; the gap \
             is what lies between; {}",
            sources(&chosen)
        ),
        description: format!("{}.", described.collect::<Vec<_>>().join("; ")),
        x_label: x_label.to_string(),
        x_field: x_field.to_string(),
        y_label: "error (%)".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels: panels(titled),
    })
}

/// Nets that differ in depth alone; given weights are each alone.
fn family(of: &Analysed) -> String {
    if of.origin.is_none() {
        return of.label();
    }
    let depth = format!("-{}", of.network().depth());
    of.network().to_string().replacen(&depth, "-n", 1)
}

/// Test and training errors of a family of nets.
fn pair(
    family: &str,
    nets: &[&(&Found<Row>, Judged)],
    colour: usize,
    place: &dyn Fn(&Found<Row>) -> Option<f64>,
) -> Vec<Series> {
    let of = |kind: &str, error: fn(&Judged) -> f64| {
        let mut points: Vec<(f64, f64, f64)> = nets
            .iter()
            .filter_map(|(one, errors)| Some((place(one)?, error(errors), 0.0)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bold = kind == TEST;
        Series {
            network: family.to_string(),
            label: format!("{family}, {kind}"),
            bold,
            dashed: !bold,
            ..curve(nets[0].0.of, colour, kind, points)
        }
    };
    vec![of(TEST, |one| one.test), of(TRAINING, |one| one.training)]
}

fn table(found: &[Found<Row>]) -> Table {
    let rows: Vec<(RowKind, &Found<Row>)> =
        found.iter().map(|one| (row_kind(one.of), one)).collect();
    let error =
        |of: fn(Judged) -> f64| move |one: &&Found<Row>| Cell::error(Judged::of(&one.rows).map(of));
    let loss = |split: Split| {
        move |one: &&Found<Row>| {
            let row = one.rows.iter().find(|row| row.split == split);
            row.map_or(Cell::Missing, |row| Cell::Number(row.loss, 4))
        }
    };
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("of", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("layers", &["layers"], |one| Cell::Whole(one.of.network().depth() as i64)),
        Of::new("parameters", &["parameters"], |one| {
            one.of.summary("parameters").map_or(Cell::Missing, |count| Cell::Whole(count as i64))
        }),
        Of::new("training error", &["training_error"], error(|one| one.training)),
        Of::new("test error", &["test_error"], error(|one| one.test)),
        Of::new("gap", &["gap"], error(Judged::gap)),
        Of::new("training loss", &["training_loss"], loss(Split::Train)),
        Of::new("test loss", &["test_loss"], loss(Split::Test)),
        Of::words("larger part", |one| match Judged::of(&one.rows).map(Judged::larger) {
            Some(Larger::Bias) => "bias".to_string(),
            Some(Larger::Variance) => "variance".to_string(),
            Some(Larger::Neither) => "neither".to_string(),
            None => String::new(),
        }),
    ];
    let caption = "Errors in percent, the gap in percentage points, losses in nats. Training \
                   images are seen as test images are, without augmentation. Larger part of the \
                   test error: bias where the training error is larger than the gap by two standard \
                   errors, variance where the gap is.";
    Table::new(("generalisation", "Generalisation"), caption, columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_part_of_the_test_error_is_named_only_beyond_two_standard_errors() {
        let row = |split: Split, images: u64, wrong: u64| Row {
            split,
            images,
            wrong,
            error: wrong as f64 * 100.0 / images as f64,
            loss: 0.0,
        };
        let larger = |train: u64, test: u64| {
            let rows = [row(Split::Train, 50_000, train), row(Split::Test, 10_000, test)];
            Judged::of(&rows).unwrap().larger()
        };
        // 3 % of 8.3 % not fitted; 20 % of 22 %; 4.1 % of 8.27 %.
        assert_eq!(larger(1500, 830), Larger::Variance);
        assert_eq!(larger(10_000, 2200), Larger::Bias);
        assert_eq!(larger(2050, 827), Larger::Neither);
        assert!(Judged::of(&[row(Split::Train, 10, 1)]).is_none());
    }
}
