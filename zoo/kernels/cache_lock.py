"""Locks that keep two processes from compiling the same kernel at the same time.

The lock of a kernel is a byte of one empty file next to the directory of kernels. The system releases it
when its process ends, in whatever way, and nothing has to be removed. A process that waits for a kernel
then loads it.

Processes cannot wait for each other in a circle: one that holds a kernel waits only for kernels that it
calls. A lock only saves work. Without locks, as on Windows and on some network file systems, both processes
compile.
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_POLL_SECONDS = 0.003
MAX_SECONDS = 120.0
"""A process that waits longer compiles the kernel itself: the other one may have been stopped."""


def lock_kernel(path: Path) -> None:
    """Lock the kernel of a file, if no other process compiles it, or once that process has stored it.

    Only one thread of a process may lock kernels: the one that holds Numba's lock.
    """
    handle = _lock_file(path.parent) if HAS_LOCKS else None
    deadline = time.monotonic() + MAX_SECONDS
    while handle is not None and time.monotonic() < deadline:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(path))
        except (BlockingIOError, PermissionError):  # noqa: PERF203 - another process has it
            time.sleep(_POLL_SECONDS)
        except OSError:  # this file system has no locks
            return
        else:
            return


def unlock_kernel(path: Path) -> None:
    """Release the lock of a kernel, if this process holds it."""
    handle = _lock_file(path.parent) if HAS_LOCKS else None
    if handle is not None:
        try:
            fcntl.lockf(handle, fcntl.LOCK_UN, 1, _offset(path))
        except OSError:  # this file system has no locks
            return


@functools.cache
def _lock_file(directory: Path) -> int | None:
    """The open file, which stays open: closing it would release all locks of this process."""
    try:
        return os.open(directory.with_name(f"{directory.name}.lock"), _FLAGS, 0o600)
    except OSError:  # the disk is full
        return None


def _offset(path: Path) -> int:
    """The byte of a kernel. Two kernels with one byte, if there ever are, wait for each other."""
    return int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:6], "big")
