"""Time limits count work, not the time in which others use the processor."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from zoo import processes
from zoo.processes import _counted, _CpuTime, wait_or_kill

BUSY, ASLEEP = "while True: pass", "import time; time.sleep(30)"


def start(program):
    return subprocess.Popen([sys.executable, "-c", program])


@pytest.mark.parametrize("program", [BUSY, ASLEEP])
def test_process_is_killed_at_timeout(program):
    started = time.monotonic()
    process = start(program)
    assert not wait_or_kill(process, 0.5)
    assert process.returncode not in (0, None)
    assert time.monotonic() - started < 25


def test_process_that_ends_in_time():
    process = start("raise SystemExit(3)")
    assert wait_or_kill(process, 60)
    assert process.returncode == 3


def test_waiting_for_a_processor_does_not_count(monkeypatch):
    monkeypatch.setattr(processes, "_cpu_time", lambda process: _CpuTime(False, 0.0))
    assert wait_or_kill(start("import time; time.sleep(1)"), 0.1)


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        (None, None, 2.0),  # a system that does not show it
        (_CpuTime(True, 1.0), None, 2.0),
        (_CpuTime(False, 1.0), _CpuTime(False, 1.5), 0.5),
        (_CpuTime(False, 1.0), _CpuTime(True, 1.5), 0.5),
        (_CpuTime(True, 1.0), _CpuTime(True, 1.0), 2.0),
        (_CpuTime(True, 1.0), _CpuTime(False, 1.0), 0.0),
        (_CpuTime(False, 1.0), _CpuTime(False, 9.0), 2.0),  # eight threads
    ],
)
def test_counted_time(before, after, seconds):
    assert _counted(2.0, before, after) == seconds
