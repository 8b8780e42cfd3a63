#!/usr/bin/env python3
"""TensorBoard's own reader finds in the event files of train, compare and sweep what their CSV logs say.

    python tests/tensorboard_test.py PROGRAM

Needs tensorboard (PyPI). PROGRAM is the built resnet-repro.
"""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

EXPERIMENT = """\
title = "One tiny run"
paper = "nothing: a test"
dataset = "shapes"

[recipe]
batch_size = 32
iterations = 6
evaluate_every = 3

[[runs]]
networks = ["plain-8"]
seeds = [0]
"""
# Events hold single precision, logs its shortest decimal form.
TOLERANCE = 2.0**-23


def column(path, name, split=None):
    """Iteration and value of each row of a log, of one split where it has several."""
    with path.open(newline="") as file:
        return [(int(row["iteration"]), float(row[name])) for row in csv.DictReader(file) if split is None or row["split"] == split]


def differences(run, events):
    """What a reader of the event file finds otherwise than in the run's logs."""
    train, evaluation = (run / name for name in ("train.csv", "eval.csv"))
    expected = {
        "learning_rate": column(train, "learning_rate"),
        "loss/train": column(train, "loss"),
        "error/train": column(train, "error"),
        "loss/test": column(evaluation, "loss", "test"),
        "error/test": column(evaluation, "error", "test"),
    }
    # A size of 0 keeps every event; else the reader drops some at random.
    events = EventAccumulator(str(events), size_guidance={SCALARS: 0}).Reload()
    problems = []
    if (tags := sorted(events.Tags()["scalars"])) != sorted(expected):
        problems.append(f"the tags are {tags}, not {sorted(expected)}")
    if [len(rows) for rows in expected.values()] != [6, 6, 6, 2, 2]:
        problems.append(f"the logs have {[len(rows) for rows in expected.values()]} rows, not 6, 6, 6, 2 and 2")
    for tag, rows in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(tag)] if tag in tags else []
        if [step for step, _ in found] != [iteration for iteration, _ in rows]:
            problems.append(f"{tag}: steps {[step for step, _ in found]}, not {[iteration for iteration, _ in rows]}")
            continue
        for (step, value), (_, logged) in zip(found, rows):
            if not abs(value - logged) <= TOLERANCE * abs(logged):
                problems.append(f"{tag} at step {step}: {value}, but the log says {logged}")
    return problems


def check(program, folder):
    """What is wrong; nothing if all is well."""
    experiment = folder / "tiny.toml"
    experiment.write_text(EXPERIMENT)
    recipe = ["--dataset", "shapes", "--iterations", "6", "--set", "batch_size=32", "--set", "evaluate_every=3"]
    out, seed = folder / "out", Path("plain-8", "seed-0")
    # Each command, and its runs with their event files. The last is over by then: its file is made from its logs.
    commands = [
        (["sweep", experiment], [("tiny" / seed, "tiny" / seed)]),
        (["train", "--network", "resnet-8", *recipe], [("", Path("resnet-8", "seed-0"))]),
        (["compare", "8", *recipe], [(name, name) for name in (seed, Path("resnet-8", "seed-0"))]),
        (["compare", "8", *recipe], [(name, name) for name in (seed, Path("resnet-8", "seed-0"))]),
    ]
    problems = []
    for number, (words, runs) in enumerate(commands):
        events = folder / f"events-{number}"
        logs = out / words[0]
        command = [program, *words, "--out", logs, "--tensorboard", events, "--device", "cpu"]
        ended = subprocess.run(command, capture_output=True, text=True, env={"OMP_NUM_THREADS": "1", **os.environ})
        if ended.returncode != 0:
            return [*problems, ended.stderr, f"{words[0]} ended with exit code {ended.returncode}"]
        for run, file in runs:
            problems += [f"{words[0]}: {problem}" for problem in differences(logs / run, events / file)]
    return problems


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        problems = check(Path(sys.argv[1]).resolve(), Path(folder))
    for problem in problems:
        print(problem)
    print("0 passed, 1 failed" if problems else "1 passed, 0 failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
