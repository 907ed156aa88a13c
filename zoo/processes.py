"""Start Python processes, and limit their time.

A child process imports the modules that this one does, never modules of the working directory, which
``python -m`` and ``python -c`` put first on the path: a file ``numpy.py`` would replace NumPy.
``PYTHONSAFEPATH`` exists from Python 3.11 on, and ``-I`` also ignores user site packages.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

_POLL_S = 0.25


def available_processors() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _CpuTime(NamedTuple):
    """The processor time of a process, in seconds, and whether its first thread sleeps."""

    is_sleeping: bool
    seconds: float


def wait_or_kill(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process, and kill it after a time limit; return whether it ended by itself.

    Processor time counts, and time in which the process sleeps. Time in which it waits for a processor does
    not, so a busy machine ends no process. Without ``/proc``, all time counts.

    Args:
        process: The process.
        seconds: The time limit.
    """
    spent = 0.0
    last, before = time.monotonic(), _cpu_time(process.pid)
    while True:
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            now, after = time.monotonic(), _cpu_time(process.pid)
            spent += _counted(now - last, before, after)
            last, before = now, after
        else:
            return True
        if spent >= seconds:
            process.kill()
            process.wait()
            return False


def _counted(passed: float, before: _CpuTime | None, after: _CpuTime | None) -> float:
    if before is None or after is None:
        return passed
    used = min(passed, after.seconds - before.seconds)  # several threads may use more
    return passed if after.is_sleeping and used == 0.0 else used


def _cpu_time(process: int) -> _CpuTime | None:
    """The processor time of a process so far; None without ``/proc``."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        state, *numbers = fields.rpartition(")")[2].split()
        return _CpuTime(state != "R", (int(numbers[10]) + int(numbers[11])) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return None


_HEAD = "import sys\nsys.path[:] = filter(None, sys.path)\n"


def python_command(program: str, *arguments: str, python: str | None = None) -> list[str]:
    """The command that runs a program in a new Python process.

    Args:
        program: The source of the program, such as ``from zoo.bench.peer_process import main; main()``.
            It may use ``sys``, which is already imported.
        *arguments: Its ``sys.argv[1:]``.
        python: The interpreter; this one if None.
    """
    return [python or sys.executable, "-c", _HEAD + program, *arguments]


def python_environment() -> dict[str, str]:
    """The environment in which a child process of this interpreter finds the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def describe_exit(code: int) -> str:
    """The end of a process in words: ``exit code 1``, or ``signal 9 (Killed)`` for a negative code."""
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
