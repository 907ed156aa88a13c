"""The processes that do jobs beside a Dask worker, one for each of its threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from zoo.comparison.jobs import Job, Record, Tell
from zoo.comparison.pool import Seat

_REST = 10.0  # seconds in which a process waits for another job of its comparison


class Slot:
    """A seat, and what is compiled for it.

    Args:
        root: Directory of the comparison.
    """

    def __init__(self, root: Path) -> None:
        self.seat = Seat(root)
        self.is_closed = False
        self._warmed: set[str] = set()

    def run(self, job: Job, warm: Job | None, locks: Path, tell: Tell) -> Record:
        """Do a job, after what it needs is compiled.

        Args:
            job: The job.
            warm: What compiles the kernels of its cell.
            locks: A directory that the workers of this machine share: it is compiled by one of them, and
                loaded by the others.
            tell: Called with events meanwhile.
        """
        if warm is not None and warm["cell"] not in self._warmed:
            with FileLock(locks / f"zoo-{warm['cell']}.lock"):
                self.seat.run(warm, tell)  # why it fails, the job itself says
            self._warmed.add(warm["cell"])
        return self.seat.run(job, tell)

    def close(self) -> None:
        """Let a run in progress finish its step and save, and take no more; this does not wait for it."""
        self.is_closed = True
        self.seat.close()


class Slots:
    """Slots at rest, by comparison: a process that is there need not be started."""

    def __init__(self) -> None:
        self._resting: dict[str, list[Slot]] = {}
        self._changing = threading.Lock()

    @contextmanager
    def one(self, root: Path, topic: str) -> Iterator[Slot]:
        """A slot for one job."""
        with self._changing:
            resting = self._resting.get(topic)
            slot = resting.pop() if resting else Slot(root)
        try:
            yield slot
        except BaseException:
            self._end(slot)
            raise
        if slot.is_closed:
            self._end(slot)
        else:
            self._rest(slot, topic)

    def _rest(self, slot: Slot, topic: str) -> None:
        with self._changing:
            self._resting.setdefault(topic, []).append(slot)
        timer = threading.Timer(_REST, self._tire, (slot, topic))
        timer.daemon = True
        timer.start()

    def _tire(self, slot: Slot, topic: str) -> None:
        """End a slot that is still at rest, or again: then the next job starts another."""
        with self._changing:
            resting = self._resting.get(topic, [])
            if slot not in resting:
                return
            resting.remove(slot)
            if not resting:
                del self._resting[topic]
        self._end(slot)

    def _end(self, slot: Slot) -> None:
        slot.close()
        slot.seat.vacate()
