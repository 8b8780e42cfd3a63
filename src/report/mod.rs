//! From logs to numbers, sentences, tables, figures and the report.

pub mod comparison;
pub mod draw;
pub mod figures;
pub mod findings;
pub mod format;
pub mod measurements;
pub mod page;
pub mod pairing;
pub mod protocol;
pub mod readme;
pub mod tables;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use crate::report::comparison::notes;
use crate::report::draw::chart::Chart;
use crate::report::page::{Cost, Section};
use crate::report::protocol::Protocol;
use crate::report::tables::table_5::Ensemble;
use crate::system::atomic_file::check_writable;
use crate::system::parallel;

/// Makes and writes what a protocol has.
pub fn section<'a>(
    protocol: &'a Protocol<'a>,
    ensembles: &[Ensemble],
    out: &Path,
) -> Result<Section<'a>> {
    let folder = out.join(&protocol.slug);
    check_writable("--out", &folder)?;
    let charts = write_all(figures::charts(protocol), &folder)?;
    let tables = tables::tables(protocol, ensembles);
    for table in tables.iter().filter(|table| !table.rows.is_empty()) {
        table.write(&folder)?;
    }
    Ok(Section { protocol, sentences: notes(protocol), charts, tables })
}

/// Makes and writes what there is about the cost of a step; also says which measurements could not
/// be read.
pub fn cost(results: &Path, out: &Path) -> Result<(Cost, Vec<String>)> {
    let (measurements, problems) = measurements::read(results)?;
    let folder = out.join("cost");
    let table = tables::cost::table(&measurements);
    if table.rows.is_empty() {
        return Ok((Cost { charts: Vec::new(), table }, problems));
    }
    check_writable("--out", &folder)?;
    table.write(&folder)?;
    Ok((
        Cost { charts: write_all(figures::cost::charts(&measurements), &folder)?, table },
        problems,
    ))
}

/// Draws the charts, on all cores.
pub fn write_all(charts: Vec<Chart>, folder: &Path) -> Result<Vec<(Chart, String)>> {
    let next = AtomicUsize::new(0);
    let drawn: Vec<Mutex<Option<Result<String>>>> =
        charts.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..parallel::available_threads() {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(chart), Some(slot)) = (charts.get(index), drawn.get(index)) else {
                        break;
                    };
                    *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
                        Some(chart.write(folder));
                }
            });
        }
    });
    let results = drawn
        .into_iter()
        .map(|slot| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()));
    charts
        .into_iter()
        .zip(results)
        .map(|(chart, svg)| {
            Ok((chart, svg.unwrap_or_else(|| Err(anyhow::anyhow!("a figure was not drawn")))?))
        })
        .collect()
}
