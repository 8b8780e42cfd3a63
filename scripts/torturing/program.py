"""The program under test: small runs, what they leave, and what they may say."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

LOGS = ["train.csv", "eval.csv"]
COMPARED = [*LOGS, "weights.safetensors"]
NETWORKS = ["plain-8", "resnet-8"]
STOPPED, AT_ONCE, RUN_FAILED = 75, 130, 3
# No step takes that long, on a machine whose cores are taken by others either.
PATIENCE = 900.0
# What a program says that did not expect an error.
UNEXPECTED = ["panicked", "unexpected error", "terminate called", "BACKTRACE", "stack overflow", "core dumped"]

EXPERIMENT = """\
title = "Small nets on few images"
paper = "nothing: a test"
dataset = "cifar10"

[recipe]
batch_size = 8
iterations = {iterations}
evaluate_every = {evaluate_every}

[[runs]]
networks = ["plain-8", "resnet-8"]
seeds = [0]
"""


class Failed(Exception):
    """The program did something that it must not do."""


class Program:
    """The program, and an uninterrupted run and sweep of it to compare with."""

    def __init__(self, path, folder, iterations):
        self.path, self.folder = path, folder
        # Some evaluations, the last one not on the beat.
        self.settings = {"iterations": iterations, "evaluate_every": max(iterations * 2 // 5, 1)}
        self.data = write_images(folder / "data", random.Random(0))
        self.experiment = folder / "small.toml"
        self.experiment.write_text(EXPERIMENT.format(**self.settings))
        self.whole = {}

    def train(self, out, checkpoint_every=1000.0):
        """The command that trains plain-8 into `out`."""
        return [self.path, "train", "--data", self.data, "--network", "plain-8", "--device", "cpu", "--set", "batch_size=8",
                "--set", f"evaluate_every={self.settings['evaluate_every']}", "--iterations", str(self.settings["iterations"]),
                "--checkpoint-every", str(checkpoint_every), "--out", out]

    def sweep(self, out, checkpoint_every=1000.0):
        """The command that trains both networks below `out`, one after the other."""
        return [self.path, "sweep", self.experiment, "--data", self.data, "--device", "cpu", "--jobs", "1", "--retries", "1",
                "--checkpoint-every", str(checkpoint_every), "--out", out]

    def command(self, kind, out, checkpoint_every=1000.0):
        return (self.train if kind == "train" else self.sweep)(out, checkpoint_every)

    def runs(self, kind, out):
        """The folder of each run that such a command trains."""
        if kind == "train":
            return {"plain-8": out}
        return {network: out / self.experiment.stem / network / "seed-0" for network in NETWORKS}

    def make_whole(self):
        """The undisturbed sweep; its plain-8 is the undisturbed training too, which is checked."""
        for kind in ["sweep", "train"]:
            out = self.folder / f"whole-{kind}"
            self.run(self.command(kind, out), codes=[0])
            for network, run in self.runs(kind, out).items():
                files = {name: (run / name).read_bytes() for name in COMPARED}
                if self.whole.setdefault(network, files) != files:
                    raise Failed(f"{network} is another one by itself than in a sweep")

    def run(self, command, codes, names=None, environment=None):
        """Runs a command to its end, which must have one of these exit codes. An error must be one line, which holds one of
        `names`. Returns the code and what was said."""
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, env=environment, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"hangs: {command[1]} did not end within {PATIENCE:.0f} s") from None
        said = done.stderr.decode(errors="replace")
        check_words(said)
        if done.returncode not in codes:
            raise Failed(f"exit code {done.returncode} of {command[1]}: {said[-300:]!r}")
        if done.returncode in (1, 2) and command[1] != "verify":
            check_error(said, names)
        return done.returncode, said + done.stdout.decode(errors="replace")

    def verify(self, out):
        """The exit code of `verify`, and what it says."""
        return self.run([self.path, "verify", out], codes=[0, 1])

    def check_finished(self, kind, out):
        """All bytes are those of the undisturbed one, nothing is left over but the lock file, and the record is of a finished run."""
        for network, run in self.runs(kind, out).items():
            for name in COMPARED:
                if not (run / name).exists():
                    raise Failed(f"{network}: {name} is not there")
                if (run / name).read_bytes() != self.whole[network][name]:
                    raise Failed(f"{network}: {name} has other bytes")
            if left := {path.name for path in run.iterdir()} - {*COMPARED, "run.toml", ".lock"}:
                raise Failed(f"{network}: left over: {', '.join(sorted(left))}")
            record = tomllib.loads((run / "run.toml").read_text())
            if record["state"] != "finished":
                raise Failed(f"{network}: its record does not say that it is finished")
            if record["files"] != {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in COMPARED}:
                raise Failed(f"{network}: its record has other hashes")

    def check_logs(self, kind, out):
        """Whatever was written is the beginning of what an undisturbed one writes."""
        for network, run in self.runs(kind, out).items():
            for name in LOGS:
                if (run / name).exists() and not self.whole[network][name].startswith((run / name).read_bytes()):
                    raise Failed(f"{network}: what stands in {name} is not what was logged")


def write_images(folder, chance):
    """Few images in CIFAR-10's format, which are read at once: noise around a colour that depends on the class."""
    folder.mkdir()
    for name, count in [("data_batch_1.bin", 160), ("test_batch.bin", 50)]:
        records = []
        for number in range(count):
            label = number % 10
            records.append(bytes([label]) + bytes(label * (1 + place // 1024) * 23 % 160 + chance.getrandbits(6) for place in range(3072)))
        (folder / name).write_bytes(b"".join(records))
    return folder


def check_words(said):
    """Nothing that a program says which did not expect an error."""
    for word in UNEXPECTED:
        if word in said:
            raise Failed(f"{word!r}: {said[-500:]!r}")


def check_error(said, names):
    """One line of error, the last one, that holds one of `names`."""
    lines = said.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if len(errors) != 1 or lines[-1] != errors[0]:
        raise Failed(f"not one line of error, the last one: {said[-500:]!r}")
    if names and not any(name in errors[0] for name in names):
        raise Failed(f"names none of {', '.join(names)}: {errors[0]!r}")


def children(parent):
    """The direct child processes of `parent`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may hold anything; the state and the parent follow it.
                state, of = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(of) == parent and state != "Z":
                found.append(int(entry.name))
    return found


def is_alive(process):
    try:
        return Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def send(process, number):
    """A signal to a process that may be gone."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass


def end(child):
    """Ends a process that was started in a group of its own, and waits for it."""
    if child.poll() is None:
        send(child.pid, signal.SIGKILL)
    child.wait()


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
