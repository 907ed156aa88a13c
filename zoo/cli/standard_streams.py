"""Repair of closed or full standard streams, so that every command ends with a message and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def repair_standard_streams() -> None:
    """Make the three standard streams usable, whatever the process was started with.

    A closed one becomes the null device. Without that, the first file that is opened would get its
    descriptor, and everything that is printed would be written into that file.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one
        if getattr(sys, name) is None:
            file = io.FileIO(descriptor, "w" if descriptor else "r", closefd=False)
            buffer = io.BufferedWriter(file) if descriptor else io.BufferedReader(file)
            setattr(sys, name, io.TextIOWrapper(buffer, "utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where × cannot be shown, ? is better than a traceback
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _IgnoreWriteErrors(sys.stderr)


def discard_unwritten_output() -> None:
    """Drop what standard output cannot take, so that the interpreter does not try again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):  # a stream without a descriptor
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)


class _IgnoreWriteErrors(io.TextIOWrapper):
    """Standard error that ignores write errors; the exit code reports the failure.

    Args:
        stream: The stream whose descriptor, encoding and error handler it takes over.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        buffer = io.BufferedWriter(io.FileIO(stream.fileno(), "w", closefd=False))
        super().__init__(buffer, stream.encoding, stream.errors, line_buffering=True)

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError):
            super().flush()
