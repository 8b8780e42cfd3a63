//! What a run leaves behind: its directory, its logs, and the record of how it was made.

pub mod checkpoints;
pub mod checksum_line;
pub mod dataset_record;
pub mod directory;
pub mod eval_csv;
pub mod event_file;
pub mod extend_to;
pub mod extension;
pub mod gradients_csv;
pub mod json;
pub mod lock;
pub mod log;
pub mod log_rows;
pub mod log_tail;
pub mod measurements;
pub mod position;
pub mod provenance;
pub mod pth;
pub mod run_toml;
pub mod tests_csv;
pub mod train_csv;
pub mod verify;
