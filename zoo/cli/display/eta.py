"""How long the rest of a run will take.

How far a comparison is, and how long the rest will take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


class Eta:
    """Time left, from the time that the steps of this session took.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.start(0)

    def start(self, step: int) -> None:
        """Count from here: compiling is over, and this many steps were made before."""
        self.start_step, self.start_time = step, self.now()

    def seconds_left(self, step: int, steps: int) -> float:
        """Seconds until the last step, when ``step`` has been made just now; 0 if nothing can be said."""
        done = step - self.start_step
        return (self.now() - self.start_time) / done * (steps - step) if done > 0 else 0.0


Event = Mapping[str, Any]

Pair = tuple[str, str]


class ComparisonProgress:
    """Counts jobs and steps of a comparison from its events.

    What a step takes is known of each task and cell once it has been seen to run; of the others their mean is
    assumed.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.workers = 1
        self.jobs = self.done = 0
        self.steps: dict[str, int] = {}
        """Steps made by each job that is running."""
        self._jobs: dict[str, Event] = {}
        self._later: list[Event] = []
        self._since: dict[str, tuple[float, int]] = {}
        self._takes: dict[Pair, float] = {}

    def update(self, event: Event) -> None:
        """Take note of an event."""
        kind = event["event"]
        if kind == "started":
            self.workers = max(1, event["jobs"])
        elif kind == "cluster":
            self.workers = max(1, event["slots"])
        elif kind == "stage":
            self._begin(event)
        elif kind in ("start", "resume", "compiled"):
            self._since[event["path"]] = self.now(), event["step"]
            self.steps[event["path"]] = event["step"]
        elif kind == "step":
            self._move(event)
        elif kind in ("job_done", "worker_died"):
            self.steps.pop(event["path"], None)
            self.done += kind == "job_done"
            if kind == "job_done":
                self._jobs.pop(event["path"], None)

    def eta(self) -> float | None:
        """Seconds until everything is done; None as long as nothing can be said."""
        if not self._takes:
            return None
        usual = sum(self._takes.values()) / len(self._takes)
        work = [(_pair(job), (job["steps"] or 0) - self.steps.get(job["path"], 0)) for job in self._open()]
        total = sum(self._takes.get(pair, usual) * steps for pair, steps in work)
        return total / min(self.workers, max(1, len(work)))

    @property
    def fraction(self) -> float:
        """Which part of the jobs of this stage is done, those that are running counted in part."""
        parts = [steps / (self._jobs[path]["steps"] or 1) for path, steps in self.running()]
        return (self.done + sum(parts)) / max(1, self.jobs)

    def running(self) -> Iterator[tuple[str, int]]:
        """The jobs at work, and their steps."""
        return ((path, steps) for path, steps in self.steps.items() if path in self._jobs)

    def total(self, path: str) -> int:
        """Steps of a job."""
        return int(self._jobs[path]["steps"] or 0)

    def _open(self) -> Iterable[Event]:
        return [*self._jobs.values(), *self._later]

    def _begin(self, event: Event) -> None:
        """A stage: what is left of it, and what comes after."""
        self._jobs = {job["path"]: job for job in event["missing"]}
        self._later = event["upcoming"]
        self.jobs, self.done = event["jobs"], event["jobs"] - len(self._jobs)
        self.steps.clear()

    def _move(self, event: Event) -> None:
        path, step = event["path"], event["step"]
        self.steps[path] = step
        since, first = self._since.get(path, (self.now(), step))
        if step > first and path in self._jobs:
            self._takes[_pair(self._jobs[path])] = (self.now() - since) / (step - first)


def _pair(job: Event) -> Pair:
    return job["task"], job["cell"]
