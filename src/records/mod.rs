//! What a run leaves behind: its directory, its logs, and the record of how it was made.

mod checkpoints;
mod directory;
mod files;
mod log;
mod provenance;
mod run_record;
mod tests_log;

pub use checkpoints::CheckpointFolder;
pub use directory::{Claim, RunDirectory};
pub use files::{FileProblem, RUN_FILES, TESTS, find_runs, hash_file, verify_run};
pub use log::{EvaluationRow, Log};
pub use provenance::{Machine, Provenance, timestamp};
pub use run_record::{Attempt, DatasetRecord, Failure, Identity, Progress, RunRecord, State};
pub use tests_log::{TestRow, Views, read_tests, record_test};
