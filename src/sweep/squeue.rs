//! What Slurm's queue says of jobs.

use std::collections::HashMap;
use std::process::{Command, Stdio};

/// A job's state, and where it runs or why it waits, for each of `jobs` (`12`, or `12_3` for an
/// element of an array) that `squeue` knows; nothing where there is no Slurm.
pub fn states(jobs: &[String]) -> HashMap<String, String> {
    if jobs.is_empty() {
        return HashMap::new();
    }
    let mut command = Command::new("squeue");
    command.args(["--noheader", "--array", "--format=%i|%T|%R", "--jobs"]).arg(jobs.join(","));
    // It fails for a job that ended long ago: then there is nothing to tell.
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map_or(HashMap::new(), |output| parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> HashMap<String, String> {
    let line = |line: &str| {
        let mut fields = line.trim().splitn(3, '|');
        let (job, state, place) = (fields.next()?, fields.next()?, fields.next()?);
        let place = place.trim_matches(['(', ')']);
        let state = state.to_lowercase();
        Some((job.to_string(), if place.is_empty() { state } else { format!("{state}, {place}") }))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_its_state_and_its_node_or_why_it_waits() {
        // As squeue of Slurm 22.05 writes it.
        let text = "7_0|RUNNING|node-3\n7_1|PENDING|(BeginTime)\n8|COMPLETING|\nnonsense\n";
        let found = parse(text);
        let of = |job: &str| found.get(job).map(String::as_str);
        assert_eq!(of("7_0"), Some("running, node-3"));
        assert_eq!(of("7_1"), Some("pending, BeginTime"));
        assert_eq!((of("8"), found.len()), (Some("completing"), 3));
        assert!(states(&[]).is_empty());
    }
}
