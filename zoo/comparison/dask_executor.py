"""Executor for the workers of a Dask cluster: connect to a scheduler, check its workers, run jobs on them.

This module runs in the leading process, `dask_worker` in the Dask workers, and nothing else imports Dask,
which carries JSON and the name of one function of zoo. Each job runs in a child process of the Dask worker
(`zoo.comparison.execute.main`). So a cancelled run saves, plugins belong to one comparison, and a crash
leaves the Dask worker alive.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker

from zoo.comparison.dask_worker import JobContext, incompatibility, make_context, run_remote_job
from zoo.comparison.execute import failed_record
from zoo.comparison.jobs import Event, Job, OnEvent, Record
from zoo.comparison.workers import SLURM, Backend
from zoo.errors import ZooError

_CONNECT_TIMEOUT_S = 5.0  # for the answer of a scheduler, for its first worker, for the files of a worker

_CONNECT_POLL_S = 0.5

_PROLOGUES = ("job-script-prologue", "env-extra")  # key in jobqueue.yaml, and its older name

_LOGGERS = ("distributed", "tornado")


@contextmanager
def connect(backend: Backend, jobs: int | None) -> Iterator[Client]:
    """Provide a client of a scheduler within the block.

    Args:
        backend: Backend of the comparison.
        jobs: Number of SLURM jobs to submit.

    Raises:
        ZooError: if there is no scheduler, or it has no worker.
    """
    with _silence_logging():
        if backend.kind == SLURM:
            with _slurm_client(jobs or 0) as client:
                yield client
        else:
            with _client(backend.address) as client:
                _wait_for_workers(client, backend.address)
                yield client


@contextmanager
def _silence_logging() -> Iterator[None]:
    """Silence the logs of Dask within the block, since errors are raised as one sentence."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS]
    previous = {name: logging.getLogger(name).level for name in (*names, *_LOGGERS)}
    for name in previous:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in previous.items():
            logging.getLogger(name).setLevel(level)


def _client(address: str) -> Client:
    result: queue.SimpleQueue[Client | Exception] = queue.SimpleQueue()
    threading.Thread(target=_connect, args=(address, result.put), daemon=True).start()
    try:
        # Dask waits forever for a peer that listens and does not answer.
        client = result.get(timeout=2 * _CONNECT_TIMEOUT_S)
    except queue.Empty:
        client = TimeoutError("the peer at this address does not speak the protocol of Dask")
    if isinstance(client, Exception):
        raise ZooError(
            f"compare: no Dask scheduler answers at {address} ({client}); start one with `dask scheduler`, "
            f"or give the address that it prints."
        ) from client
    return client


def _connect(address: str, put: Callable[[Client | Exception], None]) -> None:
    try:
        put(Client(address, timeout=_CONNECT_TIMEOUT_S, set_as_default=False))
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        put(error)


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_CONNECT_TIMEOUT_S)
    except (OSError, asyncio.TimeoutError) as error:
        raise ZooError(
            f"compare: the Dask scheduler at {address} has no workers; start some, `dask worker {address}`."
        ) from error


@contextmanager
def _slurm_client(jobs: int) -> Iterator[Client]:
    """Start a scheduler in this process whose workers are SLURM jobs, as configured in jobqueue.yaml."""
    import dask
    from dask_jobqueue import SLURMCluster

    if shutil.which("sbatch") is None:
        raise ZooError("compare: dask+slurm needs SLURM's sbatch; run this where jobs are submitted from.")
    try:
        prologues = (dask.config.get(f"jobqueue.slurm.{name}", None) for name in _PROLOGUES)
        lines: list[str] = next(filter(None, prologues), [])
        # A job is `python -m`, which imports modules from the directory in which it was submitted.
        cluster = SLURMCluster(job_script_prologue=[*lines, "export PYTHONSAFEPATH=1"])
    except ValueError as error:
        raise ZooError(
            "compare: dask+slurm lacks the resources of a SLURM job; set at least cores and memory "
            "under jobqueue.slurm in ~/.config/dask/jobqueue.yaml."
        ) from error
    with cluster:
        _check_accepted(cluster.job_script())
        cluster.scale(jobs=jobs)
        with Client(cluster, set_as_default=False) as client:
            yield client


def _check_accepted(script: str) -> None:
    """Validate a job script with SLURM before submission, because Dask does not report a rejected job."""
    command = ["sbatch", "--test-only"]
    result = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ZooError(
            f"compare: SLURM rejects the job ({reason}); check jobqueue.slurm in "
            f"~/.config/dask/jobqueue.yaml."
        )


def check_workers(client: Client, context: JobContext) -> None:
    """Check all connected workers; later ones are checked when they start their first job.

    Raises:
        ZooError: naming the first worker that is incompatible.
    """
    deadline = time.monotonic() + _CONNECT_TIMEOUT_S
    while incompatible := _incompatible_workers(client, context):
        if time.monotonic() > deadline:
            address, reason = incompatible[0]
            raise ZooError(f"compare: the worker {address} cannot take part: {reason}.")
        time.sleep(_CONNECT_POLL_S)


def _incompatible_workers(client: Client, context: JobContext) -> list[tuple[str, str]]:
    answers = client.run(incompatibility, context, 0.0, on_error="return")
    return [(address, _describe_answer(answer)) for address, answer in answers.items() if answer]


def _describe_answer(answer: str | BaseException) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, ImportError):
        return f"it cannot import zoo ({answer}); install the same version as here"
    if isinstance(answer, OSError):
        return f"it does not answer ({answer})"
    raise answer


Outcome = Record | BaseException


class SubmittedJobs:
    """Jobs at the scheduler, their workers and their progress.

    Args:
        submit: Submits jobs to the scheduler.

    Attributes:
        jobs: Unfinished jobs by future.
    """

    def __init__(self, submit: Callable[[list[Job]], list[Future]]) -> None:
        self.submit = submit
        self.jobs: dict[Future, Job] = {}
        self._paths: set[str] = set()
        self._workers: dict[str, str] = {}
        self._steps: dict[str, int] = {}
        self._previous_steps: dict[str, int] = {}

    def submit_jobs(self, jobs: list[Job]) -> None:
        """Submit jobs."""
        self._paths.update(job["path"] for job in jobs)
        self.jobs.update(zip(self.submit(jobs), jobs, strict=True))

    def running(self) -> list[str]:
        """Paths of the jobs that a worker has started and not released."""
        return [path for path in self._paths if path in self._workers]

    def handle_event(self, event: Event) -> Iterator[Event]:
        """Update the state, and yield the events to forward: none after the end of a job."""
        path = event["path"]
        if path not in self._paths:
            return
        if event["event"] == "job_released":
            self._workers.pop(path, None)
            return
        if event["event"] == "job_started":
            previous = self._workers.get(path)
            self._workers[path] = event["worker"]
            if previous is not None:
                text = f"an unknown cause at {previous}; {event['worker']} resumes it"
                yield {"event": "worker_died", "path": path, "text": text}
        self._steps[path] = event.get("step", self._steps.get(path, 0))
        yield event

    def handle_result(self, future: Future, outcome: Outcome) -> tuple[Job, Record] | None:
        """Return a job with its record; None if the job is submitted again.

        Raises:
            BaseException: if there is no record for a reason unrelated to the job.
        """
        if not isinstance(outcome, (dict, KilledWorker)):
            raise _scheduler_error(outcome)
        job = self.jobs.pop(future)
        if isinstance(outcome, KilledWorker):
            if self._made_progress(job):
                self.submit_jobs([job])
                return None
            outcome = _abandoned_record(job, outcome)
        self._paths.remove(job["path"])
        return job, outcome

    def _made_progress(self, job: Job) -> bool:
        """Whether a job made steps since the last call."""
        path = job["path"]
        previous = self._previous_steps.get(path, 0)
        self._previous_steps[path] = self._steps.get(path, 0)
        return self._previous_steps[path] > previous


def _abandoned_record(job: Job, death: KilledWorker) -> Record:
    times, last = death.allowed_failures + 1, death.last_worker.address
    return failed_record(job, f"{times} workers died while they ran it, the last one {last}")


def _scheduler_error(error: BaseException) -> BaseException:
    if isinstance(error, (CancelledError, asyncio.CancelledError)):
        return ZooError(
            "compare: the Dask scheduler is gone, or dropped the jobs; everything is saved, and the same "
            "command resumes it."
        )
    return error


_POLL_S = 0.2  # between checks for an interruption

_CANCEL_TIMEOUT_S = 60.0  # for cancelled runs to finish their step and save


class DaskExecutor:
    """Runs jobs on the workers of a Dask cluster, on machines that share the directory.

    If a worker dies, another one resumes the job from its last checkpoint. Dask abandons a job after some
    deaths (``distributed.scheduler.allowed-failures``); it is submitted again as long as it makes progress.

    Args:
        root: Directory of the comparison, with its plan.
        client: Client of the scheduler.
        check: Called every `_POLL_S` while waiting; an exception that it raises stops the jobs.

    Raises:
        ZooError: if a worker is incompatible.
    """

    def __init__(self, root: Path, client: Client, check: Callable[[], None] = lambda: None) -> None:
        self.root, self.client, self.check = root, client, check
        self._topic = f"zoo-{uuid.uuid4().hex}"
        self._compile_jobs: dict[str, Job] = {}
        self._last_cluster_event: Event = {}
        self._inbox: queue.SimpleQueue[Event | tuple[Future, Outcome]] = queue.SimpleQueue()
        check_workers(client, self._context())
        client.subscribe_topic(self._topic, lambda event: self._inbox.put(event[1]))

    def map(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Record]]:
        """Yield every job with its record; see `Executor`.

        Jobs that only compile kernels finish here. They are sent along with the other jobs, so that every
        machine compiles the kernels that it needs, also one that joins later.
        """
        jobs = list(jobs)
        for job in jobs:
            if job["kind"] == "compile":
                self._compile_jobs[job["cell"]] = job
                yield job, {"task": job["task"], "cell": job["cell"], "status": "finished"}
        runs = [job for job in jobs if job["kind"] != "compile"]
        if runs:
            self._report_cluster(on_event)
            yield from self._run(runs, on_event)

    def _run(self, jobs: list[Job], on_event: OnEvent) -> Iterator[tuple[Job, Record]]:
        submitted = SubmittedJobs(self._submit)
        try:
            submitted.submit_jobs(jobs)
            while submitted.jobs:
                self.check()
                yield from self._poll(submitted, on_event)
        finally:
            self._cancel(submitted)

    def _poll(self, submitted: SubmittedJobs, on_event: OnEvent) -> Iterator[tuple[Job, Record]]:
        """Handle one message, if there is one within `_POLL_S`; yield a finished job."""
        message = self._receive()
        if isinstance(message, dict):
            if message["event"] == "job_started":
                self._report_cluster(on_event)
            for event in submitted.handle_event(message):
                on_event(event)
        elif message is not None and (result := submitted.handle_result(*message)):
            yield result

    def _receive(self) -> Event | tuple[Future, Outcome] | None:
        try:
            return self._inbox.get(timeout=_POLL_S)
        except queue.Empty:
            return None

    def _submit(self, jobs: list[Job]) -> list[Future]:
        """Submit all jobs at once; the scheduler queues those for which no worker is free."""
        names = [f"{self._topic}-{uuid.uuid4().hex}" for _ in jobs]
        compile_jobs = [self._compile_jobs.get(job["cell"]) for job in jobs]
        futures: list[Future] = self.client.map(
            run_remote_job, jobs, compile_jobs, [self._context()] * len(jobs), key=names, pure=False
        )
        for future in futures:
            future.add_done_callback(lambda future: self._inbox.put((future, _outcome(future))))
        return futures

    def _cancel(self, submitted: SubmittedJobs) -> None:
        """Cancel unfinished jobs, and wait until the running ones have saved."""
        if not submitted.jobs or self.client.status != "running":
            return
        self.client.cancel([*submitted.jobs], force=True)
        deadline = time.monotonic() + _CANCEL_TIMEOUT_S
        while submitted.running() and time.monotonic() < deadline:
            if isinstance(message := self._receive(), dict):
                list(submitted.handle_event(message))

    def _context(self) -> JobContext:
        return make_context(self.root, self._topic)

    def _report_cluster(self, on_event: OnEvent) -> None:
        """Emit a ``cluster`` event if the workers have changed."""
        workers: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        slots = sum(worker["nthreads"] for worker in workers.values())
        machines = len({worker["host"] for worker in workers.values()})
        event = {"event": "cluster", "workers": len(workers), "machines": machines, "slots": slots}
        if event != self._last_cluster_event:
            on_event(event)
            self._last_cluster_event = event


def _outcome(future: Future) -> Outcome:
    try:
        record: Record = future.result()
    except (Exception, asyncio.CancelledError) as error:
        return error
    return record
