//! Data folders that are damaged, badly made or made to harm: refused in one line that names the
//! file, or read to the same images.

use crate::common;
use crate::image_folder;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::common::{stderr, stdout};
use crate::image_folder::file;

/// The program on data in `folder`, with a cache of its own; it must answer.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = common::command(folder, arguments);
    command.env("RESNET_REPRO_CACHE", folder.join("cache"));
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > common::PATIENCE {
            child.kill().unwrap();
            panic!("{arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

const CHECK: [&str; 5] = ["data", "check", "imagenet", "--data", "images"];

/// The check fails with `code` and one line that holds all of `parts`.
fn refused(folder: &Path, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = run(folder, arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{message}");
    let lines: Vec<&str> = message.lines().filter(|line| line.starts_with("error: ")).collect();
    let [line] = lines[..] else { panic!("not one line: {message}") };
    parts.iter().for_each(|part| assert!(line.contains(part), "\"{part}\" is not in: {line}"));
}

fn accepted(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", stderr(&output));
    (stdout(&output), stderr(&output))
}

#[test]
fn a_link_that_leads_out_of_its_class_is_refused_and_links_to_classes_and_files_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let root = image_folder::write(folder.path(), 2, 1);
    // All validation images are the training images; one image is a link.
    std::fs::remove_dir_all(root.join("val")).unwrap();
    symlink("train", root.join("val")).unwrap();
    std::fs::rename(file(&root, "train", 0, 0), folder.path().join("elsewhere.JPEG")).unwrap();
    symlink("../../../elsewhere.JPEG", file(&root, "train", 0, 0)).unwrap();
    let (text, _) = accepted(folder.path(), &CHECK);
    assert!(text.contains("3 classes") && text.contains("test images: 6"), "{text}");
    let cases: [(&str, &str, &[&str]); 5] = [
        // A loop; other classes' images.
        ("n001/up", "..", &["train/n001/up", "out of its class"]),
        ("n001/other", "../n002", &["train/n001/other", "out of its class"]),
        ("n009", "n001", &["train/n001", "train/n009", "two classes"]),
        ("n009", ".", &["train/n009", "holds all classes"]),
        ("n009", "..", &["train/n009", "holds all classes"]),
    ];
    for (link, target, parts) in cases {
        symlink(target, root.join("train").join(link)).unwrap();
        refused(folder.path(), &CHECK, 2, parts);
        std::fs::remove_file(root.join("train").join(link)).unwrap();
    }
    symlink("nowhere", root.join("train/n001/dangling.JPEG")).unwrap();
    refused(folder.path(), &CHECK, 2, &["dangling.JPEG", "No such file"]);
}

/// Puts a FIFO, which nobody writes to, in place of `path`.
fn make_fifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs a command with a FIFO in place of the file `name`, which must be refused with its name, and
/// puts the file back.
fn refused_with_fifo(folder: &Path, name: &str, arguments: &[&str], codes: &[i32]) {
    let path = folder.join(name);
    let kept = std::fs::read(&path).ok();
    make_fifo(&path);
    let output = run(folder, arguments);
    let text = stdout(&output) + &stderr(&output);
    assert!(codes.contains(&output.status.code().unwrap()), "{arguments:?}: {text}");
    let told = text.lines().any(|line| {
        line.contains(name.rsplit('/').next().unwrap())
            && (line.contains("a FIFO") || line.contains("no such file"))
    });
    assert!(told, "{name}, {arguments:?}: {text}");
    std::fs::remove_file(&path).unwrap();
    if let Some(kept) = kept {
        std::fs::write(&path, kept).unwrap();
    }
}

#[test]
fn special_files_and_files_of_more_than_4_gb_are_refused_by_name_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let root = image_folder::write(folder.path(), 1, 1);
    let fifo = |path: PathBuf| {
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    };
    let path = fifo(root.join("train/n001/a.JPEG"));
    refused(folder.path(), &CHECK, 2, &["train/n001/a.JPEG", "no regular file"]);
    std::fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    refused(folder.path(), &CHECK, 2, &["train/n001/a.JPEG", "no regular file"]);
    std::fs::remove_file(&path).unwrap();
    std::fs::File::create(&path).unwrap().set_len(5 << 30).unwrap();
    refused(folder.path(), &CHECK, 2, &["n001/a.JPEG", "longer than 4 GB"]);
    std::fs::remove_file(&path).unwrap();
    let list = fifo(root.join("LOC_synset_mapping.txt"));
    refused(folder.path(), &CHECK, 2, &["LOC_synset_mapping.txt", "a FIFO"]);
    std::fs::remove_file(list).unwrap();
    // An image that was exchanged after it was listed.
    accepted(folder.path(), &CHECK);
    let image = file(&root, "val", 0, 0);
    let folder_time = std::fs::metadata(image.parent().unwrap()).unwrap().modified().unwrap();
    std::fs::remove_file(&image).unwrap();
    fifo(image.clone());
    std::fs::File::open(image.parent().unwrap()).unwrap().set_modified(folder_time).unwrap();
    let output = run(folder.path(), &[&CHECK[..], &["--decode"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("n001_0.JPEG: it is a FIFO"), "{}", stdout(&output));
    // CIFAR-10's files.
    let data = common::write_cifar(&folder.path().join("cifar"), 10, 10);
    std::fs::remove_file(data.join("test_batch.bin")).unwrap();
    symlink("/dev/zero", data.join("test_batch.bin")).unwrap();
    let check = ["data", "check", "cifar10", "--data", "cifar"];
    refused(folder.path(), &check, 2, &["test_batch.bin", "a device"]);
}

/// A shard with these entries (kind, name, bytes), written as they are.
fn shard(path: &Path, entries: &[(tar::EntryType, &str, &[u8])]) {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    std::fs::write(path, builder.into_inner().unwrap()).unwrap();
}

#[test]
fn entries_of_a_shard_are_counted_under_their_class_once_or_refused_by_name() {
    use tar::EntryType::{Directory, Regular, Symlink};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("images");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("shards.json"), r#"{"train": 1}"#).unwrap();
    let path = root.join("train-000000.tar");
    let image = image_folder::jpeg(0, 0);
    let good = (Regular, "./n0/a.jpg", &image[..]);
    shard(&path, &[(Directory, "./n0/", b""), good, (Regular, "n1/./b.jpg", &image)]);
    let (text, _) = accepted(folder.path(), &[&CHECK[..], &["--decode"]].concat());
    assert!(text.contains("2 classes") && text.contains("training images: 2"), "{text}");
    for (kind, name, reason) in [
        (Regular, "../x.jpg", "no name as <class>/<name>"),
        (Regular, "n0/../n1/x.jpg", "no name as <class>/<name>"),
        (Regular, "/n0/x.jpg", "no name as <class>/<name>"),
        (Symlink, "n0/x.jpg", "is no file"),
        (Regular, "n0/a.jpg", "there twice"),
    ] {
        shard(&path, &[good, (kind, name, if kind == Regular { &image } else { b"" })]);
        refused(folder.path(), &CHECK, 2, &["train-000000.tar", &format!("\"{name}\""), reason]);
    }
    let whole = {
        shard(&path, &[good]);
        std::fs::read(&path).unwrap()
    };
    let mut damaged = whole.clone();
    damaged[150] ^= 7;
    for bytes in [&whole[..600], &whole[..700], &damaged, b"no tar file at all"] {
        std::fs::write(&path, bytes).unwrap();
        refused(folder.path(), &CHECK, 2, &["train-000000.tar", "not a whole tar file"]);
    }
    std::fs::write(&path, &whole).unwrap();
    for count in ["1000000000", "18446744073709551615"] {
        std::fs::write(root.join("shards.json"), format!("{{\"train\": {count}}}")).unwrap();
        refused(folder.path(), &CHECK, 2, &["train-000001.tar", "missing", count]);
    }
    for text in ["{\"train\": -1}", "{\"train\": 1e9}", "[]", "{"] {
        std::fs::write(root.join("shards.json"), text).unwrap();
        refused(folder.path(), &CHECK, 2, &["shards.json"]);
    }
}

/// The only file in the cache with this ending.
fn kept(folder: &Path, ending: &str) -> Vec<PathBuf> {
    std::fs::read_dir(folder.join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|other| other == ending))
        .collect()
}

#[test]
fn a_damaged_list_or_mean_image_is_made_anew_with_one_line_and_the_run_has_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    image_folder::write(folder.path(), 3, 1);
    let train = |out: &str| -> String {
        let arguments = [
            "train",
            "--dataset",
            "tiny-imagenet",
            "--network",
            "resnet-18",
            "--data",
            "images",
            "--device",
            "cpu",
            "--iterations",
            "2",
            "--no-weights",
            "--set",
            "crop=32",
            "--set",
            "scale=[36, 48]",
            "--set",
            "test_scale=36",
            "--set",
            "batch_size=4",
            "--out",
            out,
        ];
        accepted(folder.path(), &arguments).1
    };
    train("first");
    let log = |run: &str| std::fs::read(folder.path().join(run).join("train.csv")).unwrap();
    let files = [kept(folder.path(), "list"), kept(folder.path(), "mean")].concat();
    assert_eq!(files.len(), 3, "{files:?}");
    for (number, path) in files.iter().enumerate() {
        let bytes = std::fs::read(path).unwrap();
        let mut flipped = bytes.clone();
        // A digit of a length, or a bit of a mean's exponent: nothing that shows by itself.
        let at = bytes.len() - 40;
        flipped[at] ^= 1;
        std::fs::write(path, flipped).unwrap();
        let text = train(&format!("again-{number}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(name)).collect();
        assert!(lines.len() == 1 && lines[0].contains("is damaged"), "{text}");
        assert!(log(&format!("again-{number}")) == log("first"), "{name}");
        assert!(std::fs::read(path).unwrap() == bytes, "it is written anew, the same");
    }
}

#[test]
fn names_command_no_terminal_and_a_record_leads_to_no_file_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let root = image_folder::write(folder.path(), 1, 1);
    let evil = "n001_\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}2J.JPEG";
    std::fs::write(root.join("train/n001").join(evil), "no image").unwrap();
    let clean = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
        text
    };
    for more in [&["--decode"][..], &["--decode", "--json"]] {
        let output = run(folder.path(), &[&CHECK[..], more].concat());
        clean(&output.stderr);
        assert!(clean(&output.stdout).contains("n001_\\u001b]0;owned"), "{}", stdout(&output));
    }
    let output =
        run(folder.path(), &["data", "check", "imagenet", "--data", "no\u{1b}[31m\nwhere"]);
    assert_eq!(clean(&output.stderr).lines().count(), 1, "{}", stderr(&output));
    // `verify` hashes the files of a run, and nothing that a record may name.
    std::fs::create_dir(folder.path().join("run")).unwrap();
    let record = include_str!("../../results/2026-11-24-demo/plain-20/seed-0/run.toml");
    let hash = resnet_repro::system::hash::sha256(b"secret");
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let record = record.replacen("[files]", &format!("[files]\n\"../secret\" = \"{hash}\""), 1);
    std::fs::write(folder.path().join("run/run.toml"), record).unwrap();
    let output = run(folder.path(), &["verify", "run"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let text = stdout(&output) + &stderr(&output);
    assert!(text.contains("\"../secret\", which is no file of this folder"), "{text}");
}

#[test]
fn a_fifo_as_log_record_or_weights_is_named_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let published =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("results/2026-11-24-demo/plain-20/seed-0");
    let target = folder.path().join("results/e/plain-20/seed-0");
    std::fs::create_dir_all(&target).unwrap();
    let names = ["train.csv", "eval.csv", "run.toml"];
    let copy = |name: &str| {
        std::fs::copy(published.join(name), target.join(name)).unwrap();
    };
    names.into_iter().for_each(copy);
    for name in names {
        let path = target.join(name);
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for command in [&["figures", "results", "--out", "report"][..], &["verify", "results"]] {
            let output = run(folder.path(), command);
            let text = stdout(&output) + &stderr(&output);
            assert_ne!(output.status.code(), Some(0), "{text}");
            let told = text.lines().any(|line| line.contains(name) && line.contains("a FIFO"));
            assert!(told, "{name}, {command:?}: {text}");
        }
        std::fs::remove_file(&path).unwrap();
        copy(name);
    }
    let evaluate = ["evaluate", "--network", "resnet-20", "--dataset", "shapes", "--weights"];
    let arguments = [&evaluate[..], &["/dev/zero"]].concat();
    refused(folder.path(), &arguments, 2, &["/dev/zero", "a device"]);
}

#[test]
fn a_fifo_in_place_of_any_file_that_a_command_reads_is_named_and_never_waited_for() {
    let folder = common::workspace();
    let path = folder.path();
    common::write_experiment(path, "");
    let out = "out/e/plain-8/seed-0";
    let train_into = |iterations: &'static str, out: &'static str| {
        let arguments = ["train", "--network", "plain-8", "--iterations", iterations];
        common::small(&[&arguments[..], &["--checkpoint-every", "0", "--out", out]].concat())
    };
    let train = train_into("4", out);
    let analyze = ["analyze", "responses", "--run", out, "--data", "data"];
    accepted(path, &train);
    accepted(path, &analyze);
    std::fs::write(path.join("out/bench-a.json"), "{}").unwrap();
    std::fs::write(path.join("README.md"), "text").unwrap();
    let of_run = |name: &str| format!("{out}/{name}");
    let verify: &[&str] = &["verify", "out"];
    let figures: &[&str] = &["figures", "out", "--out", "report"];
    let weights = ["evaluate", "--network", "plain-8", "--data", "data", "--weights", "w"];
    let construct = ["construct", "--from", out, "--network", "plain-14", "--data", "data"];
    let construct = [&construct[..], &["--out", "deeper"]].concat();
    let cases: [(&str, &[&str]); 19] = [
        (&of_run("run.toml"), &train),
        (&of_run("train.csv"), &train),
        (&of_run("eval.csv"), &train),
        (&of_run("weights.safetensors"), &train),
        (&of_run("run.toml"), &analyze),
        (&of_run("weights.safetensors"), &analyze),
        (&of_run("run.toml"), &construct),
        (&of_run("weights.safetensors"), &construct),
        (&of_run("analysis/responses.toml"), verify),
        (&of_run("analysis/responses.csv"), verify),
        (&of_run("analysis/responses.toml"), figures),
        (&of_run("analysis/responses.csv"), figures),
        (&of_run("analysis/responses.csv"), &["claims", "out"]),
        ("out/bench-a.json", figures),
        ("README.md", &["figures", "out", "--out", "report", "--readme", "README.md"]),
        ("e.toml", &["sweep", "e.toml", "--data", "data", "--dry-run"]),
        ("w", &weights),
        ("data/test_batch.bin", &train),
        ("archive", &["data", "fetch", "cifar10", "--from", "archive", "--data", "fetched"]),
    ];
    for (name, arguments) in cases {
        refused_with_fifo(path, name, arguments, &[1, 2, 3]);
    }
    // Nothing was changed by all that.
    accepted(path, verify);
    // A stopped run, whose record, logs and checkpoints are read when it goes on.
    let stopped = train_into("2000", "cut");
    let mut child = common::command(path, &stopped);
    let mut child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
    common::wait_until("no rows", || common::lines(&path.join("cut/train.csv")) > 3);
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().code(), Some(75));
    for name in ["cut/train.csv", "cut/eval.csv"] {
        refused_with_fifo(path, name, &stopped, &[1]);
    }
    let checkpoints = std::fs::read_dir(path.join("cut/checkpoint")).unwrap().flatten();
    let checkpoints: Vec<PathBuf> = checkpoints.map(|entry| entry.path()).collect();
    let newest = checkpoints.iter().max().unwrap();
    for checkpoint in checkpoints.iter().filter(|checkpoint| *checkpoint != newest) {
        make_fifo(checkpoint);
    }
    let newest = newest.strip_prefix(path).unwrap().to_str().unwrap();
    refused_with_fifo(path, newest, &stopped, &[1]);
    // With neither checkpoint nor rows there is nothing that a torn record would cost.
    std::fs::create_dir(path.join("begun")).unwrap();
    refused_with_fifo(path, "begun/run.toml", &train_into("4", "begun"), &[2]);
}
