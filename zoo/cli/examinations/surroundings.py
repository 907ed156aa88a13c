"""What zoo stands on: itself, Python, packages, the system, the cache, the environment, plugins."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import zoo
from zoo.cli.examinations.finding import Finding
from zoo.cli.units import size
from zoo.errors import PluginError
from zoo.kernels.directory import cache_directory, cached_files, generated_files, kernel_directory
from zoo.registry.loader import Loader
from zoo.registry.probe import probe_plugins

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


def about_zoo() -> Finding:
    """Version and place."""
    place = str(Path(zoo.__file__).parent)
    return Finding("zoo", f"{zoo.__version__} in {place}", {"version": zoo.__version__, "path": place})


def about_python() -> Finding:
    """Which interpreter."""
    number = platform.python_version()
    text = f"{platform.python_implementation()} {number}, {sys.executable}"
    return Finding("python", text, {"version": number, "path": sys.executable})


def about_packages() -> Finding:
    """Versions of what zoo needs, and of what the testing extra brings."""
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


def about_system() -> Finding:
    """Operating system and C library."""
    return Finding("system", platform.platform(), platform.platform())


def about_threads() -> Finding:
    """Processors that training uses."""
    from zoo.layers.shards import available_threads

    usable, present = available_threads(), os.cpu_count()
    data = {"usable": usable, "present": present}
    return Finding("threads", f"{usable} of {present} processors may be used", data)


def about_cache() -> Finding:
    """Whether compiled kernels can be kept."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        writable = kernel_directory() is not None
    files = cached_files()
    total = sum(file.stat().st_size for file in [*files, *generated_files()])
    state = "writable" if writable else "NOT USABLE"
    text = f"{cache_directory()}, {state}, {len(files)} kernels, {size(total)}"
    data = {"path": str(cache_directory()), "writable": writable, "kernels": len(files), "bytes": total}
    return Finding("cache", text, data, str(caught[-1].message) if caught and not writable else "")


def about_environment() -> Finding:
    """What is set of Numba's variables and zoo's."""
    names = sorted(name for name in os.environ if name.startswith(("NUMBA_", "ZOO_")))
    found = {name: os.environ[name] for name in names}
    text = " ".join(f"{name}={value}" for name, value in found.items())
    return Finding("environment", text or "nothing set", found)


def about_plugins() -> Finding:
    """How many are loaded, and which failed; each foreign one was tried in a process of its own before."""
    doors = probe_plugins()
    try:
        records = Loader(discover=lambda: doors).plugins()
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
