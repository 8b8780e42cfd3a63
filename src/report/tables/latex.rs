//! A table as LaTeX: booktabs' rules, siunitx's columns of numbers.

use crate::report::latex::{Source, caption, escaped, label};
use crate::report::tables::cell::Cell;
use crate::report::tables::numeral::{Content, Numeral};
use crate::report::tables::table::{Header, Row, RowKind, Table};

/// Lines that a preamble needs.
const PACKAGES: [&str; 4] = [
    "\\usepackage{booktabs}",
    "\\usepackage{siunitx}",
    "\\usepackage{array}",
    "\\usepackage{longtable}",
];

/// How numbers are set, in siunitx's words of its versions 2 and 3.
const NUMBERS: &str = "\\sisetup{group-digits=integer, group-minimum-digits=4, \
                       group-separator={,}, separate-uncertainty=true, \
                       table-align-uncertainty=false, retain-explicit-plus=true}";

/// Letters of a line in the sizes of a table, on a page whose text is 17 cm wide.
const SIZES: [(usize, &str); 2] = [
    (104, "\\small\\setlength{\\tabcolsep}{5pt}"),
    (118, "\\footnotesize\\setlength{\\tabcolsep}{4pt}"),
];

/// The same where columns of words that are wrapped would be too narrow in those.
const SMALLEST: (usize, &str) = (134, "\\scriptsize\\setlength{\\tabcolsep}{4pt}");

/// A table of so few letters a line fits into one of two columns of text.
const ONE_COLUMN: usize = 54;

/// Words that are longer are wrapped where a line is too short.
const LONGEST_UNWRAPPED: usize = 14;

/// Letters of a line of wrapped words, at least, where the table need not be in the smallest size.
const NARROW: f64 = 13.0;

/// The same in the smallest size.
const NARROWEST: f64 = 9.0;

/// Letters of a line that stay free where words are wrapped: those of numbers are wider.
const SLACK: usize = 4;

/// A table of more lines goes over several pages.
const MOST_LINES: usize = 45;

/// A column as it is set.
struct Set<'a> {
    header: &'a Header,
    contents: Vec<Content>,
    /// Letters of its longest cell or line of its header.
    letters: usize,
    /// Letters of a line, where its words are wrapped.
    wrapped: Option<f64>,
}

impl Table {
    /// The table as LaTeX, for a report's folder of this name; `subject` is what all of it is
    /// about, and `csv` the same table as CSV. Columns of details are left out.
    pub fn to_latex(&self, subject: &str, folder: &str, csv: &str) -> String {
        let mut columns: Vec<Set> = (0..self.header.len())
            .filter(|&index| !self.header[index].detail)
            .map(|index| Set::new(&self.header[index], &self.rows, index))
            .collect();
        let environment = if letters(&columns) <= ONE_COLUMN { "table" } else { "table*" };
        let (line, size) = fit(&mut columns);
        let specification: String =
            columns.iter().map(|column| column.specification(line)).collect();
        let specification = format!("@{{}}{specification}@{{}}");
        let head: Vec<String> = columns.iter().map(Set::head).collect();
        let head = format!("\\toprule\n{} \\\\\n\\midrule\n", head.join(" & "));
        let (rows, lines) = self.latex_rows(&columns);
        let title = match subject {
            "" => format!("{}.", caption(&self.title)),
            _ => format!("{}. {}.", caption(&self.title), escaped(subject)),
        };
        let label = label("tab", folder, &self.name);
        let left_out: Vec<&str> = self
            .header
            .iter()
            .filter(|column| column.detail)
            .map(|column| column.title.as_str())
            .collect();
        let left_out = match left_out.is_empty() {
            true => String::new(),
            false => format!(" Left out here: {}.", escaped(&left_out.join(", "))),
        };
        let note = format!("{}{left_out}", escaped(&self.caption));
        let body = if lines > MOST_LINES {
            format!(
                "\\begingroup\n{size}\n{NUMBERS}\n\\setlength{{\\LTcapwidth}}{{\\linewidth}}\n\
                 \\let\\reporttable\\tablename\\def\\tablename{{\\normalsize\\reporttable}}\n\
                 \\begin{{longtable}}{{{specification}}}\n\
                 \\caption{{{title}}}\\label{{{label}}}\\\\\n{head}\\endfirsthead\n\
                 {head}\\endhead\n\\bottomrule\n\\endfoot\n{rows}\\end{{longtable}}\n\
                 \\noindent {note}\\par\n\\endgroup\n"
            )
        } else {
            format!(
                "\\begin{{{environment}}}[htbp]\n\\centering\n{size}\n{NUMBERS}\n\
                 \\caption{{{title}}}\\label{{{label}}}\n\\smallskip\n\
                 \\begin{{tabular}}{{{specification}}}\n{head}{rows}\\bottomrule\n\
                 \\end{{tabular}}\n\\par\\medskip\n\
                 \\begin{{minipage}}{{\\linewidth}}\\footnotesize {note}\\end{{minipage}}\n\
                 \\end{{{environment}}}\n"
            )
        };
        let file = format!("{}.csv", self.name);
        Source { title: &self.title, data: (&file, csv), packages: &PACKAGES, body: &body }.text()
    }

    /// The rows, with a rule below those quoted from the literature; and how many lines they are.
    fn latex_rows(&self, columns: &[Set]) -> (String, usize) {
        let (mut text, mut lines) = (String::new(), 0);
        for (index, row) in self.rows.iter().enumerate() {
            let quoted = |row: &Row| row.kind == RowKind::Quoted;
            if index > 0 && quoted(&self.rows[index - 1]) && !quoted(row) {
                text.push_str("\\midrule\n");
            }
            let cells: Vec<String> = columns.iter().map(|column| column.cell(index)).collect();
            text.push_str(&format!("{} \\\\\n", cells.join(" & ")));
            lines += columns.iter().map(|column| column.lines(index)).max().unwrap_or(1);
        }
        (text, lines)
    }
}

/// Wraps words where a line would be too long. Returns the letters of a line, and the size.
fn fit(columns: &mut [Set]) -> (f64, &'static str) {
    let total = letters(columns);
    if let Some((line, size)) = SIZES.into_iter().find(|(line, _)| total <= *line) {
        return (line as f64, size);
    }
    let is_long = |column: &Set| column.is_words() && column.letters > LONGEST_UNWRAPPED;
    let fixed: usize =
        columns.iter().map(|column| if is_long(column) { 2 } else { column.letters + 2 }).sum();
    let weight = |column: &Set| (column.mean_length() as f64).sqrt();
    let weights: f64 = columns.iter().filter(|column| is_long(column)).map(weight).sum();
    let share = |line: usize, column: &Set| {
        line.saturating_sub(fixed + SLACK) as f64 * weight(column) / weights
    };
    let [.., usual] = SIZES;
    let is_narrow = columns
        .iter()
        .filter(|column| is_long(column))
        .any(|column| share(usual.0, column) < NARROW);
    let (line, size) = if is_narrow { SMALLEST } else { usual };
    for column in columns.iter_mut().filter(|column| is_long(column)) {
        let most = (column.letters as f64 + 1.0).max(NARROWEST);
        column.wrapped = Some(share(line, column).clamp(NARROWEST, most));
    }
    (line as f64, size)
}

/// Letters of a line, with the gaps between the columns.
fn letters(columns: &[Set]) -> usize {
    columns.iter().map(|column| column.letters + 2).sum()
}

impl<'a> Set<'a> {
    fn new(header: &'a Header, rows: &[Row], index: usize) -> Set<'a> {
        let is_whole = rows.iter().any(|row| matches!(row.cells[index], Cell::Whole(_)));
        let content = |row: &Row| match Content::of(&row.cells[index]) {
            // "2.5M" among whole numbers.
            Content::Number(numeral) if is_whole && !numeral.decimals.is_empty() => {
                Content::Words(row.cells[index].shown())
            }
            content => content,
        };
        let contents: Vec<Content> = rows.iter().map(content).collect();
        let cells = rows.iter().map(|row| row.cells[index].shown().chars().count());
        let longest = cells.max().unwrap_or(0);
        let mut column = Set { header, contents, letters: longest, wrapped: None };
        let lines = column.header_lines();
        column.letters = lines.iter().map(|line| line.chars().count()).fold(longest, usize::max);
        column
    }

    /// Whether it has no number: its cells start at its left edge.
    fn is_words(&self) -> bool {
        self.header.words || self.numerals().next().is_none()
    }

    fn numerals(&self) -> impl Iterator<Item = &Numeral> {
        self.contents.iter().filter_map(|content| match content {
            Content::Number(numeral) => Some(numeral),
            Content::Missing | Content::Words(_) => None,
        })
    }

    fn has_intervals(&self) -> bool {
        self.numerals().any(|numeral| numeral.interval.is_some())
    }

    /// Letters of a cell, in the mean; of short cells beside a long one half of the longest.
    fn mean_length(&self) -> usize {
        let words = self.contents.iter().map(|content| match content {
            Content::Words(words) => words.chars().count(),
            Content::Missing | Content::Number(_) => 1,
        });
        (words.sum::<usize>() / self.contents.len().max(1)).max(self.letters / 2)
    }

    /// A title in one line, or in two where it is longer than the cells.
    fn header_lines(&self) -> Vec<&'a str> {
        let title = self.header.title.as_str();
        let length = title.chars().count();
        let spaces = title.match_indices(' ').map(|(at, _)| at);
        match spaces.min_by_key(|&at| at.abs_diff(title.len() / 2)) {
            Some(at) if length > self.letters.max(6) => vec![&title[..at], &title[at + 1..]],
            _ => vec![title],
        }
    }

    fn head(&self) -> String {
        let lines: Vec<String> = self.header_lines().into_iter().map(escaped).collect();
        let edge = if self.is_words() { "l" } else { "c" };
        let title = match &lines[..] {
            [line] => line.clone(),
            lines => format!("\\shortstack[{edge}]{{{}}}", lines.join("\\\\")),
        };
        match (self.has_intervals(), self.is_words()) {
            (true, _) => format!("\\multicolumn{{2}}{{c}}{{{title}}}"),
            (false, true) => title,
            (false, false) => format!("{{{title}}}"),
        }
    }

    /// What `tabular` is told about it; `line` is how many letters a line has.
    fn specification(&self, line: f64) -> String {
        if let Some(letters) = self.wrapped {
            let part = letters / line;
            return format!(">{{\\raggedright\\arraybackslash}}p{{{part:.3}\\linewidth}}");
        }
        if self.is_words() {
            let is_empty = self.contents.iter().all(|content| *content == Content::Missing);
            return if is_empty && !self.header.words { "c" } else { "l" }.to_string();
        }
        let most = |of: &dyn Fn(&Numeral) -> usize| self.numerals().map(of).max().unwrap_or(0);
        let longest = |of: &dyn Fn(&Numeral) -> String| {
            self.numerals().map(of).max_by_key(String::len).unwrap_or_default()
        };
        let whole = most(&|numeral| numeral.whole.len());
        let decimals = most(&|numeral| numeral.decimals.len());
        // siunitx counts a deviation in units of the last decimal.
        let deviation = most(&|numeral| {
            let digits = numeral.deviation.as_ref().map(|deviation| deviation.replace('.', ""));
            digits.map_or(0, |digits| digits.trim_start_matches('0').len().max(1))
        });
        let sign = if self.numerals().any(|numeral| numeral.sign.is_some()) { "+" } else { "" };
        let deviation = if deviation > 0 { format!("({deviation})") } else { String::new() };
        let mut options = format!("table-format={sign}{whole}.{decimals}{deviation}");
        for (key, text) in [
            ("pre", longest(&|numeral| numeral.before.clone())),
            ("post", longest(&|numeral| numeral.after.clone())),
        ] {
            if !text.is_empty() {
                options.push_str(&format!(", table-space-text-{key}={{{text}}}"));
            }
        }
        let interval = if self.has_intervals() { "@{\\,}r" } else { "" };
        format!("S[{options}]{interval}")
    }

    fn cell(&self, row: usize) -> String {
        let words = |words: &str| match self.wrapped {
            Some(_) => escaped(words).replace('/', "/\\allowbreak{}"),
            None => escaped(words),
        };
        let next = if self.has_intervals() { " & " } else { "" };
        match &self.contents[row] {
            Content::Missing if self.is_words() => "--".to_string(),
            Content::Missing => format!("{{--}}{next}"),
            Content::Words(text) if self.is_words() => words(text),
            Content::Words(text) => format!("\\multicolumn{{1}}{{r}}{{{}}}{next}", words(text)),
            Content::Number(numeral) if self.is_words() => numeral.digits(),
            Content::Number(numeral) => {
                let braced = |text: &str| match text {
                    "" => String::new(),
                    text => format!("{{{text}}}"),
                };
                let interval = match &numeral.interval {
                    Some(interval) => format!("{next}{interval}"),
                    None => next.to_string(),
                };
                let (before, after) = (braced(&numeral.before), braced(&numeral.after));
                format!("{before}{}{after}{interval}", numeral.digits())
            }
        }
    }

    /// How many lines a cell takes.
    fn lines(&self, row: usize) -> usize {
        match (&self.contents[row], self.wrapped) {
            (Content::Words(words), Some(letters)) => {
                (words.chars().count() as f64 / letters).ceil() as usize
            }
            _ => 1,
        }
    }
}
