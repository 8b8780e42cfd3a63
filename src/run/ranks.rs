//! A run that several processes train together: what they must have in common, how those that keep
//! no record begin and end, and what is told when one of them goes away.

use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};

use crate::config::kernels::Kernels;
use crate::config::recipe::Recipe;
use crate::console::event::Event;
use crate::distributed::group::Group;
use crate::distributed::meeting::Fact;
use crate::error::{BadInput, Stopped, bad_input};
use crate::kernels::launcher;
use crate::records::directory::RunDirectory;
use crate::records::provenance::{Provenance, timestamp};
use crate::records::run_toml::{Failure, RunRecord, State};
use crate::run::spec::{Run, RunOptions};
use crate::training::checkpoint::Checkpoint;
use crate::training::evaluation::splits::Evaluations;
use crate::training::gradient_norms::GradientRow;
use crate::training::metrics::TrainingRow;
use crate::training::trainer::{Outcome, Recorder};

/// Refuses a number of ranks that the groups of a batch cannot be dealt out to.
pub fn check_world(recipe: &Recipe, world: usize) -> Result<(), BadInput> {
    let groups = recipe.groups();
    if groups.is_multiple_of(world) {
        return Ok(());
    }
    let batch = recipe.batch_size;
    let advice = match batch / world as u64 {
        each if batch.is_multiple_of(world as u64) => {
            format!("set the images that each normalises together: --set group_size={each}")
        }
        _ => format!(
            "batch_size = {batch} is not a multiple of {world} either: change --set batch_size and group_size, or the number of ranks"
        ),
    };
    let of = if groups == 1 { "1 group".to_string() } else { format!("{groups} groups") };
    Err(bad_input(format!(
        "{world} ranks cannot share the {of} of a batch (group_size = {}); {advice}",
        recipe.group_size
    )))
}

/// How a rank that keeps no record begins.
pub(crate) enum Begin<'a> {
    /// Not at all: so the run ended, now or before.
    Over(Outcome),
    /// From this checkpoint, or from the start.
    At(Option<&'a Checkpoint>),
}

/// What rank 0 says of it: a byte, and what belongs to it.
const FINISHED: u8 = 0;
const INTERRUPTED: u8 = 1;
const DIVERGED: u8 = 2;
const FROM_START: u8 = 3;
const FROM_CHECKPOINT: u8 = 4;

impl Begin<'_> {
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
        Ok(match self {
            Begin::Over(Outcome::Finished) => vec![FINISHED],
            Begin::Over(Outcome::Interrupted(after)) => with(INTERRUPTED, &after.to_le_bytes()),
            Begin::Over(Outcome::Diverged(at)) => with(DIVERGED, &at.to_le_bytes()),
            Begin::At(None) => vec![FROM_START],
            Begin::At(Some(checkpoint)) => with(FROM_CHECKPOINT, &checkpoint.to_bytes(None)?),
        })
    }
}

/// The same as it arrives.
enum Begun {
    Over(Outcome),
    At(Option<Checkpoint>),
}

impl Begun {
    fn from_bytes(bytes: &[u8]) -> Result<Begun> {
        let (kind, rest) = bytes.split_first().context("rank 0 said nothing")?;
        let iteration = || rest.try_into().map(u64::from_le_bytes).context("no iteration");
        Ok(match *kind {
            FINISHED => Begun::Over(Outcome::Finished),
            INTERRUPTED => Begun::Over(Outcome::Interrupted(iteration()?)),
            DIVERGED => Begun::Over(Outcome::Diverged(iteration()?)),
            FROM_START => Begun::At(None),
            FROM_CHECKPOINT => Begun::At(Some(Checkpoint::from_bytes(rest)?.0)),
            _ => bail!("rank 0 said something unknown"),
        })
    }
}

/// Keeps nothing: rank 0 does.
struct NoRecord;

impl Recorder for NoRecord {
    fn started(&mut self, _iteration: u64) {}

    fn trained(&mut self, _rows: &[TrainingRow]) -> Result<()> {
        Ok(())
    }

    fn gradients(&mut self, _rows: &[GradientRow]) -> Result<()> {
        Ok(())
    }

    fn evaluated(&mut self, _iteration: u64, _evaluations: Evaluations) -> Result<()> {
        Ok(())
    }

    fn replaced(&mut self, _reasons: Vec<String>) {}

    fn checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<()> {
        Ok(())
    }
}

impl Run<'_> {
    /// What all ranks must have the same of: program, run, and what decides how sums are rounded.
    pub fn facts(&self) -> Result<Vec<Fact>> {
        let Provenance { version, git_revision, libtorch, machine, .. } =
            Provenance::now(self.device);
        let mut facts = vec![
            ("version".to_string(), version),
            ("revision".to_string(), git_revision),
            ("libtorch".to_string(), libtorch),
        ];
        let config = toml::Table::try_from(&self.config).context("the run")?;
        for (part, value) in config {
            match value {
                toml::Value::Table(keys) => facts.extend(keys.into_iter().map(|(key, value)| {
                    let name = if part == "recipe" { key } else { format!("{part} {key}") };
                    (name, value.to_string())
                })),
                value => facts.push((part, value.to_string())),
            }
        }
        match machine.gpu {
            Some(gpu) => facts.push(("GPU".to_string(), gpu)),
            None => {
                facts.push(("processor".to_string(), machine.processor));
                facts.push(("threads (OMP_NUM_THREADS)".to_string(), machine.threads.to_string()));
            }
        }
        Ok(facts)
    }

    /// From rank 0: tells the others how to begin.
    pub(crate) fn begin(&self, begin: Begin) -> Result<()> {
        let Some(group) = self.group else { return Ok(()) };
        group.control().from_first(|| begin.to_bytes())?;
        if let Begin::At(_) = begin {
            let directory = self.directory.clone();
            group.control().before_the_end(Box::new(move |reason| record(&directory, reason)));
        }
        Ok(())
    }

    /// Trains on a rank other than 0, as rank 0 says.
    pub(crate) fn follow(
        &self,
        group: &Group,
        options: &RunOptions,
        stop: &AtomicBool,
    ) -> Result<Outcome> {
        let told = group.control().from_first(|| Ok(Vec::new()))?;
        let checkpoint = match Begun::from_bytes(&told)? {
            Begun::Over(outcome) => return Ok(outcome),
            Begun::At(checkpoint) => checkpoint,
        };
        let after = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.iteration);
        let silent = |_: Event| {};
        let equipment = match self.equip(None, checkpoint, options, &silent, stop) {
            Err(error) if error.is::<Stopped>() => return Ok(Outcome::Interrupted(after)),
            equipment => equipment?,
        };
        equipment.train(options, &silent, stop, NoRecord, |_, outcome, trainer, evaluator| {
            match outcome? {
                Outcome::Finished => match evaluator.ten_crops(trainer.network(), stop) {
                    Err(error) if error.is::<Stopped>() => {
                        Ok(Outcome::Interrupted(self.config.recipe.iterations))
                    }
                    tested => tested.map(|_| Outcome::Finished),
                },
                outcome => Ok(outcome),
            }
        })
    }

    /// The mean image that rank 0 computes, everywhere.
    pub(crate) fn shared_mean(
        &self,
        compute: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let Some(group) = self.group else { return compute() };
        let bytes = group.control().from_first(|| match compute() {
            // Nothing stands for a stop, which ends all ranks.
            Err(error) if error.is::<Stopped>() => Ok(Vec::new()),
            mean => Ok(mean?.iter().flat_map(|value| value.to_le_bytes()).collect()),
        })?;
        if bytes.is_empty() {
            return Err(Stopped.into());
        }
        Ok(bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    /// How this attempt is made, and by whom.
    pub(crate) fn provenance(&self) -> Provenance {
        let mut provenance = Provenance::now(self.device);
        if self.config.recipe.kernels == Kernels::Own {
            provenance.machine.kernels = launcher::made_by(self.device);
        }
        if let Some(group) = self.group {
            provenance.machine.world = Some(group.place().world);
            provenance.machine.hosts = group.hosts();
            provenance.machine.exchange = Some(group.transport().name());
        }
        provenance
    }
}

/// Puts on record why a training that could not end by itself was ended.
fn record(directory: &RunDirectory, reason: &str) {
    let Ok(mut record) = RunRecord::read(&directory.record()) else { return };
    record.state = State::Interrupted;
    record.failures.push(Failure { time: timestamp(), reason: reason.to_string() });
    let _ = record.write(&directory.record());
}
