//! `sweep --slurm`: submits the runs that are not complete to Slurm, and the figures after them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::commands::sweep::arguments::Arguments;
use crate::console::output::{print, print_json, say};
use crate::error::{BadInput, EXIT_DONE, bad_input};
use crate::report::format::counted;
use crate::sweep::experiment::Experiment;
use crate::sweep::extension::look_at_all;
use crate::sweep::plan::Task;
use crate::sweep::script::Submission;
use crate::system::atomic_file::{create_folder, write_atomically};
use crate::system::shell;

/// The folder of scripts and logs, beside the runs.
const FOLDER: &str = "slurm";

/// What was, or would be, submitted.
#[derive(Serialize)]
struct Submitted {
    /// The script of the runs.
    script: PathBuf,
    /// That of the figures.
    figures_script: PathBuf,
    /// The runs, in the order of the plan.
    runs: Vec<String>,
    /// The array's number.
    array: Option<String>,
    /// The number of the figures' job.
    figures: Option<String>,
}

/// Submits, or with `--dry-run` prints what would be submitted.
pub fn run(arguments: &Arguments, experiments: &[Experiment], mut tasks: Vec<Task>) -> Result<u8> {
    look_at_all(&mut tasks, arguments.dry_run, |task| {
        task.look(experiments[task.experiment].dataset, None, true)
    })?;
    tasks.retain(|task| !task.status.is_over());
    if tasks.is_empty() {
        say("every run is complete: nothing to submit");
        return Ok(EXIT_DONE);
    }
    if !arguments.dry_run {
        check_slurm()?;
    }
    let names: Vec<&str> = experiments.iter().map(|experiment| experiment.name.as_str()).collect();
    let submission = submission(arguments, &names, &tasks)?;
    let runs = tasks.into_iter().map(|task| task.id).collect();
    let mut submitted = Submitted {
        script: submission.script.clone(),
        figures_script: submission.figures_script(),
        runs,
        array: None,
        figures: None,
    };
    if !arguments.json {
        show(&submission)?;
    }
    if !arguments.dry_run {
        write(&submission)?;
        let array = submit(&submission.runs_command())?;
        submitted.figures = Some(submit(&submission.figures_command(&array))?);
        submitted.array = Some(array);
    }
    if arguments.json {
        print_json(&submitted)?;
    } else if let (Some(array), Some(figures)) = (&submitted.array, &submitted.figures) {
        print(&format!(
            "submitted: {} as array {array}, then figures as job {figures}; the same command with --status instead of --slurm shows how each run stands",
            counted(submitted.runs.len(), "run")
        ))?;
    }
    Ok(EXIT_DONE)
}

fn check_slurm() -> Result<(), BadInput> {
    let version = Command::new("sbatch").arg("--version").stdout(Stdio::null()).status();
    match version {
        Ok(_) => Ok(()),
        Err(error) => Err(bad_input(format!(
            "--slurm: sbatch cannot be started ({error}): is this a machine that submits to Slurm? --dry-run prints the script without it"
        ))),
    }
}

fn submission(arguments: &Arguments, names: &[&str], tasks: &[Task]) -> Result<Submission> {
    let options = arguments.slurm_options.clone();
    if options.as_ref().is_some_and(|options| options.contains(char::is_control)) {
        return Err(bad_input("--slurm-options: write them on one line").into());
    }
    let working_folder = std::env::current_dir().context("the working folder")?;
    let out = std::path::absolute(&arguments.out).context("--out")?;
    if working_folder.to_str().is_none() {
        let folder = working_folder.display();
        return Err(bad_input(format!("{folder}: its name is not UTF-8")).into());
    }
    let program = program()?;
    let mut sweep = vec![program.clone()];
    sweep.extend(element_arguments(std::env::args_os().skip(1))?);
    let figures = vec![program, "figures".to_string(), arguments.out.display().to_string()];
    Ok(Submission {
        script: free_script(&out.join(FOLDER), names),
        working_folder,
        sweep,
        figures,
        elements: tasks.iter().map(|task| task.element).collect(),
        parallel: arguments.parallel,
        options,
    })
}

/// The program that a job starts: what a person calls, which starts this one.
fn program() -> Result<String> {
    let engine = std::env::current_exe().context("this program's own path")?;
    let starter = engine.with_file_name("resnet-repro");
    let program = if starter.exists() { starter } else { engine };
    let text = program.to_str().map(str::to_string);
    text.ok_or_else(|| bad_input(format!("{program:?}: its name is not UTF-8")).into())
}

/// The arguments of this command without those that say where it is carried out.
fn element_arguments(given: impl Iterator<Item = OsString>) -> Result<Vec<String>, BadInput> {
    const ALONE: [&str; 3] = ["--slurm", "--dry-run", "--json"];
    const WITH_VALUE: [&str; 2] = ["--slurm-options", "--parallel"];
    let mut kept = Vec::new();
    let mut given = given;
    while let Some(word) = given.next() {
        let word = word
            .into_string()
            .map_err(|word| bad_input(format!("{word:?}: is not UTF-8: use another name")))?;
        if word == "--" {
            // What follows is files, whatever they are called; --element comes after them.
            return Err(bad_input("--slurm: write files that begin with a dash as ./-name"));
        }
        if WITH_VALUE.contains(&word.as_str()) {
            given.next();
        } else if !ALONE.contains(&word.as_str())
            && !WITH_VALUE
                .iter()
                .any(|flag| word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
        {
            kept.push(word);
        }
    }
    Ok(kept)
}

/// A script in `folder` that is not there yet: one that was edited is never written over.
fn free_script(folder: &Path, names: &[&str]) -> PathBuf {
    let name = match names {
        [name] => name.to_string(),
        names => format!("{}-and-{}-more", names[0], names.len() - 1),
    };
    (1u64..)
        .map(|number| folder.join(format!("{name}-{number}.sbatch")))
        .find(|path| path.symlink_metadata().is_err())
        .expect("no folder has so many files")
}

/// Prints scripts and commands.
fn show(submission: &Submission) -> Result<()> {
    let [runs, figures] = [&submission.script, &submission.figures_script()]
        .map(|path| shell::quoted(&path.to_string_lossy()).into_owned());
    print(&format!("# {runs}\n{}", submission.runs_text()))?;
    print(&format!("# {figures}\n{}", submission.figures_text()))?;
    print(&shell::command(&submission.runs_command()))?;
    print(&shell::command(&submission.figures_command("JOB")))
}

fn write(submission: &Submission) -> Result<()> {
    if let Some(folder) = submission.script.parent() {
        create_folder(folder).map_err(|error| {
            let folder = folder.display();
            bad_input(format!("{folder}: cannot be created: {error}; choose another --out"))
        })?;
    }
    write_atomically(&submission.script, submission.runs_text().as_bytes())?;
    write_atomically(&submission.figures_script(), submission.figures_text().as_bytes())
}

/// Gives a job to Slurm, and returns its number.
fn submit(words: &[String]) -> Result<String> {
    let output = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .with_context(|| words[0].clone())?;
    let [told, complaint] = [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_string());
    // "12", or "12;cluster" where there are several clusters.
    let number = told.split(';').next().unwrap_or_default().to_string();
    if !output.status.success() || number.is_empty() {
        bail!("sbatch did not take the job: {}", complaint.replace('\n', "; "));
    }
    if !complaint.is_empty() {
        say(&complaint.replace('\n', "; "));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(words: &[&str]) -> Vec<String> {
        element_arguments(words.iter().map(OsString::from)).unwrap()
    }

    #[test]
    fn an_element_gets_all_arguments_but_those_of_the_submission() {
        let words = "sweep e.toml --slurm --slurm-options --time=1 --parallel 3 --out o --json";
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(kept(&words), ["sweep", "e.toml", "--out", "o"]);
        let words = ["sweep", "--parallel=3", "--slurm-options=-p x", "--dry-run", "a b.toml"];
        assert_eq!(kept(&words), ["sweep", "a b.toml"]);
        assert!(element_arguments([OsString::from("--")].into_iter()).is_err());
    }

    #[test]
    fn a_script_that_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let first = free_script(folder.path(), &["quick"]);
        assert_eq!(first, folder.path().join("quick-1.sbatch"));
        std::fs::write(&first, "edited").unwrap();
        assert_eq!(free_script(folder.path(), &["quick"]), folder.path().join("quick-2.sbatch"));
        let several = free_script(folder.path(), &["01-a", "02-b", "03-c"]);
        assert_eq!(several, folder.path().join("01-a-and-2-more-1.sbatch"));
    }
}
