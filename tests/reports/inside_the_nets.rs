//! What the report shows of analyses.

use crate::common::{run, stderr, succeed};
use crate::paper_runs::{change, official_cifar10, read, write_run};
use resnet_repro::analysis::images::Split;
use resnet_repro::analysis::kind::Kind;
use resnet_repro::analysis::record::AnalysisRecord;
use resnet_repro::analysis::{generalisation, lesion, responses};
use resnet_repro::config::network_name::NetworkName;
use resnet_repro::config::recipe::Normalize;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::records::provenance::Provenance;
use std::path::Path;

/// Writes an analysis of 1,000 test images into `folder`, which is made.
fn write_analysis<Row: serde::Serialize>(
    folder: &Path,
    (kind, network): (Kind, &str),
    (rows, complete): (&[Row], bool),
    summary: &[(&str, f64)],
) {
    std::fs::create_dir_all(folder).unwrap();
    let float = |(key, value): &(&str, f64)| (key.to_string(), toml::Value::Float(*value));
    let mut record = AnalysisRecord {
        kind,
        complete,
        network: network.parse().unwrap(),
        weights_sha256: format!("{network}'s"),
        normalize: Normalize::PixelMean,
        split: Split::Test,
        images: 1000,
        seed: 0,
        seconds: 1.0,
        settings: toml::Table::from_iter([("within_points".into(), toml::Value::Float(1.0))]),
        summary: summary.iter().map(float).collect(),
        files: Default::default(),
        dataset: official_cifar10(),
        provenance: Provenance::now(tch::Device::Cpu),
    };
    record.write(folder, rows).unwrap();
}

/// The folder for analyses of a run that [`write_run`] wrote.
fn analysis_of(results: &Path, network: &str, seed: u64) -> std::path::PathBuf {
    let network: NetworkName = network.parse().unwrap();
    let run = RunDirectory::of(&results.join("some-experiment"), network, seed);
    run.path().join("analysis")
}

fn response(layer: &str, kernel: i64, std: f64) -> responses::Row {
    responses::Row { layer: layer.to_string(), kernel, std, mean: 0.0 }
}

#[test]
fn figure_7_shows_the_3_by_3_layers_in_order_and_sorted_of_one_run_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    for (network, seed) in [("plain-20", 0), ("resnet-20", 0), ("resnet-20", 1)] {
        write_run(&results, network, seed, 64_000, 10.0);
    }
    let of = |network, seed, rows: &[responses::Row]| {
        let folder = analysis_of(&results, network, seed);
        write_analysis(&folder, (Kind::Responses, network), (rows, true), &[]);
    };
    // A kernel of 1×1 is not the paper's.
    let plain = [response("bn1", 3, 0.5), response("a", 1, 9.0), response("b", 3, 1.25)];
    of("plain-20", 0, &plain);
    of("resnet-20", 1, &[response("bn1", 3, 7.0)]);
    of("resnet-20", 0, &[response("bn1", 3, 0.25), response("b", 3, 0.5)]);
    let given = [response("bn1", 3, 0.125)];
    let public = folder.path().join("runs/public");
    write_analysis(&public, (Kind::Responses, "resnet-20"), (&given[..], false), &[]);
    let text = succeed(folder.path(), &["figures"]);
    for part in [
        "Inside the nets: 4 analyses of 2 nets, not complete: responses of resnet-20 (public)",
        "resnet-20 respond less than those of plain-20: their standard deviations are 0.38 and 0.88",
        "sorted by size, 2 of 2 are lower",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let expected = "\
        panel,network,series,layer,standard deviation,deviation,seeds\n\
        in order of layers,plain-20,standard deviation,1,0.5,0,1\n\
        in order of layers,plain-20,standard deviation,2,1.25,0,1\n\
        in order of layers,resnet-20,standard deviation,1,0.25,0,1\n\
        in order of layers,resnet-20,standard deviation,2,0.5,0,1\n\
        in order of layers,\"resnet-20 (public), not complete\",standard deviation,1,0.125,0,1\n\
        sorted by size,plain-20,standard deviation,1,1.25,0,1\n\
        sorted by size,plain-20,standard deviation,2,0.5,0,1\n\
        sorted by size,resnet-20,standard deviation,1,0.5,0,1\n\
        sorted by size,resnet-20,standard deviation,2,0.25,0,1\n\
        sorted by size,\"resnet-20 (public), not complete\",standard deviation,1,0.125,0,1\n";
    assert_eq!(read(&results, "analyses/figure-7.csv"), expected);
    let table = read(&results, "analyses/responses.csv");
    assert!(table.contains("\npartial,\"resnet-20 (public), not complete\","), "{table}");
    let row = "complete,plain-20,\"CIFAR-10, 64,000 iterations, seed 0\",\"1,000 test images\",2,";
    assert!(table.contains(&format!("{row}0.875,1.25,0.5\n")), "{table}");
}

fn lesioned(test: lesion::Test, block: &str, count: usize, error: f64) -> lesion::Row {
    let tau = (test == lesion::Test::Exchange).then_some(1.0 - count as f64 / 10.0);
    let (block, sample) = (block.to_string(), None);
    lesion::Row { test, block, count, sample, tau, wrong: (error * 10.0) as u64, error, loss: 1.0 }
}

#[test]
fn lesions_are_drawn_by_block_by_number_and_by_order() {
    use lesion::Test::{Exchange, Random, Ranked, Single, Whole};
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-14", 0, 64_000, 10.0);
    let rows = [
        lesioned(Whole, "", 0, 10.0),
        lesioned(Single, "layer1.0", 1, 30.0),
        lesioned(Single, "layer1.1", 1, 20.0),
        // The third block changes the shape of its maps.
        lesioned(Single, "layer2.1", 1, 90.0),
        lesioned(Random, "", 1, 20.0),
        lesioned(Random, "", 1, 30.0),
        lesioned(Random, "", 2, 60.0),
        lesioned(Ranked, "layer1.1", 1, 20.0),
        lesioned(Exchange, "", 1, 40.0),
        lesioned(Exchange, "", 1, 42.0),
        lesioned(Exchange, "", 2, 50.0),
    ];
    let summary = [("blocks", 6.0), ("blocks_needed", 5.0)];
    let analysis = analysis_of(&results, "plain-14", 0);
    write_analysis(&analysis, (Kind::Lesion, "plain-14"), (&rows[..], true), &summary);
    let text = succeed(folder.path(), &["figures"]);
    let sentence = "plain-14: without one block the error rises from 10.00 % to 30.00 % in the median \
                    (20.00 % without layer1.1, 90.00 % without layer2.1); 5 of 6 blocks are enough";
    assert!(text.contains(sentence), "{text}");
    let lines = |name: &str| {
        let text = read(&results, &format!("analyses/{name}.csv"));
        let begin = "plain nets,plain-14,";
        let rest = |line: &str| line.strip_prefix(begin).unwrap_or(line).to_string();
        text.lines().skip(1).map(rest).collect::<Vec<_>>()
    };
    assert_eq!(
        lines("lesion-blocks"),
        [
            "without the block,1,30,0,1",
            "without the block,2,20,0,1",
            "without the block,4,90,0,1",
            "whole,1,10,0,1",
            "whole,4,10,0,1"
        ]
    );
    assert_eq!(
        lines("lesion-counts"),
        [
            "at random,0,10,0,1",
            "at random,1,25,7.07107,1",
            "at random,2,60,0,1",
            "cheapest first,0,10,0,1",
            "cheapest first,1,20,0,1"
        ]
    );
    assert_eq!(
        lines("lesion-order"),
        ["exchanged,0.8,50,0,1", "exchanged,0.9,41,1.41421,1", "exchanged,1,10,0,1"]
    );
    let table = read(&results, "analyses/lesion.csv");
    assert!(table.ends_with("10,30,20,90,layer2.1,6,5,1\n"), "{table}");
}

#[test]
fn training_and_test_errors_are_drawn_by_depth_and_the_larger_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    let row = |split, images: u64, wrong: u64| generalisation::Row {
        split,
        images,
        wrong,
        error: wrong as f64 * 100.0 / images as f64,
        loss: 0.5,
    };
    let nets = [("resnet-20", 10_000, 2200), ("resnet-110", 25, 643), ("resnet-1202", 20, 793)];
    for (network, train, test) in nets {
        write_run(&results, network, 0, 64_000, 10.0);
        let rows = [row(Split::Train, 50_000, train), row(Split::Test, 10_000, test)];
        let parameters = [("parameters", 1e6 * train as f64)];
        let analysis = analysis_of(&results, network, 0);
        write_analysis(&analysis, (Kind::Generalisation, network), (&rows[..], true), &parameters);
    }
    let text = succeed(folder.path(), &["figures"]);
    for part in [
        "Bias: the training error is the larger part of the test error: resnet-20 (training 20.00 %, gap 2.00 points).",
        "resnet-110 (training 0.05 %, gap 6.38 points) and resnet-1202 (training 0.04 %, gap 7.89 points).",
        "Of 110 and 1202 layers, the net of 1202 layers overfits: both are fitted, and its test error is higher (training 0.050 and 0.040 %, test 6.43 and 7.93 %).",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let figure = read(&results, "analyses/generalisation-depth.csv");
    let deep: Vec<&str> = figure.lines().filter(|line| line.starts_with("all nets,")).collect();
    assert_eq!(
        deep,
        [
            "all nets,resnet-n,test error,20,22,0,1",
            "all nets,resnet-n,test error,110,6.43,0,1",
            "all nets,resnet-n,test error,1202,7.93,0,1",
            "all nets,resnet-n,training error,20,20,0,1",
            "all nets,resnet-n,training error,110,0.05,0,1",
            "all nets,resnet-n,training error,1202,0.04,0,1"
        ]
    );
    assert_eq!(figure.lines().filter(|line| line.starts_with("up to 110 layers,")).count(), 4);
    let claims = read(&results, "claims/claims.csv");
    let overfits = claims.lines().find(|line| line.contains("overfitting-not-optimisation"));
    assert!(overfits.unwrap().contains(",confirmed,"), "{overfits:?}");
}

#[test]
fn an_analysis_that_was_changed_or_is_of_other_weights_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    for network in ["plain-20", "resnet-20", "resnet-32"] {
        write_run(&results, network, 0, 64_000, 10.0);
        let (rows, analysis) = ([response("bn1", 3, 0.5)], analysis_of(&results, network, 0));
        write_analysis(&analysis, (Kind::Responses, network), (&rows[..], true), &[]);
    }
    let changed = analysis_of(&results, "plain-20", 0).join("responses.csv");
    std::fs::write(&changed, "layer,kernel,std,mean\nbn1,3,9.5,0\n").unwrap();
    change(&results, "resnet-20", 0, "state =", "weights_sha256 = \"another's\"\nstate =");
    std::fs::write(analysis_of(&results, "resnet-32", 0).join("lesion.toml"), "kind = 3").unwrap();
    let output = run(folder.path(), &["figures"]);
    assert_eq!(output.status.code(), Some(3));
    let problems = stderr(&output);
    for part in ["plain-20/seed-0/analysis/responses.csv", "of other weights", "lesion.toml"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    let figure = read(&results, "analyses/figure-7.csv");
    let nets: Vec<&str> =
        figure.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(nets, ["resnet-32", "resnet-32"]);
}
