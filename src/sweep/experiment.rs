//! Experiments: TOML files that say which networks are trained, from which seeds, how, and which of
//! the paper's figures and tables that feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::config::seeds;
use crate::config::settings::{canonical_key, check_setting};
use crate::config::suggestion::{did_you_mean, nearest};
use crate::error::{BadInput, bad_input};
use crate::network::architecture;
use crate::network::architecture::table::Architecture;
use crate::run::initial_weights::WeightSource;
use crate::sweep::overrides::Overrides;
use crate::system::regular_file;

/// An experiment, checked.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The file's name without its ending; also the name of its folder among the results.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Which figure or table of the paper it feeds.
    pub paper: String,
    /// The data.
    pub dataset: DatasetName,
    /// The runs, in the file's order.
    pub runs: Vec<PlannedRun>,
    /// Networks whose divergence is a result and no surprise.
    pub may_diverge: BTreeSet<NetworkName>,
}

/// A run of an experiment.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// The network.
    pub network: NetworkName,
    /// The seed.
    pub seed: u64,
    /// What sets it apart from other runs of this network and seed, if there are any.
    pub label: Option<String>,
    /// The recipe, which a network's seeds share.
    pub recipe: Arc<Recipe>,
    /// The weight file that it starts from, if it has one.
    pub weights: Option<WeightSource>,
    /// The network's table, for as many classes as the published data has.
    pub architecture: Arc<Architecture>,
}

impl PlannedRun {
    /// `<experiment>/<network>/seed-<k>`: the run's name, and its place in the results folder.
    pub fn id(&self, experiment: &str) -> String {
        format!("{experiment}/{}/seed-{}", self.name(), self.seed)
    }

    /// The network, and the label behind it: `plain-56`, `plain-56-constructed`.
    pub fn name(&self) -> String {
        match &self.label {
            None => self.network.to_string(),
            Some(label) => format!("{}-{label}", self.network),
        }
    }
}

/// Longest label of a group.
const LONGEST_LABEL: usize = 40;

type Settings = BTreeMap<Spanned<String>, toml::Value>;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    paper: String,
    dataset: DatasetName,
    #[serde(default)]
    may_diverge: Vec<Spanned<String>>,
    #[serde(default)]
    recipe: Settings,
    runs: Vec<Group>,
    #[serde(default)]
    check: BTreeMap<Spanned<String>, Check>,
}

/// Networks × seeds that share a recipe.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    networks: Vec<Spanned<String>>,
    /// A list of seeds, of ranges of them ("5-7") too, or one range.
    seeds: Spanned<toml::Value>,
    #[serde(default)]
    recipe: Settings,
    /// What the folders of these runs have behind the network's name.
    label: Option<Spanned<String>>,
    /// The weight file that they start from, relative to the experiment's folder.
    weights: Option<PathBuf>,
    reset_classifier: Option<Spanned<bool>>,
}

impl Group {
    /// The seeds, one by one.
    fn seeds(&self, source: &Source) -> Result<Vec<u64>, BadInput> {
        let read = || match self.seeds.get_ref() {
            toml::Value::Array(values) => values.iter().map(seeds_of).collect(),
            value => seeds_of(value).map(|seeds| vec![seeds]),
        };
        let seeds = read()
            .map_err(|reason| source.refuse(self.seeds.span(), format!("seeds: {reason}")))?;
        Ok(seeds.concat())
    }

    /// The weight file of this group, as seen from here.
    fn weight_source(&self, source: &Source) -> Result<Option<WeightSource>, BadInput> {
        let folder = source.path.parent().unwrap_or(Path::new(""));
        let reset_classifier = self.reset_classifier.as_ref().is_some_and(|flag| *flag.get_ref());
        match (&self.weights, &self.reset_classifier) {
            (None, Some(flag)) => {
                Err(source.refuse(flag.span(), "reset_classifier: there are no weights beside it"))
            }
            (weights, _) => Ok(weights
                .as_ref()
                .map(|file| WeightSource { file: folder.join(file), reset_classifier })),
        }
    }

    /// The label, which becomes a part of a folder's name.
    fn label(&self, source: &Source) -> Result<Option<String>, BadInput> {
        let Some(label) = &self.label else { return Ok(None) };
        let text = label.get_ref();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        if text.is_empty() || text.len() > LONGEST_LABEL || !text.chars().all(is_plain) {
            return Err(source.refuse(
                label.span(),
                format!(
                    "label: \"{text}\": write 1 to {LONGEST_LABEL} letters, digits and hyphens"
                ),
            ));
        }
        Ok(Some(text.clone()))
    }
}

/// The seeds that one value stands for.
fn seeds_of(value: &toml::Value) -> Result<Vec<u64>, BadInput> {
    match value {
        toml::Value::String(text) => seeds::parse(text),
        value => match value.as_integer().map(u64::try_from) {
            Some(Ok(seed)) => Ok(vec![seed]),
            _ => Err(bad_input(format!(
                "{value}: a seed is a whole number from 0, a range of them is written as \"0-4\""
            ))),
        },
    }
}

/// What a network must be, checked without training.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    parameters: Option<Spanned<i64>>,
    layers: Option<Spanned<i64>>,
}

/// A file's text, to turn positions into line numbers.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn refuse(&self, span: Range<usize>, reason: impl std::fmt::Display) -> BadInput {
        let line = self.text[..span.start.min(self.text.len())].matches('\n').count() + 1;
        bad_input(format!("{}:{line}: {reason}", self.path.display()))
    }
}

impl Experiment {
    /// Reads and checks an experiment file. The error names file, line and key.
    pub fn read(path: &Path, overrides: &Overrides) -> Result<Experiment, BadInput> {
        let text = regular_file::read_to_string(path).map_err(|error| {
            let meant = did_you_mean(nearest_file(path));
            bad_input(format!("{}: {error}{meant}", path.display()))
        })?;
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .filter(|_| path.extension().is_some_and(|ending| ending == "toml"));
        let name = name.ok_or_else(|| {
            bad_input(format!("{}: an experiment is a file that ends in .toml", path.display()))
        })?;
        let source = Source { path, text: &text };
        let file: File = toml::from_str(&text).map_err(|error| {
            source.refuse(error.span().unwrap_or(0..0), one_line(error.message()))
        })?;
        let mut experiment = Experiment {
            name: name.to_string(),
            runs: runs(&file, &source, overrides)?,
            may_diverge: BTreeSet::new(),
            title: file.title,
            paper: file.paper,
            dataset: file.dataset,
        };
        for name in &file.may_diverge {
            let network = network(name, "may_diverge", &source)?;
            experiment.must_train(network, name, "may_diverge", &source)?;
            experiment.may_diverge.insert(network);
        }
        for (name, check) in &file.check {
            let network = network(name, "check", &source)?;
            experiment.must_train(network, name, &format!("check.\"{network}\""), &source)?;
            if let Some(run) = experiment.runs.iter().find(|run| run.network == network) {
                check.apply(&run.architecture, &source)?;
            }
        }
        Ok(experiment)
    }

    /// Refuses a `name` under `key` whose network the experiment does not train.
    fn must_train(
        &self,
        network: NetworkName,
        name: &Spanned<String>,
        key: &str,
        source: &Source,
    ) -> Result<(), BadInput> {
        match self.runs.iter().any(|run| run.network == network) {
            true => Ok(()),
            false => Err(source
                .refuse(name.span(), format!("{key}: this experiment does not train {network}"))),
        }
    }
}

/// The experiment file that a name without folder or ending, or a mistyped one, may mean.
fn nearest_file(path: &Path) -> Option<String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folders = [parent.unwrap_or(Path::new("")), Path::new("experiments")];
    let files = folders.iter().flat_map(|folder| {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { *folder };
        let names = std::fs::read_dir(here).into_iter().flatten().flatten();
        names.map(|entry| folder.join(entry.file_name()))
    });
    let files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|ending| ending == "toml")).collect();
    let stem = |file: &Path| Some(file.file_stem()?.to_str()?.to_string());
    let meant = nearest(&stem(path)?, files.iter().filter_map(|file| stem(file)))?;
    let file = files.iter().find(|file| stem(file).as_ref() == Some(&meant))?;
    Some(file.display().to_string())
}

/// Reads several experiments, and refuses two that would write the same run.
pub fn read_all(paths: &[PathBuf], overrides: &Overrides) -> Result<Vec<Experiment>, BadInput> {
    let mut experiments: Vec<Experiment> = Vec::new();
    for path in paths {
        let experiment = Experiment::read(path, overrides)?;
        if let Some(position) = experiments.iter().position(|other| other.name == experiment.name) {
            return Err(bad_input(format!(
                "{} and {}: both would write the runs of {}/: rename one, or give it once",
                paths[position].display(),
                path.display(),
                experiment.name
            )));
        }
        experiments.push(experiment);
    }
    Ok(experiments)
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn network(name: &Spanned<String>, key: &str, source: &Source) -> Result<NetworkName, BadInput> {
    name.get_ref().parse().map_err(|error| source.refuse(name.span(), format!("{key}: {error}")))
}

fn runs(file: &File, source: &Source, overrides: &Overrides) -> Result<Vec<PlannedRun>, BadInput> {
    let mut runs: Vec<PlannedRun> = Vec::new();
    let mut known = BTreeSet::new();
    for group in &file.runs {
        let (label, weights) = (group.label(source)?, group.weight_source(source)?);
        // What a network's seeds share is made once.
        let mut networks = Vec::new();
        for name in &group.networks {
            let network = network(name, "networks", source)?;
            let recipe = recipe(network, file, group, source, overrides)?;
            let architecture = architecture::build(
                network,
                file.dataset.family(),
                recipe.image_side(),
                file.dataset.classes() as i64,
            )
            .map_err(|error| source.refuse(name.span(), format!("networks: {error}")))?;
            networks.push((name, network, Arc::new(recipe), Arc::new(architecture)));
        }
        for whole in group.seeds(source)? {
            for (name, network, recipe, architecture) in &networks {
                let network = *network;
                if !known.insert((network, label.clone(), whole)) {
                    return Err(source.refuse(
                        name.span(),
                        format!("networks: {network} with seed {whole} is there twice: give the groups different labels"),
                    ));
                }
                runs.push(PlannedRun {
                    network,
                    seed: whole,
                    label: label.clone(),
                    recipe: Arc::clone(recipe),
                    weights: weights.clone(),
                    architecture: Arc::clone(architecture),
                });
            }
        }
    }
    match runs.is_empty() {
        true => {
            Err(source.refuse(0..0, "runs: there is no run; give [[runs]] with networks and seeds"))
        }
        false => Ok(runs),
    }
}

/// The recipe of a network: the dataset's, the file's, the group's and the command line's, each on
/// top of the ones before.
fn recipe(
    network: NetworkName,
    file: &File,
    group: &Group,
    source: &Source,
    overrides: &Overrides,
) -> Result<Recipe, BadInput> {
    let mut given = toml::Table::new();
    let mut spans = BTreeMap::new();
    for table in [&file.recipe, &group.recipe] {
        let mut here = BTreeSet::new();
        for (written, value) in table {
            let key = canonical_key(written.get_ref());
            let refuse = |reason: String| {
                source.refuse(written.span(), format!("recipe.{}: {reason}", written.get_ref()))
            };
            let value = check_setting(key, value.clone()).map_err(refuse)?;
            if !here.insert(key) {
                return Err(refuse(format!("{key} is given twice")));
            }
            given.insert(key.to_string(), value);
            spans.insert(key.to_string(), written.span());
        }
    }
    Recipe::resolve(file.dataset, network.depth(), None, &given).map_err(|error| {
        let span = error.key.as_ref().and_then(|key| spans.get(key)).cloned();
        source.refuse(span.unwrap_or(0..0), format!("recipe.{error}"))
    })?;
    overrides.apply(&mut given, file.dataset);
    Recipe::resolve(file.dataset, network.depth(), overrides.iterations, &given)
        .map_err(|error| overrides.blame(error))
}

impl Check {
    fn apply(&self, architecture: &Architecture, source: &Source) -> Result<(), BadInput> {
        let network = architecture.name;
        let layers =
            architecture.layers().iter().filter(|layer| layer.kind.counts()).count() as i64;
        for (key, stated, found) in [
            ("parameters", &self.parameters, architecture.parameter_count()),
            ("layers", &self.layers, layers),
        ] {
            if let Some(stated) = stated.as_ref().filter(|stated| *stated.get_ref() != found) {
                return Err(source.refuse(
                    stated.span(),
                    format!(
                        "check.\"{network}\".{key}: stated as {}, but {network} has {found}",
                        stated.get_ref()
                    ),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
