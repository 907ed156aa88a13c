"""The engine that hands jobs to a Dask scheduler."""

from __future__ import annotations

import asyncio
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from distributed import Client, Future

from zoo.comparison.cluster.connecting import check_workers
from zoo.comparison.cluster.errand import Errand, make_errand
from zoo.comparison.cluster.handed import Handed, Outcome
from zoo.comparison.cluster.serving import serve
from zoo.comparison.jobs import Event, Job, Record, Tell

_TICK = 0.2  # seconds between looks at whether to stop
_PATIENCE = 60.0  # seconds in which runs that are called back finish their step and save


class Dask:
    """Workers of a Dask cluster, on machines that share the directory.

    A job whose worker dies is done by another, from its last checkpoint. Dask gives it up after some deaths
    (``distributed.scheduler.allowed-failures``); as long as it comes further it is handed out again.

    Args:
        root: Directory of the comparison, with its plan.
        client: A client of the scheduler.
        check: Called now and then while one waits; what it raises ends the waiting.

    Raises:
        ZooError: if a worker cannot take part.
    """

    def __init__(self, root: Path, client: Client, check: Callable[[], None] = lambda: None) -> None:
        self.root, self.client, self.check = root, client, check
        self._topic = f"zoo-{uuid.uuid4().hex}"
        self._warm: dict[str, Job] = {}
        self._size: Event = {}
        self._heard: queue.SimpleQueue[Event | tuple[Future, Outcome]] = queue.SimpleQueue()
        check_workers(client, self._errand())
        client.subscribe_topic(self._topic, lambda event: self._heard.put(event[1]))

    def map(self, jobs: Iterable[Job], tell: Tell) -> Iterator[tuple[Job, Record]]:
        """Every job with its record, as they are done; see `Engine`.

        Kernels are compiled on each machine that takes a job that needs them, also on those that come later:
        jobs that only compile are kept for that, and done with here.
        """
        listed = list(jobs)
        for job in listed:
            if job["kind"] == "warm":
                self._warm[job["cell"]] = job
                yield job, {"task": job["task"], "cell": job["cell"], "status": "finished"}
        others = [job for job in listed if job["kind"] != "warm"]
        if others:
            self._tell_size(tell)
            yield from self._hand_out(others, tell)

    def _hand_out(self, jobs: list[Job], tell: Tell) -> Iterator[tuple[Job, Record]]:
        handed = Handed(self._submit)
        try:
            handed.out(jobs)
            while handed.jobs:
                self.check()
                yield from self._hear(handed, tell)
        finally:
            self._call_back(handed)

    def _hear(self, handed: Handed, tell: Tell) -> Iterator[tuple[Job, Record]]:
        """The next thing that is done, if something is within a tick; what else happens is told."""
        found = self._next()
        if isinstance(found, dict):
            if found["event"] == "taken":
                self._tell_size(tell)
            for event in handed.note(found):
                tell(event)
        elif found is not None and (done := handed.done(*found)):
            yield done

    def _next(self) -> Event | tuple[Future, Outcome] | None:
        """What is heard within a tick."""
        try:
            return self._heard.get(timeout=_TICK)
        except queue.Empty:
            return None

    def _submit(self, jobs: list[Job]) -> list[Future]:
        """Hand jobs to the scheduler, all at once: it keeps those for which no worker is free."""
        names = [f"{self._topic}-{uuid.uuid4().hex}" for _ in jobs]
        warm = [self._warm.get(job["cell"]) for job in jobs]
        futures: list[Future] = self.client.map(
            serve, jobs, warm, [self._errand()] * len(jobs), key=names, pure=False
        )
        for future in futures:
            future.add_done_callback(lambda future: self._heard.put((future, _outcome(future))))
        return futures

    def _call_back(self, handed: Handed) -> None:
        """Cancel what is not done, and wait until what was running has saved."""
        if not handed.jobs or self.client.status != "running":
            return
        self.client.cancel([*handed.jobs], force=True)
        due = time.monotonic() + _PATIENCE
        while handed.running() and time.monotonic() < due:
            if isinstance(found := self._next(), dict):
                list(handed.note(found))

    def _errand(self) -> Errand:
        return make_errand(self.root, self._topic)

    def _tell_size(self, tell: Tell) -> None:
        """Tell who is there, if it is not as it was told."""
        workers: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        slots = sum(worker["nthreads"] for worker in workers.values())
        machines = len({worker["host"] for worker in workers.values()})
        size = {"event": "cluster", "workers": len(workers), "machines": machines, "slots": slots}
        if size != self._size:
            tell(size)
            self._size = size


def _outcome(future: Future) -> Outcome:
    try:
        record: Record = future.result()
    except (Exception, asyncio.CancelledError) as error:
        return error
    return record
