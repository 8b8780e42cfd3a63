//! All of a net's gradients: its own, those of fresh weights, and of its twin.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use anyhow::Result;
use tch::Tensor;

use crate::analysis::gradients::norms::Variant;
use crate::analysis::gradients::row::{Normalized, Row, Weights};
use crate::analysis::gradients::shattering::{DISTANCES, correlations};
use crate::analysis::gradients::summary::{sentence, summary};
use crate::analysis::kind::Kind;
use crate::analysis::record::Outcome;
use crate::analysis::subject::{Subject, leave_out};
use crate::console::steps::Steps;
use crate::error::bad_input;
use crate::network::architecture;
use crate::network::parameters::Network;

/// Batches whose norms are averaged, where nothing else is said.
const BATCHES: usize = 8;

/// Draws of the weights that correlations are averaged over.
const DRAWS: u64 = 3;

/// Fewest images: two pairs.
const FEWEST: usize = 4;

/// Computes it. One pass over the images; each batch goes through all nets.
pub fn analyse(subject: &Subject) -> Result<Outcome<Row>> {
    subject.check_blocks(Kind::Gradients)?;
    let at_once = subject.at_once();
    let (split, _) = subject.chosen(Kind::Gradients);
    let images = subject.images_of(split, subject.images.unwrap_or(BATCHES * at_once))?;
    if images.len() < FEWEST {
        return Err(bad_input(format!(
            "--images: gradients are compared at pairs of images: give at least {FEWEST}"
        ))
        .into());
    }
    let batch_size = at_once.min(images.len());
    let nets = initial_nets(subject)?;
    let mut variants: Vec<Variant> =
        Variant::new(&subject.network, Weights::Given, Normalized::Batch).into_iter().collect();
    let normalizations = [Normalized::Batch, Normalized::None];
    for draws in &nets {
        let initial = normalizations
            .map(|normalization| Variant::new(&draws[0], Weights::Initial, normalization));
        variants.extend(initial.into_iter().flatten());
    }
    let of_pairs = nets.len() * normalizations.len() * DISTANCES.len() * DRAWS as usize;
    let batches = images.len() / batch_size;
    let steps = Steps::new("gradients", (batches * variants.len() + of_pairs) as u64);
    let (mut seen, mut done, mut first) = (0, 0, None);
    let mut complete = images.for_each(batch_size, &mut leave_out, |batch| {
        // A batch of fewer images has other statistics.
        if batch.labels.size()[0] < batch_size as i64 {
            return Ok(ControlFlow::Continue(()));
        }
        first.get_or_insert_with(|| batch.images.shallow_clone());
        for variant in &mut variants {
            variant.add(&batch);
            done += 1;
            steps.show(done);
        }
        seen += batch_size as u64;
        Ok(ControlFlow::Continue(()))
    })?;
    let mut rows: Vec<Row> = variants.iter().flat_map(Variant::rows).collect();
    if let Some(images) = first.filter(|_| complete) {
        complete = add_correlations(&nets, &images, subject, &mut rows, &mut || {
            done += 1;
            steps.show(done);
        });
    }
    let mut outcome = Outcome { images: seen, complete, ..Outcome::default() };
    if seen > 0 {
        outcome.summary = summary(&rows);
    }
    for (key, value) in [
        ("batch_size", batch_size as u64),
        ("draws", DRAWS),
        ("pairs", DRAWS * (batch_size as u64 / 2)),
    ] {
        outcome.settings.insert(key.into(), toml::Value::Integer(value as i64));
    }
    Ok(Outcome { rows, ..outcome })
}

/// Adds the correlations; false if a signal came first.
fn add_correlations(
    nets: &[Vec<Network>],
    images: &Tensor,
    subject: &Subject,
    rows: &mut Vec<Row>,
    done: &mut dyn FnMut(),
) -> bool {
    for draws in nets {
        for normalization in [Normalized::Batch, Normalized::None] {
            match correlations(draws, normalization, images, &subject.stop, &mut *done) {
                Some(found) => rows.extend(found),
                None => return false,
            }
        }
    }
    !subject.stop.load(Ordering::Relaxed)
}

/// The net and its twin, if it has one, each with several draws of initial weights: the seed's and
/// the next ones'. Twins of one seed start with the same weights.
fn initial_nets(subject: &Subject) -> Result<Vec<Vec<Network>>> {
    let architecture = subject.network.architecture();
    let mut architectures = vec![architecture.clone()];
    if let Some(twin) = architecture.name.twin() {
        let (side, classes) = (subject.recipe.image_side(), subject.data.classes.len() as i64);
        let family = subject.data.name.family();
        architectures.push(architecture::build(twin, family, side, classes)?);
    }
    let draws = |architecture: architecture::table::Architecture| {
        let net = |draw| Network::new(architecture.clone(), subject.seed + draw, subject.device());
        (0..DRAWS).map(net).collect()
    };
    Ok(architectures.into_iter().map(draws).collect())
}

/// What was found, in short.
pub fn headline(rows: &[Row]) -> String {
    sentence(rows)
}
