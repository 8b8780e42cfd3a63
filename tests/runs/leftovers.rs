//! What a kill leaves in folders of data and of reports is passed over.

use crate::common::{command, small, stderr, succeed, workspace};
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

const LEFTOVER: &str = ".0123456789abcdef.partial";

#[test]
fn leftovers_in_a_report_are_passed_over_and_go_when_they_are_old() {
    let folder = workspace();
    let train =
        ["train", "--network", "plain-8", "--iterations", "4", "--out", "runs/plain-8/seed-0"];
    succeed(folder.path(), &small(&train));
    succeed(folder.path(), &["figures"]);
    let report = folder.path().join("runs/report");
    let section = std::fs::read_dir(&report).unwrap().flatten().map(|entry| entry.path());
    let section = section.into_iter().find(|path| path.is_dir()).unwrap();
    let page = std::fs::read(report.join("report.html")).unwrap();
    let hours_ago = SystemTime::now() - Duration::from_secs(3 * 3600);
    for place in [&report, &section] {
        std::fs::write(place.join(LEFTOVER), "half").unwrap();
        let old = File::create(place.join(".old.partial")).unwrap();
        old.set_modified(hours_ago).unwrap();
    }
    succeed(folder.path(), &["figures"]);
    succeed(folder.path(), &["verify"]);
    assert_eq!(std::fs::read(report.join("report.html")).unwrap(), page);
    for place in [&report, &section] {
        assert!(place.join(LEFTOVER).exists(), "another process may be writing it");
        assert!(!place.join(".old.partial").exists());
    }
}

/// `data/` packed as the official archive is, and its checksum.
fn archive(folder: &Path) -> String {
    let script = "mkdir cifar-10-batches-bin && cp data/*.bin cifar-10-batches-bin/ && tar czf a.tar.gz cifar-10-batches-bin && rm -r cifar-10-batches-bin && sha256sum a.tar.gz";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()[..64].to_string()
}

#[test]
fn leftovers_of_an_unpacking_and_links_in_its_way_change_nothing() {
    let folder = workspace();
    let sum = archive(folder.path());
    let fetched = folder.path().join("fetched");
    let victim = folder.path().join("victim");
    std::fs::create_dir_all(fetched.join(LEFTOVER)).unwrap();
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("kept"), "kept").unwrap();
    std::fs::write(fetched.join(LEFTOVER).join("data_batch_1.bin"), "half").unwrap();
    // The name that earlier versions unpacked to.
    std::os::unix::fs::symlink(&victim, fetched.join(".unpacking")).unwrap();
    let fetch =
        ["data", "fetch", "cifar10", "--from", "a.tar.gz", "--sha256", &sum, "--data", "fetched"];
    let said = succeed(folder.path(), &fetch);
    assert!(said.contains("training images: 320"), "{said}");
    assert_eq!(std::fs::read_to_string(victim.join("kept")).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 1);
    let names: Vec<String> = std::fs::read_dir(&fetched)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".partial"))
        .collect();
    assert_eq!(names, [LEFTOVER], "nothing is left of this call");
    let output = command(folder.path(), &["data", "check", "cifar10", "--data", "fetched"]);
    let output = { output }.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
