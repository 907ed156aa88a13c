"""Times of work that is repeated: the least of many runs, which other processes disturb little."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

Work = Callable[[], Any]
Clock = Callable[[], float]

LEAST = 5  # runs, however long they take


def alternate(works: list[Work], budget: float, clock: Clock = time.thread_time) -> Any:
    """Seconds and page faults ``(runs, works, 2)`` of every run, one work after the other.

    Args:
        works: What is run in turn.
        budget: Seconds after which no turn begins, once there were ``LEAST``.
        clock: What tells the time; by default the processor time of this thread.
    """
    found: list[list[tuple[float, int]]] = []
    end = time.perf_counter() + budget
    while len(found) < LEAST or time.perf_counter() < end:
        found.append([_run(work, clock) for work in works])
    return np.array(found)


def least(work: Work, budget: float, clock: Clock = time.thread_time) -> tuple[float, float]:
    """The least seconds of many runs after one that compiles, and their page faults on average."""
    work()
    seconds, faults = alternate([work], budget, clock)[:, 0].T
    return float(seconds.min()), float(faults.mean())


def _run(work: Work, clock: Clock) -> tuple[float, int]:
    faults, started = _page_faults(), clock()
    work()
    return clock() - started, _page_faults() - faults


def _page_faults() -> int:
    """Pages of memory that the system had to find for this process so far; none where it does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
