//! How large the report's page is: it must open on any machine.

use crate::common::succeed;
use crate::paper_runs::{official_cifar10, record};
use std::path::Path;

use resnet_repro::config::network_name::NetworkName;
use resnet_repro::config::recipe::Recipe;
use resnet_repro::network::architecture::cifar;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::records::run_toml::{RunConfig, State};

/// Bytes of the page for the runs that this repository publishes, at most.
const COMMITTED: u64 = 2_000_000;

/// Bytes of the page for 500 runs, at most.
const OF_500_RUNS: u64 = 20_000_000;

/// Iterations of each run: its curves have as many points as those of a run of 64,000.
const ITERATIONS: u64 = 2400;

/// Writes a finished run whose errors are noisy, so that its curves do not compress well.
fn write_run(folder: &Path, network: NetworkName, seed: u64, learning_rate: f64) {
    let directory = RunDirectory::of(folder, network, seed);
    std::fs::create_dir_all(directory.path()).unwrap();
    let of_run = 2 * (100 * seed + network.depth()) + u64::from(network.is_plain());
    let mut state = learning_rate.to_bits() ^ of_run.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut train = String::from("iteration,learning_rate,loss,error\n");
    let mut evaluations = String::from("iteration,split,loss,error,top5_error\n");
    for iteration in 1..=ITERATIONS {
        let error = 60.0 - 40.0 * iteration as f64 / ITERATIONS as f64 + 20.0 * noise();
        train.push_str(&format!("{iteration},{learning_rate},{:.4},{error:.4}\n", error / 20.0));
        if iteration % 100 == 0 {
            evaluations.push_str(&format!("{iteration},test,1.5,{error:.2},1\n"));
        }
    }
    std::fs::write(directory.train_log(), train).unwrap();
    std::fs::write(directory.evaluation_log(), evaluations).unwrap();
    let recipe = Recipe {
        iterations: ITERATIONS,
        milestones: vec![1200, 1800],
        learning_rate,
        warmup: network.depth() >= 110,
        ..Recipe::default()
    };
    let run =
        RunConfig { network, seed, dataset: official_cifar10(), recipe, initial_weights: None };
    let parameters = cifar::architecture(network, 10).unwrap().parameter_count();
    let record = record(State::Finished, parameters, ITERATIONS, run);
    record.write(&directory.record()).unwrap();
}

fn size(page: &Path) -> u64 {
    std::fs::metadata(page).unwrap_or_else(|error| panic!("{}: {error}", page.display())).len()
}

#[test]
fn the_committed_report_has_less_than_2_mb() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/report/report.html");
    assert!(size(&page) < COMMITTED, "{} bytes", size(&page));
}

#[test]
fn a_report_of_500_runs_has_less_than_20_mb() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let depths = [20, 32, 44, 56, 110];
    // Ten sections of the report, each of plain and residual nets of the paper's depths, five seeds.
    for protocol in 0..10 {
        let learning_rate = 0.01 * f64::from(protocol + 1);
        let experiment = runs.join(format!("e{protocol}"));
        for seed in 0..5 {
            for depth in depths {
                for network in [NetworkName::plain(depth), NetworkName::residual(depth)] {
                    write_run(&experiment, network, seed, learning_rate);
                }
            }
        }
    }
    let text = succeed(folder.path(), &["figures"]);
    assert_eq!(text.matches(": 50 runs").count(), 10, "{text}");
    let bytes = size(&runs.join("report/report.html"));
    eprintln!("report.html of 500 runs: {bytes} bytes");
    assert!((500_000..OF_500_RUNS).contains(&bytes), "{bytes} bytes");
}
