"""Run foreign code so that its exceptions and output do not stop the command."""

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
from zoo.foreign_errors import ImportResult

SLOW = 5.0
"""Seconds after which a line on standard error names code that is still being imported."""

_MAX_SHOWN = 200  # characters of the output in the warning


@contextmanager
def isolated(name: str, remedy: str = "") -> Iterator[ImportResult]:
    """Run foreign code in the block, and store its exception instead of raising it.

    Output, from Python or from C, becomes a warning, since standard output is for results. After five
    seconds a line on standard error names the code. The caller must hold the lock of the loader, since
    standard output belongs to the process.

    Args:
        name: The name of the code in messages.
        remedy: The way to leave the code out, for the line after five seconds.

    Yields:
        The result, complete after the block.

    Raises:
        BaseException: from the handler of a signal, such as KeyboardInterrupt after Ctrl-C. If the code
            itself raises one, it is stored.
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
        except ZooWarning as error:  # if warnings are errors
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
    """Store the exceptions of signal handlers: they come from the user, even if the code catches them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run only in the main thread
        return

    def recording(handler: Callable[..., Any]) -> Callable[..., Any]:
        def handle(*arguments: Any) -> Any:
            try:
                return handler(*arguments)
            except BaseException as error:
                interruptions.append(error)
                raise

        return handle

    previous = {number: signal.getsignal(number) for number in signal.valid_signals()}
    wrapped = {number: recording(handler) for number, handler in previous.items() if callable(handler)}
    try:
        for number, handler in wrapped.items():
            signal.signal(number, handler)
        yield
    finally:
        for number, handler in wrapped.items():
            if signal.getsignal(number) is handler:  # the code may have set another
                signal.signal(number, previous[number])


@contextmanager
def _captured_output() -> Iterator[IO[bytes]]:
    """Redirect ``sys.stdout`` and file descriptor 1 to a temporary file, which the caller closes."""
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
    """A temporary file; the null device if none can be created."""
    try:
        return tempfile.TemporaryFile("w+b", buffering=0)
    except OSError:
        return Path(os.devnull).open("r+b", buffering=0)


def _flush() -> None:
    """Flush the output buffers of Python and of C."""
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full, or missing
            stream.flush()  # type: ignore[union-attr]
    with contextlib.suppress(Exception):  # no ctypes, or an unusual C library
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
