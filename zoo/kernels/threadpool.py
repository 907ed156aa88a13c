"""The thread pool: worker threads run compiled tasks without Python, and Python functions.

The caller publishes numbered compiled tasks and runs tasks too. Workers poll the pool in a loop, join, and
take tasks with atomic operations until none is left. The caller then waits until no worker is active. It does
not wait for workers that are busy elsewhere or asleep. A worker starts its first task 0.2 us after the
publication. A sleeping thread takes 50 us to wake, and in Python it waits for the interpreter too: a step of
25 symbols in 16 sequences with 32 units then took longer in two threads than in one.

The pool's state is an array of int64 words (:mod:`zoo.kernels.atomics`).
"""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from zoo.array_types import Array
from zoo.kernels import nested_parallelism
from zoo.kernels.atomics import compare_exchange, fetch_add, load, spin_wait, store, yield_address
from zoo.kernels.bound_calls import call_bound
from zoo.kernels.jit import njit
from zoo.kernels.nested_parallelism import poll_slot
from zoo.processes import available_processors

R = TypeVar("R")

# Indices of words. Words that different threads write are far apart: a cache line has 64 bytes, or 128.
_STATE, _NEXT = 0, 16

_CODE, _DATA, _COUNT, _FAILED, _INTERRUPTED, _YIELD, _LEADERS = range(32, 39)

_MAX_TURNS = 16
_FIRST_TURN, _TURN_WORDS = 48, 16

# Elements of a vector that a task adds in one turn, at least. They take about 5 us.
_MIN_ADDED_ELEMENTS = 1 << 14

_WORDS = _FIRST_TURN + _TURN_WORDS * _MAX_TURNS

# The state is the number of active workers, a flag for published tasks, and how often tasks were published.
_PUBLISHED = 1 << 15
_GENERATION = 1 << 16


def new_pool_state(yield_address: int) -> Array:
    """The words of a pool without tasks.

    Args:
        yield_address: As in :func:`spin_wait`.
    """
    pool_state = np.zeros(_WORDS, np.int64)
    pool_state[_YIELD] = yield_address
    return pool_state


@njit
def _drain(pool_state: Array) -> None:
    """Run the next task until none is left."""
    number, count = fetch_add(pool_state, _NEXT, 1), pool_state[_COUNT]
    while number < count:
        if not call_bound(pool_state[_CODE], pool_state[_DATA], number, count):
            store(pool_state, _FAILED, 1)
        number = fetch_add(pool_state, _NEXT, 1)


@njit(shared=True)
def parallel_for(pool_state: Array, count: int, code: int, data: int) -> bool:
    """Run tasks 0 to ``count - 1``; return whether all succeeded.

    Args:
        pool_state: From :func:`new_pool_state`. Only one thread at a time may call this with the same pool.
        count: Number of tasks.
        code: From :func:`zoo.kernels.bound_calls.bind_call`.
        data: From the same.
    """
    pool_state[_CODE], pool_state[_DATA], pool_state[_COUNT], pool_state[_FAILED] = code, data, count, 0
    store(pool_state, _NEXT, 0)
    for turn in range(_MAX_TURNS):
        store(pool_state, _FIRST_TURN + turn * _TURN_WORDS, 0)
    fetch_add(pool_state, _STATE, _GENERATION + _PUBLISHED)
    _drain(pool_state)
    fetch_add(pool_state, _STATE, -_PUBLISHED)
    waited, slot = 0, -1
    while load(pool_state, _STATE) % _PUBLISHED != 0:
        slot, has_computed = poll_slot(slot, load(pool_state, _LEADERS))
        waited = spin_wait(0 if has_computed else waited, pool_state[_YIELD])
    poll_slot(slot, 0)
    return pool_state[_FAILED] == 0  # type: ignore[no-any-return]


@njit
def count_turns(size: int) -> int:
    """Number of turns in which tasks add vectors of this size, one part in each turn."""
    return max(1, min(_MAX_TURNS, size // _MIN_ADDED_ELEMENTS))


@njit(shared=True)
def wait_for_turn(pool_state: Array, number: int, turn: int) -> None:
    """Within a task, wait until all tasks of lower numbers have passed a turn.

    Args:
        pool_state: From :func:`new_pool_state`.
        number: Number of the task.
        turn: One of the independent turns, below :func:`count_turns`.
    """
    waited, word = 0, _FIRST_TURN + turn * _TURN_WORDS
    while load(pool_state, word) != number and load(pool_state, _FAILED) == 0:
        waited = spin_wait(waited, pool_state[_YIELD])


@njit
def pass_turn(pool_state: Array, number: int, turn: int) -> None:
    """Within a task, pass a turn to the task of the next number."""
    store(pool_state, _FIRST_TURN + turn * _TURN_WORDS, number + 1)


@njit
def worker_loop(pool_state: Array, max_rounds: int) -> None:
    """Run tasks whenever they are published, and parts of large products of other threads.

    It does not return to Python in between, where threads would block each other.

    Args:
        pool_state: From :func:`new_pool_state`.
        max_rounds: Rounds of waiting for tasks before it returns. Python can interrupt it earlier.
    """
    last, waited, slot = 0, 0, -1
    while (waited < max_rounds or slot >= 0) and load(pool_state, _INTERRUPTED) == 0:
        state = load(pool_state, _STATE)
        generation = state // _GENERATION
        is_new = state % _GENERATION >= _PUBLISHED and generation != last
        slot, has_computed = poll_slot(slot, 0 if is_new else load(pool_state, _LEADERS))
        if is_new and compare_exchange(pool_state, _STATE, state, state + 1):
            _drain(pool_state)
            fetch_add(pool_state, _STATE, -1)
            last, has_computed = generation, True
        waited = spin_wait(0 if has_computed else waited, pool_state[_YIELD])
    poll_slot(slot, 0)


# Rounds of waiting, about a millisecond, nearly all in calls that yield the processor. The time between two
# training steps is shorter.
_ROUNDS_BEFORE_SLEEP = 2_000


class ThreadPool:
    """Worker threads that run compiled tasks, and Python functions.

    They wait for compiled tasks in compiled code for a millisecond, and then sleep.

    Args:
        count: Number of threads.
    """

    def __init__(self, count: int) -> None:
        self._pool_state = new_pool_state(yield_address())
        # Jobs of the workers; None ends one. Unlike an Event, SimpleQueue wakes a thread without Python code.
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._functions: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock, self._run_count, self._is_closed = threading.Lock(), 0, False
        self._polling_workers: list[None] = []  # an element for each worker that polls, or will
        names = [f"zoo-{number}" for number in range(count)]
        self._threads = [threading.Thread(target=self._run_jobs, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    @property
    def count(self) -> int:
        """Number of threads."""
        return len(self._threads)

    def run(self, work: Callable[[Array], R], leaders: int = 0) -> R:
        """``work(pool_state)`` with these threads, or without workers if another call uses them.

        Args:
            work: A function of the state of the pool.
            leaders: Number of threads for which workers without a task compute parts of large matrix
                products; 0 to compute none.
        """
        if not self._lock.acquire(blocking=False):
            return work(new_pool_state(yield_address()))
        try:
            self._run_count += 1
            if leaders:
                nested_parallelism.enable()
                self._pool_state[_LEADERS] = leaders
            while len(self._polling_workers) < self.count:
                self._wake_worker()
            return work(self._pool_state)
        finally:
            self._pool_state[_LEADERS] = 0
            self._lock.release()

    def submit(self, function: Callable[[], R]) -> Future[R]:
        """Run a Python function in one of the threads."""
        future: Future[R] = Future()
        self._functions.append((future, function))
        self._queue.put(self._run_function)
        if self._polling_workers:
            self._pool_state[_INTERRUPTED] = 1
        return future

    def close(self) -> None:
        """Stop and join the threads."""
        self._is_closed = True
        self._pool_state[_INTERRUPTED] = 1
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _wake_worker(self) -> None:
        self._polling_workers.append(None)
        self._queue.put(self._run_compiled_tasks)

    def _run_jobs(self) -> None:
        while (job := self._queue.get()) is not None:
            job()

    def _run_compiled_tasks(self) -> None:
        run_count = self._run_count
        self._pool_state[_INTERRUPTED] = 0
        if self._functions or self._is_closed:
            self._pool_state[_INTERRUPTED] = 1
        worker_loop(self._pool_state, _ROUNDS_BEFORE_SLEEP)
        self._polling_workers.pop()
        if run_count != self._run_count and not self._is_closed:  # that call may have counted on this worker
            self._wake_worker()

    def _run_function(self) -> None:
        future, function = self._functions.popleft()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # raised by Future.result
                future.set_exception(error)


def thread_pool(threads: int) -> ThreadPool:
    """The workers of calls in up to ``threads`` threads, the caller's included.

    There are no more threads than processors: waiting threads would keep others from working.
    """
    return _cached_pool(max(0, min(threads, available_processors()) - 1))


def run_with_pool(work: Callable[[Array], R], threads: int, leaders: int = 0) -> R:
    """``work(pool_state)`` with a pool of up to ``threads`` threads, the caller's included.

    Args:
        work: As for :meth:`ThreadPool.run`.
        threads: Maximum number of threads.
        leaders: As for :meth:`ThreadPool.run`.
    """
    if threads > 1:
        return thread_pool(threads).run(work, leaders)
    return work(new_pool_state(yield_address()))


def divide_products(work: Callable[[], R], leaders: int, idle: int) -> R:
    """``work()``, while other threads compute parts of its large matrix products.

    Args:
        work: A Python function, which calls kernels.
        leaders: Number of threads in which it calls them.
        idle: Maximum number of the other threads.
    """
    count = min(idle, available_processors() - 1)
    return _pool_for_parts(count).run(lambda _pool_state: work(), leaders)


@functools.cache
def _pool_for_parts(count: int) -> ThreadPool:
    """Workers that run no functions, which would interrupt them while they wait for parts."""
    return ThreadPool(count)


@functools.cache
def _cached_pool(count: int) -> ThreadPool:
    return ThreadPool(count)


if hasattr(os, "register_at_fork"):
    # A forked child inherits the pools but not their threads.
    for pools in (_cached_pool, _pool_for_parts):
        os.register_at_fork(after_in_child=pools.cache_clear)
