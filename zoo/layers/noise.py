"""Drawing noise: a hash of where a number stands, so that there is no state, no order, and no thread to ask.

A number depends on the seed, the step of training, the layer, the name of the noise, the step of the
sequence, the row of the batch and its place in the row, and on nothing else. So a resumed run draws what it
would have drawn, threads change no bit, and a segment that is computed again meets the same noise.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from zoo.contracts import Noise
from zoo.errors import UsageError
from zoo.kernels.jit import njit
from zoo.kernels.random import random_bits, random_uniform
from zoo.layers.boundary import is_seed

Array = np.ndarray[Any, Any]
Draw = tuple[int, int]
"""Seed and step of training, which decide all noise."""


def check_noise(noise: Any) -> Draw | None:
    """The seed and the step themselves, or None for no noise.

    Raises:
        UsageError: if they are not two integers from 0 to 2^64 - 1.
    """
    if noise is None:
        return None
    if not isinstance(noise, tuple) or len(noise) != 2 or not all(map(is_seed, noise)):
        raise UsageError(
            f"noise is {noise!r}; expected None for expectations, or (seed, step), two integers from 0 to "
            f"2^64 - 1."
        )
    return int(noise[0]), int(noise[1])


def draw_noise(
    declared: Noise,
    chance: float,
    draw: Draw,
    layer: int,
    part: tuple[slice, slice],
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
    steps, rows = part
    found = np.empty((steps.stop - steps.start, rows.stop - rows.start, *shape), dtype)
    numbers = found.reshape(*found.shape[:2], -1)
    start = np.uint64(steps.start), np.uint64(rows.start)
    fill(_key(declared.name, draw, layer), chance, *start, declared.per == "sequence", numbers)
    return found


def _key(name: str, draw: Draw, layer: int) -> np.uint64:
    """What one noise of one layer in one step of training is drawn from."""
    digest = hashlib.sha256(f"zoo noise {name}".encode()).digest()
    key = np.uint64(draw[0])
    for word in (int.from_bytes(digest[:8], "little"), draw[1], layer):
        key = np.uint64(random_bits(key, np.uint64(word)))
    return key


@njit
def fill(key: np.uint64, chance: float, first: np.uint64, row: np.uint64, is_kept: bool, out: Array) -> None:
    """Ones with a chance, else zeros, into ``out (T, B, N)``.

    Args:
        key: What they are drawn from.
        chance: How probable a one is.
        first: The first of the steps.
        row: The first of the rows.
        is_kept: Whether all steps have the numbers of step 0.
        out: Where they go.
    """
    one, zero = out.dtype.type(1), out.dtype.type(0)
    for t in range(out.shape[0]):
        when = np.uint64(0) if is_kept else first + np.uint64(t)
        at_step = random_bits(key, when)
        for b in range(out.shape[1]):
            at_row = random_bits(np.uint64(at_step), row + np.uint64(b))
            for n in range(out.shape[2]):
                u = random_uniform(np.uint64(at_row), np.uint64(n))
                out[t, b, n] = one if u < chance else zero
