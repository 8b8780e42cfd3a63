"""Flipped bits in every file that a run leaves, unfinished or finished; then the same command is given again."""

import random
import shutil
import signal
import subprocess
import time
import tomllib

from torturing.program import COMPARED, LOGS, PATIENCE, Failed, end

FINISHED = ["run.toml", *COMPARED]
FILES = ["run.toml", *LOGS, "newest checkpoint", "older checkpoint", "finished"]
# Moments in the training at which a run is killed to have something to flip in.
STATES = 6


class Flips:
    """One flipped bit a trial, or one in each file of a finished run, of which a copy is made for each: one `verify` and one `figures` see them all."""

    name = "flips"

    def __init__(self, program, seed):
        self.program, self.seed = program, seed
        self.states = program.folder / "states"
        self.states.mkdir()
        for number in range(STATES):
            self.prepare(self.states / str(number), random.Random(f"{seed} state {number}"))

    def prepare(self, out, chance):
        """A run that is killed at a random moment after its second checkpoint."""
        iterations = self.program.settings["iterations"]
        wanted = chance.randrange(3, max(iterations * 3 // 4, 4))
        # At some moments there are rows after the newest checkpoint.
        every = chance.choice([0, 0.05, 0.1])
        while True:
            child = subprocess.Popen(self.program.train(out, every), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            begun = time.monotonic()
            while child.poll() is None and not (rows(out) >= wanted and len(checkpoints(out)) >= 2):
                if time.monotonic() - begun > PATIENCE:
                    end(child)
                    raise Failed("a run to flip bits in writes no two checkpoints")
                time.sleep(0.001)
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            if child.wait() == -signal.SIGKILL and len(checkpoints(out)) >= 2:
                return
            # It was faster than this script, or was killed while a checkpoint took another's place.
            shutil.rmtree(out)
            every = 0

    def way(self, number):
        return FILES[number % len(FILES)]

    def trial(self, number, out):
        chance, which = random.Random(f"{self.seed} {number}"), self.way(number)
        if which == "finished":
            return self.finished(out, chance)
        shutil.copytree(self.states / str(chance.randrange(STATES)), out)
        if "checkpoint" in which:
            file = checkpoints(out)[-1 if which.startswith("newest") else -2]
        else:
            file = out / which
        before = (out / "run.toml").read_bytes()
        what = flip(file, chance)
        try:
            return [(which, self.unfinished(out, file, before))]
        except Failed as failure:
            raise Failed(f"{what}: {failure}") from None

    def unfinished(self, out, file, before):
        length = file.stat().st_size
        damaged = file.read_bytes()
        code, said = self.program.run(self.program.train(out), [0, 1, 2], [file.name])
        if code:
            if file.read_bytes() != damaged or file.stat().st_size != length:
                raise Failed("it was refused and changed nevertheless")
            return "refused by name"
        self.program.check_finished("train", out)
        check_history(tomllib.loads(before.decode()), tomllib.loads((out / "run.toml").read_text()))
        return "told by name, same bytes" if file.name in said else "harmless, same bytes"

    def finished(self, out, chance):
        whole = self.program.folder / "whole-train"
        copies = {name: out / name.partition(".")[0] for name in FINISHED}
        bits, files, codes = {}, {}, {}
        for name, copy in copies.items():
            shutil.copytree(whole, copy)
            bits[name] = flip(copy / name, chance)
            files[name] = contents(copy)
        for name, copy in copies.items():
            codes[name], _ = self.program.run(self.program.train(copy), [0, 1, 2], [f"{copy.name}/{name}"])
        verified, said = self.program.verify(out)
        report = out.with_suffix(".report")
        figured, told = self.program.run([self.program.path, "figures", out, "--out", report], [0, 1, 2, 3])
        shutil.rmtree(report, ignore_errors=True)
        if bool(verified) != any(codes.values()):
            raise Failed(f"exit codes {codes} of train, {verified} of verify after {bits}")
        outcomes = []
        for name, copy in copies.items():
            if contents(copy) != files[name]:
                raise Failed(f"a file of a finished run was changed after {bits[name]}")
            path = f"{copy.name}/{name}"
            # Figures need no weights.
            shows = figured and path in told or name == "weights.safetensors"
            if codes[name] and path in said and shows:
                outcomes.append((f"finished {name}", "refused by name"))
            # Not even a value may be another one.
            elif name == "run.toml" and not codes[name] and path not in said + told and same_values(whole / name, copy / name):
                outcomes.append((f"finished {name}", "harmless, same bytes"))
            else:
                raise Failed(f"{bits[name]}: exit code {codes[name]} of train; verify: {said[-300:]!r}; figures: {told[-300:]!r}")
        return outcomes


def flip(file, chance):
    """Changes one bit of a file; says which."""
    bytes_ = bytearray(file.read_bytes())
    position, bit = place(chance, len(bytes_))
    bytes_[position] ^= 1 << bit
    file.write_bytes(bytes_)
    return f"bit {bit} of byte {position} of {file.name}"


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FINISHED}


def same_values(one, other):
    return tomllib.loads(one.read_text()) == tomllib.loads(other.read_text())


def check_history(before, after):
    """What a resumed run's record says about its past is what was on record, or was at a checkpoint, a moment earlier."""
    expected, found = dict(before["provenance"]), dict(after["earlier_attempts"][-1]["provenance"])
    for times in (expected, found):
        times.pop("updated")
    if expected != found:
        raise Failed(f"its record now says {found} of an earlier attempt, and said {expected}")
    seconds = [record["progress"]["seconds"] for record in (before, after)]
    if before["run"] != after["run"] or not seconds[0] - 5 <= seconds[1] < seconds[0] + PATIENCE:
        raise Failed(f"its record now says something else: {seconds[1]} s after {seconds[0]} s")
    if before.get("earlier_attempts", []) != after["earlier_attempts"][:-1]:
        raise Failed("its record lost an attempt")


def place(chance, length):
    """A bit: anywhere, or near the beginning or the end, where there is more than numbers."""
    start, end_ = chance.choice([(0, length), (0, length), (0, min(length, 4096)), (max(length - 256, 0), length)])
    return chance.randrange(start, end_), chance.randrange(8)


def checkpoints(out):
    """Oldest first; none before the first one and after the last iteration, when a run removes the folder."""
    try:
        return sorted(path for path in (out / "checkpoint").iterdir() if path.suffix == ".safetensors")
    except FileNotFoundError:
        return []


def rows(out):
    try:
        return (out / "train.csv").read_bytes().count(b"\n") - 1
    except OSError:
        return 0
