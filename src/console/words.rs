//! Words as messages and captions have them.

/// "a", "a and b", "a, b and c".
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

/// The text with a capital first letter.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_listed_as_people_list_them() {
        let words = ["a", "b", "c"].map(str::to_string);
        assert_eq!(
            [0, 1, 2, 3].map(|count| listed(&words[..count])),
            ["", "a", "a and b", "a, b and c"]
        );
    }
}
