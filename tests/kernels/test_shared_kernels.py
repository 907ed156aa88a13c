"""Kernels that are compiled once and called by their symbol: ``njit(shared=True)``."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import zoo

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

MODULE = """
import numpy as np
import zoo

@zoo.njit(shared=True)
def cumulate(values, out):
    total = 0.0
    for n in range(values.size):
        total += values[n]
        out[n] = total

@zoo.njit(shared=True)
def outer(values):
    if values.size == 0:
        raise ValueError("no values")
    out = np.empty(values.size, values.dtype)
    cumulate(values, out)
    return out

@zoo.njit
def twice(values):
    return outer(values) + outer(values)
"""
PROGRAM = """
import sys
sys.dont_write_bytecode = True
import numpy as np
import zoo
import shared
result = shared.twice(np.arange(4.0))
dispatchers = shared.twice.dispatcher, shared.outer.inlined, shared.cumulate.inlined
print(result.tolist(), [sum(each.stats.cache_misses.values()) for each in dispatchers])
if sys.argv[1:]:
    code = shared.twice.dispatcher.inspect_llvm(shared.twice.signatures[0])
    print(any(line.startswith("declare") and "outer" in line for line in code.splitlines()))
try:
    shared.twice(np.empty(0))
except ValueError as error:
    print(error)
"""


def run(folder: Path, cache: Path, *arguments: str, python: str = sys.executable) -> list[str]:
    """Lines printed by the program in a new process, which imports modules from the folder."""
    return subprocess.run(
        [python, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "ZOO_CACHE_DIR": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module of shared kernels."""
    (tmp_path / "shared.py").write_text(MODULE)
    return tmp_path


def test_results_and_errors_are_those_of_included_kernels(folder: Path, forked_python: str) -> None:
    expected = ["[0.0, 2.0, 6.0, 12.0] [1, 1, 1]", "no values"]
    assert run(folder, folder / "cache", python=forked_python) == expected
    (folder / "shared.py").write_text(MODULE.replace("(shared=True)", ""))
    assert run(folder, folder / "cache", python=forked_python) == expected


def test_callers_from_disk_find_shared_kernels(folder: Path) -> None:
    # Every process has another hash seed, and so another order of the flags in Numba's own symbols.
    cache = folder / "cache"
    run(folder, cache)
    assert run(folder, cache)[0].endswith("[0, 0, 0]")
    for name in ("outer", "cumulate"):  # cleared while its caller stays
        for file in cache.rglob(f"{name}-*.kernel"):
            file.unlink()
        lines = run(folder, cache)
        assert lines[0].startswith("[0.0, 2.0, 6.0, 12.0]")
        assert lines[1] == "no values"


def test_callers_call_shared_kernels_and_include_others(folder: Path, forked_python: str) -> None:
    assert run(folder, folder / "first", "code", python=forked_python)[1] == "True"
    (folder / "shared.py").write_text(MODULE.replace("(shared=True)", ""))
    assert run(folder, folder / "second", "code", python=forked_python)[1] == "False"


def test_garbage_collector_pauses_only_while_compiling() -> None:
    @zoo.njit
    def enabled(x: float) -> float:
        return x + 1

    gc.enable()
    enabled(1.0)
    assert gc.isenabled()
    gc.disable()
    try:
        enabled(1)
        assert not gc.isenabled()
    finally:
        gc.enable()
