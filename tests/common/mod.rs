//! Running the real program on small data.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program, to be run in `folder`.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resnet-repro"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    // Tests run side by side: threads of several programs that wait for each other on the same
    // cores would take minutes.
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// Experiment file `e.toml` in `folder`: two small networks on the data in `data/`, and `more`
/// lines.
pub fn write_experiment(folder: &Path, more: &str) {
    let text = format!(
        "title = \"t\"\npaper = \"p\"\ndataset = \"cifar10\"\n{more}\n[[runs]]\nnetworks = [\"plain-8\", \"resnet-8\"]\nseeds = [0]\n"
    );
    std::fs::write(folder.join("e.toml"), text).unwrap();
}

/// Replaces what is written in a run's record, whose first line, the checksum of the others, goes
/// as well if it is there.
pub fn edit_record(path: &Path, changes: &[(&str, &str)]) {
    let text = std::fs::read_to_string(path).unwrap();
    let below = text.strip_prefix("# SHA-256 of the lines below: ");
    let below = below.and_then(|below| below.split_once('\n')).map(|(_, below)| below);
    let mut text = below.unwrap_or(&text).to_string();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}: {text}");
        text = text.replace(from, to);
    }
    std::fs::write(path, text).unwrap();
}

/// Longer than anything takes that is waited for, where other programs have the cores too.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// Waits until `condition` holds, at most [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(process: u32, signal: libc::c_int) {
    // SAFETY: a signal to a process that this test started.
    unsafe { libc::kill(process as libc::pid_t, signal) };
}

/// Processes whose parent is `parent`.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which may hold anything, come the state and the parent.
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok())
            == Some(parent)
    };
    processes.filter(is_child).collect()
}

/// Waits until a process has a handler for this signal, which would end it before.
pub fn wait_until_it_handles(process: u32, signal: i32) {
    let handles = || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.is_some_and(|mask| {
            u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask >> (signal - 1) & 1 == 1)
        })
    };
    wait_until("it has no handler", handles);
}

/// Lines of a file; 0 if it is not there.
pub fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Panics unless both run directories hold the same logs and weights, byte for byte.
pub fn assert_same_run(a: &Path, b: &Path) {
    for file in ["train.csv", "eval.csv", "weights.safetensors"] {
        let [one, other] = [a, b].map(|run| {
            std::fs::read(run.join(file))
                .unwrap_or_else(|error| panic!("{}/{file}: {error}", run.display()))
        });
        assert!(one == other, "{file} of {} differs", b.display());
    }
}

/// Copies the files of a folder, and the folders in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Runs the program to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the program, which must succeed, and returns what it printed.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", stderr(&output));
    stdout(&output)
}

/// Runs the program, which must fail with `code` and one line on stderr that holds all of `parts`.
pub fn refuse(folder: &Path, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = run(folder, arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{message}");
    let line = message
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_else(|| panic!("no line with the error: {message}"));
    for part in parts {
        assert!(line.contains(part), "\"{part}\" is not in: {line}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

/// CIFAR-10 files with `train` and `test` images: noise around a colour that depends on the class.
pub fn write_cifar(folder: &Path, train: usize, test: usize) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let mut state = 1u64;
    let mut records = |count: usize| -> Vec<u8> {
        let mut bytes = Vec::new();
        for index in 0..count {
            let label = (index % 10) as u8;
            bytes.push(label);
            for position in 0..3072 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let level = (label as usize * (1 + position / 1024) * 23) % 160;
                bytes.push(level as u8 + (state >> 58) as u8);
            }
        }
        bytes
    };
    std::fs::write(folder.join("data_batch_1.bin"), records(train)).unwrap();
    std::fs::write(folder.join("test_batch.bin"), records(test)).unwrap();
    folder.to_path_buf()
}

/// Options that make a run of seconds on such data.
pub const SMALL: &[&str] = &["--data", "data", "--device", "cpu", "--set", "batch_size=32"];

/// The sweep of [`write_experiment`]'s networks on that data.
pub const SMALL_SWEEP: &[&str] =
    &["sweep", "e.toml", "--data", "data", "--device", "cpu", "--set", "batch_size=32"];

/// The arguments with [`SMALL`] behind them.
pub fn small<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().chain(SMALL).copied().collect()
}

/// A folder with `data/`: 320 training and 100 test images.
pub fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_cifar(&folder.path().join("data"), 320, 100);
    folder
}

/// The data of the charts of a report.
#[allow(dead_code)]
pub fn page_data(page: &str) -> serde_json::Value {
    use base64::Engine;
    let (_, rest) = page.split_once("id=\"report-data\">").unwrap();
    let text = rest.split_once("</script>").unwrap().0;
    let bytes = base64::prelude::BASE64_STANDARD.decode(text).unwrap();
    serde_json::from_reader(flate2::read::GzDecoder::new(&bytes[..])).unwrap()
}
