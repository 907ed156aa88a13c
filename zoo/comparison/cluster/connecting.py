"""From the place that was named to a Dask client with workers that can take part."""

from __future__ import annotations

import asyncio
import logging
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distributed import Client

from zoo.comparison.cluster.errand import Errand, objection
from zoo.comparison.places import SLURM, Place
from zoo.errors import ZooError

_PATIENCE = 5.0  # seconds for a scheduler to answer, for a first worker to be there, for its files
_TICK = 0.5
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
        client = found.get(timeout=2 * _PATIENCE)  # Dask waits forever for whatever listens and says nothing
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
        put(Client(address, timeout=_PATIENCE, set_as_default=False))
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        put(error)


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
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
    due = time.monotonic() + _PATIENCE
    while found := _objections(client, errand):
        if time.monotonic() > due:
            address, why = found[0]
            raise ZooError(f"compare: the worker {address} cannot take part: {why}.")
        time.sleep(_TICK)


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
