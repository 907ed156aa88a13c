"""A process that compiles kernels, and the compilation of one kernel in the background."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import pytest

from zoo.compiler import compiler_process as module
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.compiler_process import HAS_LOCKS, Compilation, CompilerProcess, KernelCall
from zoo.kernels.address_calls import KernelRef

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT) or not HAS_LOCKS, reason="nothing is compiled, or twice"
)


def test_process_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_import.py").write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    task = b"cslow_import\nkernel\n."  # the pickle of `slow_import.kernel`
    compiler = CompilerProcess(pickle.dumps(([], [task])))
    assert compiler._process.stdin is not None
    compiler._process.stdin.close()  # as the system does when the parent ends
    assert compiler._process.wait(60) == 0
    compiler.stop()


def test_unexpected_error_of_a_process_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="zoo.compile")  # commands of other tests have raised it
    (tmp_path / "broken_import.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    tasks = [b"cmissing_module\nkernel\n.", b"cbroken_import\nkernel\n."]
    compiler = CompilerProcess(pickle.dumps(([], tasks)))
    assert compiler._process.wait(60) == 1
    compiler.stop()
    (record,) = caplog.records
    assert record.getMessage().endswith("failed (exit code 1): ZeroDivisionError: division by zero")


def test_process_that_does_not_read_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROGRAM", "import time; time.sleep(600)")
    CompilerProcess(bytes(10**6)).stop()


def wait_for(compilation: Compilation) -> Any:
    """The compiled function, once another process has stored it."""
    deadline = time.monotonic() + 120
    while (function := compilation.function()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return function


def test_another_process_compiles_in_the_background(kernels: ModuleType) -> None:
    """A generated kernel, which calls kernels of another generated module, of a file, and by address."""
    source = "import zoo\n@zoo.njit\ndef inner(x):\n    return first(x)\n"
    inner = load_source("inner", source, {"first": kernels.first}).inner
    source = """
import zoo
from zoo.kernels.address_calls import call

@zoo.njit
def outer(x, address):
    return inner(x) + call(second, address, (x, 0.5))
"""
    second = KernelRef(kernels.second)
    outer = load_source("outer", source, {"inner": inner, "second": second}).outer
    kernels.second(1, 0.5)
    code = second.lookup((numba.int64, numba.float64))
    assert code is not None
    related = KernelCall(kernels.third, (numba.int64,))
    call = KernelCall(outer, (numba.int64, numba.int64))
    compilation = Compilation.in_background([related, call], threads=2)
    assert compilation.function() is None
    assert wait_for(compilation)(1, code.address) == 3.0
    assert compilation.function() is compilation.function()
    kernels.third(1)
    for kernel in (outer, kernels.third):
        assert sum(kernel.dispatcher.stats.cache_hits.values()) == 1
        assert not kernel.dispatcher.stats.cache_misses


@pytest.mark.parametrize("reason", ["stored", "one thread", "defined in a function", "no memory"])
def test_without_a_process_the_first_call_compiles(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    import zoo

    def refuse(*_arguments: Any, **_options: Any) -> None:
        assert reason == "no memory"
        raise OSError("no memory")

    monkeypatch.setattr(module.subprocess, "Popen", refuse)
    kernel = kernels.first
    if reason == "stored":
        kernel(1)
    if reason == "defined in a function":
        kernel = zoo.njit(lambda x: x + 1)
    call = KernelCall(kernel, (numba.int64,))
    function = Compilation.in_background([call], threads=1 if reason == "one thread" else 2).function()
    assert function is not None
    assert function(1) == 2


@pytest.mark.parametrize("program", ["sys.exit('it is broken')", "import os; os.abort()", ""])
def test_this_process_compiles_after_a_failure(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, program: str
) -> None:
    caplog.set_level("WARNING", logger="zoo.compile")  # commands of other tests have raised it
    monkeypatch.setattr(module, "_PROGRAM", program)
    compilation = Compilation.in_background([KernelCall(kernels.first, (numba.int64,))], threads=2)
    assert wait_for(compilation)(1) == 2
    assert len(caplog.records) == (program != "")


def test_process_ends_with_the_compilation_that_waits_for_it(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PROGRAM", "import time; time.sleep(600)")
    compilation = Compilation.in_background([KernelCall(kernels.first, (numba.int64,))], threads=2)
    process: Any = compilation._process
    assert compilation.function() is None
    assert process.is_running
    del compilation
    assert not process.is_running
