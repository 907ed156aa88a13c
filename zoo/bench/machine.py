"""On what a run was made.

What the processor can do at most: the register tile on matrices that stay in the first-level cache.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from zoo import kernels
from zoo.bench.peer_process import Contender
from zoo.bench.settings import processors
from zoo.kernels.jit import njit


def machine() -> dict[str, Any]:
    """Processor, cores, system, and how busy it was."""
    return {
        "processor": _processor(),
        "processors": processors(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions(contenders: Iterable[Contender]) -> dict[str, str]:
    """zoo, Python, and the packages of every contender; those of another environment with its name."""
    found = {"zoo": zoo.__version__, "python": platform.python_version(), "numpy": version("numpy")}
    for contender in contenders:
        for package, number in contender.versions.items():
            name = package if found.get(package, number) == number else f"{package} of {contender.name}"
            found[name] = number
    return found


def _processor() -> str:
    """What the system calls the processor."""
    facts = Path("/proc/cpuinfo")
    told = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    pairs = dict(reversed([_pair(line) for line in told]))
    if pairs.get("model name", "unknown") in ("unknown", ""):
        known = [pairs[key] for key in ("vendor_id", "cpu family", "model") if key in pairs]
        return " ".join([*known, platform.processor() or platform.machine()])
    return pairs["model name"]


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


Array = Any

ROWS, DEPTH = 8, 160  # a panel of 128 bytes a step: 20 KiB, and a few more for the rows

_SECONDS, _TIMES = 0.01, 4  # short, since something else soon gets in the way; the best counts


@njit
def spin(a: Array, panels: Array, c: Array, times: int) -> None:
    """``c += a @ w``, again and again."""
    for _ in range(times):
        kernels.add_matmul(a, panels, c)


def measure_peak(threads: int, dtype: str) -> float:
    """GFLOP/s of multiplications with additions, in all threads together.

    Args:
        threads: Threads that work at once.
        dtype: Of the numbers.
    """
    works = [_operands(dtype) for _ in range(threads)]
    flops = 2 * works[0][0].size * works[0][2].shape[1] * threads
    with ThreadPoolExecutor(threads) as pool:

        def seconds(times: int) -> float:
            started = time.perf_counter()
            list(pool.map(lambda work: spin(work[0], work[1], work[2], times), works))
            return time.perf_counter() - started

        times = 64
        while seconds(times) < _SECONDS:
            times *= 2
        return float(flops * times / min(seconds(times) for _ in range(_TIMES)) / 1e9)


def _operands(dtype: str) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    width = 128 // np.dtype(dtype).itemsize
    a, w = rng.normal(size=(ROWS, DEPTH)).astype(dtype), rng.normal(size=(DEPTH, width)).astype(dtype)
    return a, kernels.pack(w), np.zeros((ROWS, width), dtype)
