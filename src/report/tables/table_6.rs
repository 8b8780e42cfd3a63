//! The tables of a protocol: test errors beside the paper's (Table 6), training errors, pairs of
//! networks, runs.

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::config::paper::CifarResult;
use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::RunSummary;
use crate::report::format::{NONE, bare, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Row, RowKind, Table, keep_columns};

/// A network is inside the band if its mean final test error is this close to the paper's, in
/// percentage points: two standard deviations of single runs, which are 0.13 to 0.27 points in the
/// paper (ResNet-110) and in a public reproduction (paper.toml).
const BAND: f64 = 0.5;

/// The same where the paper's value was read off a figure.
const APPROXIMATE_BAND: f64 = 1.0;

/// Table 6, with Figure 6's plain nets; on other data than CIFAR-10, the test errors alone.
pub fn test_errors(protocol: &Protocol) -> Table {
    let on_cifar = protocol.dataset == Some(DatasetName::Cifar10);
    let mut networks = protocol.networks();
    let mut rows = Vec::new();
    if on_cifar {
        networks.extend(
            paper::cifar10_networks()
                .iter()
                .filter(|result| result.network.depth() < 1000 || result.network.is_residual())
                .map(|result| result.network),
        );
        networks.sort();
        networks.dedup();
        rows.extend(paper::quoted().iter().map(quoted_row));
    }
    rows.extend(networks.into_iter().map(|network| network_row(protocol, network)));
    let header = [
        "network",
        "layers",
        "parameters",
        "paper",
        "seeds",
        "final test error",
        "best",
        "selected on validation",
        "deviation",
        "verdict",
    ];
    let mut table = Table {
        name: if on_cifar { "table-6" } else { "test-errors" }.to_string(),
        title: match (on_cifar, protocol.family()) {
            (true, _) => "Table 6 and Figure 6: test error (%)",
            (false, Family::Cifar) => "Test error (%)",
            (false, Family::Imagenet) => "Centre-crop validation error (%)",
        }
        .to_string(),
        caption: match (on_cifar, protocol.dataset) {
            (true, _) => cifar_caption(),
            (false, Some(DatasetName::Imagenet)) => {
                format!("{} {}", general_caption(), centre_crop_caption())
            }
            (false, _) => general_caption(),
        },
        header: header.iter().map(|title| title.to_string()).collect(),
        rows,
    };
    if protocol.family() == Family::Imagenet {
        table
            .header
            .iter_mut()
            .filter(|title| *title == "final test error")
            .for_each(|title| *title = "final error".to_string());
    }
    if !on_cifar {
        keep_columns(&mut table, |title| !["paper", "deviation", "verdict"].contains(&title));
    }
    if table.rows.iter().all(|row| {
        row.cells
            [table.header.iter().position(|title| title == "selected on validation").unwrap_or(0)]
            == NONE
    }) {
        keep_columns(&mut table, |title| title != "selected on validation");
    }
    table
}

fn general_caption() -> String {
    "Mean ± standard deviation over seeds. Final: after the last iteration. Best: the lowest of all evaluations, chosen on the test set itself, a bound and not an estimate."
        .to_string()
}

fn centre_crop_caption() -> String {
    let others: Vec<String> =
        paper::centre_crop().iter().map(|row| format!("{} {:.2}", row.network, row.top1)).collect();
    format!(
        "The paper has no numbers of the centre crop; public weights (torchvision's first) have {}.",
        others.join(", ")
    )
}

fn cifar_caption() -> String {
    format!(
        "{} The deviation is that of the mean final test error from the paper's mean (or only) value. Verdict: inside if that is at most {BAND} points (two standard \
         deviations of single runs, as measured by others), or {APPROXIMATE_BAND} where the paper's value is read off Figure 6 (≈); only complete runs of the paper's \
         recipe on the official data are judged. Quoted rows are Table 6's, from other papers, trained in other ways.",
        general_caption()
    )
}

fn quoted_row(quoted: &paper::Quoted) -> Row {
    let dash = || NONE.to_string();
    let parameters = quoted.million_parameters.map_or(dash(), |millions| format!("{millions}M"));
    let layers = quoted.layers.map_or(dash(), |layers| layers.to_string());
    let error =
        published(quoted.test_error, quoted.mean_test_error.zip(quoted.standard_deviation), false);
    let mut cells = vec![quoted.name.clone(), layers, parameters, error];
    cells.resize(9, dash());
    cells.push("quoted".to_string());
    Row { kind: RowKind::Quoted, cells }
}

/// "6.43 (6.61 ± 0.16)", or "≈ 9.50".
fn published(best: f64, spread: Option<(f64, f64)>, approximate: bool) -> String {
    let spread =
        spread.map_or(String::new(), |(mean, deviation)| format!(" ({mean:.2} ± {deviation:.2})"));
    format!("{}{best:.2}{spread}", if approximate { "≈ " } else { "" })
}

fn network_row(protocol: &Protocol, network: NetworkName) -> Row {
    let paper =
        (protocol.dataset == Some(DatasetName::Cifar10)).then(|| paper::cifar10(network)).flatten();
    let found: Vec<&LoggedRun> = protocol.of_network(network).collect();
    let complete: Vec<&RunSummary> = found
        .iter()
        .filter(|run| run.drawn.is_complete() && run.summary.diverged_at.is_none())
        .map(|run| &run.summary)
        .collect();
    let spread = |value: fn(&RunSummary) -> Option<f64>| {
        MeanStd::of(complete.iter().map(|summary| value(summary)))
    };
    let final_error = spread(|summary| summary.final_test_error);
    let deviation = final_error
        .zip(paper.and_then(|paper| paper.mean_test_error.or(paper.test_error)))
        .map(|(ours, paper)| ours.mean - paper);
    let approximate = if paper.is_some_and(|paper| paper.approximate) { "≈ " } else { "" };
    let kind = match (found.is_empty(), complete.is_empty()) {
        (true, _) => RowKind::Missing,
        (_, true) => RowKind::Partial,
        _ => RowKind::Whole,
    };
    let cells = vec![
        network.to_string(),
        network.depth().to_string(),
        protocol.parameters(network).map_or(NONE.to_string(), thousands),
        paper.map_or(NONE.to_string(), paper_error),
        if found.is_empty() { NONE.to_string() } else { complete.len().to_string() },
        bare(final_error),
        bare(spread(|summary| summary.best_test_error)),
        bare(spread(|summary| summary.selected_test_error)),
        deviation.map_or(NONE.to_string(), |deviation| format!("{approximate}{deviation:+.2}")),
        verdict(protocol, paper, &found, kind, deviation),
    ];
    Row { kind, cells }
}

fn paper_error(paper: &CifarResult) -> String {
    match (paper.test_error, paper.network.is_plain()) {
        (Some(best), _) => {
            published(best, paper.mean_test_error.zip(paper.standard_deviation), paper.approximate)
        }
        (None, true) if paper.network.depth() == 110 => "> 60".to_string(),
        (None, _) => NONE.to_string(),
    }
}

fn verdict(
    protocol: &Protocol,
    paper: Option<&CifarResult>,
    found: &[&LoggedRun],
    kind: RowKind,
    deviation: Option<f64>,
) -> String {
    if let (RowKind::Partial, Some(iteration)) =
        (kind, found.iter().find_map(|run| run.summary.diverged_at))
    {
        return format!("diverged at iteration {}", thousands(iteration as i64));
    }
    match kind {
        RowKind::Missing => return "missing".to_string(),
        RowKind::Partial => {
            let done = found.iter().map(|run| run.drawn.done).max().unwrap_or(0);
            return format!(
                "partial: {} of {} iterations",
                thousands(done as i64),
                thousands(protocol.iterations as i64)
            );
        }
        RowKind::Whole | RowKind::Quoted => {}
    }
    let Some(paper) = paper else { return NONE.to_string() };
    if let Some(reason) = protocol.not_comparable() {
        return format!("not comparable: {reason}");
    }
    let band = if paper.approximate { APPROXIMATE_BAND } else { BAND };
    match deviation {
        Some(deviation) if deviation.abs() <= band => format!("inside ± {band}"),
        Some(_) => format!("outside ± {band}"),
        None => NONE.to_string(),
    }
}
