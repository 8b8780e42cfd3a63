//! What the report says of a protocol in sentences: what was seen, and what a reader must know
//! before comparing the numbers with the paper's.

use crate::config::dataset_name::DatasetName;
use crate::config::precision::Precision;
use crate::config::recipe::Recipe;
use crate::dataset::data::DataStatus;
use crate::logs::summary::RunSummary;
use crate::report::findings::findings;
use crate::report::format::thousands;
use crate::report::judgement::Judgement;
use crate::report::left_out::LeftOut;
use crate::report::protocol::Protocol;

/// Class names that a sentence lists.
const MOST_CLASS_NAMES: usize = 20;

/// One sentence an entry: findings first.
pub fn notes(protocol: &Protocol) -> Vec<String> {
    let summaries = protocol.summaries();
    let found = findings(&summaries, protocol.batch_size());
    let mut sentences: Vec<String> = found.into_iter().map(|finding| finding.sentence).collect();
    sentences.extend(summaries.iter().filter_map(diverged));
    sentences.extend(length(protocol));
    sentences.extend(data(protocol));
    sentences.extend(recipe(protocol));
    sentences.extend(extended(protocol));
    sentences.extend(protocol.left_out.iter().map(left_out));
    sentences
}

fn diverged(run: &RunSummary) -> Option<String> {
    let iteration = run.diverged_at?;
    Some(format!(
        "{} (seed {}) diverged: its loss was not finite at iteration {}.",
        run.network,
        run.seed,
        thousands(iteration as i64)
    ))
}

/// Whether the paper trains on what these runs are trained on, or on what they stand for.
fn has_paper(protocol: &Protocol) -> bool {
    protocol.dataset != Some(DatasetName::Shapes)
}

/// "pets: 3 classes (cat, dog, fox); 120 training and 12 test images".
fn own_images(protocol: &Protocol) -> String {
    let Some(record) = protocol.record() else { return protocol.data_title().to_string() };
    let data = &record.run.dataset;
    let names = data.class_names.iter().take(MOST_CLASS_NAMES).map(String::as_str);
    let more = if data.class_names.len() > MOST_CLASS_NAMES { ", …" } else { "" };
    format!(
        "{}: {} classes ({}{more}); {} training and {} test images",
        data.title(),
        data.classes,
        names.collect::<Vec<_>>().join(", "),
        thousands(data.training_images as i64),
        thousands(data.test_images as i64)
    )
}

fn length(protocol: &Protocol) -> Option<String> {
    let paper = Recipe::of_paper(protocol.family()).iterations;
    let compared = has_paper(protocol) && protocol.is_beside_paper();
    (compared && protocol.iterations < paper).then(|| {
        let [ours, paper] =
            [protocol.iterations, paper].map(|iterations| thousands(iterations as i64));
        format!(
            "These runs have {ours} iterations, the paper's {paper}: compare the curves, not the \
             final errors."
        )
    })
}

fn data(protocol: &Protocol) -> Option<String> {
    let dataset = protocol.dataset?;
    let sentence = match (dataset, protocol.status) {
        (DatasetName::Shapes, _) => {
            "The synthetic shapes dataset is this program's own: nothing here is compared with the \
             paper."
        }
        (DatasetName::TinyImagenet, _) => {
            "The paper does not train on Tiny-ImageNet: its errors are comparable with each other, \
             not with the paper's."
        }
        (DatasetName::Folder, _) => {
            return Some(format!(
                "The data is no dataset of the paper ({}): its errors are comparable with \
                 each other, not with the paper's.",
                own_images(protocol)
            ));
        }
        (_, Some(DataStatus::Subset)) => {
            return Some(format!(
                "The data is a subset of {}: its errors are not comparable with the paper's.",
                dataset.title()
            ));
        }
        (DatasetName::Cifar10, Some(DataStatus::Other)) => {
            "The data is not the official CIFAR-10 byte for byte (checksum mismatch: reordered or \
             re-encoded): errors may differ for that reason."
        }
        (DatasetName::Imagenet, Some(DataStatus::Other)) => {
            "The data is not the official ImageNet: its errors are not comparable with the paper's."
        }
        _ => return None,
    };
    Some(sentence.to_string())
}

fn recipe(protocol: &Protocol) -> Option<String> {
    if let Judgement::Judged(Some(precision)) = protocol.judgement() {
        return Some(format!(
            "The recipe is the paper's but for its precision, {precision} instead of f32{}",
            match precision {
                Precision::Bf16 =>
                    ": training curves in bf16 agree with float32's within the spread of seeds \
                     (results/2026-11-24-precision), so they are judged, with the precision named.",
                _ => ", which is named in each verdict.",
            }
        ));
    }
    let deviations: Vec<String> = protocol.deviations.iter().map(ToString::to_string).collect();
    (has_paper(protocol) && !deviations.is_empty())
        .then(|| format!("The recipe differs from the paper's: {}.", deviations.join("; ")))
}

fn extended(protocol: &Protocol) -> Option<String> {
    let runs = protocol.extended();
    (!runs.is_empty()).then(|| {
        format!(
            "Extended: {}. Learning rates and evaluations are those of runs that were trained at \
             once.",
            runs.join(", ")
        )
    })
}

fn left_out(LeftOut { run, shown, reason }: &LeftOut) -> String {
    format!(
        "{} seed {} is there more than once: {} is shown, since {reason}; {} is left out, at \
         iteration {}.",
        run.network,
        run.seed,
        shown.path.display(),
        run.path.display(),
        thousands(run.drawn.done as i64)
    )
}
