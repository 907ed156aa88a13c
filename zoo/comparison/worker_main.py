"""A process that does jobs: one JSON object a line comes in, events and the record of each go out.

Its argument is the directory of the comparison (zoo/comparison/workers.py starts it).

When nobody writes to its stdin any more, because whoever started it stopped it or is dead, a run in progress
finishes its step, saves and stops, as after SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from zoo.comparison.execute import run_job
from zoo.training import Interrupted

Message = dict[str, Any]


class JobQueue:
    """The jobs that come in. A thread of its own reads them, and notices their end in the middle of one."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.jobs: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.is_busy = False
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.jobs.put(json.loads(line))
        self.jobs.put(None)
        if self.is_busy:
            signal.raise_signal(signal.SIGTERM)


def serve(root: Path, lines: Iterable[str], answers: IO[str]) -> None:
    """Do every job that comes in."""

    def say(message: Message) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody listens: the inbox has noticed, or is about to
            print(json.dumps(message), file=answers, flush=True)

    inbox = JobQueue(lines)
    say({"ready": os.getpid()})
    while (job := inbox.jobs.get()) is not None:
        inbox.is_busy = True
        record = run_job(job, root, lambda event: say({"event": event}))  # type: ignore[arg-type]
        inbox.is_busy = False
        say({"record": record})


def main() -> None:
    """Serve on copies of stdin and stdout: what a plugin reads is no job, and what it prints no answer."""
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        serve(Path(sys.argv[1]), lines, answers)
    except Interrupted as stopped:
        sys.exit(str(stopped))
