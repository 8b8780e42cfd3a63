//! Names and messages of others on a terminal: what would command it is shown, not sent.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every control character but line breaks and tabs, and every character that turns
/// the direction of writing, as `\u001b`, which is JSON's way too.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

/// The same, with line breaks and tabs too: an error is one line, whatever a name holds.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let acts = |character: char| {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        (character.is_control() || turns) && !kept(character)
    };
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' if acts(character) => out.push_str("\\n"),
            '\t' if acts(character) => out.push_str("\\t"),
            _ if acts(character) => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_is_left_and_plain_text_stays_as_it_is() {
        assert!(matches!(plain("n01/α × ✓.JPEG\n\tnext"), Cow::Borrowed(_)));
        let title = "a\x1b]0;owned\x07b\u{9b}31mc\rd\u{202e}e\u{7f}";
        assert_eq!(plain(title), "a\\u001b]0;owned\\u0007b\\u009b31mc\\u000dd\\u202ee\\u007f");
        assert_eq!(one_line("a\nb\tc"), "a\\nb\\tc");
        let json = format!("\"{}\"", plain(title));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), title);
    }
}
