"""Time limits of processes that count work, so that a busy machine ends none of them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

_TICK = 0.25  # seconds between two looks


class _Use(NamedTuple):
    """The processor time of a process, in seconds, and whether its first thread sleeps."""

    sleeps: bool
    seconds: float


def wait_or_kill(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process, and kill it when its time is up; whether it ended by itself.

    What counts is processor time, and time in which the process sleeps. Time in which it waits for a
    processor that others use does not. Where the system does not show processor time (it does so in
    ``/proc``), all time counts.

    Args:
        process: The process.
        seconds: Its time.
    """
    spent = 0.0
    last, before = time.monotonic(), _use_of_processor(process.pid)
    while True:
        try:
            process.wait(_TICK)
        except subprocess.TimeoutExpired:
            now, after = time.monotonic(), _use_of_processor(process.pid)
            spent += _counted(now - last, before, after)
            last, before = now, after
        else:
            return True
        if spent >= seconds:
            process.kill()
            process.wait()
            return False


def _counted(passed: float, before: _Use | None, after: _Use | None) -> float:
    """The part of the time passed that counts."""
    if before is None or after is None:
        return passed
    used = min(passed, after.seconds - before.seconds)  # of several threads it may be more than passed
    return passed if after.sleeps and used == 0.0 else used


def _use_of_processor(process: int) -> _Use | None:
    """The processor time of a process so far; None where the system does not show it."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        state, *numbers = fields.rpartition(")")[2].split()
        return _Use(state != "R", (int(numbers[10]) + int(numbers[11])) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return None
