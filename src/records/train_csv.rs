//! `train.csv`: loss and error of every iteration.

use crate::records::log::Log;
use crate::records::log_rows::LogRow;
use crate::training::metrics::TrainingRow;

impl LogRow for TrainingRow {
    const HEADER: &'static str = "iteration,learning_rate,loss,error";

    fn iteration(&self) -> u64 {
        self.iteration
    }

    fn problem_after(&self, previous: Option<&TrainingRow>) -> Option<String> {
        let before = previous.map_or(0, |row| row.iteration);
        if before.checked_add(1) != Some(self.iteration) {
            return Some(format!("iteration {} after iteration {before}", self.iteration));
        }
        let values =
            [("learning_rate", self.learning_rate), ("loss", self.loss), ("error", self.error)];
        let (name, value) = values.into_iter().find(|(_, value)| !value.is_finite())?;
        Some(format!("the {name} is {value}"))
    }
}

/// The file, open for appending.
pub type TrainingLog = Log<TrainingRow>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::log;

    #[test]
    fn rows_are_written_as_short_numbers_under_the_header_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        let row = |iteration| TrainingRow {
            iteration,
            learning_rate: (0.1 * 0.1) as f32,
            loss: 2.25,
            error: 61.71875,
        };
        let mut log = TrainingLog::open(&path, 0).unwrap();
        log.append(&[row(1), row(2)]).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "iteration,learning_rate,loss,error\n1,0.01,2.25,61.71875\n2,0.01,2.25,61.71875\n"
        );
        assert_eq!(log::read::<TrainingRow>(&path).unwrap(), [row(1), row(2)]);
    }
}
