//! CIFAR-10 in its official binary layout (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A record is one label byte and 3,072 pixel bytes: 1,024 of red, of green, of blue, each row by
//! row. Any whole number of records a file is accepted, so that subsets work.

use std::path::{Path, PathBuf};

use crate::config::dataset_name::DatasetName;
use crate::dataset::data::{DataStatus, Dataset, Images, Source};
use crate::error::{BadInput, bad_input};
use crate::system::hash::sha256;
use crate::system::regular_file;

/// Names of the classes, in label order (`batches.meta.txt`).
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Side of the images.
const SIDE: usize = 32;

/// Bytes of one colour of one image.
const PLANE: usize = SIDE * SIDE;

/// Bytes of a record.
pub const RECORD: usize = 1 + 3 * PLANE;

/// Images of the official dataset.
pub const OFFICIAL_IMAGES: (usize, usize) = (50_000, 10_000);

/// Folder inside the official archive.
const ARCHIVE_FOLDER: &str = "cifar-10-batches-bin";

/// The official archive, and its checksum.
pub const ARCHIVE_URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";

/// Bytes of the official archive.
pub const ARCHIVE_BYTES: u64 = 170_052_171;

/// SHA-256 of the official archive.
pub const ARCHIVE_SHA256: &str = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd";

/// The files of the official archive with their SHA-256; the last is the test set.
const OFFICIAL_FILES: [(&str, &str); 6] = [
    ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
];

/// Loads `data_batch_*.bin` and `test_batch.bin` from `folder`, or from the official archive's
/// folder inside it.
pub fn load(folder: &Path) -> Result<Dataset, BadInput> {
    let folder = find(folder)?;
    let mut splits = [empty(), empty()];
    let mut hashes = String::new();
    let mut official = true;
    for (index, (name, official_hash)) in OFFICIAL_FILES.iter().enumerate() {
        let path = folder.join(name);
        let is_test = index + 1 == OFFICIAL_FILES.len();
        // A subset may have fewer training files, but none from between, and not without a test
        // set.
        let later_file = OFFICIAL_FILES[index + 1..]
            .iter()
            .rev()
            .skip(1)
            .any(|(name, _)| folder.join(name).exists());
        if !path.exists() && !is_test && index > 0 && !later_file {
            official = false;
            continue;
        }
        let bytes = regular_file::read(&path).map_err(|error| {
            bad_input(format!("{}: {error}; {}", path.display(), HOW_TO_GET_IT))
        })?;
        append(&mut splits[usize::from(is_test)], &bytes, &path)?;
        let hash = sha256(&bytes);
        official &= hash == *official_hash;
        hashes.push_str(&format!("{name} {hash}\n"));
    }
    let [train, test] = splits;
    let status = match (official, train.len() < OFFICIAL_IMAGES.0 || test.len() < OFFICIAL_IMAGES.1)
    {
        (true, _) => DataStatus::Official,
        (false, true) => DataStatus::Subset,
        (false, false) => DataStatus::Other,
    };
    Ok(Dataset {
        name: DatasetName::Cifar10,
        classes: CLASSES.map(str::to_string).to_vec(),
        train: Source::Resident(train),
        test: Source::Resident(test),
        fingerprint: sha256(hashes.as_bytes()),
        status,
        own: None,
    })
}

const HOW_TO_GET_IT: &str =
    "\"resnet-repro data fetch cifar10\" downloads the data; --data gives another folder";

fn find(folder: &Path) -> Result<PathBuf, BadInput> {
    // The archive's folder first: what was fetched last lies there.
    [folder.join(ARCHIVE_FOLDER), folder.to_path_buf()]
        .into_iter()
        .find(|candidate| OFFICIAL_FILES.iter().any(|(name, _)| candidate.join(name).exists()))
        .ok_or_else(|| bad_input(format!("{}: no CIFAR-10 files (data_batch_1.bin, …, test_batch.bin) there; {HOW_TO_GET_IT}", folder.display())))
}

fn empty() -> Images {
    Images { side: SIDE, pixels: Vec::new(), labels: Vec::new() }
}

/// Adds a file's records: from one plane a colour to one triple a pixel.
fn append(images: &mut Images, bytes: &[u8], path: &Path) -> Result<(), BadInput> {
    let path = path.display();
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        return Err(bad_input(format!(
            "{path}: {} bytes are not a whole number of {RECORD}-byte records: the file is truncated or of another kind; fetch it again",
            bytes.len()
        )));
    }
    images.pixels.reserve(bytes.len());
    for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
        let (label, planes) = (record[0], &record[1..]);
        if usize::from(label) >= CLASSES.len() {
            return Err(bad_input(format!(
                "{path}: record {index} has label {label}, CIFAR-10 has 0 to 9: the file is damaged or of another kind"
            )));
        }
        images.labels.push(label);
        images.pixels.extend(
            (0..PLANE).flat_map(|pixel| {
                [planes[pixel], planes[PLANE + pixel], planes[2 * PLANE + pixel]]
            }),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record whose red plane counts up, whose green is 100 and blue 200.
    fn record(label: u8) -> Vec<u8> {
        let mut record = vec![label];
        record.extend((0..PLANE).map(|pixel| pixel as u8));
        record.extend(vec![100; PLANE]);
        record.extend(vec![200; PLANE]);
        record
    }

    fn folder(train: &[u8], test: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data_batch_1.bin"), train).unwrap();
        std::fs::write(folder.path().join("test_batch.bin"), test).unwrap();
        folder
    }

    #[test]
    fn records_are_read_pixel_by_pixel_with_their_labels() {
        let folder = folder(&[record(3), record(9)].concat(), &record(0));
        let data = load(folder.path()).unwrap();
        let (Source::Resident(train), Source::Resident(test)) = (&data.train, &data.test) else {
            panic!("CIFAR-10 is in memory")
        };
        assert_eq!(train.labels, [3, 9]);
        assert_eq!(test.labels, [0]);
        assert_eq!(train.pixels[..6], [0, 100, 200, 1, 100, 200]);
        assert_eq!(data.status, DataStatus::Subset);
    }

    #[test]
    fn one_changed_byte_changes_the_fingerprint() {
        let (train, mut changed) = (record(3), record(3));
        changed[1000] ^= 1;
        let fingerprint =
            |train: &[u8]| load(folder(train, &record(0)).path()).unwrap().fingerprint;
        assert_eq!(fingerprint(&train), fingerprint(&train));
        assert_ne!(fingerprint(&train), fingerprint(&changed));
    }

    #[test]
    fn missing_truncated_and_foreign_files_are_refused_by_name() {
        let message = |train: &[u8], test: &[u8]| load(folder(train, test).path()).unwrap_err().0;
        let truncated = message(&record(1)[..3000], &record(0));
        assert!(
            truncated.contains("data_batch_1.bin")
                && truncated.contains("3000 bytes")
                && truncated.contains("3073"),
            "{truncated}"
        );
        assert!(message(&record(1), &[]).contains("test_batch.bin"));
        assert!(message(&record(10), &record(0)).contains("label 10"));
        let nothing = load(Path::new("/nonexistent/cifar")).unwrap_err().0;
        assert!(
            nothing.contains("/nonexistent/cifar") && nothing.contains("data fetch cifar10"),
            "{nothing}"
        );
    }
}
