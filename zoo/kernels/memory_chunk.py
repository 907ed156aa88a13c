"""The steps of a chunk, arrays of a chunk of a matrix memory, and the flags of the form of the memory.

:mod:`zoo.kernels.matrix_memory` has the equations.
"""

from __future__ import annotations

from typing import NamedTuple

from zoo.array_types import Array
from zoo.kernels.jit import njit

CHUNK = 16
"""Steps of a chunk, of all states that kernels compute by chunks. With 32, the backward pass of memories of
128 x 128 took 10 % longer, of 32 x 32 35 %.
"""


NO_DECAY, HEAD_DECAY, ROW_DECAY = range(3)
"""Whether an update multiplies memories by factors: one for each head, or one for each row."""

NO_ROTATION, FIXED_ROTATION, TRAINED_ROTATION = range(3)
"""Whether the rows of a memory rotate in pairs, and whether their angles have gradients."""


class MemoryFlags(NamedTuple):
    """The form of a matrix memory.

    Args:
        heads: Heads of a sequence.
        updates: Updates of a step.
        writes: Outer products of an update.
        has_decay: Whether an update multiplies memories by factors.
        has_decay_operand: Whether these factors are operands of each update, and have gradients.
        has_angle_operand: Whether the angles by which memories rotate are, likewise.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """

    heads: int
    updates: int
    writes: int
    has_decay: bool
    has_decay_operand: bool
    has_angle_operand: bool
    has_probe: bool
    query_first: bool


class ChunkArrays(NamedTuple):
    """Operands of the steps of a chunk and values computed from them, or the gradients of all of these.

    ``W`` is the number of values that the steps of a chunk write. Readers are probes, if there are any, then
    queries.

    Args:
        values: Values that the steps write, ``(W, D)``.
        keys: Keys of the values, ``(W, K)``.
        readers: Probes and queries, ``(2 * CHUNK, K)``.
        decay: Decays, ``(CHUNK, 1)``, ``(CHUNK, K)`` or ``(CHUNK, D)``; ones without decays. With
            momentum, decay, keep and gain, ``(CHUNK, 3)``.
        rates: Factors of the reads of probes, ``(CHUNK, D)``.
        products: Products of the decays up to each step, in the shape of ``decay``.
        remaining_keys: The rest of each key at the end of the chunk, ``(W, K)``.
        decayed: Readers times products of decays, ``(2 * CHUNK, K)``.
        reads: Results of the readers, ``(2 * CHUNK, D)``.
        dots: Products of readers and keys, ``(2 * CHUNK, W)``, unless each row has a decay.
        weights: Weights of the values in the reads, ``(2 * CHUNK, W)``.
        panels: For panels of operands (:mod:`zoo.kernels.chunk_products`); unused among gradients.
    """

    values: Array
    keys: Array
    readers: Array
    decay: Array
    rates: Array
    products: Array
    remaining_keys: Array
    decayed: Array
    reads: Array
    dots: Array
    weights: Array
    panels: Array


class Rotation(NamedTuple):
    """Angles by which the rows of a memory rotate, up to each step of a chunk.

    Args:
        cosines: Cosines of the angles, ``(CHUNK, K / 2)``, or ``(heads * CHUNK, K / 2)`` for all heads.
        sines: Their sines.
    """

    cosines: Array
    sines: Array


@njit(inline=True)
def packed_flags(flags: MemoryFlags) -> int:
    """All flags in one integer: Numba compiles again for other literals, but not for other integers."""
    packed = flags.has_decay + 2 * flags.has_decay_operand + 4 * flags.has_angle_operand
    packed += 8 * flags.has_probe + 16 * flags.query_first
    return packed + 32 * flags.updates + 1024 * flags.writes + 8192 * flags.heads


@njit(inline=True)
def unpacked_flags(packed: int) -> MemoryFlags:
    """The flags that :func:`packed_flags` returns as one integer."""
    heads, updates, writes = packed // 8192, packed // 32 & 31, packed // 1024 & 7
    has_decay, has_decay_operand, has_angle_operand = packed & 1, packed & 2, packed & 4
    has_probe, query_first = packed & 8, packed & 16
    return MemoryFlags(
        heads, updates, writes, has_decay != 0, has_decay_operand != 0, has_angle_operand != 0,
        has_probe != 0, query_first != 0,
    )  # fmt: skip
