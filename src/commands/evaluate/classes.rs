//! Errors of each class.

use anyhow::Result;
use serde::Serialize;
use tch::{Kind, Tensor};

/// The error of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassError {
    /// Its name.
    pub class: String,
    /// Its test images.
    pub images: u64,
    /// Those of them that are taken for another class, or cannot be read.
    pub wrong: u64,
    /// In percent; nothing where the class has no test images.
    pub error: Option<f64>,
}

/// Which images are right, batch after batch, kept on the device.
#[derive(Default)]
pub struct ClassTally {
    right: Vec<Tensor>,
}

impl ClassTally {
    /// Counts the next batch: logarithms of the classes' probabilities, [images, classes], and
    /// labels, int64 [images], -1 for an image that could not be read.
    pub fn add(&mut self, log_probabilities: &Tensor, labels: &Tensor) {
        self.right.push(log_probabilities.argmax(-1, false).eq_tensor(labels));
    }

    /// The errors of the classes with these `names`, in their order; `labels` are those of all
    /// images, in theirs.
    pub fn errors(&self, labels: &[i64], names: &[String]) -> Result<Vec<ClassError>> {
        let right = Vec::<f32>::try_from(Tensor::cat(&self.right, 0).to_kind(Kind::Float))?;
        let mut counts = vec![(0u64, 0u64); names.len()];
        for (&label, &right) in labels.iter().zip(&right) {
            let (images, wrong) = &mut counts[label as usize];
            *images += 1;
            *wrong += u64::from(right == 0.0);
        }
        let error = |(name, (images, wrong)): (&String, (u64, u64))| ClassError {
            class: name.clone(),
            images,
            wrong,
            error: (images > 0).then(|| wrong as f64 * 100.0 / images as f64),
        };
        Ok(names.iter().zip(counts).map(error).collect())
    }
}

/// A line for each class, the largest error first.
pub fn lines(errors: &[ClassError]) -> String {
    let mut sorted: Vec<&ClassError> = errors.iter().collect();
    sorted.sort_by(|one, other| other.error.unwrap_or(-1.0).total_cmp(&one.error.unwrap_or(-1.0)));
    let line = |one: &ClassError| {
        let error = one.error.map_or("–".to_string(), |error| format!("{error:.2} %"));
        format!("\n{}: {} of {} test images wrong, error {error}", one.class, one.wrong, one.images)
    };
    sorted.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_of_their_class_and_an_unread_image_is_one_of_its_class() {
        let mut tally = ClassTally::default();
        let scores = Tensor::from_slice(&[-0.1f32, -2.3, -9.0, -2.3, -0.1, -9.0]).view([2, 3]);
        tally.add(&scores, &Tensor::from_slice(&[0i64, 0]));
        tally.add(&scores, &Tensor::from_slice(&[-1i64, 1]));
        let names = ["cat", "dog", "fox"].map(str::to_string);
        let found = tally.errors(&[0, 0, 1, 1], &names).unwrap();
        let counts: Vec<_> = found.iter().map(|one| (one.images, one.wrong, one.error)).collect();
        assert_eq!(counts, [(2, 1, Some(50.0)), (2, 1, Some(50.0)), (0, 0, None)]);
        assert!(lines(&found).starts_with("\ncat: 1 of 2 test images wrong, error 50.00 %"));
    }
}
