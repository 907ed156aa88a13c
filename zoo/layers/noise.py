"""Drawing noise: a hash of where a number stands, so that there is no state, no order, and no thread to ask.

A number depends on the seed, the step of training, the layer, the name of the noise, the step of the
sequence, the row of the batch and its place in the row, and on nothing else. So a resumed run draws what it
would have drawn, threads change no bit, and a segment that is computed again meets the same noise. A layer
that reads backwards counts its steps from where it begins.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from zoo.arguments import is_seed, short_repr
from zoo.base import Noise
from zoo.errors import UsageError
from zoo.kernels.jit import njit
from zoo.kernels.random import random_bits, random_uniform
from zoo.layers.sharding import Rows, row_indices

Array = np.ndarray[Any, Any]
NoiseKey = tuple[int, int]
"""Seed and step of training, which decide all noise."""
Block = tuple[slice, Rows]
"""Which steps of the sequence, and which rows of the batch."""

DROPOUT_STREAM = "between layers"  # with a space in it, for no noise of a cell can be called so


def check_noise(noise: Any) -> NoiseKey | None:
    """The seed and the step themselves, or None for no noise.

    Raises:
        UsageError: if they are not two integers from 0 to 2^64 - 1.
    """
    if noise is None:
        return None
    if not isinstance(noise, tuple) or len(noise) != 2 or not all(map(is_seed, noise)):
        raise UsageError(
            f"noise is {short_repr(noise)}; expected None for expectations, or (seed, step), two integers "
            f"from 0 to 2^64 - 1."
        )
    return int(noise[0]), int(noise[1])


def draw_noise(
    declared: Noise,
    chance: float,
    draw: NoiseKey,
    layer: int,
    part: Block,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Array:
    """The noise of some steps and rows of one layer, ``(T, B, ...)``.

    Args:
        declared: The declaration, for its name and period.
        chance: How probable a one is.
        draw: Seed and step of training.
        layer: Place of the layer in the stack.
        part: Which steps of the sequence, and which rows of the batch.
        shape: Sizes of one row.
        dtype: Of the numbers.
    """
    is_kept = declared.per == "sequence"
    return _bernoulli(_stream_key(declared.name, draw, layer), chance, part, is_kept, shape, dtype)


def draw_dropout(
    dropout: float, draw: NoiseKey, floor: int, part: Block, size: int, dtype: np.dtype[Any]
) -> Array:
    """What a floor's input is multiplied by, ``(T, B, size)``: zero where it is dropped.

    The others are as much larger as there are fewer of them, so that nothing is to be done in evaluation.
    W. Zaremba et al. 2014, https://arxiv.org/abs/1409.2329.

    Args:
        dropout: How probable a zero is, less than one.
        draw: Seed and step of training.
        floor: Which floor of the stack reads it.
        part: Which steps of the sequence, and which rows of the batch.
        size: Features of the input.
        dtype: Of the numbers.
    """
    kept = _bernoulli(_stream_key(DROPOUT_STREAM, draw, floor), 1 - dropout, part, False, (size,), dtype)
    kept *= dtype.type(1 / (1 - dropout))
    return kept


def _bernoulli(
    key: np.uint64, chance: float, part: Block, is_kept: bool, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """Ones and zeros of some steps and rows, ``(T, B, ...)``."""
    steps, rows = part[0], row_indices(part[1])
    found = np.empty((steps.stop - steps.start, rows.size, math.prod(shape)), dtype)
    fill_bernoulli(key, chance, np.uint64(steps.start), rows, is_kept, found)
    return found.reshape(*found.shape[:2], *shape)


def _stream_key(name: str, draw: NoiseKey, layer: int) -> np.uint64:
    """What one noise of one layer in one step of training is drawn from."""
    digest = hashlib.sha256(f"zoo noise {name}".encode()).digest()
    key = np.uint64(draw[0])
    for word in (int.from_bytes(digest[:8], "little"), draw[1], layer):
        key = np.uint64(random_bits(key, np.uint64(word)))
    return key


@njit
def fill_bernoulli(
    key: np.uint64, chance: float, first: np.uint64, rows: Array, is_kept: bool, out: Array
) -> None:
    """Ones with a chance, else zeros, into ``out (T, B, N)``.

    Args:
        key: What they are drawn from.
        chance: How probable a one is.
        first: The first of the steps.
        rows: The number of each row in the batch, ``(B,)``.
        is_kept: Whether all steps have the numbers of step 0.
        out: Where they go.
    """
    one, zero = out.dtype.type(1), out.dtype.type(0)
    for t in range(out.shape[0]):
        when = np.uint64(0) if is_kept else first + np.uint64(t)
        at_step = random_bits(key, when)
        for b in range(out.shape[1]):
            at_row = random_bits(np.uint64(at_step), rows[b])
            for n in range(out.shape[2]):
                u = random_uniform(np.uint64(at_row), np.uint64(n))
                out[t, b, n] = one if u < chance else zero
