"""Comparisons that are killed: in forks, with worker processes, and on a Dask cluster."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import zoo
from crash_tests.equality import compare_comparisons
from crash_tests.processes import Command, descendants, flags, is_alive, kill, wait_for_end
from crash_tests.trainings import Training

CELLS = ("plain=vanilla", "again=vanilla")  # one cell under two labels: kernels are compiled once
TASK = {"copying": {"delay": 5, "length": 5}}
# The first validation is the best one: the learning rates are far too high.
SHORT = {"seeds": 1, "params": 300, "steps": 8, "batch": 4, "lr_grid": (3.0, 10.0)}
LONG = {"seeds": 2, "params": 1500, "steps": 240, "batch": 16, "lr_grid": (0.003, 0.03)}

Moments = Sequence[tuple[int, str]]


def undisturbed(out: Path, settings: dict[str, Any]) -> None:
    """Start or resume the comparison in this process, without kills."""
    zoo.compare(CELLS, "copying", options=TASK, out=out, jobs=0, **settings)


class ForkedComparison(Training):
    """Serial comparisons in forks of this process."""

    def __init__(self) -> None:
        self.settings = SHORT

    def train(self, out: Path) -> None:
        """Start or resume the comparison in ``out`` in this process."""
        undisturbed(out, self.settings)

    def compare(self, out: Path) -> None:
        """Raise ``AssertionError`` unless the comparison equals the undisturbed one."""
        compare_comparisons(self.whole, out)


class ComparisonProcesses:
    """Comparisons with two worker processes: kill a worker or the leader, or send Ctrl-C to the leader.

    Args:
        settings: Arguments of the comparison.
    """

    victims: tuple[str, ...] = ("worker", "leader", "Ctrl-C")

    def __init__(self, settings: dict[str, Any] = LONG) -> None:
        self.settings = settings

    def prepare(self, folder: Path) -> None:
        """Run the undisturbed comparison in this process."""
        self.whole = folder / "whole"
        undisturbed(self.whole, self.settings)

    def start(self, out: Path) -> Command:
        """Start or resume the comparison in ``out``."""
        options = {"set": TASK["copying"]}
        arguments = [
            "compare",
            "--cells",
            ",".join(CELLS),
            "--tasks",
            "copying",
            *flags(options, set="copying."),
        ]
        arguments += [*flags(self.settings), *self.backend_flags(), "--json", "--out", str(out)]
        return Command(arguments, out.with_name(f"{out.name}.output"))

    def backend_flags(self) -> tuple[str, ...]:
        """Flags of the backend."""
        return ("--jobs", "2")

    def run_with_kills(self, out: Path, number: int, rng: random.Random) -> list[str]:  # noqa: ARG002
        """Kill at random moments."""
        victims = rng.choices(self.victims, k=6)
        return self.run_with_kills_at(
            out, [(rng.randint(1, 25), victim) for victim in victims], rng.uniform(0, 0.03)
        )

    def run_with_kills_at(self, out: Path, moments: Moments, delay: float = 0.0) -> list[str]:
        """Kill at given moments, then finish the comparison.

        A run whose worker was killed twice is recorded as failed; the last call, in this process, retries it.

        Args:
            out: The directory.
            moments: Number of further ``step`` events before each kill, and the victim.
            delay: Seconds to wait after these events.

        Returns:
            The victims; fewer than requested if the comparison ended before.
        """
        command, steps, kills = self.start(out), 0, list[str]()
        for more, victim in moments:
            if command.process.poll() is not None:
                command, steps = self.start(out), 0
            steps += more
            if not command.wait_until(partial(_is_at, command, steps), 0.01):
                break
            time.sleep(delay)
            kills += [victim] * self.kill(command, victim)
        command.wait()
        undisturbed(out, self.settings)
        return kills

    def kill(self, command: Command, victim: str) -> bool:
        """Kill a worker, or kill or interrupt the leader. False if the victim had ended."""
        workers = [event["pid"] for event in command.events() if event["event"] == "worker_started"]
        if victim == "worker":
            return kill(workers[-1])
        command.process.send_signal(signal.SIGINT if victim == "Ctrl-C" else signal.SIGKILL)
        code = command.wait()
        if victim == "Ctrl-C":
            assert code in (0, 128 + signal.SIGINT), f"exit code {code}: {command.tail()}"
            assert not any(map(is_alive, workers)), "a worker outlives its leader"
        return code != 0

    def compare(self, out: Path) -> None:
        """Raise ``AssertionError`` unless the comparison equals the undisturbed one."""
        compare_comparisons(self.whole, out)

    def close(self) -> None:
        """Close nothing."""


class DaskComparison(ComparisonProcesses):
    """Comparisons on a Dask cluster: kill workers, their job processes, the scheduler or the leader.

    Args:
        workers: Number of workers.
        settings: Arguments of the comparison.
    """

    victims = ("Dask worker", "job process", "scheduler", "leader", "Ctrl-C")

    def __init__(self, workers: int = 2, settings: dict[str, Any] = LONG) -> None:
        super().__init__(settings)
        self.workers = workers

    def prepare(self, folder: Path) -> None:
        """Run the undisturbed comparison, and start a cluster."""
        super().prepare(folder)
        self.cluster = Cluster(folder / "cluster", self.workers)

    def backend_flags(self) -> tuple[str, ...]:
        """The scheduler's address, of a cluster that is there."""
        return ("--on", self.cluster.address())

    def kill(self, command: Command, victim: str) -> bool:
        """Kill a process of the cluster or the leader. False if there was none."""
        if victim == "scheduler":
            self.cluster.stop()
            code = command.wait()
            assert code in (0, 1), f"exit code {code}: {command.tail()}"
            return True
        if victim in ("Dask worker", "job process"):
            return self.cluster.kill(victim)
        return super().kill(command, victim)

    def close(self) -> None:
        """End the cluster."""
        self.cluster.stop()


class Cluster:
    """A Dask scheduler and workers, which a nanny process restarts when they die.

    Args:
        folder: Directory of their output.
        size: Number of workers.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: subprocess.Popen[bytes] | None = None

    def address(self) -> str:
        """Start the scheduler if necessary; return its address in the form of ``--on``."""
        if self.scheduler is None:
            self._start()
        return self._address

    def kill(self, victim: str) -> bool:
        """Kill a Dask worker, or a process that runs a job for it. False if there is none."""
        assert self.workers is not None
        started = descendants(self.workers.pid)
        jobs = [
            pid
            for pid, arguments in started.items()
            if any("zoo.comparison.execute" in word for word in arguments)
        ]
        others = [
            pid for pid, arguments in started.items() if any("spawn_main" in word for word in arguments)
        ]
        return any(kill(pid) for pid in (jobs if victim == "job process" else others)[:1])

    def stop(self) -> None:
        """Kill the scheduler and the nannies, and wait for the end of their children."""
        if self.scheduler is None or self.workers is None:
            return
        started = list(descendants(self.workers.pid))
        for process in (self.scheduler, self.workers):
            process.kill()
            process.wait()
        self.scheduler = self.workers = None
        wait_for_end(started)

    def _start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        file = self.folder / "scheduler.json"
        common = ["--scheduler-file", str(file), "--no-dashboard"]
        self.scheduler = self._start_process("scheduler", "--host", "127.0.0.1", "--port", "0", *common)
        options = ["--nworkers", str(self.size), "--nthreads", "1", "--local-directory", str(self.folder)]
        self.workers = self._start_process("worker", *common, *options)
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(self.size, timeout=60)
            self._address = client.scheduler.address.replace("tcp://", "dask://")

    def _start_process(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{arguments[0]}.output").open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _is_at(command: Command, steps: int) -> bool:
    """Whether ``steps`` events of kind ``step`` were printed."""
    return sum(event["event"] == "step" for event in command.events()) >= steps
