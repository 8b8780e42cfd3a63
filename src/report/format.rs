//! Numbers as the report prints them.

use crate::logs::statistics::MeanStd;

/// A cell without a value.
pub(crate) const NONE: &str = "–";

/// The text of a cell, or a dash.
pub fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_string() } else { text }
}

/// "61.80 %", with "± 0.42" over several seeds, or a dash.
pub fn percent(spread: Option<MeanStd>) -> String {
    match spread {
        None => "–".to_string(),
        Some(MeanStd { mean, standard_deviation: None, .. }) => format!("{mean:.2} %"),
        Some(MeanStd { mean, standard_deviation: Some(deviation), .. }) => {
            format!("{mean:.2} ± {deviation:.2} %")
        }
    }
}

/// "8.51 ± 0.22" without a sign of percent.
pub(crate) fn bare(spread: Option<MeanStd>) -> String {
    percent(spread).replace(" %", "")
}

/// A whole number with separators: 853,018.
pub fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// "1 run", "2 runs", "12,000 runs".
pub fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {what}{ending}", thousands(count as i64))
}

/// At most five decimals: no digit that means nothing.
pub fn number(value: f64) -> String {
    ((value * 1e5).round() / 1e5).to_string()
}

/// Text for CSV that no spreadsheet takes for a formula: an apostrophe is put before one.
pub fn csv_text(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_string(),
    }
}

/// Text for a cell of a Markdown table, as it stands: no cell, tag, image or line of its own.
pub fn markdown_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' | '\\' | '`' | '[' | ']' | '*' => escaped.extend(['\\', letter]),
            '<' => escaped.push_str("&lt;"),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_others_are_plural() {
        assert_eq!(counted(0, "run"), "0 runs");
        assert_eq!(counted(1, "finished run"), "1 finished run");
        assert_eq!(counted(12_000, "image"), "12,000 images");
    }
}
