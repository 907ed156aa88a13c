"""A second process that compiles kernels into the cache, while this one compiles others.

Numba compiles one function at a time, however many threads a process has. The kernels of a training step do
not depend on each other, but the types of the arrays between them are known only when a step has run. So a
step runs once as pure Python with one sequence of one time step, which takes 10 to 40 ms with 128 units. It
lists the kernels and the types of their arguments.

The second process compiles this list from the end. This process continues as if it were alone. At a kernel
that the second one compiles, it waits and loads the result (:mod:`zoo.kernels.cache_lock`). Whatever happens
to the second process, this one compiles what is missing. The code is the same in both cases.

Compiling a kernel compiles the kernels that it calls. The forward and the backward pass call many of the same
ones, and two processes that need them in the same order wait for each other. So within each entry of the
list, the second process begins with the kernels that no earlier entry calls: a first ``zoo train`` with
``delta_net`` took 12 s in place of 14 (AMD EPYC, Zen 3, two processors).

The process is a new one, not a fork: forks copy locks that other threads hold, and NumPy's BLAS has threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.errors import NumbaError

from zoo.compiler.codegen.source_module import load_generated, source_of
from zoo.kernels.cache import KernelCache
from zoo.kernels.cache_dir import kernel_directory
from zoo.kernels.cache_lock import HAS_LOCKS
from zoo.kernels.jit import Kernel, observe_calls, pure_python
from zoo.processes import available_processors, python_command, python_environment
from zoo.run_module import FILE_MODULE

LOGGER = logging.getLogger("zoo.compile")

_MAX_SECONDS = 1.0
_PROGRAM = "from zoo.compiler.second_compiler import main; main()"


class KernelCall(NamedTuple):
    """A kernel with the types of a call.

    Args:
        kernel: The kernel.
        types: The Numba types of its arguments.
        is_nested: Whether another kernel calls it.
    """

    kernel: Kernel[Any, Any]
    types: tuple[Any, ...]
    is_nested: bool = False

    @property
    def dispatcher(self) -> Any:
        """The Numba dispatcher that compiles it."""
        return self.kernel.inlined if self.is_nested else self.kernel.dispatcher


@contextlib.contextmanager
def second_compiler(preview: Callable[[], object], threads: int) -> Iterator[None]:
    """Within the block, let a second process compile kernels that the block will call.

    It does nothing if the first kernel is stored already, without a second processor, without a directory of
    kernels, and under ``ZOO_COMPILE_PROCESSES=1``.

    Args:
        preview: Calls the kernels, in the same order and with arguments of the same types, but small ones.
        threads: Number of threads that this process may use.
    """
    process = _SecondCompiler.start(list_kernels(preview)) if _is_possible(threads) else None
    try:
        yield
    finally:
        if process is not None:
            process.stop()


def _is_possible(threads: int) -> bool:
    allowed = os.environ.get("ZOO_COMPILE_PROCESSES") != "1" and HAS_LOCKS
    return allowed and min(threads, available_processors()) > 1 and kernel_directory() is not None


class PreviewEnd(Exception):
    """The normal end of a preview: no more kernels are listed."""


def list_kernels(preview: Callable[[], object]) -> dict[KernelCall, list[KernelCall]]:
    """The kernels that a function calls, in order; none if the first of them is compiled or stored.

    An error of the function ends the list. The kernels themselves raise it again. After a second the list
    ends too: elements of large matrices take long in Python.

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
        if not kernels and _is_compiled(call):
            raise PreviewEnd
        nested = kernels.setdefault(call, [])

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

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the kernels cause them again
        try:
            with pure_python(), observe_calls(note, note_nested):
                preview()
        except PreviewEnd:
            pass
        except Exception:
            LOGGER.debug("the list of kernels ends at an error of the preview", exc_info=True)
    return kernels


def _is_compiled(call: KernelCall) -> bool:
    """Whether a kernel is compiled or stored; True for one that cannot be stored."""
    dispatcher = call.dispatcher
    cache = getattr(dispatcher, "_cache", None)
    if not isinstance(cache, KernelCache) or call.types in dispatcher.overloads:
        return True
    return cache.path(call.types, dispatcher.targetctx).exists()


class _SecondCompiler:
    """The second process."""

    def __init__(self, request: bytes) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        with tempfile.TemporaryFile() as file:  # a pipe holds 64 kB: to write more is to wait for the reader
            file.write(request)
            file.seek(0)
            self._process = subprocess.Popen(
                python_command(_PROGRAM, str(file.fileno())),
                env=python_environment(),
                pass_fds=[file.fileno()],
                stdin=subprocess.PIPE,  # closed by the system if this process is killed
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )

    @classmethod
    def start(cls, kernels: dict[KernelCall, list[KernelCall]]) -> _SecondCompiler | None:
        """Start it; None if there is nothing to share, or no process can be started."""
        if len(_pickled(kernels)) < 2:
            return None
        # Reversed, the list has kernels before their callers.
        calls = [call for kernel, nested in kernels.items() for call in (kernel, *nested)][::-1]
        try:
            return cls(pickle.dumps((_generated_modules(kernels), _pickled(calls))))
        except (OSError, TypeError) as error:  # too many processes, no memory, or a Python without a program
            LOGGER.info("no second process can be started (%s); this one compiles all kernels", error)
            return None

    def stop(self) -> None:
        """End the process, and log its error if it has failed."""
        code = self._process.poll()
        self._process.kill()  # this one needs no further kernel
        with self._process, self._errors:  # closes stdin, and waits
            if code not in (None, 0):
                self._errors.seek(0)
                lines = self._errors.read().decode(errors="replace").split("\n")
                text = next(filter(None, reversed(lines)), "")
                LOGGER.warning("a second process that compiles kernels failed (exit code %s): %s", code, text)


def _pickled(calls: Iterable[KernelCall]) -> list[bytes]:
    """Pickle kernels, by module and name, and types; not those that are compiled or cannot be imported."""
    tasks = []
    for call in calls:
        module = call.kernel.__module__
        if module == "__main__" or module.startswith(FILE_MODULE) or _is_compiled(call):
            continue
        with contextlib.suppress(pickle.PicklingError, AttributeError, TypeError):  # defined in a function
            tasks.append(pickle.dumps(call))
    return tasks


def _generated_modules(kernels: Iterable[KernelCall]) -> list[tuple[str, str, bytes]]:
    """Name, text and functions of the generated modules of kernels."""
    modules = []
    for name in dict.fromkeys(call.kernel.__module__ for call in kernels):
        source = source_of(name)
        if source is not None:
            with contextlib.suppress(pickle.PicklingError, AttributeError, TypeError):
                modules.append((name, source.text, pickle.dumps(dict(source.functions))))
    return modules


def main() -> None:
    """The second process: compile the kernels listed in an open file, until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too; its parent decides when to end
    threading.Thread(target=_exit_at_end, daemon=True).start()
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        modules, tasks = pickle.load(file)  # its parent wrote it
    for name, text, functions in modules:
        with contextlib.suppress(ImportError, AttributeError):  # its parent compiles these kernels
            load_generated(name, text, pickle.loads(functions))
    for task in tasks:
        try:
            call: KernelCall = pickle.loads(task)
        except (ImportError, AttributeError):
            continue
        with contextlib.suppress(NumbaError):  # its parent raises it
            call.dispatcher.compile(call.types)


def _exit_at_end() -> None:
    """End this process when its parent has ended or closed stdin."""
    os.read(0, 1)  # without the lock of `sys.stdin`, which an interpreter that ends waits for
    os._exit(0)
