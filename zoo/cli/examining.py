"""The examinations of ``zoo doctor``: each looks at one thing and says what it found."""

from __future__ import annotations

import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import zoo
from zoo.cli.units import size
from zoo.errors import PluginError
from zoo.kernels.directory import cache_directory, cached_files, kernel_directory
from zoo.registry import plugins

PACKAGES = (
    "numba",
    "llvmlite",
    "numpy",
    "click",
    "filelock",
    "platformdirs",
    "pluggy",
    "rich",
    "safetensors",
)
EXTRAS = ("hypothesis", "pytest")
# Instruction sets on which the speed of the kernels depends.
FEATURES = ("sse2", "avx", "avx2", "fma", "avx512f", "neon", "sve")


@dataclass(frozen=True)
class Finding:
    """What an examination found.

    Args:
        name: What was looked at.
        text: What was found, for people.
        data: The same, for programs.
        problem: What is broken, and what to do; empty if nothing is.
    """

    name: str
    text: str
    data: Any
    problem: str = ""


def examine() -> list[Finding]:
    """Everything, in order."""
    return [look() for look in EXAMINATIONS]


def _zoo() -> Finding:
    place = str(Path(zoo.__file__).parent)
    return Finding("zoo", f"{zoo.__version__} in {place}", {"version": zoo.__version__, "path": place})


def _python() -> Finding:
    words = f"{platform.python_implementation()} {platform.python_version()}"
    return Finding(
        "python", f"{words}, {sys.executable}", {"version": platform.python_version(), "path": sys.executable}
    )


def _packages() -> Finding:
    found = {name: _version(name) for name in (*PACKAGES, *EXTRAS)}
    missing = [name for name in PACKAGES if found[name] is None]
    text = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    problem = f"{', '.join(missing)} not installed; install recurrent-zoo again." if missing else ""
    return Finding("packages", text, found, problem)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _system() -> Finding:
    return Finding("system", platform.platform(), platform.platform())


def _processor() -> Finding:
    try:
        from numba.core.registry import cpu_target

        triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    except Exception as error:  # whatever keeps Numba from working is the finding
        return _no_compiler("processor", error)
    enabled = [feature for feature in FEATURES if f"+{feature}" in features.split(",")]
    text = f"{_marketing_name()}compiled for {name} ({triple.partition('-')[0]}): {', '.join(enabled)}"
    return Finding("processor", text, {"target": name, "triple": triple, "features": features.split(",")})


def _marketing_name() -> str:
    """What Linux calls the processor; elsewhere nothing, since no file says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, " if names else ""


def _vectors() -> Finding:
    try:
        from numba import types

        from zoo.kernels.tiles import lanes

        widths = {"float32": lanes(types.float32), "float64": lanes(types.float64)}
    except Exception as error:
        return _no_compiler("vectors", error)
    text = (
        f"{32 * widths['float32']} bits: {widths['float32']} float32 or {widths['float64']} float64 at once"
    )
    return Finding("vectors", text, widths)


def _compiler() -> Finding:
    try:
        import numba

        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # numba sets it from the environment
            return Finding(
                "compiler", "switched off by NUMBA_DISABLE_JIT: everything runs as plain, slow Python", "off"
            )
        started = time.perf_counter()
        compiled: Any = numba.njit(_successor)
        if compiled(41) != 42:
            raise ArithmeticError("41 + 1 came out wrong")
    except Exception as error:
        return _no_compiler("compiler", error)
    seconds = time.perf_counter() - started
    return Finding(
        "compiler", f"works ({seconds:.2f} s for the smallest kernel)", {"seconds": round(seconds, 3)}
    )


def _successor(number: int) -> int:
    return number + 1


def _no_compiler(name: str, error: Exception) -> Finding:
    problem = f"Numba cannot be used ({type(error).__name__}: {error}); install recurrent-zoo afresh."
    return Finding(name, "unknown", None, problem)


def _threads() -> Finding:
    from zoo.layers.shards import available_threads

    usable, present = available_threads(), os.cpu_count()
    return Finding(
        "threads", f"{usable} of {present} processors may be used", {"usable": usable, "present": present}
    )


def _cache() -> Finding:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        writable = kernel_directory() is not None
    files = cached_files()
    total = sum(file.stat().st_size for file in files)
    state = "writable" if writable else "NOT USABLE"
    text = f"{cache_directory()}, {state}, {len(files)} kernels, {size(total)}"
    data = {"path": str(cache_directory()), "writable": writable, "kernels": len(files), "bytes": total}
    return Finding("cache", text, data, str(caught[-1].message) if caught and not writable else "")


def _environment() -> Finding:
    names = sorted(name for name in os.environ if name.startswith(("NUMBA_", "ZOO_")))
    found = {name: os.environ[name] for name in names}
    return Finding(
        "environment", " ".join(f"{name}={value}" for name, value in found.items()) or "nothing set", found
    )


def _plugins() -> Finding:
    try:
        records = plugins()
    except PluginError as error:
        return Finding("plugins", "a failure, and ZOO_STRICT_PLUGINS is set", None, str(error))
    failed = [record for record in records if record.status == "failed"]
    counts = {
        status: sum(record.status == status for record in records)
        for status in ("loaded", "failed", "skipped")
    }
    text = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    problem = "; ".join(f"plugin {record} failed: {record.error.rstrip('.')}" for record in failed)
    data = [{"name": record.name, "status": record.status, "error": record.error} for record in records]
    return Finding("plugins", text, data, f"{problem}." if problem else "")


EXAMINATIONS: tuple[Callable[[], Finding], ...] = (
    _zoo,
    _python,
    _packages,
    _system,
    _processor,
    _vectors,
    _threads,
    _compiler,
    _cache,
    _environment,
    _plugins,
)
