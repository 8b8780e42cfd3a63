//! The gradient that comes through paths of each length (Veit, Wilber, Belongie 2016, arXiv
//! 1605.06431, section 4.3, Figure 6).
//!
//! A residual net of n blocks has 2^n paths from its first block to its end: each block is passed
//! through its branch or through its shortcut.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind as Dtype, Tensor};

use crate::analysis::backward::{carried, forward, leaf};
use crate::analysis::images::Batch;
use crate::analysis::kind::Kind;
use crate::analysis::record::Outcome;
use crate::analysis::route::Part;
use crate::analysis::statistics::slope;
use crate::analysis::subject::{Subject, leave_out};
use crate::analysis::walk::{Statistics, Walk, no_tap};
use crate::console::steps::Steps;
use crate::error::bad_input;

/// Paths that go back through a block one after the other, while its graph is kept. This bounds the
/// memory.
const AT_ONCE: usize = 16;

/// Part of the gradient that the shortest range of lengths has to carry.
const MOST: f64 = 0.95;

/// The paper's effective paths are at most so long, of so many blocks (section 4.3).
const PAPERS_LONGEST: (usize, usize) = (17, 54);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Paths drawn for each length on each batch.
    pub draws: u64,
}

/// A line of `paths.csv`: the paths of one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Blocks that are passed through their branch.
    pub length: usize,
    /// Weighted layers in these branches.
    pub layers: usize,
    /// Share of the paths that have this length, in percent.
    pub paths_percent: f64,
    /// Mean norm of the gradient that comes through one of them, at the input of the first block.
    pub norm: f64,
    /// Sample standard deviation of the same over draws; empty of one.
    pub std: Option<f64>,
    /// Paths that were measured.
    pub samples: u64,
    /// Share of the gradient that comes through paths of this length, in percent.
    pub gradient_percent: f64,
}

/// A path: of each block, whether it is passed through its branch.
type Path = Vec<bool>;

/// Computes it. One pass over the images.
pub fn analyse(subject: &Subject, settings: Settings) -> Result<Outcome<Row>> {
    subject.check_blocks(Kind::Paths)?;
    let Some(walk) = Walk::new(&subject.network, Statistics::Batch) else {
        return Ok(Outcome::default());
    };
    if !walk.has_shortcuts() {
        return Err(bad_input(format!(
            "{}: a net without shortcuts has one path only, through all of its layers: paths looks at residual nets",
            subject.network.architecture().name
        ))
        .into());
    }
    let images = subject.images(Kind::Paths)?;
    let batch_size = subject.at_once().min(images.len());
    let blocks = walk.blocks().len();
    let mut norms: Vec<Vec<f64>> = vec![Vec::new(); blocks + 1];
    let per_batch = (blocks as u64 + 1) * settings.draws;
    let steps = Steps::new("paths", (images.len() / batch_size) as u64 * per_batch);
    let (mut seen, mut batches) = (0, 0);
    let complete = images.for_each(batch_size, &mut leave_out, |batch| {
        // A batch of fewer images has other statistics.
        if batch.labels.size()[0] < batch_size as i64 {
            return Ok(ControlFlow::Continue(()));
        }
        let paths = draws(subject.seed, batches, blocks, settings.draws);
        let mut found = Vec::new();
        let ended = through(&walk, &batch, &paths, &mut |some| {
            found.extend(some);
            steps.show(batches * per_batch + found.len() as u64);
            subject.stop.load(Ordering::Relaxed)
        });
        // Lengths are comparable where each was measured on the same batches.
        if ended {
            return Ok(ControlFlow::Break(()));
        }
        for (path, norm) in paths.iter().zip(found) {
            norms[length(path)].push(norm);
        }
        batches += 1;
        seen += batch_size as u64;
        Ok(ControlFlow::Continue(()))
    })?;
    let mut outcome = Outcome { images: seen, complete, ..Outcome::default() };
    if seen > 0 {
        let layers = walk.blocks()[0].strides().len();
        outcome.rows = rows(&norms, layers);
        outcome.summary = summary(&outcome.rows);
    }
    outcome.settings.insert("batch_size".into(), toml::Value::Integer(batch_size as i64));
    outcome.settings.insert("paths".into(), toml::Value::Integer(settings.draws as i64));
    Ok(outcome)
}

fn length(path: &Path) -> usize {
    path.iter().filter(|&&branch| branch).count()
}

/// Paths of each length 0, …, `blocks`, drawn at random.
fn draws(seed: u64, batch: u64, blocks: usize, draws: u64) -> Vec<Path> {
    let mut paths = Vec::new();
    for length in 0..=blocks {
        for draw in 0..draws {
            let mut stream = Kind::Paths.stream(seed, batch << 32 | (length as u64) << 16 | draw);
            let mut order: Vec<usize> = (0..blocks).collect();
            stream.shuffle(&mut order);
            let mut path = vec![false; blocks];
            order[..length].iter().for_each(|&block| path[block] = true);
            paths.push(path);
        }
    }
    paths
}

/// Norms of the gradient of the batch's mean cross-entropy at the input of the first block, through
/// each path; handed to `take` some at a time. Ends where that returns true, and returns whether it
/// did.
fn through(
    walk: &Walk,
    batch: &Batch,
    paths: &[Path],
    take: &mut dyn FnMut(Vec<f64>) -> bool,
) -> bool {
    let mut maps = forward(walk, &batch.images);
    let top = leaf(maps.pop());
    let scores = walk.rest(&[], top.shallow_clone(), &mut no_tap);
    let loss = scores.cross_entropy_for_logits(&batch.labels);
    let gradient = Tensor::run_backward(&[loss], &[top], false, false).swap_remove(0);
    for paths in paths.chunks(AT_ONCE) {
        let mut gradients: Vec<Tensor> = paths.iter().map(|_| gradient.shallow_clone()).collect();
        for block in (0..walk.blocks().len()).rev() {
            back(walk, block, &maps[block], paths, &mut gradients);
        }
        let norm = |gradient: &Tensor| gradient.square().sum(Dtype::Double).sqrt();
        if take(gradients.iter().map(|gradient| norm(gradient).double_value(&[])).collect()) {
            return true;
        }
    }
    false
}

/// Takes the gradient of each path from behind a block to before it.
fn back(walk: &Walk, block: usize, maps: &Tensor, paths: &[Path], gradients: &mut [Tensor]) {
    for (part, branch) in [(Part::GradientByBranch, true), (Part::GradientByShortcut, false)] {
        if paths.iter().all(|path| path[block] != branch) {
            continue;
        }
        let input = maps.detach().set_requires_grad(true);
        let output = walk.block(block, part, &input, &mut no_tap);
        for (path, gradient) in paths.iter().zip(gradients.iter_mut()) {
            if path[block] == branch {
                let carried = carried(&output, gradient);
                *gradient = Tensor::run_backward(&[carried], &[&input], true, false).swap_remove(0);
            }
        }
    }
}

/// Binomial coefficients over 2^n: the shares of lengths 0, …, n among all paths.
fn binomial(blocks: usize) -> Vec<f64> {
    let mut log = -(blocks as f64) * std::f64::consts::LN_2;
    let mut shares = vec![log.exp()];
    for length in 1..=blocks {
        log += ((blocks + 1 - length) as f64 / length as f64).ln();
        shares.push(log.exp());
    }
    shares
}

/// `norms` of each length, of blocks with so many `layers`.
fn rows(norms: &[Vec<f64>], layers: usize) -> Vec<Row> {
    let shares = binomial(norms.len() - 1);
    let mean = |norms: &Vec<f64>| norms.iter().sum::<f64>() / norms.len() as f64;
    let all: f64 = norms.iter().zip(&shares).map(|(norms, share)| mean(norms) * share).sum();
    let row = |(length, (norms, &share)): (usize, (&Vec<f64>, &f64))| {
        let mean = mean(norms);
        let squares: f64 = norms.iter().map(|norm| (norm - mean).powi(2)).sum();
        let count = norms.len() as f64;
        Row {
            length,
            layers: length * layers,
            paths_percent: share * 100.0,
            norm: mean,
            std: (norms.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
            samples: norms.len() as u64,
            gradient_percent: mean * share / all * 100.0,
        }
    };
    norms.iter().zip(&shares).enumerate().map(row).collect()
}

/// The shortest range of lengths that carries most of the gradient.
fn effective(rows: &[Row]) -> Option<(&Row, &Row)> {
    let mut best: Option<(usize, usize)> = None;
    for from in 0..rows.len() {
        let mut carried = 0.0;
        for (to, row) in rows.iter().enumerate().skip(from) {
            carried += row.gradient_percent;
            if carried >= MOST * 100.0 {
                if best.is_none_or(|(start, end)| to - from < end - start) {
                    best = Some((from, to));
                }
                break;
            }
        }
    }
    best.map(|(from, to)| (&rows[from], &rows[to]))
}

/// Mean length of the paths that the gradient comes through, in blocks.
fn mean_length(rows: &[Row]) -> f64 {
    rows.iter().map(|row| row.length as f64 * row.gradient_percent / 100.0).sum()
}

fn summary(rows: &[Row]) -> toml::Table {
    let blocks = rows.len() - 1;
    let longest = blocks * PAPERS_LONGEST.0 / PAPERS_LONGEST.1;
    let short: f64 = rows[..=longest].iter().map(|row| row.gradient_percent).sum();
    let logs: Vec<(f64, f64)> = rows
        .iter()
        .filter(|row| row.norm > 0.0)
        .map(|row| (row.length as f64, row.norm.ln()))
        .collect();
    let integer = |value: usize| toml::Value::Integer(value as i64);
    let mut table = toml::Table::from_iter([
        ("blocks".to_string(), integer(blocks)),
        ("mean_length".to_string(), toml::Value::Float(mean_length(rows))),
        ("short_paths_up_to".to_string(), integer(longest)),
        ("short_paths_gradient_percent".to_string(), toml::Value::Float(short)),
    ]);
    if let Some(slope) = slope(&logs) {
        table.insert("factor_per_block".to_string(), toml::Value::Float(slope.exp()));
    }
    if let Some((from, to)) = effective(rows) {
        let paths: f64 = rows[from.length..=to.length].iter().map(|row| row.paths_percent).sum();
        table.insert("range_from".to_string(), integer(from.length));
        table.insert("range_to".to_string(), integer(to.length));
        table.insert("range_from_layers".to_string(), integer(from.layers));
        table.insert("range_to_layers".to_string(), integer(to.layers));
        table.insert("range_paths_percent".to_string(), toml::Value::Float(paths));
    }
    table
}

/// What was found, in short.
pub fn headline(rows: &[Row]) -> String {
    let range = effective(rows).map_or_else(String::new, |(from, to)| {
        format!(
            "95 % of the gradient comes through paths of {} to {} blocks, of {}; ",
            from.length,
            to.length,
            rows.len() - 1
        )
    });
    format!("{range}mean length {:.1}", mean_length(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::Family;
    use crate::network::architecture;
    use crate::network::parameters::Network;
    use crate::random::{Purpose, Stream};
    use tch::Device;

    #[test]
    fn binomial_shares_are_pascals_triangle() {
        let found = binomial(4);
        for (found, expected) in found.iter().zip([1.0, 4.0, 6.0, 4.0, 1.0]) {
            assert!((found * 16.0 - expected).abs() < 1e-12, "{found}");
        }
        let many = binomial(600);
        assert!((many.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn shares_and_ranges_are_those_of_a_computation_by_hand() {
        // Norms 16, 4, 1, ¼, 1/16 on 1, 4, 6, 4, 1 paths: 16, 16, 6, 1, 1/16 of 39.0625.
        let norms = [16.0, 4.0, 1.0, 0.25, 0.0625].map(|norm| vec![norm, norm]);
        let rows = rows(&norms, 2);
        let shares: Vec<f64> = rows.iter().map(|row| row.gradient_percent).collect();
        for (found, weight) in shares.iter().zip([16.0, 16.0, 6.0, 1.0, 0.0625]) {
            assert!((found - weight / 39.0625 * 100.0).abs() < 1e-9, "{shares:?}");
        }
        let (from, to) = effective(&rows).unwrap();
        assert_eq!((from.length, to.length, to.layers), (0, 2, 4));
        let table = summary(&rows);
        let float = |key: &str| table[key].as_float().unwrap();
        assert!((float("factor_per_block") - 0.25).abs() < 1e-12);
        assert!((float("mean_length") - 31.25 / 39.0625).abs() < 1e-9);
        assert!((float("range_paths_percent") - 1100.0 / 16.0).abs() < 1e-9);
        assert_eq!(table["short_paths_up_to"].as_integer(), Some(1));
        assert_eq!(rows[0].std, Some(0.0));
    }

    #[test]
    fn drawn_paths_have_their_length_and_repeat() {
        let paths = draws(3, 1, 5, 2);
        assert_eq!(paths, draws(3, 1, 5, 2));
        assert_ne!(paths, draws(3, 2, 5, 2));
        let lengths: Vec<usize> = paths.iter().map(length).collect();
        assert_eq!(lengths, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn the_gradients_of_all_paths_add_up_to_the_nets() {
        for name in ["resnet-8", "resnet-8c", "preact-resnet-8"] {
            let architecture =
                architecture::build(name.parse().unwrap(), Family::Cifar, 32, 10).unwrap();
            let network = Network::new(architecture.narrowed(4), 5, Device::Cpu);
            let parameters = network.parameters().detach().to_kind(Dtype::Double);
            let walk = Walk::with_parameters(&network, &parameters, Statistics::Batch).unwrap();
            let mut stream = Stream::new(2, Purpose::Shapes, 0);
            let values: Vec<f64> = (0..4 * 3 * 32 * 32).map(|_| stream.normal()).collect();
            let images = Tensor::from_slice(&values).view([4, 3, 32, 32]);
            let labels = Tensor::from_slice(&[1i64, 7, 7, 3]);

            let input = leaf(Some(walk.stem(&images, &mut no_tap)));
            let route: Vec<(usize, Part)> = (0..3).map(|block| (block, Part::Whole)).collect();
            let scores = walk.rest(&route, input.shallow_clone(), &mut no_tap);
            let loss = scores.cross_entropy_for_logits(&labels);
            let whole = Tensor::run_backward(&[loss], &[input], false, false).swap_remove(0);

            let paths: Vec<Path> = (0..8usize)
                .map(|bits| (0..3).map(|block| bits >> block & 1 == 1).collect())
                .collect();
            let mut maps = forward(&walk, &images);
            let top = leaf(maps.pop());
            let scores = walk.rest(&[], top.shallow_clone(), &mut no_tap);
            let loss = scores.cross_entropy_for_logits(&labels);
            let gradient = Tensor::run_backward(&[loss], &[top], false, false).swap_remove(0);
            let mut gradients: Vec<Tensor> =
                paths.iter().map(|_| gradient.shallow_clone()).collect();
            for block in (0..3).rev() {
                back(&walk, block, &maps[block], &paths, &mut gradients);
            }
            let sum = gradients.iter().fold(whole.zeros_like(), |sum, one| sum + one);
            let off = (&sum - &whole).norm().double_value(&[]);
            assert!(off < 1e-9 * whole.norm().double_value(&[]), "{name}: {off}");
            assert!(gradients.iter().all(|one| one.norm().double_value(&[]) > 0.0), "{name}");

            let batch = Batch { images, labels };
            let mut norms = Vec::new();
            assert!(!through(&walk, &batch, &paths, &mut |some| {
                norms.extend(some);
                false
            }));
            for (norm, gradient) in norms.iter().zip(&gradients) {
                let expected = gradient.norm().double_value(&[]);
                assert!((norm / expected - 1.0).abs() < 1e-9, "{name}");
            }
        }
    }
}
