"""Worker process: receives jobs, sends events and records. `zoo.comparison.workers` starts it.

Its argument is the directory of the comparison. When the parent closes stdin or dies, a run in progress
finishes its step, saves and stops, as after SIGTERM.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from zoo.child_process import Message, connect_to_parent
from zoo.comparison.execute import run_job
from zoo.comparison.jobs import Job
from zoo.training import Interrupted


class JobQueue:
    """Jobs of the parent, read by a thread, which interrupts the current job at the end of the input."""

    def __init__(self, jobs: Iterable[Message]) -> None:
        self.jobs: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.is_busy = False
        threading.Thread(target=self._read, args=(jobs,), daemon=True).start()

    def _read(self, jobs: Iterable[Message]) -> None:
        for job in jobs:
            self.jobs.put(job)
        self.jobs.put(None)
        if self.is_busy:
            signal.raise_signal(signal.SIGTERM)


def serve(root: Path, jobs: Iterable[Message], send: Callable[[Message], None]) -> None:
    """Run every job that is received."""
    received = JobQueue(jobs)
    send({"ready": os.getpid()})
    while (job := received.jobs.get()) is not None:
        received.is_busy = True
        record = run_job(cast(Job, job), root, lambda event: send({"event": event}))
        received.is_busy = False
        send({"record": record})


def main() -> None:
    """Serve until the parent closes stdin."""
    try:
        serve(Path(sys.argv[1]), *connect_to_parent())
    except Interrupted as interrupted:
        sys.exit(str(interrupted))
