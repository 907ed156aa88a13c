"""Compile kernels in the background: another process compiles, while this one works without them.

One process compiles at a time, whatever the number of layers, models and threads that wait for kernels. It
finishes also if this one ends before: short runs would otherwise never store a kernel. It uses a processor
and 140 MB.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from zoo.compiler.compiler_process import (
    LOGGER,
    CompilerProcess,
    KernelCall,
    can_start_process,
    pickled_calls,
)


class Compilation:
    """The compilation of a kernel.

    Args:
        calls: The kernel, with the types of its arguments, after others that are called along with it.
        threads: Number of threads that this process may use; another process compiles if there are several.
        shards_before_compiling: Shards that this process runs in Python before it compiles the kernel, if it
            is not stored and no other process compiles it.
    """

    def __init__(
        self, calls: Sequence[KernelCall], threads: int = 1, shards_before_compiling: int = 0
    ) -> None:
        self._calls, self._threads, self._remaining_shards = calls, threads, shards_before_compiling
        self._function: Callable[..., Any] | None = None
        self._has_process = self._has_looked = False

    def function(self, *, wait: bool = False, shards: int = 1) -> Callable[..., Any] | None:
        """The compiled kernel, which does not check types; None if it is not compiled yet.

        Args:
            wait: Compile the kernel now, or wait for the process that compiles it.
            shards: Shards that the caller runs in Python if the kernel is not compiled yet.
        """
        if self._function is None and (wait or self._is_ready(shards)):
            if wait and self._has_process:
                PROCESS.wait_for(self._calls[-1])
            self._function = self._calls[-1].compile()
        return self._function

    def _is_ready(self, shards: int) -> bool:
        """Whether the kernel is stored, or this process has to compile it now."""
        call = self._calls[-1]
        if self._has_process:
            if PROCESS.compiles(call):
                return False
            self._has_process, self._has_looked = False, True
            if call.is_compiled:
                return True
            LOGGER.info("another process has not stored %r", call.kernel)
        elif not self._has_looked:
            if call.is_compiled:
                return True
            if can_start_process(self._threads) and pickled_calls([call]):
                self._has_process = PROCESS.start(self._calls)
                if self._has_process or PROCESS.is_busy:
                    return False
            self._has_looked = True
        self._remaining_shards -= shards
        return self._remaining_shards < 0


class _BackgroundProcess:
    """The process that compiles for this one, if there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: CompilerProcess | None = None
        self._calls: Sequence[KernelCall] = ()
        self._owner = 0  # the process that started it: a forked child is another one
        self._waiting: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the process runs."""
        is_own = self._owner == os.getpid()
        return is_own and self._process is not None and self._process.is_running

    def compiles(self, call: KernelCall) -> bool:
        """Whether the process compiles this kernel."""
        return call in self._calls and self.is_busy

    def start(self, calls: Sequence[KernelCall]) -> bool:
        """Start it for these kernels; return whether a process compiles the last of them."""
        with self._lock:
            if self.is_busy:
                return calls[-1] in self._calls
            self._process = CompilerProcess.start(calls, outlives_parent=True)
            if self._process is None:
                return False
            self._calls, self._owner = calls, os.getpid()
            # A process that has ended stays in the system until its parent waits for it.
            self._waiting = threading.Thread(target=self._process.wait, name="zoo-compile", daemon=True)
            self._waiting.start()
            return True

    def wait_for(self, call: KernelCall) -> None:
        """Wait for the process, if it compiles this kernel."""
        if self._waiting is not None and self.compiles(call):
            self._waiting.join()

    def stop(self) -> None:
        """End the process."""
        if self._process is not None and self._waiting is not None and self.is_busy:
            self._process.kill()
            self._waiting.join()


PROCESS = _BackgroundProcess()
