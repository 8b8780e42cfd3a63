//! The section of analyses: what was found inside trained nets. One file a kind, with the figures,
//! tables and sentences that it has.

pub mod analysed;
pub mod contours;
pub mod curvature;
pub mod generalisation;
pub mod gradients;
pub mod landscape;
pub mod lesion;
pub mod logarithmic;
pub mod part;
pub mod paths;
pub mod responses;

use crate::analysis::kind::Kind;
use crate::config::network_name::Family;
use crate::report::analyses::analysed::Analysed;
use crate::report::analyses::part::Part;

/// What there is of every kind, for CIFAR's nets and for ImageNet's.
pub fn parts(analysed: &[Analysed], problems: &mut Vec<String>) -> Vec<Part> {
    let mut parts = Vec::new();
    for kind in Kind::ALL {
        for family in [Family::Cifar, Family::Imagenet] {
            let is_meant =
                |one: &&Analysed| one.analysis.record.kind == kind && one.family() == family;
            let analysed: Vec<&Analysed> = analysed.iter().filter(is_meant).collect();
            if !analysed.is_empty() {
                parts.push(named_for(family, part(kind, &analysed, problems)));
            }
        }
    }
    parts
}

/// What there is of one kind. A kind is one file beside this one, and one line here.
fn part<'a>(kind: Kind, analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    match kind {
        Kind::Responses => responses::part(analysed, problems),
        Kind::Lesion => lesion::part(analysed, problems),
        Kind::Gradients => gradients::part(analysed, problems),
        Kind::Paths => paths::part(analysed, problems),
        Kind::Landscape => landscape::part(analysed, problems),
        Kind::Curvature => curvature::part(analysed, problems),
        Kind::Generalisation => generalisation::part(analysed, problems),
    }
}

/// Files and titles of ImageNet's nets say so.
fn named_for(family: Family, mut part: Part) -> Part {
    if family == Family::Imagenet {
        part.title.push_str(", ImageNet's nets");
        let charts = part.charts.iter_mut().map(|chart| (&mut chart.name, &mut chart.title));
        let tables = part.tables.iter_mut().map(|table| (&mut table.name, &mut table.title));
        for (name, title) in charts.chain(tables) {
            name.push_str("-imagenet");
            title.push_str(", ImageNet's nets");
        }
    }
    part
}

/// "5 analyses of 3 nets", and those that are not complete.
pub fn counted(analysed: &[Analysed]) -> (String, Vec<String>) {
    let mut nets: Vec<&str> =
        analysed.iter().map(|one| one.analysis.record.weights_sha256.as_str()).collect();
    nets.sort_unstable();
    nets.dedup();
    let (analyses, ending) = (analysed.len(), if analysed.len() == 1 { "is" } else { "es" });
    let nets = format!("{} net{}", nets.len(), if nets.len() == 1 { "" } else { "s" });
    let partial = analysed.iter().filter(|one| !one.is_complete()).map(|one| {
        format!("{} of {} ({})", one.analysis.record.kind, one.network(), one.path.display())
    });
    (format!("{analyses} analys{ending} of {nets}"), partial.collect())
}
