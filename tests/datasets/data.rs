//! `data fetch` and `data check`, against a server on this machine that behaves well, badly, or
//! with intent.

use crate::common::{refuse, run, stderr, stdout, succeed, write_cifar};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use resnet_repro::dataset::download;
use resnet_repro::dataset::download::Limits;
use resnet_repro::system::hash::sha256;

/// How the server answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    /// Ends each connection after so many bytes, and honours ranges.
    CutsOff(usize),
    /// The same, and always starts from the beginning.
    CutsOffWithoutRanges(usize),
    NotFound,
    /// Continues from the start when asked for the rest, and says so.
    CutsOffAndMisplaces(usize),
}

/// Serves `bytes` at any path; returns the address and the ranges that were asked for.
fn serve(bytes: Vec<u8>, manner: Manner) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/cifar-10-binary.tar.gz", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let ranges = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut start = None;
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let line = line.unwrap().to_lowercase();
                if let Some(range) = line.strip_prefix("range: bytes=") {
                    start = range.trim_end_matches('-').parse::<usize>().ok();
                }
                if line.is_empty() {
                    break;
                }
            }
            ranges.lock().unwrap().push(start);
            let honours = matches!(manner, Manner::Good | Manner::CutsOff(_));
            let from = start.filter(|_| honours).unwrap_or(0);
            let status = match manner {
                Manner::NotFound => "404 Not Found".to_string(),
                Manner::CutsOffAndMisplaces(_) if start.is_some() => {
                    "206 Partial Content\r\nContent-Range: bytes 0-9/10".to_string()
                }
                _ if start.is_some() && from >= bytes.len() => {
                    "416 Range Not Satisfiable".to_string()
                }
                _ if start.is_some() && honours => format!(
                    "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                    bytes.len() - 1,
                    bytes.len()
                ),
                _ => "200 OK".to_string(),
            };
            let body = if status.starts_with('4') { &[][..] } else { &bytes[from..] };
            let sent = match manner {
                // The third connection of a server that misplaces is good.
                Manner::CutsOffAndMisplaces(_) if ranges.lock().unwrap().len() > 2 => body,
                Manner::CutsOff(most)
                | Manner::CutsOffWithoutRanges(most)
                | Manner::CutsOffAndMisplaces(most) => &body[..most.min(body.len())],
                _ => body,
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(sent);
        }
    });
    (address, asked)
}

/// A tar.gz of (path, contents) entries, whose paths are written as they are.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, contents) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *contents).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn good_archive(folder: &Path) -> Vec<u8> {
    let data = write_cifar(&folder.join("source"), 40, 20);
    let [train, test] =
        ["data_batch_1.bin", "test_batch.bin"].map(|name| std::fs::read(data.join(name)).unwrap());
    archive(&[
        ("cifar-10-batches-bin/data_batch_1.bin", &train),
        ("cifar-10-batches-bin/test_batch.bin", &test),
    ])
}

fn fetch<'a>(address: &'a str, hash: &'a str) -> Vec<&'a str> {
    vec!["data", "fetch", "cifar10", "--data", "data", "--from", address, "--sha256", hash]
}

#[test]
fn a_good_server_gives_data_that_check_counts() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = good_archive(folder.path());
    let hash = sha256(&bytes);
    let (address, _) = serve(bytes, Manner::Good);
    let text = succeed(folder.path(), &fetch(&address, &hash));
    assert!(
        text.contains("subset")
            && text.contains("training images: 40 (4 per class)")
            && text.contains("test images: 20"),
        "{text}"
    );
    let left: Vec<_> = std::fs::read_dir(folder.path().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["cifar-10-batches-bin"], "the archive and all temporary files are gone");
    let json: serde_json::Value = serde_json::from_str(&succeed(
        folder.path(),
        &["data", "check", "cifar10", "--data", "cifar10=data", "--json"],
    ))
    .unwrap();
    assert_eq!((&json["status"], &json["training_images"]), (&"subset".into(), &40.into()));
}

#[test]
fn a_server_that_cuts_off_is_asked_for_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = good_archive(folder.path());
    let hash = sha256(&bytes);
    let part = bytes.len() / 3 + 1;
    let (address, asked) = serve(bytes, Manner::CutsOff(part));
    succeed(folder.path(), &fetch(&address, &hash));
    assert_eq!(*asked.lock().unwrap(), [None, Some(part), Some(2 * part)]);
}

#[test]
fn a_download_that_was_given_up_goes_on_with_the_next_command() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = good_archive(folder.path());
    let hash = sha256(&bytes);
    let part = bytes.len() / 7 + 1;
    let (address, asked) = serve(bytes, Manner::CutsOff(part));
    refuse(
        folder.path(),
        &fetch(&address, &hash),
        1,
        &["gave up", "cifar-10-binary.tar.gz.partial", "same command"],
    );
    succeed(folder.path(), &fetch(&address, &hash));
    assert_eq!(asked.lock().unwrap().len(), 7);
}

#[test]
fn a_server_without_ranges_is_not_trusted_to_continue() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = good_archive(folder.path());
    let hash = sha256(&bytes);
    let (address, _) = serve(bytes.clone(), Manner::CutsOffWithoutRanges(bytes.len() / 2));
    refuse(folder.path(), &fetch(&address, &hash), 1, &["gave up"]);
    let (address, _) = serve(bytes, Manner::CutsOffWithoutRanges(usize::MAX));
    succeed(folder.path(), &fetch(&address, &hash));
}

#[test]
fn a_server_that_continues_at_another_place_is_asked_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = good_archive(folder.path());
    let hash = sha256(&bytes);
    let part = bytes.len() / 2;
    let (address, asked) = serve(bytes, Manner::CutsOffAndMisplaces(part));
    succeed(folder.path(), &fetch(&address, &hash));
    assert_eq!(*asked.lock().unwrap(), [None, Some(part), None]);
}

#[test]
fn a_damaged_file_is_replaced_by_the_one_that_was_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = good_archive(folder.path());
    let hash = sha256(&bytes);
    write_cifar(&folder.path().join("data"), 10, 10);
    std::fs::write(folder.path().join("data/data_batch_1.bin"), [0; 100]).unwrap();
    let (address, _) = serve(bytes, Manner::Good);
    assert!(succeed(folder.path(), &fetch(&address, &hash)).contains("training images: 40"));
}

#[test]
fn wrong_bytes_are_refused_before_anything_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _) = serve(good_archive(folder.path()), Manner::Good);
    // Without --sha256 the official checksum is expected.
    let arguments = ["data", "fetch", "cifar10", "--data", "data", "--from", &address];
    refuse(folder.path(), &arguments, 1, &["cifar-10-binary.tar.gz", "wrong checksum", "c4a38c50"]);
    assert_eq!(
        std::fs::read_dir(folder.path().join("data")).unwrap().count(),
        0,
        "nothing is left to poison the next download"
    );
    let (address, _) = serve(Vec::new(), Manner::NotFound);
    refuse(
        folder.path(),
        &["data", "fetch", "cifar10", "--data", "data", "--from", &address],
        1,
        &["404", "--from"],
    );
}

/// A server whose answer to every request is the head, then `piece` again and again, at most
/// `times` times with a pause between, or until the client has gone. Returns its address and how
/// many bytes went out.
fn flood(
    head: &'static str,
    piece: usize,
    times: usize,
    pause: Duration,
) -> (String, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/file", listener.local_addr().unwrap());
    let sent = Arc::new(Mutex::new(0));
    let count = Arc::clone(&sent);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let _ = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            if stream.write_all(head.as_bytes()).is_err() {
                continue;
            }
            for _ in 0..times {
                if stream.write_all(&vec![0; piece]).is_err() {
                    break;
                }
                *count.lock().unwrap() += piece;
                std::thread::sleep(pause);
            }
        }
    });
    (address, sent)
}

#[test]
fn a_server_that_sends_without_end_is_stopped_at_the_known_size() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let limits = Limits::new(100_000);
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
    ] {
        let (address, sent) = flood(head, 1 << 16, 10_000, Duration::ZERO);
        let error = download::download(&address, &file, limits).unwrap_err().to_string();
        assert!(error.contains("more than 100000 bytes") && !error.contains('\n'), "{error}");
        // What the system's buffers take, and no more.
        assert!(*sent.lock().unwrap() < 50 << 20, "{}", sent.lock().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of it is kept");
    }
}

#[test]
fn a_server_that_trickles_is_given_up_and_what_came_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let limits = Limits {
        silence: Duration::from_secs(5),
        window: Duration::from_millis(200),
        least_bytes: 1000,
        ..Limits::new(1 << 20)
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    let (address, _) = flood(head, 1, 200, Duration::from_millis(20));
    let start = std::time::Instant::now();
    let error = format!("{:#}", download::download(&address, &file, limits).unwrap_err());
    // The server would trickle for hours: 4 s in each of many attempts.
    assert!(start.elapsed() < Duration::from_secs(180), "{:?}", start.elapsed());
    assert!(error.contains("bytes arrived in 0.2 s") && error.contains("gave up"), "{error}");
    assert!(folder.path().join("file.partial").exists());
}

#[test]
fn a_redirect_to_another_kind_of_address_or_to_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for head in [
        "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ] {
        let (address, _) = flood(head, 1, 0, Duration::ZERO);
        let error =
            format!("{:#}", download::download(&address, &file, Limits::new(100)).unwrap_err());
        assert!(!error.contains('\n'), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{error}");
    }
}

#[test]
fn a_checksum_that_is_none_is_refused_before_anything_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (address, asked) = serve(Vec::new(), Manner::Good);
    refuse(folder.path(), &fetch(&address, "zz"), 2, &["--sha256 zz", "64 hexadecimal digits"]);
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn a_hostile_archive_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let link = {
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "data_batch_1.bin", "/etc/passwd").unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    };
    let cases = [
        (archive(&[("good.bin", b"1"), ("../escaped", b"x")]), "leaves the target folder"),
        (archive(&[("a/../../escaped", b"x")]), "leaves the target folder"),
        (archive(&[("/tmp/resnet-repro-escaped", b"x")]), "leaves the target folder"),
        (link, "neither a file nor a folder"),
        (b"not an archive".to_vec(), "archive"),
    ];
    for (bytes, reason) in cases {
        let hash = sha256(&bytes);
        let (address, _) = serve(bytes, Manner::Good);
        refuse(folder.path(), &fetch(&address, &hash), 1, &[reason]);
        assert!(
            !folder.path().join("escaped").exists()
                && !Path::new("/tmp/resnet-repro-escaped").exists()
        );
        let left: Vec<_> = std::fs::read_dir(folder.path().join("data"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(left.iter().all(|name| name == "cifar-10-binary.tar.gz"), "{left:?}");
    }
}

#[test]
fn a_file_in_hand_is_verified_too() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = good_archive(folder.path());
    let hash = sha256(&bytes);
    std::fs::write(folder.path().join("mine.tar.gz"), bytes).unwrap();
    refuse(
        folder.path(),
        &["data", "fetch", "cifar10", "--data", "data", "--from", "mine.tar.gz"],
        1,
        &["mine.tar.gz", "wrong checksum"],
    );
    refuse(
        folder.path(),
        &fetch("other.tar.gz", &hash),
        2,
        &["--from other.tar.gz", "no such file"],
    );
    succeed(folder.path(), &fetch("mine.tar.gz", &hash));
    assert!(folder.path().join("mine.tar.gz").exists(), "a file of one's own is not removed");
}

#[test]
fn shapes_are_built_in_and_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    assert!(succeed(folder.path(), &["data", "check", "shapes"]).contains("shapes: official"));
    refuse(folder.path(), &["data", "fetch", "shapes"], 2, &["built in"]);
    succeed(folder.path(), &["data", "picture", "shapes", "--out", "shapes.png"]);
    assert_eq!(&std::fs::read(folder.path().join("shapes.png")).unwrap()[1..4], b"PNG");
    for name in ["shapes.jpg", "shapes", "png"] {
        refuse(
            folder.path(),
            &["data", "picture", "shapes", "--out", name],
            2,
            &[&format!("--out {name}"), "ends in .png"],
        );
        assert!(!folder.path().join(name).exists(), "no PNG under the name of another format");
    }
    let output =
        run(folder.path(), &["data", "picture", "shapes", "--out", "/nonexistent/shapes.png"]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("/nonexistent/shapes.png"));
}
