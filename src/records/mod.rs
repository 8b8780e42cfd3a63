//! What a run leaves behind: its directory, its logs, and the record of how it was made.

mod directory;
mod log;
mod provenance;
mod run_record;

pub use directory::{Claim, RunDirectory};
pub use log::{EvaluationRow, Log};
pub use provenance::{Machine, Provenance, timestamp};
pub use run_record::{Attempt, DatasetRecord, Identity, Progress, RunRecord, State};
