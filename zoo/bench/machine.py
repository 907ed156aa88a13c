"""Facts about the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]

import zoo
from zoo.processes import available_processors

if TYPE_CHECKING:
    from zoo.bench.peer_process import PeerProcess


def machine_info() -> dict[str, Any]:
    """Processor, cores, caches, system and load.

    Virtual machines often hide the model of the processor, ``AMD EPYC``. LLVM's name of its design follows,
    ``znver3``.
    """
    return {
        "processor": f"{_processor_name()} ({llvm.get_host_cpu_name()})",
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
