"""Initializers of several classic cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any
Shape = tuple[int, ...]


def normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with variance ``1 / rows``."""
    return rng.normal(0, 1 / math.sqrt(shape[0]), shape)


def identity(rng: np.random.Generator, shape: Shape) -> Array:
    """The identity matrix, or a stack of them; cut if rows and columns differ, as under a modifier."""
    rows, columns = shape[-2:]
    return np.broadcast_to(np.eye(rows, columns), shape).copy()


def orthonormal(rng: np.random.Generator, shape: Shape) -> Array:
    """Orthonormal rows or columns, whichever are fewer.

    The initializer ``"orthogonal"`` cuts a wide matrix into square blocks for stacked gates. This one does
    not.
    """
    rows, columns = shape
    q, r = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))
    q *= np.sign(np.diag(r))  # makes the draw uniform
    return q if rows >= columns else q.T
