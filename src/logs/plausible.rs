//! Whether logs and record can be what a run wrote: a number that no run has would spoil every
//! figure that it is drawn in.

use std::cmp::Ordering;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::config::recipe::Recipe;
use crate::error::BadInput;
use crate::logs::curves::EvaluationCurve;
use crate::logs::summary::RunCurves;
use crate::records::directory::RunDirectory;

/// Learning rates that can be drawn on one axis. A log may also have 0, or none.
const RATES: std::ops::RangeInclusive<f64> = 1e-30..=100.0;

/// Refuses values of a recipe that no run was started with.
pub fn check_recipe(recipe: &Recipe, path: &Path) -> Result<()> {
    let refused = || format!("{}: no run has this recipe", path.display());
    recipe.validate().map_err(BadInput::from).with_context(refused)?;
    toml::Table::try_from(recipe).map(|_| ()).with_context(refused)
}

/// Refuses iterations that do not rise one by one, and errors and rates out of range; names the file
/// and the row, counted from 1 after the header.
pub fn check_logs(curves: &RunCurves, directory: &RunDirectory) -> Result<()> {
    let training = &curves.training;
    let path = directory.train_log();
    for (index, &iteration) in training.iterations.iter().enumerate() {
        let expected = index as f64 + 1.0;
        if iteration != expected {
            bail!(
                "{}: row {expected} has iteration {iteration}, not {expected}: rows were lost, \
                 doubled or changed",
                path.display()
            );
        }
    }
    check_errors(&training.errors, &path)?;
    let strange = training
        .learning_rates
        .iter()
        .position(|rate| !(rate.is_nan() || *rate == 0.0 || RATES.contains(rate)));
    if let Some(index) = strange {
        bail!(
            "{}: row {}: no run has a learning rate of {:e}",
            path.display(),
            index + 1,
            training.learning_rates[index]
        );
    }
    for (split, curve) in [("test", &curves.test), ("validation", &curves.validation)] {
        check_evaluations(curve, split, &directory.evaluation_log())?;
    }
    Ok(())
}

fn check_evaluations(curve: &EvaluationCurve, split: &str, path: &Path) -> Result<()> {
    let rises = |pair: &[f64]| pair[0].partial_cmp(&pair[1]) == Some(Ordering::Less);
    if let Some(pair) = curve.iterations.windows(2).find(|pair| !rises(pair)) {
        bail!(
            "{}: split {split}: iteration {} comes after {}: rows were doubled or changed",
            path.display(),
            pair[1],
            pair[0]
        );
    }
    check_errors(&curve.errors, path)
}

fn check_errors(errors: &[f64], path: &Path) -> Result<()> {
    let strange = errors.iter().find(|error| !(error.is_nan() || (0.0..=100.0).contains(*error)));
    ensure!(
        strange.is_none(),
        "{}: an error of {:e} % is out of range, 0 to 100",
        path.display(),
        strange.copied().unwrap_or_default()
    );
    Ok(())
}
