"""Write faults: one operation on files of a run fails, or it and all later ones; then the same command is given again."""

import os
import random
import subprocess

from torturing.program import RUN_FAILED, Failed, Program

HOW = ["ENOSPC", "EIO", "short", "kill", "killed"]
KINDS = ["train", "sweep"]
# A way is what happens, whether for good, and to what; a training takes a third of the time of a sweep.
WAYS = [(how, lasting, kind) for kind in KINDS for how in HOW for lasting in (False, True) if not (lasting and how in ("kill", "killed"))]
# Their operations repeat with every iteration.
ITERATIONS = 6
# After so many faults a run is let through.
MOST_FAULTS = 6


class Faults:
    """Draws an operation and a way for each trial, so that all operations of a way come before one comes again."""

    name = "faults"

    def __init__(self, program, source, seed):
        folder = program.folder / "faults"
        folder.mkdir()
        self.program, self.seed = Program(program.path, folder, ITERATIONS), seed
        self.program.make_whole()
        self.library = folder / "write_faults.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self.library, source, "-ldl"], check=True)
        self.counts = {kind: self.count(kind) for kind in KINDS}

    def way(self, number):
        return named(WAYS[number % len(WAYS)])

    def count(self, kind):
        """How many operations there are in an undisturbed one."""
        out = self.program.folder / f"counted-{kind}"
        environment = self.environment(out, "ENOSPC", 0, False)
        self.program.run(self.program.command(kind, out, 0), [0], environment=environment)
        if not (count := int.from_bytes((out.with_suffix(".count")).read_bytes(), "little")):
            raise Failed("no operation was counted: the library is not used")
        print(f"a {kind} has {count} operations on files", flush=True)
        return count

    def operation(self, number):
        """The operation of a trial: a pass over all of them in random order, then another one."""
        _, _, kind = WAYS[number % len(WAYS)]
        turn, total = number // len(WAYS), self.counts[kind]
        order = list(range(1, total + 1))
        random.Random(f"{self.seed} {number % len(WAYS)} {turn // total}").shuffle(order)
        return order[turn % total]

    def environment(self, out, how, at, lasting):
        counter = out.with_suffix(".count")
        counter.write_bytes(bytes(8))
        environment = dict(os.environ, LD_PRELOAD=str(self.library), FAULT_FOLDER=str(out), FAULT_COUNTER=str(counter), FAULT_AT=str(at),
                           FAULT_HOW=how, FAULT_LOG=str(out.with_suffix(".log")))
        if lasting:
            environment["FAULT_LASTING"] = "1"
        return environment

    def trial(self, number, out):
        """One fault, the next one in what it left, and so on, until the program gets through or there are MOST_FAULTS; then none."""
        chance, found = random.Random(f"{self.seed} {number}"), []
        way, at = WAYS[number % len(WAYS)], self.operation(number)
        kind = way[2]
        while len(found) < MOST_FAULTS and (outcome := self.fault(way, at, out)):
            found.append((named(way), outcome))
            way = chance.choice([other for other in WAYS if other[2] == kind])
            # What is left to do has fewer operations.
            at = chance.randrange(1, self.counts[kind] // 2)
        self.program.run(self.program.command(kind, out), [0])
        self.program.check_finished(kind, out)
        out.with_suffix(".count").unlink()
        return found

    def fault(self, way, at, out):
        """Has operation `at` fail in that way; says what came of it, or nothing if there are not as many: rows are written by time."""
        how, lasting, kind = way
        dies = how in ("kill", "killed")
        codes = [0, 1, 2] if kind == "train" else [0, 1, 2, RUN_FAILED]
        command, log = self.program.command(kind, out, 0), out.with_suffix(".log")
        # A worker that dies is one that failed.
        code, said = self.program.run(command, [*codes, -9] if dies else codes, [str(out)], self.environment(out, how, at, lasting))
        self.program.check_logs(kind, out)
        if not log.exists():
            if code:
                raise Failed(f"exit code {code} without a fault: {said[-300:]!r}")
            return None
        operation = log.read_text().strip()
        log.unlink()
        if code == RUN_FAILED and str(out) not in said and "killed by signal 9" not in said:
            raise Failed(f"names no file after {operation}: {said[-300:]!r}")
        return {0: "no consequence", -9: "died"}.get(code, "told with the file")


def named(way):
    how, lasting, kind = way
    return f"{kind}: {'every later operation fails: ' if lasting else ''}{how}"
