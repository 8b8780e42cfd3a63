//! Runs that can be compared: the same data and the same recipe, but for the warm-up, which belongs
//! to a depth. Experiments that share a protocol share its figures and tables.

use std::collections::BTreeMap;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::{Family, NetworkName};
use crate::config::recipe::{Recipe, warms_up};
use crate::dataset::data::DataStatus;
use crate::logs::collection::LoggedRun;
use crate::logs::summary::RunSummary;
use crate::network::architecture;
use crate::records::run_toml::RunRecord;
use crate::report::format::thousands;

/// Runs of one protocol.
pub struct Protocol<'a> {
    /// Name of its folder and of its section.
    pub slug: String,
    /// The data, if it is on record.
    pub dataset: Option<DatasetName>,
    /// Whether it is the published data.
    pub status: Option<DataStatus>,
    /// Classes of the data, where they are not as many as the published data has.
    pub classes: Option<usize>,
    /// Iterations that each run was to have.
    pub iterations: u64,
    /// In what the recipe differs from the paper's. A warm-up that the depth has in the paper too
    /// is none.
    pub differences: Vec<String>,
    /// The runs, one a network and seed.
    pub runs: Vec<&'a LoggedRun>,
    /// Paths of runs that are there once more.
    pub duplicates: Vec<String>,
}

impl<'a> Protocol<'a> {
    /// Sorts `runs` into protocols: data of the paper first, then the longest and largest.
    pub fn of(runs: &'a [LoggedRun]) -> Vec<Protocol<'a>> {
        let mut groups: BTreeMap<String, Vec<&LoggedRun>> = BTreeMap::new();
        for run in runs {
            groups.entry(key(run)).or_default().push(run);
        }
        let mut protocols: Vec<Protocol> = groups.into_values().map(Protocol::new).collect();
        protocols.sort_by_key(|protocol| {
            (
                order(protocol.dataset),
                std::cmp::Reverse((protocol.iterations, protocol.runs.len())),
                protocol.slug.clone(),
            )
        });
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for protocol in &mut protocols {
            let count = taken.entry(protocol.slug.clone()).or_default();
            *count += 1;
            if *count > 1 {
                protocol.slug = format!("{}-{count}", protocol.slug);
            }
        }
        protocols
    }

    fn new(group: Vec<&'a LoggedRun>) -> Protocol<'a> {
        let record = group.iter().find_map(|run| run.record.as_ref());
        let mut runs: Vec<&LoggedRun> = Vec::new();
        let mut duplicates = Vec::new();
        // Of two runs of one network and seed the one that is farther counts, of two that are as
        // far the newer.
        let mut by_progress = group.clone();
        let updated =
            |run: &LoggedRun| run.record.as_ref().map(|record| record.provenance.updated.clone());
        by_progress.sort_by_key(|run| std::cmp::Reverse((run.drawn.done, updated(run))));
        for run in by_progress {
            match runs.iter().any(|other| (other.network, other.seed) == (run.network, run.seed)) {
                true => duplicates.push(run.path.display().to_string()),
                false => runs.push(run),
            }
        }
        runs.sort_by_key(|run| (run.network, run.seed));
        let dataset = record.map(|record| record.run.dataset.name);
        let iterations = group.iter().map(|run| run.drawn.planned).max().unwrap_or(0);
        let differences =
            record.map(|record| record.run.differences_from_paper()).unwrap_or_default();
        let classes = record
            .map(|record| record.run.dataset.classes)
            .filter(|&classes| dataset.is_some_and(|name| name.classes() != classes));
        let mut slug = format!(
            "{}-{iterations}",
            dataset.map_or("unrecorded".to_string(), |name| name.to_string())
        );
        if let Some(classes) = classes {
            slug.push_str(&format!("-{classes}-classes"));
        }
        for change in changes(&differences, dataset) {
            slug.push('-');
            slug.extend(change.chars().map(|letter| {
                if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' }
            }));
        }
        let status = record.map(|record| record.run.dataset.status);
        Protocol { slug, dataset, status, classes, iterations, differences, runs, duplicates }
    }

    /// Title of its section.
    pub fn title(&self) -> String {
        let data = match self.dataset {
            Some(DatasetName::Shapes) => "Built-in drawings",
            Some(dataset) => dataset.title(),
            None => "Runs without a record",
        };
        let classes = self.classes.map_or(String::new(), |classes| format!(", {classes} classes"));
        let changes: String = changes(&self.differences, self.dataset)
            .iter()
            .map(|change| format!(", {change}"))
            .collect();
        // CIFAR-10's subsets keep its classes: of ImageNet, a part is another question.
        let part = match (self.dataset, self.status) {
            (Some(DatasetName::Imagenet), Some(DataStatus::Subset)) => " (a subset)",
            _ => "",
        };
        format!("{data}{part}{classes}, {} iterations{changes}", thousands(self.iterations as i64))
    }

    /// Which of the paper's figures and tables its runs belong to.
    pub fn family(&self) -> Family {
        self.dataset.map_or(Family::Cifar, DatasetName::family)
    }

    /// Images of a batch.
    pub fn batch_size(&self) -> u64 {
        self.record().map_or_else(
            || Recipe::of_paper(self.family()).batch_size,
            |record| record.run.recipe.batch_size,
        )
    }

    /// A record of one of its runs; in what this looks at, all are alike.
    fn record(&self) -> Option<&'a RunRecord> {
        self.runs.iter().find_map(|run| run.record.as_ref())
    }

    /// Iterations that the paper trains on this data.
    fn paper_iterations(&self) -> u64 {
        Recipe::of_paper(self.family()).iterations
    }

    /// Why its numbers cannot be compared with the paper's, if they cannot.
    pub fn not_comparable(&self) -> Option<String> {
        let recipe = (!self.differences.is_empty() || self.iterations != self.paper_iterations())
            .then_some("another recipe");
        let data = match (self.dataset, self.status) {
            (Some(DatasetName::Cifar10 | DatasetName::Imagenet), Some(DataStatus::Official)) => {
                None
            }
            (Some(DatasetName::Cifar10 | DatasetName::Imagenet), Some(DataStatus::Subset)) => {
                Some("a subset of the data")
            }
            _ => Some("other data"),
        };
        let reasons: Vec<&str> = recipe.into_iter().chain(data).collect();
        (!reasons.is_empty()).then(|| reasons.join(", "))
    }

    /// The networks, in order.
    pub fn networks(&self) -> Vec<NetworkName> {
        let mut networks: Vec<NetworkName> = self.runs.iter().map(|run| run.network).collect();
        networks.dedup();
        networks
    }

    /// Side of the images that its networks see, and the classes they tell apart.
    pub fn image_side_and_classes(&self) -> (i64, i64) {
        let dataset = self.dataset.unwrap_or(DatasetName::Cifar10);
        let side = self.record().map_or_else(
            || Recipe::for_dataset(dataset).image_side(),
            |record| record.run.recipe.image_side(),
        );
        (side, self.classes.unwrap_or(dataset.classes()) as i64)
    }

    /// Parameters of a network, for the classes of this protocol's data.
    pub fn parameters(&self, name: NetworkName) -> Option<i64> {
        let (side, classes) = self.image_side_and_classes();
        architecture::build(name, self.family(), side, classes)
            .ok()
            .map(|architecture| architecture.parameter_count())
    }

    /// The runs of a network.
    pub fn of_network(&self, network: NetworkName) -> impl Iterator<Item = &'a LoggedRun> {
        self.runs.iter().copied().filter(move |run| run.network == network)
    }

    /// The numbers of the runs that are complete.
    pub fn summaries(&self) -> Vec<RunSummary> {
        self.runs
            .iter()
            .filter(|run| run.drawn.is_complete() || run.summary.diverged_at.is_some())
            .map(|run| run.summary.clone())
            .collect()
    }

    /// Runs that are not complete, as "plain-56 seed 0 at iteration 1,200".
    pub fn partial(&self) -> Vec<String> {
        let partial = self
            .runs
            .iter()
            .filter(|run| !run.drawn.is_complete() && run.summary.diverged_at.is_none());
        partial
            .map(|run| {
                format!(
                    "{} seed {} at iteration {}",
                    run.network,
                    run.seed,
                    thousands(run.drawn.done as i64)
                )
            })
            .collect()
    }
}

/// The order of the sections: data of the paper, then what resembles it.
fn order(dataset: Option<DatasetName>) -> usize {
    match dataset {
        Some(DatasetName::Cifar10) => 0,
        Some(DatasetName::Imagenet) => 1,
        Some(DatasetName::TinyImagenet) => 2,
        Some(DatasetName::Shapes) | None => 3,
    }
}

fn without_warmup(recipe: &Recipe) -> Recipe {
    Recipe { warmup: false, checkpoint_segments: 0, ..recipe.clone() }
}

/// What runs must share to be compared.
fn key(run: &LoggedRun) -> String {
    match &run.record {
        Some(record) => {
            let recipe = &record.run.recipe;
            // A warm-up belongs to a depth; one that the depth does not have in the paper, or the
            // lack of one, is another recipe.
            let usual = recipe.warmup
                == warms_up(record.run.dataset.name.family(), record.run.network.depth());
            let shared = if usual {
                without_warmup(recipe)
            } else {
                Recipe { checkpoint_segments: 0, ..recipe.clone() }
            };
            format!(
                "{} {} {usual} {}",
                record.run.dataset.name,
                record.run.dataset.fingerprint,
                toml::to_string(&shared).unwrap_or_default()
            )
        }
        // Without a record the folder of the experiment and the length are all that is known.
        None => format!(
            "~ {} {}",
            run.path.ancestors().nth(2).unwrap_or(&run.path).display(),
            run.drawn.done
        ),
    }
}

/// The differences from the paper but for the length and what follows from it, and for the sizes
/// that go with the size of the data's photographs: such as "learning rate 0.02".
fn changes(differences: &[String], dataset: Option<DatasetName>) -> Vec<&str> {
    let photographs = dataset.filter(|dataset| dataset.family() == Family::Imagenet);
    let usual = photographs.map_or(Vec::new(), |dataset| {
        Recipe::for_dataset(dataset).differences_from_paper(dataset.family(), 0)
    });
    let says_more = |difference: &String| {
        !difference.starts_with("iterations ")
            && !difference.starts_with("milestones ")
            && !usual.contains(difference)
    };
    differences
        .iter()
        .filter(|difference| says_more(difference))
        .map(|difference| difference.split(" instead of").next().unwrap_or(difference))
        .collect()
}
