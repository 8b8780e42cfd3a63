"""Logs of the paper's size, the paper's Figure 6 with pandas and matplotlib, and how long that takes beside this project's program.

    python scripts/bench_figures.py generate RESULTS
    python scripts/bench_figures.py draw RESULTS OUT
    python scripts/bench_figures.py measure RESULTS PROGRAM [--rounds 3]

scripts/bench-figures runs them in turn. "draw" is written as a competent user writes it: pandas' C parser, only the columns that are drawn,
every 100th point of a smoothed curve.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What "measure" starts counts as at least as large as itself, so numpy, pandas and matplotlib are imported by those who use them.

DEPTHS = [20, 32, 44, 56, 110, 1202]
SEEDS = range(5)
ITERATIONS, MILESTONES, EVALUATE_EVERY = 64_000, [32_000, 48_000], 1000
BATCH, TEST_IMAGES = 128, 10_000
WARMUP = 400
# 50,000 images are 391 batches.
EPOCH = 391
EXPERIMENTS = {"plain": "01-plain-nets", "resnet": "02-residual-nets"}
# Final training and test error of the nets that are drawn at random, in percent: of the order that the paper's figure shows.
FINAL = {
    "plain": {20: (2.5, 9.5), 32: (3.5, 10.0), 44: (6.0, 12.0), 56: (8.5, 13.5), 110: (60.0, 61.0), 1202: (88.0, 88.0)},
    "resnet": {20: (1.8, 8.7), 32: (0.7, 7.6), 44: (0.4, 7.3), 56: (0.25, 7.1), 110: (0.12, 6.6), 1202: (0.08, 7.9)},
}

RECORD = """\
state = "finished"
parameters = {parameters}
differences_from_paper = []

[progress]
iterations = 64000
seconds = {seconds}
{warmup_ended}images_per_second = {images_per_second}

[files]
"eval.csv" = "{eval_hash}"
"train.csv" = "{train_hash}"

[run]
network = "{network}"
seed = {seed}

[run.dataset]
name = "cifar10"
status = "official"
fingerprint = "0000000000000000000000000000000000000000000000000000000000000000"
training_images = 50000
test_images = 10000

[run.recipe]
iterations = 64000
batch_size = 128
learning_rate = 0.1
milestones = [32000, 48000]
learning_rate_factor = 0.1
momentum = 0.9
weight_decay = 0.0001
warmup = {warmup}
warmup_learning_rate = 0.01
warmup_until_error = 80.0
validation = 0
augment = true
normalize = "pixel-mean"
evaluate_every = 1000

[provenance]
version = "0.1.0"
git_revision = "unknown"
git_dirty = false
libtorch = "none: drawn at random"
started = "2026-01-01T00:00:00Z"
updated = "2026-01-01T00:00:00Z"

[provenance.machine]
device = "cpu"
processor = "none: drawn at random"
cores = 1
threads = 1
memory_gib = 1.0
"""


def parameters(depth):
    """Parameters of a net of the paper's CIFAR-10 family; a plain net has as many as its residual twin."""
    blocks, total, inputs = (depth - 2) // 6, 3 * 16 * 9 + 32, 16
    for filters in (16, 32, 64):
        total += 9 * inputs * filters + 2 * filters + (2 * blocks - 1) * (9 * filters * filters + 2 * filters)
        inputs = filters
    return total + 64 * 10 + 10


def expected_error(iterations, final, start=90.0):
    """A curve that falls, levels off, and falls again at each milestone, as the paper's do."""
    import numpy

    levels = [start - (start - final) * share for share in (0.84, 0.97, 1.0)]
    error = numpy.empty(len(iterations))
    begin, value = 0, start
    for end, level, span in zip([*MILESTONES, ITERATIONS], levels, (4000.0, 500.0, 500.0)):
        chosen = (iterations > begin) & (iterations <= end)
        error[chosen] = level + (value - level) * numpy.exp(-(iterations[chosen] - begin) / span)
        begin, value = end, level
    return error


def generate(results):
    import numpy

    start = time.perf_counter()
    iterations = numpy.arange(1, ITERATIONS + 1)
    numbers = [str(iteration) for iteration in iterations]
    # The program writes the shortest decimal form of a single-precision number; 100/128 has an exact one.
    errors = [repr(count * 100 / BATCH) for count in range(BATCH + 1)]
    rows = size = 0
    for family, finals in FINAL.items():
        for depth, (train_error, test_error) in finals.items():
            warmup = depth >= 110
            rates = ["0.1"] * MILESTONES[0] + ["0.01"] * (MILESTONES[1] - MILESTONES[0]) + ["0.001"] * (ITERATIONS - MILESTONES[1])
            if warmup:
                rates[:WARMUP] = ["0.01"] * WARMUP
            for seed in SEEDS:
                random = numpy.random.default_rng([depth, seed, family == "plain"])
                error = expected_error(iterations, train_error)
                counts = random.binomial(BATCH, error / 100)
                loss = (0.026 * error + 0.003) * random.lognormal(0, 0.05, ITERATIONS)
                lines = map(",".join, zip(numbers, rates, map("{:.7g}".format, loss.tolist()), map(errors.__getitem__, counts.tolist())))
                train = "iteration,learning_rate,loss,error\n" + "\n".join(lines) + "\n"
                evaluated = iterations[EVALUATE_EVERY - 1 :: EVALUATE_EVERY]
                mistakes = random.binomial(TEST_IMAGES, expected_error(evaluated, test_error) / 100)
                top5 = random.binomial(mistakes, 0.05)
                test = "iteration,split,loss,error,top5_error\n" + "".join(
                    f"{iteration},test,{0.032 * wrong / 100 + 0.1:.7g},{wrong / 100!r},{wrong5 / 100!r}\n"
                    for iteration, wrong, wrong5 in zip(evaluated.tolist(), mistakes.tolist(), top5.tolist())
                )
                folder = results / EXPERIMENTS[family] / f"{family}-{depth}" / f"seed-{seed}"
                folder.mkdir(parents=True)
                (folder / "train.csv").write_text(train)
                (folder / "eval.csv").write_text(test)
                speed = 2.0e5 / depth
                record = RECORD.format(
                    parameters=parameters(depth),
                    seconds=ITERATIONS * BATCH / speed,
                    warmup_ended=f"warmup_ended_after = {WARMUP}\n" if warmup else "",
                    images_per_second=speed,
                    eval_hash=hashlib.sha256(test.encode()).hexdigest(),
                    train_hash=hashlib.sha256(train.encode()).hexdigest(),
                    network=f"{family}-{depth}",
                    seed=seed,
                    warmup=str(warmup).lower(),
                )
                (folder / "run.toml").write_text(record)
                rows += ITERATIONS
                size += len(train) + len(test)
    print(f"generated {rows:,} rows ({size / 2**20:.0f} MiB) in {time.perf_counter() - start:.1f} s")


def draw(results, out):
    import matplotlib
    import pandas

    matplotlib.use("Agg")
    from matplotlib import pyplot

    train, test = {}, {}
    for family, experiment in EXPERIMENTS.items():
        for depth in DEPTHS:
            folders = sorted((results / experiment / f"{family}-{depth}").glob("seed-*"))
            smoothed, tested = [], []
            for folder in folders:
                error = pandas.read_csv(folder / "train.csv", usecols=["iteration", "error"], index_col="iteration", engine="c")["error"]
                smoothed.append(error.rolling(EPOCH, min_periods=1).mean())
                rows = pandas.read_csv(folder / "eval.csv", engine="c")
                tested.append(rows[rows["split"] == "test"].set_index("iteration")["error"])
            for curves, target in ((smoothed, train), (tested, test)):
                table = pandas.concat(curves, axis=1)
                target[family, depth] = pandas.DataFrame({"mean": table.mean(axis=1), "std": table.std(axis=1)})

    panels = [
        ("plain", [20, 32, 44, 56, 110]),
        ("resnet", [20, 32, 44, 56, 110]),
        ("resnet", [110, 1202]),
    ]
    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4.5))
    for axis, (family, depths) in zip(axes, panels):
        for number, depth in enumerate(depths):
            color = f"C{number}"
            for curve, style, width, label in (
                (train[family, depth].iloc[::100], "--", 0.8, None),
                (test[family, depth], "-", 2.0, f"{family}-{depth}"),
            ):
                steps = curve.index / 1e4
                axis.plot(steps, curve["mean"], style, color=color, linewidth=width, label=label)
                axis.fill_between(steps, curve["mean"] - curve["std"], curve["mean"] + curve["std"], color=color, alpha=0.2, linewidth=0)
        axis.set(xlabel="iterations (1e4)", ylabel="error (%)", xlim=(0, 6.4), ylim=(0, 20))
        axis.legend()
    figure.tight_layout()
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "figure-6.svg")
    figure.savefig(out / "figure-6.png", dpi=150)


def timed(command):
    """Wall-clock and CPU time in seconds and peak memory in MiB of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    # Already waited for: subprocess must not do it again.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed with exit code {process.returncode}: {' '.join(map(str, command))}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(results, program, rounds):
    names = ["resnet-repro figures", "pandas and matplotlib"]
    measured = {name: [] for name in names}
    print("round,what,seconds,cpu_seconds,peak_mib")
    with tempfile.TemporaryDirectory() as folder:
        commands = [
            [program.resolve(), "figures", results, "--out", Path(folder, "ours")],
            [sys.executable, __file__, "draw", results, Path(folder, "pandas")],
        ]
        for round_number in range(1, rounds + 1):
            for name, command in zip(names, commands):
                seconds, cpu_seconds, memory = timed(command)
                measured[name].append((seconds, cpu_seconds, memory))
                print(f"{round_number},{name},{seconds:.2f},{cpu_seconds:.2f},{memory:.0f}", flush=True)
    medians = {name: [statistics.median(values) for values in zip(*measured[name])] for name in names}
    print()
    print(f"| median of {rounds} | seconds | CPU seconds | peak memory, MiB |")
    print("| :-- | --: | --: | --: |")
    for name, (seconds, cpu_seconds, memory) in medians.items():
        print(f"| {name} | {seconds:.2f} | {cpu_seconds:.2f} | {memory:.0f} |")
    ratios = [theirs / ours for ours, theirs in zip(*(medians[name] for name in names))]
    print("| pandas / resnet-repro | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, folders in (("generate", ["results"]), ("draw", ["results", "out"]), ("measure", ["results", "program"])):
        command = commands.add_parser(name)
        for folder in folders:
            command.add_argument(folder, type=Path)
    command.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.command == "generate":
        generate(arguments.results)
    elif arguments.command == "draw":
        draw(arguments.results, arguments.out)
    else:
        measure(arguments.results, arguments.program, arguments.rounds)


if __name__ == "__main__":
    main()
