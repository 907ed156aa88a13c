"""Shards of a batch, the thread pool that computes them, and results in a fixed order.

The shards depend only on the size of the batch, and gradients are summed shard by shard in order. The number
of threads therefore changes no bit of any result.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

import numpy as np

from zoo.arguments import as_integer
from zoo.array_types import Array
from zoo.layers.parameters import sum_flattened
from zoo.layers.states import States
from zoo.processes import available_processors

R = TypeVar("R")
S = TypeVar("S")
Rows = slice | Array
"""Rows of a batch: a slice, or the index of each row ``(B,)``."""

# Eight rows fill the register tile; sixteen shards keep as many cores busy, for the price of 16 gradients.
ROWS_PER_TILE = 8
MAX_SHARDS = 16


@functools.lru_cache
def shards(batch: int) -> tuple[slice, ...]:
    """The rows of each shard of a batch: contiguous, in order, of one size except the last.

    A shard has at most eight rows, if sixteen shards suffice, and a batch of eight rows is two shards. The
    rows are divided by a power of two, so that two, four, eight or sixteen threads end at about the same
    time: 24 rows are four shards of 6. Of three shards of 8, one of two threads would compute two. The last
    shard has what is left: 33 rows are six shards of 5 and one of 3. The compiled step
    (``first = number * shard_rows``) and the process groups (consecutive shards) rely on equal sizes.
    """
    # For 24 rows and an LSTM of 512 units, two shards of 12 instead of four of 6 took 1 / 1.1 of the time
    # with two threads, since each shard sums its own gradients. But a third thread would have no work.
    count = 2 if batch >= ROWS_PER_TILE else 1
    while count < MAX_SHARDS and batch > count * ROWS_PER_TILE:
        count *= 2
    rows = max(1, -(-batch // count))
    return tuple(slice(start, min(start + rows, batch)) for start in range(0, batch, rows))


def row_count(rows: Rows) -> int:
    """Number of rows."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def row_indices(rows: Rows) -> Array:
    """Index of each row in the batch, ``(B,)`` uint64."""
    indices = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
    return indices.astype(np.uint64)


def slice_states(state: Mapping[str, Array], rows: Rows) -> dict[str, Array]:
    """Some rows of every state ``(B, ...)``."""
    return {name: value[rows] for name, value in state.items()}


def gather_states(states_by_rows: list[tuple[Rows, dict[str, Array]]], batch: int) -> States:
    """States of the batch from pairs of rows and their states."""
    _, first = states_by_rows[0]
    state = States({name: np.empty((batch, *value.shape[1:]), value.dtype) for name, value in first.items()})
    for rows, part in states_by_rows:
        for name, value in part.items():
            state[name][rows] = value
    return state


class GradientSum:
    """The sum of the gradients of shards in shard order, computed while other threads compute gradients.

    A thread that has computed the next shard adds its gradient, and all that follow and are ready. Other
    threads leave theirs in ``_waiting``. A single gradient also waits for the next one, so that the sum is
    read and written half as often. A vector for each shard and a sum at the end took 4 % of a step of an LSTM
    of 512 units (35 steps of 20 rows, two threads).

    Args:
        total: The sum ``(P,)``, whose values are replaced.
        shards: The number of shards.
    """

    def __init__(self, total: Array, shards: int) -> None:
        self._total, self._shards = total, shards
        self._waiting: dict[int, list[Array]] = {}
        self._summed = 0
        self._is_adding = False
        self._lock = threading.Lock()

    def add(self, shard: int, gradients: list[Array]) -> None:
        """Add the gradients of all parameters from the shard with this index."""
        with self._lock:
            self._waiting[shard] = gradients
            if self._is_adding:  # that thread takes this gradient too, or sees it before it returns
                return
            self._is_adding = True
        while ready := self._take_ready():
            sum_flattened(ready, self._total, adds=self._summed > 0)
            self._summed += len(ready)

    def _take_ready(self) -> list[list[Array]]:
        """The gradients that can be added now; none if there are fewer than two, except the last one."""
        with self._lock:
            end = self._summed
            while end in self._waiting:
                end += 1
            count = end - self._summed
            if count < 2 and end < self._shards:
                count = 0
            self._is_adding = count > 0
            return [self._waiting.pop(self._summed + n) for n in range(count)]


def check_threads(threads: int | None) -> int:
    """Check the number of threads; None means all available processors.

    Raises:
        UsageError: if it is not a positive integer.
    """
    if threads is None:
        return available_processors()
    return as_integer(threads, "threads", 1, expected="a positive integer, or None for all processors")


def pool_threads(shards: int, threads: int, product_size: int) -> int:
    """Number of threads for some shards. If there are more, those without a shard compute parts of products.

    Args:
        shards: Number of shards.
        threads: Maximum number of threads.
        product_size: Size of the largest product of a shard and a time step, see :meth:`Stack.product_size`.
            If it is 0, no products are divided.
    """
    if product_size > 0 and 0 < shards < threads:
        from zoo.kernels.nested_parallelism import is_worthwhile  # imports Numba

        # The system is asked last: 2 of the 92 us of a step of 25 tokens with 100 units.
        if is_worthwhile(product_size) and shards < available_processors():
            return threads
    return min(threads, shards)


def run_shards(work: Callable[[Array], R], count: int, threads: int, product_size: int) -> R:
    """``work(pool_state)``, which runs a number of shards, with other threads.

    Args:
        work: A function of the state of a pool.
        count: Number of shards.
        threads: Maximum number of threads.
        product_size: As for :func:`pool_threads`.
    """
    from zoo.kernels.threadpool import run_with_pool  # imports Numba

    threads = pool_threads(count, threads, product_size)
    return run_with_pool(work, threads, leaders=count if threads > count else 0)


def map_shards(work: Callable[[S], R], shards: Sequence[S], threads: int, product_size: int = 0) -> list[R]:
    """``work(shard)`` for some shards, in up to ``threads`` threads; results in the order of the shards.

    Args:
        work: A function of a shard.
        shards: The shards.
        threads: Maximum number of threads.
        product_size: As for :func:`pool_threads`.
    """
    threads = pool_threads(len(shards), threads, product_size)
    if threads > len(shards):
        from zoo.kernels.threadpool import divide_products  # imports Numba

        idle = min(threads, available_processors()) - len(shards)
        return divide_products(lambda: map_shards(work, shards, len(shards)), len(shards), idle)
    if threads <= 1:
        return list(map(work, shards))
    from zoo.kernels.threadpool import thread_pool  # imports Numba

    waiting = deque(enumerate(shards))
    results: list[Any] = [None] * len(shards)

    def run_tasks() -> None:
        while waiting:
            try:
                index, rows = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            results[index] = work(rows)

    pool = thread_pool(threads)
    # Settings of the caller's context, such as `pure_python()` and NumPy's errstate, hold in the threads too.
    futures = [pool.submit(partial(copy_context().run, run_tasks)) for _ in range(pool.count)]
    try:
        run_tasks()  # in this thread too: waking another one costs as much as a small shard
    finally:
        waiting.clear()
        futures = [future for future in futures if not future.cancel()]  # not started: not needed
        wait(futures)
    for future in futures:
        future.result()
    return results
