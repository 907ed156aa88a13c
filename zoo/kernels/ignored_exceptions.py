"""Raise the exceptions of signal handlers that Python ignores during a compilation.

LLVM calls functions of llvmlite while it makes or loads machine code. If a signal arrives in LLVM, Python
runs its handler in such a function, and ctypes prints and ignores the exception. So Ctrl-C had no effect, or
a ``RuntimeError`` of Numba followed, since the function had not stored the machine code. Of 32 signals at
random times of a compilation, three were lost. Destructors of llvmlite lose exceptions, too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite.binding import ExecutionEngine  # type: ignore[import-untyped]

_CALLBACKS = (ExecutionEngine._raw_object_cache_notify, ExecutionEngine._raw_object_cache_getbuffer)


@contextmanager
def raise_ignored_exceptions() -> Iterator[None]:
    """After the block, or in place of its error, raise the first exception that Python ignored.

    These are all exceptions in callbacks of llvmlite, and elsewhere exceptions such as KeyboardInterrupt.
    Handlers of signals run in the main thread, so the block changes nothing in others.

    Raises:
        BaseException: the ignored exception.
    """
    if not _is_main_thread():
        yield
        return
    ignored: list[BaseException] = []
    previous = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        is_signal = unraisable.object in _CALLBACKS or not issubclass(unraisable.exc_type, Exception)
        if is_signal and _is_main_thread():
            ignored.append(unraisable.exc_value or unraisable.exc_type())
        else:
            previous(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    except Exception:
        if not ignored:
            raise
    finally:
        sys.unraisablehook = previous
    if ignored:
        raise ignored[0]


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
