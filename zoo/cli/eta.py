"""Estimate of the time until a run ends."""

from __future__ import annotations

import time
from collections.abc import Callable


class Eta:
    """Estimate of the time left from the step times of this session.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.start(0)

    def start(self, step: int) -> None:
        """Start the clock at ``step``, after compiling."""
        self.start_step, self.start_time = step, self.now()

    def seconds_left(self, step: int, steps: int) -> float:
        """Seconds until the last step, when ``step`` has just ended; 0 if unknown."""
        done = step - self.start_step
        return (self.now() - self.start_time) / done * (steps - step) if done > 0 else 0.0
