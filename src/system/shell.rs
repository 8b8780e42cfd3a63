//! Words as a shell reads them.

use std::borrow::Cow;

/// `word` so that bash takes it as one word, as it stands. On one line, whatever it holds.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "%+,-./:=@_".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    if !word.chars().any(char::is_control) {
        return Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")));
    }
    let letter = |letter: char| match letter {
        '\'' | '\\' => format!("\\{letter}"),
        letter if letter.is_ascii_control() => format!("\\x{:02x}", u32::from(letter)),
        letter if letter.is_control() => format!("\\u{:04x}", u32::from(letter)),
        letter => letter.to_string(),
    };
    Cow::Owned(format!("$'{}'", word.chars().map(letter).collect::<String>()))
}

/// A command of these words.
pub fn command<Word: AsRef<str>>(words: &[Word]) -> String {
    words.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn bash_reads_every_word_as_it_was() {
        let words = [
            "plain-8", "a b", "", "it's", "$HOME", "`id`", "a\\b", "\"", "*", "~", "!x", "a\nb",
            "tab\t'\\", "a;b", "é", "#", "--x=1", "\u{7f}1", "\u{85}2",
        ];
        let script = format!("printf '%s\\0' {}", command(&words));
        assert!(!script.contains('\n'));
        let output =
            Command::new("bash").env("LC_ALL", "C.UTF-8").args(["-c", &script]).output().unwrap();
        let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        assert_eq!(
            command(&["ls", "-l", "/a/b_c.d"]),
            "ls -l /a/b_c.d",
            "what needs none has none"
        );
    }
}
