//! A net without some of its blocks, and with blocks in another order (Veit, Wilber, Belongie,
//! "Residual Networks Behave Like Ensembles of Relatively Shallow Networks", arXiv 1605.06431,
//! sections 4.1 to 4.3, Figures 3 to 5).

use std::ops::ControlFlow;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::analysis::images::{Batch, ImageSet};
use crate::analysis::kind::Kind;
use crate::analysis::record::Outcome;
use crate::analysis::route::{Part, Route};
use crate::analysis::subject::{Subject, leave_out};
use crate::analysis::walk::{Statistics, Walk, no_tap};
use crate::console::steps::Steps;
use crate::error::bad_input;
use crate::network::architecture::blocks::Block;
use crate::random::Stream;
use crate::training::evaluation::scores::{Evaluation, Tally, averaged};

/// Numbers of blocks deleted, or of pairs exchanged, that are tried at most.
const MOST_COUNTS: usize = 20;

/// Maps before a block that are kept for all nets that begin like the whole one, at most.
const MOST_KEPT: usize = 32;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Draws for each number of blocks deleted or pairs exchanged.
    pub samples: u64,
    /// How many points above the whole net's error the smallest net may be.
    pub within: f64,
}

/// How a net is hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// Not at all.
    Whole,
    /// One block is deleted.
    Single,
    /// Blocks drawn at random are deleted.
    Random,
    /// Pairs of blocks of one shape, drawn at random, are exchanged.
    Exchange,
    /// Blocks are deleted in the order of what each one's deletion alone costs, the cheapest first.
    Ranked,
}

/// A line of `lesion.csv`: one net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// How it is hurt.
    pub test: Test,
    /// The block that is deleted; in `ranked` the one that is deleted in addition.
    pub block: String,
    /// Blocks deleted, or pairs exchanged.
    pub count: usize,
    /// The number of the draw.
    pub sample: Option<u64>,
    /// Kendall's rank correlation between the order of blocks and the whole net's (`exchange`).
    pub tau: Option<f64>,
    /// Images classified wrongly.
    pub wrong: u64,
    /// The same in percent.
    pub error: f64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
}

/// A net that is to be tested.
struct Variant {
    test: Test,
    block: String,
    count: usize,
    sample: Option<u64>,
    route: Route,
}

impl Variant {
    fn row(&self, result: &Evaluation) -> Row {
        Row {
            test: self.test,
            block: self.block.clone(),
            count: self.count,
            sample: self.sample,
            tau: (self.test == Test::Exchange).then(|| self.route.kendall_tau()),
            wrong: result.wrong,
            error: result.error(),
            loss: result.loss,
        }
    }
}

/// Computes it. Two passes over the images: the second deletes blocks in the order that the first
/// found.
pub fn analyse(subject: &Subject, settings: Settings) -> Result<Outcome<Row>> {
    subject.check_blocks(Kind::Lesion)?;
    let images = subject.images(Kind::Lesion)?;
    let name = subject.network.architecture().name;
    let Some(walk) = Walk::new(&subject.network, Statistics::Running) else {
        return Ok(Outcome::default());
    };
    let deletable = walk.deletable();
    if deletable.is_empty() {
        return Err(bad_input(format!(
            "{name}: none of its blocks keeps its maps' shape: there is nothing to delete"
        ))
        .into());
    }
    let mut variants = vec![Variant {
        test: Test::Whole,
        block: String::new(),
        count: 0,
        sample: None,
        route: Route::whole(walk.blocks().len()),
    }];
    variants.extend(singles(&walk, &deletable));
    variants.extend(randoms(&walk, &deletable, subject.seed, settings.samples));
    variants.extend(exchanges(&walk, subject.seed, settings.samples));
    let (results, seen, complete) = evaluate(&walk, &images, subject, &variants, "lesion")?;
    if seen == 0 {
        return Ok(Outcome::default());
    }
    let mut rows: Vec<Row> =
        variants.iter().zip(&results).map(|(variant, result)| variant.row(result)).collect();
    let mut outcome = Outcome { images: seen, complete, ..Outcome::default() };
    if complete {
        let ranked = ranked(&walk, &deletable, &results[1..=deletable.len()]);
        let (results, seen, complete) =
            evaluate(&walk, &images, subject, &ranked, "lesion, ranked")?;
        outcome.complete = complete;
        // On other images than the first pass saw, the numbers would not be comparable.
        if complete && seen == outcome.images {
            rows.extend(ranked.iter().zip(&results).map(|(variant, result)| variant.row(result)));
            outcome.summary = smallest(&rows, walk.blocks().len(), settings.within);
        }
    }
    outcome.settings.insert("samples".into(), toml::Value::Integer(settings.samples as i64));
    outcome.settings.insert("within_points".into(), toml::Value::Float(settings.within));
    Ok(Outcome { rows, ..outcome })
}

impl Walk<'_> {
    /// Blocks that can be deleted: those with a shortcut, and in plain nets those that keep the
    /// shape of their maps.
    fn deletable(&self) -> Vec<usize> {
        let blocks = self.blocks().iter().enumerate();
        let can = |(index, block): (usize, &Block)| {
            (self.has_shortcuts() || !block.changes_shape()).then_some(index)
        };
        blocks.filter_map(can).collect()
    }
}

fn singles(walk: &Walk, deletable: &[usize]) -> Vec<Variant> {
    let blocks = walk.blocks();
    let variant = |&block: &usize| Variant {
        test: Test::Single,
        block: blocks[block].name(),
        count: 1,
        sample: None,
        route: Route::without(blocks.len(), &[block]),
    };
    deletable.iter().map(variant).collect()
}

/// 1, …, `most`; of many a part of them, with both ends.
fn counts(most: usize) -> Vec<usize> {
    let tried = most.min(MOST_COUNTS);
    let place = |index: usize| 1 + index * (most - 1) / (tried - 1).max(1);
    (0..tried).map(place).collect()
}

fn randoms(walk: &Walk, deletable: &[usize], seed: u64, samples: u64) -> Vec<Variant> {
    let mut variants = Vec::new();
    for count in counts(deletable.len()) {
        for sample in 0..samples {
            let mut stream = stream(seed, 0, count, sample);
            let mut order = deletable.to_vec();
            stream.shuffle(&mut order);
            variants.push(Variant {
                test: Test::Random,
                block: String::new(),
                count,
                sample: Some(sample),
                route: Route::without(walk.blocks().len(), &order[..count]),
            });
        }
    }
    variants
}

/// Nets in which pairs of blocks of one shape have changed places, one pair after the other.
fn exchanges(walk: &Walk, seed: u64, samples: u64) -> Vec<Variant> {
    let blocks = walk.blocks();
    let alike = |a: usize, b: usize| {
        let (a, b) = (&blocks[a], &blocks[b]);
        !a.changes_shape()
            && !b.changes_shape()
            && a.outputs() == b.outputs()
            && a.side() == b.side()
    };
    let pairs: Vec<(usize, usize)> = (0..blocks.len())
        .flat_map(|a| (a + 1..blocks.len()).map(move |b| (a, b)))
        .filter(|&(a, b)| alike(a, b))
        .collect();
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut variants = Vec::new();
    for count in counts(blocks.len()) {
        for sample in 0..samples {
            let mut stream = stream(seed, 1, count, sample);
            let mut route = Route::whole(blocks.len());
            for _ in 0..count {
                let (a, b) = pairs[stream.below(pairs.len() as u64) as usize];
                route.0.swap(a, b);
            }
            variants.push(Variant {
                test: Test::Exchange,
                block: String::new(),
                count,
                sample: Some(sample),
                route,
            });
        }
    }
    variants
}

/// The random numbers of a draw.
fn stream(seed: u64, test: u64, count: usize, sample: u64) -> Stream {
    Kind::Lesion.stream(seed, test << 48 | (count as u64) << 32 | sample)
}

/// Nets without the cheapest block, the two cheapest, and so on. `singles` are the results of the
/// deletions one by one.
fn ranked(walk: &Walk, deletable: &[usize], singles: &[Evaluation]) -> Vec<Variant> {
    let mut order: Vec<(usize, &Evaluation)> = deletable.iter().copied().zip(singles).collect();
    order.sort_by(|(_, a), (_, b)| a.wrong.cmp(&b.wrong).then(a.loss.total_cmp(&b.loss)));
    let order: Vec<usize> = order.into_iter().map(|(block, _)| block).collect();
    let variant = |count: usize| Variant {
        test: Test::Ranked,
        block: walk.blocks()[order[count - 1]].name(),
        count,
        sample: None,
        route: Route::without(walk.blocks().len(), &order[..count]),
    };
    (1..=order.len()).map(variant).collect()
}

/// How many blocks are left in the smallest of the ranked nets that is at most `within` points worse
/// than the whole one.
fn smallest(rows: &[Row], blocks: usize, within: f64) -> toml::Table {
    let Some(whole) = rows.iter().find(|row| row.test == Test::Whole) else {
        return toml::Table::new();
    };
    let good = |row: &&Row| row.test == Test::Ranked && row.error <= whole.error + within;
    let deleted = rows.iter().filter(good).map(|row| row.count).max().unwrap_or(0);
    let integer = |value: usize| toml::Value::Integer(value as i64);
    toml::Table::from_iter([
        ("blocks".to_string(), integer(blocks)),
        ("blocks_needed".to_string(), integer(blocks - deleted)),
    ])
}

/// Tests all variants on the images. The inner loop is over variants, so that each image is decoded
/// once and memory is that of a batch; what they have in common with the whole net is computed once.
fn evaluate(
    walk: &Walk,
    images: &ImageSet,
    subject: &Subject,
    variants: &[Variant],
    name: &str,
) -> Result<(Vec<Evaluation>, u64, bool)> {
    let mut tallies: Vec<Tally> = variants.iter().map(|_| Tally::new(subject.device())).collect();
    let (mut seen, steps) = (0, Steps::new(name, (images.len() * variants.len()) as u64));
    let complete = images.for_each(subject.at_once(), &mut leave_out, |batch| {
        let count = batch.labels.size()[0] as u64;
        let scored = tch::no_grad(|| {
            score(walk, &batch, variants, &mut |index, scores| {
                tallies[index].add(&averaged(scores, 1), &batch.labels);
                steps.show(seen * variants.len() as u64 + count * (index as u64 + 1));
            })
        });
        seen += count;
        Ok(scored)
    })?;
    Ok((tallies.iter().map(Tally::result).collect(), seen, complete))
}

/// Hands the class scores of each variant to `take`.
fn score(
    walk: &Walk,
    batch: &Batch,
    variants: &[Variant],
    take: &mut dyn FnMut(usize, &Tensor),
) -> ControlFlow<()> {
    let blocks = walk.blocks().len();
    let every = blocks.div_ceil(MOST_KEPT).max(1);
    let mut maps = walk.stem(&batch.images, &mut no_tap);
    let mut kept = vec![maps.shallow_clone()];
    for block in 0..blocks {
        maps = walk.block(block, Part::Whole, &maps, &mut no_tap);
        if (block + 1) % every == 0 {
            kept.push(maps.shallow_clone());
        }
    }
    for (index, variant) in variants.iter().enumerate() {
        let start = variant.route.common() / every;
        let steps = &variant.route.0[start * every..];
        take(index, &walk.rest(steps, kept[start].shallow_clone(), &mut no_tap));
    }
    ControlFlow::Continue(())
}

/// What was found, in short.
pub fn headline(rows: &[Row]) -> String {
    let errors = |test: Test| rows.iter().filter(move |row| row.test == test).map(|row| row.error);
    let whole = errors(Test::Whole).next().unwrap_or(f64::NAN);
    let (least, most) = errors(Test::Single)
        .fold((f64::INFINITY, 0.0f64), |(least, most), error| (least.min(error), most.max(error)));
    format!("error {whole:.2} %; without one block {least:.2} to {most:.2} %")
}
