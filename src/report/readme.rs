//! The results section of a README, between two markers: made, never typed.

use std::path::Path;

use anyhow::{Context, Result};

use crate::error::bad_input;
use crate::report::format::markdown_text;
use crate::report::page::Section;
use crate::report::tables::summary::summary;
use crate::system::{atomic_file, regular_file};

/// Opens the section.
pub const BEGIN: &str = "<!-- results: made by \"resnet-repro figures --readme\" -->";

/// Figures that can be shown, the first that there is.
const SHOWN_FIGURES: [&str; 4] = ["figure-6", "figure-4", "figure-1", "other-nets"];

/// Rows of the table at most.
const MOST_ROWS: usize = 16;

/// Links to other sections at most: a README stays short.
const MOST_LINKS: usize = 12;

/// Closes it.
pub const END: &str = "<!-- end of results -->";

/// Replaces what stands between the markers of `readme` by the first of `sections`, which is the best
/// evidence: its sentences, one figure, one table; and links to the others, whose files are in `out`.
pub fn splice(readme: &Path, sections: &[Section], out: &Path) -> Result<()> {
    let text = regular_file::read_to_string(readme)
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
    let mut parts: Vec<String> =
        sections.first().map(|best| part(best, &folder)).into_iter().collect();
    if let [_, others @ ..] = sections
        && !others.is_empty()
    {
        let mut links: Vec<String> = others
            .iter()
            .take(MOST_LINKS)
            .map(|section| {
                let protocol = section.protocol;
                let (title, slug) = (protocol.title(), &protocol.slug);
                format!("- [{title}]({folder}/{slug}) ({})\n", protocol.count())
            })
            .collect();
        if others.len() > MOST_LINKS {
            let more = others.len() - MOST_LINKS;
            links.push(format!("- {more} more in [report.html]({folder}/report.html)\n"));
        }
        parts.push(format!("Also in the report:\n\n{}", links.concat()));
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
    let protocol = section.protocol;
    let slug = &protocol.slug;
    let mut text = format!("### {}\n\n", protocol.title());
    // One list, so that the section stays short.
    text.extend(
        section.sentences.iter().map(|sentence| format!("- {}\n", markdown_text(sentence))),
    );
    let figure = SHOWN_FIGURES
        .iter()
        .find_map(|name| section.charts.iter().find(|(chart, _)| chart.name == *name));
    if let Some((chart, _)) = figure {
        text.push_str(&format!("\n![{}]({folder}/{slug}/{}.svg)\n", chart.title, chart.name));
    }
    let mut table = summary(protocol);
    let hidden = table.rows.len().saturating_sub(MOST_ROWS);
    table.rows.truncate(MOST_ROWS);
    text.push_str(&format!("\n**{}**\n\n{}\n", table.title, table.to_markdown()));
    if hidden > 0 {
        text.push_str(&format!("{hidden} more in the report.\n\n"));
    }
    text.push_str(&format!(
        "All figures, tables and their data: [{folder}/{slug}]({folder}/{slug}), \
         [report.html]({folder}/report.html).\n"
    ));
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
