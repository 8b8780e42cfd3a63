//! Tables and figures as LaTeX. What is compared here is compiled by `tests/latex_test.py`.

use std::path::Path;

use resnet_repro::logs::statistics::MeanStd;
use resnet_repro::report::draw::chart::{Chart, Panel, Series};
use resnet_repro::report::tables::cell::Cell;
use resnet_repro::report::tables::table::{Column, RowKind, Table};

/// A name with every letter that LaTeX reads in its own way.
const ODD: &str = r"a_b&c%d$e#f{g}h~i^j\k";

/// Other letters that are written in names and notes.
const OTHERS: &str = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔ ÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîï ñòóôõöøùúûüýÿ \
                      ĆćČčĚěŁłŃńŇňŐőŒœ ŘřŚśŠšŮůŰűŹźŻżŽž – — ‘a’ “b” … ± − × · ≈ ≤ ≥ → ∞ ° √ \
                      10⁹ 10² ₂ α β γ λ µ σ τ 中 [c] <d> |e| ** ,, -- \"f\" `g`";

/// A row: name, parameters, error, difference.
type Entry = (&'static str, Cell, Cell, Cell);

fn table() -> Table {
    let of = |values: &[f64]| MeanStd::of(values.iter().map(|&value| Some(value)));
    let spread = |values: &[f64]| Cell::spread(of(values));
    let interval = of(&[-4.0, -5.0]).map_or(Cell::Missing, Cell::Interval);
    let quoted = Cell::Written("2.5M".to_string(), vec!["2500000".to_string()]);
    let approximate = Cell::Written("≈ 9.50".to_string(), vec!["9.5".to_string()]);
    let rows: Vec<(RowKind, Entry)> = vec![
        (RowKind::Quoted, ("FitNet", quoted, approximate, Cell::Missing)),
        (RowKind::Whole, (ODD, Cell::Whole(269_722), spread(&[28.0, 29.5]), interval)),
        (RowKind::Missing, ("[plain-32]", Cell::Whole(464_154), Cell::Missing, Cell::Missing)),
        (RowKind::Partial, ("*", Cell::Missing, spread(&[9.0]), Cell::Missing)),
    ];
    let columns = vec![
        Column::words("network", |row: &Entry| row.0.to_string()),
        Column::new("parameters", &["parameters"], |row: &Entry| row.1.clone()),
        Column::new("final test error (%)", &["mean", "std"], |row: &Entry| row.2.clone()),
        Column::new("difference", &["difference", "low", "high"], |row: &Entry| row.3.clone()),
        Column::words("command", |_| "resnet-repro figures".to_string()).detail(),
    ];
    Table::new(
        ("table", "Table 6: 100 % of it"),
        format!("Mean ± deviation of {ODD}. {OTHERS}"),
        columns,
        &rows,
    )
}

fn figure() -> Chart {
    let series = |network: &str, dashed: bool, points: Vec<(f64, f64, f64)>| Series {
        network: network.to_string(),
        kind: "test error".to_string(),
        label: network.to_string(),
        colour: usize::from(dashed),
        bold: !dashed,
        dashed,
        seeds: 2,
        points,
        note: dashed.then(|| "seed 1 at iteration 20 of 700".to_string()),
    };
    // More points than are drawn, one of them not a number, and one far outside of the panel.
    let many = (1..=700).map(|x| match x {
        3 => (3.0, f64::NAN, 0.0),
        5 => (5.0, 1e7, 0.0),
        x => (f64::from(x), 60.0 - f64::from(x) / 20.0, 2.0),
    });
    let few = vec![(100.0, 50.0, 0.0), (700.0, 20.0, 0.0)];
    let panel = |title: &str, series| Panel {
        title: title.to_string(),
        x: (0.0, 700.0),
        y: (10.0, 60.0),
        series,
    };
    Chart {
        name: "figure".to_string(),
        title: format!("Figure 6: {ODD}"),
        note: "bold: 100 % of it".to_string(),
        description: String::new(),
        x_label: "iteration".to_string(),
        x_field: "iteration".to_string(),
        y_label: "error (%)".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels: vec![
            panel("plain, \"odd\" nets", vec![series(ODD, true, many.collect())]),
            panel("residual nets", vec![series("resnet-20, with a comma", false, few)]),
            panel("no nets", Vec::new()),
        ],
    }
}

/// Compares what was written with what is committed; with RESNET_REPRO_ACCEPT_LATEX it is written there.
fn compare(written: &Path, names: &[&str]) {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/latex/odd-names");
    for name in names {
        let text = std::fs::read_to_string(written.join(name)).unwrap();
        if std::env::var_os("RESNET_REPRO_ACCEPT_LATEX").is_some() {
            std::fs::write(committed.join(name), &text).unwrap();
        }
        let expected = std::fs::read_to_string(committed.join(name)).unwrap_or_default();
        assert!(text == expected, "{name} is not what is committed:\n{text}");
    }
}

#[test]
fn a_table_is_written_as_latex_with_every_odd_letter_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("odd-names");
    std::fs::create_dir(&out).unwrap();
    table().write(&out, "CIFAR-10, 2,000 iterations").unwrap();
    compare(&out, &["table.md", "table.csv", "table.tex"]);
}

#[test]
fn a_figure_is_written_as_latex_that_reads_its_points_from_the_csv() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("odd-names");
    std::fs::create_dir(&out).unwrap();
    figure().write(&out).unwrap();
    compare(&out, &["figure.csv", "figure.tex"]);
    let latex = std::fs::read_to_string(out.join("figure.tex")).unwrap();
    assert!(latex.len() < 8_000, "{} bytes: the points are in the CSV", latex.len());
}
