"""What a line of progress shows: means over the updates since the line before, and the speed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Means:
    """Sums over the updates since the last line; checkpoints hold them, so that a resumed run logs the same.

    Attributes:
        steps: Updates.
        loss: Sum of their losses.
        norm: Sum of the norms of their gradients, before clipping.
        clipped: How many were clipped.
        left: Sum of the norms after clipping.
    """

    steps: int = 0
    loss: float = 0.0
    norm: float = 0.0
    clipped: int = 0
    left: float = 0.0

    def add(self, loss: float, norm: float, clipped: bool, left: float) -> Means:
        """With one update more."""
        sums = self.loss + loss, self.norm + norm, self.clipped + clipped, self.left + left
        return Means(self.steps + 1, *sums)

    def read(self) -> dict[str, float]:
        """Loss, norm of the gradient before and after clipping, and share of updates that were clipped."""
        return {
            "loss": self.loss / self.steps,
            "grad_norm": self.norm / self.steps,
            "clipped_norm": self.left / self.steps,
            "clip_rate": self.clipped / self.steps,
        }

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Means:
        """What :meth:`to_json` wrote, not checked; raises KeyError or TypeError if a name is missing."""
        left = stored["left" if "left" in stored else "norm"]  # checkpoints from before it was kept lack it
        return cls(stored["steps"], stored["loss"], stored["norm"], stored["clipped"], left)


class Speed:
    """Symbols a second; the clock stops while something else is done."""

    def __init__(self) -> None:
        self.symbols = 0
        self.seconds = 0.0
        self.restart()

    def restart(self) -> None:
        """Start the clock again, after a validation, a sample or a save."""
        self.mark = time.perf_counter()

    def add(self, symbols: int) -> None:
        """Count a step that took from the last mark until now."""
        self.symbols += symbols
        self.seconds += time.perf_counter() - self.mark
        self.restart()

    def read(self) -> dict[str, float]:
        """Symbols a second since it was read last, and the seconds that the steps took."""
        symbols, seconds = self.symbols, max(self.seconds, 1e-9)
        self.symbols, self.seconds = 0, 0.0
        return {"symbols_per_s": symbols / seconds, "seconds": seconds}
