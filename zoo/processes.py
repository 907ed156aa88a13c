"""Start Python processes, and limit their time.

A child process imports the modules that this one does, never modules of the working directory, which
``python -m`` and ``python -c`` put first on the path: a file ``numpy.py`` would replace NumPy.
``PYTHONSAFEPATH`` exists from Python 3.11 on, and ``-I`` also ignores user site packages.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_POLL_S = 0.25
_UNLIMITED = 1 << 30


def available_processors() -> int:
    """Number of processors that this process may use, by its affinity and by limits of its control groups."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), processor_quota())
    return os.cpu_count() or 1


@functools.cache
def processor_quota(root: Path = Path("/")) -> int:
    """Processors that the control groups of this process allow on Linux, rounded up; else a large number.

    A container with ``--cpus 2`` sees all processors of its host. With a thread on each of them, it would use
    its time in a fraction of every period of 0.1 s, and then be stopped until the next one.

    Args:
        root: Folder with ``proc`` and ``sys``.
    """
    quotas = [_UNLIMITED]
    for folder in _control_groups(root):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
            limit, period = _read_words(folder / "cpu.max")
            quotas.append(math.ceil(int(limit) / int(period)))
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # version 1, where -1 is no limit
            (limit,), (period,) = (_read_words(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            quotas.append(math.ceil(int(limit) / int(period)))
    return min(quota for quota in quotas if quota > 0)


def _control_groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups of this process that may limit its processors, and of their parents."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers  # version 2 has no names of controllers
        folder = top / group.lstrip("/")
        yield from (each for each in (folder, *folder.parents) if each.is_relative_to(top))


def _read_words(file: Path) -> list[str]:
    return file.read_text(encoding="ascii").split()


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
_SAFE_PATH = ["-P"] if sys.version_info >= (3, 13) else []
"""From Python 3.13 on, ``python -c`` imports ``linecache`` before the program begins."""


def python_command(program: str, *arguments: str, python: str | None = None) -> list[str]:
    """The command that runs a program in a new Python process.

    Args:
        program: The source of the program, such as ``from zoo.bench.peer_process import main; main()``.
            It may use ``sys``, which is already imported.
        *arguments: Its ``sys.argv[1:]``.
        python: The interpreter; this one if None.
    """
    command = [sys.executable, *_SAFE_PATH] if python is None else [python]
    return [*command, "-c", _HEAD + program, *arguments]


def has_python_command() -> bool:
    """Whether this executable is Python, and not a frozen or embedded application."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def python_environment() -> dict[str, str]:
    """The environment in which a child process of this interpreter finds the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def describe_exit(code: int) -> str:
    """The end of a process in words: ``exit code 1``, or ``signal 9 (Killed)`` for a negative code."""
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
