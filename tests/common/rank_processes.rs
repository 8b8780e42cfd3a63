//! Processes that train one run together, as the launchers of clusters start them.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Child, Output, Stdio};

use crate::ports::free_port;

/// The variables by which a launcher tells a process its rank and how many there are.
pub type Scheme = &'static [(&'static str, &'static str)];

/// torchrun's: the second of each pair says what the variable holds.
pub const TORCHRUN: Scheme = &[("RANK", "rank"), ("LOCAL_RANK", "rank"), ("WORLD_SIZE", "world")];

/// torchrun's on two machines, each with half of the ranks.
pub const TWO_MACHINES: Scheme = &[
    ("RANK", "rank"),
    ("WORLD_SIZE", "world"),
    ("LOCAL_RANK", "rank in its half"),
    ("LOCAL_WORLD_SIZE", "half"),
];

/// Open MPI's.
pub const OPEN_MPI: Scheme = &[
    ("OMPI_COMM_WORLD_RANK", "rank"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "rank"),
    ("OMPI_COMM_WORLD_SIZE", "world"),
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "world"),
];

/// MPICH's.
pub const MPICH: Scheme = &[
    ("PMI_RANK", "rank"),
    ("PMI_SIZE", "world"),
    ("MPI_LOCALRANKID", "rank"),
    ("MPI_LOCALNRANKS", "world"),
];

/// Those of srun's tasks.
pub const SLURM: Scheme = &[
    ("SLURM_STEP_ID", "world"),
    ("SLURM_PROCID", "rank"),
    ("SLURM_LOCALID", "rank"),
    ("SLURM_NTASKS", "world"),
];

/// One rank, to be waited for.
pub fn rank(
    folder: &Path,
    scheme: Scheme,
    (rank, world): (usize, usize),
    port: &str,
    arguments: &[&str],
) -> Child {
    let mut command = crate::common::command(folder, arguments);
    for (variable, value) in scheme {
        let value = match *value {
            "rank" => rank,
            "rank in its half" => rank % (world / 2),
            "half" => world / 2,
            _ => world,
        };
        command.env(variable, value.to_string());
    }
    command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// All ranks of a run.
pub fn start(folder: &Path, scheme: Scheme, world: usize, arguments: &[&str]) -> Vec<Child> {
    let port = free_port();
    (0..world).map(|number| rank(folder, scheme, (number, world), &port, arguments)).collect()
}

/// How each of them ended.
pub fn wait(ranks: Vec<Child>) -> Vec<Output> {
    ranks.into_iter().map(|rank| rank.wait_with_output().unwrap()).collect()
}

/// Exit codes.
pub fn codes(outputs: &[Output]) -> Vec<Option<i32>> {
    outputs.iter().map(|output| output.status.code()).collect()
}

/// Sends a signal to a rank.
pub fn signal(rank: &Child, signal: libc::c_int) {
    // SAFETY: a process that this test started and has not waited for.
    unsafe { libc::kill(rank.id() as libc::pid_t, signal) };
}
