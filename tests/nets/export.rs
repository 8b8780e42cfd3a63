//! `export`: weights for PyTorch and torchvision, with the same class scores there.
//!
//! What needs PyTorch runs with the Python that RESNET_REPRO_TORCHVISION names, as in
//! tests/nets/torchvision.rs.

use crate::common;
use crate::common::{refuse, small, succeed, workspace};
use crate::image_folder;
use safetensors::SafeTensors;
use std::path::Path;
use std::process::Command;
use tch::{Device, Kind, Tensor};

use resnet_repro::config::network_name::Family;
use resnet_repro::network::architecture;
use resnet_repro::network::forward::pass::Mode;
use resnet_repro::network::parameters::Network;

const PYTHON: &str = "RESNET_REPRO_TORCHVISION";

/// Of the largest class score.
const TOLERANCE: f64 = 1e-4;

/// Runs a script of Python in `folder`; false if no Python is named, which is said.
fn torch(folder: &Path, script: &str) -> bool {
    let Some(python) = std::env::var_os(PYTHON) else {
        eprintln!("skipped: {PYTHON} names no Python with torchvision");
        return false;
    };
    python_runs(Command::new(python), folder, script);
    true
}

fn python_runs(mut python: Command, folder: &Path, script: &str) {
    let output = python.args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn tensor(path: &Path, name: &str) -> Tensor {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
    Tensor::from_data_size(view.data(), &shape, Kind::Float)
}

/// The largest difference between the scores that Python left in `scores.safetensors`, of the
/// `images` there, and this program's, of the largest score.
fn difference(folder: &Path, network: &str, family: Family, classes: i64, weights: &Path) -> f64 {
    let [images, expected] =
        ["images", "scores"].map(|name| tensor(&folder.join("scores.safetensors"), name));
    let side = images.size()[3];
    let table = architecture::build(network.parse().unwrap(), family, side, classes).unwrap();
    let mut network = Network::new(table, 0, Device::Cpu);
    network.load_weights(weights).unwrap();
    let images = images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    let scores = tch::no_grad(|| network.forward(&images, Mode::Evaluation));
    (scores - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[])
}

/// Trains a network for two iterations on small data, to `runs/<network>/seed-<k>`.
fn train(folder: &Path, network: &str, seed: &str) -> String {
    let out = format!("runs/{network}/seed-{seed}");
    let arguments =
        ["train", "--network", network, "--iterations", "2", "--seed", seed, "--out", &out];
    succeed(folder, &small(&arguments));
    out
}

/// The Python code of a card.
fn code(card: &str) -> String {
    card.split("```python\n").nth(1).unwrap().split("```").next().unwrap().to_string()
}

#[test]
fn a_cards_code_computes_the_same_scores_for_plain_and_residual_nets() {
    let folder = workspace();
    for network in ["plain-8", "resnet-8", "resnet-14b", "resnet-8c"] {
        let run = train(folder.path(), network, "0");
        let out = format!("hub/{network}");
        succeed(folder.path(), &["export", &run, "--to", "hub", &out, "--data", "data"]);
        let out = folder.path().join(out);
        let card = std::fs::read_to_string(out.join("README.md")).unwrap();
        // Scores of random images, and the loss of the test images, which the run has logged.
        let script = format!(
            "{}{}",
            code(&card),
            "
import csv
from safetensors.torch import save_file
torch.manual_seed(0)
pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
save_file({'images': (pixels / 255 - mean).contiguous(), 'scores': scores(pixels)}, 'scores.safetensors')
rows = torch.frombuffer(bytearray(open('../../data/test_batch.bin', 'rb').read()), dtype=torch.uint8)
rows = rows.view(-1, 3073)
tested = scores(rows[:, 1:].reshape(-1, 3, 32, 32))
loss = torch.nn.functional.cross_entropy(tested, rows[:, 0].long()).item()
logged = list(csv.DictReader(open('../../runs/NETWORK/seed-0/eval.csv')))[-1]
assert abs(loss - float(logged['loss'])) < 1e-4 * max(1, loss), (loss, logged)
"
            .replace("NETWORK", network)
        );
        if !torch(&out, &script) {
            return;
        }
        let found = difference(&out, network, Family::Cifar, 10, &out.join("model.safetensors"));
        println!("{network}: {found:.1e} of the largest class score");
        assert!(found < TOLERANCE, "{network}: {found:.1e}");
    }
}

#[test]
fn torchvisions_and_timms_models_take_the_files_and_compute_the_same_scores() {
    if std::env::var_os(PYTHON).is_none() {
        eprintln!("skipped: {PYTHON} names no Python with torchvision");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    image_folder::write(path, 8, 2);
    let mut arguments = vec!["train", "--network", "resnet-18b", "--dataset", "imagenet"];
    arguments.extend(["--data", "images", "--device", "cpu", "--iterations", "1", "--out", "run"]);
    for setting in ["batch_size=8", "crop=32", "scale=[32, 40]", "test_scale=40"] {
        arguments.extend(["--set", setting]);
    }
    succeed(path, &arguments);
    succeed(path, &["export", "run", "--to", "torchvision", "out", "--data", "imagenet=images"]);
    let script = "\
import timm, torch, torchvision
from safetensors.torch import load_file, save_file
net = torchvision.models.resnet18(num_classes=3)
state = torch.load('out/resnet-18b.pth', weights_only=True)
net.load_state_dict(state)
other = load_file('out/resnet-18b.safetensors')
assert state.keys() == other.keys()
assert all(torch.equal(state[name], other[name]) for name in other)
mean = torch.load('out/mean_image.pth', weights_only=True, mmap=True)['mean_image']
assert mean.shape == (3, 32, 32) and 0 < mean.min() and mean.max() < 1
torch.manual_seed(0)
images = torch.rand(2, 3, 32, 32)
net.eval()
with torch.no_grad():
    scores = net(images)
    save_file({'images': images, 'scores': scores}, 'scores.safetensors')
net = timm.create_model('resnet18', num_classes=3).eval()
net.load_state_dict(state)
with torch.no_grad():
    assert (net(images) - scores).abs().max() < 1e-5 * scores.abs().max()
";
    assert!(torch(path, script));
    let weights = path.join("run/weights.safetensors");
    let found = difference(path, "resnet-18b", Family::Imagenet, 3, &weights);
    assert!(found < TOLERANCE, "{found:.1e}");
}

#[test]
fn a_pth_file_is_a_whole_archive_with_the_names_of_public_cifar_nets() {
    let folder = workspace();
    let run = train(folder.path(), "resnet-8", "0");
    succeed(folder.path(), &["export", &run, "--to", "pth", "out", "--without-mean"]);
    // Python's own reader of archives and pickles, without PyTorch.
    let script = "\
import collections, io, pickle, sys, zipfile
archive = zipfile.ZipFile('out/resnet-8.pth')
assert archive.testzip() is None
class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ('collections', 'OrderedDict'):
            return collections.OrderedDict
        assert (module, name) in [('torch._utils', '_rebuild_tensor_v2'), ('torch', 'FloatStorage')]
        return lambda *values: values
    def persistent_load(self, saved):
        kind, storage, key, place, count = saved
        assert (kind, place) == ('storage', 'cpu')
        data = archive.read('archive/data/' + key)
        assert len(data) == 4 * count
        return data
state = Reader(io.BytesIO(archive.read('archive/data.pkl'))).load()
data, offset, size, stride, gradient, hooks = state['linear.weight']
assert (offset, size, stride, gradient) == (0, (10, 64), (64, 1), False)
assert 'fc.weight' not in state and 'layer3.0.bn2.running_var' in state
import json, struct
own = open(sys.argv[1] if len(sys.argv) > 1 else 'runs/resnet-8/seed-0/weights.safetensors', 'rb').read()
length = struct.unpack('<Q', own[:8])[0]
header = json.loads(own[8:8 + length])
for name, entry in header.items():
    if name == '__metadata__':
        continue
    begin, end = entry['data_offsets']
    key = name.replace('fc.', 'linear.') if name.startswith('fc.') else name
    assert state[key][0] == own[8 + length + begin:8 + length + end], name
    assert list(state[key][2]) == entry['shape'], name
assert len(state) == len(header) - 1
";
    python_runs(Command::new("python3"), folder.path(), script);
    let script = "\
import torch
state = torch.load('out/resnet-8.pth', weights_only=True)
assert state['linear.weight'].shape == (10, 64)
";
    torch(folder.path(), script);
}

#[test]
fn a_card_has_recipe_seeds_data_and_hashes() {
    let folder = workspace();
    let run = train(folder.path(), "resnet-8", "0");
    train(folder.path(), "resnet-8", "2");
    let text = succeed(folder.path(), &["export", &run, "--to", "hub", "out", "--data", "data"]);
    let out = folder.path().join("out");
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    let hash = text.lines().find_map(|line| line.strip_prefix("out/model.safetensors  ")).unwrap();
    for part in [
        "license: mit",
        "| these weights (seed 0) |",
        "| seeds 0,2: mean ± standard deviation |",
        "- iterations 2 instead of 64000",
        "| batch_size | 32 |",
        "320 training images, 100 test images, 10 classes",
        "net = ResNet(8, \"a\", 10)",
        hash,
    ] {
        assert!(card.contains(part), "no {part} in {card}");
    }
    let config = std::fs::read_to_string(out.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!((&config["network"], &config["num_classes"]), (&"resnet-8".into(), &10.into()));
    assert_eq!(config["weights_sha256"], hash);
    // What was written is read back here.
    let model = out.join("model.safetensors");
    let evaluate = ["evaluate", "--network", "resnet-8", "--dataset", "cifar10", "--data", "data"];
    succeed(folder.path(), &[&evaluate[..], &["--weights", model.to_str().unwrap()]].concat());
    // Weights that come of others are not this project's alone to license.
    let on = small(&["train", "--network", "resnet-8", "--iterations", "1", "--out", "on"]);
    succeed(folder.path(), &[&on[..], &["--weights", model.to_str().unwrap()]].concat());
    let export = ["export", "on", "--to", "hub", "derived", "--without-mean"];
    succeed(folder.path(), &export);
    let card = std::fs::read_to_string(folder.path().join("derived/README.md")).unwrap();
    assert!(card.contains("license: other") && card.contains(hash), "{card}");
}

#[test]
fn what_cannot_be_exported_is_named() {
    let folder = workspace();
    let path = folder.path();
    let run = train(path, "resnet-8", "0");
    let export = |more: &[&'static str]| [&["export", run.as_str()], more].concat();
    refuse(path, &export(&["--to", "torchvision", "out"]), 2, &["torchvision has no resnet-8"]);
    refuse(path, &export(&["--to", "hub", "out", "--data", "none"]), 2, &["none"]);
    let other = common::write_cifar(&path.join("other"), 330, 100);
    assert!(other.exists());
    refuse(path, &export(&["--to", "hub", "out", "--data", "other"]), 2, &["fingerprint"]);
    refuse(path, &export(&["--to", "pth", "out", "--data", "imagenet=x"]), 2, &["imagenet=x"]);
    refuse(path, &["export", "none", "--to", "pth", "out"], 2, &["none: there is no run"]);
    std::fs::write(path.join("file"), "").unwrap();
    refuse(
        path,
        &export(&["--to", "pth", "file", "--without-mean"]),
        2,
        &["file: cannot be written"],
    );
    // Weights that are not the run's.
    let weights = path.join(&run).join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    refuse(path, &export(&["--to", "pth", "out"]), 2, &["not the weights that the run ended with"]);
}
