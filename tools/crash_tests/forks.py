"""Runs in forks of this process. It is warm: a fork imports and compiles nothing, so kills are cheap."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from crash_tests.crash_points import CrashPoints
from crash_tests.processes import DEADLINE

Work = Callable[[], object]


class Forks:
    """Something that is done in forks that are killed, again and again, until one comes to its end.

    Args:
        work: What is done; called again after a kill, it goes on.
        folder: The directory that it writes to.
    """

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.folder = work, folder
        self.output_file = folder.with_name(f"{folder.name}.output")

    def finish(self) -> int:
        """Let a fork come to its end; how many crash points it passed.

        Raises:
            AssertionError: it failed.
        """
        assert _wait(self._begin(0)) == 0, self.output_file.read_text(encoding="utf-8")[-3000:]
        return int(self.output_file.read_text(encoding="utf-8"))

    def die_at(self, point: int) -> bool:
        """Let a fork die at a crash point; False if it came to its end before."""
        return self._is_killed(_wait(self._begin(point)))

    def die_after(self, seconds: float) -> bool:
        """Kill a fork after some seconds; False if it came to its end before."""
        pid = self._begin(0)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        return self._is_killed(_wait(pid))

    def _is_killed(self, status: int) -> bool:
        assert status in (0, -signal.SIGKILL), self.output_file.read_text(encoding="utf-8")[-3000:]
        return status != 0

    def _begin(self, fatal: int) -> int:
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
    """The exit status of a fork, negative for a signal."""
    due = time.monotonic() + DEADLINE
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > due:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"a fork hangs: not at its end after {DEADLINE:g} s")
        time.sleep(0.0005)


def kill_at_random(forks: Forks, rng: random.Random, points: int, seconds: float) -> list[str]:
    """Kill forks until one comes to its end: half of them at random crash points, half after random delays.

    Args:
        forks: What is done.
        rng: Draws the moments.
        points: How many crash points an undisturbed fork passes.
        seconds: How long it takes.

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
