//! Runs that are damaged, odd, or there twice, in a report.

use crate::common::{refuse, run, stderr, stdout, succeed};
use crate::paper_runs::{change, read, write_run};

#[test]
fn the_same_run_twice_is_shown_once_and_the_report_says_which_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 64_000, 9.5);
    write_run(&results.join("mine"), "plain-20", 0, 1000, 9.5);
    let text = succeed(folder.path(), &["figures"]);
    assert!(
        text.contains(
            "plain-20 seed 0 is there more than once: some-experiment/plain-20/seed-0 is shown, since it has more iterations; mine/some-experiment/plain-20/seed-0 is left out, at iteration 1,000."
        ),
        "{text}"
    );
    let runs = read(&results, "cifar10-64000/runs.csv");
    assert!(
        runs.contains("\nleft-out,mine/some-experiment/plain-20/seed-0,")
            && runs.contains("\ncomplete,some-experiment/plain-20/seed-0,"),
        "{runs}"
    );
}

#[test]
fn a_bad_run_is_named_and_the_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 2000, 9.5);
    let log = |run: &str| {
        write_run(&results.join(run), "plain-20", 0, 2000, 9.5);
        results.join(run).join("some-experiment/plain-20/seed-0/train.csv")
    };
    let replace = |run: &str, from: &str, to: &str| {
        let path = log(run);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    replace("doubled", "\n7,0.1", "\n7,0.1,1.5,50\n7,0.1");
    replace("falling", "\n7,0.1", "\n3,0.1");
    replace("lost", "\n7,0.1", "\n97,0.1");
    replace("rate", "\n7,0.1", "\n7,1e-300");
    replace("rates", "\n7,0.1", "\n7,1e308");
    replace("error", "\n7,0.1,1.5,", "\n7,0.1,1.5,9");
    log("overflow");
    change(
        &results.join("overflow"),
        "plain-20",
        0,
        "validation = 0",
        "validation = 18446744073709551615",
    );
    // A recipe that is valid, but of a rate that no log has.
    replace("tiny-rate", ",0.1,", ",1e-300,");
    let output = run(folder.path(), &["figures"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    for part in [
        "doubled/some-experiment/plain-20/seed-0/train.csv: line 9: iteration 7 after iteration 7",
        "falling/some-experiment/plain-20/seed-0/train.csv: line 8: iteration 3 after iteration 6",
        "lost/some-experiment/plain-20/seed-0/train.csv: line 9: iteration 8 after iteration 97",
        "rate/some-experiment/plain-20/seed-0/train.csv: row 7: a learning rate of 1e-300 is out of range",
        "rates/some-experiment/plain-20/seed-0/train.csv: row 7: a learning rate of 1e308 is out of range",
        "error/some-experiment/plain-20/seed-0/train.csv: an error of",
        "overflow/some-experiment/plain-20/seed-0/run.toml",
        "tiny-rate/some-experiment/plain-20/seed-0/train.csv: row 1: ",
    ] {
        assert!(stderr(&output).contains(part), "{part}\n{}", stderr(&output));
    }
    assert_eq!(stderr(&output).lines().count(), 8, "one line each: {}", stderr(&output));
    assert!(stdout(&output).contains("CIFAR-10, 64,000 iterations: 1 run, not complete"));
}

#[test]
fn a_run_of_many_other_keys_has_a_folder_with_a_name_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 2000, 9.5);
    for (from, to) in [
        (
            "milestones = [32000, 48000]",
            "milestones = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70]",
        ),
        ("momentum = 0.9", "momentum = 0.8"),
        ("batch_size = 128", "batch_size = 64"),
    ] {
        change(&results, "plain-20", 0, from, to);
    }
    let text = succeed(folder.path(), &["figures", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let slug = json["protocols"][0]["folder"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(slug.len() <= 120 && slug.starts_with("cifar10-64000-batch-size-64-"), "{slug}");
    assert!(!slug.contains("--") && results.join("report").join(slug).join("runs.csv").exists());
}

#[test]
fn what_a_bench_file_says_is_text_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 1000, 9.5);
    let measured = r#"{"device": "=HYPERLINK(\"http://x\")|<script>alert(1)</script>", "threads": 1, "kernels": "avx2",
        "peaks": {"f32_operations_per_second": 1e12, "tf32_operations_per_second": 1e12, "bf16_operations_per_second": 1e12, "copy_bytes_per_second": 1e10},
        "rows": [{"network": "resnet-20", "precision": "f32", "width": 1, "path": "fused", "graph": false, "batch": 128, "segments": 1, "iterations": 3,
        "images_per_second": 640, "milliseconds": 200, "quartiles": [199, 201], "peak_memory_bytes": 1073741824, "flops_per_second": 3e11,
        "convolution_milliseconds": 150, "outside_convolutions_percent": 25, "operations_limit_milliseconds": 100, "bytes_limit_milliseconds": 50}]}"#;
    std::fs::write(results.join("bench-x.json"), measured).unwrap();
    succeed(folder.path(), &["figures"]);
    let csv = read(&results, "cost/cost.csv");
    let header = "row,network,machine,precision,batch,images_per_second,milliseconds,gflops_per_second,percent_of_peak,percent_outside_convolutions,peak_memory_bytes";
    assert!(csv.starts_with(header), "{csv}");
    assert!(
        csv.contains(",\"'=HYPERLINK(\"\"http")
            && csv.contains(",f32,128,640,200,300,30.00,25.00,1073741824"),
        "{csv}"
    );
    let markdown = read(&results, "cost/cost.md");
    assert!(!markdown.contains("<script") && markdown.contains(")\\|&lt;script"), "{markdown}");
    assert!(!read(&results, "report.html").contains("<script>alert"));
}

#[test]
fn odd_logs_make_no_figure_hang_or_fail() {
    let folder = tempfile::tempdir().unwrap();
    let write = |run: &str, text: &str| {
        let directory = folder.path().join("runs").join(run);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("train.csv"), text).unwrap();
    };
    let header = "iteration,learning_rate,loss,error\n";
    write("empty/plain-20/seed-0", "");
    write("header/plain-20/seed-0", header);
    write("half/plain-20/seed-0", &header[..10]);
    write("one/plain-20/seed-0", &format!("{header}1,0.1,2.3,90\n"));
    write("no-rate/plain-20/seed-0", &format!("{header}1,,2.3,90\n2,,2.2,80\n"));
    write("zero-rate/plain-20/seed-0", &format!("{header}1,0.1,2.3,90\n2,0,2.2,80\n"));
    write("not-a-number/plain-20/seed-0", &format!("{header}1,0.1,NaN,NaN\n2,0.1,NaN,NaN\n"));
    write("all-wrong/plain-20/seed-0", &format!("{header}1,0.1,2.3,100\n2,0.1,2.2,100\n"));
    let text = succeed(folder.path(), &["figures"]);
    assert_eq!(text.matches("1 run,").count(), 8, "{text}");
    assert!(text.contains("plain-20 seed 0 at iteration 0"), "{text}");
}

#[test]
fn logs_that_cannot_be_read_are_named_and_the_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    refuse(folder.path(), &["figures", "nowhere"], 2, &["nowhere", "no such folder", "sweep"]);
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    refuse(folder.path(), &["figures"], 2, &["runs", "no runs found", "sweep"]);
    write_run(&folder.path().join("runs"), "plain-20", 0, 64_000, 9.5);
    let broken = folder.path().join("runs/other/plain-32/seed-0");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("train.csv"), "step,acc\n1,2\n").unwrap();
    let output = run(folder.path(), &["figures"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("not read: ")
            && stderr(&output).contains("plain-32/seed-0/train.csv"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("CIFAR-10, 64,000 iterations: 1 run,"), "{}", stdout(&output));
}
