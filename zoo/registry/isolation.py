"""Isolation of foreign code at import.

Exceptions and output do not stop the command, and messages name the code.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from zoo.errors import ZooWarning
from zoo.registry.loader import ImportResult

SLOW = 5.0
"""Seconds after which code that is still being imported is named on standard error."""

_MAX_SHOWN = 200  # characters of what was printed that the warning repeats


@contextmanager
def isolated(name: str, remedy: str = "") -> Iterator[ImportResult]:
    """Run foreign code in the block, and store its exception instead of raising it.

    Output, from Python or from C, becomes a warning, since standard output is for results. After five
    seconds a line on standard error names it. The caller holds the lock of the loader, since standard output
    belongs to the process.

    Args:
        name: Names the code in messages.
        remedy: How to leave it out, for the line after five seconds.

    Yields:
        The result, complete after the block.

    Raises:
        BaseException: what the handler of a signal raised, such as KeyboardInterrupt after Ctrl-C. An
            exception of that type that the code raises by itself is stored like any other.
    """
    result, interruptions = ImportResult(), list[BaseException]()
    with _named_when_slow(name, remedy), _recorded_interruptions(interruptions):
        with _captured_output() as printed:
            try:
                yield result
            except BaseException as error:
                result.error = error
        try:
            _warn_about_output(name, printed)
        except ZooWarning as error:  # where warnings are errors, printing is one
            result.error = result.error or error
    if interruptions:
        raise interruptions[0]


@contextmanager
def _named_when_slow(name: str, remedy: str) -> Iterator[None]:
    def report() -> None:
        if sys.stderr is not None:
            sys.stderr.write(f"still loading {name} after {SLOW:g} s{remedy}\n")
            sys.stderr.flush()

    timer = threading.Timer(SLOW, report)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _recorded_interruptions(interruptions: list[BaseException]) -> Iterator[None]:
    """Store what handlers of signals raise: it comes from the user, even where the code catches it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread alone
        return

    def recording(handler: Callable[..., Any]) -> Callable[..., Any]:
        def handle(*arguments: Any) -> Any:
            try:
                return handler(*arguments)
            except BaseException as error:
                interruptions.append(error)
                raise

        return handle

    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    ours = {number: recording(handler) for number, handler in before.items() if callable(handler)}
    try:
        for number, handler in ours.items():
            signal.signal(number, handler)
        yield
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:  # the code may have set one of its own
                signal.signal(number, before[number])


@contextmanager
def _captured_output() -> Iterator[IO[bytes]]:
    """Lead ``sys.stdout`` and file descriptor 1 into a temporary file, open until the next block of it."""
    stdout = sys.stdout
    _flush()
    with contextlib.ExitStack() as stack:
        file = _temporary_file()
        with contextlib.suppress(OSError):  # there is no descriptor 1
            saved = os.dup(1)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, 1)
            os.dup2(file.fileno(), 1)
        sys.stdout = io.TextIOWrapper(
            io.FileIO(file.fileno(), "w", closefd=False), "utf-8", "backslashreplace", write_through=True
        )
        try:
            yield file
        finally:
            _flush()
            sys.stdout = stdout


def _temporary_file() -> IO[bytes]:
    """A temporary file; where none can be made, a place where output disappears."""
    try:
        return tempfile.TemporaryFile("w+b", buffering=0)
    except OSError:
        return Path(os.devnull).open("r+b", buffering=0)


def _flush() -> None:
    """Write out what the buffers of Python and of C hold."""
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full, or none at all
            stream.flush()  # type: ignore[union-attr]
    with contextlib.suppress(Exception):  # no ctypes, or a C library of another form
        import ctypes

        ctypes.CDLL(None).fflush(None)


def _warn_about_output(name: str, printed: IO[bytes]) -> None:
    with printed:
        printed.seek(0)
        text = printed.read(4 * _MAX_SHOWN).decode("utf-8", "replace")
    if text:
        more = "..." if len(text) > _MAX_SHOWN else ""
        warnings.warn(
            f"{name} wrote to standard output while it was loaded: {text[:_MAX_SHOWN]!r}{more}; standard "
            f"output is for results, so write to standard error.",
            ZooWarning,
            stacklevel=2,
        )
