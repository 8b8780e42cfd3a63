//! What a training step costs, as a table.

use crate::network::memory;
use crate::records::measurements::{Measurements, Row};
use crate::report::format::counted;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of this table.
type Of<'a> = Column<'a, Case<'a>>;

/// A case of a measurement.
type Case<'a> = (&'a Measurements, &'a Row);

/// Where it was measured.
pub fn machine(measured: &Measurements) -> String {
    format!("{}, {}", measured.device, counted(measured.threads as usize, "thread"))
}

/// Every measurement. CSV: images a second and milliseconds at the median, operations a second
/// (1e9), parts in percent, memory in bytes.
pub fn table(measurements: &[Measurements]) -> Table {
    let rows: Vec<(RowKind, Case)> = measurements
        .iter()
        .flat_map(|measured| measured.rows.iter().map(move |row| (RowKind::Whole, (measured, row))))
        .collect();
    let of_peak = |(measured, row): &Case| {
        row.flops_per_second / measured.peaks.operations(row.precision) * 100.0
    };
    let percent = |value: f64| Cell::Written(format!("{value:.0} %"), vec![format!("{value:.2}")]);
    let columns = vec![
        Of::words("network", |(_, row): &Case| match row.width {
            1 => row.network.to_string(),
            width => format!("{}, width {width}", row.network),
        }),
        Of::words("machine", |(measured, _)| machine(measured)),
        Of::words("precision", |(_, row)| {
            let graph = if row.graph { ", graph" } else { "" };
            let path = if row.path == "fused" { "" } else { ", separate operations" };
            format!("{}{graph}{path}", row.precision)
        }),
        Of::new("batch", &["batch"], |(_, row)| Cell::Whole(row.batch as i64)),
        Of::new("images/s", &["images_per_second"], |(_, row)| {
            Cell::Number(row.images_per_second, 0)
        }),
        Of::new("ms", &["milliseconds"], |(_, row)| Cell::Number(row.milliseconds, 1)),
        Of::new("GFLOP/s", &["gflops_per_second"], |(_, row)| {
            Cell::Number(row.flops_per_second / 1e9, 0)
        }),
        Of::new("of peak", &["percent_of_peak"], move |case| percent(of_peak(case))),
        Of::new("outside conv.", &["percent_outside_convolutions"], move |(_, row)| {
            percent(row.outside_convolutions_percent)
        }),
        Of::new("memory", &["peak_memory_bytes"], |(_, row)| {
            row.peak_memory_bytes.map_or(Cell::Missing, |bytes| {
                Cell::Written(memory::gib(bytes), vec![bytes.to_string()])
            })
        }),
    ];
    let caption = "Of peak: operations a second as a part of those of a large matrix product in \
                   the same precision. Outside conv.: part of the iteration that is not \
                   convolutions, as timed alone.";
    Table::new(("cost", "Cost of a training step"), caption, columns, &rows)
}
