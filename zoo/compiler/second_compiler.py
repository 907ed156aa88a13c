"""A second process for a first start: it compiles kernels into the cache, while this one compiles others.

Numba compiles one function at a time, however many threads a process has. The kernels of a training step do
not depend on each other, but the types of the arrays between them are known only when a step has run. So a
step runs once as pure Python with one sequence of one time step, which takes 10 to 40 ms with 128 units. It
lists the kernels and the types of their arguments.

The second process compiles this list from the end. This process continues as if it were alone. At a kernel
that the second one compiles, it waits and loads the result (:mod:`zoo.kernels.cache_lock`).

Compiling a kernel compiles the kernels that it calls. The forward and the backward pass call many of the same
ones, and two processes that need them in the same order wait for each other. So within each entry of the
list, the second process begins with the kernels that no earlier entry calls: a first ``zoo train`` with
``delta_net`` took 12 s in place of 14 (AMD EPYC, Zen 3, two processors).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numba
from numba.core.errors import NumbaError

from zoo.compiler.background import PROCESS
from zoo.compiler.codegen.source_module import source_of
from zoo.compiler.compiler_process import (
    LOGGER,
    CompilerProcess,
    KernelCall,
    can_start_process,
    pickled_calls,
)
from zoo.kernels.jit import Kernel, is_pure_python, observe_calls, pure_python

_MAX_SECONDS = 1.0
_MAX_ELEMENTS = 1 << 20
"""Elements of the arguments of a kernel with loops of its own: in Python, a loop takes 0.35 us an element."""
_is_active: ContextVar[bool] = ContextVar("zoo_second_compiler", default=False)


@contextlib.contextmanager
def second_compiler(preview: Callable[[], object], threads: int) -> Iterator[None]:
    """Within the block, let a second process compile kernels that the block will call.

    It does nothing if the first kernel is stored already, without a second processor, without a directory of
    kernels, and under ``ZOO_COMPILE_PROCESSES=1``.

    Args:
        preview: Calls the kernels, in the same order and with arguments of the same types, but small ones.
        threads: Number of threads that this process may use.
    """
    calls = _second_calls(preview, threads)
    process = CompilerProcess.start(calls) if calls else None
    token = _is_active.set(True)
    try:
        yield
    finally:
        _is_active.reset(token)
        if process is not None:
            process.kill()
            process.wait()


class FirstPassCompiler:
    """Compile kernels in a second process before the first pass of a layer or a model."""

    def __init__(self) -> None:
        self._started: set[bool] = set()
        self._has_compiled = False  # whether an earlier pass had kernels to compile

    def start(self, preview: Callable[[], object], threads: int, has_backward: bool = True) -> None:
        """On the first call, start the process, which ends when all kernels are stored.

        The first call with a backward pass, and the first call without, count apart. It does nothing under
        the conditions of :func:`second_compiler`, within its block, within :func:`zoo.kernels.pure_python`,
        or while another process compiles.

        Args:
            preview: As for :func:`second_compiler`.
            threads: As for :func:`second_compiler`.
            has_backward: Whether the preview calls the kernels of the backward pass, too.
        """
        if has_backward in self._started or is_pure_python():
            return
        self._started.add(has_backward)
        if _is_active.get() or PROCESS.is_busy:
            return
        calls = _second_calls(preview, threads, skip_stored=has_backward and self._has_compiled)
        self._has_compiled = bool(calls)
        if calls:
            PROCESS.start(calls)


def _second_calls(preview: Callable[[], object], threads: int, skip_stored: bool = False) -> list[KernelCall]:
    """The calls that the second process compiles, in its order; none if there is nothing to share."""
    kernels = list_kernels(preview, skip_stored) if can_start_process(threads) else {}
    if len(pickled_calls(kernels)) < 2:
        return []
    # Reversed, the list has kernels before their callers.
    return [call for kernel, nested in kernels.items() for call in (kernel, *nested)][::-1]


class PreviewEnd(Exception):
    """The normal end of a preview: no more kernels are listed."""


def list_kernels(
    preview: Callable[[], object], skip_stored: bool = False
) -> dict[KernelCall, list[KernelCall]]:
    """The kernels that a function calls, in order; none if the first of them is compiled or stored.

    An error of the function ends the list. The kernels themselves raise it again. The list also ends after a
    second, and at a kernel with loops of its own that gets large arrays: an element takes long in Python.

    Args:
        preview: As for :func:`second_compiler`.
        skip_stored: Leave out kernels that are compiled or stored. Without it, the list ends after 1 ms if
            the first kernel is stored. With it, a preview of stored kernels takes 10 to 40 ms.

    Returns:
        For each kernel those that it calls first, directly or not, each with the types of its first call.
    """
    kernels: dict[KernelCall, list[KernelCall]] = {}
    nested: list[KernelCall] = []
    seen: set[Kernel[Any, Any]] = set()
    typeof: Any = numba.typeof  # Numba's own functions are untyped
    end = time.perf_counter() + _MAX_SECONDS

    def note(kernel: Kernel[Any, Any], arguments: tuple[Any, ...]) -> None:
        nonlocal nested
        call = KernelCall(kernel, tuple(map(typeof, arguments)))
        if skip_stored and not call.is_missing:
            nested = []  # stored with the kernel
            return
        if not kernels and not call.is_missing:
            raise PreviewEnd
        nested = kernels.setdefault(call, [])
        if source_of(kernel.__module__) is None and _count_elements(arguments) > _MAX_ELEMENTS:
            raise PreviewEnd

    def note_nested(kernel: Kernel[Any, Any], arguments: tuple[Any, ...]) -> None:
        if time.perf_counter() > end:
            raise PreviewEnd
        if kernel in seen:
            return
        seen.add(kernel)
        is_complete = len(arguments) == kernel.py_func.__code__.co_argcount  # no defaults, no keywords
        if is_complete:
            with contextlib.suppress(ValueError, NumbaError):  # an argument without a Numba type
                nested.append(KernelCall(kernel, tuple(map(typeof, arguments)), is_nested=True))

    try:
        with pure_python(), observe_calls(note, note_nested):
            preview()
    except PreviewEnd:
        pass
    except Exception:
        LOGGER.debug("the list of kernels ends at an error of the preview", exc_info=True)
    return kernels


def _count_elements(values: Any) -> int:
    """Elements of all arrays in nested tuples."""
    if isinstance(values, tuple):
        return sum(map(_count_elements, values))
    return int(getattr(values, "size", 0))
