//! What stands in a cell of a table: shown to people in the field's ways of writing, and to programs
//! as bare numbers.

use crate::logs::statistics::MeanStd;
use crate::report::format::{NONE, bare, csv_text, number, thousands};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// There is nothing to say.
    Missing,
    /// Words, such as a name or a verdict.
    Text(String),
    /// A whole number: `464,154`, in CSV 464154.
    Whole(i64),
    /// A number with so many decimals.
    Number(f64, usize),
    /// The same with its sign: a deviation.
    Signed(f64, usize),
    /// `8.51 ± 0.22`; in CSV mean and standard deviation over seeds, the latter empty for one.
    Spread(MeanStd),
    /// `-1.42 [-1.90, -0.94]`; in CSV mean, low and high of the 95 % confidence interval, empty for
    /// one seed.
    Interval(MeanStd),
    /// Any other way of writing, and the fields that it has in CSV.
    Written(String, Vec<String>),
}

impl Cell {
    /// A number with two decimals, or nothing.
    pub fn error(value: Option<f64>) -> Cell {
        value.map_or(Cell::Missing, |value| Cell::Number(value, 2))
    }

    /// A mean over seeds, or nothing.
    pub fn spread(spread: Option<MeanStd>) -> Cell {
        spread.map_or(Cell::Missing, Cell::Spread)
    }

    /// Words.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Cell::Missing => NONE.to_string(),
            Cell::Text(text) | Cell::Written(text, _) => text.clone(),
            Cell::Whole(number) => thousands(*number),
            Cell::Number(value, decimals) => format!("{value:.decimals$}"),
            Cell::Signed(value, decimals) => format!("{value:+.decimals$}"),
            Cell::Spread(spread) => bare(Some(*spread)),
            Cell::Interval(spread) => {
                let interval = spread.confidence().map_or(String::new(), |half| {
                    format!(" [{:+.2}, {:+.2}]", spread.mean - half, spread.mean + half)
                });
                format!("{:+.2}{interval}", spread.mean)
            }
        }
    }

    /// For programs: nothing, or as many fields as its column has in CSV at most.
    pub fn fields(&self) -> Vec<String> {
        let optional = |value: Option<f64>| value.map_or(String::new(), number);
        match self {
            Cell::Missing => Vec::new(),
            Cell::Text(text) if text == NONE => Vec::new(),
            Cell::Text(text) => vec![csv_text(text)],
            Cell::Whole(whole) => vec![whole.to_string()],
            Cell::Number(value, _) | Cell::Signed(value, _) => vec![number(*value)],
            Cell::Spread(spread) => {
                vec![number(spread.mean), optional(spread.standard_deviation)]
            }
            Cell::Interval(spread) => {
                let half = spread.confidence();
                vec![
                    number(spread.mean),
                    optional(half.map(|half| spread.mean - half)),
                    optional(half.map(|half| spread.mean + half)),
                ]
            }
            Cell::Written(_, fields) => fields.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::format::markdown_text;

    #[test]
    fn people_read_words_and_programs_numbers() {
        let two = MeanStd::of([Some(8.0), Some(9.0)]).unwrap();
        let one = MeanStd::of([Some(8.0)]).unwrap();
        for (cell, shown, fields) in [
            (Cell::Missing, "–", vec![]),
            (Cell::Whole(464_154), "464,154", vec!["464154"]),
            (Cell::Number(7.0, 2), "7.00", vec!["7"]),
            (Cell::Signed(1.5, 2), "+1.50", vec!["1.5"]),
            (Cell::Spread(two), "8.50 ± 0.71", vec!["8.5", "0.70711"]),
            (Cell::Spread(one), "8.00", vec!["8", ""]),
            (Cell::Interval(two), "+8.50 [+2.15, +14.85]", vec!["8.5", "2.147", "14.853"]),
            (Cell::Interval(one), "+8.00", vec!["8", "", ""]),
        ] {
            assert_eq!(
                (cell.shown().as_str(), cell.fields()),
                (shown, fields.iter().map(ToString::to_string).collect::<Vec<_>>())
            );
        }
    }

    #[test]
    fn text_is_text_in_each_format() {
        assert_eq!(Cell::text("=HYPERLINK(1)").fields(), ["'=HYPERLINK(1)"]);
        assert_eq!(Cell::text("AMD EPYC").fields(), ["AMD EPYC"]);
        assert_eq!(markdown_text("a|b\n<script>![x](y)"), "a\\|b &lt;script>!\\[x\\](y)");
    }
}
