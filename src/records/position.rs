//! Where a stopped run goes on: at the newest checkpoint that is whole and that its logs still
//! agree with.
//!
//! A checkpoint holds the hash of what each log held then, so that no row before it can change
//! unnoticed. Checkpoints of earlier versions hold none: there the form of every row is checked.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::config::recipe::Recipe;
use crate::records::checkpoints::{CheckpointFolder, Saved};
use crate::records::eval_csv::EvaluationRow;
use crate::records::log;
use crate::training::checkpoint::{Checkpoint, StateSize};
use crate::training::evaluation::splits::Split;
use crate::training::gradient_norms::GradientRow;
use crate::training::metrics::TrainingRow;

/// How many bytes of each log were written before a checkpoint; what follows is trained again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptLogs {
    /// Of `train.csv`; 0 if not even its header is kept.
    pub train: u64,
    /// Of `eval.csv`.
    pub evaluation: u64,
    /// Of `gradients.csv`.
    pub gradients: u64,
}

/// Where a run's logs are.
pub struct LogPaths {
    /// `train.csv`.
    pub train: PathBuf,
    /// `eval.csv`.
    pub evaluation: PathBuf,
    /// `gradients.csv`, which most runs have not.
    pub gradients: PathBuf,
}

/// Where a run goes on; by default at its start.
#[derive(Default)]
pub struct Position {
    /// The state; `None` is the start.
    pub checkpoint: Option<Checkpoint>,
    /// What stays of the logs.
    pub kept: KeptLogs,
    /// Why newer checkpoints were passed over.
    pub problems: Vec<String>,
    /// Damage past the checkpoint, which is of no consequence.
    pub notes: Vec<String>,
}

/// Finds where the run of a network of this size, with these checkpoints and logs, goes on. Refuses
/// if there are checkpoints and none can be used, or if a log is not one of ours. Changes nothing.
pub fn find(
    checkpoints: &CheckpointFolder,
    logs: &LogPaths,
    recipe: &Recipe,
    size: StateSize,
) -> Result<Position> {
    let (found, problems) = checkpoints.newest(|saved| {
        saved.checkpoint.check(size)?;
        kept_logs(saved, logs, recipe)
    })?;
    let (checkpoint, kept) = match found {
        Some((checkpoint, kept)) => (Some(checkpoint), kept),
        None => {
            log::check_header::<TrainingRow>(&logs.train)?;
            log::check_header::<EvaluationRow>(&logs.evaluation)?;
            log::check_header::<GradientRow>(&logs.gradients)?;
            (None, KeptLogs::default())
        }
    };
    let damage = [
        log::damage_from::<TrainingRow>(&logs.train, kept.train),
        log::damage_from::<EvaluationRow>(&logs.evaluation, kept.evaluation),
        log::damage_from::<GradientRow>(&logs.gradients, kept.gradients),
    ];
    let notes = damage
        .into_iter()
        .flatten()
        .map(|damage| format!("{damage}; it is after the checkpoint and is trained again"))
        .collect();
    Ok(Position { checkpoint, kept, problems, notes })
}

/// What of the logs was written before `saved`; an error that names file and line if they are not
/// what they were then.
fn kept_logs(saved: &Saved, logs: &LogPaths, recipe: &Recipe) -> Result<KeptLogs> {
    let LogPaths { train, evaluation, gradients } = logs;
    if let Some(beside) = &saved.beside {
        log::check_prefix::<TrainingRow>(train, &beside.train_log)?;
        log::check_prefix::<EvaluationRow>(evaluation, &beside.evaluation_log)?;
        if let Some(prefix) = &beside.gradient_log {
            log::check_prefix::<GradientRow>(gradients, prefix)?;
        }
        return Ok(KeptLogs {
            train: beside.train_log.bytes,
            evaluation: beside.evaluation_log.bytes,
            gradients: beside.gradient_log.as_ref().map_or(0, |prefix| prefix.bytes),
        });
    }
    let iteration = saved.checkpoint.iteration;
    let (train_bytes, last) = log::rows_up_to::<TrainingRow>(train, iteration)?;
    let logged = last.map_or(0, |row| row.iteration);
    if logged != iteration {
        bail!("{}: ends at iteration {logged}: rows were lost", train.display());
    }
    let (evaluation_bytes, last) = log::rows_up_to::<EvaluationRow>(evaluation, iteration)?;
    let due = iteration / recipe.evaluate_every * recipe.evaluate_every;
    let last_split = if recipe.validation > 0 { Split::Validation } else { Split::Test };
    let found = last.map(|row| (row.iteration, row.split));
    if found != (due > 0).then_some((due, last_split)) {
        let ends = found.map_or(0, |(iteration, _)| iteration);
        bail!(
            "{}: ends at iteration {ends}, not with all rows of iteration {due}: rows were lost",
            evaluation.display()
        );
    }
    // Versions that wrote no hashes had no log of gradients.
    Ok(KeptLogs { train: train_bytes, evaluation: evaluation_bytes, gradients: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::checkpoints::Beside;
    use crate::records::eval_csv::EvaluationLog;
    use crate::records::gradients_csv::GradientLog;
    use crate::records::train_csv::TrainingLog;
    use crate::training::evaluation::scores::Evaluation;
    use crate::training::schedule::ScheduleState;
    use std::time::Duration;
    use tch::{Device, Kind, Tensor};

    fn recipe() -> Recipe {
        Recipe { evaluate_every: 10, ..Recipe::default() }
    }

    /// A run of 60 iterations, with checkpoints at 40 and 50.
    struct Files {
        folder: tempfile::TempDir,
        /// What of each log was written at each checkpoint.
        kept: Vec<(u64, KeptLogs)>,
    }

    impl Files {
        /// `hashed` is false for checkpoints of earlier versions.
        fn write(hashed: bool) -> Files {
            let folder = tempfile::tempdir().unwrap();
            let files = |name: &str| folder.path().join(name);
            let mut train = TrainingLog::open(&files("train.csv"), 0).unwrap();
            let mut evaluation = EvaluationLog::open(&files("eval.csv"), 0).unwrap();
            let mut gradients = GradientLog::open(&files("gradients.csv"), 0).unwrap();
            let checkpoints = CheckpointFolder::at(files("checkpoint"));
            let mut kept = Vec::new();
            for iteration in 1..=60u64 {
                let loss = 2.5 - iteration as f32 / 64.0;
                train
                    .append(&[TrainingRow { iteration, learning_rate: 0.1, loss, error: 61.75 }])
                    .unwrap();
                if iteration.is_multiple_of(20) {
                    let rows = ["conv1", "fc"].map(|layer| GradientRow {
                        iteration,
                        layer: layer.to_string(),
                        norm: 0.5 + iteration as f32,
                    });
                    gradients.append(&rows).unwrap();
                }
                if iteration.is_multiple_of(10) {
                    let result = Evaluation { images: 8, loss: 1.5, wrong: 4, top5_wrong: 1 };
                    let row = EvaluationRow::new(iteration, Split::Test, &result);
                    evaluation.append(&[row]).unwrap();
                }
                if iteration == 40 || iteration == 50 {
                    let beside = Beside {
                        record: String::new(),
                        train_log: train.prefix(),
                        evaluation_log: evaluation.prefix(),
                        gradient_log: Some(gradients.prefix()),
                    };
                    let lengths = KeptLogs {
                        train: train.prefix().bytes,
                        evaluation: evaluation.prefix().bytes,
                        gradients: if hashed { gradients.prefix().bytes } else { 0 },
                    };
                    kept.push((iteration, lengths));
                    checkpoints
                        .write(&Checkpoint::example(iteration), hashed.then_some(&beside))
                        .unwrap();
                }
            }
            Files { folder, kept }
        }

        fn find(&self) -> Result<Position> {
            let path = |name: &str| self.folder.path().join(name);
            let checkpoints = CheckpointFolder::at(path("checkpoint"));
            let size = StateSize { parameters: 5, running_stats: 5 };
            find(&checkpoints, &self.logs(), &recipe(), size)
        }

        fn logs(&self) -> LogPaths {
            let path = |name: &str| self.folder.path().join(name);
            LogPaths {
                train: path("train.csv"),
                evaluation: path("eval.csv"),
                gradients: path("gradients.csv"),
            }
        }
    }

    #[test]
    fn no_flipped_bit_before_the_checkpoint_goes_unnoticed_or_cuts_a_row() {
        let files = Files::write(true);
        let (mut refused, mut older, mut harmless) = (0, 0, 0);
        for name in ["train.csv", "eval.csv", "gradients.csv"] {
            let path = files.folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            for (byte, bit) in (0..whole.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit)))
            {
                let mut damaged = whole.clone();
                damaged[byte] ^= 1 << bit;
                std::fs::write(&path, &damaged).unwrap();
                match files.find() {
                    Err(error) => {
                        refused += 1;
                        assert!(format!("{error:#}").contains(name), "{error:#}");
                    }
                    Ok(Position { checkpoint, kept, problems, .. }) => {
                        let iteration = checkpoint.unwrap().iteration;
                        let then = files.kept.iter().find(|(at, _)| *at == iteration).unwrap().1;
                        assert_eq!(kept, then, "{name}: byte {byte}, bit {bit}");
                        let length = match name {
                            "train.csv" => kept.train,
                            "eval.csv" => kept.evaluation,
                            _ => kept.gradients,
                        };
                        assert!(byte as u64 >= length, "{name}: byte {byte} goes unnoticed");
                        assert_eq!(problems.is_empty(), iteration == 50);
                        if iteration == 50 { harmless += 1 } else { older += 1 }
                    }
                }
            }
            std::fs::write(&path, &whole).unwrap();
        }
        assert!(refused > 5000 && older > 1000 && harmless > 1000, "{refused} {older} {harmless}");
    }

    #[test]
    fn damage_is_named_by_file_and_line() {
        let cases = [
            ("\n11,", "\n91,", "train.csv: line 12: iteration 91 after iteration 10"),
            ("\n11,0.1,2.328125,61.75", "", "train.csv: line 12: iteration 12 after iteration 10"),
            ("\n11,0.1,", "\n11,0.1,NaN,", "train.csv: line 12"),
            ("\n11,0.1,2.328125,", "\n11,0.1,NaN,", "train.csv: line 12: the loss is NaN"),
            ("\n11,", "\n10,0.1,2.34375,61.75\n11,", "train.csv: "),
            ("iteration,", "\u{feff}iteration,", "train.csv: line 1: is not \"iteration,"),
            ("iteration,", "epoch,", "train.csv: line 1"),
            ("\n11,0.1,2.3", "\n11,0.1,2.4", "train.csv: some of its first "),
        ];
        for hashed in [true, false] {
            for (from, to, expected) in cases {
                let files = Files::write(hashed);
                let path = files.folder.path().join("train.csv");
                let text = std::fs::read_to_string(&path).unwrap();
                let changed = text.replacen(from, to, 1);
                assert_ne!(changed, text, "{from}");
                std::fs::write(&path, &changed).unwrap();
                // Without a hash a row of good form is believed.
                if !hashed && to == "\n11,0.1,2.4" {
                    assert!(files.find().is_ok());
                    continue;
                }
                let message = format!("{:#}", files.find().map(|_| ()).unwrap_err());
                assert!(message.contains(expected), "{hashed}: {message}");
                assert!(!message.contains('\n') && message.contains("remove"), "{message}");
            }
        }
    }

    #[test]
    fn checkpoints_without_hashes_still_load_and_lost_rows_are_noticed() {
        for hashed in [false, true] {
            let files = Files::write(hashed);
            let found = files.find().unwrap();
            assert_eq!((found.checkpoint.unwrap().iteration, found.kept), files.kept[1]);
            let path = files.folder.path().join("train.csv");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, &text[..text.find("\n45,").unwrap() + 3]).unwrap();
            let found = files.find().unwrap();
            assert_eq!((found.checkpoint.unwrap().iteration, found.kept), files.kept[0]);
            assert!(found.problems[0].contains("rows were lost"), "{:?}", found.problems);
            std::fs::write(&path, &text).unwrap();
            let path = files.folder.path().join("eval.csv");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, &text[..text.find("\n40,").unwrap() + 6]).unwrap();
            let message = format!("{:#}", files.find().map(|_| ()).unwrap_err());
            assert!(message.contains("eval.csv: ends at iteration 30"), "{message}");
        }
    }

    #[test]
    fn the_state_of_another_network_or_precision_is_refused() {
        let files = Files::write(true);
        let path = |name: &str| files.folder.path().join(name);
        let checkpoints = CheckpointFolder::at(path("checkpoint"));
        let found = |parameters, running_stats| {
            let size = StateSize { parameters, running_stats };
            find(&checkpoints, &files.logs(), &recipe(), size)
        };
        assert!(found(5, 5).is_ok());
        for (size, expected) in [((6, 5), "theta"), ((4, 5), "theta"), ((5, 7), "statistics")] {
            let message = found(size.0, size.1).map(|_| ()).unwrap_err().to_string();
            assert!(message.contains(&format!("tensor \"{expected}\" has shape [5]")), "{message}");
        }
        // As many bytes as its shape says, and not of float32: no panic.
        let bytes = Checkpoint::example(7).to_bytes(None).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
        let changed = header.replace("\"F32\",\"shape\":[5]", "\"F16\",\"shape\":[10]");
        assert_ne!(changed, header);
        let changed_length = (changed.len() as u64).to_le_bytes();
        let bytes = [&changed_length[..], changed.as_bytes(), &bytes[8 + length..]].concat();
        let message = Checkpoint::from_bytes(&bytes).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("is F16"), "{message}");
    }

    #[test]
    fn damage_past_the_checkpoint_is_told_and_trained_again() {
        let files = Files::write(true);
        let path = files.folder.path().join("train.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\n55,", "\n95,")).unwrap();
        let found = files.find().unwrap();
        assert_eq!((found.checkpoint.unwrap().iteration, found.kept), files.kept[1]);
        assert!(found.problems.is_empty() && found.notes.len() == 1, "{:?}", found.notes);
        assert!(found.notes[0].contains("train.csv: line 56: iteration 95"), "{:?}", found.notes);
    }

    /// A checkpoint of ResNet-20 as the recorder writes it, and the hashes of a minute's rows.
    #[test]
    fn hashes_and_flushes_of_a_checkpoint_a_minute_cost_less_than_half_a_percent() {
        let folder = tempfile::tempdir().unwrap();
        let mut train = TrainingLog::open(&folder.path().join("train.csv"), 0).unwrap();
        let checkpoints = CheckpointFolder::at(folder.path().join("checkpoint"));
        let tensor = || Tensor::ones([272_474], (Kind::Float, Device::Cpu));
        let (mut hashing, mut writing) = (Vec::new(), Vec::new());
        // Others may use the disk and the cores: the best of up to sixty counts.
        let lasts = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
        let most = Duration::from_millis(300);
        for step in 0..60u64 {
            if step >= 5 && lasts(&hashing) + lasts(&writing) < most {
                break;
            }
            let iterations = step * 2000 + 1..=(step + 1) * 2000;
            let rows: Vec<TrainingRow> = iterations
                .map(|iteration| TrainingRow {
                    iteration,
                    learning_rate: 0.1,
                    loss: 2.1234567,
                    error: 61.71875,
                })
                .collect();
            let start = std::time::Instant::now();
            rows.chunks(256).for_each(|rows| train.append(rows).unwrap());
            hashing.push(start.elapsed());
            let start = std::time::Instant::now();
            train.sync().unwrap();
            let text = "x".repeat(3000);
            crate::system::atomic_file::write_atomically(
                &folder.path().join("run.toml"),
                text.as_bytes(),
            )
            .unwrap();
            let beside = Beside {
                record: text,
                train_log: train.prefix(),
                evaluation_log: train.prefix(),
                gradient_log: None,
            };
            let state = Checkpoint {
                iteration: step,
                schedule: ScheduleState::default(),
                evaluation_due: false,
                parameters: tensor(),
                momentum_buffer: tensor(),
                running_stats: Tensor::ones([1376], (Kind::Float, Device::Cpu)),
            };
            checkpoints.write(&state, Some(&beside)).unwrap();
            writing.push(start.elapsed());
        }
        eprintln!("rows of a minute: {:?}; a checkpoint: {:?}", lasts(&hashing), lasts(&writing));
        assert!(lasts(&hashing) + lasts(&writing) < most, "{writing:?}");
    }
}
