//! Prints what was measured of the project's own kernels.

use anyhow::Result;

use crate::bench::kernels::{KernelMeasurements, KernelRow, measure};
use crate::config::network_name::NetworkName;
use crate::console::output::{print, print_json};
use crate::error::{EXIT_DONE, EXIT_FAILED, bad_input};
use crate::kernels::cuda::Taken;
use crate::report::tables::table::{Style, render};
use crate::system::device;
use crate::system::device::DeviceChoice;

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
    let agree = measured.iter().flat_map(|measured| &measured.rows).all(KernelRow::agrees);
    Ok(if agree { EXIT_DONE } else { EXIT_FAILED })
}

fn text(measured: &KernelMeasurements) -> String {
    let header = [
        "kernel",
        "launches",
        "µs",
        "GB/s",
        "registers, local bytes, blocks",
        "difference from the emulator",
    ];
    let rows: Vec<Vec<String>> = measured
        .rows
        .iter()
        .map(|row| {
            let timed = |text: String| if row.launches > 0 { text } else { "–".to_string() };
            let taken = row.taken.map(|Taken { registers, spilled_bytes, blocks }| {
                format!("{registers}, {spilled_bytes}, {blocks}")
            });
            let verdict = if row.agrees() { "" } else { " too large" };
            vec![
                row.kernel.clone(),
                timed(row.launches.to_string()),
                timed(format!("{:.2}", row.microseconds)),
                timed(format!("{:.0}", row.gigabytes_per_second)),
                taken.unwrap_or_else(|| "–".to_string()),
                format!("{:.1e}{verdict}", row.difference),
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
