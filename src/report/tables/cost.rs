//! What a training step costs, as a table.

use crate::network::memory;
use crate::records::measurements::{Measurements, Row};
use crate::report::tables::table::{Row as TableRow, RowKind, Table};

pub fn machine(measured: &Measurements) -> String {
    format!("{}, {} threads", measured.device, measured.threads)
}

/// Every measurement.
pub fn table(measurements: &[Measurements]) -> Table {
    let header = [
        "network",
        "machine",
        "format",
        "batch",
        "images/s",
        "ms",
        "GFLOP/s",
        "of peak",
        "outside conv.",
        "memory",
    ];
    let line = |measured: &Measurements, row: &Row| {
        let width = if row.width == 1 { String::new() } else { format!(", width {}", row.width) };
        TableRow {
            kind: RowKind::Whole,
            cells: vec![
                format!("{}{width}", row.network),
                machine(measured),
                format!(
                    "{}{}{}",
                    row.precision,
                    if row.graph { ", graph" } else { "" },
                    if row.path == "fused" { "" } else { ", separate operations" }
                ),
                row.batch.to_string(),
                format!("{:.0}", row.images_per_second),
                format!("{:.1}", row.milliseconds),
                format!("{:.0}", row.flops_per_second / 1e9),
                format!(
                    "{:.0} %",
                    row.flops_per_second / measured.peaks.operations(row.precision) * 100.0
                ),
                format!("{:.0} %", row.outside_convolutions_percent),
                row.peak_memory_bytes.map_or("–".to_string(), memory::gib),
            ],
        }
    };
    Table {
        name: "cost".to_string(),
        title: "Cost of a training step".to_string(),
        caption: "Of peak: operations a second as a part of those of a large matrix product in the same format. Outside conv.: part of the iteration that is not convolutions, as timed alone.".to_string(),
        header: header.map(str::to_string).to_vec(),
        rows: measurements.iter().flat_map(|measured| measured.rows.iter().map(move |row| line(measured, row))).collect(),
    }
}
