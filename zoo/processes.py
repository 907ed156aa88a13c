"""Time limits of processes that count work, so that a busy machine ends none of them.

Starting Python: other processes find modules where this one does, never in the working directory.

``python -m`` and ``python -c`` put the working directory first on the path, where a file ``numpy.py`` would
be imported instead of NumPy. ``PYTHONSAFEPATH`` forbids that from Python 3.11 on only, and ``-I`` ignores the
environment, user site packages included.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


_HEAD = "import sys\nsys.path[:] = filter(None, sys.path)\n"


def python_command(program: str, *arguments: str, python: str | None = None) -> list[str]:
    """The command that runs a program in a new process.

    Args:
        program: The text of the program, such as ``from zoo.bench.peer_server import main; main()``.
            It may use ``sys``, which is already imported.
        *arguments: Its ``sys.argv[1:]``.
        python: The interpreter; this one if None.
    """
    return [python or sys.executable, "-c", _HEAD + program, *arguments]


def python_environment() -> dict[str, str]:
    """This process's environment, in which another one of this interpreter finds the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def describe_exit(code: int) -> str:
    """The end of a process in words: ``exit code 1``, or ``signal 9 (Killed)`` for a negative code."""
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
