"""A process that compiles kernels and stores them in the cache.

:mod:`zoo.compiler.second_compiler` lists the kernels of a first step for it. :mod:`zoo.compiler.background`
lets it compile whole passes and training steps, and continue when this process ends.

Numba compiles one function at a time, however many threads a process has. The other process is a new one, not
a fork: forks copy locks that other threads hold, and NumPy's BLAS has threads. If it fails, this process
compiles the missing kernels. The machine code is the same in both cases.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from numba.core.errors import NumbaError

from zoo.call_stack import with_large_stack
from zoo.compiler.codegen.source_module import load_generated, source_of
from zoo.kernels.cache import KernelCache
from zoo.kernels.cache_dir import kernel_directory
from zoo.kernels.cache_lock import HAS_LOCKS
from zoo.kernels.jit import Kernel, signal_exception
from zoo.processes import (
    available_processors,
    describe_exit,
    has_python_command,
    python_command,
    python_environment,
)
from zoo.run_module import FILE_MODULE

LOGGER = logging.getLogger("zoo.compile")

_PROGRAM = "from zoo.compiler.compiler_process import main; main()"


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

    @property
    def is_compiled(self) -> bool:
        """Whether it is compiled in this process, or stored."""
        return self.types in self.dispatcher.overloads or self._is_stored()

    @property
    def is_missing(self) -> bool:
        """Whether another process can compile it for this one: it can be stored, and is not."""
        can_be_stored = isinstance(getattr(self.dispatcher, "_cache", None), KernelCache)
        return can_be_stored and not self.is_compiled

    def _is_stored(self) -> bool:
        cache = getattr(self.dispatcher, "_cache", None)
        return isinstance(cache, KernelCache) and cache.path(self.types, self.dispatcher.targetctx).exists()

    def compile(self) -> Callable[..., Any]:
        """Compile or load it; the result does not check types."""
        self.dispatcher.compile(self.types)
        overload = self.dispatcher.get_overload(self.types)

        def function(*arguments: Any) -> Any:
            try:
                return overload(*arguments)
            except SystemError as error:
                raise signal_exception(error) from None

        return function


def can_start_process(threads: int) -> bool:
    """Whether another process may compile kernels, which needs a second processor and a directory of kernels.

    Not under ``ZOO_COMPILE_PROCESSES=1``, and not in a frozen or embedded application, whose executable is
    not Python.

    Args:
        threads: Number of threads that this process may use.
    """
    allowed = os.environ.get("ZOO_COMPILE_PROCESSES") != "1" and HAS_LOCKS and has_python_command()
    return allowed and min(threads, available_processors()) > 1 and kernel_directory() is not None


class CompilerProcess:
    """A process that compiles kernels.

    Args:
        request: Pickled modules and calls, and whether the process ends with this one, for :func:`main`.
    """

    def __init__(self, request: bytes) -> None:
        self._is_killed = False
        with contextlib.ExitStack() as opened:
            self._errors = opened.enter_context(tempfile.TemporaryFile())
            file = opened.enter_context(tempfile.TemporaryFile())
            file.write(request)  # a pipe holds 64 kB: to write more is to wait for the reader
            file.seek(0)
            self._process = subprocess.Popen(
                python_command(_PROGRAM, str(file.fileno())),
                env=python_environment(),
                pass_fds=[file.fileno()],
                stdin=subprocess.PIPE,  # closed by the system if this process is killed
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C ends this process, which decides about the other one
            )
            file.close()
            opened.pop_all()  # `wait` closes the other one

    @classmethod
    def start(cls, calls: Sequence[KernelCall], *, outlives_parent: bool = False) -> CompilerProcess | None:
        """Start it for these kernels; None if no process can be started.

        Args:
            calls: The kernels.
            outlives_parent: Whether it compiles all of them also if this process ends.
        """
        try:
            return cls(pickle.dumps((_generated_modules(calls), pickled_calls(calls), outlives_parent)))
        except (OSError, TypeError) as error:  # too many processes, no memory, or a Python without a program
            LOGGER.info("no second process can be started (%s); this one compiles all kernels", error)
            return None

    @property
    def is_running(self) -> bool:
        """Whether it still compiles."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process, if it still runs: this one needs no further kernel."""
        if self.is_running:
            self._is_killed = True
            self._process.kill()

    def wait(self) -> None:
        """Wait for the end of the process, and log its error if it has failed. Call it once."""
        with self._process, self._errors:  # closes stdin at the end
            code = self._process.wait()
            if code and not self._is_killed:
                self._errors.seek(0)
                lines = self._errors.read().decode(errors="replace").split("\n")
                text = next((f": {line}" for line in reversed(lines) if line), "")
                LOGGER.warning("a process that compiles kernels failed (%s)%s", describe_exit(code), text)


def pickled_calls(calls: Iterable[KernelCall]) -> list[bytes]:
    """Pickle kernels, by module and name, and types; not those that are compiled or cannot be imported."""
    tasks = []
    for call in calls:
        if call.is_missing and _can_be_imported(call.kernel.__module__):
            with contextlib.suppress(
                pickle.PicklingError, AttributeError, TypeError
            ):  # defined in a function
                tasks.append(pickle.dumps(call))
    return tasks


def _can_be_imported(module: str | None) -> bool:
    """Whether another process can import a module, or load it with all functions that it uses.

    A function from ``exec`` with a namespace without a name has the module None.
    """
    if module is None:
        return False
    source = source_of(module)
    used = [] if source is None else [getattr(each, "__module__", "") for each in source.functions.values()]
    return module != "__main__" and not module.startswith(FILE_MODULE) and all(map(_can_be_imported, used))


def _generated_modules(calls: Iterable[KernelCall]) -> list[tuple[str, str, bytes]]:
    """Name, text and functions of the generated modules of kernels; a module follows those that it uses."""
    modules: dict[str, tuple[str, str, bytes]] = {}

    def add(name: str) -> None:
        source = source_of(name)
        if source is None or name in modules:
            return
        for function in source.functions.values():
            add(getattr(function, "__module__", ""))
        with contextlib.suppress(pickle.PicklingError, AttributeError, TypeError):
            modules[name] = (name, source.text, pickle.dumps(dict(source.functions)))

    for call in calls:
        add(call.kernel.__module__)
    return list(modules.values())


@with_large_stack
def main() -> None:
    """The other process: compile the kernels listed in an open file."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        modules, tasks, outlives_parent = pickle.load(file)  # its parent wrote it
    if not outlives_parent:
        threading.Thread(target=_exit_at_end, daemon=True).start()
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
