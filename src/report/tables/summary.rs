//! The one table that README shows: the networks of a protocol that have runs, with their errors,
//! the paper's beside them.

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::{Family, NetworkName};
use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};
use crate::report::tables::{table_6, tables_2_to_4};

/// A column of CIFAR-10's table.
type Cifar<'a> = Column<'a, Entry<table_6::Entry>>;

/// A column of ImageNet's.
type Imagenet<'a> = Column<'a, Entry<tables_2_to_4::Entry>>;

/// A row of another table, with the training error at the end.
struct Entry<E> {
    training: Option<MeanStd>,
    of: E,
}

/// The table.
pub fn summary(protocol: &Protocol) -> Table {
    match protocol.family() {
        Family::Cifar => cifar(protocol),
        Family::Imagenet => imagenet(protocol),
    }
}

fn cifar(protocol: &Protocol) -> Table {
    let rows = rows(protocol, table_6::network_row);
    let on_cifar = protocol.dataset == Some(DatasetName::Cifar10);
    let whole = |count: usize| Cell::Whole(count as i64);
    let columns = vec![
        Cifar::words("network", |row: &Entry<table_6::Entry>| row.of.name.clone()),
        Cifar::new("parameters", &["parameters"], |row| row.of.parameters.clone()),
        Cifar::new("seeds", &["seeds"], move |row| row.of.seeds.map_or(Cell::Missing, whole)),
        Cifar::new("training error", &["training_mean", "training_std"], |row| {
            Cell::spread(row.training)
        }),
        Cifar::new("test error", &["mean", "std"], |row| Cell::spread(row.of.final_error)),
        Cifar::new("paper", &table_6::PAPER_FIELDS, |row| row.of.paper.clone()).only_if(on_cifar),
        Cifar::new("deviation", &["deviation"], |row| row.of.deviation_cell()).only_if(on_cifar),
        Cifar::words("verdict", |row| row.of.verdict.clone()).only_if(on_cifar),
    ];
    table("Final errors (%)", columns, &rows)
}

fn imagenet(protocol: &Protocol) -> Table {
    let rows = rows(protocol, tables_2_to_4::ten_crop_row);
    let beside_paper = protocol.is_beside_paper();
    let columns = vec![
        Imagenet::words("network", |row: &Entry<tables_2_to_4::Entry>| row.of.paper.label()),
        Imagenet::new("seeds", &["seeds", "complete_seeds"], |row| row.of.seeds.clone()),
        Imagenet::new("training error", &["training_mean", "training_std"], |row| {
            Cell::spread(row.training)
        }),
        Imagenet::new("10-crop top-1", &["top1_mean", "top1_std"], |row| Cell::spread(row.of.top1)),
        Imagenet::new("10-crop top-5", &["top5_mean", "top5_std"], |row| Cell::spread(row.of.top5)),
        Imagenet::new("paper top-1", &["paper_top1"], |row| Cell::error(row.of.paper.top1))
            .only_if(beside_paper),
        Imagenet::words("verdict", |row| row.of.verdict.clone()).only_if(beside_paper),
    ];
    table("Validation errors (%)", columns, &rows)
}

fn rows<E>(
    protocol: &Protocol,
    row: impl Fn(&Protocol, NetworkName) -> (RowKind, E),
) -> Vec<(RowKind, Entry<E>)> {
    let networks = protocol.networks().into_iter();
    networks
        .map(|network| {
            let at_the_end = |run: &LoggedRun| run.quarters[3];
            let training = MeanStd::of(protocol.of_network(network).map(at_the_end));
            let (kind, of) = row(protocol, network);
            (kind, Entry { training, of })
        })
        .collect()
}

fn table<E>(title: &str, columns: Vec<Column<Entry<E>>>, rows: &[(RowKind, Entry<E>)]) -> Table {
    let caption = "Mean ± standard deviation over seeds.";
    Table::new(("summary", title), caption, columns, rows)
}
