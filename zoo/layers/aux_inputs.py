"""Auxiliary inputs of a stack: user arrays, noise, defaults; and dropout between its layers.

Noise and dropout are counter-based: each element is a hash of its position, without a generator state. An
element depends on the seed, the training step, the layer, the name of the noise, the time step, the row of
the batch and its index in the row. A resumed run therefore draws what it would have drawn, threads change no
bit, and a segment that is run again has the same noise. A direction that reads backwards counts its time
steps from its own first one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from zoo.arguments import is_seed, short_repr
from zoo.array_types import Array
from zoo.base import Noise
from zoo.errors import UsageError
from zoo.kernels.jit import njit
from zoo.kernels.random import random_bits, random_uniform
from zoo.layers.direction import Direction
from zoo.layers.sharding import Rows, row_count, row_indices
from zoo.layers.time_chunks import reverse_between_steps, reverse_time, slice_batch

NoiseKey = tuple[int, int]
"""Seed and training step."""
StepsAndRows = tuple[slice, Rows]
"""Time steps of the sequence and rows of the batch."""

ReversedKey = tuple[str, bool]
"""Name of an auxiliary input, and whether steps have the value of the following one."""

DROPOUT_STREAM = "between layers"  # no noise of a cell has this name, because it has a space


class AuxInputs(NamedTuple):
    """Auxiliary inputs of a layer in one chunk.

    Args:
        inputs: For each direction the inputs that its cell declares, in the order of declaration.
        mask: Dropout mask by which x is multiplied, ``(T, B, ·)``; None for no dropout.
    """

    inputs: list[tuple[Array, ...]]
    mask: Array | None = None


@dataclass(frozen=True)
class AuxInputSource:
    """Auxiliary inputs of a whole sequence; arrays are made for one chunk at a time.

    Args:
        layers: The directions of each layer of the stack.
        given: User arrays by name, ``(T, B, ...)``, for every direction that declares the name.
        reversed: The same arrays for directions that read backwards, in their order of time.
        dtype: Of all arrays.
        noise_key: Seed and step of the noise; None for its expectation.
        dropout: Probability that an element between layers is dropped.
        rows: The row of the batch that each row here repeats, ``(N,)``; None if they are the batch.
    """

    layers: list[tuple[Direction, ...]]
    given: Mapping[str, Array]
    reversed: Mapping[ReversedKey, Array]
    dtype: np.dtype[Any]
    noise_key: NoiseKey | None = None
    dropout: float = 0.0
    rows: Array | None = None

    def select(self, rows: Array) -> AuxInputSource:
        """The auxiliary inputs of some rows of the batch, ``(N,)``, which may be repeated."""
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def chunk(self, time_slice: slice, rows: Rows) -> list[AuxInputs]:
        """Auxiliary inputs of every layer for some steps of some rows."""
        part = time_slice, rows if self.rows is None else self.rows[rows]
        shared: dict[Any, Array] = {}
        return [
            AuxInputs(
                [
                    tuple([self._array(name, direction, part, shared) for name in direction.inputs])
                    for direction in directions
                ],
                self._dropout_mask(directions[0], part),
            )
            for directions in self.layers
        ]

    def _dropout_mask(self, first: Direction, part: StepsAndRows) -> Array | None:
        if self.noise_key is None or not self.dropout or first.index == 0:
            return None
        return draw_dropout(self.dropout, self.noise_key, first.index, part, first.input_size, self.dtype)

    def _array(self, name: str, direction: Direction, part: StepsAndRows, shared: dict[Any, Array]) -> Array:
        """One input of one direction; arrays that several directions share are made once."""
        declared, shape = direction.cell.inputs[name], direction.inputs[name]
        key: Any
        if name in self.given:
            key = _reversed_key(name, direction) if direction.reverse else name
            if key not in shared:
                given = self.reversed[key] if direction.reverse else self.given[name]
                shared[key] = slice_batch(given, *part)
            return shared[key]
        if self.noise_key is not None and isinstance(declared, Noise):
            parameter, index = declared.parameter(direction.cell.options), direction.rng_index
            return draw_noise(declared, parameter, self.noise_key, index, part, shape, self.dtype)
        value = declared.value(direction.cell.options)
        key = shape, value
        if key not in shared:
            time_slice, rows = part
            size = (time_slice.stop - time_slice.start, row_count(rows), *shape)
            shared[key] = np.full(size, value, self.dtype)
        return shared[key]


def reverse_aux_inputs(
    arrays: Mapping[str, Array], directions: Sequence[Direction], lengths: Array | None
) -> dict[ReversedKey, Array]:
    """The arrays for directions that read backwards, in their order of time.

    Args:
        arrays: Arrays by name, ``(T, B, ...)``.
        directions: All directions of the stack.
        lengths: Steps of each sequence ``(B,)``; None if all have all steps.
    """
    backwards = [direction for direction in directions if direction.reverse]
    keys = {
        _reversed_key(name, direction)
        for direction in backwards
        for name in direction.inputs
        if name in arrays
    }
    return {
        (name, is_following): (reverse_between_steps if is_following else reverse_time)(arrays[name], lengths)
        for name, is_following in keys
    }


def _reversed_key(name: str, direction: Direction) -> ReversedKey:
    return name, direction.reads_following_steps(name)


def check_noise(noise: Any) -> NoiseKey | None:
    """Check ``(seed, step)``, or None for no noise.

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
    parameter: float,
    key: NoiseKey,
    layer: int,
    part: StepsAndRows,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Array:
    """Noise of some time steps and rows of one layer: ones and zeros, or Gaussian, ``(T, B, ...)``.

    Args:
        declared: The declaration, for its name, period and distribution.
        parameter: Probability of a one, or the standard deviation.
        key: Seed and training step.
        layer: Number of the direction in the random streams.
        part: Time steps and rows.
        shape: Shape of one row.
        dtype: Of the result.
    """
    is_constant, stream = declared.per == "sequence", _stream_key(declared.name, key, layer)
    fill = fill_gaussian if declared.is_gaussian else fill_bernoulli
    return _fill(fill, stream, parameter, part, is_constant, shape, dtype)


def draw_dropout(
    dropout: float, key: NoiseKey, layer: int, part: StepsAndRows, size: int, dtype: np.dtype[Any]
) -> Array:
    """Dropout mask of the input of a layer, ``(T, B, size)``.

    The elements that are not zero are ``1 / (1 - dropout)``, so that evaluation needs no correction.
    W. Zaremba et al. 2014, https://arxiv.org/abs/1409.2329.

    Args:
        dropout: Probability of a zero, less than one.
        key: Seed and training step.
        layer: Layer that reads the input.
        part: Time steps and rows.
        size: Features of the input.
        dtype: Of the result.
    """
    stream = _stream_key(DROPOUT_STREAM, key, layer)
    mask = _fill(fill_bernoulli, stream, 1 - dropout, part, False, (size,), dtype)
    mask *= dtype.type(1 / (1 - dropout))
    return mask


def _fill(
    fill: Callable[..., None],
    key: np.uint64,
    parameter: float,
    part: StepsAndRows,
    is_constant: bool,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Array:
    time_slice, rows = part[0], row_indices(part[1])
    draws = np.empty((time_slice.stop - time_slice.start, rows.size, math.prod(shape)), dtype)
    fill(key, parameter, np.uint64(time_slice.start), rows, is_constant, draws)
    return draws.reshape(*draws.shape[:2], *shape)


def _stream_key(name: str, noise_key: NoiseKey, layer: int) -> np.uint64:
    """The key of one noise of one layer in one training step."""
    digest = hashlib.sha256(f"zoo noise {name}".encode()).digest()
    key = np.uint64(noise_key[0])
    for word in (int.from_bytes(digest[:8], "little"), noise_key[1], layer):
        key = np.uint64(random_bits(key, np.uint64(word)))
    return key


@njit
def fill_bernoulli(
    key: np.uint64, probability: float, first: np.uint64, rows: Array, is_constant: bool, out: Array
) -> None:
    """Fill ``out (T, B, N)`` with ones and zeros.

    Args:
        key: Key of the stream.
        probability: Probability of a one.
        first: First time step.
        rows: Index of each row in the batch, ``(B,)``.
        is_constant: Whether all time steps have the elements of step 0.
        out: Destination.
    """
    one, zero = out.dtype.type(1), out.dtype.type(0)
    for t in range(out.shape[0]):
        step = np.uint64(0) if is_constant else first + np.uint64(t)
        step_key = random_bits(key, step)
        for b in range(out.shape[1]):
            row_key = random_bits(np.uint64(step_key), rows[b])
            for n in range(out.shape[2]):
                u = random_uniform(np.uint64(row_key), np.uint64(n))
                out[t, b, n] = one if u < probability else zero


@njit
def fill_gaussian(
    key: np.uint64, scale: float, first: np.uint64, rows: Array, is_constant: bool, out: Array
) -> None:
    """Fill ``out (T, B, N)`` with Gaussian numbers of mean zero; arguments as for :func:`fill_bernoulli`.

    Each is the cosine of a pair of G. E. P. Box & M. E. Muller 1958, https://doi.org/10.1214/aoms/1177706645,
    so that it depends on its own position only.
    """
    for t in range(out.shape[0]):
        step = np.uint64(0) if is_constant else first + np.uint64(t)
        step_key = random_bits(key, step)
        for b in range(out.shape[1]):
            row_key = random_bits(np.uint64(step_key), rows[b])
            for n in range(out.shape[2]):
                u = 1.0 - random_uniform(np.uint64(row_key), np.uint64(2 * n))  # above zero
                angle = 2.0 * math.pi * random_uniform(np.uint64(row_key), np.uint64(2 * n + 1))
                out[t, b, n] = scale * math.sqrt(-2.0 * math.log(u)) * math.cos(angle)
