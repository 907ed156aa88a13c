"""The jobs that a Dask scheduler has, seen from where the comparison is led."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError

from distributed import Future, KilledWorker

from zoo.comparison.jobs import Event, Job, Record
from zoo.comparison.work import failed
from zoo.errors import ZooError

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
