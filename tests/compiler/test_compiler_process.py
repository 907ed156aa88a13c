"""A process that compiles kernels."""

from __future__ import annotations

import os
import pickle
import sys
import types
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest

import zoo
from zoo.compiler import compiler_process as module
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.compiler_process import CompilerProcess, KernelCall, can_start_process, pickled_calls
from zoo.kernels.address_calls import KernelRef
from zoo.kernels.cache_lock import HAS_LOCKS
from zoo.run_module import FILE_MODULE

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT) or not HAS_LOCKS, reason="nothing is compiled, or twice"
)


def test_process_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_import.py").write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    task = b"cslow_import\nkernel\n."  # the pickle of `slow_import.kernel`
    compiler = CompilerProcess(pickle.dumps(([], [task], False)))
    assert compiler._process.stdin is not None
    compiler._process.stdin.close()  # as the system does when the parent ends
    assert compiler._process.wait(60) == 0
    compiler.wait()


def test_unexpected_error_of_a_process_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="zoo.compile")  # commands of other tests have raised it
    (tmp_path / "broken_import.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    tasks = [b"cmissing_module\nkernel\n.", b"cbroken_import\nkernel\n."]
    compiler = CompilerProcess(pickle.dumps(([], tasks, False)))
    assert compiler._process.wait(60) == 1
    compiler.wait()
    (record,) = caplog.records
    assert record.getMessage().endswith("failed (exit code 1): ZeroDivisionError: division by zero")


def test_process_that_does_not_read_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROGRAM", "import time; time.sleep(600)")
    compiler = CompilerProcess(bytes(10**6))
    compiler.kill()
    compiler.wait()


def test_process_may_outlive_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_import.py").write_text(
        "import pathlib, time\ntime.sleep(1)\npathlib.Path(__file__).with_name('done').touch()\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    compiler = CompilerProcess(pickle.dumps(([], [b"cslow_import\nkernel\n."], True)))
    assert compiler._process.stdin is not None
    compiler._process.stdin.close()
    compiler.wait()
    assert (tmp_path / "done").exists()


def test_interrupt_of_the_terminal_does_not_reach_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROGRAM", "import time; time.sleep(600)")
    compiler = CompilerProcess(b"")
    assert os.getpgid(compiler._process.pid) != os.getpgid(0)
    compiler.kill()
    compiler.wait()


def test_crash_without_a_text_is_described(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="zoo.compile")  # commands of other tests have raised it
    monkeypatch.setattr(module, "_PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    CompilerProcess(b"").wait()
    (record,) = caplog.records
    assert record.getMessage() == "a process that compiles kernels failed (signal 9 (Killed))"


@pytest.mark.parametrize(("name", "value"), [("frozen", True), ("executable", ""), ("executable", None)])
def test_applications_that_are_no_python_start_no_process(
    kernel_cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    assert can_start_process(2)
    monkeypatch.setattr(sys, name, value, raising=False)
    assert not can_start_process(2)


@pytest.mark.parametrize("name", ["__main__", "zoo_file_abc", None])
def test_kernels_of_scripts_are_not_pickled(kernels: ModuleType, name: str | None) -> None:
    """Another process cannot import them, nor kernels of generated modules that call them.

    A function from ``exec`` in a namespace without a name has the module None.
    """
    function: Any = zoo.njit(types.FunctionType(kernels.first.py_func.__code__, {"zoo": zoo}, "first"))
    function.__module__ = FILE_MODULE + "abc" if name == "zoo_file_abc" else name
    outer = load_source(
        "outer", "import zoo\n@zoo.njit\ndef outer(x):\n    return inner(x)\n", {"inner": KernelRef(function)}
    )
    assert pickled_calls([KernelCall(kernels.first, (numba.int64,))])
    assert not pickled_calls([KernelCall(outer.outer, (numba.int64,))])


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_exception_of_a_signal_handler_leaves_compiled_code(error: type[BaseException]) -> None:
    """A handler runs between two lines of Python, here in the function with which Numba makes an array."""

    @zoo.njit
    def double(x):
        return 2 * x, 2 * x, 2 * x

    def interrupt(frame: types.FrameType, _event: str, _argument: Any) -> None:
        if frame.f_code.co_name == "_numba_unpickle":
            raise error

    x = np.ones(3)
    compiled = KernelCall(double, (numba.typeof(x),)).compile()  # type: ignore[no-untyped-call]
    for function in (double, compiled):
        np.testing.assert_array_equal(function(x), [2 * x] * 3)
        with pytest.raises(error):
            call_traced(function, x, interrupt)


def call_traced(function: Any, x: Any, trace: Any) -> None:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(x)
    finally:
        sys.settrace(before)


def test_system_error_without_a_cause_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_x: Any) -> None:
        raise SystemError("of its own")

    kernel = zoo.njit(lambda x: x)
    monkeypatch.setattr(kernel, "_dispatcher", fail)
    with pytest.raises(SystemError, match="of its own"):
        kernel(1)
