"""From the place that was named to a Dask client with workers that can take part.

The jobs that a Dask scheduler has, seen from where the comparison is led.

The engine that hands jobs to a Dask scheduler.
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

from zoo.comparison.backends import SLURM, Place
from zoo.comparison.dask_backend.worker import Errand, make_errand, objection, serve
from zoo.comparison.execute import failed
from zoo.comparison.jobs import Event, Job, Record, Tell
from zoo.errors import ZooError

_CONNECT_TIMEOUT_S = 5.0  # seconds for a scheduler to answer, for a first worker to be there, for its files

_CONNECT_POLL_S = 0.5

_PROLOGUES = ("job-script-prologue", "env-extra")  # what jobqueue.yaml calls it, and called it before

_LOGGERS = ("distributed", "tornado")


@contextmanager
def connected(place: Place, jobs: int | None) -> Iterator[Client]:
    """Within the block there is a client of a scheduler.

    Args:
        place: Where.
        jobs: How many jobs SLURM is asked for.

    Raises:
        ZooError: if there is no scheduler, or none of its workers is there.
    """
    with _silence():
        if place.kind == SLURM:
            with _slurm(jobs or 0) as client:
                yield client
        else:
            with _client(place.address) as client:
                _wait_for_workers(client, place.address)
                yield client


@contextmanager
def _silence() -> Iterator[None]:
    """Within the block Dask logs nothing here: what goes wrong is told in a sentence, not in tracebacks."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS]
    before = {name: logging.getLogger(name).level for name in (*names, *_LOGGERS)}
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _client(address: str) -> Client:
    found: queue.SimpleQueue[Client | Exception] = queue.SimpleQueue()
    threading.Thread(target=_connect, args=(address, found.put), daemon=True).start()
    try:
        client = found.get(
            timeout=2 * _CONNECT_TIMEOUT_S
        )  # Dask waits forever for whatever listens and says nothing
    except queue.Empty:
        client = TimeoutError("what listens there does not speak as Dask does")
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
def _slurm(jobs: int) -> Iterator[Client]:
    """A scheduler in this process whose workers are jobs of SLURM, as jobqueue.yaml describes them."""
    import dask
    from dask_jobqueue import SLURMCluster

    if shutil.which("sbatch") is None:
        raise ZooError("compare: dask+slurm needs SLURM's sbatch; run this where jobs are submitted from.")
    try:
        named = (dask.config.get(f"jobqueue.slurm.{name}", None) for name in _PROLOGUES)
        lines: list[str] = next(filter(None, named), [])
        # A job is `python -m`, which looks for modules in the directory that it was submitted from.
        cluster = SLURMCluster(job_script_prologue=[*lines, "export PYTHONSAFEPATH=1"])
    except ValueError as error:
        raise ZooError(
            "compare: dask+slurm does not know what a job of SLURM is to be; say at least cores and memory "
            "under jobqueue.slurm in ~/.config/dask/jobqueue.yaml."
        ) from error
    with cluster:
        _check_accepted(cluster.job_script())
        cluster.scale(jobs=jobs)
        with Client(cluster, set_as_default=False) as client:
            yield client


def _check_accepted(script: str) -> None:
    """Have SLURM look at a job without submitting it: when Dask submits one, nobody hears of a refusal."""
    command = ["sbatch", "--test-only"]
    tried = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if tried.returncode:
        said = (tried.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise ZooError(
            f"compare: SLURM takes no such job ({said}); look at jobqueue.slurm in "
            f"~/.config/dask/jobqueue.yaml."
        )


def check_workers(client: Client, errand: Errand) -> None:
    """Ask all workers that are there; those that come later are asked when they take their first job.

    Raises:
        ZooError: naming the first that cannot take part.
    """
    due = time.monotonic() + _CONNECT_TIMEOUT_S
    while found := _objections(client, errand):
        if time.monotonic() > due:
            address, why = found[0]
            raise ZooError(f"compare: the worker {address} cannot take part: {why}.")
        time.sleep(_CONNECT_POLL_S)


def _objections(client: Client, errand: Errand) -> list[tuple[str, str]]:
    """The workers that cannot take part, and why."""
    answers = client.run(objection, errand, 0.0, on_error="return")
    return [(address, _why(answer)) for address, answer in answers.items() if answer]


def _why(answer: str | BaseException) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, ImportError):
        return f"it cannot import zoo ({answer}); install the same version as here"
    if isinstance(answer, OSError):
        return f"it does not answer ({answer})"
    raise answer


Outcome = Record | BaseException


class Handed:
    """The jobs that are handed out, and how far they are known to have come.

    Args:
        submit: Hands jobs to the scheduler.

    Attributes:
        jobs: Those that are not done, by what stands for them.
    """

    def __init__(self, submit: Callable[[list[Job]], list[Future]]) -> None:
        self.submit = submit
        self.jobs: dict[Future, Job] = {}
        self._paths: set[str] = set()
        self._workers: dict[str, str] = {}
        self._steps: dict[str, int] = {}
        self._steps_before: dict[str, int] = {}

    def out(self, jobs: list[Job]) -> None:
        """Hand some out."""
        self._paths.update(job["path"] for job in jobs)
        self.jobs.update(zip(self.submit(jobs), jobs, strict=True))

    def running(self) -> list[str]:
        """The paths of those that a worker has taken, and not left."""
        return [path for path in self._paths if path in self._workers]

    def note(self, event: Event) -> Iterator[Event]:
        """Take note of an event, and pass on what it means; one that comes after the end means nothing."""
        path = event["path"]
        if path not in self._paths:
            return
        if event["event"] == "left":
            self._workers.pop(path, None)
            return
        if event["event"] == "taken":
            before = self._workers.get(path)
            self._workers[path] = event["worker"]
            if before is not None:
                text = f"an unknown cause at {before}; {event['worker']} goes on with it"
                yield {"event": "died", "path": path, "text": text}
        self._steps[path] = event.get("step", self._steps.get(path, 0))
        yield event

    def done(self, future: Future, outcome: Outcome) -> tuple[Job, Record] | None:
        """A job with its record; None if it is handed out again.

        Raises:
            BaseException: if it came to no record, for a reason that is none of the job's.
        """
        if not isinstance(outcome, (dict, KilledWorker)):
            raise _reason(outcome)
        job = self.jobs.pop(future)
        if isinstance(outcome, KilledWorker):
            if self._came_further(job):
                self.out([job])
                return None
            outcome = _given_up(job, outcome)
        self._paths.remove(job["path"])
        return job, outcome

    def _came_further(self, job: Job) -> bool:
        """Whether a job made steps since this was asked the last time."""
        path = job["path"]
        before = self._steps_before.get(path, 0)
        self._steps_before[path] = self._steps.get(path, 0)
        return self._steps_before[path] > before


def _given_up(job: Job, death: KilledWorker) -> Record:
    """The record of a job whose workers died so often that Dask gave it up."""
    times, last = death.allowed_failures + 1, death.last_worker.address
    return failed(job, f"{times} workers died while they did it, at last {last}")


def _reason(error: BaseException) -> BaseException:
    """Why there is no record."""
    if isinstance(error, (CancelledError, asyncio.CancelledError)):
        return ZooError(
            "compare: the Dask scheduler is gone, or dropped the jobs; everything is kept, and the same "
            "command goes on."
        )
    return error


_POLL_S = 0.2  # seconds between looks at whether to stop

_CANCEL_TIMEOUT_S = 60.0  # seconds in which runs that are called back finish their step and save


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
            return self._heard.get(timeout=_POLL_S)
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
        due = time.monotonic() + _CANCEL_TIMEOUT_S
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
