//! Downloading a file, and resuming where a broken download stopped.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use crate::console::output::say;
use crate::system::atomic_file::open_own;
use crate::system::hash::hexadecimal;
use crate::system::regular_file;

/// How often a connection that breaks off is taken up again before giving up. Calling the command
/// again goes on too.
const ATTEMPTS: u32 = 5;

/// What a server may do before a connection to it is given up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The length of the whole file in bytes, or more than it can have: what is longer is refused.
    pub most_bytes: u64,
    /// The longest silence.
    pub silence: Duration,
    /// In each such time some bytes must arrive, [`Limits::least_bytes`].
    pub window: Duration,
    /// See [`Limits::window`].
    pub least_bytes: u64,
}

impl Limits {
    /// Those for a file of at most `most_bytes`: half a minute of silence, or less than a kilobyte
    /// a second over a minute.
    pub fn new(most_bytes: u64) -> Limits {
        Limits {
            most_bytes,
            silence: Duration::from_secs(30),
            window: Duration::from_secs(60),
            least_bytes: 60 << 10,
        }
    }
}

/// Pause before the second attempt; before the third it is twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(300);

/// What sends the requests: an address with https leads to none without.
fn agent(url: &str, limits: Limits) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(limits.silence))
        .timeout_recv_response(Some(limits.silence))
        .timeout_per_read(Some(limits.silence))
        .http_status_as_error(false)
        .https_only(url.starts_with("https://"))
        .build()
        .into()
}

/// Downloads `url` to `path`. What an earlier call left in `path`.partial is not asked for again.
///
/// # Errors
/// A server that goes beyond `limits`, leads from https to http, answers with an error, or breaks
/// off [`ATTEMPTS`] times.
pub fn download(url: &str, path: &Path, limits: Limits) -> Result<()> {
    let partial = partial_path(path);
    let agent = agent(url, limits);
    let bar = ProgressBar::new(0);
    let template = "{msg} {bar:24.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
    bar.set_style(
        ProgressStyle::with_template(template).context("progress bar")?.progress_chars("━━─"),
    );
    bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let mut failure = None;
    for attempt in 1..=ATTEMPTS {
        match attempt_download(&agent, url, limits, &partial, &bar) {
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
    limits: Limits,
    partial: &Path,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let have = arrived_before(partial);
    let response = request(agent, url, have)?;
    let Some(start) = first_byte(&response, url, have, partial)? else { return Ok(()) };
    let download =
        Download { url, limits, partial, start, length: response.body().content_length() };
    if download.length.is_some_and(|length| length > limits.most_bytes.saturating_sub(start)) {
        return Err(download.too_long());
    }
    download.receive(response.into_body().into_reader(), bar)
}

/// Asks for the file from byte `have` on.
fn request(
    agent: &ureq::Agent,
    url: &str,
    have: u64,
) -> Result<ureq::http::Response<ureq::Body>, Failure> {
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    request.call().map_err(|error| match error {
        ureq::Error::RequireHttpsOnly(to) => Failure::Final(anyhow!(
            "{url}: refused: it redirects to {to}, which is not encrypted; give another address with --from"
        )),
        ureq::Error::BadUri(reason) => Failure::Final(anyhow!(
            "{url}: refused: it redirects to an invalid address ({reason}); give another with --from"
        )),
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => Failure::Final(anyhow!(
            "{url}: refused: {error}; give another address with --from"
        )),
        error => Failure::Broken(anyhow!("{error}")),
    })
}

/// The byte of the file that the answer begins with; none if all of it may be there already, which
/// the checksum will tell.
fn first_byte(
    response: &ureq::http::Response<ureq::Body>,
    url: &str,
    have: u64,
    partial: &Path,
) -> Result<Option<u64>, Failure> {
    match response.status() {
        StatusCode::OK => Ok(Some(0)),
        StatusCode::PARTIAL_CONTENT if continues_at(response, have) => Ok(Some(have)),
        StatusCode::PARTIAL_CONTENT => {
            // Another part than was asked for: only from the start is it known what comes.
            let _ = std::fs::remove_file(partial);
            Err(Failure::Broken(anyhow!(
                "the server continued at another place than it was asked to"
            )))
        }
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => Ok(None),
        status => Err(Failure::Final(anyhow!(
            "{url}: the server answered {status}; give another address with --from"
        ))),
    }
}

/// An answer that is being received.
struct Download<'a> {
    url: &'a str,
    limits: Limits,
    /// Where it is written.
    partial: &'a Path,
    /// Its first byte, as counted from the start of the file.
    start: u64,
    /// Its bytes, if the server says how many they are.
    length: Option<u64>,
}

impl Download<'_> {
    fn receive(&self, mut body: impl Read, bar: &ProgressBar) -> Result<(), Failure> {
        bar.set_length(self.start + self.length.unwrap_or(0));
        bar.set_position(self.start);
        let mut file = open_at(self.partial, self.start).map_err(Failure::Final)?;
        let mut buffer = vec![0; 1 << 16];
        let mut arrived = 0;
        let mut window = (Instant::now(), 0);
        loop {
            let count = body.read(&mut buffer).map_err(|error| Failure::Broken(error.into()))?;
            if count == 0 {
                break;
            }
            if self.start + arrived + count as u64 > self.limits.most_bytes {
                return Err(self.too_long());
            }
            file.write_all(&buffer[..count])
                .with_context(|| self.partial.display().to_string())
                .map_err(Failure::Final)?;
            arrived += count as u64;
            if window.0.elapsed() >= self.limits.window {
                self.check_speed(arrived - window.1)?;
                window = (Instant::now(), arrived);
            }
            bar.inc(count as u64);
        }
        match self.length {
            Some(length) if arrived < length => Err(Failure::Broken(anyhow!(
                "the connection ended after {} of {} bytes",
                self.start + arrived,
                self.start + length
            ))),
            _ => Ok(()),
        }
    }

    /// Gives up a server of which less arrives in a window than the limit says.
    fn check_speed(&self, bytes: u64) -> Result<(), Failure> {
        if bytes >= self.limits.least_bytes {
            return Ok(());
        }
        let seconds = self.limits.window.as_secs_f64();
        Err(Failure::Broken(anyhow!("only {bytes} bytes arrived in {seconds} s")))
    }

    /// It is not the file that was asked for: nothing of it is kept.
    fn too_long(&self) -> Failure {
        let _ = std::fs::remove_file(self.partial);
        Failure::Final(anyhow!(
            "{}: refused: the server sends more than {} bytes, the maximum for this file",
            self.url,
            self.limits.most_bytes
        ))
    }
}

/// Whether a partial answer starts where it was asked to.
fn continues_at(response: &ureq::http::Response<ureq::Body>, have: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok())
        == Some(have)
}

/// Bytes of an earlier call. What stands at that place and is no file, a link or a pipe, goes.
fn arrived_before(partial: &Path) -> u64 {
    match std::fs::symlink_metadata(partial) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => {
            // If it cannot be removed, opening it is refused.
            let _ = std::fs::remove_file(partial);
            0
        }
        Err(_) => 0,
    }
}

/// Opens the file, which is new or an earlier call's, to go on after `start` bytes.
fn open_at(path: &Path, start: u64) -> Result<File> {
    let mut file = open_own(path)?;
    file.set_len(start)
        .and_then(|()| file.seek(SeekFrom::End(0)))
        .with_context(|| path.display().to_string())?;
    Ok(file)
}

/// Where the bytes of an unfinished download of `path` are: a name that the next call knows, to go on.
/// Its checksum is compared before anything is done with them.
pub fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Refuses a file whose SHA-256 is not `expected` (hexadecimal).
pub fn verify(path: &Path, expected: &str) -> Result<()> {
    let mut file = regular_file::open(path).with_context(|| path.display().to_string())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_https_leads_to_none_without() {
        // Redirects go through the same check as first addresses.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let plain = format!("http://{}/", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let encrypted = agent("https://example.org/file", Limits::new(10));
        let partial = folder.path().join("file.partial");
        let bar = ProgressBar::hidden();
        match attempt_download(&encrypted, &plain, Limits::new(10), &partial, &bar) {
            Err(Failure::Final(error)) => {
                assert!(error.to_string().contains("not encrypted"), "{error}")
            }
            _ => panic!("it was asked"),
        }
        assert!(listener.accept().is_err(), "nobody was connected to");
        assert!(!partial.exists());
    }

    #[test]
    fn a_link_or_a_pipe_at_the_place_of_the_download_is_replaced_and_a_file_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, partial) = (folder.path().join("victim"), folder.path().join("a.partial"));
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, &partial).unwrap();
        assert_eq!(arrived_before(&partial), 0);
        open_at(&partial, 0).unwrap().write_all(b"half").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"kept");
        assert_eq!(arrived_before(&partial), 4);
        open_at(&partial, 4).unwrap().write_all(b" and half").unwrap();
        assert_eq!(std::fs::read(&partial).unwrap(), b"half and half");
        std::fs::remove_file(&partial).unwrap();
        std::process::Command::new("mkfifo").arg(&partial).status().unwrap();
        assert_eq!(arrived_before(&partial), 0);
        open_at(&partial, 0).unwrap();
    }
}
