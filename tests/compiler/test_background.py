"""The compilation of a kernel in the background."""

from __future__ import annotations

import os
import threading
import time
from types import ModuleType
from typing import Any

import numba
import pytest

import zoo
from zoo.compiler import background, compiler_process
from zoo.compiler.background import PROCESS, Compilation
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.compiler_process import CompilerProcess, KernelCall
from zoo.kernels.address_calls import KernelRef
from zoo.kernels.cache_lock import HAS_LOCKS

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT) or not HAS_LOCKS, reason="nothing is compiled, or twice"
)

SLEEPING = "import time; time.sleep(600)"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[CompilerProcess]:
    """The processes that a test has started."""
    processes: list[CompilerProcess] = []
    start = CompilerProcess.start

    def record(*arguments: Any, **options: Any) -> CompilerProcess | None:
        process = start(*arguments, **options)
        processes.extend([process] if process is not None else [])
        return process

    monkeypatch.setattr(CompilerProcess, "start", record)
    return processes


def call_of(kernel: Any) -> KernelCall:
    return KernelCall(kernel, (numba.int64,))


def test_another_process_compiles(kernels: ModuleType) -> None:
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
    call = KernelCall(outer, (numba.int64, numba.int64))
    compilation = Compilation([call_of(kernels.third), call], threads=2)
    assert compilation.function() is None
    function = compilation.function(wait=True)
    assert function is not None
    assert function(1, code.address) == 3.0
    assert compilation.function() is function
    kernels.third(1)
    for kernel in (outer, kernels.third):
        assert sum(kernel.dispatcher.stats.cache_hits.values()) == 1
        assert not kernel.dispatcher.stats.cache_misses


def test_equal_kernels_share_a_process(kernels: ModuleType, started: list[CompilerProcess]) -> None:
    """Whatever the number of layers and threads; another kernel is compiled afterwards."""
    same = [Compilation([call_of(kernels.first)], threads=2) for _ in range(6)]
    other = Compilation([call_of(kernels.third)], threads=2)
    threads = [threading.Thread(target=each.function) for each in same]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.function() is None
    assert len(started) == 1
    assert [each.function(wait=True)(1) for each in same] == [2] * 6  # type: ignore[misc]
    deadline = time.monotonic() + 300
    while (function := other.function()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert function(1) == 5
    assert len(started) == 2


def test_process_finishes_without_the_compilation_that_started_it(kernels: ModuleType) -> None:
    Compilation([call_of(kernels.first)], threads=2).function()
    PROCESS.wait_for(call_of(kernels.first))
    assert call_of(kernels.first).is_compiled


@pytest.mark.parametrize(("remaining", "shards"), [(0, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("reason", ["one thread", "defined in a function", "no memory"])
def test_without_a_process_this_one_compiles_after_some_shards(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, reason: str, remaining: int, shards: int
) -> None:
    def raise_error(*_arguments: Any, **_options: Any) -> None:
        assert reason == "no memory"
        raise OSError("no memory")

    monkeypatch.setattr(compiler_process.subprocess, "Popen", raise_error)
    kernel = zoo.njit(lambda x: x + 1) if reason == "defined in a function" else kernels.first
    compilation = Compilation([call_of(kernel)], 1 if reason == "one thread" else 2, remaining)
    calls = remaining // shards
    assert [compilation.function(shards=shards) for _ in range(calls)] == [None] * calls
    function = compilation.function(shards=shards)
    assert function is not None
    assert function(1) == 2


def test_stored_kernel_is_loaded_at_once(kernels: ModuleType, started: list[CompilerProcess]) -> None:
    kernels.first(1)
    function = Compilation([call_of(kernels.first)], 2, 100).function()
    assert function is not None
    assert function(1) == 2
    assert not started


@pytest.mark.parametrize("program", ["sys.exit('it is broken')", "import os; os.abort()", ""])
def test_this_process_compiles_after_a_failure(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, program: str
) -> None:
    caplog.set_level("WARNING", logger="zoo.compile")  # commands of other tests have raised it
    monkeypatch.setattr(compiler_process, "_PROGRAM", program)
    call = call_of(kernels.first)
    compilation = Compilation([call], 2, 2)
    assert compilation.function() is None
    PROCESS.wait_for(call)
    assert [compilation.function() for _ in range(2)] == [None, None]
    function = compilation.function()
    assert function is not None
    assert function(1) == 2
    assert len(caplog.records) == (program != "")


def test_forked_child_does_not_wait_for_the_process_of_its_parent(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler_process, "_PROGRAM", SLEEPING)
    compilation = Compilation([call_of(kernels.first)], 2, 1)
    assert compilation.function() is None
    assert compilation.function() is None
    monkeypatch.setattr(background.os, "getpid", lambda: os.getppid())
    assert not PROCESS.is_busy
    assert compilation.function() is None
    assert compilation.function() is not None
    monkeypatch.undo()
