//! Prints what was measured of the project's own kernels.

use anyhow::Result;

use crate::bench::kernels::{KernelMeasurements, measure};
use crate::config::network_name::NetworkName;
use crate::console::output::{print, print_json};
use crate::error::{EXIT_DONE, EXIT_FAILED, bad_input};
use crate::report::tables::table::{Style, render};
use crate::system::device;
use crate::system::device::DeviceChoice;

/// By how much a kernel may differ from the emulator, of the largest value: what a few roundings of
/// bfloat16 grow to on the way through a net, not what a mistake makes.
const TOLERANCE: f64 = 0.05;

/// Measures the kernels of each network's step, and prints a table each or one list as JSON.
pub fn run(networks: &[NetworkName], batch: u64, choice: DeviceChoice, json: bool) -> Result<u8> {
    let device = device::select(choice)?;
    let measured = networks
        .iter()
        .map(|&network| {
            measure(network, batch as i64, device)
                .map_err(|error| bad_input(format!("--kernels: {error:#}")).into())
        })
        .collect::<Result<Vec<_>>>()?;
    if json {
        print_json(&measured)?;
    } else {
        print(&measured.iter().map(text).collect::<Vec<_>>().join("\n\n"))?;
    }
    let wrong = |measured: &KernelMeasurements| {
        let differs = |found: f64| found.is_nan() || found >= TOLERANCE;
        measured.rows.iter().any(|row| row.difference.is_some_and(differs))
    };
    Ok(if measured.iter().any(wrong) { EXIT_FAILED } else { EXIT_DONE })
}

fn text(measured: &KernelMeasurements) -> String {
    let header = ["kernel", "launches", "µs", "GB/s", "difference from the emulator"];
    let rows: Vec<Vec<String>> = measured
        .rows
        .iter()
        .map(|row| {
            vec![
                row.kernel.clone(),
                row.launches.to_string(),
                format!("{:.2}", row.microseconds),
                format!("{:.0}", row.gigabytes_per_second),
                row.difference.map_or("–".to_string(), |found| format!("{found:.1e}")),
            ]
        })
        .collect();
    let overlapping = measured
        .empty_overlap_microseconds
        .map(|time| format!(", {time:.2} where the next may start while it ends"));
    format!(
        "{}, batch {}: {:.1} µs one after the other; a kernel that does nothing takes {:.2} µs{}\n{}",
        measured.network,
        measured.batch,
        measured.step_microseconds,
        measured.empty_microseconds,
        overlapping.unwrap_or_default(),
        render(&header, &rows, Style::Terminal)
    )
}
