"""On what a run was made."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import zoo
from zoo.bench.contender import Contender
from zoo.bench.settings import processors


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
