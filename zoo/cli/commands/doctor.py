"""``zoo doctor``: checks of the installation, for bug reports."""

from __future__ import annotations

import json
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

import click

import zoo
from zoo.cli.flags import Command, format_options
from zoo.cli.format import format_bytes
from zoo.cli.terminal import echo, print_facts, styled
from zoo.errors import PluginError
from zoo.kernels.cache_dir import cache_directory, cached_files, generated_files, kernel_directory
from zoo.registry.loader import Loader
from zoo.registry.probe import probe_plugins
from zoo.tables import align


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Args:
        name: Name of the check.
        text: The result as text.
        data: The result for ``--json``.
        problem: The problem and its remedy; empty if there is none.
    """

    name: str
    text: str
    data: Any
    problem: str = ""


# Instruction sets on which the speed of the kernels depends.
FEATURES = ("sse2", "avx", "avx2", "fma", "avx512f", "neon", "sve")


def check_processor() -> CheckResult:
    """The processor and its instruction sets."""
    try:
        from numba.core.registry import cpu_target

        triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    except Exception as error:  # any error that keeps Numba from working is the result
        return _no_compiler("processor", error)
    enabled = [feature for feature in FEATURES if f"+{feature}" in features.split(",")]
    text = f"{_marketing_name()}compiled for {name} ({triple.partition('-')[0]}): {', '.join(enabled)}"
    return CheckResult("processor", text, {"target": name, "triple": triple, "features": features.split(",")})


def _marketing_name() -> str:
    """Name of the processor on Linux; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, " if names else ""


def check_vectors() -> CheckResult:
    """Width of the vector instructions."""
    try:
        from numba import types

        from zoo.kernels.precision import bf16_instructions, bf16_problem
        from zoo.kernels.processor import lanes

        widths = {"float32": lanes(types.float32), "float64": lanes(types.float64)}
        problem, instructions = bf16_problem(), bf16_instructions()
    except Exception as error:
        return _no_compiler("vectors", error)
    products = f"no ({problem})" if problem else f"yes, with {instructions}"
    text = (
        f"{32 * widths['float32']} bits: {widths['float32']} float32 or {widths['float64']} float64 at once; "
        f"--precision bf16: {products}"
    )
    return CheckResult("vectors", text, {**widths, "bf16": not problem})


def check_compiler() -> CheckResult:
    """Compile and run a kernel."""
    try:
        import numba

        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # numba sets it from the environment
            return CheckResult(
                "compiler", "switched off by NUMBA_DISABLE_JIT: everything runs as plain, slow Python", "off"
            )
        started = time.perf_counter()
        compiled: Any = numba.njit(_add_one)
        if compiled(41) != 42:
            raise ArithmeticError("41 + 1 came out wrong")
    except Exception as error:
        return _no_compiler("compiler", error)
    seconds = time.perf_counter() - started
    return CheckResult(
        "compiler", f"works ({seconds:.2f} s for the smallest kernel)", {"seconds": round(seconds, 3)}
    )


def _add_one(number: int) -> int:
    return number + 1


def _no_compiler(name: str, error: Exception) -> CheckResult:
    problem = f"Numba cannot be used ({type(error).__name__}: {error}); install recurrent-zoo afresh."
    return CheckResult(name, "unknown", None, problem)


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


def check_zoo() -> CheckResult:
    """Version and path of zoo."""
    path = str(Path(zoo.__file__).parent)
    return CheckResult("zoo", f"{zoo.__version__} in {path}", {"version": zoo.__version__, "path": path})


def check_python() -> CheckResult:
    """The interpreter."""
    number = platform.python_version()
    text = f"{platform.python_implementation()} {number}, {sys.executable}"
    return CheckResult("python", text, {"version": number, "path": sys.executable})


def check_packages() -> CheckResult:
    """Versions of the dependencies of zoo and of its testing extra."""
    versions = {name: _version(name) for name in (*PACKAGES, *EXTRAS)}
    missing = [name for name in PACKAGES if versions[name] is None]
    text = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    problem = f"{', '.join(missing)} not installed; install recurrent-zoo again." if missing else ""
    return CheckResult("packages", text, versions, problem)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_system() -> CheckResult:
    """Operating system and C library."""
    return CheckResult("system", platform.platform(), platform.platform())


def check_threads() -> CheckResult:
    """Processors that training may use."""
    from zoo.processes import available_processors

    usable, present = available_processors(), os.cpu_count()
    data = {"usable": usable, "present": present}
    return CheckResult("threads", f"{usable} of {present} processors may be used", data)


def check_cache() -> CheckResult:
    """Whether compiled kernels can be cached."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        writable = kernel_directory() is not None
    files = cached_files()
    total = sum(file.stat().st_size for file in [*files, *generated_files()])
    state = "writable" if writable else "NOT USABLE"
    text = f"{cache_directory()}, {state}, {len(files)} kernels, {format_bytes(total)}"
    data = {"path": str(cache_directory()), "writable": writable, "kernels": len(files), "bytes": total}
    return CheckResult("cache", text, data, str(caught[-1].message) if caught and not writable else "")


def check_environment() -> CheckResult:
    """Environment variables of Numba and zoo."""
    names = sorted(name for name in os.environ if name.startswith(("NUMBA_", "ZOO_")))
    variables = {name: os.environ[name] for name in names}
    text = " ".join(f"{name}={value}" for name, value in variables.items())
    return CheckResult("environment", text or "nothing set", variables)


def check_plugins() -> CheckResult:
    """Status of the plugins; each foreign one is first loaded in its own process."""
    doors = probe_plugins()
    try:
        records = Loader(discover=lambda: doors).plugins()
    except PluginError as error:
        return CheckResult("plugins", "a failure, and ZOO_STRICT_PLUGINS is set", None, str(error))
    failed = [record for record in records if record.status == "failed"]
    counts = {
        status: sum(record.status == status for record in records)
        for status in ("loaded", "failed", "skipped")
    }
    text = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    problem = "; ".join(f"plugin {record} failed: {record.error.rstrip('.')}" for record in failed)
    data = [{"name": record.name, "status": record.status, "error": record.error} for record in records]
    return CheckResult("plugins", text, data, f"{problem}." if problem else "")


CHECKS: tuple[Callable[[], CheckResult], ...] = (
    check_zoo,
    check_python,
    check_packages,
    check_system,
    check_processor,
    check_vectors,
    check_threads,
    check_compiler,
    check_cache,
    check_environment,
    check_plugins,
)


def run_checks() -> list[CheckResult]:
    """Run all checks in order."""
    return [check() for check in CHECKS]


@click.command(cls=Command)
@format_options
@click.pass_context
def command(ctx: click.Context, form: str | None) -> None:
    """Check the installation.

    Prints versions, processor, compiler, cache and plugins, for bug reports. Each plugin that is not part of
    zoo is loaded in a separate process, so that zoo can report one that crashes or hangs. The exit code is 1
    if something is broken.
    """
    results = run_checks()
    problems = [result.problem for result in results if result.problem]
    if form == "csv":
        rows = [{"check": each.name, "result": each.text, "problem": each.problem} for each in results]
        print_facts(rows, form)
    elif form == "json":
        facts = {result.name: result.data for result in results}
        echo(json.dumps({"ok": not problems, "problems": problems, **facts}, indent=2))
    else:
        echo("\n".join(align((result.name, result.text) for result in results)))
        echo()
        for problem in problems:
            echo(f"{styled('Broken:', fg='red', bold=True)} {problem}")
        echo("" if problems else styled("All is well.", fg="green"), nl=not problems)
    if problems:
        ctx.exit(1)
