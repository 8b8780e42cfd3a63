//! Mutated images, shards and lists, by a seeded generator: each is read or refused in one line,
//! within seconds, without a panic. RESNET_REPRO_MUTATIONS sets how many (default 3,000).

#[path = "common/image_folder.rs"]
mod image_folder;
#[path = "common/mutation.rs"]
mod mutation;

use std::path::Path;

use mutation::{Outcome, Random, Start, count};
use resnet_repro::dataset::imagenet::decoder::crop::RandomCrop;
use resnet_repro::dataset::imagenet::decoder::decode::{Decoder, Quality};
use resnet_repro::dataset::imagenet::listing::classes;
use resnet_repro::dataset::imagenet::listing::index::Index;
use resnet_repro::system::hash::sha256;

fn images(random: &mut Random, count: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending != "json"))
        .collect();
    files.sort();
    let originals: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut decoders = [Quality::Exact, Quality::Fast].map(Decoder::new);
    let mut outcome = Outcome::default();
    let mut out = vec![0; 32 * 32 * 3];
    for number in 0..count {
        let original = random.below(originals.len());
        let bytes = random.mutated(&originals[original]);
        let decoder = &mut decoders[number % 2];
        let start = Start::now();
        if random.below(2) == 0 {
            outcome.add(start, decoder.scaled(&bytes, 1 + random.below(64) as u32));
        } else {
            let crop = RandomCrop {
                shorter_side: 32 + random.below(100) as u32,
                row: random.below(1000) as f64 / 1000.0,
                column: random.below(1000) as f64 / 1000.0,
                flipped: random.below(2) == 0,
            };
            outcome.add(start, decoder.training_view(&bytes, &crop, 32, &mut out));
        }
    }
    outcome.tell("images");
}

/// Opens the training split and reads all that it lists.
fn open(root: &Path) -> anyhow::Result<String> {
    let index = Index::open(root, "train", None)?;
    let mut bytes = Vec::new();
    for position in 0..index.len() {
        assert!(index.label(position) < index.classes().len() as i64);
        assert!(!index.path(position).is_empty());
        // An image that cannot be read is told of when its turn comes.
        let _ = index.read(position, &mut bytes);
    }
    Ok(index.fingerprint().to_string())
}

fn shards(random: &mut Random, count: usize, root: &Path) {
    let contents = b"{\"train\": 1}";
    let mut builder = tar::Builder::new(Vec::new());
    for number in 0..4 {
        let image = image_folder::jpeg(number % 3, number);
        let long = "x".repeat(if number == 3 { 150 } else { 1 });
        for (ending, bytes) in [("jpg", &image[..]), ("cls", b"0")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, format!("n{number}/{long}.{ending}"), bytes).unwrap();
        }
    }
    let whole = builder.into_inner().unwrap();
    let mut outcome = Outcome::default();
    for number in 0..count {
        let (mut tar, mut json) = (whole.clone(), contents.to_vec());
        match number % 4 {
            0 => json = random.mutated(contents),
            1 => tar = random.mutated(&whole),
            _ => {
                // Into a header, whose checksum is made to fit.
                let headers: Vec<usize> = (0..whole.len() / 512)
                    .map(|block| block * 512)
                    .filter(|&at| &whole[at + 257..at + 262] == b"ustar")
                    .collect();
                let at = headers[random.below(headers.len())];
                let mut header = random.mutated(&whole[at..at + 512]);
                header.resize(512, 0);
                header[148..156].fill(b' ');
                let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
                header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                tar[at..at + 512].copy_from_slice(&header);
            }
        }
        std::fs::write(root.join("train-000000.tar"), tar).unwrap();
        std::fs::write(root.join("shards.json"), json).unwrap();
        outcome.add(Start::now(), open(root));
    }
    outcome.tell("shards");
}

fn lists(random: &mut Random, count: usize, root: &Path) {
    let list = b"n01440764 tench, Tinca tinca\nn01443537 goldfish\n";
    let mut outcome = Outcome::default();
    for _ in 0..count {
        std::fs::write(root.join("synset_words.txt"), random.mutated(list)).unwrap();
        outcome.add(Start::now(), classes::listed(root));
    }
    std::fs::remove_file(root.join("synset_words.txt")).unwrap();
    outcome.tell("lists of classes");
}

fn kept_lists(random: &mut Random, count: usize, folder: &Path) {
    let cache = folder.join("cache");
    // SAFETY: no other thread of this program runs.
    unsafe { std::env::set_var("RESNET_REPRO_CACHE", &cache) };
    let root = image_folder::write(folder, 2, 0);
    let fingerprint = open(&root).unwrap();
    let path = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read_to_string(&path).unwrap();
    let mut lines = kept.splitn(3, '\n');
    let (version, _, rest) = (lines.next().unwrap(), lines.next(), lines.next().unwrap());
    let mut outcome = Outcome::default();
    for number in 0..count {
        let signed = number % 20 != 0;
        let bytes = if signed {
            // The checksum fits: nothing but the list itself is wrong.
            let rest = random.mutated(rest.as_bytes());
            [format!("{version}\n{}\n", sha256(&rest)).into_bytes(), rest].concat()
        } else {
            random.mutated(kept.as_bytes())
        };
        let same = bytes == kept.as_bytes();
        std::fs::write(&path, bytes).unwrap();
        let result = open(&root);
        if !signed || same {
            assert_eq!(result.as_ref().unwrap(), &fingerprint, "a damaged list is not used");
        }
        outcome.add(Start::now(), result);
    }
    let Outcome { read, refused, .. } = outcome;
    println!("kept lists: {read} read or made anew, {refused} refused");
}

#[test]
fn every_mutated_image_shard_and_list_is_read_or_refused_in_one_line() {
    let count = count(3000);
    // SAFETY: no other thread of this program runs.
    for name in ["RESNET_REPRO_CACHE", "XDG_CACHE_HOME", "HOME"] {
        unsafe { std::env::remove_var(name) };
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(20_151_210);
    images(&mut random, count * 6 / 10);
    shards(&mut random, count * 2 / 10, folder.path());
    lists(&mut random, count / 10, folder.path());
    kept_lists(&mut random, count / 10, folder.path());
}
