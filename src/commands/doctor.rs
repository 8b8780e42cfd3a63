//! `doctor`: what this machine has for training, and how to fix what is missing.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::config::dataset_name::DatasetName;
use crate::console::output::{print, print_json};
use crate::dataset;
use crate::distributed::nccl;
use crate::distributed::place::Place;
use crate::error::{EXIT_DONE, EXIT_FAILED};
use crate::kernels::launcher::gpu;
use crate::report::format::counted;
use crate::system::device::{Cuda, LIBTORCH_VERSION};
use crate::system::{device, parallel};

/// Check what this machine has for training, and how to fix what is missing
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    /// Whether training works as it should with it.
    ok: bool,
    found: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// Runs the command. Fails only if something keeps training from being right.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let checks = [
        libtorch(),
        arithmetic(),
        cuda(),
        cpu(),
        memory(),
        ranks(),
        exchange(),
        kernels(),
        jpeg(env!("JPEG_ASSEMBLY") == "true"),
        data(),
    ];
    if arguments.json {
        print_json(&checks)?;
    } else {
        let lines: Vec<String> = checks
            .iter()
            .map(|check| {
                let advice = check
                    .advice
                    .as_ref()
                    .map(|advice| format!("\n{:14}→ {advice}", ""))
                    .unwrap_or_default();
                format!(
                    "{} {:<11} {}{advice}",
                    if check.ok { "✓" } else { "✗" },
                    check.name,
                    check.found
                )
            })
            .collect();
        print(&lines.join("\n"))?;
    }
    Ok(if checks.iter().all(|check| check.ok) { EXIT_DONE } else { EXIT_FAILED })
}

fn libtorch() -> Check {
    let version = device::libtorch_version().unwrap_or_else(|| "unknown version".to_string());
    let folder = device::libtorch_folder()
        .map_or("an unknown folder".to_string(), |folder| folder.display().to_string());
    let ok = version.split('+').next() == Some(LIBTORCH_VERSION);
    let advice =
        (!ok).then(|| format!("this program binds libtorch {LIBTORCH_VERSION}: run scripts/setup and build again, and unset LD_LIBRARY_PATH"));
    Check { name: "libtorch", ok, found: format!("{version} in {folder}"), advice }
}

/// A multiplication whose result is known: libtorch loads and computes.
fn arithmetic() -> Check {
    let ones = tch::Tensor::ones([64, 64], (tch::Kind::Float, tch::Device::Cpu));
    let sum = ones.matmul(&ones).sum(tch::Kind::Double).double_value(&[]);
    let ok = sum == 64f64.powi(3);
    let threads = tch::get_num_threads();
    let mkldnn = if tch::utils::has_mkldnn() {
        "with oneDNN"
    } else {
        "without oneDNN: convolutions will be slow"
    };
    Check {
        name: "arithmetic",
        ok,
        found: format!("{}, {mkldnn}", counted(threads as usize, "thread")),
        advice: (!ok).then(|| {
            format!(
                "64³ came out as {sum}: libtorch is damaged; remove .libtorch and run scripts/setup"
            )
        }),
    }
}

fn cuda() -> Check {
    let gpus = device::gpu_models();
    let found = match device::register_cuda() {
        Cuda::Available(count) => {
            format!("registered, {}: {}", counted(count as usize, "GPU"), gpus.join(", "))
        }
        Cuda::Unavailable(_) if gpus.is_empty() => {
            "no NVIDIA GPU (nvidia-smi shows none): training runs on the CPU".to_string()
        }
        Cuda::Unavailable(reason) => {
            format!("not registered, though there is a GPU ({}): {reason}", gpus.join(", "))
        }
    };
    let unused = !gpus.is_empty() && matches!(device::register_cuda(), Cuda::Unavailable(_));
    let advice =
        unused.then(|| "run scripts/setup --cuda, which installs the CUDA libraries beside libtorch; the driver must support CUDA 13".to_string());
    Check { name: "CUDA", ok: !unused, found, advice }
}

/// How JPEG files are decoded; `assembly` is recorded when the program is built.
fn jpeg(assembly: bool) -> Check {
    let (found, advice) = match assembly {
        true => ("decoded with libjpeg's assembly", None),
        false => (
            "decoded without assembly (built without nasm): a quarter slower (ImageNet)",
            Some("install Debian's package nasm, then \"cargo clean --release -p mozjpeg-sys\" and \"cargo build --release\"".to_string()),
        ),
    };
    Check { name: "JPEG", ok: true, found: found.to_string(), advice }
}

fn cpu() -> Check {
    let cores = parallel::available_threads();
    let sets = device::instruction_sets();
    let has_avx2 = sets.iter().any(|set| set == "avx2") || std::env::consts::ARCH != "x86_64";
    let found = format!(
        "{}, {}, {}",
        device::processor(),
        counted(cores, "core"),
        if sets.is_empty() { "no SIMD extensions".to_string() } else { sets.join(" ") }
    );
    Check {
        name: "CPU",
        ok: true,
        found,
        advice: (!has_avx2).then(|| "without AVX2 training is several times slower".to_string()),
    }
}

fn memory() -> Check {
    let gib = device::memory_gib();
    let advice = (gib < 4.0).then(|| {
        "below 4 GiB, deep networks may not fit at batch 128: --set batch_size=32 needs a quarter"
            .to_string()
    });
    Check { name: "memory", ok: true, found: format!("{gib} GiB"), advice }
}

/// What one run on several devices or machines would use.
fn ranks() -> Check {
    let launchers: Vec<&str> =
        ["torchrun", "srun", "mpirun"].into_iter().filter(|name| is_in_path(name)).collect();
    let launchers = match &launchers[..] {
        [] => "--device with a list".to_string(),
        found => format!("--device with a list, {}", found.join(", ")),
    };
    let available =
        format!("started by {launchers}; interfaces {}", network_interfaces().join(", "));
    let (ok, found, advice) = match Place::here() {
        Ok(None) => (true, available, None),
        Ok(Some(place)) => {
            let here = format!("this is rank {} of {}; {available}", place.rank, place.world);
            (true, here, None)
        }
        Err(error) => {
            let advice = "set or unset the launcher's variables: \"train\" reads them";
            (false, error.to_string(), Some(advice.to_string()))
        }
    };
    Check { name: "ranks", ok, found, advice }
}

/// What would move tensors between the ranks of a run.
fn exchange() -> Check {
    let has_gpu = matches!(device::register_cuda(), Cuda::Available(_));
    let (found, advice) = match nccl::library() {
        Ok(library) => {
            (format!("NCCL {} between GPUs, Gloo between CPUs", library.version()), None)
        }
        Err(reason) if has_gpu => {
            ("Gloo, through main memory: slow between GPUs".to_string(), Some(reason))
        }
        Err(_) => (
            "Gloo, through main memory; no NCCL (for GPUs: scripts/setup --cuda, scripts/build-cuda-graph)"
                .to_string(),
            None,
        ),
    };
    Check { name: "exchange", ok: true, found, advice }
}

/// Whether the project's own kernels can compute a network here.
fn kernels() -> Check {
    let found = match device::register_cuda() {
        Cuda::Unavailable(_) => {
            Ok("libtorch's; the project's own (--set kernels=own) are for NVIDIA GPUs")
        }
        Cuda::Available(_) => gpu(0)
            .map(|_| "libtorch's, or the project's own, compiled for GPU 0 (--set kernels=own)"),
    };
    let (found, advice) = match found {
        Ok(found) => (found.to_string(), None),
        Err(error) => ("libtorch's alone".to_string(), Some(format!("{error:#}"))),
    };
    Check { name: "kernels", ok: true, found, advice }
}

/// Whether a program of this name is in a folder of PATH.
fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn network_interfaces() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn data() -> Check {
    let folder = dataset::default_folder(DatasetName::Cifar10);
    let (found, advice) = match dataset::load(DatasetName::Cifar10, None) {
        Ok(data) => (format!("cifar10 in {}: {}", folder.display(), data.status), None),
        Err(error) if folder.exists() => (
            format!("shapes (built in); cifar10 cannot be read: {error:#}"),
            Some("resnet-repro data fetch cifar10".to_string()),
        ),
        Err(_) => (
            format!("shapes (built in); no cifar10 in {}", folder.display()),
            Some("resnet-repro data fetch cifar10".to_string()),
        ),
    };
    Check { name: "data", ok: true, found, advice }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_decoder_without_assembly_is_no_fault_and_says_how_to_get_it() {
        let slow = super::jpeg(false);
        assert!(slow.ok && slow.advice.is_some_and(|advice| advice.contains("package nasm")));
        assert!(super::jpeg(true).advice.is_none());
    }
}
