"""Crash points: the moments of a run at which a kill leaves a different state on disk, numbered from 1.

Candidates lie before each call that opens a file for writing, renames, removes, makes a directory or flushes,
and half-way through each write of a file and of a line of the log. A candidate counts if the files differ
from those at the previous candidate. For example, SIGKILL loses no data that was passed to the system, so the
states before and after a flush are the same.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any

from zoo.storage import atomic, log

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Events of Python's audit hooks; their first argument is a path.
_CALLS = ("os.remove", "os.rename", "os.mkdir", "os.rmdir")


class CrashPoints:
    """Counts the crash points of this process, and kills it at one. Audit hooks stay, so use a fork.

    Args:
        folder: Calls on paths in this directory are candidates.
        fatal: Number of the point at which the process is killed; 0 for none.
    """

    def __init__(self, folder: Path, fatal: int = 0) -> None:
        self.folder, self.fatal, self.count = folder, fatal, 0
        self._state: object = None

    def install(self) -> None:
        """Start counting."""
        sys.addaudithook(self._audit)
        write, append, fsync = atomic._write_durably, log._append_whole, os.fsync

        def torn_write(path: Path, chunks: Iterable[bytes]) -> None:
            data = b"".join(chunks)
            path.write_bytes(data[: len(data) // 2])
            self.reach()
            path.unlink()
            write(path, (data,))

        def torn_append(file: FileIO, line: bytes) -> None:
            start = file.seek(0, 2)
            file.write(line[: len(line) // 2])
            self.reach()
            file.truncate(start)
            append(file, line)

        def counted_fsync(descriptor: int) -> None:
            self.reach()
            fsync(descriptor)

        atomic._write_durably, log._append_whole, os.fsync = torn_write, torn_append, counted_fsync

    def reach(self) -> None:
        """Count a candidate, or kill the process."""
        state = self._files()
        if state == self._state:
            return
        self._state = state
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def _files(self) -> list[tuple[str, int, int]]:
        """Names, sizes and times of all files in the directory."""
        files = [(str(path), path.stat()) for path in [self.folder, *self.folder.rglob("*")] if path.exists()]
        return [(name, status.st_size, status.st_mtime_ns) for name, status in sorted(files)]

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        is_change = event in _CALLS or (event == "open" and bool((arguments[2] or 0) & _WRITING))
        if is_change and str(arguments[0]).startswith(str(self.folder)):
            self.reach()
