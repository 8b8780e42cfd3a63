//! TensorBoard event files beside the CSV logs, for watching a sweep. They say what the logs say;
//! figures and tables never read them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use prost::Message;

use crate::records::directory::RunDirectory;
use crate::records::eval_csv::{self, EvaluationRow};
use crate::records::log_rows::Rows;
use crate::system::atomic_file::open_own;
use crate::training::metrics::TrainingRow;

/// TensorBoard reads every file whose name contains `tfevents`.
const FILE: &str = "events.out.tfevents.resnet-repro";

/// The first event of every file.
const VERSION: &str = "brain.Event:2";

/// The parts of TensorFlow's `event.proto` and `summary.proto` that scalars need.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    value: f32,
}

/// The event file of one run.
pub struct EventFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl EventFile {
    /// Makes the file in `folder` anew, with all that the run's logs hold.
    pub fn from_logs(folder: &Path, run: &RunDirectory) -> Result<EventFile> {
        let path = folder.join(FILE);
        let context = || format!("{}: cannot be written", path.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        let file = open_own(&path)?;
        file.set_len(0).with_context(context)?;
        let writer = BufWriter::new(file);
        let mut file = EventFile { path, writer };
        file.write(Event { file_version: Some(VERSION.to_string()), ..Event::default() })?;
        // Row by row: a log may be longer than the memory.
        for row in Rows::open(&run.train_log())?.into_iter().flatten() {
            file.training_row(&row?.0)?;
        }
        file.flush()?;
        file.evaluations(&eval_csv::read(&run.evaluation_log())?)?;
        Ok(file)
    }

    /// Adds training rows.
    pub fn training(&mut self, rows: &[TrainingRow]) -> Result<()> {
        rows.iter().try_for_each(|row| self.training_row(row))?;
        self.flush()
    }

    fn training_row(&mut self, row: &TrainingRow) -> Result<()> {
        let values = [("loss/train", row.loss), ("error/train", row.error)];
        self.scalars(row.iteration as i64, &values)
    }

    /// Adds evaluations.
    pub fn evaluations(&mut self, rows: &[EvaluationRow]) -> Result<()> {
        for row in rows {
            self.scalars(
                row.iteration as i64,
                &[(&format!("error/{}", row.split.name()), row.error)],
            )?;
        }
        self.flush()
    }

    fn scalars(&mut self, step: i64, values: &[(&str, f32)]) -> Result<()> {
        let values = values
            .iter()
            .map(|(tag, value)| Scalar { tag: tag.to_string(), value: *value })
            .collect();
        self.write(Event { step, summary: Some(Summary { values }), ..Event::default() })
    }

    /// Writes an event as a TFRecord: length, its checksum, data, its checksum, all little-endian.
    fn write(&mut self, mut event: Event) -> Result<()> {
        event.wall_time = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64());
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let record = [
            &length[..],
            &masked_checksum(&length).to_le_bytes(),
            &data,
            &masked_checksum(&data).to_le_bytes(),
        ]
        .concat();
        self.writer.write_all(&record).with_context(|| self.path.display().to_string())
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush().with_context(|| self.path.display().to_string())
    }
}

/// CRC-32C, rotated and shifted as TFRecord has it (tensorflow/tsl/lib/hash/crc32c.h).
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282ead8)
}
