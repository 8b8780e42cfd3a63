//! Own images (`--dataset folder`): class folders and lists of labels, through the real program.

use crate::common;
use crate::image_folder;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::{assert_same_run, stderr, stdout};
use crate::image_folder::{CLASSES, jpeg};

/// The program in `folder`, with a cache of its own.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = common::command(folder, arguments);
    command.env("RESNET_REPRO_CACHE", folder.join("cache"));
    command
}

fn done(folder: &Path, arguments: &[&str]) -> Output {
    let output = command(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", stderr(&output));
    output
}

/// `data check` says no with exit code 2 and one line that holds all of `parts`.
fn refused(folder: &Path, data: &str, parts: &[&str]) {
    let arguments = ["data", "check", "folder", "--data", data];
    let output = command(folder, &arguments).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{parts:?}\n{message}{}", stdout(&output));
    let [line] = message.lines().collect::<Vec<_>>()[..] else { panic!("not a line: {message}") };
    for part in parts {
        assert!(line.contains(part), "\"{part}\" is not in: {line}");
    }
    assert!(!line.contains('\u{1b}'), "{line:?}");
}

fn check(folder: &Path, data: &str) -> serde_json::Value {
    let output = done(folder, &["data", "check", "folder", "--data", data, "--json"]);
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn counts(checked: &serde_json::Value) -> (u64, u64) {
    ["training_images", "test_images"].map(|key| checked[key].as_u64().unwrap()).into()
}

fn train(folder: &Path, network: &str, data: &str, out: &str, more: &[&str]) {
    let fixed = ["train", "--dataset", "folder", "--network", network, "--device", "cpu"];
    let rest = ["--data", data, "--out", out, "--checkpoint-every", "0"];
    let settings = ["--set", "crop=32", "--set", "batch_size=8", "--set", "learning_rate=0.01"];
    let length: &[&str] = if more.is_empty() { &["--iterations", "3"] } else { more };
    done(folder, &[&fixed[..], &rest, &settings, length].concat());
}

/// Class folders in `name`, below them `count` images each.
fn class_folders(folder: &Path, name: &str, count: usize) -> PathBuf {
    let root = folder.join(name);
    for (class, class_name) in CLASSES.iter().enumerate() {
        std::fs::create_dir_all(root.join(class_name)).unwrap();
        for number in 0..count {
            std::fs::write(
                root.join(class_name).join(format!("{number}.jpg")),
                jpeg(class, number),
            )
            .unwrap();
        }
    }
    root
}

/// Writes a file below `root`.
fn write(root: &Path, file: &str, text: impl AsRef<[u8]>) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_run_on_own_images_has_their_name_and_classes_and_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let root = class_folders(folder.path(), "my pets", 12);
    write(&root, "dataset.toml", "test_percent = 25\n");
    train(folder.path(), "resnet-18", "my pets", "runs/a/resnet-18/seed-0", &[]);
    train(folder.path(), "plain-18", "my pets", "runs/a/plain-18/seed-0", &[]);
    let text =
        std::fs::read_to_string(folder.path().join("runs/a/resnet-18/seed-0/run.toml")).unwrap();
    let record: toml::Table = text.parse().unwrap();
    let data = record["run"]["dataset"].as_table().unwrap();
    assert_eq!(data["name"].as_str(), Some("folder"));
    assert_eq!(data["title"].as_str(), Some("my pets"));
    assert_eq!(data["test_percent"].as_float(), Some(25.0));
    let names: Vec<&str> =
        data["class_names"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(names, CLASSES);
    let recipe = record["run"]["recipe"].as_table().unwrap();
    // As the crop of 224 is to images of 256 to 480.
    assert_eq!(recipe["scale"].to_string(), "[37, 69]");
    assert_eq!(recipe["test_scale"].as_integer(), Some(37));
    let differences = record["differences_from_paper"].as_array().unwrap();
    assert!(differences.iter().any(|one| one.as_str() == Some("crop 32 instead of 224")), "{text}");
    // Interrupted after two iterations.
    let cut = folder.path().join("cut");
    let mut child = command(
        folder.path(),
        &[
            &["train", "--dataset", "folder", "--network", "resnet-18", "--device", "cpu"][..],
            &["--data", "my pets", "--out", "cut", "--checkpoint-every", "0", "--iterations", "3"],
            &["--set", "crop=32", "--set", "batch_size=8", "--set", "learning_rate=0.01"],
        ]
        .concat(),
    )
    .stderr(std::process::Stdio::null())
    .spawn()
    .unwrap();
    common::wait_until("the run does not log", || common::lines(&cut.join("train.csv")) > 2);
    child.kill().unwrap();
    child.wait().unwrap();
    train(folder.path(), "resnet-18", "my pets", "cut", &[]);
    assert_same_run(&folder.path().join("runs/a/resnet-18/seed-0"), &cut);
    // The report: under its own name, and not judged.
    done(folder.path(), &["figures", "runs", "--out", "report"]);
    // The scales follow from the crop, and are not told.
    let slug =
        "folder-my-pets-3-3-classes-batch-size-8-crop-32-learning-rate-0.01-lower-rate-milestones";
    let page = std::fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    for part in [
        "my pets (own images), 3 classes, 3 iterations",
        "The data is no dataset of the paper (my pets: 3 classes (n001, n002, n003); 27 training and 9 test images)",
        "Test error (%), 10-crop",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // None of the paper's errors stands beside those of other images.
    let section = folder.path().join("report").join(slug);
    for name in ["table-2.md", "table-3.md", "table-4.md", "table-5.md"] {
        assert!(!section.join(name).exists(), "{name}");
    }
    let table = std::fs::read_to_string(section.join("test-10-crop.md")).unwrap();
    assert!(table.contains("| resnet-18 |") && !table.contains("paper"), "{table}");
    // Errors of the classes, by name.
    let evaluate = ["evaluate", "--run", "cut", "--data", "my pets", "--classes"];
    let text = stdout(&done(folder.path(), &evaluate));
    let json = stdout(&done(folder.path(), &[&evaluate[..], &["--json"]].concat()));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let classes = json["classes"].as_array().unwrap();
    let sum = |key: &str| classes.iter().map(|one| one[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(Some(sum("images")), json["images"].as_u64());
    assert_eq!(Some(sum("wrong")), json["wrong"].as_u64());
    assert_eq!(json["title"], "my pets");
    for (class, one) in CLASSES.iter().zip(classes) {
        assert_eq!(one["class"], *class);
        let counts = format!("{class}: {} of {} test images", one["wrong"], one["images"]);
        assert!(text.contains(&counts), "{counts}: {text}");
    }
    // The command of the card of its weights has the run's own error again.
    done(folder.path(), &["export", "cut", "--to", "hub", "card", "--data", "my pets"]);
    let card = std::fs::read_to_string(folder.path().join("card/README.md")).unwrap();
    let line = card.lines().find_map(|line| line.strip_prefix("resnet-repro ")).unwrap();
    let words = line.split(' ').map(|word| match word {
        "DIR" => "my pets",
        "model.safetensors" => "card/model.safetensors",
        word => word,
    });
    let text =
        stdout(&done(folder.path(), &[&words.collect::<Vec<_>>()[..], &["--json"]].concat()));
    let again: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&again["wrong"], &again["loss"]), (&json["wrong"], &json["loss"]), "{line}");
    // The same images under another name are other data.
    write(&root, "dataset.toml", "test_percent = 25\nname = \"Cats\"\n");
    let again = ["train", "--dataset", "folder", "--network", "resnet-18", "--device", "cpu"];
    let again = [&again[..], &["--data", "my pets", "--out", "cut", "--iterations", "3"]].concat();
    let settings = ["--set", "crop=32", "--set", "batch_size=8", "--set", "learning_rate=0.01"];
    let arguments = [&again[..], &settings].concat();
    let output = command(folder.path(), &arguments).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("dataset.title is \"my pets\" there, \"Cats\" here"), "{message}");
}

#[test]
fn a_list_of_labels_trains_to_the_same_bytes_as_class_folders_with_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    class_folders(folder.path(), "folders/pets", 8);
    // One folder without classes: the names of the images are those below the class folders.
    let (flat, nested) = (folder.path().join("flat/pets"), folder.path().join("nested/pets"));
    let mut rows = Vec::new();
    for (class, name) in CLASSES.iter().enumerate() {
        for number in 0..8 {
            write(&flat, &format!("{class}{number}.jpg"), jpeg(class, number));
            write(
                &folder.path().join("renamed/pets"),
                &format!("{name}/{class}{number}.jpg"),
                jpeg(class, number),
            );
            write(&nested, &format!("{name}/{number}.jpg"), jpeg(class, number));
            rows.push(format!("./{class}{number}.jpg, {name}"));
        }
    }
    rows.reverse();
    write(&flat, "labels.csv", format!("file, label\n{}\n", rows.join("\n")));
    let listed: Vec<String> = (0..24)
        .map(|at| format!("{},{}/{}.jpg", CLASSES[at % 3], CLASSES[at % 3], at / 3))
        .collect();
    write(&nested, "labels.csv", format!("label,file\n{}\n", listed.join("\n")));
    for (list, folders) in [("flat/pets", "renamed/pets"), ("nested/pets", "folders/pets")] {
        let [list, folders] = [list, folders].map(|data| check(folder.path(), data));
        assert_eq!(list, folders);
    }
    train(folder.path(), "resnet-18", "flat/pets", "list", &[]);
    train(folder.path(), "resnet-18", "renamed/pets", "classes", &[]);
    assert_same_run(&folder.path().join("list"), &folder.path().join("classes"));
}

#[test]
fn a_column_says_the_split_as_folders_do() {
    let folder = tempfile::tempdir().unwrap();
    let (list, folders) = (folder.path().join("list/pets"), folder.path().join("folders/pets"));
    let mut text = "file,label,split\n".to_string();
    for (class, name) in CLASSES.iter().enumerate() {
        for number in 0..4 {
            let split = if number == 3 { "test" } else { "train" };
            write(&list, &format!("{name}/{number}.jpg"), jpeg(class, number));
            write(&folders, &format!("{split}/{name}/{number}.jpg"), jpeg(class, number));
            text.push_str(&format!("{name}/{number}.jpg,{name},{split}\n"));
        }
    }
    write(&list, "labels.csv", &text);
    let [listed, in_folders] = ["list/pets", "folders/pets"].map(|data| check(folder.path(), data));
    assert_eq!(listed["fingerprint"], in_folders["fingerprint"]);
    assert_eq!((counts(&listed), counts(&in_folders)), ((9, 3), (9, 3)));
    assert_eq!(listed["split"], "column split of labels.csv");
    assert_eq!(in_folders["split"], "folders train/ and test/");
    // The same in words, under any name of the folder with test images.
    for name in ["validation", "val"] {
        std::fs::rename(folders.join("test"), folders.join(name)).unwrap();
        let text =
            stdout(&done(folder.path(), &["data", "check", "folder", "--data", "folders/pets"]));
        for part in [
            "pets (own images), 3 classes: n001, n002, n003".to_string(),
            format!("split: folders train/ and {name}/"),
            "training images: 9 (3 per class)".to_string(),
            format!("fingerprint: {}", listed["fingerprint"].as_str().unwrap()),
        ] {
            assert!(text.contains(&part), "{part}: {text}");
        }
        std::fs::rename(folders.join(name), folders.join("test")).unwrap();
    }
    // A share that is held out where nothing is.
    for (root, data) in [(&list, "list/pets"), (&folders, "folders/pets")] {
        write(root, "dataset.toml", "test_percent = 20\n");
        refused(folder.path(), data, &["dataset.toml: test_percent", "remove it"]);
    }
    // The column says nothing of test images.
    std::fs::remove_file(list.join("dataset.toml")).unwrap();
    write(&list, "labels.csv", text.replace(",test", ",train"));
    refused(folder.path(), "list/pets", &["no test image (column split of labels.csv)"]);
    write(&list, "labels.csv", text.replacen(",test", ",tset", 1));
    refused(folder.path(), "list/pets", &["labels.csv:5: split \"tset\"", "train, val"]);
    // A class that only the test images have.
    write(&list, "labels.csv", text.replace("n001,train", "n002,train"));
    refused(folder.path(), "list/pets", &["class n001", "no image", "training image"]);
    std::fs::remove_file(folders.join("dataset.toml")).unwrap();
    write(&folders, "test/n009/0.jpg", jpeg(0, 0));
    refused(folder.path(), "folders/pets", &["pets/test", "class n009", "3 classes"]);
    std::fs::remove_dir_all(folders.join("test/n009")).unwrap();
    std::fs::create_dir(folders.join("val")).unwrap();
    refused(folder.path(), "folders/pets", &["both val/ and test/"]);
}

#[test]
fn no_image_changes_sides_when_others_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let root = class_folders(folder.path(), "pets", 40);
    let before = check(folder.path(), "pets");
    let (train, test) = counts(&before);
    assert_eq!(train + test, 120);
    assert!((4..=24).contains(&test), "{before}");
    // As many as Python's hashlib counts.
    assert_eq!(test, 11, "{before}");
    // A fourth class, and images in the others: each set has what it had, and more.
    for number in 40..60 {
        write(&root, &format!("n002/{number}.jpg"), jpeg(1, number));
        write(&root, &format!("n004/{number}.jpg"), jpeg(0, number));
    }
    let after = check(folder.path(), "pets");
    for key in ["training_images_per_class", "test_images_per_class"] {
        for class in [0, 2] {
            assert_eq!(before[key][class], after[key][class], "{key}");
        }
        assert!(before[key][1].as_u64() <= after[key][1].as_u64(), "{key}");
    }
    assert_ne!(before["fingerprint"], after["fingerprint"]);
    for number in 40..60 {
        std::fs::remove_file(root.join(format!("n002/{number}.jpg"))).unwrap();
    }
    std::fs::remove_dir_all(root.join("n004")).unwrap();
    assert_eq!(check(folder.path(), "pets"), before);
    // train/ alone is divided in the same way; a class may be called "train" itself.
    std::fs::create_dir(folder.path().join("alone")).unwrap();
    std::fs::rename(&root, folder.path().join("alone/train")).unwrap();
    let alone = check(folder.path(), "alone");
    assert_eq!(alone["fingerprint"], before["fingerprint"]);
    let vehicles = class_folders(folder.path(), "vehicles", 20);
    std::fs::rename(vehicles.join("n003"), vehicles.join("train")).unwrap();
    let classes = check(folder.path(), "vehicles")["classes"].to_string();
    assert_eq!(classes, "[\"n001\",\"n002\",\"train\"]");
}

#[test]
fn folders_that_are_no_data_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    refused(folder.path(), "nowhere", &["nowhere: no such folder"]);
    std::fs::create_dir(at("empty")).unwrap();
    refused(folder.path(), "empty", &["empty: there are no class folders in it", "labels.csv"]);
    write(&at("beside"), "a.jpg", jpeg(0, 0));
    refused(folder.path(), "beside", &["in no class folders", "beside/labels.csv"]);
    write(&at("one"), "cat/a.jpg", jpeg(0, 0));
    refused(folder.path(), "one", &["one class only (cat)", "at least two"]);
    // Nothing of three images is held out, or all of a class.
    let few = class_folders(folder.path(), "few", 1);
    write(&few, "dataset.toml", "test_percent = 0.5");
    refused(folder.path(), "few", &["0.5 % of 3 images leaves no test image", "few/dataset.toml"]);
    write(&few, "dataset.toml", "test_percent = 99.99");
    refused(folder.path(), "few", &["class n00", "training image", "99.99 % held out"]);
    write(&few, "dataset.toml", "test_percent = 200");
    refused(folder.path(), "few", &["test_percent = 200 is out of range"]);
    write(&few, "dataset.toml", "\ntest = 200");
    refused(folder.path(), "few", &["few/dataset.toml:2: unknown field `test`"]);
    // A class without images, in training and test images.
    let root = image_folder::write(folder.path(), 2, 1);
    std::fs::create_dir(root.join("train/n\u{1b}[31m")).unwrap();
    refused(folder.path(), "images", &["train/n\\u001b[31m", "no image in this class"]);
    std::fs::remove_dir(root.join("train/n\u{1b}[31m")).unwrap();
    std::fs::remove_dir_all(root.join("train")).unwrap();
    refused(folder.path(), "images", &["class folders in val/", "images/train"]);
    let arguments = ["data", "fetch", "folder"];
    common::refuse(folder.path(), &arguments, 2, &["nothing to fetch", "--data"]);
    let arguments = ["data", "pack", "folder", "--data", "few", "--out", "shards"];
    common::refuse(folder.path(), &arguments, 2, &["data pack imagenet"]);
    // Links, as the reader of class folders has them.
    let linked = class_folders(folder.path(), "linked", 2);
    std::os::unix::fs::symlink("..", linked.join("n001/up")).unwrap();
    refused(folder.path(), "linked", &["n001/up", "out of its class"]);
}

#[test]
fn lists_of_labels_that_are_none_are_refused_in_one_line_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pets");
    for (class, name) in ["a", "b", "c"].into_iter().enumerate() {
        write(&root, &format!("{name}.jpg"), jpeg(class, 0));
    }
    write(&root, "notes.txt", "none");
    let long = "x".repeat(300);
    let cases: &[(&str, &[&str])] = &[
        ("", &["labels.csv:1: the column file is missing"]),
        ("file,label\n", &["labels.csv:1: there are no images"]),
        ("file\na.jpg\n", &["labels.csv:1: the column label is missing"]),
        ("file,label,weight\na.jpg,x,1\n", &[":1: unknown column \"weight\"", "file, label"]),
        ("file,label,label\na.jpg,x,y\n", &[":1: the column label is there twice"]),
        ("file,label\na.jpg,x\nd.jpg,y\n", &["labels.csv:3: d.jpg: No such file"]),
        ("file,label\na.jpg,x\nb.jpg,y\n./a.jpg,x\n", &[":4: a.jpg: is in line 2 already"]),
        ("file,label\n../pets/a.jpg,x\n", &[":2: ../pets/a.jpg: leads out of the folder"]),
        ("file,label\n/etc/a.jpg,x\n", &[":2: /etc/a.jpg: leads out of the folder"]),
        ("file,label\nloop/../a.jpg,x\n", &[":2: ", "leads out of the folder"]),
        ("file,label\na.jpg,x\nb.jpg,y\na.jpg,y\n", &[":4: a.jpg: is in line 2 already"]),
        ("file,label\na.jpg,\n", &[":2: the label is empty"]),
        ("file,label\na.jpg,  \n", &[":2: the label is empty"]),
        ("file,label\n,x\n", &[":2: the name of the file is empty"]),
        ("file,label\na.jpg,x/y\n", &[":2: label \"x/y\": write it without /"]),
        ("file,label\na.jpg,\"x\u{1b}[31m\ny\"\n", &[":2: label \"x\\u001b[31m\\ny\""]),
        ("file,label\nnotes.txt,x\n", &[":2: notes.txt: not named as an image"]),
        ("file,label\na.jpg,x\nb.jpg\n", &[":3: 1 values, but the header has 2"]),
        ("file,label\na.jpg,x\nb.jpg,x\n", &["one class only (x)"]),
        (&format!("file,label\n{long}.jpg,x\n"), &[":2: xxx", "File name too long"]),
    ];
    for (text, parts) in cases {
        write(&root, "labels.csv", text);
        refused(folder.path(), "pets", parts);
    }
    write(&root, "labels.csv", b"file,label\na.jpg,\xff\n");
    refused(folder.path(), "pets", &["labels.csv: it is not UTF-8 text"]);
    // A link to a folder.
    std::os::unix::fs::symlink(".", root.join("loop")).unwrap();
    write(&root, "labels.csv", "file,label\nloop/a.jpg,x\n");
    refused(folder.path(), "pets", &[":2: loop/a.jpg: loop is a link to a folder"]);
    std::fs::remove_file(root.join("loop")).unwrap();
    // A name that is given to two images: in its class folder, and beside it.
    write(&root, "x/a.jpg", jpeg(0, 0));
    write(&root, "labels.csv", "file,label\na.jpg,x\nx/a.jpg,x\n");
    refused(
        folder.path(),
        "pets",
        &["labels.csv:3: x/a.jpg: its name within its class is that of line 2"],
    );
    // Both class folders and a list.
    write(&root, "labels.csv", "file,label\na.jpg,x\nb.jpg,y\n");
    refused(folder.path(), "pets", &["both labels.csv and folders of images", "such as x/"]);
}

#[test]
fn a_class_without_test_images_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = class_folders(folder.path(), "pets", 2);
    let row = |class: &str, number, split| format!("{class}/{number}.jpg,{class},{split}\n");
    let mut rows: String = CLASSES.iter().map(|class| row(class, 0, "train")).collect();
    rows += &row(CLASSES[0], 1, "test");
    write(&root, "labels.csv", format!("file,label,split\n{rows}"));
    let said = stderr(&done(folder.path(), &["data", "check", "folder", "--data", "pets"]));
    assert!(said.contains(&format!("no test image of {} (", CLASSES[1..].join(", "))), "{said}");
}
