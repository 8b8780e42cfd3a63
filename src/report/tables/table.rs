//! Tables for the terminal and for Markdown.

use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, presets};

use crate::report::format::markdown_text;
use crate::report::tables::cell::Cell;
use crate::system::atomic_file;

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Lines of a terminal.
    Terminal,
    /// GitHub's Markdown.
    Markdown,
}

/// A column that a table of rows `R` declares.
pub struct Column<'a, R> {
    title: String,
    fields: Vec<String>,
    words: bool,
    shown: bool,
    detail: bool,
    cell: Box<dyn Fn(&R) -> Cell + 'a>,
}

impl<'a, R> Column<'a, R> {
    /// A column of numbers. `fields` are what CSV calls the fields of its cells.
    pub fn new(
        title: impl Into<String>,
        fields: &[&str],
        cell: impl Fn(&R) -> Cell + 'a,
    ) -> Column<'a, R> {
        Column {
            title: title.into(),
            fields: fields.iter().map(ToString::to_string).collect(),
            words: false,
            shown: true,
            detail: false,
            cell: Box::new(cell),
        }
    }

    /// A column of words, of one field of the same name.
    pub fn words(title: &str, cell: impl Fn(&R) -> String + 'a) -> Column<'a, R> {
        let cell = move |row: &R| Cell::Text(cell(row));
        Column { words: true, ..Column::new(title, &[&title.replace(' ', "_")], cell) }
    }

    /// The same, shown only on a condition.
    pub fn only_if(self, shown: bool) -> Column<'a, R> {
        Column { shown, ..self }
    }

    /// The same as a detail: for those who check, not for a paper's page.
    pub fn detail(self) -> Column<'a, R> {
        Column { detail: true, ..self }
    }
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
    /// The columns that are shown.
    pub header: Vec<Header>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What stands above a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Its title, for people.
    pub title: String,
    /// The fields that it has in CSV.
    pub fields: Vec<String>,
    /// Whether its cells are words, which start at its left edge.
    pub words: bool,
    /// Whether it is left out of LaTeX.
    pub detail: bool,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What kind of row it is.
    pub kind: RowKind,
    /// Its cells, as many as the header has.
    pub cells: Vec<Cell>,
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
    /// Of a run that another one of the same network, seed and recipe stands for.
    LeftOut,
}

impl Table {
    /// The table of `rows` in the `columns` that are shown.
    pub fn new<R>(
        (name, title): (&str, &str),
        caption: impl Into<String>,
        columns: Vec<Column<R>>,
        rows: &[(RowKind, R)],
    ) -> Table {
        let columns: Vec<Column<R>> = columns.into_iter().filter(|column| column.shown).collect();
        let cells = |row: &R| columns.iter().map(|column| (column.cell)(row)).collect();
        Table {
            name: name.to_string(),
            title: title.to_string(),
            caption: caption.into(),
            rows: rows.iter().map(|(kind, row)| Row { kind: *kind, cells: cells(row) }).collect(),
            header: columns
                .iter()
                .map(|column| Header {
                    title: column.title.clone(),
                    fields: column.fields.clone(),
                    words: column.words,
                    detail: column.detail,
                })
                .collect(),
        }
    }

    /// The table for the terminal or as Markdown, without its caption.
    pub fn render(&self, style: Style) -> String {
        let shown = |cell: &Cell| match style {
            Style::Terminal => cell.shown(),
            Style::Markdown => markdown_text(&cell.shown()),
        };
        let header: Vec<&str> = self.header.iter().map(|column| column.title.as_str()).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.cells.iter().map(shown).collect()).collect();
        render(&header, &rows, style)
    }

    /// The table as Markdown, with its caption.
    pub fn to_markdown(&self) -> String {
        format!("{}\n\n{}\n", self.render(Style::Markdown), self.caption)
    }

    /// The table as CSV: the kind of each row (`complete`, `partial`, `missing`, `quoted`,
    /// `left-out`), then each column's fields. Numbers are bare numbers; what is not there is empty.
    pub fn to_csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let fields = self.header.iter().flat_map(|column| &column.fields);
        writer.write_record(std::iter::once("row").chain(fields.map(String::as_str)))?;
        for row in &self.rows {
            let kind = match row.kind {
                RowKind::Whole => "complete",
                RowKind::Partial => "partial",
                RowKind::Missing => "missing",
                RowKind::Quoted => "quoted",
                RowKind::LeftOut => "left-out",
            };
            let mut record = vec![kind.to_string()];
            for (column, cell) in self.header.iter().zip(&row.cells) {
                let mut fields = cell.fields();
                fields.resize(column.fields.len(), String::new());
                record.extend(fields);
            }
            writer.write_record(record)?;
        }
        String::from_utf8(writer.into_inner()?).context("text")
    }

    /// Writes `<folder>/<name>` as .md, .csv and .tex; `subject` is what all of it is about.
    pub fn write(&self, folder: &Path, subject: &str) -> Result<()> {
        atomic_file::write_atomically(
            &folder.join(&self.name).with_extension("md"),
            format!("## {}\n\n{}", self.title, self.to_markdown()).as_bytes(),
        )?;
        self.write_data(folder, subject)
    }

    /// Writes `<folder>/<name>` as .csv and .tex, where its text is part of something else.
    pub fn write_data(&self, folder: &Path, subject: &str) -> Result<()> {
        let path = folder.join(&self.name);
        let csv = self.to_csv()?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let latex = self.to_latex(subject, &name, &csv);
        atomic_file::write_atomically(&path.with_extension("tex"), latex.as_bytes())?;
        atomic_file::write_atomically(&path.with_extension("csv"), csv.as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::statistics::MeanStd;
    use crate::report::format::thousands;

    #[test]
    fn columns_that_are_not_shown_are_in_no_format_and_csv_has_bare_numbers() {
        let columns = vec![
            Column::words("machine", |row: &(&str, i64)| row.0.to_string()),
            Column::new("parameters", &["parameters"], |row: &(&str, i64)| Cell::Whole(row.1)),
            Column::new("error (%)", &["mean", "std"], |_| {
                Cell::spread(MeanStd::of([Some(1.0), Some(3.0)]))
            }),
            Column::new("secret", &["secret"], |_| Cell::Whole(0)).only_if(false),
        ];
        let rows = [(RowKind::Whole, ("=1|<b>", 464_154))];
        let table = Table::new(("name", "Title"), "Caption.", columns, &rows);
        assert_eq!(
            table.to_csv().unwrap(),
            "row,machine,parameters,mean,std\ncomplete,'=1|<b>,464154,2,1.41421\n"
        );
        let markdown = table.to_markdown();
        assert!(markdown.contains("| =1\\|&lt;b> |    464,154 | 2.00 ± 1.41 |"), "{markdown}");
    }

    #[test]
    fn long_numbers_have_separators() {
        assert_eq!(
            (thousands(12), thousands(1_234), thousands(19_421_274)),
            ("12".into(), "1,234".into(), "19,421,274".into())
        );
    }
}
