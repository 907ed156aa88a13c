"""Runs of ``zoo train`` that are killed: in forks, in processes, and under MPI."""

from __future__ import annotations

import random
import shutil
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import zoo
from crash_tests.equality import compare_runs, temporaries
from crash_tests.forks import Forks, kill_at_random
from crash_tests.processes import Command, descendants, flags, kill, wait_for_end

LINES = [f"{n} and {n * n % 97} make {n + n * n % 97}\n" for n in range(150)]

_EVERYTHING = {"hidden": 8, "batch": 4, "threads": 1, "log_every": 7, "eval_every": 10, "save_every": 3}
# The first validation is the best one: the learning rate is far too high.
_FIRST_IS_BEST = {"hidden": 8, "batch": 4, "threads": 1, "log_every": 2, "eval_every": 3, "save_every": 3}
_FIRST_IS_BEST |= {"steps": 12, "clip": 0.3, "lr": 3.0, "seed": 1, "keep": 1}
_COPYING = {"task": "copying", "task_options": {"delay": 5, "length": 5}, "eval_batches": 2}

# Together: two layers, dropout, a modifier with noise, optimizers with slots, a schedule with a state,
# clipping, recomputation, a different cell for each layer, both directions, learned initial states, and lines
# of progress that begin before a checkpoint and end after it.
SETTINGS: dict[str, dict[str, Any]] = {
    "text": {
        **_EVERYTHING,
        "data": "text.txt",
        "cell": "vanilla",
        "layers": 2,
        "dropout": 0.1,
        "seq": 8,
        "steps": 60,
        "split": "80,20",
        "optimizer": "adam",
        "lr": 0.01,
        "schedule": "plateau",
        "schedule_options": {"patience": 2},
        "clip": 0.5,
        "sample_every": 20,
        "sample_length": 20,
    },
    "text-first": {**_FIRST_IS_BEST, "data": "text.txt", "cell": "gru", "seq": 8, "split": "80,20"},
    "task": {
        **_EVERYTHING,
        **_COPYING,
        "cell": "gru+recurrent_dropout",
        "steps": 50,
        "optimizer": "nadam",
        "recompute": "sqrt",
        "keep": 2,
    },
    "task-first": {**_FIRST_IS_BEST, **_COPYING, "cell": "lstm"},
    "stack": {
        **_EVERYTHING,
        **_COPYING,
        "cell": ("lstm", "gru+recurrent_dropout"),
        "cell_options": ({"forget_bias": 2.0}, {}),
        "layers": 2,
        "bidirectional": True,
        "learned_state": True,
        "steps": 40,
        "optimizer": "adamw",
    },
    "ranks": {
        **_EVERYTHING,
        "data": "text.txt",
        "cell": "vanilla",
        "seq": 8,
        "batch": 40,
        "steps": 600,
        "split": "80,20",
        "save_every": 30,
        "eval_every": 60,
    },
}


class Undisturbed(NamedTuple):
    """Measurements of an undisturbed run.

    Attributes:
        seconds: Duration.
        points: Number of crash points in a fork.
    """

    seconds: float
    points: int


class Training:
    """Runs in forks of this process.

    Args:
        kind: Names the settings.
        **changes: Settings that differ.
    """

    def __init__(self, kind: str, **changes: Any) -> None:
        self.settings = {**SETTINGS[kind], **changes}

    def prepare(self, folder: Path) -> None:
        """Train undisturbed in ``folder/whole``, in this process, which is warm from then on."""
        self.folder, self.whole = folder, folder / "whole"
        if "data" in self.settings:
            (folder / "text.txt").write_bytes("".join(LINES).encode())
            self.settings["data"] = str(folder / "text.txt")
        self.train(self.whole)

    @cached_property
    def undisturbed(self) -> Undisturbed:
        """Duration and crash points of a run without kills."""
        out, started = self.folder / "measured", time.monotonic()
        points = self.measure(out)
        measured = Undisturbed(time.monotonic() - started, points)
        self.compare(out)
        return measured

    def measure(self, out: Path) -> int:
        """Finish a run without kills; return its number of crash points."""
        return self._forks(out).finish()

    def train(self, out: Path) -> None:
        """Start or resume the run in ``out`` in this process."""
        zoo.train(out=out, resume=True, **self.settings)

    def run_with_kills(self, out: Path, number: int, rng: random.Random) -> list[str]:  # noqa: ARG002
        """Kill a run until it finishes; return the kind of each kill."""
        return kill_at_random(self._forks(out), rng, self.undisturbed.points, self.undisturbed.seconds)

    def compare(self, out: Path) -> None:
        """Raise ``AssertionError`` unless the run equals the undisturbed one."""
        compare_runs(self.whole, out)

    def close(self) -> None:
        """Close nothing."""

    def _forks(self, out: Path) -> Forks:
        return Forks(lambda: self.train(out), out)


class EveryPoint(Training):
    """Runs in forks, each killed at a different crash point."""

    def run_with_kills(self, out: Path, number: int, rng: random.Random) -> list[str]:  # noqa: ARG002
        """Kill at a crash point, then finish the run."""
        forks, point = self._forks(out), number % self.undisturbed.points + 1
        assert forks.die_at(point), f"there is no crash point {point}"
        forks.finish()
        return ["crash point"]


class Process(Training):
    """Runs in separate processes: kills also hit imports and the loading of kernels."""

    launcher: tuple[str, ...] = ()
    victims: tuple[str, ...] = ("process",)

    def measure(self, out: Path) -> int:
        """Finish a run without kills; there are no crash points."""
        self.start(out).finish()
        return 0

    def start(self, out: Path) -> Command:
        """Start or resume the run in ``out``."""
        arguments = ["train", *flags(self.settings), "--out", str(out), "--resume", "--json"]
        return Command(arguments, out.with_name(f"{out.name}.output"), self.launcher)

    def run_with_kills(self, out: Path, number: int, rng: random.Random) -> list[str]:  # noqa: ARG002
        """Kill processes after random delays; every fourth then waits until a file is being written."""
        kills: list[str] = []
        while True:
            seconds, waits = rng.uniform(0, self.undisturbed.seconds), rng.random() < 0.25
            victim = rng.choice(self.victims)
            command = self.start(out)
            if not command.outlives(seconds) or (
                waits and not command.wait_until(lambda: temporaries(out), 0.0002)
            ):
                command.finish()
                return kills
            kills.append(self.kill(command, victim))

    def kill(self, command: Command, victim: str) -> str:  # noqa: ARG002 - there is one
        """Kill a process; return its state."""
        command.kill()
        return "training" if command.events() else "starting"


class Ranks(Process):
    """Runs of two processes under MPI. One is killed: the other must end and free the directory."""

    victims = ("rank 0", "rank 1", "launcher")

    def prepare(self, folder: Path) -> None:
        """Train undisturbed with a single process, whose bits ranks reproduce."""
        mpiexec = Path(sys.executable).with_name("mpiexec")
        launcher = str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec")
        assert launcher is not None, "there is no mpiexec"
        self.launcher = (launcher, "-n", "2")
        super().prepare(folder)

    def kill(self, command: Command, victim: str) -> str:
        """Kill a rank, or the launcher while the ranks do not run yet."""
        started = descendants(command.process.pid)
        ranks = sorted(pid for pid, arguments in started.items() if arguments[1:3] == ["-m", "zoo"])
        if victim == "launcher" or len(ranks) < 2:
            victim = "launcher"
            kill(command.process.pid)
        else:
            kill(ranks[int(victim[-1])])
        command.wait()
        wait_for_end(list(started))
        return victim
