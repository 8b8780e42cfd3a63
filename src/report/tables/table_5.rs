//! Table 5: networks whose scores were averaged, from the files that `evaluate --json` wrote, if
//! there are any among the results.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::paper;
use crate::records::json::read_json;
use crate::report::format::thousands;
use crate::report::judgement::Judgement;
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};
use crate::training::evaluation::views::Views;

/// A column of this table.
type Of<'a> = Column<'a, Entry<'a>>;

/// Files with the test of an ensemble, below the folder of results.
const FILES: &str = "**/ensemble*.json";

/// The test of one ensemble. Errors in percent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ensemble {
    /// The data that it was tested on.
    pub dataset: DatasetName,
    /// What own images are called.
    #[serde(default)]
    pub title: Option<String>,
    /// Its networks.
    pub networks: Vec<NetworkName>,
    /// The views of each image whose scores were averaged.
    pub views: Views,
    /// Images.
    pub images: u64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Top-1 error.
    pub error: f64,
    /// Top-5 error.
    pub top5_error: f64,
}

/// Reads every ensemble below `results`, in the order of the files' names; also why some could not
/// be read.
pub fn read(results: &Path) -> Result<(Vec<Ensemble>, Vec<String>)> {
    read_json(results, FILES, "the test of an ensemble")
}

/// The ensembles whose place is in the section of each of the `protocols`. A file says of which
/// networks, not of which runs it is: it belongs to the first protocol that has complete runs of
/// all of them. Those without a place come last.
pub fn assign(
    protocols: &[Protocol],
    ensembles: Vec<Ensemble>,
) -> (Vec<Vec<Ensemble>>, Vec<Ensemble>) {
    let (mut places, mut homeless) = (vec![Vec::new(); protocols.len()], Vec::new());
    for ensemble in ensembles {
        let complete = |protocol: &Protocol, network| {
            protocol.of_network(network).any(|run| run.drawn.is_complete())
        };
        let place = protocols.iter().position(|protocol| {
            protocol.dataset == Some(ensemble.dataset)
                && protocol.own_title() == ensemble.title.as_deref()
                && ensemble.networks.iter().all(|&network| complete(protocol, network))
        });
        match place {
            Some(place) => places[place].push(ensemble),
            None => homeless.push(ensemble),
        }
    }
    (places, homeless)
}

impl Ensemble {
    /// Its networks, such as "resnet-50 + 2 × resnet-101".
    pub fn label(&self) -> String {
        let mut counts: Vec<(NetworkName, usize)> = Vec::new();
        for &network in &self.networks {
            match counts.iter_mut().find(|(other, _)| *other == network) {
                Some((_, count)) => *count += 1,
                None => counts.push((network, 1)),
            }
        }
        let parts = counts.iter().map(|(network, count)| {
            if *count == 1 { network.to_string() } else { format!("{count} × {network}") }
        });
        parts.collect::<Vec<_>>().join(" + ")
    }
}

/// A row: the paper's ensemble, or ours.
struct Entry<'a> {
    label: String,
    paper: Option<f64>,
    ours: Option<&'a Ensemble>,
    verdict: String,
}

/// Table 5: the paper's ensembles and ours; of own images, ours alone. CSV: errors in percent; `images` are those that were
/// tested, `of_images` all that there are.
pub fn table_5(protocol: &Protocol, ensembles: &[Ensemble]) -> Table {
    let mut rows: Vec<(RowKind, Entry)> = paper::table_5()
        .iter()
        .filter(|_| protocol.is_beside_paper())
        .map(|paper| {
            let (kind, verdict) = match (paper.quoted, ensembles.is_empty()) {
                (true, _) => (RowKind::Quoted, "quoted"),
                (false, true) => (RowKind::Missing, "missing"),
                (false, false) => (RowKind::Missing, "the paper's"),
            };
            let verdict = verdict.to_string();
            (kind, Entry { label: paper.label(), paper: paper.top5, ours: None, verdict })
        })
        .collect();
    let reason = match protocol.judgement() {
        Judgement::NotComparable(reason) => reason,
        Judgement::Judged(_) => "validation images".to_string(),
    };
    rows.extend(ensembles.iter().map(|ensemble| {
        let verdict = format!("not comparable: {reason}");
        let entry = Entry { label: ensemble.label(), paper: None, ours: Some(ensemble), verdict };
        (RowKind::Whole, entry)
    }));
    let all = protocol.record().map(|record| record.run.dataset.test_images as u64);
    let ours = |row: &Entry, cell: &dyn Fn(&Ensemble) -> Cell| row.ours.map_or(Cell::Missing, cell);
    let beside_paper = protocol.is_beside_paper();
    let columns = vec![
        Of::words("ensemble", |row: &Entry| row.label.clone()),
        Of::new("networks", &["networks"], move |row| {
            ours(row, &|one| Cell::Whole(one.networks.len() as i64))
        }),
        Of::new("views", &["views"], move |row| {
            ours(row, &|one| Cell::text(one.views.to_string()))
        }),
        Of::new("images", &["images", "of_images"], move |row| {
            ours(row, &|one| images(one.images, all))
        }),
        Of::new("paper top-5", &["paper_top5"], |row| Cell::error(row.paper)).only_if(beside_paper),
        Of::new("ours top-1", &["top1"], move |row| ours(row, &|one| Cell::error(Some(one.error)))),
        Of::new("ours top-5", &["top5"], move |row| {
            ours(row, &|one| Cell::error(Some(one.top5_error)))
        }),
        Of::words("verdict", |row| row.verdict.clone()).only_if(beside_paper),
    ];
    if !beside_paper {
        let caption = "Scores averaged over the networks (ensemble*.json).";
        return Table::new(("ensembles", "Ensembles, error (%)"), caption, columns, &rows);
    }
    let caption = "Scores averaged over the networks. The paper's errors are of the hidden test \
                   images, as the test server reported them; ours are of the validation images, so \
                   that none is judged (ensemble*.json).";
    Table::new(("table-5", "Table 5: ensembles, error (%)"), caption, columns, &rows)
}

/// "500 of 1,000", or "1,000" where all were tested.
fn images(tested: u64, all: Option<u64>) -> Cell {
    let shown = thousands(tested as i64);
    let of = all
        .filter(|&all| tested < all)
        .map_or(String::new(), |all| format!(" of {}", thousands(all as i64)));
    let all = all.map_or(String::new(), |all| all.to_string());
    Cell::Written(format!("{shown}{of}"), vec![tested.to_string(), all])
}
