"""Speeds that limit a step in addition to the peak of products: reads from caches, and functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit

MEMORY = "memory"
"""The level of an array that no cache holds."""

_SECONDS, _REPEATS = 0.005, 4  # short, since disturbances are frequent; the best counts
_MAX_BYTES = 2**30
_LINE_BYTES = 64
_TANH_SIZE = 1024


def nearest_level(size: float, caches: Mapping[str, int]) -> str:
    """The nearest cache that holds this many bytes, or :data:`MEMORY`.

    Args:
        size: Bytes.
        caches: Bytes by level, the nearest cache first, see :func:`zoo.bench.machine.cache_sizes`.
    """
    return next((level for level, capacity in caches.items() if size <= capacity), MEMORY)


def probe_size(level: str, caches: Mapping[str, int], threads: int) -> int:
    """Bytes of the array that a thread reads to measure a level.

    Half of the cache, or of the share of a thread in the last one, because other data needs the rest; but
    more than the cache before it holds. In memory, all arrays together are twice as large as the last cache,
    but at most 1 GiB.
    """
    names = [*caches, MEMORY]
    nearer = caches[names[names.index(level) - 1]] if level != names[0] else 0
    if level == MEMORY:
        return max(1, min(2 * nearer, _MAX_BYTES) // threads)
    is_shared = level == names[-2] and nearer > 0
    return max(caches[level] // (2 * threads if is_shared else 2), 2 * nearer)


def measure_bandwidth(size: int, threads: int) -> float:
    """GB/s at which all threads together read their own arrays, again and again.

    Args:
        size: Bytes of the array of a thread.
        threads: Number of threads.
    """
    arrays = [_whole_lines(max(1, size // 8)) for _ in range(threads)]
    return arrays[0].nbytes * _calls_per_second(read_all, arrays) / 1e9


def measure_functions(dtype: str, threads: int) -> float:
    """Billions of hyperbolic tangents in a second, of arrays in the nearest cache, in all threads together.

    Args:
        dtype: Dtype of the arrays.
        threads: Number of threads.
    """
    arrays = [np.linspace(-3, 3, _TANH_SIZE, dtype=dtype) for _ in range(threads)]
    return _TANH_SIZE * _calls_per_second(tanh_all, arrays) / 1e9


def _calls_per_second(kernel: Callable[[Array, int], object], arrays: Sequence[Array]) -> float:
    """Calls of ``kernel(array, times)`` in a second with ``times = 1``, in one thread for each array."""
    kernel(arrays[0], 1)  # compile
    with ThreadPoolExecutor(len(arrays)) as pool:

        def seconds(times: int) -> float:
            started = time.perf_counter()
            list(pool.map(lambda array: kernel(array, times), arrays))
            return time.perf_counter() - started

        times = 1
        while seconds(times) < _SECONDS:
            times *= 2
        best = min(seconds(times) for _ in range(_REPEATS))
    return len(arrays) * times / best


def _whole_lines(count: int) -> Array:
    """An array of uint64 that begins with a cache line: vectors across two lines take two loads."""
    array = np.ones(count + _LINE_BYTES // 8, np.uint64)
    start = -array.ctypes.data % _LINE_BYTES // 8
    return array[start : start + count]


def _py_read_all(array: Array, times: int) -> Any:
    return np.bitwise_xor.reduce(np.tile(array, times))


@njit(python_fallback=_py_read_all)
def read_all(array: Array, times: int) -> Any:
    """Read an array some times: the exclusive or of all elements, which vector instructions compute.

    Args:
        array: ``(N,)`` uint64.
        times: Number of passes.
    """
    total = np.uint64(0)
    for _ in range(times):
        for n in range(array.size):
            total ^= array[n]
    return total


@njit
def tanh_all(array: Array, times: int) -> Array:
    """The hyperbolic tangents of all elements, computed some times.

    Args:
        array: ``(N,)``.
        times: Number of passes.
    """
    results = np.empty_like(array)
    for n in range(times):
        shift = array.dtype.type(n)  # or LLVM would compute one pass
        for i in range(array.size):
            results[i] = kernels.tanh(array[i] + shift)
    return results
