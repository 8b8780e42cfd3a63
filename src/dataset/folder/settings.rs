//! `dataset.toml` beside own images: what the data is called, and how much of it is held out. It
//! belongs to the data, so that every command on it has the same test images.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::console::escape::one_line;
use crate::error::{BadInput, bad_input};
use crate::system::regular_file;

/// Its name.
pub const FILE: &str = "dataset.toml";

/// Share of the images that is held out where the file says nothing, in percent.
const HELD_OUT_PERCENT: f64 = 10.0;

/// Longest name of data, in characters: it stands in titles.
const LONGEST_TITLE: usize = 60;

/// What own data is called, and how much of it is held out.
#[derive(Debug)]
pub struct Settings {
    /// What the data is called: in one line, without what would command a terminal.
    pub title: String,
    /// The share that the file says, in percent.
    test_percent: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    test_percent: Option<f64>,
}

impl Settings {
    /// Reads the file in `root`, if there is one.
    pub fn read(root: &Path) -> Result<Settings, BadInput> {
        let path = root.join(FILE);
        let file = match regular_file::read_to_string(&path) {
            Ok(text) => parse(&path, &text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => File::default(),
            Err(error) => return Err(bad_input(format!("{}: {error}", path.display()))),
        };
        let title = match file.name {
            Some(name) => name,
            None => folder_name(root),
        };
        Ok(Settings { title, test_percent: file.test_percent })
    }

    /// The share that is held out, in percent.
    pub fn held_out_percent(&self) -> f64 {
        self.test_percent.unwrap_or(HELD_OUT_PERCENT)
    }

    /// Refuses a share where nothing is held out, for the `reason` given.
    pub fn refuse_percent(&self, reason: &str) -> Result<(), BadInput> {
        match self.test_percent {
            None => Ok(()),
            Some(_) => Err(bad_input(format!(
                "{FILE}: test_percent: no images are held out, since {reason}: remove it"
            ))),
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<File, BadInput> {
    let refused = |reason: &str| bad_input(format!("{}: {reason}", path.display()));
    let file: File = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let reason = error.message().lines().next().unwrap_or("not TOML").to_string();
        bad_input(format!("{}:{line}: {reason}", path.display()))
    })?;
    if let Some(name) = &file.name {
        let fits = !name.trim().is_empty()
            && name.chars().count() <= LONGEST_TITLE
            && one_line(name) == name.as_str();
        if !fits {
            return Err(refused(&format!(
                "name: write 1 to {LONGEST_TITLE} characters in one line"
            )));
        }
    }
    // NaN is in no range.
    match file.test_percent {
        Some(percent) if !(percent > 0.0 && percent < 100.0) => {
            Err(refused(&format!("test_percent = {percent} is out of range: above 0, below 100")))
        }
        _ => Ok(file),
    }
}

/// The folder's own name, as far as a title has room.
fn folder_name(root: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    // "." and ".." have none.
    let found = name(root).or_else(|| name(&root.canonicalize().ok()?));
    let found = found.unwrap_or("images".to_string());
    one_line(&found).chars().take(LONGEST_TITLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        Settings::read(folder.path()).map_err(|BadInput(reason)| reason)
    }

    #[test]
    fn a_folder_is_called_what_its_file_says_or_as_itself() {
        let settings = read("name = \"My pets\"\ntest_percent = 20\n").unwrap();
        assert_eq!((settings.title.as_str(), settings.held_out_percent()), ("My pets", 20.0));
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a\u{1b}[31m\nb");
        std::fs::create_dir(&odd).unwrap();
        let settings = Settings::read(&odd).unwrap();
        assert_eq!(settings.title, "a\\u001b[31m\\nb");
        assert_eq!(settings.held_out_percent(), 10.0);
        let name = Settings::read(&odd.join("..")).unwrap().title;
        assert_eq!(Some(name.as_str()), folder.path().file_name().unwrap().to_str());
    }

    #[test]
    fn a_bad_file_is_refused_with_line_and_key() {
        for (text, part) in [
            ("\nnaem = \"x\"\n", "dataset.toml:2: unknown field `naem`"),
            ("name = 3\n", "dataset.toml:1: invalid type"),
            ("name = \"\"\n", "dataset.toml: name: "),
            ("name = \"a\\nb\"\n", "dataset.toml: name: "),
            ("test_percent = 0\n", "test_percent = 0 is out of range"),
            ("test_percent = 100.0\n", "test_percent = 100 is out of range"),
            ("test_percent = nan\n", "test_percent = NaN is out of range"),
            ("test_percent =\n", "dataset.toml:1: "),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
        }
    }
}
