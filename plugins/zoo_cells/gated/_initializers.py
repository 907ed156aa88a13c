"""Glorot uniform initialization of each gate, for matrices of several gates side by side."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def glorot_gates(gates: int) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """Glorot uniform for each of several matrices ``(N, H)`` side by side, ``(N, gates * H)``.

    Official code has a matrix for each gate. The built-in ``"glorot_uniform"`` treats them as one wide matrix
    and draws smaller values.
    """

    def initialize(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        limit = math.sqrt(6 / (shape[0] + shape[1] // gates))
        return rng.uniform(-limit, limit, shape)

    initialize.__name__ = "glorot_gates"
    return initialize
