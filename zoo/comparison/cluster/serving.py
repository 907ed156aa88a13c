"""What a Dask worker does for a comparison: this one function, named and not sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distributed import Reschedule, Status, get_worker

from zoo.comparison.cluster.errand import Errand, Unfit, objection
from zoo.comparison.cluster.slots import Slot, Slots
from zoo.comparison.jobs import Event, Job, Record

if TYPE_CHECKING:
    from distributed import Worker

_TICK = 0.2  # seconds between looks at whether a job is still wanted
_SLOTS = Slots()


def serve(job: Job, warm: Job | None, errand: Errand) -> Record:
    """Do a job, in a process of its own.

    Args:
        job: The job.
        warm: What compiles the kernels of its cell.
        errand: The comparison.

    Raises:
        Unfit: if this worker cannot take part.
        Reschedule: if the worker is about to leave; the run has saved.
    """
    worker = get_worker()
    if why := objection(errand):
        raise Unfit(f"compare: the worker {worker.address} cannot take part: {why}.")
    topic, path = errand["topic"], job["path"]
    worker.log_event(topic, {"event": "taken", "path": path, "worker": worker.address})
    try:
        return _serve(job, warm, errand, worker)
    finally:
        worker.log_event(topic, {"event": "left", "path": path})


def _serve(job: Job, warm: Job | None, errand: Errand, worker: Worker) -> Record:
    with _SLOTS.one(Path(errand["root"]), errand["topic"]) as slot, _attended(slot, worker):

        def say(event: Event) -> None:
            if not slot.is_closed and "path" in event:
                worker.log_event(errand["topic"], event)

        record = slot.run(job, warm, Path(worker.local_directory).parent, say)
        if slot.is_closed:
            raise Reschedule
    return record


@contextmanager
def _attended(slot: Slot, worker: Worker) -> Iterator[None]:
    """Within the block the slot is closed when its job is not wanted any more, or its worker leaves.

    Dask cannot stop what runs; whether it still waits for it, the state of the task tells.
    """
    key, over = worker.get_current_task(), threading.Event()

    def attend() -> None:
        while not over.wait(_TICK):
            if not _is_wanted(worker, key):
                slot.close()
                return

    attendant = threading.Thread(target=attend, daemon=True)
    attendant.start()
    try:
        yield
    finally:
        over.set()
        attendant.join()


def _is_wanted(worker: Worker, key: object) -> bool:
    """Whether the worker stays and somebody waits for a task of it."""
    task = worker.state.tasks.get(key)
    stays = worker.status in (Status.running, Status.paused)
    return stays and task is not None and task.state != "cancelled"
