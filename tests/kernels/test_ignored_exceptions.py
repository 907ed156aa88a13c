"""Signals that arrive in LLVM: the exceptions of their handlers are raised, and kernels work afterwards."""

from __future__ import annotations

import importlib
import itertools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.registry import cpu_target

from zoo.kernels.cache_dir import cached_files, kernel_directory
from zoo.kernels.ignored_exceptions import _CALLBACKS, raise_ignored_exceptions

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

NUMBERS = itertools.count()
SOURCE = """
import zoo

@zoo.njit(shared={shared})
def inner(x):
    return x + {number}

@zoo.njit
def outer(x):
    return 2.0 * inner(x)
"""


class AlarmError(Exception):
    """The exception of a handler."""


def raise_alarm(_number: int, _frame: Any) -> None:
    raise AlarmError


@pytest.fixture
def alarm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, raise_alarm)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def signal_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], None]:
    """Send a signal in the n-th call of a callback of LLVM, ``notify`` or ``getbuffer``."""

    def install(callback: str, number: int, nth: int) -> None:
        engine = cpu_target.target_context.codegen()._engine._ee
        name, calls = f"_object_cache_{callback}", itertools.count()
        original = getattr(engine, name)

        def call(*arguments: Any) -> Any:
            if next(calls) == nth:
                signal.raise_signal(number)
            return original(*arguments)

        monkeypatch.setattr(engine, name, call)

    return install


def make_kernel(shared: bool, number: int) -> Any:
    """A new kernel; with the same number, it is loaded from the disk."""
    name = f"kernels_{number}"
    Path(f"{name}.py").write_text(SOURCE.format(shared=shared, number=number), encoding="utf-8")
    importlib.invalidate_caches()
    sys.modules.pop(name, None)
    return importlib.import_module(name).outer


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new directory for kernels, and for modules that hold some."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    kernel_directory.cache_clear()
    yield
    kernel_directory.cache_clear()


@pytest.mark.usefixtures("alarm", "own_cache")
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("nth", [0, 1])
@pytest.mark.parametrize("callback", ["notify", "getbuffer"])
@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, AlarmError)]
)
def test_signal_in_a_callback_is_raised(
    number: int,
    error: type[BaseException],
    callback: str,
    nth: int,
    shared: bool,
    signal_in: Any,
) -> None:
    shift = next(NUMBERS) + 1_000
    outer = make_kernel(shared, shift)
    hook = sys.unraisablehook
    signal_in(callback, number, nth)
    if nth == 0 or shared:  # an inlined kernel has no machine code of its own
        with pytest.raises(error):
            outer(1.0)
    assert sys.unraisablehook is hook
    assert outer(1.0) == 2.0 * (1.0 + shift)


@pytest.mark.usefixtures("alarm", "own_cache")
@pytest.mark.parametrize("callback", ["notify", "getbuffer"])
def test_signal_in_a_callback_of_a_stored_kernel_is_raised(callback: str, signal_in: Any) -> None:
    shift = next(NUMBERS) + 1_000
    assert make_kernel(False, shift)(1.0) == 2.0 * (1.0 + shift)
    files = cached_files()
    assert files
    outer = make_kernel(False, shift)
    signal_in(callback, signal.SIGTERM, 0)
    if callback == "getbuffer":  # LLVM notifies only of code that it has compiled
        with pytest.raises(AlarmError):
            outer(1.0)
    assert outer(1.0) == 2.0 * (1.0 + shift)
    assert cached_files() == files


def lose(error: type[BaseException]) -> None:
    """Raise an exception in a destructor, where Python ignores it."""

    class Object:
        def __del__(self) -> None:
            raise error

    Object()


@pytest.mark.parametrize("fails", [False, True])
def test_only_exceptions_of_signals_are_raised(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: ignored.append(unraisable.exc_type))

    def block() -> None:
        with raise_ignored_exceptions():
            lose(ValueError)
            lose(KeyboardInterrupt)
            if fails:
                raise RuntimeError("no compiled object yet")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert ignored == [ValueError]
    thread = threading.Thread(target=block)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    thread.start()
    thread.join()
    assert ignored == [ValueError, ValueError, KeyboardInterrupt]


def test_callbacks_are_those_of_llvmlite() -> None:
    names = {"_raw_object_cache_notify", "_raw_object_cache_getbuffer"}
    assert {callback.__name__ for callback in _CALLBACKS} == names
