"""Initializers of several cells of this family."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# The range of initial step sizes of Mamba and its successors.
SHORTEST, LONGEST = 0.001, 0.1


def inverse_softplus_log_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Such that the softplus is between 0.001 and 0.1, uniform on a logarithmic scale."""
    dt = np.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST), shape))
    return dt + np.log(-np.expm1(-dt))  # the inverse of softplus


def logs_of_rates(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Logarithms of numbers that are uniform between 1 and 16, as in Mamba 2."""
    return np.log(rng.uniform(1, 16, shape))


def taps_uniform(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> np.ndarray[Any, Any]:
    """Uniform within ``1 / sqrt(width)`` of zero, like the bias of PyTorch's depthwise convolution."""
    limit = 1 / math.sqrt(cell.width)
    return rng.uniform(-limit, limit, shape)


def orthogonal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray[Any, Any]:
    """Orthogonal rows or columns, whichever are fewer, as in PyTorch."""
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # so that every rotation is as likely as any other
    return q if rows >= columns else q.T
