//! A cell of a LaTeX table as siunitx takes it: a number, with what stands before and after it.

use crate::report::format::NONE;
use crate::report::latex::escaped;
use crate::report::tables::cell::Cell;

/// What may stand before a number.
const MARKS: [(&str, &str); 3] = [("≈ ", "$\\approx$\\,"), ("> ", "$>$\\,"), ("< ", "$<$\\,")];

/// A number as it is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Numeral {
    /// In LaTeX, before it.
    pub before: String,
    /// `+` or `-`, where it is shown.
    pub sign: Option<char>,
    /// Digits before the point, without separators.
    pub whole: String,
    /// Digits behind it.
    pub decimals: String,
    /// The deviation behind `±`, with as many decimals.
    pub deviation: Option<String>,
    /// In LaTeX, after it.
    pub after: String,
    /// In LaTeX, the ends of its confidence interval.
    pub interval: Option<String>,
}

/// What a cell holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Missing,
    Words(String),
    Number(Numeral),
}

impl Content {
    /// That of `cell`.
    pub fn of(cell: &Cell) -> Content {
        let read = |text: &str| Numeral::read(text);
        let found = match cell {
            Cell::Missing => return Content::Missing,
            Cell::Text(text) if text == NONE || text.is_empty() => return Content::Missing,
            Cell::Text(_) => None,
            Cell::Spread(spread) => read(&format!("{:.2}", spread.mean)).map(|numeral| Numeral {
                deviation: spread.standard_deviation.map(|deviation| format!("{deviation:.2}")),
                ..numeral
            }),
            Cell::Interval(spread) => {
                read(&format!("{:+.2}", spread.mean)).map(|numeral| Numeral {
                    interval: spread.confidence().map(|half| {
                        let (low, high) = (spread.mean - half, spread.mean + half);
                        format!("{{[}}${low:+.2}$, ${high:+.2}${{]}}")
                    }),
                    ..numeral
                })
            }
            Cell::Whole(_) | Cell::Number(..) | Cell::Signed(..) | Cell::Written(..) => {
                read(&cell.shown())
            }
        };
        found.map_or_else(|| Content::Words(cell.shown()), Content::Number)
    }
}

impl Numeral {
    /// `≈ +18.83`, `269,722`, `14 %` and the like; none if no number stands at the beginning.
    fn read(text: &str) -> Option<Numeral> {
        let mark = MARKS.iter().find_map(|(mark, latex)| Some((text.strip_prefix(mark)?, *latex)));
        let (text, before) = mark.unwrap_or((text, ""));
        let sign = text.chars().next().filter(|first| matches!(first, '+' | '-'));
        let text = &text[sign.map_or(0, char::len_utf8)..];
        let end_of_whole = text.find(|letter: char| !letter.is_ascii_digit() && letter != ',');
        let (whole, rest) = text.split_at(end_of_whole.unwrap_or(text.len()));
        let (decimals, after) = match rest.strip_prefix('.') {
            Some(rest) => {
                let end = rest.find(|letter: char| !letter.is_ascii_digit());
                rest.split_at(end.unwrap_or(rest.len()))
            }
            None => ("", rest),
        };
        whole.starts_with(|first: char| first.is_ascii_digit()).then(|| Numeral {
            before: before.to_string(),
            sign,
            whole: whole.replace(',', ""),
            decimals: decimals.to_string(),
            after: match after.strip_prefix(' ') {
                Some(after) => format!("\\,{}", escaped(after)),
                None => escaped(after),
            },
            ..Numeral::default()
        })
    }

    /// As siunitx reads it.
    pub fn digits(&self) -> String {
        let sign = self.sign.map_or(String::new(), String::from);
        let point = if self.decimals.is_empty() { "" } else { "." };
        let deviation =
            self.deviation.as_ref().map_or(String::new(), |deviation| format!(" +- {deviation}"));
        format!("{sign}{}{point}{}{deviation}", self.whole, self.decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::statistics::MeanStd;

    #[test]
    fn a_number_is_read_with_what_stands_around_it() {
        for (text, before, digits, after) in [
            ("≈ +18.83", "$\\approx$\\,", "+18.83", ""),
            ("> 60", "$>$\\,", "60", ""),
            ("1,727,962", "", "1727962", ""),
            ("2.5M", "", "2.5", "M"),
            ("14 %", "", "14", "\\,\\%"),
            ("6.43 (6.61 ± 0.16)", "", "6.43", "\\,(6.61 $\\pm$ 0.16)"),
        ] {
            let cell = Cell::Written(text.to_string(), Vec::new());
            let Content::Number(numeral) = Content::of(&cell) else { panic!("{text}") };
            let found = (numeral.before.as_str(), numeral.digits(), numeral.after.as_str());
            assert_eq!(found, (before, digits.to_string(), after), "{text}");
        }
    }

    #[test]
    fn deviations_belong_to_the_number_and_words_are_none() {
        let two = MeanStd::of([Some(8.0), Some(9.0)]).unwrap();
        let digits = |cell| match Content::of(&cell) {
            Content::Number(numeral) => numeral.digits(),
            other => panic!("{other:?}"),
        };
        assert_eq!(digits(Cell::Spread(two)), "8.50 +- 0.71");
        assert_eq!(digits(Cell::Interval(two)), "+8.50");
        assert_eq!(Content::of(&Cell::Number(f64::NAN, 2)), Content::Words("NaN".into()));
        assert_eq!(Content::of(&Cell::text("–")), Content::Missing);
        assert_eq!(Content::of(&Cell::text("20 layers")), Content::Words("20 layers".into()));
    }
}
