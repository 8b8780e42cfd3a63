//! Experiments are read, and refused by file, line and key.

use super::*;
use crate::config::recipe_file::RecipeFile;

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
        ("validation = 5000", "validaton = 5000", 7, "recipe.validaton: validaton: no such key"),
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
        ..Overrides::default()
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
    let file = RecipeFile::parse("mine.toml", "iterations = 2000\nmomentum = 0.5\n").unwrap();
    let with_file = Overrides { file: Some(file.clone()), ..Overrides::default() };
    let recipe = &Experiment::read(&path, &with_file).unwrap().runs[0].recipe;
    assert_eq!((recipe.iterations, recipe.momentum), (2000, 0.5));
    assert_eq!(recipe.milestones, [1000, 1500], "milestones of the experiment scale too");
    let both = Overrides { file: Some(file), ..overrides };
    let recipe = &Experiment::read(&path, &both).unwrap().runs[0].recipe;
    assert_eq!((recipe.iterations, recipe.momentum, recipe.validation), (400, 0.5, 10));
    assert_eq!(recipe.milestones, [200, 300]);
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

#[test]
fn seeds_may_be_ranges_and_wrong_ones_are_refused_by_line() {
    let with = |seeds: &str| GOOD.replace("seeds = [0, 1]", &format!("seeds = {seeds}"));
    let seeds = |text: &str| {
        let experiment = read(&with(text)).unwrap();
        let plain = experiment.runs.iter().filter(|run| run.name() == "plain-20");
        plain.map(|run| run.seed).collect::<Vec<_>>()
    };
    assert_eq!(seeds("\"0-2\""), [0, 1, 2]);
    assert_eq!(seeds("[4, \"0-1\"]"), [4, 0, 1]);
    assert_eq!(seeds("3"), [3]);
    for (text, part) in [
        ("[-1]", "-1: a seed is a whole number from 0"),
        ("[0.5]", "0.5: a seed is a whole number"),
        ("\"2-0\"", "2-0: the range ends before it begins"),
        ("[0, \"0-1\"]", "with seed 0 is there twice"),
        ("[[0]]", "a seed is a whole number"),
    ] {
        let message = read(&with(text)).unwrap_err();
        assert!(message.contains("01-try.toml:1") && message.contains(part), "{message}");
    }
}
