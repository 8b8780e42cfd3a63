//! Which of how many processes of a run this is, as whatever started it says in variables.

use std::process::Command;

use crate::error::{BadInput, bad_input};

/// The port of rank 0 where nothing names one, plus the number of the job.
const PORT: u64 = 29_500;

/// Ports that jobs share out among themselves.
const PORTS: u64 = 1000;

/// The variable by which [`launch`](crate::distributed::launch) tells its ranks its own number.
pub const LAUNCHER: &str = "RESNET_REPRO_LAUNCHER";

/// Which of how many processes this is, and where the first of them is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 0.
    pub rank: usize,
    /// How many there are, at least 2.
    pub world: usize,
    /// Which of those on its machine it is.
    pub local_rank: usize,
    /// How many are on its machine, as far as that is said.
    pub local_world: Option<usize>,
    /// The host of rank 0.
    pub host: String,
    /// The port there at which the processes meet.
    pub port: u16,
    /// Whether torchrun keeps a store at that port already.
    pub store_is_there: bool,
    /// What the keys in the store begin with: another for each attempt.
    pub session: String,
}

/// The variables of a launcher.
struct Scheme {
    rank: &'static str,
    world: &'static str,
    local_rank: &'static str,
    local_world: &'static str,
}

/// torchrun's, which the built-in launcher sets too.
const TORCHRUN: Scheme = Scheme {
    rank: "RANK",
    world: "WORLD_SIZE",
    local_rank: "LOCAL_RANK",
    local_world: "LOCAL_WORLD_SIZE",
};

/// Open MPI's.
const OPEN_MPI: Scheme = Scheme {
    rank: "OMPI_COMM_WORLD_RANK",
    world: "OMPI_COMM_WORLD_SIZE",
    local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
    local_world: "OMPI_COMM_WORLD_LOCAL_SIZE",
};

/// MPICH's and those of its relatives.
const MPICH: Scheme = Scheme {
    rank: "PMI_RANK",
    world: "PMI_SIZE",
    local_rank: "MPI_LOCALRANKID",
    local_world: "MPI_LOCALNRANKS",
};

/// Those of srun's tasks.
const SLURM: Scheme = Scheme {
    rank: "SLURM_PROCID",
    world: "SLURM_NTASKS",
    local_rank: "SLURM_LOCALID",
    local_world: "SLURM_NTASKS_PER_NODE",
};

/// Where variables come from.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

fn number<N: std::str::FromStr>(variables: Variables, name: &str) -> Result<Option<N>, BadInput> {
    let Some(text) = variables(name) else { return Ok(None) };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(bad_input(format!("{name}={text}: not a whole number in its range"))),
    }
}

impl Place {
    /// This process's; none if it is alone.
    pub fn here() -> Result<Option<Place>, BadInput> {
        Place::of(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), &first_host)
    }

    /// From torchrun's variables, else an MPI launcher's (which inside a Slurm job knows better
    /// than Slurm), else those of srun's tasks: a batch script without srun has some of these too,
    /// and is alone. `first_host` finds the first of Slurm's list of nodes.
    fn of(
        variables: Variables,
        first_host: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Place>, BadInput> {
        let in_step = variables("SLURM_STEP_ID").is_some();
        for scheme in [&TORCHRUN, &OPEN_MPI, &MPICH, &SLURM] {
            let is_slurm = scheme.rank == SLURM.rank;
            if is_slurm && !in_step {
                continue;
            }
            let rank: Option<usize> = number(variables, scheme.rank)?;
            let world: Option<usize> = number(variables, scheme.world)?;
            let (Some(rank), Some(world)) = (rank, world) else { continue };
            if world <= 1 {
                return Ok(None);
            }
            if rank >= world {
                return Err(bad_input(format!(
                    "{}={rank}: ranks are counted from 0, and {}={world}",
                    scheme.rank, scheme.world
                )));
            }
            let local_world = number(variables, scheme.local_world)?;
            let host = match variables("MASTER_ADDR") {
                Some(host) => host,
                None if is_slurm => variables("SLURM_JOB_NODELIST")
                    .and_then(|nodes| first_host(&nodes))
                    .ok_or_else(|| no_address(scheme))?,
                None if scheme.rank != TORCHRUN.rank && local_world == Some(world) => {
                    "127.0.0.1".to_string()
                }
                None => return Err(no_address(scheme)),
            };
            let port = match number(variables, "MASTER_PORT")? {
                Some(port) => port,
                None => default_port(variables)?,
            };
            return Ok(Some(Place {
                rank,
                world,
                local_rank: number(variables, scheme.local_rank)?.unwrap_or(rank),
                local_world,
                host,
                port,
                store_is_there: variables("TORCHELASTIC_USE_AGENT_STORE").as_deref()
                    == Some("True"),
                session: session(variables),
            }));
        }
        Ok(None)
    }

    /// Whether this is the one that writes.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }
}

fn no_address(scheme: &Scheme) -> BadInput {
    bad_input(format!(
        "{} is set, and MASTER_ADDR is not: set MASTER_ADDR to the host name of rank 0, and MASTER_PORT to a free port there",
        scheme.rank
    ))
}

/// A port of the job's own, so that two jobs on one node do not meet.
fn default_port(variables: Variables) -> Result<u16, BadInput> {
    let job: u64 = number(variables, "SLURM_JOB_ID")?.unwrap_or(0);
    // Steps that Slurm adds itself have numbers near the end of the range.
    let step: u64 = number(variables, "SLURM_STEP_ID")?.unwrap_or(0);
    let port = PORT + job.wrapping_add(step) % PORTS;
    Ok(u16::try_from(port).unwrap_or(u16::MAX))
}

/// What torchrun's store needs to tell one attempt from another.
fn session(variables: Variables) -> String {
    let of = |name| variables(name).unwrap_or_default();
    format!("resnet-repro/{}/{}", of("TORCHELASTIC_RUN_ID"), of("TORCHELASTIC_RESTART_COUNT"))
}

/// The first of Slurm's nodes, which it abbreviates as in gpu[3-6].
fn first_host(nodes: &str) -> Option<String> {
    let output = Command::new("scontrol").args(["show", "hostnames", nodes]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().map(str::trim).filter(|host| !host.is_empty());
    first.filter(|_| output.status.success()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Option<Place>, BadInput> {
        let of = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string())
        };
        Place::of(&of, &|nodes| nodes.split('[').next().map(|name| format!("{name}1")))
    }

    fn found(variables: &[(&str, &str)]) -> (usize, usize, usize, String, u16) {
        let place = with(variables).unwrap().unwrap();
        (place.rank, place.world, place.local_rank, place.host, place.port)
    }

    #[test]
    fn each_launchers_variables_say_which_rank_this_is_and_where_the_first_is() {
        let torchrun = [
            ("RANK", "3"),
            ("WORLD_SIZE", "4"),
            ("LOCAL_RANK", "1"),
            ("MASTER_ADDR", "a"),
            ("MASTER_PORT", "7"),
        ];
        assert_eq!(found(&torchrun), (3, 4, 1, "a".to_string(), 7));
        let open_mpi = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        assert_eq!(found(&open_mpi), (1, 2, 1, "127.0.0.1".to_string(), 29_500));
        let mpich =
            [("PMI_RANK", "0"), ("PMI_SIZE", "2"), ("MASTER_ADDR", "b"), ("MPI_LOCALRANKID", "0")];
        assert_eq!(found(&mpich), (0, 2, 0, "b".to_string(), 29_500));
        let slurm = [
            ("SLURM_STEP_ID", "2"),
            ("SLURM_PROCID", "5"),
            ("SLURM_NTASKS", "8"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_JOB_ID", "40017"),
            ("SLURM_JOB_NODELIST", "gpu[1-2]"),
        ];
        assert_eq!(found(&slurm), (5, 8, 1, "gpu1".to_string(), 29_519));
        // Open MPI starts its own processes by srun, one a node.
        let both = [&open_mpi[..], &slurm[..]].concat();
        assert_eq!(found(&both).0, 1);
    }

    #[test]
    fn one_process_alone_and_a_batch_script_without_srun_have_no_place() {
        assert_eq!(with(&[]).unwrap(), None);
        assert_eq!(with(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap(), None);
        assert_eq!(with(&[("RANK", "0")]).unwrap(), None);
        assert_eq!(with(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")]).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_is_refused_by_the_variables_name() {
        for (variables, part) in [
            (&[("RANK", "x"), ("WORLD_SIZE", "2")][..], "RANK=x"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], "RANK=2"),
            (&[("RANK", "0"), ("WORLD_SIZE", "2")], "MASTER_ADDR"),
            (&[("PMI_RANK", "0"), ("PMI_SIZE", "2"), ("MPI_LOCALNRANKS", "1")], "MASTER_ADDR"),
            (
                &[
                    ("RANK", "0"),
                    ("WORLD_SIZE", "2"),
                    ("MASTER_ADDR", "a"),
                    ("MASTER_PORT", "70000"),
                ],
                "MASTER_PORT=70000",
            ),
        ] {
            let error = with(variables).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
