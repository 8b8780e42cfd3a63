//! Terminals that cannot show all of Unicode: other signs for what is printed there.

use std::borrow::Cow;
use std::sync::LazyLock;

/// The signs that messages and tables have beyond ASCII, and what stands for them.
const SIGNS: [(char, &str); 22] = [
    ('×', "x"),
    ('·', "*"),
    ('–', "-"),
    ('—', "-"),
    ('−', "-"),
    ('…', "..."),
    ('→', "->"),
    ('←', "<-"),
    ('±', "+/-"),
    ('≈', "~"),
    ('≤', "<="),
    ('≥', ">="),
    ('√', "sqrt "),
    ('²', "^2"),
    ('✓', "ok"),
    ('✗', "--"),
    ('“', "\""),
    ('”', "\""),
    ('’', "'"),
    ('é', "e"),
    ('━', "="),
    ('─', "-"),
];

static UNICODE: LazyLock<bool> = LazyLock::new(|| {
    is_unicode(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
});

/// Whether the locale's characters are Unicode's.
pub fn unicode() -> bool {
    *UNICODE
}

/// As POSIX has it, the first of the three variables that is set and not empty decides.
fn is_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The text with ASCII in place of [`SIGNS`]; names of others stay as they are.
pub fn ascii(text: &str) -> Cow<'_, str> {
    let stands_for = |sign: char| SIGNS.iter().find(|(known, _)| *known == sign);
    if text.is_ascii() || !text.chars().any(|sign| stands_for(sign).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match stands_for(sign) {
            Some((_, plain)) => out.push_str(plain),
            None => out.push(sign),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let with = |set: &'static [(&str, &str)]| {
            is_unicode(move |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
            })
        };
        assert!(with(&[("LANG", "en_US.UTF-8")]) && with(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]) && !with(&[]));
        assert!(!with(&[("LC_CTYPE", "POSIX"), ("LANG", "de_DE.UTF-8")]));
    }

    #[test]
    fn signs_have_ascii_in_their_place_and_names_stay() {
        assert_eq!(
            ascii("3×3 … 8.75 ± 0.2 %, ✓ n01/α.JPEG"),
            "3x3 ... 8.75 +/- 0.2 %, ok n01/α.JPEG"
        );
        assert!(matches!(ascii("n01/α.JPEG"), Cow::Borrowed(_)));
    }
}
