//! The results section of a README, between two markers: made, never typed.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::error::bad_input;
use crate::report::page::Section;
use crate::report::tables::table::RowKind;
use crate::system::atomic_file;

/// Opens the section.
pub const BEGIN: &str = "<!-- results: made by \"resnet-repro figures --readme\" -->";

/// Tables that are shown; the others are in the report.
const SHOWN_TABLES: [&str; 7] =
    ["table-6", "table-2", "table-3", "table-4", "table-5", "test-errors", "training-errors"];

/// Figures that are shown.
const SHOWN_FIGURES: [&str; 2] = ["figure-6", "figure-4"];

/// Closes it.
pub const END: &str = "<!-- end of results -->";

/// Replaces what stands between the markers of `readme` by the figures and tables of `sections`,
/// whose files are in `out`.
pub fn splice(readme: &Path, sections: &[Section], out: &Path) -> Result<()> {
    let text = std::fs::read_to_string(readme)
        .map_err(|error| bad_input(format!("--readme {}: {error}", readme.display())))?;
    let missing = || {
        bad_input(format!(
            "--readme {}: it needs a line {BEGIN} and a line {END} after it",
            readme.display()
        ))
    };
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    let folder = relative(readme, out)?;
    // The first protocol of each data set is the longest; the report has the others.
    let mut datasets = HashSet::new();
    let (shown, others): (Vec<&Section>, Vec<&Section>) =
        sections.iter().partition(|section| datasets.insert(section.protocol.dataset));
    let mut parts: Vec<String> = shown.into_iter().map(|section| part(section, &folder)).collect();
    if !others.is_empty() {
        let titles: Vec<String> = others
            .iter()
            .map(|section| {
                format!("{} ({} runs)", section.protocol.title(), section.protocol.runs.len())
            })
            .collect();
        parts.push(format!("Also in the report: {}.\n", titles.join("; ")));
    }
    atomic_file::write_atomically(
        readme,
        format!("{before}{BEGIN}\n\n{}\n{END}{after}", parts.join("\n")).as_bytes(),
    )
}

/// `out` as seen from the folder of `readme`.
fn relative(readme: &Path, out: &Path) -> Result<String> {
    let home =
        readme.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let [home, out] =
        [home, out].map(|path| path.canonicalize().with_context(|| path.display().to_string()));
    let (home, out) = (home?, out?);
    let inside = out.strip_prefix(&home).map_err(|_| {
        bad_input(format!(
            "--readme {}: {} is not below its folder",
            readme.display(),
            out.display()
        ))
    })?;
    Ok(inside.display().to_string())
}

fn part(section: &Section, folder: &str) -> String {
    let slug = &section.protocol.slug;
    let mut text = format!("### {}\n\n", section.protocol.title());
    for sentence in &section.sentences {
        text.push_str(&format!("{sentence}\n\n"));
    }
    if let Some((chart, _)) =
        section.charts.iter().find(|(chart, _)| SHOWN_FIGURES.contains(&chart.name.as_str()))
    {
        text.push_str(&format!("![{}]({folder}/{slug}/{}.svg)\n\n", chart.title, chart.name));
    }
    for table in section.tables.iter().filter(|table| SHOWN_TABLES.contains(&table.name.as_str())) {
        let mut table = table.clone();
        // The paper's whole table belongs beside numbers that can be compared with it.
        if section.protocol.not_comparable().is_some() {
            table.rows.retain(|row| matches!(row.kind, RowKind::Whole | RowKind::Partial));
        }
        if table.rows.is_empty() {
            continue;
        }
        text.push_str(&format!("**{}**\n\n{}\n", table.title, table.to_markdown()));
    }
    text.push_str(&format!("All figures, tables and their data: [{folder}/{slug}]({folder}/{slug}), [report.html]({folder}/report.html).\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_outside_of_the_markers_is_kept_and_without_them_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (readme, out) = (folder.path().join("README.md"), folder.path().join("results/report"));
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(&readme, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).unwrap();
        splice(&readme, &[], &out).unwrap();
        assert_eq!(
            std::fs::read_to_string(&readme).unwrap(),
            format!("before\n{BEGIN}\n\n\n{END}\nafter\n")
        );
        assert_eq!(relative(&readme, &out).unwrap(), "results/report");
        std::fs::write(&readme, "no markers").unwrap();
        assert!(splice(&readme, &[], &out).unwrap_err().to_string().contains("README.md"));
        assert_eq!(std::fs::read_to_string(&readme).unwrap(), "no markers");
    }
}
