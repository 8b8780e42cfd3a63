//! Runs that can be compared: the same data, recipe and initial weights, but for the warm-up, which
//! belongs to a depth. Experiments that share a protocol share its figures and tables.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::config::dataset_name::DatasetName;
use crate::config::deviations::Deviation;
use crate::config::kernels::Kernels;
use crate::config::network_name::{Family, NetworkName};
use crate::config::precision::Precision;
use crate::config::recipe::{Recipe, warms_up};
use crate::dataset::data::DataStatus;
use crate::logs::collection::LoggedRun;
use crate::logs::summary::RunSummary;
use crate::network::architecture;
use crate::records::run_toml::RunRecord;
use crate::report::format::{counted, thousands};
use crate::report::judgement::Judgement;
use crate::report::left_out::{LeftOut, one_a_seed};
use crate::report::title::Naming;

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
    pub deviations: Vec<Deviation>,
    /// The runs, one a network and seed.
    pub runs: Vec<&'a LoggedRun>,
    /// Runs of a network and seed that another run of `runs` has too.
    pub left_out: Vec<LeftOut<'a>>,
}

impl<'a> Protocol<'a> {
    /// Sorts `runs` into protocols, the best evidence first: official data before other, longer
    /// before shorter, more seeds before fewer. Without a complete run there is none.
    pub fn of(runs: &'a [LoggedRun]) -> Vec<Protocol<'a>> {
        let mut groups: BTreeMap<String, Vec<&LoggedRun>> = BTreeMap::new();
        for run in runs {
            groups.entry(key(run)).or_default().push(run);
        }
        let mut protocols: Vec<Protocol> = groups.into_values().map(Protocol::together).collect();
        protocols.sort_by_cached_key(Protocol::rank);
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

    /// All of `group` as one protocol, whatever their recipes.
    pub fn together(group: Vec<&'a LoggedRun>) -> Protocol<'a> {
        let record = group.iter().find_map(|run| run.record.as_ref());
        let (runs, left_out) = one_a_seed(&group);
        let dataset = record.map(|record| record.run.dataset.name);
        let classes = record
            .map(|record| record.run.dataset.classes)
            .filter(|&classes| dataset.is_some_and(|name| name.classes() != classes));
        let mut protocol = Protocol {
            slug: String::new(),
            dataset,
            status: record.map(|record| record.run.dataset.status),
            classes,
            iterations: group.iter().map(|run| run.drawn.planned).max().unwrap_or(0),
            deviations: record.map(RunRecord::deviations_from_paper).unwrap_or_default(),
            runs,
            left_out,
        };
        protocol.slug = protocol.naming().slug();
        protocol
    }

    /// What orders protocols: the lowest is the best evidence.
    fn rank(&self) -> impl Ord + use<> {
        let complete =
            |network| self.of_network(network).filter(|run| run.drawn.is_complete()).count();
        let seeds = self.networks().into_iter().map(complete).max().unwrap_or(0);
        // Only the paper's data has a published form that counts.
        let official = self.is_papers_data() && self.status == Some(DataStatus::Official);
        let resemblance = match self.dataset {
            Some(DatasetName::Cifar10) => 0,
            Some(DatasetName::Imagenet) => 1,
            Some(DatasetName::TinyImagenet) => 2,
            Some(DatasetName::Folder) => 3,
            Some(DatasetName::Shapes) => 4,
            None => 5,
        };
        (
            (seeds == 0, !official, resemblance.max(1)),
            Reverse((self.iterations, seeds, self.runs.len())),
            (resemblance, self.slug.clone()),
        )
    }

    /// Whether it is a dataset that the paper trains on.
    pub fn is_papers_data(&self) -> bool {
        matches!(self.dataset, Some(DatasetName::Cifar10 | DatasetName::Imagenet))
    }

    /// Whether the paper's numbers stand beside those of its runs, be it as another recipe's or
    /// another dataset's: errors of own images have nothing to do with them.
    pub fn is_beside_paper(&self) -> bool {
        self.dataset != Some(DatasetName::Folder)
    }

    /// What its own images are called, if it has such.
    pub fn own_title(&self) -> Option<&str> {
        self.record()?.run.dataset.title.as_deref()
    }

    /// What its data is called; own images by their own name.
    pub fn data_title(&self) -> &str {
        match (self.record(), self.dataset) {
            (Some(record), _) => record.run.dataset.title(),
            (None, Some(dataset)) => dataset.title(),
            (None, None) => "unrecorded data",
        }
    }

    /// Title of its section.
    pub fn title(&self) -> String {
        self.naming().title()
    }

    fn naming(&self) -> Naming {
        Naming::new(self.record(), self.classes, self.iterations)
    }

    /// "1 run", "4 runs".
    pub fn count(&self) -> String {
        counted(self.runs.len(), "run")
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
    pub fn record(&self) -> Option<&'a RunRecord> {
        self.runs.iter().find_map(|run| run.record.as_ref())
    }

    /// Whether its numbers are compared with the paper's: on the official data, where nothing of the
    /// recipe is another's but the precision.
    pub fn judgement(&self) -> Judgement {
        let precision = self.record().map(|record| record.run.recipe.precision);
        let other_precision = precision.filter(|&precision| precision != Precision::default());
        let paper = Recipe::of_paper(self.family()).iterations;
        let recipe = (self.deviations.iter().any(|one| one.key != "precision")
            || self.iterations != paper)
            .then_some("another recipe");
        let data = match self.status {
            Some(DataStatus::Official) if self.is_papers_data() => None,
            Some(DataStatus::Subset) if self.is_papers_data() => Some("a subset of the data"),
            _ => Some("other data"),
        };
        let reasons: Vec<&str> = recipe.into_iter().chain(data).collect();
        match reasons.is_empty() {
            true => Judgement::Judged(other_precision),
            false => Judgement::NotComparable(reasons.join(", ")),
        }
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

    /// Runs that were extended and are those of runs that were trained at once, as "resnet-20 seed 0
    /// after iteration 32,000".
    pub fn extended(&self) -> Vec<String> {
        let mut found = Vec::new();
        for run in &self.runs {
            let Some(record) = &run.record else { continue };
            let every = record.run.recipe.evaluate_every;
            let hidden = record.extensions.iter().filter(|extension| !extension.shows(every));
            found.extend(hidden.map(|extension| {
                let from = thousands(extension.from as i64);
                format!("{} seed {} after iteration {from}", run.network, run.seed)
            }));
        }
        found
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

fn without_warmup(recipe: &Recipe) -> Recipe {
    Recipe { warmup: false, ..without_effects(recipe) }
}

/// The recipe without what affects no result, or no more than another machine would.
fn without_effects(recipe: &Recipe) -> Recipe {
    Recipe {
        checkpoint_segments: 0,
        gradient_norms_every: 0,
        kernels: Kernels::Libtorch,
        ..recipe.clone()
    }
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
            let shared = if usual { without_warmup(recipe) } else { without_effects(recipe) };
            // An extended run is the same one that was trained at once, unless its logs show it.
            let extended: Vec<u64> = record.shown_extensions().map(|one| one.from).collect();
            format!(
                "{} {}{} {usual} {} {:?} {extended:?}",
                record.run.dataset.name,
                record
                    .run
                    .dataset
                    .title
                    .iter()
                    .map(|title| format!("{title:?} "))
                    .collect::<String>(),
                record.run.dataset.fingerprint,
                toml::to_string(&shared).unwrap_or_default(),
                record.run.initial_weights
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
