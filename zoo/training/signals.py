"""SIGINT and SIGTERM as a request to finish the step, save, and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """The signal that requested to stop, if any."""

    signal: int | None = None


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Within the block a signal only sets ``signal``; a second SIGINT interrupts at once.

    A signal that is ignored, as in a background job, stays ignored. Outside the main thread, where Python
    allows no handlers, signals keep their meaning.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        if request.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        request.signal = number

    handled = [
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN
    ]
    previous = {number: signal.signal(number, handle) for number in handled}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            # None: a handler that was not made in Python and cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
