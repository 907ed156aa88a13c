"""Progress and time left of training runs and comparisons."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Event = Mapping[str, Any]
Pair = tuple[str, str]  # task and cell


class Eta:
    """Estimate of the time left from the step times of this session.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.start(0)

    def start(self, step: int) -> None:
        """Start the clock at ``step``, after compiling."""
        self.start_step, self.start_time = step, self.now()

    def seconds_left(self, step: int, steps: int) -> float:
        """Seconds until the last step, when ``step`` has just ended; 0 if unknown."""
        done = step - self.start_step
        return (self.now() - self.start_time) / done * (steps - step) if done > 0 else 0.0


class ComparisonProgress:
    """Progress of a comparison, from its events.

    Step times are measured for each task and cell; the others are assumed to take their mean.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.workers = 1
        self.jobs = self.done = 0
        self.steps: dict[str, int] = {}
        """Steps of each running job so far."""
        self._jobs: dict[str, Event] = {}
        self._later: list[Event] = []
        self._since: dict[str, tuple[float, int]] = {}
        self._step_seconds: dict[Pair, float] = {}

    def update(self, event: Event) -> None:
        """Update the progress from an event."""
        kind = event["event"]
        if kind == "started":
            self.workers = max(1, event["jobs"])
        elif kind == "cluster":
            self.workers = max(1, event["slots"])
        elif kind == "stage":
            self._start_stage(event)
        elif kind in ("start", "resume", "compiled"):
            self._since[event["path"]] = self.now(), event["step"]
            self.steps[event["path"]] = event["step"]
        elif kind == "step":
            self._update_steps(event)
        elif kind in ("job_done", "worker_died"):
            self.steps.pop(event["path"], None)
            self.done += kind == "job_done"
            if kind == "job_done":
                self._jobs.pop(event["path"], None)

    def eta(self) -> float | None:
        """Seconds until all jobs are done; None if unknown."""
        if not self._step_seconds:
            return None
        mean = sum(self._step_seconds.values()) / len(self._step_seconds)
        jobs = [*self._jobs.values(), *self._later]
        left = [(_pair(job), (job["steps"] or 0) - self.steps.get(job["path"], 0)) for job in jobs]
        total = sum(self._step_seconds.get(pair, mean) * steps for pair, steps in left)
        return total / min(self.workers, max(1, len(jobs)))

    @property
    def fraction(self) -> float:
        """Fraction of the jobs of this stage that is done, including parts of running jobs."""
        parts = [steps / (self._jobs[path]["steps"] or 1) for path, steps in self.running()]
        return (self.done + sum(parts)) / max(1, self.jobs)

    def running(self) -> Iterator[tuple[str, int]]:
        """Path and steps so far of the running jobs."""
        return ((path, steps) for path, steps in self.steps.items() if path in self._jobs)

    def total(self, path: str) -> int:
        """All steps of a job."""
        return int(self._jobs[path]["steps"] or 0)

    def _start_stage(self, event: Event) -> None:
        self._jobs = {job["path"]: job for job in event["missing"]}
        self._later = event["upcoming"]
        self.jobs, self.done = event["jobs"], event["jobs"] - len(self._jobs)
        self.steps.clear()

    def _update_steps(self, event: Event) -> None:
        path, step = event["path"], event["step"]
        self.steps[path] = step
        since, first = self._since.get(path, (self.now(), step))
        if step > first and path in self._jobs:
            self._step_seconds[_pair(self._jobs[path])] = (self.now() - since) / (step - first)


def _pair(job: Event) -> Pair:
    return job["task"], job["cell"]
