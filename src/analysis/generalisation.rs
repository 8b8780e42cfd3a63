//! Training images, seen as test images are, beside test images: what a net has not fitted, and
//! what it fits and does not generalise (He et al. 2015, section 4.2, on 1202 layers).

use std::ops::ControlFlow;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::analysis::images::{ImageSet, Split};
use crate::analysis::kind::Kind;
use crate::analysis::record::Outcome;
use crate::analysis::subject::{Subject, leave_out};
use crate::console::steps::Steps;
use crate::error::bad_input;
use crate::network::forward::pass::Mode;
use crate::training::evaluation::scores::{Evaluation, Tally, averaged};

/// A line of `generalisation.csv`: one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which images.
    pub split: Split,
    /// How many of them.
    pub images: u64,
    /// Those classified wrongly.
    pub wrong: u64,
    /// The same in percent.
    pub error: f64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
}

/// Computes it. One pass over each split.
pub fn analyse(subject: &Subject) -> Result<Outcome<Row>> {
    if subject.split.is_some() {
        return Err(bad_input(format!(
            "--split: {} compares training with test images: leave it out",
            Kind::Generalisation
        ))
        .into());
    }
    let (_, most) = subject.chosen(Kind::Generalisation);
    let sets = [
        (Split::Train, subject.images_of(Split::Train, most)?),
        (Split::Test, subject.images_of(Split::Test, most)?),
    ];
    let total: usize = sets.iter().map(|(_, images)| images.len()).sum();
    let steps = Steps::new(Kind::Generalisation.name(), total as u64);
    let mut outcome = Outcome { complete: true, ..Outcome::default() };
    for (split, images) in &sets {
        let (result, complete) = evaluate(subject, images, outcome.images, &steps)?;
        outcome.images += result.images;
        outcome.complete &= complete;
        if result.images > 0 {
            outcome.rows.push(Row {
                split: *split,
                images: result.images,
                wrong: result.wrong,
                error: result.error(),
                loss: result.loss,
            });
        }
        if !complete {
            break;
        }
    }
    if let ([train, test], true) = (&outcome.rows[..], outcome.complete) {
        outcome.summary = summary(train, test, subject.network.architecture().parameter_count());
    }
    Ok(outcome)
}

/// Tests the net on `images`; `before` are done already. Returns whether all were taken.
fn evaluate(
    subject: &Subject,
    images: &ImageSet,
    before: u64,
    steps: &Steps,
) -> Result<(Evaluation, bool)> {
    let mut tally = Tally::new(subject.device());
    let mut seen = before;
    let complete = images.for_each(subject.at_once(), &mut leave_out, |batch| {
        tch::no_grad(|| {
            let scores = subject.network.forward(&batch.images, Mode::Evaluation);
            tally.add(&averaged(&scores, 1), &batch.labels);
        });
        seen += batch.labels.size()[0] as u64;
        steps.show(seen);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((tally.result(), complete))
}

/// Errors in percent, their difference in percentage points, losses in nats.
fn summary(train: &Row, test: &Row, parameters: i64) -> toml::Table {
    let float = toml::Value::Float;
    toml::Table::from_iter([
        ("training_error".to_string(), float(train.error)),
        ("test_error".to_string(), float(test.error)),
        ("gap".to_string(), float(test.error - train.error)),
        ("training_loss".to_string(), float(train.loss)),
        ("test_loss".to_string(), float(test.loss)),
        ("parameters".to_string(), toml::Value::Integer(parameters)),
    ])
}

/// What was found, in short.
pub fn headline(rows: &[Row]) -> String {
    let error = |split: Split| rows.iter().find(|row| row.split == split).map(|row| row.error);
    match (error(Split::Train), error(Split::Test)) {
        (Some(train), Some(test)) => format!(
            "training error {train:.2} %, test error {test:.2} %, gap {:.2} points",
            test - train
        ),
        (Some(train), None) => format!("training error {train:.2} %"),
        _ => "nothing".to_string(),
    }
}
