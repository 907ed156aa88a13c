"""Running means and speed, which progress lines show."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunningMeans:
    """Sums over the updates since the last progress line; checkpoints hold them.

    Attributes:
        steps: Number of updates.
        loss: Sum of the losses.
        norm: Sum of the gradient norms before clipping.
        clipped: Number of updates whose gradient was clipped.
        clipped_norm: Sum of the gradient norms after clipping.
        penalty: Sum of the penalties; None for a run without penalties.
    """

    steps: int = 0
    loss: float = 0.0
    norm: float = 0.0
    clipped: int = 0
    clipped_norm: float = 0.0
    penalty: float | None = None

    def add(
        self, loss: float, norm: float, clipped: bool, clipped_norm: float, penalty: float | None = None
    ) -> RunningMeans:
        """The sums with one more update."""
        sums = self.loss + loss, self.norm + norm, self.clipped + clipped, self.clipped_norm + clipped_norm
        penalties = None if penalty is None else (self.penalty or 0.0) + penalty
        return RunningMeans(self.steps + 1, *sums, penalties)

    def mean(self) -> dict[str, float]:
        """Mean loss, penalty, gradient norm before and after clipping, and share of clipped updates."""
        penalty = {} if self.penalty is None else {"penalty": self.penalty / self.steps}
        return {
            "loss": self.loss / self.steps,
            **penalty,
            "grad_norm": self.norm / self.steps,
            "clipped_norm": self.clipped_norm / self.steps,
            "clip_rate": self.clipped / self.steps,
        }

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        sums = {"steps": self.steps, "loss": self.loss, "norm": self.norm, "clipped": self.clipped}
        penalty = {} if self.penalty is None else {"penalty": self.penalty}
        return {**sums, "left": self.clipped_norm, **penalty}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RunningMeans:
        """Read the result of :meth:`to_json`, unchecked; KeyError or TypeError if a name is missing."""
        clipped_norm = stored["left" if "left" in stored else "norm"]  # the first checkpoints lack it
        sums = stored["steps"], stored["loss"], stored["norm"], stored["clipped"], clipped_norm
        return cls(*sums, stored.get("penalty"))


class Speed:
    """Symbols a second; the clock runs only during training steps."""

    def __init__(self) -> None:
        self.symbols = 0
        self.seconds = 0.0
        self.restart()

    def restart(self) -> None:
        """Restart the clock after a validation, a sample or a save."""
        self.mark = time.perf_counter()

    def add(self, symbols: int) -> None:
        """Add a step that took from the last mark until now."""
        self.symbols += symbols
        self.seconds += time.perf_counter() - self.mark
        self.restart()

    def read(self) -> dict[str, float]:
        """Symbols a second and seconds of the steps since the last call."""
        symbols, seconds = self.symbols, max(self.seconds, 1e-9)
        self.symbols, self.seconds = 0, 0.0
        return {"symbols_per_s": symbols / seconds, "seconds": seconds}
