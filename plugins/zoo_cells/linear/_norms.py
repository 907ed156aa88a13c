"""Normalisation of the rows of heads."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def l2_normalised(rows: Array) -> Array:
    """Normalise rows to length one, with the constant of the official kernels of DeltaNet."""
    return rows / np.sqrt(np.sum(rows * rows, axis=-1, keepdims=True) + 1e-6)


def rms_norm(rows: Array, eps: float) -> Array:
    """Normalise rows to mean square one (B. Zhang & R. Sennrich 2019, https://arxiv.org/abs/1910.07467)."""
    return rows / np.sqrt(np.mean(rows * rows, axis=-1, keepdims=True) + eps)
