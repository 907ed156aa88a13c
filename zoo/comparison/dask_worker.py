"""Run jobs in the workers of a Dask cluster."""

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
from zoo.comparison.jobs import Event, Job, OnEvent, Record
from zoo.comparison.workers import WorkerSlot
from zoo.errors import CheckpointError, ZooError
from zoo.storage import PLAN_FILE
from zoo.storage.safe_read import read_json

if TYPE_CHECKING:
    from distributed import Worker

_FILES_TIMEOUT_S = 10.0  # until files written on one machine are visible on the others

_FILES_POLL_S = 0.5


class IncompatibleWorker(ZooError):
    """A worker cannot run jobs of a comparison; the message gives the reason."""


class JobContext(TypedDict):
    """Values that all jobs of a comparison share, as plain JSON.

    Attributes:
        root: Directory of the comparison.
        plan: SHA-256 of the constant part of its plan.
        version: Version of zoo.
        topic: Dask topic of the events.
    """

    root: str
    plan: str
    version: str
    topic: str


def make_context(root: Path, topic: str) -> JobContext:
    """Make the context of a comparison whose plan is written."""
    root = root.absolute()  # links stay: they may lead elsewhere on other machines
    return JobContext(root=str(root), plan=_digest(root), version=zoo.__version__, topic=topic)


def incompatibility(context: JobContext, timeout: float = _FILES_TIMEOUT_S) -> str:
    """Reason why this process cannot run jobs, as half a sentence; empty if it can.

    Args:
        context: Context of the comparison.
        timeout: Seconds to wait for the files of the comparison.
    """
    if zoo.__version__ != context["version"]:
        return f"it has zoo {zoo.__version__}, and here is {context['version']}; install the same on both"
    deadline = time.monotonic() + timeout
    while (digest := _digest(Path(context["root"]))) != context["plan"]:
        if time.monotonic() > deadline:
            what = "holds another comparison there" if digest else "holds no comparison there"
            return (
                f"{context['root']} {what}; the directory must be one that all machines share, under the "
                f"same path"
            )
        time.sleep(_FILES_POLL_S)
    return ""


def _digest(root: Path) -> str:
    """SHA-256 of the plan without measured values; empty if there is no plan."""
    try:
        plan = read_json(root / PLAN_FILE)
    except CheckpointError:
        return ""
    plan.pop("settled", None)
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


_IDLE_TIMEOUT_S = 10.0  # a process without a job ends after this time


class ReusableWorker:
    """A worker slot and the cells whose kernels it has compiled.

    Args:
        root: Directory of the comparison.
    """

    def __init__(self, root: Path) -> None:
        self.slot = WorkerSlot(root)
        self.is_closed = False
        self._compiled_cells: set[str] = set()

    def run(self, job: Job, compile_job: Job | None, locks: Path, on_event: OnEvent) -> Record:
        """Run a job, after the kernels of its cell are compiled.

        Args:
            job: The job.
            compile_job: Job that compiles the kernels of its cell.
            locks: Directory shared by the workers of this machine: one of them compiles, the others load.
            on_event: Called with events.
        """
        if compile_job is not None and compile_job["cell"] not in self._compiled_cells:
            with FileLock(locks / f"zoo-{compile_job['cell']}.lock"):
                self.slot.run(compile_job, on_event)  # the job itself reports the error if this fails
            self._compiled_cells.add(compile_job["cell"])
        return self.slot.run(job, on_event)

    def close(self) -> None:
        """Let a running job finish its step and save, and take no more. This does not wait."""
        self.is_closed = True
        self.slot.close()


class WorkerCache:
    """Idle workers by comparison, which save the start of a process."""

    def __init__(self) -> None:
        self._idle: dict[str, list[ReusableWorker]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def acquire(self, root: Path, topic: str) -> Iterator[ReusableWorker]:
        """Take an idle worker or make one; return it to the cache after the block."""
        with self._lock:
            idle = self._idle.get(topic)
            worker = idle.pop() if idle else ReusableWorker(root)
        try:
            yield worker
        except BaseException:
            self._end(worker)
            raise
        if worker.is_closed:
            self._end(worker)
        else:
            self._release(worker, topic)

    def _release(self, worker: ReusableWorker, topic: str) -> None:
        with self._lock:
            self._idle.setdefault(topic, []).append(worker)
        timer = threading.Timer(_IDLE_TIMEOUT_S, self._expire, (worker, topic))
        timer.daemon = True
        timer.start()

    def _expire(self, worker: ReusableWorker, topic: str) -> None:
        """End a worker that is idle. One that ran a job meanwhile and is idle again ends too."""
        with self._lock:
            idle = self._idle.get(topic, [])
            if worker not in idle:
                return
            idle.remove(worker)
            if not idle:
                del self._idle[topic]
        self._end(worker)

    def _end(self, worker: ReusableWorker) -> None:
        worker.close()
        worker.slot.terminate()


_CANCEL_POLL_S = 0.2

_WORKERS = WorkerCache()


def run_remote_job(job: Job, compile_job: Job | None, context: JobContext) -> Record:
    """Run a job in a child process. Dask calls this function by name.

    Args:
        job: The job.
        compile_job: Job that compiles the kernels of its cell.
        context: Context of the comparison.

    Raises:
        IncompatibleWorker: if this worker cannot run jobs of the comparison.
        Reschedule: if the worker is closing; the run has saved.
    """
    dask_worker = get_worker()
    if reason := incompatibility(context):
        raise IncompatibleWorker(f"compare: the worker {dask_worker.address} cannot take part: {reason}.")
    topic, path = context["topic"], job["path"]
    dask_worker.log_event(topic, {"event": "job_started", "path": path, "worker": dask_worker.address})
    try:
        return _run_remote_job(job, compile_job, context, dask_worker)
    finally:
        dask_worker.log_event(topic, {"event": "job_released", "path": path})


def _run_remote_job(job: Job, compile_job: Job | None, context: JobContext, dask_worker: Worker) -> Record:
    topic = context["topic"]
    with (
        _WORKERS.acquire(Path(context["root"]), topic) as worker,
        _cancel_when_unwanted(worker, dask_worker),
    ):

        def forward(event: Event) -> None:
            if not worker.is_closed and "path" in event:
                dask_worker.log_event(topic, event)

        record = worker.run(job, compile_job, Path(dask_worker.local_directory).parent, forward)
        if worker.is_closed:
            raise Reschedule
    return record


@contextmanager
def _cancel_when_unwanted(worker: ReusableWorker, dask_worker: Worker) -> Iterator[None]:
    """Within the block, close the worker when its job is cancelled or the Dask worker is closing.

    Dask cannot stop a running function, so the state of the task is polled.
    """
    key, finished = dask_worker.get_current_task(), threading.Event()

    def watch() -> None:
        while not finished.wait(_CANCEL_POLL_S):
            if not _is_wanted(dask_worker, key):
                worker.close()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


def _is_wanted(dask_worker: Worker, key: object) -> bool:
    task = dask_worker.state.tasks.get(key)
    stays = dask_worker.status in (Status.running, Status.paused)
    return stays and task is not None and task.state != "cancelled"
