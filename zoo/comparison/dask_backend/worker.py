"""What a worker has to have in common with whoever leads a comparison.

The processes that do jobs beside a Dask worker, one for each of its threads.

What a Dask worker does for a comparison: this one function, named and not sent.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from distributed import Reschedule, Status, get_worker
from filelock import FileLock

import zoo
from zoo.comparison.jobs import Event, Job, Record, Tell
from zoo.comparison.plan import FILE
from zoo.comparison.workers import Seat
from zoo.errors import CheckpointError, ZooError
from zoo.storage.safe_read import read_json

if TYPE_CHECKING:
    from distributed import Worker

_PATIENCE = 10.0  # seconds in which what was written on one machine is seen on the others

_WAIT_POLL_S = 0.5


class Unfit(ZooError):
    """A worker cannot take part in a comparison; the message says why."""


class Errand(TypedDict):
    """What every job of one comparison has in common, as plain JSON.

    Attributes:
        root: Directory of the comparison.
        plan: SHA-256 of what never changes in its plan.
        version: Of zoo.
        topic: Under which events are told.
    """

    root: str
    plan: str
    version: str
    topic: str


def make_errand(root: Path, topic: str) -> Errand:
    """The errand of a comparison whose plan is written."""
    root = root.absolute()  # links stay: they may lead elsewhere on other machines
    return Errand(root=str(root), plan=_digest(root), version=zoo.__version__, topic=topic)


def objection(errand: Errand, patience: float = _PATIENCE) -> str:
    """What keeps this process from taking part, in half a sentence; empty if nothing does.

    Args:
        errand: The errand.
        patience: Seconds to wait for the files of the comparison.
    """
    if zoo.__version__ != errand["version"]:
        return f"it has zoo {zoo.__version__}, and here is {errand['version']}; install the same on both"
    due = time.monotonic() + patience
    while (found := _digest(Path(errand["root"]))) != errand["plan"]:
        if time.monotonic() > due:
            what = "holds another comparison there" if found else "holds no comparison there"
            return (
                f"{errand['root']} {what}; the directory must be one that all machines share, under the same "
                f"path"
            )
        time.sleep(_WAIT_POLL_S)
    return ""


def _digest(root: Path) -> str:
    """SHA-256 of the plan but for what is measured later; empty if there is none."""
    try:
        plan = read_json(root / FILE)
    except CheckpointError:
        return ""
    plan.pop("settled", None)
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


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


_CANCEL_POLL_S = 0.2  # seconds between looks at whether a job is still wanted

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
        while not over.wait(_CANCEL_POLL_S):
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
