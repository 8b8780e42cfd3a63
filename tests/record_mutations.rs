//! Mutated records, logs, analyses, experiments, weights, checkpoints and measurements, by a seeded
//! generator: each is read or refused in one line, within seconds and bounded memory, without a
//! panic. RESNET_REPRO_MUTATIONS sets how many (default 2,000).

#[path = "common/mutation.rs"]
mod mutation;

use std::path::{Path, PathBuf};

use mutation::{Outcome, Random, Watch, check_line, count};
use resnet_repro::analysis::images::Split;
use resnet_repro::analysis::kind::Kind;
use resnet_repro::analysis::record::{self, AnalysisRecord};
use resnet_repro::config::claims::{Evidence, claims};
use resnet_repro::config::dataset_name::DatasetName;
use resnet_repro::config::recipe::{Normalize, Recipe};
use resnet_repro::logs::collection::Collection;
use resnet_repro::network::architecture;
use resnet_repro::network::architecture::table::Architecture;
use resnet_repro::network::parameters::Network;
use resnet_repro::records::checkpoints::Beside;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::records::eval_csv::EvaluationLog;
use resnet_repro::records::run_toml::RunRecord;
use resnet_repro::records::train_csv::TrainingLog;
use resnet_repro::records::verify::verify_run;
use resnet_repro::report;
use resnet_repro::report::claims::analysis::measured;
use resnet_repro::report::claims::ruling::Ruling;
use resnet_repro::report::protocol::Protocol;
use resnet_repro::report::tables::table_5;
use resnet_repro::report::{figures, tables};
use resnet_repro::sweep::experiment::Experiment;
use resnet_repro::sweep::overrides::Overrides;
use resnet_repro::system::hash::sha256;
use resnet_repro::training::checkpoint::Checkpoint;
use resnet_repro::training::metrics::TrainingRow;
use resnet_repro::training::schedule::ScheduleState;
use tch::Device;

/// A run that a claim about lesions is judged by.
const ANALYSED: &str = "results/2026-11-24-cifar10-400-paper-rate/01-plain-nets/plain-20/seed-0";

const RUN: &str = "results/2026-11-24-tiny-imagenet/09-tiny-imagenet/plain-18/seed-0";

/// Memory that reading may take beyond what the program has at its start.
const MEMORY: u64 = 2 << 30;

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(committed(name)).unwrap()
}

/// Reads all that `figures` reads of a folder with one run, and every so often makes its report.
fn read_as_figures(folder: &Path, whole_report: bool) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let _ = verify_run(&folder.join("run"), &mut problems)
        .inspect_err(|error| check_line(&format!("{error:#}")));
    problems.iter().for_each(|problem| check_line(&problem.to_string()));
    let mut collection = Collection::read(folder)?;
    let (analyses, _) = record::find(folder);
    collection.problems.extend(record::problems(folder));
    collection.problems.iter().for_each(|problem| check_line(problem));
    let protocols = Protocol::of(&collection.runs);
    if whole_report {
        let out = folder.join("report");
        let report = report::make(&protocols, &[], analyses, (folder, &out), &collection.problems)?;
        report.problems.iter().for_each(|problem| check_line(problem));
        std::fs::remove_dir_all(out)?;
    }
    match collection.problems.first() {
        Some(problem) => anyhow::bail!("{problem}"),
        None => Ok(()),
    }
}

/// A mutation of `run.toml`, or of a log, of a small run.
fn runs(random: &mut Random, watch: &Watch, count: usize, folder: &Path, files: &[&str]) {
    let run = folder.join("run");
    std::fs::create_dir_all(&run).unwrap();
    let originals: Vec<(&str, String)> = ["run.toml", "train.csv", "eval.csv", "tests.csv"]
        .into_iter()
        .map(|name| (name, text(&format!("{RUN}/{name}"))))
        // A log of every hundredth row would be refused; the first rows are enough.
        .map(|(name, text)| (name, text.lines().take(60).map(|line| format!("{line}\n")).collect()))
        .collect();
    // What is mutated is the file that is read, not one that has another hash.
    let record = text(&format!("{RUN}/run.toml"));
    let record: String = record
        .lines()
        .filter(|line| !line.contains(".csv\" = "))
        .map(|line| format!("{line}\n"))
        .collect();
    let write = |name: &str, original: &str| {
        let original = if name == "run.toml" { &record } else { original };
        std::fs::write(run.join(name), original).unwrap();
    };
    originals.iter().for_each(|(name, original)| write(name, original));
    for file in files {
        let mut outcome = Outcome::default();
        let original = if *file == "run.toml" {
            &record
        } else {
            &originals.iter().find(|(name, _)| name == file).unwrap().1
        };
        for number in 0..count / files.len() {
            std::fs::write(run.join(file), random.mutated_text(original)).unwrap();
            outcome.add(watch.next(), read_as_figures(folder, number % 50 == 0));
        }
        write(file, original);
        outcome.tell(file);
    }
    read_as_figures(folder, true).expect("the run itself is good");
    std::fs::remove_dir_all(run).unwrap();
}

/// What the claims that analyses decide come to.
fn rulings(protocols: &[Protocol], results: &Path) -> Vec<Ruling> {
    let measures = claims().iter().filter_map(|claim| match &claim.evidence {
        Evidence::Analysis(measure) => Some(measure),
        _ => None,
    });
    measures.map(|measure| measured(measure, protocols, results)).collect()
}

/// Mutated rows and records of an analysis, as `verify`, `figures` and the ledger of claims read
/// them. A record has no checksum here, and rows have no record: what is read is what is mutated.
fn analyses(random: &mut Random, watch: &Watch, count: usize, folder: &Path) {
    let run = folder.join("run");
    let analysis = run.join("analysis");
    std::fs::create_dir_all(&analysis).unwrap();
    for name in ["run.toml", "train.csv", "eval.csv"] {
        std::fs::write(run.join(name), text(&format!("{ANALYSED}/{name}"))).unwrap();
    }
    let run_record = RunRecord::read(&run.join("run.toml")).unwrap();
    let mut whole = AnalysisRecord {
        kind: Kind::Lesion,
        complete: true,
        network: run_record.run.network,
        weights_sha256: sha256(b"weights"),
        normalize: Normalize::PixelMean,
        split: Split::Test,
        images: 1000,
        seed: 0,
        seconds: 2.5,
        settings: toml::from_str("samples = 3\nwithin = 1.0\n").unwrap(),
        summary: toml::from_str("blocks_needed = 5\nmedian_error = 61.5\n").unwrap(),
        files: Default::default(),
        dataset: run_record.run.dataset.clone(),
        provenance: run_record.provenance.clone(),
    };
    whole.write::<()>(&analysis, &[]).unwrap();
    let (toml, csv) = (analysis.join("lesion.toml"), analysis.join("lesion.csv"));
    let with_checksum = std::fs::read_to_string(&toml).unwrap();
    let (_, text_of_record) = with_checksum.split_once('\n').unwrap();
    let rows = "test,block,count,sample,tau,wrong,error,loss\nwhole,,0,,,85,8.5,0.25\n\
                single,layer1.0,1,,,930,93.0,2.5\nsingle,layer1.1,1,,,871,87.1,2.25\n\
                random,,2,0,,900,90.0,5\nexchange,,1,0,0.75,912,91.2,4.5\n";
    let read = || -> anyhow::Result<()> {
        let mut collection = Collection::read(folder)?;
        collection.problems.extend(record::problems(folder));
        for ruling in rulings(&Protocol::of(&collection.runs), folder) {
            assert!(!ruling.numbers.contains(['\n', '\x1b']), "{}", ruling.numbers);
        }
        match collection.problems.first() {
            Some(problem) => anyhow::bail!("{problem}"),
            None => Ok(()),
        }
    };
    let judged_by_rows = || {
        let collection = Collection::read(folder).unwrap();
        let rulings = rulings(&Protocol::of(&collection.runs), folder);
        rulings.iter().any(|ruling| ruling.numbers.contains("90.050"))
    };
    std::fs::remove_file(&toml).unwrap();
    std::fs::write(&csv, rows).unwrap();
    assert!(judged_by_rows(), "a claim is judged by these rows");
    let mut outcome = Outcome::default();
    for number in 0..count {
        if number % 2 == 0 {
            std::fs::write(&csv, random.mutated_text(rows)).unwrap();
            outcome.add(watch.next(), read());
        } else {
            std::fs::write(&toml, random.mutated_text(text_of_record)).unwrap();
            outcome.add(watch.next(), read());
            std::fs::remove_file(&toml).unwrap();
        }
    }
    outcome.tell("analyses");
    std::fs::remove_dir_all(run).unwrap();
}

/// Reads experiments, of which some are as large as a file can ask for.
fn experiments(random: &mut Random, watch: &Watch, count: usize, folder: &Path) {
    let names = ["quick", "03-1202-layers", "06-highway", "07-imagenet-plain-and-residual"];
    let originals = names.map(|name| text(&format!("experiments/{name}.toml")));
    let path = folder.join("e.toml");
    let mut outcome = Outcome::default();
    for number in 0..count {
        std::fs::write(&path, random.mutated_text(&originals[number % names.len()])).unwrap();
        outcome.add(watch.next(), Experiment::read(&path, &Overrides::default()));
    }
    outcome.tell("experiments");
}

/// A safetensors file with another header, whose length is told rightly or not, or other bytes.
fn mutated_tensors(random: &mut Random, original: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
    if random.below(4) == 0 {
        return random.mutated(original);
    }
    let header = random.mutated_text(std::str::from_utf8(&original[8..8 + length]).unwrap());
    let told = if random.below(10) == 0 { random.next() } else { header.len() as u64 };
    [&told.to_le_bytes()[..], &header, &original[8 + length..]].concat()
}

fn plain_8() -> Architecture {
    let family = DatasetName::Shapes.family();
    architecture::build("plain-8".parse().unwrap(), family, 32, 10).unwrap()
}

fn weights(random: &mut Random, watch: &Watch, count: usize, folder: &Path) {
    let mut network = Network::new(plain_8(), 0, Device::Cpu);
    // Not in a run's folder.
    let path = folder.join("file.safetensors");
    network.save_weights(&path, Normalize::PixelMean).unwrap();
    let original = std::fs::read(&path).unwrap();
    let mut outcome = Outcome::default();
    for _ in 0..count {
        std::fs::write(&path, mutated_tensors(random, &original)).unwrap();
        outcome.add(watch.next(), network.load_weights(&path));
    }
    outcome.tell("weights");
}

/// Finds where a run would go on from mutated checkpoints, whose names have the checksums of what
/// is in them, or beside mutated logs.
fn checkpoints(random: &mut Random, watch: &Watch, count: usize, folder: &Path) {
    let run = RunDirectory::at(&folder.join("stopped"));
    std::fs::create_dir(run.path()).unwrap();
    let mut network = Network::new(plain_8(), 0, Device::Cpu);
    let architecture = plain_8();
    let recipe = Recipe { evaluate_every: 10, ..Recipe::default() };
    let logs = ["train.csv", "eval.csv"].map(|name| (run.path().join(name), name));
    let mut train = TrainingLog::open(&logs[0].0, 0).unwrap();
    let evaluation = EvaluationLog::open(&logs[1].0, 0).unwrap();
    let row = |iteration| TrainingRow { iteration, learning_rate: 0.1, loss: 2.5, error: 61.75 };
    train.append(&(1..=9).map(row).collect::<Vec<_>>()).unwrap();
    let state = Checkpoint {
        iteration: 9,
        schedule: ScheduleState::default(),
        evaluation_due: false,
        parameters: network.parameters().copy(),
        momentum_buffer: network.parameters().copy(),
        running_stats: network.running_stats().copy(),
    };
    let beside = Beside {
        record: text(&format!("{RUN}/run.toml")),
        train_log: train.prefix(),
        evaluation_log: evaluation.prefix(),
        gradient_log: None,
    };
    run.checkpoints().write(&state, Some(&beside)).unwrap();
    let file = std::fs::read_dir(run.path().join("checkpoint")).unwrap().next().unwrap().unwrap();
    let original = std::fs::read(file.path()).unwrap();
    std::fs::remove_file(file.path()).unwrap();
    let (mut outcome, mut of_logs) = (Outcome::default(), Outcome::default());
    for number in 0..count {
        let damaged_log = (number % 4 == 0).then(|| &logs[number / 4 % 2].0);
        let kept = damaged_log.map(|path| (path, std::fs::read_to_string(path).unwrap()));
        let bytes = match &kept {
            Some((path, text)) => {
                std::fs::write(path, random.mutated_text(text)).unwrap();
                original.clone()
            }
            None => mutated_tensors(random, &original),
        };
        let name = format!("000000009-{}.safetensors", &sha256(&bytes)[..16]);
        let path = run.path().join("checkpoint").join(name);
        std::fs::write(&path, bytes).unwrap();
        let start = watch.next();
        let found = run.position(&recipe, &architecture).map(|position| {
            position.notes.iter().for_each(|note| check_line(note));
            let checkpoint = position.checkpoint.unwrap();
            network.restore(&checkpoint.parameters, &checkpoint.running_stats);
        });
        if kept.is_some() { &mut of_logs } else { &mut outcome }.add(start, found);
        std::fs::remove_file(path).unwrap();
        kept.into_iter().for_each(|(path, text)| std::fs::write(path, text).unwrap());
    }
    outcome.tell("checkpoints");
    of_logs.tell("logs beside a checkpoint");
}

/// Measurements and ensembles in JSON, as tables, figures and a page show them.
fn measurements(random: &mut Random, watch: &Watch, count: usize, folder: &Path) {
    let results = folder.join("json");
    std::fs::create_dir(&results).unwrap();
    let ensemble = "{\"dataset\": \"imagenet\", \"networks\": [\"resnet-18\", \"resnet-34\"],\n\"views\": \"multi-scale\", \"images\": 200,\n\"loss\": 0.75, \"error\": 21.5, \"top5_error\": 6.25}\n";
    let cases = [
        ("bench-a.json", text("results/2026-11-24-h100/bench-graph.json")),
        ("bench-b.json", text("results/2026-11-24-speed/bench-depth.json")),
        ("ensemble-a.json", ensemble.to_string()),
    ];
    let mut outcome = Outcome::default();
    for number in 0..count {
        let (name, original) = &cases[number % cases.len()];
        let path = results.join(name);
        std::fs::write(&path, random.mutated_text(original)).unwrap();
        let start = watch.next();
        let (found, mut problems) = report::measurements::read(&results).unwrap();
        problems.extend(table_5::read(&results).unwrap().1);
        problems.iter().for_each(|problem| check_line(problem));
        if number % 10 == 0 {
            let out = folder.join("json-report");
            let report = report::make(&[], &[], Vec::new(), (&results, &out), &[]).unwrap();
            report.problems.iter().for_each(|problem| check_line(problem));
            std::fs::remove_dir_all(out).unwrap();
        } else {
            let _ = (tables::cost::table(&found), figures::cost::charts(&found));
        }
        outcome.add(start, problems.first().map_or(Ok(()), Err));
        std::fs::remove_file(path).unwrap();
    }
    outcome.tell("measurements in JSON");
}

#[test]
fn every_mutated_record_log_experiment_weight_file_and_checkpoint_is_read_or_refused_in_one_line() {
    let count = count(2000);
    let folder = tempfile::tempdir().unwrap();
    let (path, mut random) = (folder.path(), Random(20_151_211));
    // Threads that libtorch and others start take memory of their own: they are there by now.
    let _ = Network::new(plain_8(), 0, Device::Cpu);
    let watch = Watch::set(MEMORY);
    runs(&mut random, &watch, count * 3 / 10, path, &["run.toml"]);
    runs(&mut random, &watch, count * 2 / 10, path, &["train.csv", "eval.csv", "tests.csv"]);
    analyses(&mut random, &watch, count / 10, path);
    experiments(&mut random, &watch, count / 10, path);
    weights(&mut random, &watch, count / 10, path);
    checkpoints(&mut random, &watch, count / 10, path);
    measurements(&mut random, &watch, count / 10, path);
    watch.rest();
}
