//! What is refused: one line that names the flag, key or file and what to do, and the documented
//! exit code.

use crate::common::{command, refuse, run, small, stderr, succeed, workspace, write_cifar};
use std::path::Path;
use std::process::Command;
use tch::{Device, Kind, Tensor};

use resnet_repro::config::network_name::NetworkName;
use resnet_repro::network::architecture::cifar;
use resnet_repro::network::parameters::Network;
use resnet_repro::network::weights::write_tensors;

#[test]
fn missing_truncated_and_foreign_data_files() {
    let folder = workspace();
    let evaluate = ["compare", "8", "--data", "data", "--out", "out"];
    refuse(
        folder.path(),
        &["compare", "8", "--data", "nowhere"],
        2,
        &["nowhere", "data_batch_1.bin", "data fetch cifar10"],
    );
    refuse(
        folder.path(),
        &["compare", "8", "--dataset", "cifar10"],
        2,
        &["data/cifar10", "--data"],
    );
    std::fs::remove_file(folder.path().join("data/test_batch.bin")).unwrap();
    refuse(folder.path(), &evaluate, 2, &["data/test_batch.bin", "data fetch cifar10"]);
    std::fs::write(folder.path().join("data/test_batch.bin"), vec![0; 3072]).unwrap();
    refuse(
        folder.path(),
        &evaluate,
        2,
        &["data/test_batch.bin", "3072 bytes", "3073-byte records", "fetch it again"],
    );
    std::fs::write(folder.path().join("data/test_batch.bin"), vec![200; 3073]).unwrap();
    refuse(folder.path(), &evaluate, 2, &["data/test_batch.bin", "label 200"]);
    refuse(
        folder.path(),
        &["compare", "8", "--dataset", "shapes", "--data", "data"],
        2,
        &["shapes is built in", "--dataset cifar10"],
    );
    write_cifar(&folder.path().join("data"), 10, 10);
    std::fs::copy(
        folder.path().join("data/data_batch_1.bin"),
        folder.path().join("data/data_batch_3.bin"),
    )
    .unwrap();
    refuse(folder.path(), &evaluate, 2, &["data/data_batch_2.bin"]);
    assert!(!folder.path().join("out").exists(), "nothing was started");
}

#[test]
fn a_folder_of_images_is_recognized_and_what_is_wrong_with_it_is_said() {
    let folder = workspace();
    let image = |path: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    };
    let train =
        |data: &'static str| ["train", "--network", "resnet-18", "--data", data, "--out", "out"];
    image("classes/cat/1.jpg");
    image("classes/dog/1.jpg");
    refuse(folder.path(), &train("classes"), 2, &["classes", "cat/ looks like a class", "train/"]);
    image("tested/train/cat/1.jpg");
    image("tested/test/cat/1.jpg");
    refuse(folder.path(), &train("tested"), 2, &["tested", "test/", "rename it to val/"]);
    refuse(
        folder.path(),
        &["train", "--network", "resnet-20", "--dataset", "cifar10", "--data", "imagenet=data"],
        2,
        &["--data imagenet=data", "write cifar10=DIR"],
    );
    let named = ["--data", "cifar10=data", "--iterations", "1", "--set", "batch_size=32"];
    succeed(folder.path(), &[&["train", "--network", "plain-8"][..], &named].concat());
    assert!(folder.path().join("runs/train-cifar10-1/plain-8/seed-0/run.toml").exists());
}

#[test]
fn depths_and_networks_that_do_not_exist() {
    let folder = workspace();
    refuse(folder.path(), &["compare", "57"], 2, &["depth 57", "6n+2", "56", "62"]);
    refuse(folder.path(), &["compare", "56", "--shallow", "21"], 2, &["depth 21", "20", "26"]);
    refuse(folder.path(), &["compare", "20", "--shallow", "56"], 2, &["--shallow 56", "20"]);
    refuse(
        folder.path(),
        &["describe", "--network", "vgg-17"],
        2,
        &["vgg-17", "plain-N", "resnet-Nb", "highway-19"],
    );
    refuse(
        folder.path(),
        &["train", "--network", "resnet-21", "--out", "out"],
        2,
        &["--network", "depth 21"],
    );
}

#[test]
fn settings_that_are_unknown_or_out_of_range() {
    let folder = workspace();
    let set = |setting: &str, parts: &[&str]| {
        refuse(folder.path(), &small(&["compare", "8", "--out", "out", "--set", setting]), 2, parts)
    };
    set("learning_rat=0.1", &["--set learning_rat", "learning_rate", "weight_decay"]);
    set("learning_rate", &["--set learning_rate", "KEY=VALUE"]);
    set("learning_rate=-1", &["learning_rate = -1", "above 0"]);
    set("learning_rate=nan", &["learning_rate = NaN", "above 0"]);
    set("learning_rate=fast", &["--set learning_rate=fast"]);
    set("momentum=1.0", &["momentum = 1", "below 1"]);
    set("iterations=0", &["iterations = 0", "1 to"]);
    set("iterations=-5", &["--set iterations=-5"]);
    set("milestones=[20, 10]", &["milestones", "rising"]);
    set("normalize=fancy", &["--set normalize=fancy", "pixel-mean"]);
    set("validation=300", &["validation = 300", "320"]);
    set("batch_size=16", &["--set batch_size", "twice"]);
    refuse(folder.path(), &["compare", "8", "--seeds", "0,0"], 2, &["--seeds 0,0", "twice"]);
    refuse(folder.path(), &["compare", "8", "--seeds", "a"], 2, &["--seeds a", "0,1,2"]);
    refuse(
        folder.path(),
        &["compare", "8", "--seeds", "9999999999999999999"],
        2,
        &["--seeds 9999999999999999999"],
    );
    refuse(folder.path(), &["compare", "8", "--device", "gpu"], 2, &["--device", "cuda:N"]);
    refuse(folder.path(), &["compare", "8", "--device", "cuda:99"], 2, &["--device cuda:99"]);
    // Without a visible GPU, on a machine with one too.
    let output = command(folder.path(), &["compare", "8", "--device", "cuda"])
        .env("CUDA_VISIBLE_DEVICES", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(
        message.contains("--device cuda:0: CUDA cannot be used here")
            && message.contains("--device cpu"),
        "{message}"
    );
    assert!(!folder.path().join("out").exists(), "nothing was started");
}

/// Writes weights of resnet-8 after `change`.
fn write_weights(path: &Path, change: impl FnOnce(&mut Vec<(String, Tensor)>)) {
    let mut tensors =
        Network::new(cifar::architecture(NetworkName::residual(8), 10).unwrap(), 0, Device::Cpu)
            .named_tensors();
    change(&mut tensors);
    write_tensors(path, &tensors, ("network", "resnet-8".to_string())).unwrap();
}

#[test]
fn weights_with_a_missing_an_extra_or_a_misshapen_tensor() {
    let folder = workspace();
    let path = folder.path().join("weights.safetensors");
    let evaluate =
        ["evaluate", "--network", "resnet-8", "--data", "data", "--weights", "weights.safetensors"];
    refuse(folder.path(), &evaluate, 2, &["weights.safetensors", "No such file"]);
    std::fs::write(&path, "PK not safetensors").unwrap();
    refuse(
        folder.path(),
        &evaluate,
        2,
        &["weights.safetensors", "not a safetensors file", "scripts/to_safetensors.py"],
    );
    write_weights(&path, |tensors| tensors.retain(|(name, _)| name != "layer2.0.bn1.running_var"));
    refuse(
        folder.path(),
        &evaluate,
        2,
        &["weights.safetensors", "\"layer2.0.bn1.running_var\"", "missing"],
    );
    let zeros = |sides: &[i64]| Tensor::zeros(sides, (Kind::Float, Device::Cpu));
    write_weights(&path, |tensors| tensors.push(("layer4.0.conv1.weight".into(), zeros(&[2, 2]))));
    refuse(
        folder.path(),
        &evaluate,
        2,
        &["weights.safetensors", "\"layer4.0.conv1.weight\"", "does not belong to resnet-8"],
    );
    write_weights(&path, |tensors| tensors.last_mut().unwrap().1 = zeros(&[7]));
    refuse(folder.path(), &evaluate, 2, &["weights.safetensors", "shape [7]", "needs [64]"]);
    write_weights(&path, |tensors| tensors.push(("bn1.num_batches_tracked".into(), zeros(&[1]))));
    succeed(folder.path(), &evaluate);
}

#[test]
fn output_folders_that_cannot_be_written_or_hold_something_else() {
    let folder = workspace();
    std::fs::write(folder.path().join("file"), "").unwrap();
    refuse(
        folder.path(),
        &small(&["compare", "8", "--iterations", "2", "--out", "file/out"]),
        2,
        &["file/out", "--out"],
    );
    refuse(
        folder.path(),
        &small(&["compare", "8", "--iterations", "2", "--out", "/proc/out"]),
        2,
        &["/proc/out", "--out"],
    );
    let train = |out, iterations| {
        small(&["train", "--network", "plain-8", "--iterations", iterations, "--out", out])
    };
    succeed(folder.path(), &train("run", "2"));
    refuse(
        folder.path(),
        &train("run", "3"),
        2,
        &["run", "holds another run", "recipe.iterations is 2 there, 3 here", "--out"],
    );
    // Milestones and evaluations follow from the iterations, and are another number each.
    refuse(
        folder.path(),
        &train("run", "2000"),
        2,
        &["holds another run", "recipe.iterations is 2 there, 2000 here"],
    );
    refuse(folder.path(), &train("data", "2"), 2, &["data", "holds no run", "--out"]);
    // Other data under the same name is another run too.
    write_cifar(&folder.path().join("data"), 330, 100);
    refuse(folder.path(), &train("run", "2"), 2, &["run", "dataset.fingerprint"]);
    std::fs::write(folder.path().join("run/run.toml"), "state = \"finished\"\n").unwrap();
    refuse(folder.path(), &train("run", "2"), 2, &["run/run.toml", "not a record of this version"]);
}

#[test]
fn a_missing_libtorch_is_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = Path::new(env!("CARGO_BIN_EXE_resnet-repro"));
    let mut engine = std::fs::read(env!("CARGO_BIN_EXE_resnet-repro-engine")).unwrap();
    // The library path in the copy points nowhere, as after .libtorch was removed.
    let path = std::env::var("LIBTORCH")
        .unwrap_or_else(|_| format!("{}/.libtorch/torch", env!("CARGO_MANIFEST_DIR")));
    let path = format!("{path}/lib").into_bytes();
    let mut replaced = 0;
    for position in 0..engine.len() - path.len() {
        if engine[position..].starts_with(&path) {
            engine[position + 1] = b'#';
            replaced += 1;
        }
    }
    assert!(replaced > 0, "the program carries the path of libtorch");
    std::fs::copy(launcher, folder.path().join("resnet-repro")).unwrap();
    std::fs::write(folder.path().join("resnet-repro-engine"), engine).unwrap();
    std::fs::set_permissions(
        folder.path().join("resnet-repro-engine"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let output = Command::new(folder.path().join("resnet-repro"))
        .arg("doctor")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("libtorch 2.11.0")
            && message.contains("libtorch_cpu.so")
            && message.contains("scripts/setup"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// A machine where this cannot be tested passes; the one that must test it says so by CI=true.
fn not_tested(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "not tested: {reason}");
    eprintln!("not tested: {reason}");
}

#[test]
fn a_disk_that_fills_up_keeps_all_rows_and_names_the_log() {
    let folder = workspace();
    // A disk of 64 KiB in a name space of its own; the lock, the record, the first log rows and no
    // more fit on it.
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size=64k tmpfs disk || exit 99
         dd if=/dev/zero of=disk/ballast bs=1k count=44 status=none
         {program} train --network plain-8 --data data --device cpu --iterations 2000 --set batch_size=2 --set evaluate_every=2000 --set augment=false --out disk/run
         code=$?; cp -r disk/run kept; rm disk/ballast
         mount -o remount,size=8m disk && {program} train --network plain-8 --data data --device cpu --iterations 2000 --set batch_size=2 --set evaluate_every=2000 --set augment=false --out disk/run >/dev/null 2>&1 || exit 98
         cp -r disk/run whole; exit $code",
        program = env!("CARGO_BIN_EXE_resnet-repro")
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .env("OMP_NUM_THREADS", "1")
        .current_dir(folder.path())
        .output();
    let Ok(output) = output.map(|output| (output.status.code(), stderr(&output))) else {
        return not_tested("no unshare on this machine");
    };
    if output.0 == Some(99) || output.1.contains("unshare failed") {
        return not_tested("mounting is not allowed on this machine");
    }
    assert_eq!(output.0, Some(1), "{}", output.1);
    let line = output.1.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(
        line.contains("train.csv")
            && line.contains("No space left")
            && line.contains("run the same command again"),
        "{line}"
    );
    let [kept, whole] = ["kept", "whole"]
        .map(|run| std::fs::read_to_string(folder.path().join(run).join("train.csv")).unwrap());
    assert!(
        kept.lines().count() > 10 && kept.ends_with('\n') && whole.starts_with(&kept),
        "what was logged is kept, and is the start of the whole log"
    );
    assert_eq!(whole.lines().count(), 2001);
}

#[test]
fn a_result_that_nobody_reads_is_no_error() {
    let folder = workspace();
    let script = format!(
        "{} describe --network resnet-1202 --json | head -c 10",
        env!("CARGO_BIN_EXE_resnet-repro")
    );
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn typing_errors_are_refused_with_the_nearest_right_spelling() {
    let folder = workspace();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("experiments"), folder.path().join("experiments"))
        .unwrap();
    for (network, meant) in [("resent-20", "resnet-20"), ("resnet20", "resnet-20")] {
        let arguments = ["train", "--network", network];
        refuse(folder.path(), &arguments, 2, &[&format!("did you mean {meant}?")]);
    }
    for (name, meant) in [("quick", "experiments/quick.toml"), ("quik.toml", "experiments/quick")] {
        refuse(folder.path(), &["sweep", name], 2, &[name, "did you mean", meant]);
    }
    for (option, part) in [
        ("--lr", "--set lr=VALUE"),
        ("--epochs", "--iterations N"),
        ("--weight-decay", "--set weight_decay=VALUE"),
    ] {
        let output = run(folder.path(), &["train", "--network", "resnet-20", option, "1"]);
        assert_eq!(output.status.code(), Some(2));
        let message = stderr(&output);
        assert!(message.contains(&format!("'{option}'")) && message.contains(part), "{message}");
    }
    let set =
        |setting| small(&["train", "--network", "plain-8", "--iterations", "1", "--set", setting]);
    refuse(folder.path(), &set("learning_rat=1"), 2, &["did you mean learning_rate?"]);
    succeed(folder.path(), &[set("lr=0.1"), vec!["--set", "milestones=10,20"]].concat());
    let record = folder.path().join("runs/train-cifar10-1/plain-8/seed-0/run.toml");
    let record = std::fs::read_to_string(record).unwrap();
    assert!(record.contains("learning_rate = 0.1\n"), "the record has the key's own name");
    assert!(record.contains("milestones = [10, 20]") || record.contains("milestones = [\n"));
}

#[test]
fn a_depth_of_both_families_says_which_net_was_built() {
    let folder = workspace();
    let text = succeed(folder.path(), &["describe", "--network", "resnet-50"]);
    assert!(text.contains("755,802") && text.contains("--dataset imagenet"), "{text}");
    let text = succeed(folder.path(), &["describe", "--network", "resnet-56"]);
    assert!(!text.contains("note: "), "{text}");
    let built = |command: &[&str]| {
        let output = run(folder.path(), &small(&[command, &["--iterations", "1"]].concat()));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let told = stderr(&output);
        told.contains("755802 parameters") && told.contains("--dataset imagenet")
    };
    assert!(built(&["train", "--network", "resnet-50"]));
    assert!(built(&["compare", "50", "--shallow", "8"]));
    assert!(!built(&["compare", "14", "--shallow", "8"]));
    refuse(
        folder.path(),
        &["train", "--network", "resnet-34", "--dataset", "cifar10", "--data", "data"],
        2,
        &["resnet-34", "--dataset imagenet"],
    );
}

#[test]
fn weights_that_want_another_normalization_are_doubted() {
    let folder = workspace();
    write_weights(&folder.path().join("weights.safetensors"), |_| {});
    let output = run(
        folder.path(),
        &[
            "evaluate",
            "--network",
            "resnet-8",
            "--data",
            "data",
            "--weights",
            "weights.safetensors",
        ],
    );
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(
        message.contains("note: an error of") && message.contains("--normalize imagenet"),
        "{message}"
    );
}

#[test]
fn a_folder_for_event_files_that_cannot_be_made_is_refused_before_anything_is_trained() {
    let folder = workspace();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for command in [&["train", "--network", "plain-8"][..], &["compare", "8"]] {
        let rest = ["--iterations", "2", "--out", "out", "--tensorboard", "file/events"];
        let arguments = small(&[command, &rest].concat());
        refuse(folder.path(), &arguments, 2, &["--tensorboard file/events: cannot be written"]);
        assert!(!folder.path().join("out/train.csv").exists());
    }
}
