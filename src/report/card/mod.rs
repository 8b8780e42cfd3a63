//! The model card of exported weights: what they are, how they were trained and how good they are,
//! how to load them.

use std::fmt::Write;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::{BottleneckStride, Family, NetworkName};
use crate::config::recipe::Normalize;
use crate::config::recipe::Recipe;
use crate::config::reference::{rows, shown};
use crate::config::seeds;
use crate::config::shortcut::Shortcut;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::RunSummary;
use crate::records::run_toml::{RunConfig, RunRecord};
use crate::report::format::{markdown_text, percent, thousands};

/// PyTorch code of the paper's nets for CIFAR-10, which goes with them.
pub const RESNET_PY: &str = include_str!("resnet.py");

/// Where PyTorch has a definition of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// A function of `torchvision.models`.
    Torchvision(&'static str),
    /// [`RESNET_PY`]: the depth and the shortcut option as Python writes them.
    Card(u64, &'static str),
    /// Nowhere: the names of its tensors follow torchvision's.
    None,
}

impl Definition {
    /// Of a network on a dataset.
    pub fn of(network: NetworkName, dataset: DatasetName) -> Definition {
        let first = BottleneckStride::First1x1;
        match (dataset.family(), network) {
            (Family::Cifar, NetworkName::Plain { depth, .. }) => Definition::Card(depth, "None"),
            (Family::Cifar, NetworkName::Residual { depth, shortcut, .. }) => {
                let option = match shortcut {
                    Shortcut::OptionA => "\"a\"",
                    Shortcut::OptionB => "\"b\"",
                    Shortcut::OptionC => "\"c\"",
                };
                Definition::Card(depth, option)
            }
            (Family::Imagenet, NetworkName::Residual { depth, shortcut, stride }) => {
                match (depth, shortcut, stride == first) {
                    (18, Shortcut::OptionB, _) => Definition::Torchvision("resnet18"),
                    (34, Shortcut::OptionB, _) => Definition::Torchvision("resnet34"),
                    (50, Shortcut::OptionB, false) => Definition::Torchvision("resnet50"),
                    (101, Shortcut::OptionB, false) => Definition::Torchvision("resnet101"),
                    (152, Shortcut::OptionB, false) => Definition::Torchvision("resnet152"),
                    _ => Definition::None,
                }
            }
            (Family::Imagenet, NetworkName::Vgg { depth: 16 }) => Definition::Torchvision("vgg16"),
            (Family::Imagenet, NetworkName::Vgg { depth: 19 }) => Definition::Torchvision("vgg19"),
            _ => Definition::None,
        }
    }
}

/// What a card tells of.
pub struct Subject<'a> {
    /// The run's record.
    pub record: &'a RunRecord,
    /// The run and those of the same config with other seeds, by seed.
    pub seeds: &'a [RunSummary],
    /// The written files with their SHA-256.
    pub files: &'a [(String, String)],
    /// Whether the mean image is one of them.
    pub has_mean: bool,
}

/// The card as Markdown, with the header that model hubs read.
pub fn card(subject: &Subject) -> String {
    let run = &subject.record.run;
    let (network, dataset) = (run.network, run.dataset.name);
    let initial = run.initial_weights.as_ref();
    let license = if initial.is_none() { "mit" } else { "other" };
    let mut text = format!(
        "---\nlicense: {license}\nlibrary_name: pytorch\npipeline_tag: image-classification\ntags: [resnet, image-classification]\ndatasets: [{dataset}]\nmetrics: [accuracy]\n---\n\n# {network} on {}\n\n",
        markdown_text(run.dataset.title())
    );
    let _ = write!(
        text,
        "Weights of {network} ({} parameters) from *Deep Residual Learning for Image Recognition* (He, Zhang, Ren, Sun, 2015, \
         [arXiv 1512.03385](https://arxiv.org/abs/1512.03385)), trained by resnet-repro {}, seed {}.\n\n",
        thousands(subject.record.parameters),
        subject.record.provenance.version,
        run.seed
    );
    results(&mut text, subject);
    training(&mut text, subject.record);
    loading(&mut text, subject);
    text.push_str("## Files\n\n| file | SHA-256 |\n|---|---|\n");
    for (name, hash) in subject.files {
        let _ = writeln!(text, "| `{name}` | `{hash}` |");
    }
    text.push('\n');
    text.push_str(&match initial {
        None => "The weights are under the MIT licence, as the program is.".to_string(),
        Some(initial) => format!(
            "The weights were trained on from a file with SHA-256 `{}`, whose licence holds for them too: put its name here and into this page's header.",
            initial.sha256
        ),
    });
    text.push_str(" The data has terms of its own.\n");
    text
}

fn results(text: &mut String, subject: &Subject) {
    let of = |value: fn(&RunSummary) -> Option<f64>| {
        percent(MeanStd::of(subject.seeds.iter().map(value)))
    };
    let own = subject.seeds.iter().find(|run| run.seed == subject.record.run.seed);
    let single =
        |error: Option<f64>| error.map_or("–".to_string(), |error| format!("{error:.2} %"));
    text.push_str("## Results\n\n| | training error | test error |\n|---|---:|---:|\n");
    let _ = writeln!(
        text,
        "| these weights (seed {}) | {} | {} |",
        subject.record.run.seed,
        single(own.and_then(|run| run.training_error)),
        single(own.and_then(|run| run.final_test_error))
    );
    if subject.seeds.len() > 1 {
        let numbers: Vec<u64> = subject.seeds.iter().map(|run| run.seed).collect();
        let _ = writeln!(
            text,
            "| seeds {}: mean ± standard deviation | {} | {} |",
            seeds::shown(&numbers),
            of(|run| run.training_error),
            of(|run| run.final_test_error)
        );
    }
    text.push_str(
        "\nErrors are top-1, after the last iteration; the training error is that of the last batches, augmented, in training mode.\n\n",
    );
}

fn training(text: &mut String, record: &RunRecord) {
    let run = &record.run;
    let data = &run.dataset;
    text.push_str("## Training\n\n");
    match record.differences_from_paper.is_empty() {
        true => text.push_str("The recipe is the paper's.\n\n"),
        false => {
            text.push_str("The recipe differs from the paper's:\n\n");
            for difference in &record.differences_from_paper {
                let _ = writeln!(text, "- {}", markdown_text(difference));
            }
            text.push('\n');
        }
    }
    let machine = &record.provenance.machine;
    let _ = write!(
        text,
        "Data: {} ({}; {} training images, {} test images, {} classes; fingerprint `{}`).\nTrained at revision `{}` with libtorch {} on {}.\n\n",
        markdown_text(data.title()),
        data.status,
        thousands(data.training_images as i64),
        thousands(data.test_images as i64),
        data.classes,
        data.fingerprint,
        record.provenance.git_revision,
        record.provenance.libtorch,
        markdown_text(machine.gpu.as_ref().unwrap_or(&machine.processor)),
    );
    text.push_str("| key | value |\n|---|---|\n");
    let recipe: &Recipe = &run.recipe;
    for row in rows(recipe, recipe).iter().filter(|row| row.value.is_some()) {
        let _ = writeln!(text, "| {} | {} |", row.key, shown(row.value.as_ref()));
    }
    text.push('\n');
}

/// What `evaluate` has to be told of a run's images, beside the dataset.
fn images(run: &RunConfig) -> String {
    let own = if run.dataset.name == DatasetName::Folder { " --data DIR" } else { "" };
    let usual = Recipe::for_dataset(run.dataset.name);
    let keys = [
        ("crop", run.recipe.crop, usual.crop),
        ("test_scale", run.recipe.test_scale, usual.test_scale),
    ];
    let changed = keys.into_iter().filter(|(_, value, usual)| value != usual);
    let settings = changed.filter_map(|(key, value, _)| Some(format!(" --set {key}={}", value?)));
    format!("{own}{}", settings.collect::<String>())
}

/// How test images become pixels, where they are files of any size.
fn view(run: &RunConfig) -> String {
    let side = run.recipe.image_side();
    run.recipe.test_scale.map_or(String::new(), |scale| {
        format!(
            " The images are scaled to a shorter side of {scale} pixels (Pillow's bilinear filter) and cropped to {side} in the middle."
        )
    })
}

fn loading(text: &mut String, subject: &Subject) {
    let run = &subject.record.run;
    let (network, dataset, classes) = (run.network, run.dataset.name, run.dataset.classes);
    text.push_str("## Loading\n\nIn PyTorch:\n\n");
    let net = match Definition::of(network, dataset) {
        Definition::Torchvision(function) => {
            format!(
                "from torchvision.models import {function}\n\nnet = {function}(num_classes={classes})"
            )
        }
        Definition::Card(depth, shortcut) => {
            format!(
                "from resnet import ResNet  # beside this file\n\nnet = ResNet({depth}, {shortcut}, {classes})"
            )
        }
        Definition::None => {
            "net = ...  # a definition of this network; tensors have torchvision's names"
                .to_string()
        }
    };
    let (mean, scale) = match (run.recipe.normalize, subject.has_mean) {
        (Normalize::Imagenet, _) => (
            "mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)",
            " / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)",
        ),
        (_, true) => ("mean = load_file(\"mean_image.safetensors\")[\"mean_image\"]", ""),
        (_, false) => {
            ("mean = ...  # the mean training image, [3, side, side], pixels in [0, 1]", "")
        }
    };
    let _ = write!(
        text,
        "```python\nimport torch\nfrom safetensors.torch import load_file\n{net}\nnet.load_state_dict(load_file(\"model.safetensors\"))\nnet.eval()\n{mean}\n\n\n\
         def scores(pixels):\n    \"\"\"Class scores of images, uint8 [N, 3, {side}, {side}].{view}\"\"\"\n    with torch.no_grad():\n        return net((pixels / 255 - mean){scale})\n```\n\n",
        side = run.recipe.image_side(),
        view = view(run)
    );
    let _ = write!(
        text,
        "In resnet-repro:\n\n```\nresnet-repro evaluate --network {network} --dataset {dataset} --weights model.safetensors{}\n```\n\n",
        images(run)
    );
}
