"""Executors on this machine, serial or a pool of worker processes, and the choice of a backend."""

from __future__ import annotations

import importlib.util
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from zoo.arguments import short_repr
from zoo.child_process import ChildDied, ChildProcess
from zoo.comparison.execute import failed_record, run_job
from zoo.comparison.jobs import Event, Job, OnEvent, Record
from zoo.errors import UsageError, ZooError
from zoo.installation import install_hint
from zoo.processes import python_environment


class SerialExecutor:
    """Runs jobs in this process, so that it can compare cells that no other process can import.

    Args:
        root: Directory of the comparison.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def map(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Record]]:
        """Yield every job with its record; see `Executor`."""
        for job in jobs:
            yield job, run_job(job, self.root, on_event)


# One thread each, since the processes run in parallel. Libraries read these variables when they are imported.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


class WorkerProcess(ChildProcess):
    """A worker process.

    Args:
        root: Directory of the comparison.

    Raises:
        ZooError: if it does not start.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(
            "from zoo.comparison.execute import main; main()",
            str(root),
            environment=python_environment() | _ONE_THREAD,
            is_detached=True,  # Ctrl-C goes to the parent, which stops the workers
        )
        try:
            self.receive()
        except ChildDied as error:
            self.close()
            raise ZooError(f"compare: a worker process does not start: {error}") from None

    def run(self, job: Job, on_event: OnEvent) -> Record:
        """Run a job.

        Raises:
            ChildDied: if the process ends before the job.
        """
        self.send({**job})
        while "record" not in (message := self.receive()):
            on_event(message["event"])
        record: Record = message["record"]
        return record


_MAX_TRIES = 2

_STOP_TIMEOUT_S = 60.0  # for a stopped worker to finish its step and save

_POLL_S = 0.2  # between checks for an interruption

JobResult = tuple[Job, Record]

PoolMessage = Event | JobResult | BaseException


class WorkerSlot:
    """Runs one worker process, and replaces it when it dies.

    Args:
        root: Directory of the comparison.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process: WorkerProcess | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def run(self, job: Job, on_event: OnEvent, tries: int = _MAX_TRIES) -> Record:
        """Run a job. If the process dies, another one resumes the job once."""
        try:
            return self._ensure_worker(on_event).run(job, on_event)
        except ChildDied as error:
            self.terminate()
            on_event({"event": "worker_died", "path": job["path"], "text": str(error)})
            if tries > 1:
                return self.run(job, on_event, tries - 1)
            return failed_record(job, f"its worker process died {_MAX_TRIES} times, the last time of {error}")

    def close(self) -> WorkerProcess | None:
        """Start no more processes, and let the current one finish its step, save and end.

        Returns:
            The current process, which may still run; None if there is none.
        """
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.close_stdin()
            return self._process

    def terminate(self) -> None:
        """Kill the process, if there is one."""
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None

    def _ensure_worker(self, on_event: OnEvent) -> WorkerProcess:
        with self._lock:
            if self._is_closed:
                raise ChildDied("the pool is closed")
            if self._process is None:
                self._process = WorkerProcess(self.root)
                on_event({"event": "worker_started", "pid": self._process.pid})
            return self._process


class WorkerPool:
    """Runs jobs in worker processes; leave the ``with`` block to end them.

    A dead worker is replaced, and its job is tried again once, from its last checkpoint.

    Args:
        root: Directory of the comparison.
        count: Largest number of processes.
        check: Called every `_POLL_S` while waiting; an exception that it raises stops the jobs.
    """

    def __init__(self, root: Path, count: int, check: Callable[[], None] = lambda: None) -> None:
        self.check = check
        self._slots = [WorkerSlot(root) for _ in range(count)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop(0.0 if kind is KeyboardInterrupt else _STOP_TIMEOUT_S)

    def map(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[JobResult]:
        """Yield every job with its record; see `Executor`."""
        waiting = deque(jobs)
        inbox: queue.SimpleQueue[PoolMessage] = queue.SimpleQueue()
        unfinished = len(waiting)
        for slot in self._slots[:unfinished]:
            self._threads.append(threading.Thread(target=_run_jobs, args=(slot, waiting, inbox), daemon=True))
            self._threads[-1].start()
        try:
            while unfinished:
                for result in self._poll(inbox, on_event):
                    unfinished -= 1
                    yield result
        finally:
            waiting.clear()

    def _poll(self, inbox: queue.SimpleQueue[PoolMessage], on_event: OnEvent) -> Iterator[JobResult]:
        """Handle one message, if there is one within `_POLL_S`; yield a finished job."""
        self.check()
        try:
            message = inbox.get(timeout=_POLL_S)
        except queue.Empty:
            return
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, dict):
            on_event(message)
        else:
            yield message

    def stop(self, timeout: float) -> None:
        """Stop all workers, wait for their end at most ``timeout`` seconds each, then kill them."""
        processes = [process for slot in self._slots if (process := slot.close()) is not None]
        try:
            for process in processes:
                process.wait(timeout)
        finally:  # also after a second Ctrl-C
            for process in processes:
                process.wait(0.0)
            for thread in self._threads:
                thread.join()
            for slot in self._slots:
                slot.terminate()


def _run_jobs(slot: WorkerSlot, waiting: deque[Job], inbox: queue.SimpleQueue[PoolMessage]) -> None:
    """Thread of a slot: run jobs until none is left."""
    try:
        while waiting:
            try:
                job = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            inbox.put((job, slot.run(job, inbox.put)))
    except BaseException as error:  # raised again in the main thread
        inbox.put(error)


LOCAL, DASK, SLURM = "local", "dask", "slurm"

_PROTOCOLS = {"dask": "tcp", "dask+tls": "tls"}
_REQUIREMENTS = {DASK: ("distributed", "dask"), SLURM: ("dask_jobqueue", "slurm")}
"""The module that a backend needs, and the extra that installs it."""


@dataclass(frozen=True)
class Backend:
    """Location of the worker processes.

    Args:
        kind: ``"local"``; ``"dask"`` for a running scheduler; ``"slurm"`` for a scheduler in this process
            whose workers are SLURM jobs.
        address: Address of the scheduler in Dask's form.
    """

    kind: str = LOCAL
    address: str = ""


def parse_backend(on: str | None) -> Backend:
    """Parse the argument ``on``.

    Args:
        on: ``"local"``, ``"dask://HOST:PORT"``, ``"dask+tls://HOST:PORT"``, ``"dask+slurm"``; None is local.

    Raises:
        UsageError: if it is invalid, or a package that it needs is not installed.
    """
    if on is None or (isinstance(on, str) and on == LOCAL):
        return Backend()
    if not isinstance(on, str):
        raise UsageError(f"compare: on is {short_repr(on)}; expected a string, as in 'local'.")
    backend = Backend(SLURM) if on == "dask+slurm" else Backend(DASK, _parse_address(on))
    module, extra = _REQUIREMENTS[backend.kind]
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"compare: {on} needs {module.replace('_', '-')}; {install_hint(extra)} brings it.")
    return backend


def _parse_address(on: str) -> str:
    try:
        parts = urlsplit(on)
        protocol, host, port = _PROTOCOLS.get(parts.scheme), parts.hostname, parts.port
    except ValueError:  # a port beyond 65535, half an IPv6 address
        protocol = host = port = None
    if not (protocol and host and port) or on != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise UsageError(
            f"compare: on is {on!r}; expected local, dask+slurm, or dask://HOST:PORT with the address of a "
            f"Dask scheduler."
        )
    return f"{protocol}://{parts.netloc}"


def check_jobs(backend: Backend, jobs: int | None) -> None:
    """Check the number of jobs.

    Raises:
        UsageError: if it is not a count, or does not apply to this backend.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 0):
        raise UsageError(f"compare: jobs is {jobs!r}; expected a number of processes, or 0 for none.")
    if backend.kind == DASK and jobs is not None:
        raise UsageError(
            "compare: jobs is given together with a Dask scheduler, whose workers determine how many jobs "
            "run at a time; leave jobs out."
        )
    if backend.kind == SLURM and not jobs:
        raise UsageError("compare: dask+slurm needs the number of SLURM jobs; give `jobs`.")
