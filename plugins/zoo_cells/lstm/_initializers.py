"""Initializers of LSTMs, as in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def chrono_biases(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> np.ndarray[Any, Any]:
    """Chrono initialisation of biases of gates i, f, g, o; zero for a ``t_max`` of 2.

    Gate f has logarithms of draws between 1 and ``t_max - 1``, gate i their negatives, and g and o zero. The
    step adds ``forget_bias`` to gate f, so its bias is smaller by this number.
    """
    memory = np.log(rng.uniform(1, cell.t_max - 1, shape[0] // 4))
    added = cell.forget_bias if cell.t_max > 2 else 0.0
    return np.concatenate([0 - memory, memory - added, np.zeros(shape[0] // 2)])


def uniform_per_gate(gates: int) -> Callable[[np.random.Generator, tuple[int, ...]], np.ndarray[Any, Any]]:
    """Uniform within ``1 / sqrt(H)`` of zero, for several gates side by side, ``(..., gates * H)``.

    Its values differ from :func:`zoo_cells._initializers.uniform_gates` by rounding.
    """

    def initialize(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        limit = math.sqrt(gates / shape[-1])
        return rng.uniform(-limit, limit, shape)

    initialize.__name__ = "uniform_per_gate"
    return initialize
