"""Threads that help whoever shares out work at a gate (:mod:`zoo.kernels.threadpool`).

They wait for it in compiled code for a millisecond, which is longer than what lies between two training
steps, and then go to sleep.
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

from zoo.kernels.threadpool import Array, gate, help_out, is_stopped, stop
from zoo.layers.sharding import available_threads

R = TypeVar("R")

# Rounds of waiting, about a millisecond, nearly all in calls that let whoever wants this processor have it.
_SPIN_ROUNDS = 2_000


class WorkerThreads:
    """A gate, and threads that look at it.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._gate = _new_gate()
        self._awake, self._mine, self._calls = threading.Event(), threading.Lock(), 0
        names = [f"zoo-{number}" for number in range(count)]
        self._threads = [threading.Thread(target=self._help, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    def share(self, work: Callable[[Array], R]) -> R:
        """``work(gate)``, with helpers on their way to it, or without if they help somebody else now."""
        if not self._mine.acquire(blocking=False):
            return work(_new_gate())
        try:
            self._calls += 1
            if not self._awake.is_set():
                self._awake.set()
            return work(self._gate)
        finally:
            self._mine.release()

    def close(self) -> None:
        """Send them home."""
        stop(self._gate)
        self._awake.set()
        for thread in self._threads:
            thread.join()

    def _help(self) -> None:
        while not is_stopped(self._gate):
            calls = self._calls
            help_out(self._gate, _SPIN_ROUNDS)
            self._awake.clear()
            # Who called before that may have seen that nobody sleeps; who calls from now on wakes us.
            if calls == self._calls and not is_stopped(self._gate):
                self._awake.wait()


def run_with_pool(work: Callable[[Array], R], threads: int) -> R:
    """``work(gate)``, where so many threads take pieces, the caller's being one.

    There are no more of them than processors: those that wait would keep others from working.
    """
    helpers = min(threads, available_threads()) - 1 if threads > 1 else 0
    return _worker_threads(helpers).share(work) if helpers > 0 else work(_new_gate())


@functools.cache
def _worker_threads(count: int) -> WorkerThreads:
    return WorkerThreads(count)


def _new_gate() -> Array:
    """A gate that nobody looks at."""
    return gate(_sched_yield_address())


@functools.cache
def _sched_yield_address() -> int:
    """The address of the system's function that does; 0 if it has none."""
    library, name = ("kernel32", "SwitchToThread") if sys.platform == "win32" else (None, "sched_yield")
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.cast(getattr(ctypes.CDLL(library), name), ctypes.c_void_p).value or 0
    return 0


if hasattr(os, "register_at_fork"):
    # A forked child inherits the helpers but not their threads.
    os.register_at_fork(after_in_child=_worker_threads.cache_clear)
