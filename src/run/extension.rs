//! A finished run that is trained on: how it becomes one that goes on from its end.

use anyhow::{Result, bail};

use crate::console::event::{Event, Listener};
use crate::records::extension::Extension;
use crate::records::position::Position;
use crate::records::provenance::timestamp;
use crate::records::run_toml::RunRecord;
use crate::records::verify::{check_finished, check_kept_state};
use crate::run::spec::Run;

impl Run<'_> {
    /// The record of a finished run with the extension on it; the state and the logs that it goes on
    /// from must be as they were. Nothing is changed here: what makes it an unfinished run is its
    /// record, which is written as a whole before anything else.
    pub(crate) fn begin_extension(
        &self,
        mut record: RunRecord,
        listener: Listener,
    ) -> Result<RunRecord> {
        let folder = self.directory.path();
        check_finished(folder, &record)?;
        check_kept_state(folder, &record)?;
        let (before, after) = (&record.run.recipe, &self.config.recipe);
        listener(Event::Note(format!(
            "extended from {} to {} iterations",
            before.iterations, after.iterations
        )));
        let is_other = before.milestones != after.milestones;
        let extension = Extension {
            from: before.iterations,
            to: after.iterations,
            milestones_before: is_other.then(|| before.milestones.clone()),
            started: timestamp(),
            git_revision: self.provenance().git_revision,
        };
        record.extensions.push(extension);
        Ok(record)
    }

    /// Refuses an extended run of which no state is left from its old end on: trained again from its
    /// start it would be another run.
    pub(crate) fn check_extended(&self, record: &RunRecord, position: &Position) -> Result<()> {
        let Some(Extension { from, .. }) = record.extensions.last() else { return Ok(()) };
        let found = position.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.iteration);
        if found < *from {
            bail!(
                "{}: was extended after iteration {from}, and no checkpoint from there on can be used: restore it from a backup, or remove it to train it again",
                self.directory.path().display()
            );
        }
        Ok(())
    }
}
