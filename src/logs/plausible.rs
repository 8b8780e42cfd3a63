//! Whether logs and record can be what a run wrote: a number that no run has would spoil every
//! figure that it is drawn in.

use std::cmp::Ordering;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::config::recipe::Recipe;
use crate::error::BadInput;
use crate::logs::curves::EvaluationCurve;
use crate::logs::summary::RunCurves;
use crate::logs::training::is_error;
use crate::records::directory::RunDirectory;

/// Refuses values of a recipe that no run was started with.
pub fn check_recipe(recipe: &Recipe, path: &Path) -> Result<()> {
    let refused = || format!("{}: no run has this recipe", path.display());
    recipe.validate().map_err(BadInput::from).with_context(refused)?;
    toml::Table::try_from(recipe).map(|_| ()).with_context(refused)
}

/// Refuses iterations that do not rise one by one, and errors and rates out of range; names the file
/// and the row, counted from 1 after the header.
pub fn check_logs(curves: &RunCurves, directory: &RunDirectory) -> Result<()> {
    if let Some(strange) = &curves.training.strange {
        bail!("{}: {strange}", directory.train_log().display());
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
    let strange = errors.iter().find(|error| !is_error(**error));
    ensure!(
        strange.is_none(),
        "{}: an error of {:e} % is out of range, 0 to 100",
        path.display(),
        strange.copied().unwrap_or_default()
    );
    Ok(())
}
