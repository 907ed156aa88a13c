"""Facts about the machine, and its peak: the GEMM micro-kernel on matrices in the first-level cache."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import zoo
from zoo import kernels
from zoo.kernels.jit import njit
from zoo.processes import available_processors

if TYPE_CHECKING:
    from zoo.bench.peer_process import PeerProcess


def machine_info() -> dict[str, Any]:
    """Processor, cores, caches, system and load."""
    return {
        "processor": _processor_name(),
        "processors": available_processors(),
        "caches": cache_sizes(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def cache_sizes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> dict[str, int]:
    """Bytes of the caches for data by level, ``{"L1": 49152, "L2": 1048576}``; empty if unknown.

    Args:
        folder: Linux's description of the caches of a processor.
    """
    caches = {}
    for cache in sorted(folder.glob("index*")):
        kind, level, size = ((cache / name).read_text("ascii").strip() for name in ("type", "level", "size"))
        if kind != "Instruction" and size.endswith("K"):
            caches[f"L{level}"] = int(size.removesuffix("K")) * 1024
    return caches


def versions(processes: Iterable[PeerProcess]) -> dict[str, str]:
    """Versions of zoo, Python and all packages; labelled by peer where they differ."""
    by_package = {"zoo": zoo.__version__, "python": platform.python_version(), "numpy": version("numpy")}
    for process in processes:
        for package, number in process.versions.items():
            is_same = by_package.get(package, number) == number
            by_package[package if is_same else f"{package} of {process.name}"] = number
    return by_package


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    pairs = dict(reversed([_pair(line) for line in lines]))
    if pairs.get("model name", "unknown") in ("unknown", ""):
        known = [pairs[key] for key in ("vendor_id", "cpu family", "model") if key in pairs]
        return " ".join([*known, platform.processor() or platform.machine()])
    return pairs["model name"]


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


Array = Any

PEAK_ROWS, PEAK_DEPTH = 8, 160  # a panel of 128 bytes a step: 20 KiB, and a few more for the rows

_SECONDS, _REPEATS = 0.01, 4  # short, since disturbances are frequent; the best counts


@njit
def repeat_matmul(a: Array, panels: Array, c: Array, times: int) -> None:
    """``c += a @ w``, ``times`` times."""
    for _ in range(times):
        kernels.add_matmul(a, panels, c)


def measure_peak(threads: int, dtype: str, precision: str | None = None) -> float:
    """GFLOP/s of multiply-adds in all threads together.

    Args:
        threads: Number of threads.
        dtype: Dtype of the matrices.
        precision: Precision of the products.
    """
    operands = [_operands(dtype, precision) for _ in range(threads)]
    flops = 2 * operands[0][2].size * PEAK_DEPTH * threads
    with ThreadPoolExecutor(threads) as pool:

        def seconds(times: int) -> float:
            started = time.perf_counter()
            list(pool.map(lambda arrays: repeat_matmul(arrays[0], arrays[1], arrays[2], times), operands))
            return time.perf_counter() - started

        times = 64
        while seconds(times) < _SECONDS:
            times *= 2
        return float(flops * times / min(seconds(times) for _ in range(_REPEATS)) / 1e9)


def _operands(dtype: str, precision: str | None) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    width = 128 // np.dtype(dtype).itemsize
    a, w = (
        rng.normal(size=(PEAK_ROWS, PEAK_DEPTH)).astype(dtype),
        rng.normal(size=(PEAK_DEPTH, width)).astype(dtype),
    )
    c = np.zeros((PEAK_ROWS, width), dtype)
    if precision:
        from zoo.kernels.bf16_pairs import pairs_in_rows, pairs_of_rows

        a, w = pairs_in_rows(a, 0, PEAK_DEPTH, PEAK_ROWS, PEAK_DEPTH), pairs_of_rows(w, 0, width)
    return a, kernels.pack(w), c
