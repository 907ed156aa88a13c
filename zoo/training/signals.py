"""SIGINT and SIGTERM as a request to finish the step, save, and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interruption:
    """Which signal asked to stop, if any."""

    signal: int | None = None


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Within the block a signal only sets ``signal``; a second SIGINT interrupts at once.

    A signal that is ignored, as in a job in the background, stays ignored. Outside the main thread, where
    Python allows no handlers, signals keep their meaning.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the form of a handler
        if interruption.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        interruption.signal = number

    heard = [
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN
    ]
    previous = {number: signal.signal(number, note) for number in heard}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            # None: a handler that was not made in Python, and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
