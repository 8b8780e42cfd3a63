//! The batch scripts that carry out a sweep on Slurm: one element of an array a run, and the
//! figures after them. They are plain bash, to be read and edited.

use std::path::{Path, PathBuf};

use crate::system::shell::{command, quoted};

/// Seconds before the time limit at which Slurm asks a run to save. It may come up to a minute
/// earlier than that; an iteration, or an evaluation, and a checkpoint must fit.
const SECONDS_AHEAD: u32 = 120;

/// How often a run that did not get farther is requeued all the same.
const STALLS: u32 = 3;

/// Minutes that the figures may take.
const FIGURES_MINUTES: u32 = 30;

/// What trains a run; the element's number, the job's name and what is specific to it come before.
const ELEMENT: &str = include_str!("script/element.sh");

/// A sweep that is to be submitted.
pub struct Submission {
    /// The folder in which the command was given.
    pub working_folder: PathBuf,
    /// The program and its arguments, up to `--element`.
    pub sweep: Vec<String>,
    /// The program and its arguments.
    pub figures: Vec<String>,
    /// Numbers of the runs in the plan, ascending.
    pub elements: Vec<usize>,
    /// How many at the same time.
    pub parallel: Option<u32>,
    /// Options of sbatch for the runs.
    pub options: Option<String>,
    /// The script of the runs; the other and the logs lie beside it.
    pub script: PathBuf,
}

impl Submission {
    /// The script of the figures.
    pub fn figures_script(&self) -> PathBuf {
        self.script.with_extension("figures.sbatch")
    }

    /// The script of the runs.
    pub fn runs_text(&self) -> String {
        let mut array = ranges(&self.elements);
        if let Some(parallel) = self.parallel {
            array += &format!("%{parallel}");
        }
        let mut options = vec![
            "--job-name=resnet-repro".to_string(),
            format!("--array={array}"),
            "--requeue".to_string(),
            "--open-mode=append".to_string(),
            format!("--signal=B:USR1@{SECONDS_AHEAD}"),
        ];
        // Slurm goes by the last of two that disagree.
        options.extend(self.options.clone());
        let settings = format!(
            "sweep=({})\nstalled={}.$SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID.stalled\nstalls={STALLS}\n",
            command(&self.sweep),
            quoted(&text(&self.script)),
        );
        self.script_text(
            "Trains a run of a sweep: that of the plan with the number of the array's element.",
            &options,
            &self.runs_command(),
            &format!("{settings}\n{ELEMENT}"),
        )
    }

    /// The script of the figures.
    pub fn figures_text(&self) -> String {
        let mut options = vec![
            "--job-name=resnet-repro-figures".to_string(),
            "--open-mode=append".to_string(),
            format!("--time={FIGURES_MINUTES}"),
        ];
        let options_of_runs = self.options.as_deref().unwrap_or_default();
        options.extend(whose_account(options_of_runs));
        self.script_text(
            "Makes all figures and tables of a sweep, whether all of its runs are complete or not.",
            &options,
            &self.figures_command("JOB"),
            &format!("exec {}\n", command(&self.figures)),
        )
    }

    fn script_text(&self, what: &str, options: &[String], submit: &[String], body: &str) -> String {
        let options: String =
            options.iter().map(|options| format!("#SBATCH {options}\n")).collect();
        let folder = text(&self.working_folder);
        format!(
            "#!/bin/bash\n# {what}\n# Written by \"resnet-repro sweep --slurm\". To submit it once more, edited:\n#   {}\n{options}\n# What a run needs here (module load, export OMP_NUM_THREADS) goes before the next line.\ncd {} || exit 2\n{body}",
            command(submit),
            quoted(&folder)
        )
    }

    /// The command that submits the runs.
    pub fn runs_command(&self) -> Vec<String> {
        let log = self.log("%A_%a.log");
        ["sbatch", "--parsable", &format!("--output={log}"), &text(&self.script)]
            .map(str::to_string)
            .to_vec()
    }

    /// The command that submits the figures after the array of this number, however its elements
    /// end.
    pub fn figures_command(&self, array: &str) -> Vec<String> {
        let log = self.log("figures-%j.log");
        [
            "sbatch",
            "--parsable",
            &format!("--dependency=afterany:{array}"),
            &format!("--output={log}"),
            &text(&self.figures_script()),
        ]
        .map(str::to_string)
        .to_vec()
    }

    /// A log beside the script, whose `pattern` Slurm fills in.
    fn log(&self, pattern: &str) -> String {
        let script = self.script.with_extension("");
        format!("{}-{pattern}", text(&script).replace('%', "%%"))
    }
}

/// Paths come from arguments that are UTF-8.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// "0-2,5" of 0, 1, 2, 5.
fn ranges(elements: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &element in elements {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == element => *last = element,
            _ => ranges.push((element, element)),
        }
    }
    let range = |(first, last): (usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(",")
}

/// Of sbatch's options those that say in whose name and where: the figures need them too, and no
/// GPU.
fn whose_account(options: &str) -> Option<String> {
    const LONG: [&str; 5] = ["--partition", "--account", "--qos", "--reservation", "--clusters"];
    const SHORT: [&str; 4] = ["-p", "-A", "-q", "-M"];
    let mut kept = Vec::new();
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let is_whole = LONG
            .iter()
            .any(|name| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
            || SHORT.iter().any(|name| word.len() > 2 && word.starts_with(name));
        if is_whole {
            kept.push(word);
        } else if LONG.contains(&word) || SHORT.contains(&word) {
            kept.push(word);
            kept.extend(words.next());
        }
    }
    (!kept.is_empty()).then(|| kept.join(" "))
}

#[cfg(test)]
mod tests;
