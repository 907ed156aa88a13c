"""Initial values of several blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any
Shape = tuple[int, ...]


def residual_normal(rng: np.random.Generator, shape: Shape, block: Any) -> Array:
    """Normal with variance ``1 / (fan_in layers)``: the sum over the layers keeps its size."""
    return rng.normal(0, math.sqrt(1 / (shape[0] * block.num_layers)), shape)


def residual_uniform(rng: np.random.Generator, shape: Shape, block: Any) -> Array:
    """Uniform within ``1 / sqrt(fan_in layers)`` of zero."""
    limit = 1 / math.sqrt(shape[0] * block.num_layers)
    return rng.uniform(-limit, limit, shape)


def taps_uniform(rng: np.random.Generator, shape: Shape, block: Any) -> Array:
    """Uniform within ``1 / sqrt(width)`` of zero: PyTorch's start of a convolution of single features."""
    limit = 1 / math.sqrt(block.width)
    return rng.uniform(-limit, limit, shape)


def small_init(rng: np.random.Generator, shape: Shape, _block: Any) -> Array:
    """Normal with variance ``2 / (5 fan_in)``, the initial values of projections in the code of the xLSTM."""
    return rng.normal(0, math.sqrt(2 / (5 * shape[0])), shape)


def last_weights_of_xlstm(rng: np.random.Generator, shape: Shape, block: Any) -> Array:
    """Normal with deviation ``2 / (layers sqrt(D))``, as the code of the xLSTM draws the last weights."""
    return rng.normal(0, 2 / (block.num_layers * math.sqrt(shape[1])), shape)
