//! Where this process runs: the machine's name, and the cluster's job.

/// The machine's name in its network.
pub fn name() -> String {
    let mut bytes = [0u8; 256];
    // SAFETY: at most as many bytes are written as there are.
    let failed = unsafe { libc::gethostname(bytes.as_mut_ptr().cast(), bytes.len()) } != 0;
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    match failed {
        true => "unknown".to_string(),
        false => String::from_utf8_lossy(&bytes[..length]).into_owned(),
    }
}

/// The cluster's job that this process is part of, as "Slurm job 12_3".
pub fn job() -> Option<String> {
    job_in(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Slurm's number of a job that is called "Slurm job 12_3".
pub fn slurm_number(job: &str) -> Option<&str> {
    let number = job.strip_prefix("Slurm job ")?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    (is_number && !number.is_empty()).then_some(number)
}

fn job_in(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    if let (Some(job), Some(task)) =
        (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID"))
    {
        return Some(format!("Slurm job {job}_{task}"));
    }
    // The schedulers' own names of their jobs.
    let schedulers = [
        ("SLURM_JOB_ID", "Slurm"),
        ("PBS_JOBID", "PBS"),
        ("LSB_JOBID", "LSF"),
        ("FLUX_JOB_ID", "Flux"),
        ("AWS_BATCH_JOB_ID", "AWS Batch"),
    ];
    if let Some(job) =
        schedulers.iter().find_map(|(name, title)| Some(format!("{title} job {}", variable(name)?)))
    {
        return Some(job);
    }
    // Each pod has the address of the cluster's server; its name is the host's.
    variable("KUBERNETES_SERVICE_HOST").map(|_| "Kubernetes pod".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<String> {
        job_in(|name| {
            let found = variables.iter().find(|(other, _)| *other == name)?;
            Some(found.1.to_string())
        })
    }

    #[test]
    fn a_job_has_its_schedulers_name_and_number_and_an_array_that_of_the_element() {
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("SLURM_JOB_ID", "77")]).unwrap(), "Slurm job 77");
        let array =
            [("SLURM_JOB_ID", "80"), ("SLURM_ARRAY_JOB_ID", "77"), ("SLURM_ARRAY_TASK_ID", "3")];
        assert_eq!(with(&array).unwrap(), "Slurm job 77_3");
        assert_eq!(slurm_number(&with(&array).unwrap()), Some("77_3"));
        assert_eq!([slurm_number("PBS job 9.head"), slurm_number("Slurm job x,y")], [None, None]);
        assert_eq!(with(&[("PBS_JOBID", "9.head")]).unwrap(), "PBS job 9.head");
        assert_eq!(with(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]).unwrap(), "Kubernetes pod");
    }

    #[test]
    fn the_machine_has_the_name_that_the_system_says() {
        let said = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(name(), said.trim());
    }
}
