//! The loss over a plane through a net's weights, and along lines (Li, Xu, Taylor, Studer,
//! Goldstein, "Visualizing the Loss Landscape of Neural Nets", arXiv 1712.09913).

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::analysis::directions;
use crate::analysis::kept::KeptImages;
use crate::analysis::kind::Kind;
use crate::analysis::points::KeptRows;
use crate::analysis::record::Outcome;
use crate::analysis::subject::Subject;
use crate::analysis::surface::convexity;
use crate::analysis::walk::{Statistics, Walk, no_tap};
use crate::console::output::say;
use crate::console::steps::Steps;
use crate::network::parameters::Network;
use crate::network::weights::write_tensors;
use crate::training::evaluation::scores::{Evaluation, Tally, averaged};

/// The file that keeps the points until all are there.
const POINTS: &str = "landscape.points";

/// The note in a file of directions.
const SEED: &str = "seed";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Points along each side of the grid: odd, so that the net itself is one of them.
    pub grid: usize,
    /// The grid's coordinates go from minus this to this.
    pub range: f64,
    /// Directions of the slices.
    pub slices: u64,
    /// Where the directions are written to.
    pub directions: Option<PathBuf>,
}

/// Where points are kept, and of what they are.
pub struct Store<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// What the computation depends on beside the settings: weights and data.
    pub identity: String,
}

/// A line of `landscape.csv`: one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number of the slice; none of the grid's points.
    pub slice: Option<u64>,
    /// How far along the first direction, or along the slice's.
    pub x: f64,
    /// How far along the second direction; none in slices.
    pub y: Option<f64>,
    /// Mean cross-entropy, in nats; none where float32 has no number for it.
    pub loss: Option<f64>,
    /// Top-1 error in percent.
    pub error: f64,
    /// Images classified wrongly.
    pub wrong: u64,
}

impl Settings {
    /// Points along each slice: half the grid's step apart.
    fn slice_points(&self) -> usize {
        2 * self.grid - 1
    }

    /// All points, in the order in which they are computed: slice, x, y.
    fn places(&self) -> Vec<(Option<u64>, f64, Option<f64>)> {
        let along = |points: usize| {
            (0..points).map(move |index| {
                let steps = 2 * index as i64 - (points as i64 - 1);
                self.range * steps as f64 / (points - 1) as f64
            })
        };
        let grid = along(self.grid).flat_map(|y| along(self.grid).map(move |x| (None, x, Some(y))));
        let slices = (0..self.slices)
            .flat_map(|slice| along(self.slice_points()).map(move |x| (Some(slice), x, None)));
        grid.chain(slices).collect()
    }

    fn table(&self) -> toml::Table {
        let integer = |value: usize| toml::Value::Integer(value as i64);
        toml::Table::from_iter([
            ("grid".to_string(), integer(self.grid)),
            ("range".to_string(), toml::Value::Float(self.range)),
            ("slices".to_string(), integer(self.slices as usize)),
            ("slice_points".to_string(), integer(self.slice_points())),
        ])
    }
}

/// Computes it: a pass over the images for each point. What `store` has of it is not computed again.
pub fn analyse(
    subject: &Subject,
    settings: &Settings,
    store: Option<&Store>,
) -> Result<Outcome<Row>> {
    subject.check_blocks(Kind::Landscape)?;
    let set = subject.images(Kind::Landscape)?;
    let (network, count) = (&subject.network, set.len());
    let mut kept = match store {
        None => KeptRows::in_memory(),
        Some(store) => {
            let identity = format!(
                "landscape of {}, {count} images, seed {}: {}",
                store.identity,
                subject.seed,
                serde_json::to_string(&settings.table())?
            );
            KeptRows::open(&store.folder.join(POINTS), &identity, &mut |text| say(&text))?
        }
    };
    if let Some(path) = &settings.directions {
        write_directions(subject, settings, path)?;
    }
    let places = settings.places();
    let mut outcome = Outcome { settings: settings.table(), ..Outcome::default() };
    let steps = Steps::new("landscape", places.len() as u64);
    steps.show(kept.rows.len() as u64);
    if let Some(images) = KeptImages::new(set, subject.at_once())? {
        let mut directions = Directions::new(subject);
        for &(slice, x, y) in &places[kept.rows.len()..] {
            let weights = directions.weights(slice, x, y);
            let Some(result) = evaluate(network, &weights, &images)? else { break };
            let loss = Some(result.loss).filter(|loss| loss.is_finite());
            kept.push(Row { slice, x, y, loss, error: result.error(), wrong: result.wrong })?;
            steps.show(kept.rows.len() as u64);
        }
    }
    outcome.complete = kept.rows.len() == places.len();
    // Without a point there is nothing to write.
    outcome.images = if kept.rows.is_empty() { 0 } else { count as u64 };
    if outcome.complete {
        outcome.summary = summary(&kept.rows, settings.grid);
    }
    Ok(Outcome { rows: kept.rows, ..outcome })
}

/// Removes the points that were kept in `folder`: those of a landscape that is written.
pub fn forget(folder: &Path) {
    // One file too many is read by the next landscape alone, which knows whose it is.
    let _ = std::fs::remove_file(folder.join(POINTS));
}

/// The directions that are in use: drawn when they are needed, and kept as long.
struct Directions<'a> {
    subject: &'a Subject<'a>,
    axes: [Tensor; 2],
    slice: Option<(u64, Tensor)>,
}

/// Numbers of the axes' directions; those of slices follow.
const AXES: [u64; 2] = [0, 1];

impl<'a> Directions<'a> {
    fn new(subject: &'a Subject) -> Directions<'a> {
        let axes = AXES.map(|number| directions::direction(&subject.network, subject.seed, number));
        Directions { subject, axes, slice: None }
    }

    /// The weights at a place.
    fn weights(&mut self, slice: Option<u64>, x: f64, y: Option<f64>) -> Tensor {
        let offset = match slice {
            None => &self.axes[0] * x + &self.axes[1] * y.unwrap_or(0.0),
            Some(slice) => self.of_slice(slice) * x,
        };
        self.subject.network.parameters().detach() + offset
    }

    fn of_slice(&mut self, slice: u64) -> Tensor {
        match &self.slice {
            Some((number, direction)) if *number == slice => direction.shallow_clone(),
            _ => {
                let direction = of_slice(self.subject, slice);
                self.slice = Some((slice, direction.shallow_clone()));
                direction
            }
        }
    }
}

fn of_slice(subject: &Subject, slice: u64) -> Tensor {
    directions::direction(&subject.network, subject.seed, AXES.len() as u64 + slice)
}

/// Loss and errors of a net with these weights and its own running statistics. `None` where a
/// signal came.
pub(crate) fn evaluate(
    network: &Network,
    weights: &Tensor,
    images: &KeptImages,
) -> Result<Option<Evaluation>> {
    let Some(walk) = Walk::with_parameters(network, weights, Statistics::Running) else {
        return Ok(None);
    };
    let mut tally = Tally::new(network.device());
    let complete = images.for_each(|batch| {
        tch::no_grad(|| {
            let scores = walk.logits(&batch.images, &mut no_tap);
            tally.add(&averaged(&scores, 1), &batch.labels);
        });
        Ok(())
    })?;
    Ok(complete.then(|| tally.result()))
}

fn write_directions(subject: &Subject, settings: &Settings, path: &Path) -> Result<()> {
    let axis = |number| directions::direction(&subject.network, subject.seed, number);
    let mut all = vec![("x".to_string(), axis(AXES[0])), ("y".to_string(), axis(AXES[1]))];
    all.extend(
        (0..settings.slices).map(|slice| (format!("slice-{slice}"), of_slice(subject, slice))),
    );
    let tensors = directions::named(&subject.network, &all);
    write_tensors(path, &tensors, (SEED, subject.seed.to_string()))
}

/// Numbers of the grid.
fn summary(rows: &[Row], side: usize) -> toml::Table {
    let grid: Vec<&Row> = rows.iter().filter(|row| row.slice.is_none()).collect();
    let losses: Vec<Option<f64>> = grid.iter().map(|row| row.loss).collect();
    let found = convexity(&losses, side);
    let known = || losses.iter().copied().flatten();
    let (centre, lowest) = (losses[losses.len() / 2], known().reduce(f64::min));
    let numbers = [
        ("not_convex_percent", found.percent()),
        ("judged_points", Some(found.judged as f64)),
        ("centre_loss", centre),
        ("lowest_loss", lowest),
        ("highest_loss", known().reduce(f64::max)),
    ];
    let present = numbers
        .into_iter()
        .filter_map(|(name, number)| Some((name.to_string(), toml::Value::Float(number?))));
    present.collect()
}

/// What was found, in short.
pub fn headline(rows: &[Row]) -> String {
    let losses = || rows.iter().filter_map(|row| row.loss);
    format!(
        "{} points, losses {:.3} to {:.3}",
        rows.len(),
        losses().fold(f64::INFINITY, f64::min),
        losses().fold(f64::NEG_INFINITY, f64::max)
    )
}
