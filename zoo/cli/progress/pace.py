"""How long the rest of a run will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Time left, from the time that the steps of this session took.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.begin(0)

    def begin(self, step: int) -> None:
        """Count from here: compiling is over, and this many steps were made before."""
        self.first, self.started = step, self.now()

    def left(self, step: int, steps: int) -> float:
        """Seconds until the last step, when ``step`` has been made just now; 0 if nothing can be said."""
        done = step - self.first
        return (self.now() - self.started) / done * (steps - step) if done > 0 else 0.0
