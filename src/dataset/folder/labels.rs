//! `labels.csv`: the class of each image of a folder, and optionally its split.

use std::collections::{BTreeSet, HashMap};
use std::fs::DirEntry;
use std::path::{Component, Path};

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::dataset::imagenet::listing::entry::{Found, Listing};
use crate::dataset::imagenet::listing::folders;
use crate::error::{BadInput, bad_input};
use crate::system::regular_file;

/// Its name.
pub const FILE: &str = "labels.csv";

/// Its columns; the last may be missing.
const COLUMNS: [&str; 3] = ["file", "label", "split"];

/// Values of `split`; all but the first are test images.
const SPLITS: [&str; 4] = ["train", "val", "validation", "test"];

/// Images as the list has them.
pub struct Labelled {
    /// Those to train on; all, where the list has no column `split`.
    pub train: Listing,
    /// Those to test on, where the list has a column `split`.
    pub test: Option<Listing>,
}

/// A row of the list.
struct Row {
    line: u64,
    file: String,
    label: String,
    is_test: bool,
}

/// Reads the list in `root`.
///
/// # Errors
/// The line, and what is wrong with it; images in class folders that the list knows nothing of.
pub fn read(root: &Path) -> Result<Labelled, BadInput> {
    let path = root.join(FILE);
    let at = |line: u64, reason: &str| bad_input(format!("{}:{line}: {reason}", path.display()));
    let text = regular_file::read_to_string(&path)
        .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    let (rows, has_split) = rows(&text).map_err(|(line, reason)| at(line, &reason))?;
    let mut checked = BTreeSet::new();
    let (mut files, mut names) = (HashMap::new(), HashMap::new());
    let (mut train, mut test) = (Listing::default(), Listing::default());
    for row in &rows {
        let found = found(root, row, &mut checked).map_err(|reason| at(row.line, &reason))?;
        if let Some(before) = files.insert(&row.file, row.line) {
            return Err(at(row.line, &format!("{}: is in line {before} already", row.file)));
        }
        // x/a.jpg in class x, and a.jpg in class x beside it.
        if let Some(before) = names.insert(found.name.clone(), row.line) {
            let reason = format!(
                "{}: its name within its class is that of line {before}: rename the file",
                row.file
            );
            return Err(at(row.line, &reason));
        }
        if row.is_test { &mut test } else { &mut train }.images.push(found);
    }
    refuse_class_folders(root, &rows)?;
    // As the class folders are read.
    let order = |one: &Found, other: &Found| Path::new(&one.name).cmp(Path::new(&other.name));
    train.images.sort_by(order);
    test.images.sort_by(order);
    Ok(Labelled { train, test: has_split.then_some(test) })
}

/// The rows, and whether they have a split. An error has its line.
fn rows(text: &str) -> Result<(Vec<Row>, bool), (u64, String)> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
    let damaged = |error: csv::Error| {
        let line = error.position().map_or(1, |position| position.line());
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                (line, format!("{len} values, but the header has {expected_len}"))
            }
            _ => (line, error.to_string()),
        }
    };
    let [file, label, split] = columns(reader.headers().map_err(damaged)?)?;
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(damaged)? {
        let line = record.position().map_or(0, |position| position.line());
        let value = |column: Option<usize>| column.map_or("", |column| &record[column]);
        let (file, label) = (value(file), value(label));
        let file = relative(file).map_err(|reason| (line, reason))?;
        let label = checked_label(label).map_err(|reason| (line, reason))?;
        let is_test = match (split, value(split)) {
            (None, _) => false,
            (_, value) if SPLITS.contains(&value) => value != SPLITS[0],
            (_, value) => {
                let reason = format!("split \"{value}\": write one of {}", SPLITS.join(", "));
                return Err((line, reason));
            }
        };
        rows.push(Row { line, file, label, is_test });
    }
    match rows.is_empty() {
        true => Err((1, "there are no images in it".to_string())),
        false => Ok((rows, split.is_some())),
    }
}

/// Where each of [`COLUMNS`] stands.
fn columns(header: &StringRecord) -> Result<[Option<usize>; 3], (u64, String)> {
    let known = "the columns are file, label and, if you like, split";
    for (position, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name) {
            return Err((1, format!("unknown column \"{name}\": {known}")));
        }
        if header.iter().take(position).any(|other| other == name) {
            return Err((1, format!("the column {name} is there twice: {known}")));
        }
    }
    let places = COLUMNS.map(|name| header.iter().position(|column| column == name));
    match places.iter().zip(COLUMNS).take(2).find(|(place, _)| place.is_none()) {
        Some((_, missing)) => Err((1, format!("the column {missing} is missing: {known}"))),
        None => Ok(places),
    }
}

/// A path below the folder, without `.` in it.
fn relative(file: &str) -> Result<String, String> {
    if file.is_empty() {
        return Err("the name of the file is empty".to_string());
    }
    let mut parts = Vec::new();
    for component in Path::new(file).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            _ => {
                return Err(format!("{file}: leads out of the folder: write a path below it"));
            }
        }
    }
    match (file.contains(char::is_control), folders::is_image(Path::new(file))) {
        (true, _) => Err(format!("{file}: a control character in the name: rename the file")),
        (_, false) => Err(format!("{file}: not named as an image (.jpg, .jpeg, .png)")),
        _ => Ok(parts.join("/")),
    }
}

fn checked_label(label: &str) -> Result<String, String> {
    match label {
        "" => Err("the label is empty".to_string()),
        _ if label.contains('/') || label.contains(char::is_control) => {
            Err(format!("label \"{label}\": write it without / and control characters"))
        }
        _ => Ok(label.to_string()),
    }
}

/// The image of a row: it has the name that it has in class folders.
fn found(root: &Path, row: &Row, checked: &mut BTreeSet<String>) -> Result<Found, String> {
    let Row { file, label, .. } = row;
    check_folders(root, file, checked)?;
    let metadata =
        std::fs::metadata(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{file}: it is no regular file"));
    }
    let in_class = file.split_once('/').is_some_and(|(folder, _)| folder == label);
    let name = if in_class { file.clone() } else { format!("{label}/{file}") };
    Ok(Found { name, length: metadata.len(), place: None, file: Some(file.clone()) })
}

/// Refuses a path through a link to a folder, as class folders do.
fn check_folders(root: &Path, file: &str, checked: &mut BTreeSet<String>) -> Result<(), String> {
    for (end, _) in file.match_indices('/') {
        let folder = &file[..end];
        if checked.contains(folder) {
            continue;
        }
        if root.join(folder).is_symlink() {
            return Err(format!(
                "{file}: {folder} is a link to a folder, which may lead out of this one: remove it, or put the images there in its place"
            ));
        }
        checked.insert(folder.to_string());
    }
    Ok(())
}

/// Refuses folders with images that no row names: they may be class folders, and the list of other
/// images.
fn refuse_class_folders(root: &Path, rows: &[Row]) -> Result<(), BadInput> {
    let named: BTreeSet<&str> =
        rows.iter().filter_map(|row| Some(row.file.split_once('/')?.0)).collect();
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let holds_images =
        |folder: &Path| entries(folder).any(|entry| folders::is_image(&entry.path()));
    let is_class_folder = |entry: &DirEntry| {
        let path = entry.path();
        let inner = || entries(&path).any(|inner| holds_images(&inner.path()));
        path.is_dir() && (holds_images(&path) || inner())
    };
    let unnamed = |entry: &DirEntry| {
        let name = entry.file_name();
        !name.as_encoded_bytes().starts_with(b".")
            && name.to_str().is_none_or(|name| !named.contains(name))
    };
    let mut found: Vec<String> = entries(root)
        .filter(|entry| unnamed(entry) && is_class_folder(entry))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    match found.first() {
        None => Ok(()),
        Some(folder) => Err(bad_input(format!(
            "{root}: both {FILE} and folders of images that it does not list, such as {folder}/: remove one of them, or list these images too",
            root = root.display()
        ))),
    }
}
