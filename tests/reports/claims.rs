//! `claims`: the ledger by the committed results, and by none.

use crate::common::{refuse, succeed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The verdict of each claim, and the whole.
fn verdicts(folder: &Path, arguments: &[&str]) -> (BTreeMap<String, String>, Value) {
    let output: Value = serde_json::from_str(&succeed(folder, arguments)).unwrap();
    let text = |claim: &Value, key: &str| claim[key].as_str().unwrap().to_string();
    let claims = output["claims"].as_array().unwrap();
    let map = claims.iter().map(|claim| (text(claim, "claim"), text(claim, "verdict"))).collect();
    (map, output)
}

#[test]
fn the_committed_results_decide_at_least_twelve_claims_and_none_that_they_do_not_carry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (found, output) = verdicts(root, &["claims", "results", "--json"]);
    let tested = found.values().filter(|verdict| *verdict != "not tested yet").count();
    assert!(found.len() >= 25 && tested >= 12, "{found:#?}");
    for claim in ["table-6-parameters", "table-1-flops", "constructed-solution-exists"] {
        assert_eq!(found[claim], "confirmed", "{output:#}");
    }
    // Five seeds of 2,000 iterations: 4.8 ± 2.8 points.
    assert_eq!(found["shortcuts-help-shallow-nets"], "confirmed at small scale", "{output:#}");
    for claim in output["claims"].as_array().unwrap() {
        let settled = claim["verdict"] == "confirmed" || claim["verdict"] == "contradicted";
        assert_eq!(claim["command"].is_null(), settled, "{claim:#}");
        let trained = !claim["runs"].as_array().unwrap().is_empty();
        assert!(!(settled && trained), "no run here is the paper's full training: {claim:#}");
        assert_eq!(
            claim["numbers"].as_str().unwrap().is_empty(),
            claim["verdict"] == "not tested yet",
            "{claim:#}"
        );
    }
}

#[test]
fn without_runs_only_what_follows_from_the_networks_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    refuse(folder.path(), &["claims"], 2, &["runs", "no such folder"]);
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    let (found, _) = verdicts(folder.path(), &["claims", "--json"]);
    assert_eq!(found["degradation-training"], "not tested yet");
    assert_eq!(found["no-parameters-in-shortcuts"], "confirmed");
    let text = succeed(folder.path(), &["claims"]);
    assert!(
        text.contains("to test it: resnet-repro sweep experiments/01-plain-nets.toml"),
        "{text}"
    );
    assert!(text.contains(" 0 contradicted"), "{text}");
}
