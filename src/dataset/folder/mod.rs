//! Own images: any folder of class folders, or of images with a list of their labels.
//!
//! - `train/<class>/*` and `val/<class>/*` (or `validation`, or `test`);
//! - `<class>/*` alone, or `train/<class>/*` alone: a share of the images is held out as test
//!   images (see [`held_out`]);
//! - images and a list of their labels (see [`labels`]).
//!
//! An image is known by its class and its path below the class folder, or below the folder of the
//! list: the same images have the same order and fingerprint in whichever layout they lie.

pub mod held_out;
pub mod labels;
pub mod settings;

use std::path::Path;

use anyhow::Result;

use crate::config::dataset_name::DatasetName;
use crate::console::output::say;
use crate::dataset::data::{DataStatus, Dataset, OwnData, Source, Split};
use crate::dataset::folder::settings::Settings;
use crate::dataset::imagenet::listing::entry::{Listing, SPLITS};
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::listing::{cache, folders};
use crate::error::{BadInput, bad_input};
use crate::system::hash::sha256;

/// Folders that test images may lie in.
const TEST_FOLDERS: [&str; 3] = ["val", "validation", "test"];

/// Training and test images, and how they were told apart.
type Parts = (Index, Index, Split);

/// Loads the lists of the images in `root`.
///
/// # Errors
/// A folder that has none of the layouts, or leaves nothing to train or to test on.
pub fn load(root: &Path) -> Result<Dataset> {
    if !root.is_dir() {
        return Err(bad_input(format!(
            "{}: no such folder: give the one with the class folders, or with {}, with --data",
            root.display(),
            labels::FILE
        ))
        .into());
    }
    let settings = Settings::read(root)?;
    let (train, test, split) = if root.join(labels::FILE).exists() {
        listed(root, &settings)?
    } else if holds_folders(&root.join(SPLITS[0])) {
        split_folders(root, &settings)?
    } else {
        class_folders(root, &settings)?
    };
    check(root, &train, &test, &split)?;
    let classes = train.classes().to_vec();
    let (ours, theirs) = (train.fingerprint(), test.fingerprint());
    Ok(Dataset {
        name: DatasetName::Folder,
        fingerprint: sha256(format!("{} {ours} {theirs}", classes.join(" ")).as_bytes()),
        status: DataStatus::Other,
        classes,
        train: Source::images(train),
        test: Source::images(test),
        own: Some(OwnData { title: settings.title, split }),
    })
}

/// `train/<class>/*`, with test images in a folder of their own, or held out. A class may have the
/// name `train` too: its folder holds images, not folders.
fn split_folders(root: &Path, settings: &Settings) -> Result<Parts> {
    let tests: Vec<&str> =
        TEST_FOLDERS.into_iter().filter(|name| root.join(name).is_dir()).collect();
    match tests[..] {
        [] => held_out_of(&root.join(SPLITS[0]), root, SPLITS[0], settings),
        [test] => {
            settings.refuse_percent(&format!("the test images are those in {test}/"))?;
            let train = Index::open(root, SPLITS[0], None)?;
            let images = Index::open(root, test, Some(train.classes()))?;
            Ok((train, images, Split::Folders { test: test.to_string() }))
        }
        [one, other, ..] => Err(bad_input(format!(
            "{}: both {one}/ and {other}/: keep the one with the test images, and move the other elsewhere",
            root.display()
        ))
        .into()),
    }
}

/// `<class>/*`.
fn class_folders(root: &Path, settings: &Settings) -> Result<Parts> {
    if let Some(name) = TEST_FOLDERS.into_iter().find(|name| holds_folders(&root.join(name))) {
        return Err(bad_input(format!(
            "{root}: class folders in {name}/, but none in {root}/train: put the training images there",
            root = root.display()
        ))
        .into());
    }
    held_out_of(root, root, "", settings)
}

/// The class folders in `folder`, whose list is kept as that of `split` of `root`; a share of the
/// images is held out.
fn held_out_of(folder: &Path, root: &Path, split: &str, settings: &Settings) -> Result<Parts> {
    let class_folders = folders::classes(folder).map_err(|BadInput(reason)| {
        bad_input(format!(
            "{reason}; or list the images in {} (columns file,label)",
            root.join(labels::FILE).display()
        ))
    })?;
    let listing =
        cache::listing(root, split, &class_folders, || folders::list(folder, &class_folders))?;
    held_out(folder, listing, settings)
}

fn held_out(folder: &Path, listing: Listing, settings: &Settings) -> Result<Parts> {
    let classes = folders::class_names(&listing.images);
    let percent = settings.held_out_percent();
    let (train, test) = held_out::divide(listing, percent);
    let [train, test] = [train, test].map(|part| Index::new(folder, part, &classes));
    Ok((train?, test?, Split::HeldOut { percent }))
}

/// Images that [`labels::FILE`] lists.
fn listed(root: &Path, settings: &Settings) -> Result<Parts> {
    let list = labels::read(root)?;
    let Some(test) = list.test else { return held_out(root, list.train, settings) };
    settings.refuse_percent(&format!("{} has a column split", labels::FILE))?;
    let mut classes = folders::class_names(&list.train.images);
    classes.extend(folders::class_names(&test.images));
    classes.sort();
    classes.dedup();
    let [train, test] = [list.train, test].map(|part| Index::new(root, part, &classes));
    Ok((train?, test?, Split::Column))
}

/// Refuses what no net can be trained on, or tested with.
fn check(root: &Path, train: &Index, test: &Index, split: &Split) -> Result<(), BadInput> {
    let root = root.display();
    if let [only] = train.classes() {
        return Err(bad_input(format!(
            "{root}: one class only ({only}): to tell classes apart a net needs at least two"
        )));
    }
    if let [class, ..] = classes_without_images(train)[..] {
        return Err(bad_input(format!(
            "{root}: no image of class {class} is a training image ({split}): add images of it, or remove the class"
        )));
    }
    match (test.is_empty(), split) {
        (false, _) => {
            let untested = classes_without_images(test);
            if !untested.is_empty() {
                say(&format!(
                    "note: {root}: no test image of {} ({split}): test errors say nothing of it",
                    untested.join(", ")
                ));
            }
            Ok(())
        }
        (true, Split::HeldOut { percent }) => Err(bad_input(format!(
            "{root}: {percent} % of {} leaves no test image: set a larger test_percent in {root}/{}, or put test images into val/<class>/",
            counted_images(train.len()),
            settings::FILE
        ))),
        (true, _) => Err(bad_input(format!(
            "{root}: there is no test image ({split}): there is nothing to test on"
        ))),
    }
}

fn classes_without_images(part: &Index) -> Vec<&str> {
    let mut counts = vec![0usize; part.classes().len()];
    (0..part.len()).for_each(|position| counts[part.label(position) as usize] += 1);
    let empty = part.classes().iter().zip(counts).filter(|(_, count)| *count == 0);
    empty.map(|(class, _)| class.as_str()).collect()
}

fn counted_images(count: usize) -> String {
    format!("{count} image{}", if count == 1 { "" } else { "s" })
}

/// Whether it is a folder with folders in it.
fn holds_folders(folder: &Path) -> bool {
    let hidden = |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| !hidden(entry)).any(|entry| entry.path().is_dir())
}
