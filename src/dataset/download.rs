//! Downloading a file, and going on where a broken download stopped.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use crate::console::output::say;
use crate::system::hash::hexadecimal;

/// How often a connection that breaks off is taken up again before giving up. Calling the command
/// again goes on too.
const ATTEMPTS: u32 = 5;

/// A server that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Pause before the second attempt; before the third it is twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(300);

/// Downloads `url` to `path`. What an earlier call left in `path`.partial is not asked for again.
pub fn download(url: &str, path: &Path) -> Result<()> {
    let partial = partial_path(path);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let bar = ProgressBar::new(0);
    let template = "{msg} {bar:24.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
    bar.set_style(
        ProgressStyle::with_template(template).context("progress bar")?.progress_chars("━━─"),
    );
    bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let mut failure = None;
    for attempt in 1..=ATTEMPTS {
        match attempt_download(&agent, url, &partial, &bar) {
            Ok(()) => {
                bar.finish();
                return std::fs::rename(&partial, path)
                    .with_context(|| format!("{}: cannot be renamed", partial.display()));
            }
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Broken(error)) => {
                bar.suspend(|| say(&format!("{url}: {error:#} (attempt {attempt} of {ATTEMPTS})")));
                failure = Some(error);
                std::thread::sleep(PAUSE * attempt);
            }
        }
    }
    let error = failure.unwrap_or_else(|| anyhow!("no attempt was made"));
    Err(error.context(format!(
        "{url}: gave up; what arrived is kept in {}, the same command resumes from there",
        partial.display()
    )))
}

/// Why an attempt ended early.
enum Failure {
    /// Trying again may help.
    Broken(anyhow::Error),
    /// Trying again is no use.
    Final(anyhow::Error),
}

fn attempt_download(
    agent: &ureq::Agent,
    url: &str,
    partial: &Path,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let have = std::fs::metadata(partial).map_or(0, |metadata| metadata.len());
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| Failure::Broken(anyhow!("{error}")))?;
    let length = response.body().content_length();
    let start = match response.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if continues_at(&response, have) => have,
        StatusCode::PARTIAL_CONTENT => {
            // Another part than was asked for: only from the start is it known what comes.
            let _ = std::fs::remove_file(partial);
            return Err(Failure::Broken(anyhow!(
                "the server continued at another place than it was asked to"
            )));
        }
        // The file may have been complete already: the checksum will tell.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
        status => {
            return Err(Failure::Final(anyhow!(
                "{url}: the server answered {status}; give another address with --from"
            )));
        }
    };
    bar.set_length(start + length.unwrap_or(0));
    bar.set_position(start);
    let mut file = open_at(partial, start).map_err(Failure::Final)?;
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut arrived = 0;
    loop {
        let count = body.read(&mut buffer).map_err(|error| Failure::Broken(error.into()))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])
            .with_context(|| partial.display().to_string())
            .map_err(Failure::Final)?;
        arrived += count as u64;
        bar.inc(count as u64);
    }
    match length {
        Some(length) if arrived < length => Err(Failure::Broken(anyhow!(
            "the connection ended after {} of {} bytes",
            start + arrived,
            start + length
        ))),
        _ => Ok(()),
    }
}

/// Whether a partial answer starts where it was asked to.
fn continues_at(response: &ureq::http::Response<ureq::Body>, have: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok())
        == Some(have)
}

fn open_at(path: &Path, start: u64) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("{}: cannot be opened for writing", path.display()))?;
    file.set_len(start).with_context(|| path.display().to_string())?;
    Ok(file)
}

/// Where the bytes of an unfinished download of `path` are.
pub fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Refuses a file whose SHA-256 is not `expected` (hexadecimal).
pub fn verify(path: &Path, expected: &str) -> Result<()> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(|| path.display().to_string())? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    let found = hexadecimal(&hash.finalize());
    if found != expected.to_lowercase() {
        bail!(
            "{}: wrong checksum: SHA-256 is {found}, not {expected}; the file is damaged or another one",
            path.display()
        );
    }
    Ok(())
}
