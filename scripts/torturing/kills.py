"""Kills: a training or a sweep is ended or disturbed at random moments, again and again until it is through."""

import os
import random
import select
import signal
import subprocess
import threading
import time

from torturing.program import AT_ONCE, PATIENCE, RUN_FAILED, STOPPED, Failed, check_words, children, end, is_alive, send

# In which a start may also end that is disturbed before it listens to signals.
EARLY = {signal.SIGTERM: -signal.SIGTERM, signal.SIGHUP: -signal.SIGHUP, signal.SIGINT: -signal.SIGINT, signal.SIGUSR1: -signal.SIGUSR1}
CHECKPOINT_EVERY = [0, 0, 0.05, 0.2, 1000]
# After so many starts a run is let through.
MOST_STARTS = 12


class Attack:
    """One start of the program, and what is done to it."""

    def __init__(self, command, chance, log):
        self.chance = chance
        self.log = log.open("w+b")
        self.readers = []
        # A group of its own, so that Ctrl-C ends this script and not, unnoticed, what is under test.
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        for pipe in (self.child.stdout, self.child.stderr):
            reader = threading.Thread(target=self.read, args=[pipe.fileno()], daemon=True)
            reader.start()
            self.readers.append(reader)

    def read(self, descriptor):
        """Keeps what the program says, until it says no more or the pipe is closed."""
        while True:
            # A thread that waits in a read keeps a pipe open that was closed meanwhile.
            if select.select([descriptor], [], [], 0.02)[0]:
                if not (part := os.read(descriptor, 65536)):
                    break
                self.log.write(part)
                self.log.flush()

    def wait(self, seconds):
        """Whether the program ends by itself within that time."""
        try:
            self.child.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def send(self, number):
        send(self.child.pid, number)

    def worker(self):
        """A process that trains for the sweep, if there is one."""
        return next(iter(children(self.child.pid)), None)

    # Each way returns the exit codes that it may lead to, or None if it may go on to its end.

    def kill(self):
        self.send(signal.SIGKILL)
        return [-signal.SIGKILL]

    def stop_by(self, number):
        self.send(number)
        return [STOPPED, EARLY[number]]

    def stop_twice(self):
        self.send(signal.SIGTERM)
        self.wait(self.chance.choice([0, 0.001, 0.01, 0.1]))
        self.send(signal.SIGTERM)
        return [AT_ONCE, STOPPED, EARLY[signal.SIGTERM]]

    def freeze(self):
        self.send(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.01, 0.3))
        self.send(signal.SIGCONT)
        return None

    def freeze_and_kill(self):
        self.send(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.0, 0.1))
        return self.kill()

    def close_pipe(self, which):
        """The reader of its stdout or stderr goes away."""
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, which.fileno())
        os.close(null)
        return None

    def kill_worker(self):
        if process := self.worker():
            send(process, signal.SIGKILL)
        return None

    def terminate_worker(self):
        if process := self.worker():
            send(process, signal.SIGTERM)
        return None

    def kill_both(self):
        process = self.worker()
        if process and self.chance.random() < 0.5:
            send(process, signal.SIGKILL)
        self.send(signal.SIGKILL)
        if process:
            send(process, signal.SIGKILL)
        return [-signal.SIGKILL]

    def freeze_worker(self):
        if process := self.worker():
            send(process, signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.01, 0.3))
            send(process, signal.SIGCONT)
        return None

    def kill_supervisor_of_frozen(self):
        process = self.worker()
        if process:
            send(process, signal.SIGSTOP)
        return self.kill()


BOTH_KINDS = [
    ("SIGKILL", Attack.kill),
    ("SIGTERM", lambda attack: attack.stop_by(signal.SIGTERM)),
    ("SIGTERM twice", Attack.stop_twice),
    ("SIGHUP", lambda attack: attack.stop_by(signal.SIGHUP)),
    ("SIGINT", lambda attack: attack.stop_by(signal.SIGINT)),
    ("SIGUSR1", lambda attack: attack.stop_by(signal.SIGUSR1)),
    ("SIGSTOP, SIGCONT", Attack.freeze),
    ("SIGSTOP, SIGKILL", Attack.freeze_and_kill),
    ("closed stdout", lambda attack: attack.close_pipe(attack.child.stdout)),
    ("closed stderr", lambda attack: attack.close_pipe(attack.child.stderr)),
]
OF_SWEEPS = [
    ("SIGKILL to a worker", Attack.kill_worker),
    ("SIGTERM to a worker", Attack.terminate_worker),
    ("SIGKILL to both", Attack.kill_both),
    ("SIGSTOP, SIGCONT to a worker", Attack.freeze_worker),
    ("SIGKILL to the supervisor of a stopped worker", Attack.kill_supervisor_of_frozen),
]
WAYS = [("train", *way) for way in BOTH_KINDS] + [("sweep", *way) for way in [*BOTH_KINDS, *OF_SWEEPS]]


class Kills:
    """A trial is one run or sweep, started and disturbed until it is through."""

    name = "kills"

    def __init__(self, program, seed):
        self.program, self.seed = program, seed
        self.seconds = {}
        for kind in ["train", "sweep"]:
            begun = time.monotonic()
            out = program.folder / f"timed-{kind}"
            program.run(program.command(kind, out, 0), [0])
            self.seconds[kind] = time.monotonic() - begun

    def trial(self, number, out):
        """Yields the way and the outcome of each disturbance."""
        chance = random.Random(f"{self.seed} {number}")
        kind = "train" if number % 5 < 2 else "sweep"
        ways = [way for way in WAYS if way[0] == kind]
        done = []
        for _ in range(MOST_STARTS):
            _, name, disturb = chance.choice(ways)
            command = self.program.command(kind, out, chance.choice(CHECKPOINT_EVERY))
            attack = Attack(command, chance, out.with_suffix(".said"))
            try:
                if not self.disturbed(attack, kind, disturb, chance.uniform(0, self.seconds[kind])):
                    break
            except Failed as failure:
                raise Failed(f"{name}, disturbance {len(done) + 1} of it: {failure}") from None
            finally:
                end(attack.child)
            self.program.check_logs(kind, out)
            done.append((f"{kind}: {name}", "same bytes"))
        self.program.run(self.program.command(kind, out), [0])
        self.program.check_finished(kind, out)
        out.with_suffix(".said").unlink()
        return done

    def disturbed(self, attack, kind, disturb, moment):
        """Disturbs the program after `moment`; false if it was through before."""
        if attack.wait(moment):
            self.check_end(attack, [0])
            return False
        workers = children(attack.child.pid)
        codes = disturb(attack)
        if codes is None:
            # Most are left to themselves; some are killed later, so that the trial has more disturbances.
            codes = [0, RUN_FAILED]
            if attack.chance.random() < 0.5 and not attack.wait(attack.chance.uniform(0, self.seconds[kind])):
                codes = attack.kill()
        if not attack.wait(PATIENCE):
            raise Failed(f"did not end within {PATIENCE:.0f} s")
        self.check_end(attack, [*codes, 0])
        gone = time.monotonic() + 120
        while any(is_alive(process) for process in workers):
            if time.monotonic() > gone:
                raise Failed("a worker is still there 120 s after its supervisor")
            time.sleep(0.005)
        return True

    def check_end(self, attack, codes):
        for reader in attack.readers:
            reader.join(5)
        attack.log.seek(0)
        said = attack.log.read().decode(errors="replace")
        check_words(said)
        if attack.child.returncode not in codes:
            raise Failed(f"exit code {attack.child.returncode}, not one of {codes}: {said[-300:]!r}")
