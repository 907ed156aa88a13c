"""Worker threads of the thread pool (:mod:`zoo.kernels.threadpool`).

They wait for work in compiled code for a millisecond, longer than the time between two training steps, and
then sleep.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from zoo.kernels.threadpool import Array, is_shut_down, new_pool, shut_down, worker_loop
from zoo.layers.sharding import available_threads

R = TypeVar("R")

# Rounds of waiting, about a millisecond, nearly all in calls that yield the processor.
_ROUNDS_BEFORE_SLEEP = 2_000


class WorkerThreads:
    """A pool and the threads that poll it.

    Args:
        count: Number of threads.
    """

    def __init__(self, count: int) -> None:
        self._pool = _new_pool()
        self._awake, self._lock, self._calls = threading.Event(), threading.Lock(), 0
        names = [f"zoo-{number}" for number in range(count)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    def run(self, work: Callable[[Array], R]) -> R:
        """``work(pool)``, with the pool of these threads, or one without workers if they are busy."""
        if not self._lock.acquire(blocking=False):
            return work(_new_pool())
        try:
            self._calls += 1
            if not self._awake.is_set():
                self._awake.set()
            return work(self._pool)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Stop and join the threads."""
        shut_down(self._pool)
        self._awake.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not is_shut_down(self._pool):
            calls = self._calls
            worker_loop(self._pool, _ROUNDS_BEFORE_SLEEP)
            self._awake.clear()
            # A call before clear() may have found the threads awake; later calls wake them.
            if calls == self._calls and not is_shut_down(self._pool):
                self._awake.wait()


def run_with_pool(work: Callable[[Array], R], threads: int) -> R:
    """``work(pool)`` with a pool of up to ``threads`` threads, the caller's included.

    There are no more threads than processors: waiting threads would keep others from working.
    """
    workers = min(threads, available_threads()) - 1 if threads > 1 else 0
    return _worker_threads(workers).run(work) if workers > 0 else work(_new_pool())


@functools.cache
def _worker_threads(count: int) -> WorkerThreads:
    return WorkerThreads(count)


def _new_pool() -> Array:
    """A pool without workers."""
    return new_pool(yield_address())


@functools.cache
def yield_address() -> int:
    """Address of the system's function that yields the processor; 0 if there is none."""
    library, name = ("kernel32", "SwitchToThread") if sys.platform == "win32" else (None, "sched_yield")
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.cast(getattr(ctypes.CDLL(library), name), ctypes.c_void_p).value or 0
    return 0


if hasattr(os, "register_at_fork"):
    # A forked child inherits the objects but not their threads.
    os.register_at_fork(after_in_child=_worker_threads.cache_clear)
