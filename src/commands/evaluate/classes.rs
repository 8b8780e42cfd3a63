//! Errors of each class, and which classes are taken for which.

use anyhow::Result;
use serde::Serialize;
use tch::{Kind, Tensor};

/// What stands for the class of an image that cannot be read.
const UNREAD: i64 = -1;

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
    /// The class that it is taken for most often.
    pub taken_for: Option<TakenFor>,
}

/// A class that another is taken for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakenFor {
    /// Its name.
    pub class: String,
    /// How many test images of the other are.
    pub images: u64,
}

/// What each image is taken for, batch after batch, kept on the device.
#[derive(Default)]
pub struct ClassTally {
    predicted: Vec<Tensor>,
}

impl ClassTally {
    /// Counts the next batch: logarithms of the classes' probabilities, [images, classes], and
    /// labels, int64 [images], -1 for an image that could not be read.
    pub fn add(&mut self, log_probabilities: &Tensor, labels: &Tensor) {
        let predicted = log_probabilities.argmax(-1, false);
        self.predicted.push(predicted.masked_fill(&labels.lt(0), UNREAD));
    }

    /// How often each class is taken for each; `labels` are those of all images, `names` those of
    /// the classes, in their orders.
    pub fn confusion(&self, labels: &[i64], names: &[String]) -> Result<Confusion> {
        let predicted = Vec::<i64>::try_from(Tensor::cat(&self.predicted, 0).to_kind(Kind::Int64))?;
        let mut images = vec![vec![0; names.len()]; names.len()];
        let mut unread = vec![0; names.len()];
        for (&label, &predicted) in labels.iter().zip(&predicted) {
            match usize::try_from(predicted) {
                Ok(predicted) => images[label as usize][predicted] += 1,
                Err(_) => unread[label as usize] += 1,
            }
        }
        Ok(Confusion { names: names.to_vec(), images, unread })
    }
}

/// How often each class is taken for each.
#[derive(Debug, PartialEq)]
pub struct Confusion {
    names: Vec<String>,
    /// Test images by class and by what they are taken for.
    images: Vec<Vec<u64>>,
    /// Images of each class that cannot be read.
    unread: Vec<u64>,
}

impl Confusion {
    /// The errors of the classes, in their order.
    pub fn errors(&self) -> Vec<ClassError> {
        (0..self.names.len()).map(|class| self.error(class)).collect()
    }

    fn error(&self, class: usize) -> ClassError {
        let row = &self.images[class];
        let images = row.iter().sum::<u64>() + self.unread[class];
        let wrong = images - row[class];
        let others = row.iter().enumerate().filter(|(other, count)| *other != class && **count > 0);
        // The first of those that are equally often.
        let most = others.rev().max_by_key(|(_, count)| **count);
        ClassError {
            class: self.names[class].clone(),
            images,
            wrong,
            error: (images > 0).then(|| wrong as f64 * 100.0 / images as f64),
            taken_for: most
                .map(|(other, &images)| TakenFor { class: self.names[other].clone(), images }),
        }
    }

    /// A CSV file with a row for each pair of classes that occurs: `class`, `predicted` (empty for
    /// images that cannot be read) and `images`.
    pub fn to_csv(&self) -> Result<String> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["class", "predicted", "images"])?;
        for (class, row) in self.images.iter().enumerate() {
            let named = self.names.iter().map(String::as_str).zip(row.iter().copied());
            for (predicted, images) in named.chain([("", self.unread[class])]) {
                if images > 0 {
                    csv.write_record([&self.names[class], predicted, &images.to_string()])?;
                }
            }
        }
        Ok(String::from_utf8(csv.into_inner()?)?)
    }
}

/// A line for each class, the largest error first.
pub fn lines(errors: &[ClassError]) -> String {
    let mut sorted: Vec<&ClassError> = errors.iter().collect();
    sorted.sort_by(|one, other| other.error.unwrap_or(-1.0).total_cmp(&one.error.unwrap_or(-1.0)));
    let line = |one: &ClassError| {
        let error = one.error.map_or("–".to_string(), |error| format!("{error:.2} %"));
        let taken_for = one.taken_for.as_ref().map_or(String::new(), |other| {
            format!(", most often taken for {} ({})", other.class, other.images)
        });
        format!(
            "\n{}: {} of {} test images wrong, error {error}{taken_for}",
            one.class, one.wrong, one.images
        )
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
        let confusion = tally.confusion(&[0, 0, 1, 1], &names).unwrap();
        let found = confusion.errors();
        let counts: Vec<_> = found.iter().map(|one| (one.images, one.wrong, one.error)).collect();
        assert_eq!(counts, [(2, 1, Some(50.0)), (2, 1, Some(50.0)), (0, 0, None)]);
        assert!(lines(&found).starts_with(
            "\ncat: 1 of 2 test images wrong, error 50.00 %, most often taken for dog (1)"
        ));
        let expected = "class,predicted,images\ncat,cat,1\ncat,dog,1\ndog,dog,1\ndog,,1\n";
        assert_eq!(confusion.to_csv().unwrap(), expected);
    }
}
