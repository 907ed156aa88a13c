"""The diagonal preconditioner of the preconditioned delta rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any
# The official constant, with which the logarithm of a zero sum is finite.
TINY = 1e-6


def fixed_centre(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All -0.2."""
    return np.full(shape, -0.2)


def preconditioner(sums: Array, centre: Array, squash: float) -> Array:
    """Map decaying sums of squares of the keys to factors between ``1 / squash`` and ``squash``."""
    # Sums are never negative in sequences that start from states of zero.
    size = np.log(np.maximum(sums, 0.0) + TINY) - centre
    return np.exp(-math.log(squash) * size / (1 + np.abs(size)))
