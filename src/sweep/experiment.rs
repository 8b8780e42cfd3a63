//! Experiments: TOML files that say which networks are trained, from which seeds, how, and which of
//! the paper's figures and tables that feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::{Recipe, check_setting};
use crate::error::{BadInput, bad_input};
use crate::network::architecture;
use crate::network::architecture::table::Architecture;

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
    /// The recipe.
    pub recipe: Recipe,
    /// The network's table, for as many classes as the published data has.
    pub architecture: Architecture,
}

impl PlannedRun {
    /// `<experiment>/<network>/seed-<k>`: the run's name, and its place in the results folder.
    pub fn id(&self, experiment: &str) -> String {
        format!("{experiment}/{}/seed-{}", self.network, self.seed)
    }
}

/// Changes to every recipe of an experiment, from the command line.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Another number of iterations.
    pub iterations: Option<u64>,
    /// Other keys.
    pub settings: toml::Table,
}

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
    seeds: Vec<Spanned<i64>>,
    #[serde(default)]
    recipe: Settings,
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
        let text = std::fs::read_to_string(path)
            .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
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
    for group in &file.runs {
        for seed in &group.seeds {
            let whole = u64::try_from(*seed.get_ref()).map_err(|_| {
                source.refuse(seed.span(), "seeds: a seed is a whole number from 0")
            })?;
            for name in &group.networks {
                let network = network(name, "networks", source)?;
                if runs.iter().any(|run| run.network == network && run.seed == whole) {
                    return Err(source.refuse(
                        name.span(),
                        format!("networks: {network} with seed {whole} is there twice"),
                    ));
                }
                let recipe = recipe(network, file, group, source, overrides)?;
                let classes = file.dataset.classes() as i64;
                let architecture = architecture::build(
                    network,
                    file.dataset.family(),
                    recipe.image_side(),
                    classes,
                )
                .map_err(|error| source.refuse(name.span(), format!("networks: {error}")))?;
                runs.push(PlannedRun { network, seed: whole, recipe, architecture });
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

/// The recipe of a network: the data set's, the file's, the group's and the command line's, each on
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
    for (key, value) in file.recipe.iter().chain(&group.recipe) {
        let value = check_setting(key.get_ref(), value.clone()).map_err(|reason| {
            source.refuse(key.span(), format!("recipe.{}: {reason}", key.get_ref()))
        })?;
        given.insert(key.get_ref().clone(), value);
        spans.insert(key.get_ref().clone(), key.span());
    }
    Recipe::resolve(file.dataset, network.depth(), None, &given).map_err(|error| {
        // The message opens with the key whose value is impossible.
        let span = spans
            .iter()
            .find(|(key, _)| error.0.starts_with(&format!("{key} = ")))
            .map_or(0..0, |(_, span)| span.clone());
        source.refuse(span, format!("recipe.{error}"))
    })?;
    if let Some(iterations) = overrides.iterations {
        scale_milestones(&mut given, iterations, Recipe::for_dataset(file.dataset).iterations);
    }
    given.extend(overrides.settings.clone());
    Recipe::resolve(file.dataset, network.depth(), overrides.iterations, &given)
        .map_err(|error| bad_input(format!("--set or --iterations: {error}")))
}

/// Milestones that the file states keep their place in a run of another length.
fn scale_milestones(given: &mut toml::Table, iterations: u64, base_iterations: u64) {
    let stated = given
        .get("iterations")
        .and_then(toml::Value::as_integer)
        .unwrap_or(base_iterations as i64)
        .max(1);
    if let Some(toml::Value::Array(milestones)) = given.get_mut("milestones") {
        for milestone in milestones {
            if let toml::Value::Integer(value) = milestone {
                *value = (i128::from(*value) * i128::from(iterations) / i128::from(stated)) as i64;
            }
        }
    }
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
mod tests {
    use super::*;

    const GOOD: &str = r#"title = "t"
paper = "Figure 1"
dataset = "cifar10"
may_diverge = ["plain-110"]

[recipe]
validation = 5000

[[runs]]
networks = ["plain-20", "resnet-20"]
seeds = [0, 1]

[[runs]]
networks = ["plain-110"]
seeds = [0]
recipe.batch_size = 64

[check]
"plain-20" = { parameters = 269_722, layers = 20 }
"#;

    fn read(text: &str) -> Result<Experiment, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("01-try.toml");
        std::fs::write(&path, text).unwrap();
        Experiment::read(&path, &Overrides::default()).map_err(|error| error.0)
    }

    #[test]
    fn groups_multiply_networks_by_seeds_and_change_the_recipe() {
        let experiment = read(GOOD).unwrap();
        let ids: Vec<String> = experiment.runs.iter().map(|run| run.id(&experiment.name)).collect();
        assert_eq!(
            ids,
            [
                "01-try/plain-20/seed-0",
                "01-try/resnet-20/seed-0",
                "01-try/plain-20/seed-1",
                "01-try/resnet-20/seed-1",
                "01-try/plain-110/seed-0"
            ]
        );
        let recipes: Vec<(u64, u64, bool)> = experiment
            .runs
            .iter()
            .map(|run| (run.recipe.validation, run.recipe.batch_size, run.recipe.warmup))
            .collect();
        assert_eq!((recipes[0], recipes[4]), ((5000, 128, false), (5000, 64, true)));
    }

    #[test]
    fn mistakes_are_refused_with_file_line_and_key() {
        for (from, to, line, part) in [
            (
                "validation = 5000",
                "validaton = 5000",
                7,
                "recipe.validaton: validaton: no such key",
            ),
            (
                "validation = 5000",
                "validation = 5000\nmomentum = 2",
                8,
                "recipe.momentum = 2 is out of range",
            ),
            ("validation = 5000", "validation = \"many\"", 7, "recipe.validation"),
            ("validation = 5000", "validation = 5000\nvalidation = 5", 8, "duplicate key"),
            ("title = \"t\"", "titel = \"t\"", 1, "titel"),
            ("\"resnet-20\"]", "\"resnet-21\"]", 10, "networks: depth 21"),
            ("\"resnet-20\"]", "\"plain-20\"]", 10, "plain-20 with seed 0 is there twice"),
            ("seeds = [0, 1]", "seeds = [0, -1]", 11, "seeds"),
            ("seeds = [0, 1]", "seeds = [0, 0]", 10, "there twice"),
            (
                "269_722",
                "269_723",
                19,
                "check.\"plain-20\".parameters: stated as 269723, but plain-20 has 269722",
            ),
            ("layers = 20", "layers = 19", 19, "check.\"plain-20\".layers"),
            ("\"plain-20\" =", "\"plain-26\" =", 19, "does not train plain-26"),
            ("cifar10", "cifar100", 3, "cifar100"),
            (
                "may_diverge = [\"plain-110\"]",
                "may_diverge = [\"plain-56\"]",
                4,
                "does not train plain-56",
            ),
            (
                "validation = 5000",
                "learning_rate = 0.1\nlearning_rate_factor = 2",
                8,
                "recipe.learning_rate_factor = 2 is out of range",
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let message = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(
                message.contains(&format!("01-try.toml:{line}: ")) && message.contains(part),
                "{from} → {to}: {message}"
            );
        }
    }

    #[test]
    fn the_experiments_of_the_project_are_valid_and_no_two_write_the_same_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let experiments = read_all(&paths, &Overrides::default()).unwrap();
        assert!(experiments.len() >= 7);
        let twice = [paths[0].clone(), paths[0].clone()];
        assert!(read_all(&twice, &Overrides::default()).unwrap_err().0.contains("give it once"));
    }

    #[test]
    fn the_command_line_changes_every_recipe_and_the_schedule_scales() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, GOOD).unwrap();
        let overrides = Overrides {
            iterations: Some(400),
            settings: toml::Table::from_iter([("validation".into(), toml::Value::Integer(10))]),
        };
        let recipe = &Experiment::read(&path, &overrides).unwrap().runs[0].recipe;
        assert_eq!(
            (recipe.iterations, recipe.milestones.as_slice(), recipe.validation),
            (400, &[200, 300][..], 10)
        );
        std::fs::write(
            &path,
            GOOD.replace("validation = 5000", "iterations = 1000\nmilestones = [500, 750]"),
        )
        .unwrap();
        let recipe = &Experiment::read(&path, &overrides).unwrap().runs[0].recipe;
        assert_eq!(recipe.milestones, [200, 300], "milestones of the file scale too");
        let wrong = Overrides {
            settings: toml::Table::from_iter([("momentum".into(), toml::Value::Float(2.0))]),
            ..Overrides::default()
        };
        assert!(
            Experiment::read(&path, &wrong)
                .unwrap_err()
                .0
                .starts_with("--set or --iterations: momentum = 2")
        );
    }
}
