//! `gradients.csv`: norms of the gradient by layer, every so many iterations.

use crate::records::log::Log;
use crate::records::log_rows::LogRow;
use crate::training::gradient_norms::GradientRow;

impl LogRow for GradientRow {
    const HEADER: &'static str = "iteration,layer,norm";

    fn iteration(&self) -> u64 {
        self.iteration
    }

    fn problem_after(&self, previous: Option<&GradientRow>) -> Option<String> {
        let before = previous.map_or(0, |row| row.iteration);
        (self.iteration < before.max(1))
            .then(|| format!("iteration {} after iteration {before}", self.iteration))
    }
}

/// The file, open for appending.
pub type GradientLog = Log<GradientRow>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::log;

    #[test]
    fn rows_are_written_under_the_header_and_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gradients.csv");
        let row = |iteration, layer: &str, norm| GradientRow {
            iteration,
            layer: layer.to_string(),
            norm,
        };
        let rows = [row(10, "conv1", 0.5), row(10, "fc", f32::INFINITY), row(20, "conv1", 0.25)];
        GradientLog::open(&path, 0).unwrap().append(&rows).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "iteration,layer,norm\n10,conv1,0.5\n10,fc,inf\n20,conv1,0.25\n"
        );
        assert_eq!(log::read::<GradientRow>(&path).unwrap(), rows);
        assert!(rows[0].problem_after(Some(&rows[2])).is_some());
    }
}
