//! Table 5: networks whose scores were averaged, from the files that `evaluate --json` wrote, if
//! there are any among the results.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::paper;
use crate::records::json::read_json;
use crate::report::format::{NONE, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Row, RowKind, Table};
use crate::training::evaluation::views::Views;

/// Files with the test of an ensemble, below the folder of results.
const FILES: &str = "**/ensemble*.json";

/// The test of one ensemble. Errors in percent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ensemble {
    /// The data that it was tested on.
    pub dataset: DatasetName,
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

    fn row(&self, protocol: &Protocol) -> Row {
        let all = protocol
            .runs
            .iter()
            .find_map(|run| run.record.as_ref())
            .map(|record| record.run.dataset.test_images as u64);
        let missing = all.filter(|&all| self.images < all);
        let of = missing.map_or(String::new(), |all| format!(" of {}", thousands(all as i64)));
        let reason = protocol.not_comparable().unwrap_or("validation images".to_string());
        let cells = vec![
            self.label(),
            self.networks.len().to_string(),
            self.views.to_string(),
            format!("{}{of}", thousands(self.images as i64)),
            NONE.to_string(),
            format!("{:.2}", self.error),
            format!("{:.2}", self.top5_error),
            format!("not comparable: {reason}"),
        ];
        Row { kind: RowKind::Whole, cells }
    }
}

/// Table 5: the paper's ensembles and ours.
pub fn table_5(protocol: &Protocol, ensembles: &[Ensemble]) -> Table {
    let papers = paper::table_5().iter().map(|paper| {
        let mut cells = vec![NONE.to_string(); 8];
        cells[0] = paper.label();
        cells[4] = paper.top5.map_or(NONE.to_string(), |error| format!("{error:.2}"));
        let (kind, verdict) = match (paper.quoted, ensembles.is_empty()) {
            (true, _) => (RowKind::Quoted, "quoted"),
            (false, true) => (RowKind::Missing, "missing"),
            (false, false) => (RowKind::Missing, "the paper's"),
        };
        cells[7] = verdict.to_string();
        Row { kind, cells }
    });
    let rows = papers.chain(ensembles.iter().map(|ensemble| ensemble.row(protocol))).collect();
    Table {
        name: "table-5".to_string(),
        title: "Table 5: ensembles, error (%)".to_string(),
        caption:
            "Scores averaged over the networks. The paper's errors are of the hidden test images, as the test server reported them; ours are of the \
                  validation images, so that none is judged (ensemble*.json)."
                .to_string(),
        header: ["ensemble", "networks", "views", "images", "paper top-5", "ours top-1", "ours top-5", "verdict"].map(str::to_string).to_vec(),
        rows,
    }
}
