#!/usr/bin/env python3
"""cluster/kubernetes.yaml fits Kubernetes' schemas, the program's exit codes and its plan.

    python tests/kubernetes_test.py PROGRAM

Needs kubernetes-validate (PyPI), which has the schemas in it: no network, no cluster. PROGRAM is
the built resnet-repro.
"""

import json
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parent.parent
# The first in which an index can fail for good alone as a matter of course, and those after it.
OLDEST = (1, 33)
# What src/error.rs says.
BAD_INPUT, RUN_FAILED, INTERRUPTED = 2, 3, 75


def check_schemas(job):
    versions = []
    for version in dict.fromkeys(kubernetes_validate.utils.all_versions()):
        if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST:
            kubernetes_validate.validate(job, version, strict=True)
            versions.append(version)
    assert versions, "no schema"
    misspelt = json.loads(json.dumps(job))
    misspelt["spec"]["podFailurePolicy"]["rules"][0]["acton"] = "Ignore"
    try:
        kubernetes_validate.validate(misspelt, versions[-1], strict=True)
    except kubernetes_validate.ValidationError:
        return versions
    raise AssertionError("the schemas accept anything")


def check_exit_codes(job, container):
    actions = {}
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule:
            assert rule["onExitCodes"]["containerName"] == container["name"]
            assert rule["onExitCodes"]["operator"] == "In"
            actions.update({code: rule["action"] for code in rule["onExitCodes"]["values"]})
        else:
            assert rule["action"] == "Ignore", rule
    assert actions == {BAD_INPUT: "FailIndex", RUN_FAILED: "FailIndex", INTERRUPTED: "Ignore"}
    text = (ROOT / "src/error.rs").read_text()
    for name, code in [("BAD_INPUT", 2), ("RUN_FAILED", 3), ("INTERRUPTED", 75)]:
        assert f"pub const EXIT_{name}: u8 = {code};" in text, name


def check_plan(program, job, container):
    arguments = container["args"]
    assert arguments[-2:] == ["--element", "$(JOB_COMPLETION_INDEX)"], arguments
    plan = subprocess.run(
        [program, *arguments[:-2], "--dry-run", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    elements = [run["element"] for run in json.loads(plan.stdout)]
    assert elements == list(range(job["spec"]["completions"])), elements
    assert job["spec"]["maxFailedIndexes"] <= job["spec"]["completions"]


def main():
    program = Path(sys.argv[1]).resolve()
    job = yaml.safe_load((ROOT / "cluster/kubernetes.yaml").read_text())
    [container] = job["spec"]["template"]["spec"]["containers"]
    versions = check_schemas(job)
    check_exit_codes(job, container)
    check_plan(program, job, container)
    print(f"cluster/kubernetes.yaml: valid for Kubernetes {versions[0]} to {versions[-1]}; a pod for each run of the plan")


if __name__ == "__main__":
    main()
