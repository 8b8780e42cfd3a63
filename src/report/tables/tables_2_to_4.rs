//! Tables 2, 3 and 4: networks in the paper's tests on ImageNet's validation images, beside the
//! paper's numbers.

use crate::config::network_name::NetworkName;
use crate::config::paper;
use crate::config::paper::ImagenetResult;
use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::records::tests_csv::TestRow;
use crate::report::format::{NONE, bare, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Row, RowKind, Table, keep_columns};
use crate::training::evaluation::views::Views;

/// A network is inside the band if its error is this close to the paper's, in percentage points.
/// The paper trained each of these networks once and nothing in it says how far runs scatter: the
/// width is this project's choice, the same as for CIFAR-10.
const BAND: f64 = 0.5;

/// Table 2: what depth does to plain and to residual nets.
pub fn table_2(protocol: &Protocol) -> Table {
    let rows = paper::table_2().iter().map(|paper| row(protocol, Views::TenCrop, paper)).collect();
    let mut table =
        table("table-2", "Table 2: plain and residual nets, top-1 error (%)", Views::TenCrop, rows);
    keep_columns(&mut table, |title| !title.contains("top-5"));
    table
}

/// Table 3, and the networks that neither it nor Table 2 has.
pub fn table_3(protocol: &Protocol) -> Table {
    let known: Vec<&ImagenetResult> = paper::table_2().iter().chain(paper::table_3()).collect();
    let others = protocol
        .networks()
        .into_iter()
        .filter(|&network| !known.iter().any(|paper| paper.network == Some(network)));
    let rows = paper::table_3().iter().map(|paper| row(protocol, Views::TenCrop, paper));
    let rows = rows
        .chain(others.map(|network| row(protocol, Views::TenCrop, &unknown(network))))
        .collect();
    table("table-3", "Table 3: top-1 and top-5 error (%), 10-crop", Views::TenCrop, rows)
}

/// Table 4, and the other networks that were tested in its way.
pub fn table_4(protocol: &Protocol) -> Table {
    let tested = |network: NetworkName| {
        protocol.of_network(network).any(|run| run.test(Views::MultiScale).is_some())
    };
    let others = protocol.networks().into_iter().filter(|&network| {
        !paper::table_4().iter().any(|paper| paper.network == Some(network)) && tested(network)
    });
    let rows = paper::table_4().iter().map(|paper| row(protocol, Views::MultiScale, paper));
    let rows = rows
        .chain(others.map(|network| row(protocol, Views::MultiScale, &unknown(network))))
        .collect();
    table(
        "table-4",
        "Table 4: single models at several scales, top-1 and top-5 error (%)",
        Views::MultiScale,
        rows,
    )
}

fn table(name: &str, title: &str, views: Views, rows: Vec<Row>) -> Table {
    let [top1, top5] = ["top-1", "top-5"].map(|kind| format!("{views} {kind}"));
    let header = [
        "network",
        "paper top-1",
        "paper top-5",
        "seeds",
        &top1,
        &top5,
        "centre crop",
        "deviation top-1",
        "deviation top-5",
        "verdict",
    ];
    let test = match views {
        Views::MultiScale => "the whole image and its mirror image at five scales",
        _ => "ten crops: four corners, centre, and their mirror images",
    };
    Table {
        name: name.to_string(),
        title: title.to_string(),
        caption: format!(
            "Errors of the validation images, mean ± standard deviation over seeds; scores averaged over {test} (tests.csv). Centre crop: top-1 error of one view, after the \
             last iteration (eval.csv). Deviation: ours minus the paper's. Verdict: inside if the top-1 error (top-5 where the paper has no other) is within \
             {BAND} points of the paper's; only complete runs of the paper's recipe on the official data, tested on all images, are judged. Quoted rows are from \
             other papers."
        ),
        header: header.map(str::to_string).to_vec(),
        rows,
    }
}

/// A row for a network that the paper's table does not have.
fn unknown(network: NetworkName) -> ImagenetResult {
    ImagenetResult { name: None, network: Some(network), quoted: false, top1: None, top5: None }
}

fn row(protocol: &Protocol, views: Views, paper: &ImagenetResult) -> Row {
    let found: Vec<&LoggedRun> =
        protocol.runs.iter().copied().filter(|run| paper.network == Some(run.network)).collect();
    let complete: Vec<&LoggedRun> = found
        .iter()
        .copied()
        .filter(|run| run.drawn.is_complete() && run.summary.diverged_at.is_none())
        .collect();
    let spread = |value: fn(&TestRow) -> f64| {
        MeanStd::of(complete.iter().map(|run| run.test(views).map(value)))
    };
    let (top1, top5) = (spread(|test| test.error), spread(|test| test.top5_error));
    let deviation = |ours: Option<MeanStd>, paper: Option<f64>| {
        ours.zip(paper).map(|(ours, paper)| ours.mean - paper)
    };
    let deviations = [deviation(top1, paper.top1), deviation(top5, paper.top5)];
    let number = |value: Option<f64>| value.map_or(NONE.to_string(), |value| format!("{value:.2}"));
    let [first, second] = deviations.map(|deviation| {
        deviation.map_or(NONE.to_string(), |deviation| format!("{deviation:+.2}"))
    });
    let kind = match (found.is_empty(), complete.is_empty(), top1) {
        (true, _, _) if paper.quoted => RowKind::Quoted,
        (true, _, _) | (_, false, None) => RowKind::Missing,
        (_, true, _) => RowKind::Partial,
        _ => RowKind::Whole,
    };
    let seeds = match (found.len(), complete.len(), top1.map(|spread| spread.count)) {
        (0, _, _) => NONE.to_string(),
        (_, complete, Some(tested)) if tested < complete => format!("{tested} of {complete}"),
        (_, complete, _) => complete.to_string(),
    };
    let centre = MeanStd::of(complete.iter().map(|run| run.summary.final_test_error));
    let verdict = verdict(protocol, views, &found, kind, deviations[0].or(deviations[1]));
    let cells = vec![
        paper.label(),
        number(paper.top1),
        number(paper.top5),
        seeds,
        bare(top1),
        bare(top5),
        bare(centre),
        first,
        second,
        verdict,
    ];
    Row { kind, cells }
}

fn verdict(
    protocol: &Protocol,
    views: Views,
    found: &[&LoggedRun],
    kind: RowKind,
    deviation: Option<f64>,
) -> String {
    match kind {
        RowKind::Quoted => return "quoted".to_string(),
        RowKind::Missing => {
            return if found.is_empty() { "missing" } else { "not tested" }.to_string();
        }
        RowKind::Partial => return progress(protocol, found),
        RowKind::Whole => {}
    }
    let Some(deviation) = deviation else { return NONE.to_string() };
    let reasons: Vec<String> = protocol
        .not_comparable()
        .into_iter()
        .chain(found.iter().find_map(|run| partly_tested(run, views)))
        .collect();
    match reasons.is_empty() {
        false => format!("not comparable: {}", reasons.join(", ")),
        true if deviation.abs() <= BAND => format!("inside ± {BAND}"),
        true => format!("outside ± {BAND}"),
    }
}

/// How far runs are of which none is complete.
fn progress(protocol: &Protocol, found: &[&LoggedRun]) -> String {
    match found.iter().find_map(|run| run.summary.diverged_at) {
        Some(iteration) => format!("diverged at iteration {}", thousands(iteration as i64)),
        None => {
            let done = found.iter().map(|run| run.drawn.done).max().unwrap_or(0);
            format!(
                "partial: {} of {}",
                thousands(done as i64),
                thousands(protocol.iterations as i64)
            )
        }
    }
}

/// "500 of 50,000 images tested", if not all were.
fn partly_tested(run: &LoggedRun, views: Views) -> Option<String> {
    let all = run.record.as_ref()?.run.dataset.test_images as i64;
    let tested = run.test(views)?.images as i64;
    (tested < all).then(|| format!("{} of {} images tested", thousands(tested), thousands(all)))
}
