"""Arrays of a chunk of steps of a matrix memory, and the flags of the form of the memory.

:mod:`zoo.kernels.matrix_memory` has the equations.
"""

from __future__ import annotations

from typing import NamedTuple

from zoo.array_types import Array


class MemoryFlags(NamedTuple):
    """The form of a matrix memory.

    Args:
        heads: Heads of a sequence.
        updates: Updates of a step.
        writes: Outer products of an update.
        decays: 0 if memories do not decay, 1 with one decay for each head, 2 with one for each row.
        rotations: 0 if memories do not rotate, 1 if their angles need no gradients, otherwise 2.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """

    heads: int
    updates: int
    writes: int
    decays: int
    rotations: int
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
        decay: Decays, ``(CHUNK, 1)`` or ``(CHUNK, K)``; ones without decays.
        rates: Factors of the reads of probes, ``(CHUNK, D)``.
        cosines: Cosines of angles, ``(CHUNK, K / 2)``; among gradients, the gradients of the angles.
        sines: Sines of angles, ``(CHUNK, K / 2)``.
        products: Products of the decays up to each step, in the shape of ``decay``.
        table: Products of the decays between two steps, ``(CHUNK, W)``, with one decay for each head.
        remaining_keys: The rest of each key at the end of the chunk, ``(W, K)``.
        decayed: Readers times products of decays, ``(2 * CHUNK, K)``.
        reads: Results of the readers, ``(2 * CHUNK, D)``.
        dots: Products of readers and keys, ``(2 * CHUNK, W)``, with one decay for each head.
        weights: Weights of the values in the reads, ``(2 * CHUNK, W)``.
    """

    values: Array
    keys: Array
    readers: Array
    decay: Array
    rates: Array
    cosines: Array
    sines: Array
    products: Array
    table: Array
    remaining_keys: Array
    decayed: Array
    reads: Array
    dots: Array
    weights: Array
