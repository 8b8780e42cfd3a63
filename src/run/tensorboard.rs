//! TensorBoard event files beside the CSV logs, for watching a sweep. They say what the logs say;
//! figures and tables never read them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::records::directory::RunDirectory;
use crate::records::eval_csv::{self, EvaluationRow};
use crate::records::event_file::Event;
use crate::records::log_rows::Rows;
use crate::system::atomic_file::open_own;
use crate::training::metrics::TrainingRow;

/// TensorBoard reads every file whose name contains `tfevents`.
const FILE: &str = "events.out.tfevents.resnet-repro";

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
        file.write(Event::version())?;
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
        let values = [
            ("learning_rate", row.learning_rate),
            ("loss/train", row.loss),
            ("error/train", row.error),
        ];
        self.scalars(row.iteration as i64, &values)
    }

    /// Adds evaluations.
    pub fn evaluations(&mut self, rows: &[EvaluationRow]) -> Result<()> {
        for row in rows {
            let tag = |value| format!("{value}/{}", row.split.name());
            let values = [(&*tag("loss"), row.loss), (&*tag("error"), row.error)];
            self.scalars(row.iteration as i64, &values)?;
        }
        self.flush()
    }

    fn scalars(&mut self, step: i64, values: &[(&str, f32)]) -> Result<()> {
        self.write(Event::scalars(step, values))
    }

    fn write(&mut self, mut event: Event) -> Result<()> {
        event.wall_time = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64());
        event.write(&mut self.writer).with_context(|| self.path.display().to_string())
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush().with_context(|| self.path.display().to_string())
    }
}
