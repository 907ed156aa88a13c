"""Runs in forks of this process. A fork has all imports and kernels, so kills are cheap."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from crash_tests.crash_points import CrashPoints
from crash_tests.processes import TIMEOUT_S

Work = Callable[[], object]


class Forks:
    """Runs a function in forks that are killed, until one finishes.

    Args:
        work: The function; after a kill, the next call resumes its work.
        folder: Its output directory.
    """

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.folder = work, folder
        self.output_file = folder.with_name(f"{folder.name}.output")

    def finish(self) -> int:
        """Let a fork finish; return its number of crash points.

        Raises:
            AssertionError: it failed.
        """
        assert _wait(self._start_process(0)) == 0, self.output_file.read_text(encoding="utf-8")[-3000:]
        return int(self.output_file.read_text(encoding="utf-8"))

    def die_at(self, point: int) -> bool:
        """Kill a fork at a crash point; False if it finished before."""
        return self._is_killed(_wait(self._start_process(point)))

    def die_after(self, seconds: float) -> bool:
        """Kill a fork after some seconds; False if it finished before."""
        pid = self._start_process(0)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        return self._is_killed(_wait(pid))

    def _is_killed(self, status: int) -> bool:
        assert status in (0, -signal.SIGKILL), self.output_file.read_text(encoding="utf-8")[-3000:]
        return status != 0

    def _start_process(self, fatal: int) -> int:
        self.output_file.write_text("")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                points = CrashPoints(self.folder, fatal)
                points.install()
                self.work()
                points.reach()  # after everything
                self.output_file.write_text(str(points.count))
                status = 0
            except BaseException:
                self.output_file.write_text(traceback.format_exc())
            finally:
                os._exit(status)
        return pid


def _wait(pid: int) -> int:
    """Wait for a fork; its exit status, negative for a signal."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"a fork hangs: not finished after {TIMEOUT_S:g} s")
        time.sleep(0.0005)


def kill_at_random(forks: Forks, rng: random.Random, points: int, seconds: float) -> list[str]:
    """Kill forks until one finishes: half of them at random crash points, half after random delays.

    Args:
        forks: The forks.
        rng: Draws the moments.
        points: Number of crash points of an undisturbed fork.
        seconds: Its duration.

    Returns:
        How each fork was killed.
    """
    kills: list[str] = []
    while True:
        if rng.random() < 0.5:
            kind, killed = "crash point", forks.die_at(rng.randint(1, points))
        else:
            kind, killed = "delay", forks.die_after(rng.uniform(0, seconds))
        if not killed:
            return kills
        kills.append(kind)
