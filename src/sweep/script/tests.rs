use super::*;

fn submission(folder: &Path) -> Submission {
    let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
    Submission {
        working_folder: folder.to_path_buf(),
        sweep: words(&["/opt/resnet-repro", "sweep", "it's.toml", "--out", "my runs"]),
        figures: words(&["/opt/resnet-repro", "figures", "my runs"]),
        elements: vec![0, 1, 2, 5, 7, 8],
        parallel: Some(2),
        options: Some("--partition=gpu -A lab --gpus=1".to_string()),
        script: folder.join("my runs/slurm/e 50%-1.sbatch"),
    }
}

#[test]
fn elements_are_written_as_ranges() {
    assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    assert_eq!([ranges(&[4]), ranges(&[])], ["4", ""]);
}

#[test]
fn the_script_of_the_runs_has_the_array_and_the_options_last_and_quotes_every_path() {
    let text = submission(Path::new("/a b")).runs_text();
    let options: Vec<&str> = text.lines().filter(|line| line.starts_with("#SBATCH")).collect();
    assert_eq!(options[1], "#SBATCH --array=0-2,5,7-8%2");
    assert_eq!(options.last(), Some(&"#SBATCH --partition=gpu -A lab --gpus=1"));
    assert!(text.contains("\ncd '/a b' || exit 2\n"), "{text}");
    assert!(text.contains(r"sweep=(/opt/resnet-repro sweep 'it'\''s.toml' --out 'my runs')"));
    let output = "'--output=/a b/my runs/slurm/e 50%%-1-%A_%a.log'";
    assert!(text.contains(output), "{text}");
    let syntax = std::process::Command::new("bash").args(["-n", "-c", &text]).status().unwrap();
    assert!(syntax.success());
}

#[test]
fn figures_wait_for_every_end_and_take_the_account_without_the_gpu() {
    let submission = submission(Path::new("/a"));
    let text = submission.figures_text();
    assert!(text.contains("#SBATCH --partition=gpu -A lab\n"), "{text}");
    assert!(!text.contains("gpus"), "{text}");
    assert!(text.contains("exec /opt/resnet-repro figures 'my runs'\n"), "{text}");
    assert!(submission.figures_command("12").contains(&"--dependency=afterany:12".to_string()));
    for (given, kept) in [
        ("-pgpu --time=1", Some("-pgpu")),
        ("--qos high --mem=4G", Some("--qos high")),
        ("--accounting=x --time=1", None),
    ] {
        assert_eq!(whose_account(given).as_deref(), kept);
    }
}

/// A program that trains until it is signalled: it gets farther by an iteration if there is a file
/// `advance`, and then says that it is ready.
const PROGRAM: &str = r#"#!/bin/bash
case "$*" in *--status*) printf '[\n  {\n    "iteration": %s,\n  }\n]\n' "$(cat iteration)"; exit ;; esac
trap 'exit 75' USR1 TERM
[ ! -f end ] || exit "$(cat end)"
[ ! -f advance ] || echo $(($(cat iteration) + 1)) >iteration
echo $$ >ready.partial
mv ready.partial ready
while :; do sleep 0.02; done
"#;

/// Slurm's: notes what it is asked to do.
const SCONTROL: &str = "#!/bin/bash\necho \"$*\" >>requeued\n";

/// Does not wait to be ended by Slurm.
const SLEEP: &str = "#!/bin/bash\n[ \"$1\" = 600 ] || exec /bin/sleep \"$@\"\n";

/// A folder with the script of element 3 of the array 41.
struct Element(tempfile::TempDir);

impl Element {
    fn new() -> Element {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new().prefix("it's a $folder ").tempdir().unwrap();
        for (name, text) in [("program", PROGRAM), ("scontrol", SCONTROL), ("sleep", SLEEP)] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let sweep = vec![text(&folder.path().join("program")), "sweep".to_string()];
        let script = folder.path().join("e-1.sbatch");
        let submission = Submission { sweep, script, ..submission(folder.path()) };
        std::fs::write(&submission.script, submission.runs_text()).unwrap();
        std::fs::write(folder.path().join("iteration"), "5\n").unwrap();
        Element(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An attempt that is signalled, as is the program itself if `all`; its exit code.
    fn attempt(&self, signal: Option<libc::c_int>, all: bool) -> Option<i32> {
        let path = std::env::var("PATH").unwrap();
        let mut child = std::process::Command::new("bash")
            .arg(self.path("e-1.sbatch"))
            .envs([("SLURM_ARRAY_JOB_ID", "41"), ("SLURM_ARRAY_TASK_ID", "3")])
            .env("PATH", format!("{}:{path}", self.0.path().display()))
            .stdout(std::fs::File::create(self.path("log")).unwrap())
            .spawn()
            .unwrap();
        let Some(signal) = signal else { return child.wait().unwrap().code() };
        let begun = std::time::Instant::now();
        let program = loop {
            if let Ok(process) = std::fs::read_to_string(self.path("ready")) {
                break process.trim().parse().unwrap();
            }
            assert!(begun.elapsed().as_secs() < 60, "the program was not started");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        std::fs::remove_file(self.path("ready")).unwrap();
        // SAFETY: signals to two processes that this test started and that have not ended.
        unsafe {
            libc::kill(child.id() as libc::pid_t, signal);
            if all {
                libc::kill(program, signal);
            }
        }
        child.wait().unwrap().code()
    }

    fn requeued(&self) -> usize {
        let text = std::fs::read_to_string(self.path("requeued")).unwrap_or_default();
        assert!(text.lines().all(|line| line == "requeue 41_3"), "{text}");
        text.lines().count()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }
}

#[test]
fn an_element_that_slurm_asks_to_stop_is_requeued_as_long_as_it_gets_farther() {
    let element = Element::new();
    std::fs::write(element.path("advance"), "").unwrap();
    for attempt in 1..=5 {
        assert_eq!(element.attempt(Some(libc::SIGUSR1), false), Some(75), "{}", element.log());
        assert_eq!(element.requeued(), attempt, "{}", element.log());
    }
    assert!(element.log().contains("exit code 75, asked to stop, iteration 10"));
    // The last attempt finishes.
    std::fs::write(element.path("end"), "0").unwrap();
    assert_eq!((element.attempt(None, false), element.requeued()), (Some(0), 5));
}

#[test]
fn without_progress_an_element_is_requeued_three_times_and_progress_begins_the_count_anew() {
    let element = Element::new();
    let attempt = || element.attempt(Some(libc::SIGUSR1), false);
    assert_eq!([attempt(), attempt()], [Some(75); 2]);
    std::fs::write(element.path("advance"), "").unwrap();
    attempt();
    std::fs::remove_file(element.path("advance")).unwrap();
    for _ in 0..3 {
        attempt();
    }
    assert_eq!(element.requeued(), 6);
    assert_eq!(attempt(), Some(75));
    assert_eq!(element.requeued(), 6);
    assert!(element.log().contains("not requeued: no progress in 4 attempts"), "{}", element.log());
}

#[test]
fn a_cancelled_or_failed_element_is_not_requeued() {
    let element = Element::new();
    assert_eq!(element.attempt(Some(libc::SIGTERM), true), Some(75), "{}", element.log());
    for code in [0, 1, 2, 3, 75] {
        std::fs::write(element.path("end"), code.to_string()).unwrap();
        assert_eq!(element.attempt(None, false), Some(code));
    }
    assert_eq!(element.requeued(), 0);
}
