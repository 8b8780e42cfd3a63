//! Table 1: the networks for ImageNet and what they cost, computed from their layers.

use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::config::paper::TableOneRow;
use crate::network::architecture;
use crate::network::architecture::table::Architecture;
use crate::report::format::{NONE, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Row, RowKind, Table};

/// Table 1, the networks whose cost the paper compares with, and those of the protocol that it has
/// not.
pub fn table_1(protocol: &Protocol) -> Table {
    let of_paper = (paper::imagenet().crop, paper::imagenet().classes);
    let here = protocol.image_side_and_classes();
    let mut rows: Vec<Vec<String>> =
        paper::table_1().iter().map(|row| cells(row.network, Some(row), of_paper)).collect();
    let others = protocol
        .networks()
        .into_iter()
        .filter(|network| paper::table_1().iter().all(|row| row.network != *network));
    rows.extend(others.map(|network| cells(network, None, of_paper)));
    let mut header: Vec<String> = ["network", "block"].map(str::to_string).to_vec();
    header.extend(
        (2..=5).map(|stage| format!("conv{stage}_x ({0}×{0})", side_of_stage(here.0, stage))),
    );
    header.extend(["parameters", "FLOPs", "paper", "deviation"].map(str::to_string));
    if here != of_paper {
        header.extend([
            format!("parameters, {} classes", thousands(here.1)),
            format!("FLOPs, {0}×{0}", here.0),
        ]);
        for row in &mut rows {
            let built = row[0].parse().ok().and_then(|network| built(network, here));
            row.extend(costs(built.as_ref()));
        }
    }
    Table {
        name: "table-1".to_string(),
        title: "Table 1: networks for ImageNet".to_string(),
        caption: format!(
            "Blocks of each stage, and the side of its maps for images of {0}×{0} pixels as trained here. In front a 7×7 convolution with stride 2 and 3×3 pooling \
             with stride 2, at the end the mean of each map and a fully connected layer (VGG and GoogLeNet: as their papers have them). Parameters and FLOPs \
             (multiply-adds for one image, 1e9) are counted from the layers, for images of {1}×{1} pixels in {2} classes where nothing else is said.",
            here.0,
            of_paper.0,
            thousands(of_paper.1)
        ),
        header,
        rows: rows.into_iter().map(|cells| Row { kind: RowKind::Whole, cells }).collect(),
    }
}

fn cells(
    network: NetworkName,
    paper: Option<&TableOneRow>,
    (side, classes): (i64, i64),
) -> Vec<String> {
    let dash = || NONE.to_string();
    let built = built(network, (side, classes));
    let papers = paper.and_then(|row| row.multiply_adds);
    let deviation = built
        .as_ref()
        .zip(papers)
        .map(|(built, papers)| (built.multiply_adds() as f64 / papers - 1.0) * 100.0);
    // A net with other shortcuts has the blocks of its depth.
    let blocks = paper.or_else(|| {
        paper::table_1()
            .iter()
            .find(|row| row.network.depth() == network.depth() && network.is_residual())
    });
    let mut cells =
        vec![network.to_string(), blocks.and_then(|row| row.block.clone()).unwrap_or_else(dash)];
    match blocks.and_then(|row| row.blocks) {
        Some(blocks) => cells.extend(blocks.map(|count| count.to_string())),
        None => cells.extend((0..4).map(|_| dash())),
    }
    cells.extend(costs(built.as_ref()));
    cells.push(papers.map_or_else(dash, |count| format!("{:.1}", count / 1e9)));
    cells.push(deviation.map_or_else(dash, |percent| format!("{percent:+.1} %")));
    cells
}

/// Parameters and multiply-adds.
fn costs(built: Option<&Architecture>) -> [String; 2] {
    match built {
        Some(built) => [
            thousands(built.parameter_count()),
            format!("{:.2}", built.multiply_adds() as f64 / 1e9),
        ],
        None => [NONE.to_string(), NONE.to_string()],
    }
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
