"""The engine without processes: jobs one after the other, in this one.

A worker as the process that started it sees it.

The engine that is there without another: worker processes on this machine.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from zoo.comparison.execute import failed_record, run_job
from zoo.comparison.jobs import Event, Job, OnEvent, Record
from zoo.errors import ZooError
from zoo.processes import describe_exit, python_command, python_environment


class SerialExecutor:
    """Does jobs in this process, where cells that only this program knows can be compared too.

    Args:
        root: Directory of the comparison.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def map(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Record]]:
        """Every job with its record; see `Engine`."""
        for job in jobs:
            yield job, run_job(job, self.root, on_event)


# One thread each: the processes are the parallelism. Libraries read these when they are imported.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


class WorkerDied(ZooError):
    """A worker process ended in the middle of a job; the message says how."""


class WorkerProcess:
    """A worker process.

    Args:
        root: Directory of the comparison.

    Raises:
        ZooError: if it does not start.
    """

    def __init__(self, root: Path) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                python_command("from zoo.comparison.worker_main import main; main()", str(root)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=python_environment() | _ONE_THREAD,
                encoding="utf-8",
                **_detached(),
            )
        except OSError:
            self._stderr.close()
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

    def run(self, job: Job, on_event: Callable[[Event], None]) -> Record:
        """Have a job done.

        Raises:
            WorkerDied: if the process ends before the job does.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # that it is dead, the missing answer says
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        while "record" not in (message := self._answer()):
            on_event(message["event"])
        record: Record = message["record"]
        return record

    def stop_accepting(self) -> None:
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
        self.stop_accepting()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stderr.close()

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
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{describe_exit(code)}: {last[:300]}" if last else describe_exit(code)


def _detached() -> dict[str, Any]:
    """What keeps Ctrl-C from the worker: it goes to whoever started it, who dismisses it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


_MAX_TRIES = 2

_STOP_TIMEOUT_S = 60.0  # seconds in which a worker that was dismissed finishes its step and saves

_POLL_S = 0.2  # seconds between looks at whether to stop

JobResult = tuple[Job, Record]

Message = Event | JobResult | BaseException


class WorkerSlot:
    """The place of one process: who dies in it is replaced.

    Args:
        root: Directory of the comparison.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process: WorkerProcess | None = None
        self._is_closed = False
        self._changing = threading.Lock()

    def run(self, job: Job, on_event: OnEvent, tries: int = _MAX_TRIES) -> Record:
        """Have a job done; if the process dies, once more by another, which goes on where it stood."""
        try:
            return self._ensure_worker(on_event).run(job, on_event)
        except WorkerDied as death:
            self.terminate()
            on_event({"event": "worker_died", "path": job["path"], "text": str(death)})
            if tries > 1:
                return self.run(job, on_event, tries - 1)
            return failed_record(job, f"its worker process died {_MAX_TRIES} times, at last of {death}")

    def close(self) -> WorkerProcess | None:
        """Let no process begin here any more, dismiss the one that is here, and give it back."""
        with self._changing:
            self._is_closed = True
            if self._process is not None:
                self._process.stop_accepting()
            return self._process

    def terminate(self) -> None:
        """End the process, if there is one."""
        with self._changing:
            if self._process is not None:
                self._process.close()
                self._process = None

    def _ensure_worker(self, on_event: OnEvent) -> WorkerProcess:
        with self._changing:
            if self._is_closed:
                raise WorkerDied("the pool is closed")
            if self._process is None:
                self._process = WorkerProcess(self.root)
                on_event({"event": "worker_started", "pid": self._process.pid})
            return self._process


class WorkerPool:
    """Worker processes; leave the ``with`` block to end them.

    One that dies is replaced, and what it did is tried once more, from its last checkpoint.

    Args:
        root: Directory of the comparison.
        count: How many processes at most.
        check: Called now and then while one waits; what it raises ends the waiting.
    """

    def __init__(self, root: Path, count: int, check: Callable[[], None] = lambda: None) -> None:
        self.check = check
        self._seats = [WorkerSlot(root) for _ in range(count)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop(0.0 if kind is KeyboardInterrupt else _STOP_TIMEOUT_S)

    def map(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[JobResult]:
        """Every job with its record, as they are done; see `Engine`."""
        waiting = deque(jobs)
        heard: queue.SimpleQueue[Message] = queue.SimpleQueue()
        left = len(waiting)
        for seat in self._seats[:left]:
            self._threads.append(threading.Thread(target=_run_jobs, args=(seat, waiting, heard), daemon=True))
            self._threads[-1].start()
        try:
            while left:
                for job_and_record in self._poll(heard, on_event):
                    left -= 1
                    yield job_and_record
        finally:
            waiting.clear()

    def _poll(self, heard: queue.SimpleQueue[Message], on_event: OnEvent) -> Iterator[JobResult]:
        """The next thing that is done, if something is within a tick; what else happens is told."""
        self.check()
        try:
            found = heard.get(timeout=_POLL_S)
        except queue.Empty:
            return
        if isinstance(found, BaseException):
            raise found
        if isinstance(found, dict):
            on_event(found)
        else:
            yield found

    def stop(self, patience: float) -> None:
        """Dismiss all workers and wait for their end, so many seconds at most; then end them."""
        processes = [process for seat in self._seats if (process := seat.close()) is not None]
        try:
            for process in processes:
                process.end(patience)
        finally:  # a second Ctrl-C comes here too
            for process in processes:
                process.end(0.0)
            for thread in self._threads:
                thread.join()
            for seat in self._seats:
                seat.terminate()


def _run_jobs(seat: WorkerSlot, waiting: deque[Job], heard: queue.SimpleQueue[Message]) -> None:
    """The work of one thread: keep one process busy until no job is left."""
    try:
        while waiting:
            try:
                job = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            heard.put((job, seat.run(job, heard.put)))
    except BaseException as error:  # it belongs to whoever waits for records
        heard.put(error)
