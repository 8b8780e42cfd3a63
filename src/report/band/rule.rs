//! The rule by which a log is inside of the band of a reference: docs/verification.md states it.

use serde::Serialize;

use crate::logs::error_log::{ErrorLog, Span};
use crate::logs::statistics::MeanStd;
use crate::logs::student::two_sided_quantile;
use crate::logs::windows::final_window;
use crate::report::band::reference::Reference;

/// How many right logs of 100 are outside at most.
pub const LEVEL_PERCENT: f64 = 5.0;

/// A log may end, be evaluated last, or have its only row so close to where it is compared: in
/// percent of all iterations. A log of whole epochs ends not quite where its training does.
const SLACK_PERCENT: u64 = 5;

/// Two values that differ by no more, in points, are the same number.
const ROUNDING: f64 = 1e-6;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// The training error up to a quarter (1 to 4) of the iterations.
    Training(u64),
    /// By how many points it is lower there than at the quarter before (2 to 4).
    Fall(u64),
    /// The test error at the end.
    Test,
    /// The test error at the end minus the training error there, in points.
    Gap,
}

/// All that is compared. Seeds that learn faster do so at every quarter and on both sets: their
/// differences scatter far less than the errors do, and show what these hide.
pub const QUANTITIES: [Quantity; 9] = [
    Quantity::Training(1),
    Quantity::Training(2),
    Quantity::Training(3),
    Quantity::Training(4),
    Quantity::Fall(2),
    Quantity::Fall(3),
    Quantity::Fall(4),
    Quantity::Test,
    Quantity::Gap,
];

impl Quantity {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Training(_) => "training error",
            Quantity::Fall(_) => "fall of training error",
            Quantity::Test => "test error",
            Quantity::Gap => "test minus training error",
        }
    }

    /// After how many of `iterations` it is compared.
    pub fn iteration(self, iterations: u64) -> u64 {
        match self {
            Quantity::Training(quarter) | Quantity::Fall(quarter) => iterations * quarter / 4,
            Quantity::Test | Quantity::Gap => iterations,
        }
    }
}

/// Where a value is, seen from the band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Between its ends, or on one.
    Inside,
    /// Lower: for an error, better than the reference.
    Below,
    /// Higher.
    Above,
}

/// A quantity of a log beside the reference's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What it is.
    pub quantity: &'static str,
    /// After how many iterations.
    pub iteration: u64,
    /// How many rows of the log it is the mean of.
    pub rows: usize,
    /// The log's value: in percent, a difference in points.
    pub value: f64,
    /// The reference's, over its seeds.
    pub reference: MeanStd,
    /// The band's ends.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// Where the value is.
    pub place: Place,
}

/// A quantity of a log, and of each seed of the reference, before there is a band.
struct Reading {
    quantity: Quantity,
    rows: usize,
    value: f64,
    reference: Vec<f64>,
}

/// Every quantity that the log has, beside the reference's; the bands are as wide as so many
/// comparisons take.
pub fn compare(log: &ErrorLog, reference: &Reference) -> Vec<Compared> {
    let iterations = reference.iterations();
    let readings: Vec<Reading> =
        QUANTITIES.iter().filter_map(|&quantity| read(quantity, log, reference)).collect();
    let count = readings.len();
    let compared = readings.into_iter().filter_map(|reading| {
        let spread = MeanStd::of(reading.reference.iter().copied().map(Some))?;
        let half = half_width(&spread, count)?;
        let (low, high) = (spread.mean - half, spread.mean + half);
        // No error is out of 0 to 100 %.
        let (low, high) = match reading.quantity {
            Quantity::Fall(_) | Quantity::Gap => (low, high),
            Quantity::Training(_) | Quantity::Test => (low.max(0.0), high.min(100.0)),
        };
        let value = reading.value;
        let place = match (value < low - ROUNDING, value > high + ROUNDING) {
            (true, _) => Place::Below,
            (_, true) => Place::Above,
            (false, false) => Place::Inside,
        };
        Some(Compared {
            quantity: reading.quantity.name(),
            iteration: reading.quantity.iteration(iterations),
            rows: reading.rows,
            value,
            reference: spread,
            low,
            high,
            place,
        })
    });
    compared.collect()
}

/// Half the width of the interval that one new value lies in with 95 % (Student's t), as one of so
/// many `comparisons` of which any may be outside (Bonferroni); nothing for one seed.
pub fn half_width(spread: &MeanStd, comparisons: usize) -> Option<f64> {
    let seeds = spread.count as f64;
    let probability = 1.0 - LEVEL_PERCENT / 100.0 / comparisons.max(1) as f64;
    let quantile = two_sided_quantile(probability, spread.count.checked_sub(1)?);
    Some(quantile * spread.standard_deviation? * (1.0 + 1.0 / seeds).sqrt())
}

/// Whether a log that ends after so many iterations has all that the reference has.
pub fn is_whole(log: &ErrorLog, iterations: u64) -> bool {
    log.last() >= iterations - slack(iterations)
}

/// Whether a log goes on for longer than the reference does.
pub fn is_longer(log: &ErrorLog, iterations: u64) -> bool {
    log.last() > iterations + slack(iterations)
}

fn slack(iterations: u64) -> u64 {
    iterations * SLACK_PERCENT / 100
}

fn read(quantity: Quantity, log: &ErrorLog, reference: &Reference) -> Option<Reading> {
    let iterations = reference.iterations();
    let seeds = || reference.seeds.iter().map(|seed| &seed.errors);
    match quantity {
        Quantity::Training(quarter) => {
            let rows = rows_up_to(log, iterations, quarter);
            let lengths: Vec<f64> =
                rows.iter().map(|(span, _)| (span.until - span.after) as f64).collect();
            let sum: f64 =
                rows.iter().zip(&lengths).map(|((_, error), length)| error * length).sum();
            let spans: Vec<_> = rows.iter().map(|(span, _)| *span).collect();
            let value = (!rows.is_empty()).then(|| sum / lengths.iter().sum::<f64>())?;
            let reference =
                seeds().map(|seed| seed.mean_over(&spans)).collect::<Option<Vec<f64>>>()?;
            Some(Reading { quantity, rows: rows.len(), value, reference })
        }
        Quantity::Test => {
            let at_end =
                |&(iteration, _): &(u64, f64)| iteration.abs_diff(iterations) <= slack(iterations);
            let (iteration, value) = log.test_near(iterations).filter(at_end)?;
            let of = |seed: &ErrorLog| seed.test_near(iteration).filter(at_end).map(|test| test.1);
            let reference = seeds().map(of).collect::<Option<Vec<f64>>>()?;
            Some(Reading { quantity, rows: 1, value, reference })
        }
        Quantity::Fall(quarter) => difference(
            quantity,
            [Quantity::Training(quarter - 1), Quantity::Training(quarter)],
            log,
            reference,
        ),
        Quantity::Gap => {
            difference(quantity, [Quantity::Test, Quantity::Training(4)], log, reference)
        }
    }
}

/// The first of two quantities minus the second.
fn difference(
    quantity: Quantity,
    of: [Quantity; 2],
    log: &ErrorLog,
    reference: &Reference,
) -> Option<Reading> {
    let [first, second] = of.map(|one| read(one, log, reference));
    let (first, second) = (first?, second?);
    let both = first.reference.iter().zip(&second.reference);
    let reference = both.map(|(first, second)| first - second).collect();
    Some(Reading {
        quantity,
        rows: first.rows.min(second.rows),
        value: first.value - second.value,
        reference,
    })
}

/// The rows of the window before a quarter's end; of a log that has none there, the last row before
/// it, if it is near.
fn rows_up_to(log: &ErrorLog, iterations: u64, quarter: u64) -> Vec<(Span, f64)> {
    let end = iterations * quarter / 4;
    let window = final_window(iterations as usize).max(1) as u64;
    let rows = log.spans(end.saturating_sub(window), end);
    if !rows.is_empty() {
        return rows;
    }
    log.spans(end.saturating_sub(slack(iterations)), end).pop().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::dataset_name::DatasetName;
    use crate::config::network_name::NetworkName;
    use crate::config::recipe::Recipe;
    use crate::dataset::data::DataStatus;
    use crate::logs::error_log::ErrorPoint;
    use crate::records::dataset_record::DatasetRecord;
    use crate::records::run_toml::RunConfig;
    use crate::report::band::reference::Seed;

    const ITERATIONS: u64 = 40;

    /// Normal numbers from a linear congruential generator, as sums of twelve uniform ones.
    struct Normal(u64);

    impl Normal {
        fn draw(&mut self) -> f64 {
            let mut uniform = || {
                let next = self.0.wrapping_mul(6364136223846793005);
                self.0 = next.wrapping_add(1442695040888963407);
                (self.0 >> 11) as f64 / (1u64 << 53) as f64
            };
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        }
    }

    /// A training whose errors are higher or lower throughout by chance, and from batch to batch;
    /// higher by `worse` too.
    fn training(normal: &mut Normal, worse: f64) -> ErrorLog {
        let own = 2.0 * normal.draw();
        let error = |iteration: u64| 30.0 + own + 20.0 / iteration as f64;
        let mut point = |iteration| (iteration, error(iteration) + worse + 3.0 * normal.draw());
        let training: Vec<ErrorPoint> = (1..=ITERATIONS).map(&mut point).collect();
        let test = vec![(ITERATIONS, 30.0 + own + worse + 0.3 * normal.draw())];
        ErrorLog { training, averaged: false, test }
    }

    fn reference(normal: &mut Normal, count: u64) -> Reference {
        let dataset = DatasetRecord {
            name: DatasetName::Shapes,
            title: None,
            status: DataStatus::Official,
            fingerprint: String::new(),
            training_images: 100,
            test_images: 100,
            classes: 10,
            class_names: Vec::new(),
            test_percent: None,
        };
        let recipe = Recipe { iterations: ITERATIONS, ..Recipe::for_dataset(dataset.name) };
        let network = NetworkName::residual(8);
        let seed = |seed| Seed { seed, path: PathBuf::new(), errors: training(normal, 0.0) };
        Reference {
            folder: PathBuf::new(),
            title: String::new(),
            config: RunConfig { network, seed: 0, dataset, recipe, initial_weights: None },
            seeds: (0..count).map(seed).collect(),
            notes: Vec::new(),
            is_its_own: false,
        }
    }

    /// Of so many trainings that are worse by some points, each with a reference of its own, how
    /// many are outside, in percent.
    fn outside_percent(seeds: u64, worse: f64) -> f64 {
        const TRIALS: usize = 3000;
        let mut normal = Normal(seeds);
        let is_outside = |_: &usize| {
            let reference = reference(&mut normal, seeds);
            let log = training(&mut normal, worse);
            compare(&log, &reference).iter().any(|one| one.place != Place::Inside)
        };
        100.0 * (0..TRIALS).filter(is_outside).count() as f64 / TRIALS as f64
    }

    #[test]
    fn right_logs_are_outside_no_more_often_than_stated_and_wrong_ones_are_found() {
        for seeds in [3, 5, 10] {
            let outside = outside_percent(seeds, 0.0);
            // Three standard deviations of 3,000 trials are 1.2 points.
            assert!((0.5..LEVEL_PERCENT + 1.2).contains(&outside), "{seeds} seeds: {outside} %");
        }
        // By six of the standard deviations that seeds have.
        let [few, many] = [3, 10].map(|seeds| outside_percent(seeds, 12.0));
        assert!(few < 60.0 && many > 95.0, "{few} % {many} %");
    }

    #[test]
    fn sparse_rows_widen_the_band_by_the_noise_of_single_batches() {
        let mut normal = Normal(7);
        let reference = reference(&mut normal, 5);
        let mut log = training(&mut normal, 0.0);
        let whole = compare(&log, &reference);
        log.training.retain(|point| point.0.is_multiple_of(10));
        let sparse = compare(&log, &reference);
        assert_eq!((whole[0].rows, sparse[0].rows), (6, 1));
        let width =
            |compared: &[Compared]| compared[..4].iter().map(|one| one.high - one.low).sum::<f64>();
        assert!(width(&sparse) > width(&whole));
    }
}
