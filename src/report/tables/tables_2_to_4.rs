//! Tables 2, 3 and 4: networks in the paper's tests on ImageNet's validation images, beside the
//! paper's numbers.

use crate::config::network_name::NetworkName;
use crate::config::paper;
use crate::config::paper::ImagenetResult;
use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::records::tests_csv::TestRow;
use crate::report::format::{NONE, thousands};
use crate::report::judgement::Judgement;
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};
use crate::training::evaluation::views::Views;

/// A column of this table.
type Of<'a> = Column<'a, Entry>;

/// A network is inside the band if its error is this close to the paper's, in percentage points.
/// The paper trained each of these networks once and nothing in it says how far runs scatter: the
/// width is this project's choice, the same as for CIFAR-10.
const BAND: f64 = 0.5;

/// A row: a network in one of the paper's tests, with the paper's errors.
pub(super) struct Entry {
    pub(super) paper: ImagenetResult,
    pub(super) seeds: Cell,
    pub(super) top1: Option<MeanStd>,
    pub(super) top5: Option<MeanStd>,
    pub(super) centre: Option<MeanStd>,
    pub(super) deviations: [Option<f64>; 2],
    pub(super) verdict: String,
}

/// Table 2: what depth does to plain and to residual nets. CSV: as Table 3's, top-1 alone.
pub fn table_2(protocol: &Protocol) -> Table {
    let rows: Vec<(RowKind, Entry)> =
        paper::table_2().iter().map(|paper| row(protocol, Views::TenCrop, paper)).collect();
    let title = "Table 2: plain and residual nets, top-1 error (%)";
    table(("table-2", title), Views::TenCrop, false, &rows)
}

/// Table 3, and the networks that neither it nor Table 2 has. CSV: errors in percent; `top1_mean`
/// and `top1_std` (top-5 likewise) over `seeds` tested of `complete_seeds`, `centre_mean` and
/// `centre_std` of one view, `deviation` is ours minus the paper's.
pub fn table_3(protocol: &Protocol) -> Table {
    let known: Vec<&ImagenetResult> = paper::table_2().iter().chain(paper::table_3()).collect();
    let others = protocol
        .networks()
        .into_iter()
        .filter(|&network| !known.iter().any(|paper| paper.network == Some(network)));
    let rows = paper::table_3().iter().map(|paper| row(protocol, Views::TenCrop, paper));
    let rows: Vec<(RowKind, Entry)> = rows
        .chain(others.map(|network| row(protocol, Views::TenCrop, &unknown(network))))
        .collect();
    let title = "Table 3: top-1 and top-5 error (%), 10-crop";
    table(("table-3", title), Views::TenCrop, true, &rows)
}

/// Table 4, and the other networks that were tested in its way. CSV: as Table 3's.
pub fn table_4(protocol: &Protocol) -> Table {
    let tested = |network: NetworkName| {
        protocol.of_network(network).any(|run| run.test(Views::MultiScale).is_some())
    };
    let others = protocol.networks().into_iter().filter(|&network| {
        !paper::table_4().iter().any(|paper| paper.network == Some(network)) && tested(network)
    });
    let rows = paper::table_4().iter().map(|paper| row(protocol, Views::MultiScale, paper));
    let rows: Vec<(RowKind, Entry)> = rows
        .chain(others.map(|network| row(protocol, Views::MultiScale, &unknown(network))))
        .collect();
    let title = "Table 4: single models at several scales, top-1 and top-5 error (%)";
    table(("table-4", title), Views::MultiScale, true, &rows)
}

/// The same tests of own images, which the paper has no numbers for: ten crops, and several scales
/// where a network was tested so. CSV: as Table 3's.
pub fn own_images(protocol: &Protocol) -> Vec<Table> {
    let of = |views: Views, name: &str| {
        let networks = protocol.networks().into_iter();
        let rows: Vec<(RowKind, Entry)> =
            networks.map(|network| row(protocol, views, &unknown(network))).collect();
        let columns = vec![
            Of::words("network", |row: &Entry| row.paper.label()),
            Of::new("seeds", &["seeds", "complete_seeds"], |row| row.seeds.clone()),
            Of::new("top-1", &["top1_mean", "top1_std"], |row| Cell::spread(row.top1)),
            Of::new("top-5", &["top5_mean", "top5_std"], |row| Cell::spread(row.top5)),
            Of::new("centre crop", &["centre_mean", "centre_std"], |row| Cell::spread(row.centre)),
        ];
        let caption = format!(
            "Errors of the test images, mean ± standard deviation over seeds; scores averaged over \
             {} (tests.csv). Centre crop: top-1 error of one view, after the last iteration \
             (eval.csv).",
            test(views)
        );
        Table::new((name, &format!("Test error (%), {views}")), caption, columns, &rows)
    };
    let is_multi_scale = protocol.runs.iter().any(|run| run.test(Views::MultiScale).is_some());
    let mut tables = vec![of(Views::TenCrop, "test-10-crop")];
    tables.extend(is_multi_scale.then(|| of(Views::MultiScale, "test-multi-scale")));
    tables
}

/// What the scores of a test are averaged over.
fn test(views: Views) -> &'static str {
    match views {
        Views::MultiScale => "the whole image and its horizontal flip at five scales",
        _ => "ten crops: four corners, centre, and their horizontal flips",
    }
}

fn table(names: (&str, &str), views: Views, top5: bool, rows: &[(RowKind, Entry)]) -> Table {
    let signed = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Signed(value, 2));
    let columns = vec![
        Of::words("network", |row: &Entry| row.paper.label()),
        Of::new("paper top-1", &["paper_top1"], |row| Cell::error(row.paper.top1)),
        Of::new("paper top-5", &["paper_top5"], |row| Cell::error(row.paper.top5)).only_if(top5),
        Of::new("seeds", &["seeds", "complete_seeds"], |row| row.seeds.clone()),
        Of::new(format!("{views} top-1"), &["top1_mean", "top1_std"], |row| Cell::spread(row.top1)),
        Of::new(format!("{views} top-5"), &["top5_mean", "top5_std"], |row| Cell::spread(row.top5))
            .only_if(top5),
        Of::new("centre crop", &["centre_mean", "centre_std"], |row| Cell::spread(row.centre)),
        Of::new("deviation top-1", &["deviation_top1"], move |row| signed(row.deviations[0])),
        Of::new("deviation top-5", &["deviation_top5"], move |row| signed(row.deviations[1]))
            .only_if(top5),
        Of::words("verdict", |row| row.verdict.clone()),
    ];
    let test = test(views);
    let caption = format!(
        "Errors of the validation images, mean ± standard deviation over seeds; scores averaged \
         over {test} (tests.csv). Centre crop: top-1 error of one view, after the last iteration \
         (eval.csv). Deviation: ours minus the paper's. Verdict: inside if the top-1 error (top-5 \
         where the paper has no other) is within {BAND} points of the paper's; only complete runs \
         of the paper's recipe on the official data, tested on all images, are judged, those in \
         another precision with its name. Quoted rows are from other papers."
    );
    Table::new(names, caption, columns, rows)
}

/// The row of a network in the test with ten crops, with the paper's errors where it has them.
pub(super) fn ten_crop_row(protocol: &Protocol, network: NetworkName) -> (RowKind, Entry) {
    let mut known =
        paper::table_3().iter().chain(paper::table_2()).filter(|_| protocol.is_beside_paper());
    match known.find(|paper| paper.network == Some(network)) {
        Some(paper) => row(protocol, Views::TenCrop, paper),
        None => row(protocol, Views::TenCrop, &unknown(network)),
    }
}

/// A row for a network that the paper's table does not have.
fn unknown(network: NetworkName) -> ImagenetResult {
    ImagenetResult { name: None, network: Some(network), quoted: false, top1: None, top5: None }
}

fn row(protocol: &Protocol, views: Views, paper: &ImagenetResult) -> (RowKind, Entry) {
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
    let kind = match (found.is_empty(), complete.is_empty(), top1) {
        (true, _, _) if paper.quoted => RowKind::Quoted,
        (true, _, _) | (_, false, None) => RowKind::Missing,
        (_, true, _) => RowKind::Partial,
        _ => RowKind::Whole,
    };
    let entry = Entry {
        paper: paper.clone(),
        seeds: seeds(found.len(), complete.len(), top1.map(|spread| spread.count)),
        top1,
        top5,
        centre: MeanStd::of(complete.iter().map(|run| run.summary.final_test_error)),
        deviations,
        verdict: verdict(protocol, views, &found, kind, deviations[0].or(deviations[1])),
    };
    (kind, entry)
}

/// How many seeds were tested, "1 of 2" if not all of the complete ones.
fn seeds(found: usize, complete: usize, tested: Option<usize>) -> Cell {
    let shown = match tested {
        _ if found == 0 => return Cell::Missing,
        Some(tested) if tested < complete => format!("{tested} of {complete}"),
        _ => complete.to_string(),
    };
    Cell::Written(shown, vec![tested.unwrap_or(0).to_string(), complete.to_string()])
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
        RowKind::Whole | RowKind::LeftOut => {}
    }
    let Some(deviation) = deviation else { return NONE.to_string() };
    let partly = found.iter().find_map(|run| partly_tested(run, views));
    let judgement = match (protocol.judgement(), partly) {
        (Judgement::Judged(_), Some(partly)) => Judgement::NotComparable(partly),
        (Judgement::NotComparable(reason), Some(partly)) => {
            Judgement::NotComparable(format!("{reason}, {partly}"))
        }
        (judgement, None) => judgement,
    };
    judgement.verdict(deviation, BAND)
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
