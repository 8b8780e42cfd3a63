//! Which device trains, and what the machine and its libraries are.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tch::Device;

use crate::error::{BadInput, bad_input};
use crate::system::shared_library::load_for_others;

/// The version of libtorch that tch 0.24.0 binds.
pub const LIBTORCH_VERSION: &str = "2.11.0";

/// What `--device` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU by number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<DeviceChoice, BadInput> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Ok(DeviceChoice::Auto),
            ("cpu", _) => Ok(DeviceChoice::Cpu),
            ("cuda", _) => Ok(DeviceChoice::Cuda(0)),
            (_, Some(Ok(index))) => Ok(DeviceChoice::Cuda(index)),
            _ => Err(bad_input("write auto, cpu, cuda or cuda:N")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => formatter.write_str("auto"),
            DeviceChoice::Cpu => formatter.write_str("cpu"),
            DeviceChoice::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

/// Whether CUDA can be used, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// So many GPUs.
    Available(i64),
    /// The reason.
    Unavailable(String),
}

/// Loads libtorch's CUDA half if this machine has what it needs.
///
/// The program is linked against the CPU half alone, so that it starts anywhere. This must be
/// called before anything else asks libtorch for CUDA: the first question without it makes "no
/// CUDA" final.
pub fn register_cuda() -> Cuda {
    static CUDA: std::sync::OnceLock<Cuda> = std::sync::OnceLock::new();
    CUDA.get_or_init(|| {
        // Loading a library of the libtorch that is in use: its initialisers only register kernels.
        if let Err(reason) = load_for_others("libtorch_cuda.so") {
            return Cuda::Unavailable(format!("libtorch_cuda.so did not load: {reason}"));
        }
        match tch::Cuda::device_count() {
            0 => Cuda::Unavailable(
                "libtorch_cuda.so is loaded, but the driver shows no GPU".to_string(),
            ),
            count => Cuda::Available(count),
        }
    })
    .clone()
}

/// The device for `choice`, or why there is none.
pub fn select(choice: DeviceChoice) -> Result<Device, BadInput> {
    match (choice, register_cuda()) {
        (DeviceChoice::Cpu, _) | (DeviceChoice::Auto, Cuda::Unavailable(_)) => Ok(Device::Cpu),
        (DeviceChoice::Auto, Cuda::Available(_)) => Ok(Device::Cuda(0)),
        (DeviceChoice::Cuda(index), Cuda::Available(count)) if (index as i64) < count => {
            Ok(Device::Cuda(index))
        }
        (DeviceChoice::Cuda(index), Cuda::Available(count)) => Err(bad_input(format!(
            "--device cuda:{index}: GPUs of this machine, numbered from 0: {count}"
        ))),
        (DeviceChoice::Cuda(_), Cuda::Unavailable(reason)) => Err(bad_input(format!(
            "--device {choice}: CUDA cannot be used here ({reason}); use --device cpu, or run \"resnet-repro doctor\""
        ))),
    }
}

/// A device for a record.
#[derive(Debug, Clone)]
pub struct DeviceDescription {
    /// `cpu` or `cuda:N`.
    pub name: String,
    /// The GPU's model.
    pub gpu: Option<String>,
}

/// Describes a device.
pub fn describe(device: Device) -> DeviceDescription {
    match device {
        Device::Cuda(index) => DeviceDescription {
            name: format!("cuda:{index}"),
            gpu: Some(gpu_models().into_iter().nth(index).unwrap_or_else(|| "unknown".into())),
        },
        _ => DeviceDescription { name: "cpu".to_string(), gpu: None },
    }
}

/// Models of the machine's NVIDIA GPUs, as the driver tells.
pub fn gpu_models() -> Vec<String> {
    let output = std::process::Command::new("nvidia-smi")
        .args(["--query-gpu=name", "--format=csv,noheader"])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
        }
        _ => Vec::new(),
    }
}

/// The folder that libtorch was loaded from.
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .find(|path| path.ends_with("/libtorch_cpu.so"))?;
    PathBuf::from(path).parent().map(PathBuf::from)
}

/// The version of the libtorch that was loaded, such as 2.11.0+cu130, from the files beside it.
pub fn libtorch_version() -> Option<String> {
    let root = libtorch_folder()?.parent()?.to_path_buf();
    if let Ok(text) = std::fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_string());
    }
    let text = std::fs::read_to_string(root.join("version.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim_matches(['\'', '"']).to_string())
}

/// Model of the CPU.
pub fn processor() -> String {
    cpuinfo("model name").unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

/// Those of the CPU's instruction sets that decide the speed of training.
pub fn instruction_sets() -> Vec<String> {
    const INTERESTING: [&str; 6] =
        ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile"];
    let flags = cpuinfo("flags").unwrap_or_default();
    flags.split_whitespace().filter(|flag| INTERESTING.contains(flag)).map(str::to_string).collect()
}

fn cpuinfo(key: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line =
        text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_string())
}

/// Memory of the machine in GiB, 0 if unknown.
pub fn memory_gib() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<f64>().ok()
    });
    (kibibytes.unwrap_or(0.0) / 1024.0 / 1024.0 * 10.0).round() / 10.0
}

/// Bytes of memory that a run on `device` can have now, if known: what the system calls available,
/// within the limit of this process's group (a container's); on a GPU what is free.
pub fn available_memory(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return available_main_memory() };
    let output = std::process::Command::new("nvidia-smi")
        .args([
            "--query-gpu=memory.free",
            "--format=csv,noheader,nounits",
            "--id",
            &index.to_string(),
        ])
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse::<u64>()
        .ok()
        .map(|mebibytes| mebibytes << 20)
}

fn available_main_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes: u64 = text.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok()
    })?;
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("0::").map(str::to_string))
    });
    let folder = PathBuf::from(format!("/sys/fs/cgroup{}", group.unwrap_or_default()));
    let number = |folder: &std::path::Path, name: &str| -> Option<u64> {
        std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
    };
    // A limit may be set on any group above.
    let limits = folder.ancestors().take_while(|folder| folder.starts_with("/sys/fs/cgroup"));
    let rooms = limits.filter_map(|folder| {
        Some(number(folder, "memory.max")?.saturating_sub(number(folder, "memory.current")?))
    });
    Some(rooms.chain([kibibytes << 10]).min().unwrap_or(kibibytes << 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_reads_back_as_it_was_written_and_others_are_refused() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for text in ["gpu", "cuda:", "cuda:x", ""] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }
}
