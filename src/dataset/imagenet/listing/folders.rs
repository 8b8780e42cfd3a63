//! Class folders of images: `train/<class>/*.JPEG`, as torchvision's ImageFolder reads them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::dataset::imagenet::listing::entry::{Found, Listing};
use crate::error::{BadInput, bad_input};

/// Endings of images' names, in lower case.
const ENDINGS: [&str; 3] = ["jpeg", "jpg", "png"];

/// Threads that list folders: waiting for a disk or a network takes no CPU.
const LISTERS: usize = 8;

/// The class folders in a split's folder, sorted by name.
pub fn classes(folder: &Path) -> Result<Vec<PathBuf>, BadInput> {
    let entries = entries(folder)?;
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.into_iter().partition(|path| path.is_dir());
    let count = files.iter().filter(|path| is_image(path)).count();
    match (folders.is_empty(), count) {
        (true, 0) => Err(bad_input(format!(
            "{}: there are no class folders in it (as {}/n01440764/…)",
            folder.display(),
            folder.display()
        ))),
        (true, _) => Err(bad_input(format!(
            "{}: its images ({count}) are in no class folders: put each into the folder of its class (as {}/n01440764/ILSVRC2012_val_00000293.JPEG)",
            folder.display(),
            folder.display()
        ))),
        (false, 0) => {
            check_links(folder, &folders)?;
            Ok(folders)
        }
        (false, _) => Err(bad_input(format!(
            "{}: images beside the class folders ({count}), such as {}: put each into the folder of its class",
            folder.display(),
            files
                .iter()
                .find(|path| is_image(path))
                .map_or(String::new(), |path| path.display().to_string())
        ))),
    }
}

/// Refuses class folders that are links into each other, or to a folder that holds them: an image
/// would be counted under two classes.
fn check_links(folder: &Path, class_folders: &[PathBuf]) -> Result<(), BadInput> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|error| bad_input(format!("{}: {error}", path.display())))
    };
    let root = real(folder)?;
    let mut places = Vec::with_capacity(class_folders.len());
    for class in class_folders {
        // Most are no links: the system is asked for those that are.
        let place = match (class.is_symlink(), class.file_name()) {
            (false, Some(name)) => root.join(name),
            _ => real(class)?,
        };
        if root.starts_with(&place) {
            return Err(bad_input(format!(
                "{}: a link to {}, which holds all classes: remove it",
                class.display(),
                place.display()
            )));
        }
        places.push((place, class));
    }
    places.sort();
    match places.windows(2).find(|pair| pair[1].0.starts_with(&pair[0].0)) {
        Some([(_, one), (_, other)]) => Err(bad_input(format!(
            "{} and {}: links to the same images, which would be of two classes: remove one",
            one.display(),
            other.display()
        ))),
        _ => Ok(()),
    }
}

/// All images below the class folders of `folder`, in the order of their names.
pub fn list(folder: &Path, class_folders: &[PathBuf]) -> Result<Listing> {
    let share = class_folders.len().div_ceil(LISTERS).max(1);
    let parts: Vec<Result<Listing, BadInput>> = std::thread::scope(|scope| {
        let threads: Vec<_> = class_folders
            .chunks(share)
            .map(|part| scope.spawn(move || list_part(folder, part)))
            .collect();
        let lost =
            |_| Err(bad_input(format!("{}: a thread that listed it failed", folder.display())));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
    });
    let mut listing = Listing::default();
    for part in parts {
        let part = part?;
        listing.images.extend(part.images);
        listing.others.extend(part.others);
        listing.inner_folders.extend(part.inner_folders);
    }
    Ok(listing)
}

fn list_part(root: &Path, class_folders: &[PathBuf]) -> Result<Listing, BadInput> {
    let mut listing = Listing::default();
    for class in class_folders {
        let before = listing.images.len();
        list_folder(root, class, &mut listing)?;
        if listing.images.len() == before {
            return Err(bad_input(format!(
                "{}: there is no image in this class: remove the folder, or unpack the class again",
                class.display()
            )));
        }
    }
    Ok(listing)
}

/// Adds what is below `folder`, folders within it included (Tiny-ImageNet's classes have an
/// `images` folder).
fn list_folder(root: &Path, folder: &Path, listing: &mut Listing) -> Result<(), BadInput> {
    for path in entries(folder)? {
        if path.is_dir() {
            if path.is_symlink() {
                return Err(bad_input(format!(
                    "{}: a link to a folder, which may lead out of its class: remove it, or put \
                     the images there in its place",
                    path.display()
                )));
            }
            listing.inner_folders.push(path.clone());
            list_folder(root, &path, listing)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_str();
        let name = name
            .filter(|name| !name.contains('\n'))
            .ok_or_else(|| bad_input(format!("{path:?}: its name is not UTF-8: rename it")))?;
        if is_image(&path) {
            let refused = |error: &str| bad_input(format!("{}: {error}", path.display()));
            let metadata = std::fs::metadata(&path).map_err(|error| refused(&error.to_string()))?;
            if !metadata.is_file() {
                return Err(refused("it is no regular file: remove it"));
            }
            listing.images.push(Found {
                name: name.to_string(),
                length: metadata.len(),
                place: None,
                file: None,
            });
        } else {
            listing.others.push(name.to_string());
        }
    }
    Ok(())
}

/// Classes of images that are in the order of their names.
pub fn class_names(images: &[Found]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for found in images {
        if names.last().is_none_or(|last| last != found.class()) {
            names.push(found.class().to_string());
        }
    }
    names.sort();
    names.dedup();
    names
}

/// What is in a folder, sorted by name, but for hidden files.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BadInput> {
    let refuse = |error: std::io::Error| bad_input(format!("{}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a file's name is that of an image.
pub fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}
