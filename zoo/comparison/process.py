"""A worker as the process that started it sees it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.comparison.jobs import Event, Job, Record
from zoo.errors import ZooError
from zoo.processes import describe_exit, python_command, python_environment

# One thread each: the processes are the parallelism. Libraries read these when they are imported.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


class WorkerDied(ZooError):
    """A worker process ended in the middle of a job; the message says how."""


class Process:
    """A worker process.

    Args:
        root: Directory of the comparison.

    Raises:
        ZooError: if it does not start.
    """

    def __init__(self, root: Path) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                python_command("from zoo.comparison.worker import main; main()", str(root)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                env=python_environment() | _ONE_THREAD,
                encoding="utf-8",
                **_apart(),
            )
        except OSError:
            self._words.close()
            raise
        try:
            self._answer()
        except WorkerDied as death:
            self.close()
            raise ZooError(f"compare: a worker process does not start: {death}") from None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def run(self, job: Job, tell: Callable[[Event], None]) -> Record:
        """Have a job done.

        Raises:
            WorkerDied: if the process ends before the job does.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # that it is dead, the missing answer says
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        while "record" not in (message := self._answer()):
            tell(message["event"])
        record: Record = message["record"]
        return record

    def dismiss(self) -> None:
        """No more jobs: a run in progress finishes its step, saves and stops. This does not wait for it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self, patience: float) -> None:
        """Wait for the end of the process, so many seconds at most; then end it."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process and close what led to it; nobody may be reading from it any more."""
        self._process.kill()
        self._process.wait()
        self.dismiss()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._words.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise WorkerDied(self._end())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self) -> str:
        """How it ended, and the last line that it wrote to stderr."""
        code = self._process.wait()
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{describe_exit(code)}: {last[:300]}" if last else describe_exit(code)


def _apart() -> dict[str, Any]:
    """What keeps Ctrl-C from the worker: it goes to whoever started it, who dismisses it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
