"""Processes of zoo's commands, and their descendants."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TIMEOUT_S = 300.0  # of any process


class Command:
    """A command of zoo in a separate process.

    Args:
        arguments: The arguments after ``zoo``.
        output_file: File of its output.
        launcher: Command before Python, such as ``mpiexec -n 2``.
    """

    def __init__(self, arguments: list[str], output_file: Path, launcher: tuple[str, ...] = ()) -> None:
        self.output_file = output_file
        with output_file.open("wb") as file:
            self.process = subprocess.Popen(
                [*launcher, sys.executable, "-m", "zoo", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self) -> None:
        """Wait for the end; raises ``AssertionError`` if the process fails."""
        code = self.wait()
        assert code == 0, f"exit code {code}: {self.tail()}"

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        try:
            return self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"not finished after {TIMEOUT_S:g} s: {self.tail()}") from None

    def outlives(self, seconds: float) -> bool:
        """Wait some seconds; False if the process ended before."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def wait_until(self, condition: Callable[[], object], poll_s: float = 0.005) -> bool:
        """Wait for a condition; False if the process ended before."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None:
            if condition():
                return True
            assert time.monotonic() < deadline, f"a condition does not become true: {self.tail()}"
            time.sleep(poll_s)
        return False

    def kill(self) -> bool:
        """Kill the process; False if it had ended."""
        self.process.kill()
        return self.process.wait() != 0

    def events(self) -> list[dict[str, Any]]:
        """Events printed so far, without an incomplete last line."""
        lines = self.output_file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]

    def tail(self) -> str:
        """The end of its output."""
        return self.output_file.read_text(encoding="utf-8", errors="replace")[-2000:]


def flags(settings: Mapping[str, Any], **prefixes: str) -> list[str]:
    """Convert arguments of ``zoo.train`` or ``zoo.compare`` to flags, and options to ``--set``.

    Args:
        settings: The settings.
        **prefixes: Prefix of the option names by setting.
    """
    arguments: list[str] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            prefix = prefixes.get(name, f"{name.removesuffix('_options')}.")
            arguments += [word for key, each in value.items() for word in ("--set", f"{prefix}{key}={each}")]
        else:
            text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            arguments += [f"--{name.replace('_', '-')}", text]
    return arguments


def descendants(pid: int) -> dict[int, list[str]]:
    """Command lines of all descendants of a process by number (Linux)."""
    parents = {child: _parent(child) for child in _processes()}
    descendants: list[int] = []
    wave = [pid]
    while wave:
        wave = [child for child, parent in parents.items() if parent in wave]
        descendants += wave
    return {child: _command_line(child) for child in descendants}


def is_alive(pid: int) -> bool:
    """Whether there is a process with this number that is not a zombie."""
    return _parent(pid) is not None


def kill(pid: int) -> bool:
    """Kill a process; False if it had ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for_end(pids: list[int]) -> None:
    """Wait for the end of processes; raises ``AssertionError`` if one does not end."""
    deadline = time.monotonic() + 60
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, f"processes {alive} outlive their parent"
        time.sleep(0.02)


def _processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]


def _parent(pid: int) -> int | None:
    """The parent of a process; None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, parent = fields.rpartition(")")[2].split()[:2]
    return None if state == "Z" else int(parent)


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return []
