//! Where numbers come from: program, libraries, machine, time.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::system::device::DeviceDescription;
use crate::system::{device, parallel};

/// What identifies the program, the libraries and the machine of a run. A record of another version
/// may have other fields.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this program.
    pub version: String,
    /// Git revision that it was built from, or "unknown".
    pub git_revision: String,
    /// Whether tracked files differed from that revision.
    pub git_dirty: bool,
    /// Version of libtorch that was loaded.
    pub libtorch: String,
    /// When training first started (UTC).
    pub started: String,
    /// When the record was last written (UTC).
    pub updated: String,
    /// The machine.
    pub machine: Machine,
}

/// The hardware of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Model of the GPU, if it trained there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Model of the CPU.
    pub processor: String,
    /// Cores that the operating system shows.
    pub cores: usize,
    /// Threads that libtorch used inside an operation.
    pub threads: i32,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// How many processes trained it together, if several did. It does not affect results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<usize>,
    /// Their hosts, one after the other, each once where neighbours share it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The library that moved tensors between them, with its version if it is not libtorch's own.
    /// It does not affect results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// What made the project's own kernels run, where they did: the compiler with its version, or
    /// the emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<String>,
}

impl Provenance {
    /// The provenance of a run that starts now on `device`.
    pub fn now(device: tch::Device) -> Provenance {
        Provenance {
            version: env!("CARGO_PKG_VERSION").to_string(),
            git_revision: env!("GIT_REVISION").to_string(),
            git_dirty: env!("GIT_DIRTY") == "true",
            libtorch: device::libtorch_version().unwrap_or_else(|| "unknown".to_string()),
            started: timestamp(),
            updated: timestamp(),
            machine: Machine::of(&device::describe(device)),
        }
    }
}

impl Machine {
    /// In what `other` differs that decides the order of sums, as "threads 1 instead of 2".
    pub fn change(&self, other: &Machine) -> Option<String> {
        let of =
            |machine: &Machine| machine.gpu.clone().unwrap_or_else(|| machine.processor.clone());
        if of(self) != of(other) {
            return Some(format!("{} instead of {}", of(other), of(self)));
        }
        (self.gpu.is_none() && self.threads != other.threads)
            .then(|| format!("{} threads instead of {}", other.threads, self.threads))
    }

    fn of(device: &DeviceDescription) -> Machine {
        Machine {
            device: device.name.clone(),
            gpu: device.gpu.clone(),
            processor: device::processor(),
            cores: parallel::available_threads(),
            threads: tch::get_num_threads(),
            memory_gib: device::memory_gib(),
            world: None,
            hosts: Vec::new(),
            exchange: None,
            kernels: None,
        }
    }
}

/// The time now, as 2026-01-31T12:00:00Z.
pub fn timestamp() -> String {
    written(SystemTime::now())
}

/// A time as RFC 3339 writes it; one before 1970 or after 9999, of a clock that is wrong, as the
/// nearest that can be written.
fn written(time: SystemTime) -> String {
    // 9999-12-31T23:59:59Z.
    const LAST: u64 = 253_402_300_799;
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_wrong_by_centuries_give_a_time_and_end_nothing() {
        let at = |seconds: i64| {
            let distance = Duration::from_secs(seconds.unsigned_abs());
            let epoch = SystemTime::UNIX_EPOCH;
            written(if seconds < 0 { epoch - distance } else { epoch + distance })
        };
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(1_769_860_800), "2026-01-31T12:00:00Z");
        for before in [-1, -1_000_000_000, i64::MIN / 2] {
            assert_eq!(at(before), "1970-01-01T00:00:00Z", "{before}");
        }
        for after in [253_402_300_799, 253_402_300_800, i64::MAX / 2] {
            assert_eq!(at(after), "9999-12-31T23:59:59Z", "{after}");
        }
    }
}
