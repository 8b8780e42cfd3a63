//! Table 1: the networks for ImageNet and what they cost, computed from their layers.

use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::config::paper::TableOneRow;
use crate::network::architecture;
use crate::network::architecture::table::Architecture;
use crate::report::format::{NONE, number, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of this table.
type Of<'a> = Column<'a, Network>;

/// A network, with what the paper says of it.
struct Network {
    name: NetworkName,
    block: Option<String>,
    blocks: Option<[usize; 4]>,
    /// As the paper has it: for its images and classes.
    built: Option<Architecture>,
    /// For those of the protocol.
    here: Option<Architecture>,
    /// The paper's multiply-adds.
    paper: Option<f64>,
}

/// Table 1, the networks whose cost the paper compares with, and those of the protocol that it has
/// not. CSV: multiply-adds in 1e9, the deviation from the paper's in percent.
pub fn table_1(protocol: &Protocol) -> Table {
    let of_paper = (paper::imagenet().crop, paper::imagenet().classes);
    let here = protocol.image_side_and_classes();
    let others = protocol
        .networks()
        .into_iter()
        .filter(|network| paper::table_1().iter().all(|row| row.network != *network));
    let rows: Vec<(RowKind, Network)> = paper::table_1()
        .iter()
        .map(|row| (row.network, Some(row)))
        .chain(others.map(|network| (network, None)))
        .map(|(network, row)| (RowKind::Whole, Network::new(network, row, of_paper, here)))
        .collect();
    let stage = |stage: u32| {
        let side = side_of_stage(here.0, stage);
        let field = format!("conv{stage}_blocks");
        Of::new(format!("conv{stage}_x ({side}×{side})"), &[&field], move |row: &Network| {
            row.blocks
                .map_or(Cell::Missing, |blocks| Cell::Whole(blocks[stage as usize - 2] as i64))
        })
    };
    let mut columns = vec![
        Of::words("network", |row: &Network| row.name.to_string()),
        Of::words("block", |row| row.block.clone().unwrap_or(NONE.to_string())),
    ];
    columns.extend((2..=5).map(stage));
    columns.extend([
        Of::new("parameters", &["parameters"], |row: &Network| parameters(&row.built)),
        Of::new("FLOPs", &["gflops"], |row| multiply_adds(&row.built)),
        Of::new("paper", &["paper_gflops"], |row| {
            row.paper.map_or(Cell::Missing, |count| Cell::Number(count / 1e9, 1))
        }),
        Of::new("deviation", &["deviation_percent"], deviation),
        Of::new(
            format!("parameters, {} classes", thousands(here.1)),
            &["parameters_here"],
            |row| parameters(&row.here),
        )
        .only_if(here != of_paper),
        Of::new(format!("FLOPs, {0}×{0}", here.0), &["gflops_here"], |row| {
            multiply_adds(&row.here)
        })
        .only_if(here != of_paper),
    ]);
    let caption = format!(
        "Blocks of each stage, and the side of its maps for images of {0}×{0} pixels as trained \
         here. In front a 7×7 convolution with stride 2 and 3×3 pooling with stride 2, at the end \
         the mean of each map and a fully connected layer (VGG and GoogLeNet: as their papers have \
         them). Parameters and FLOPs (multiply-adds for one image, 1e9) are counted from the \
         layers, for images of {1}×{1} pixels in {2} classes where nothing else is said.",
        here.0,
        of_paper.0,
        thousands(of_paper.1)
    );
    Table::new(("table-1", "Table 1: networks for ImageNet"), caption, columns, &rows)
}

impl Network {
    fn new(
        name: NetworkName,
        row: Option<&TableOneRow>,
        of_paper: (i64, i64),
        here: (i64, i64),
    ) -> Network {
        // A net with other shortcuts has the blocks of its depth.
        let blocks = row.or_else(|| {
            paper::table_1()
                .iter()
                .find(|row| row.network.depth() == name.depth() && name.is_residual())
        });
        Network {
            name,
            block: blocks.and_then(|row| row.block.clone()),
            blocks: blocks.and_then(|row| row.blocks),
            built: built(name, of_paper),
            here: built(name, here),
            paper: row.and_then(|row| row.multiply_adds),
        }
    }
}

fn parameters(built: &Option<Architecture>) -> Cell {
    built.as_ref().map_or(Cell::Missing, |built| Cell::Whole(built.parameter_count()))
}

fn multiply_adds(built: &Option<Architecture>) -> Cell {
    built
        .as_ref()
        .map_or(Cell::Missing, |built| Cell::Number(built.multiply_adds() as f64 / 1e9, 2))
}

fn deviation(row: &Network) -> Cell {
    let Some((built, paper)) = row.built.as_ref().zip(row.paper) else { return Cell::Missing };
    let percent = (built.multiply_adds() as f64 / paper - 1.0) * 100.0;
    Cell::Written(format!("{percent:+.1} %"), vec![number(percent)])
}

fn built(network: NetworkName, (side, classes): (i64, i64)) -> Option<Architecture> {
    architecture::build(network, Family::Imagenet, side, classes).ok()
}

/// Side of the maps of conv2_x … conv5_x: the first convolution, the pooling and each later stage
/// halve it, rounding up.
fn side_of_stage(image_side: i64, stage: u32) -> i64 {
    (0..stage).fold(image_side, |side, _| (side + 1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_have_the_sides_of_table_1() {
        assert_eq!([2, 3, 4, 5].map(|stage| side_of_stage(224, stage)), [56, 28, 14, 7]);
        assert_eq!([2, 3, 4, 5].map(|stage| side_of_stage(56, stage)), [14, 7, 4, 2]);
    }
}
