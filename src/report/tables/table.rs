//! Tables for the terminal and for Markdown.

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, presets};

use crate::system::atomic_file;

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Lines of a terminal.
    Terminal,
    /// GitHub's Markdown.
    Markdown,
}

/// A table of a report; its first column says what a row is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// File name, such as `table-6`.
    pub name: String,
    /// Title, such as `Table 6`.
    pub title: String,
    /// What the columns mean.
    pub caption: String,
    /// Titles of the columns.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What kind of row it is.
    pub kind: RowKind,
    /// Its cells, as many as the header has.
    pub cells: Vec<String>,
}

/// What kind of row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Of complete runs.
    Whole,
    /// Of runs that are not complete.
    Partial,
    /// Of runs, or of tests of them, that are not there.
    Missing,
    /// Quoted from the literature.
    Quoted,
}

impl Table {
    /// The table as Markdown, with its caption.
    pub fn to_markdown(&self) -> String {
        let header: Vec<&str> = self.header.iter().map(String::as_str).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.cells.clone()).collect();
        format!("{}\n\n{}\n", render(&header, &rows, Style::Markdown), self.caption)
    }

    /// The table as CSV, with the kind of each row in front.
    pub fn to_csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer
            .write_record(std::iter::once("row").chain(self.header.iter().map(String::as_str)))?;
        for row in &self.rows {
            let kind = match row.kind {
                RowKind::Whole => "complete",
                RowKind::Partial => "partial",
                RowKind::Missing => "missing",
                RowKind::Quoted => "quoted",
            };
            writer
                .write_record(std::iter::once(kind).chain(row.cells.iter().map(String::as_str)))?;
        }
        String::from_utf8(writer.into_inner()?).context("text")
    }

    /// Writes `<folder>/<name>` as .md and .csv.
    pub fn write(&self, folder: &std::path::Path) -> Result<()> {
        let path = folder.join(&self.name);
        atomic_file::write_atomically(
            &path.with_extension("md"),
            format!("## {}\n\n{}", self.title, self.to_markdown()).as_bytes(),
        )?;
        atomic_file::write_atomically(&path.with_extension("csv"), self.to_csv()?.as_bytes())
    }
}

/// A table; the first column is text, the others are numbers.
pub fn render(header: &[&str], rows: &[Vec<String>], style: Style) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(if style == Style::Markdown {
        presets::ASCII_MARKDOWN
    } else {
        presets::NOTHING
    });
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = table.to_string();
    if style == Style::Terminal {
        return text;
    }
    // GitHub aligns a column to the right if its rule ends in a colon; the library leaves that out.
    let (first, rule_and_rows) = text.split_once("-|-").unwrap_or((&text, ""));
    let (rule, rows) = rule_and_rows.split_once('\n').unwrap_or((rule_and_rows, ""));
    format!("{first}-|-{}\n{rows}", rule.replace("-|", ":|"))
}

/// Leaves out the columns whose titles do not pass `keep`.
pub(crate) fn keep_columns(table: &mut Table, keep: impl Fn(&str) -> bool) {
    let kept: Vec<bool> = table.header.iter().map(|title| keep(title)).collect();
    let filter = |cells: &mut Vec<String>| {
        let mut kept = kept.iter();
        cells.retain(|_| *kept.next().unwrap_or(&true));
    };
    filter(&mut table.header);
    table.rows.iter_mut().for_each(|row| filter(&mut row.cells));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dataset_name::DatasetName;
    use crate::config::network_name::NetworkName;
    use crate::dataset::data::DataStatus;
    use crate::logs::curves::{EvaluationCurve, TrainingCurve};
    use crate::logs::summary::RunCurves;
    use crate::report::comparison::{Comparison, Data};
    use crate::report::format::thousands;
    use crate::report::tables::comparison::comparison;

    fn curves(network: NetworkName, seed: u64, error: f64) -> RunCurves {
        RunCurves {
            network,
            seed,
            training: TrainingCurve {
                iterations: vec![1.0, 2.0],
                errors: vec![90.0, error],
                losses: vec![2.0, 1.0],
                learning_rates: vec![0.1; 2],
            },
            test: EvaluationCurve { iterations: vec![2.0], errors: vec![error + 1.0] },
            validation: EvaluationCurve::default(),
        }
    }

    fn data(name: DatasetName) -> Data {
        Data { name, status: DataStatus::Official, classes: 10, batch_size: 128 }
    }

    #[test]
    fn the_table_shows_ours_the_papers_and_the_deviation() {
        let runs = [
            curves(NetworkName::residual(56), 0, 8.0),
            curves(NetworkName::plain(56), 0, 14.0),
            curves(NetworkName::plain(26), 0, 9.0),
        ];
        let found =
            comparison(&Comparison::new(&data(DatasetName::Cifar10), 2, &runs), Style::Markdown);
        let expected = "\
| network   | parameters | training error (last 1) | final test error | best test error | paper's test error | deviation |
|-----------|-----------:|------------------------:|-----------------:|----------------:|-------------------:|----------:|
| plain-26  |    366,938 |                  9.00 % |          10.00 % |         10.00 % |                  – |         – |
| plain-56  |    853,018 |                 14.00 % |          15.00 % |         15.00 % |          ≈ 13.50 % |   ≈ +1.50 |
| resnet-56 |    853,018 |                  8.00 % |           9.00 % |          9.00 % |             6.97 % |     +2.03 |";
        assert_eq!(found, expected);
    }

    #[test]
    fn several_seeds_give_mean_and_deviation_and_other_data_has_no_column_for_the_paper() {
        let runs = [curves(NetworkName::plain(8), 0, 10.0), curves(NetworkName::plain(8), 1, 12.0)];
        let found =
            comparison(&Comparison::new(&data(DatasetName::Shapes), 2, &runs), Style::Markdown);
        assert!(found.contains("11.00 ± 1.41 %") && !found.contains("paper"), "{found}");
    }

    #[test]
    fn long_numbers_have_separators() {
        assert_eq!(
            (thousands(12), thousands(1_234), thousands(19_421_274)),
            ("12".into(), "1,234".into(), "19,421,274".into())
        );
    }
}
