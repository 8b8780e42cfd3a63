//! From logs to the report: the flow of `figures`. Protocols become sections, each with its
//! sentences, figures and tables; all of them become one page.

pub mod analyses;
pub mod band;
pub mod card;
pub mod claims;
pub mod comparison;
pub mod difference;
pub mod draw;
pub mod figures;
pub mod findings;
pub mod format;
pub mod judgement;
pub mod latex;
pub mod left_out;
pub mod measurements;
pub mod notes;
pub mod page;
pub mod pairing;
pub mod protocol;
pub mod readme;
pub mod tables;
pub mod title;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

use crate::analysis::record::Analysis;
use crate::report::analyses::analysed::paired;
use crate::report::band::drawn::{DrawnReference, fitting};
use crate::report::draw::chart::Chart;
use crate::report::notes::notes;
use crate::report::page::{Contents, Cost, Inside, InsidePart, Section, Standing, page};
use crate::report::protocol::Protocol;
use crate::report::tables::table_5;
use crate::report::tables::table_5::Ensemble;
use crate::system::atomic_file;
use crate::system::atomic_file::check_writable;
use crate::system::parallel;

/// What was made.
pub struct Report<'a> {
    /// One section a protocol, the best evidence first.
    pub sections: Vec<Section<'a>>,
    /// What analyses found.
    pub inside: Inside,
    /// The page with all of it.
    pub page: PathBuf,
    /// What could not be read or drawn, one line each.
    pub problems: Vec<String>,
}

/// Makes and writes everything about `protocols` into `out`. Ensembles and measurements are read
/// from `results`, below which `analyses` lie; `unread` are runs and analyses that could not be read.
/// The bands of `references` are drawn behind the curves of runs of the same network, data and length.
pub fn make<'a>(
    protocols: &'a [Protocol<'a>],
    references: &[DrawnReference],
    analyses: Vec<Analysis>,
    (results, out): (&Path, &Path),
    unread: &[String],
) -> Result<Report<'a>> {
    check_writable("--out", out)?;
    // What a kill left of a figure that was being written.
    atomic_file::remove_old_leftovers(out);
    let mut problems: Vec<String> =
        unread.iter().map(|problem| format!("not read: {problem}")).collect();
    let (ensembles, unread) = table_5::read(results)?;
    problems.extend(unread.iter().map(|problem| format!("not read: {problem}")));
    let (places, homeless) = table_5::assign(protocols, ensembles);
    problems.extend(homeless.iter().map(|one| {
        format!(
            "not shown: {} on {}: an ensemble of networks without complete runs",
            one.label(),
            one.dataset
        )
    }));
    let mut sections = Vec::new();
    for (protocol, ensembles) in protocols.iter().zip(&places) {
        let references = fitting(references, protocol);
        sections.push(section(protocol, &references, ensembles, out, &mut problems)?);
    }
    let cost = cost(results, out, &mut problems)?;
    let inside = inside(protocols, analyses, (results, out), &mut problems)?;
    let claims = tables::claims::table(&claims::ledger(protocols, results)?);
    let folder = out.join(page::CLAIMS);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    claims.write(&folder, "")?;
    let command = format!("resnet-repro figures {}", results.display());
    let path = out.join("report.html");
    let contents = Contents {
        standing: None,
        sections: &sections,
        cost: &cost,
        inside: &inside,
        claims: &claims,
    };
    let text = page(&contents, Some(&command), &problems)?;
    atomic_file::write_atomically(&path, text.as_bytes())?;
    Ok(Report { sections, inside, page: path, problems })
}

/// The page alone of a sweep that is at work: how its runs stand, and what the logs of `protocols`
/// show so far. `problems` are runs that could not be read.
pub fn watched(protocols: &[Protocol], standing: &Standing, problems: &[String]) -> Result<String> {
    let mut problems: Vec<String> =
        problems.iter().map(|problem| format!("not read: {problem}")).collect();
    let mut sections = Vec::new();
    for protocol in protocols {
        let charts =
            drawable(figures::charts(protocol, &[]), Path::new(&protocol.slug), &mut problems)
                .into_iter()
                .map(|chart| chart.to_svg().map(|svg| (chart, svg)))
                .collect::<Result<_>>()?;
        let tables = tables::tables(protocol, &[]);
        sections.push(Section { protocol, sentences: notes(protocol), charts, tables });
    }
    let cost = Cost { charts: Vec::new(), table: tables::cost::table(&[]) };
    let inside = Inside { count: String::new(), partial: Vec::new(), parts: Vec::new() };
    let contents = Contents {
        standing: Some(standing),
        sections: &sections,
        cost: &cost,
        inside: &inside,
        claims: &tables::claims::table(&[]),
    };
    page(&contents, None, &problems)
}

/// Makes and writes what a protocol has.
fn section<'a>(
    protocol: &'a Protocol<'a>,
    references: &[&DrawnReference],
    ensembles: &[Ensemble],
    out: &Path,
    problems: &mut Vec<String>,
) -> Result<Section<'a>> {
    let folder = out.join(&protocol.slug);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let charts = write_all(figures::charts(protocol, references), &folder, problems)?;
    let tables = tables::tables(protocol, ensembles);
    for table in tables.iter().filter(|table| !table.rows.is_empty()) {
        table.write(&folder, &protocol.title())?;
    }
    Ok(Section { protocol, sentences: notes(protocol), charts, tables })
}

/// Makes and writes what there is about the cost of a step.
fn cost(results: &Path, out: &Path, problems: &mut Vec<String>) -> Result<Cost> {
    let (measurements, unread) = measurements::read(results)?;
    problems.extend(unread.iter().map(|problem| format!("not read: {problem}")));
    let table = tables::cost::table(&measurements);
    if table.rows.is_empty() {
        return Ok(Cost { charts: Vec::new(), table });
    }
    let folder = out.join(page::COST);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    table.write(&folder, "")?;
    let charts = write_all(figures::cost::charts(&measurements), &folder, problems)?;
    Ok(Cost { charts, table })
}

/// Makes and writes what the analyses below `results` found.
fn inside(
    protocols: &[Protocol],
    analyses: Vec<Analysis>,
    (results, out): (&Path, &Path),
    problems: &mut Vec<String>,
) -> Result<Inside> {
    let analysed = paired(protocols, results, analyses, problems);
    let (count, partial) = analyses::counted(&analysed);
    let mut inside = Inside { count, partial, parts: Vec::new() };
    if analysed.is_empty() {
        return Ok(inside);
    }
    let folder = out.join(page::ANALYSES);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for part in analyses::parts(&analysed, problems) {
        let charts = write_all(part.charts, &folder, problems)?;
        for table in part.tables.iter().filter(|table| !table.rows.is_empty()) {
            table.write(&folder, "")?;
        }
        let (title, sentences, tables) = (part.title, part.sentences, part.tables);
        inside.parts.push(InsidePart { title, sentences, charts, tables });
    }
    Ok(inside)
}

/// The charts but for those whose axes no drawing can have, which are named in `problems`.
fn drawable(charts: Vec<Chart>, folder: &Path, problems: &mut Vec<String>) -> Vec<Chart> {
    let (charts, strange): (Vec<Chart>, Vec<Chart>) =
        charts.into_iter().partition(Chart::can_be_drawn);
    problems.extend(strange.iter().map(|chart| {
        format!("not drawn: {}: its values are out of range", folder.join(&chart.name).display())
    }));
    charts
}

/// Draws the charts that can be drawn, on all cores.
fn write_all(
    charts: Vec<Chart>,
    folder: &Path,
    problems: &mut Vec<String>,
) -> Result<Vec<(Chart, String)>> {
    let charts = drawable(charts, folder, problems);
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
