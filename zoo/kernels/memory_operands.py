"""Operands of the steps of a matrix memory: arrays of a chunk, and copies between them and the rows of steps.

:mod:`zoo.kernels.matrix_memory` has the order of the operands in a row.
"""

from __future__ import annotations

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.chunk_products import empty_panels
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import CHUNK, ChunkArrays, MemoryFlags, Rotation
from zoo.kernels.memory_rotation import angle_gradient, load_angle, rotation_of_head, set_rotated_row
from zoo.kernels.prefetch import prefetch
from zoo.kernels.row_loops import set_row


@njit(inline=True)
def empty_chunk(writes: int, depth: int, width: int, decay_size: int, like: Array) -> ChunkArrays:
    """Arrays for the values of a chunk, or for their gradients."""
    decay = kernels.empty((CHUNK, decay_size), like)
    kernels.flat(decay)[:] = 1
    return ChunkArrays(
        kernels.empty((writes * CHUNK, width), like),  # values
        kernels.empty((writes * CHUNK, depth), like),  # keys
        kernels.empty((2 * CHUNK, depth), like),  # readers
        decay,
        kernels.empty((CHUNK, width), like),  # rates
        kernels.empty((CHUNK, decay_size), like),  # products
        kernels.empty((writes * CHUNK, depth), like),  # remaining keys
        kernels.empty((2 * CHUNK, depth), like),  # decayed
        kernels.empty((2 * CHUNK, width), like),  # reads
        kernels.empty((2 * CHUNK, writes * CHUNK), like),  # dots
        kernels.empty((2 * CHUNK, writes * CHUNK), like),  # weights
        empty_panels(max(depth, width, max(writes, 2) * CHUNK), like),
    )


@njit(inline=True)
def _row_number(update: int, head_index: int, batch: int, heads: int, updates: int) -> int:
    """Index of the row of an update; rows are ordered by step, sequence, update of the step and head."""
    sequence = update // updates * batch + head_index // heads
    return (sequence * updates + update % updates) * heads + head_index % heads


@njit(inline=True)
def _factors_of_update(factors: Array, update: int, head_index: int, flags: MemoryFlags) -> Array:
    """The fixed factors of an update of a head, given those of all updates of a step, in rows."""
    size = factors.shape[1]
    number = update % flags.updates * flags.heads + head_index % flags.heads
    return kernels.flat_slice(factors, number * size, size)


@njit(shared=True)
def load_fixed_angles(factors: Array, rotation: Rotation, flags: MemoryFlags) -> None:
    """Set the sums of the angles up to each step of a chunk, for all heads, from the fixed factors."""
    factors, rotation = kernels.unowned((factors, rotation))
    start = factors.shape[1] - 2 * rotation.cosines.shape[1]
    for head in range(flags.heads):
        angles = rotation_of_head(rotation, head)
        for t in range(CHUNK):
            load_angle(_factors_of_update(factors, t, head, flags), start, t, angles)


@njit(inline=True)
def _load_operands(
    row: Array,
    factors: Array,
    t: int,
    first_query: int,
    chunk: ChunkArrays,
    rotation: Rotation | None,
    flags: MemoryFlags,
) -> None:
    """Copy the operands of step ``t`` of a chunk to its arrays.

    Args:
        row: The operands.
        factors: The fixed factors, if there are any.
        t: The step.
        first_query: Row of the first query among the readers.
        chunk: The arrays.
        rotation: The sums of the angles up to each step, if the memory rotates. Receives that of this step
            if the angle is an operand.
        flags: The form of the memory.
    """
    values, keys, readers, decay, rates = chunk.values, chunk.keys, chunk.readers, chunk.decay, chunk.rates
    writes, width, depth = flags.writes, values.shape[1], keys.shape[1]
    set_row(
        kernels.flat_slice(values, writes * t * width, writes * width),
        kernels.flat_slice(row, 0, writes * width),
    )
    first_key = writes * width
    query = first_key + writes * depth
    start = query + depth
    if flags.has_decay:
        source, first_decay = (row, start) if flags.has_decay_operand else (factors, 0)
        # A loop would store one decay with a mask, and the next load would wait until it is in the cache:
        # both passes of retnet took 1.04 times as long (AMD EPYC, Zen 4).
        if decay.shape[1] == 1:
            decay[t, 0] = source[first_decay]
        else:
            set_row(decay[t], kernels.flat_slice(source, first_decay, decay.shape[1]))
    if flags.has_decay_operand:
        start += decay.shape[1]
    if rotation is not None:
        if flags.has_angle_operand:
            load_angle(row, start, t, rotation)
            start += depth
        # The copy rotates. With a loop over all rows after it, the backward pass took 0.5 us more for a chunk
        # of a memory of 32 x 32, 6 % (AMD EPYC, Zen 4, float32).
        for n in range(writes):
            key = kernels.flat_slice(row, first_key + n * depth, depth)
            set_rotated_row(keys[writes * t + n], key, t, rotation, True)
    else:
        set_row(
            kernels.flat_slice(keys, writes * t * depth, writes * depth),
            kernels.flat_slice(row, first_key, writes * depth),
        )
    last = t - 1 if flags.query_first else t  # the last step whose angle rotates the query
    set_rotated_row(readers[first_query + t], kernels.flat_slice(row, query, depth), last, rotation, True)
    if flags.has_probe:
        set_rotated_row(readers[t], kernels.flat_slice(row, start, depth), t - 1, rotation, True)
        set_row(rates[t], kernels.flat_slice(row, start + depth, width))


@njit(inline=True)
def _store_gradients(
    drow: Array,
    row: Array,
    t: int,
    first_query: int,
    dchunk: ChunkArrays,
    rotation: Rotation | None,
    dangles: Array | None,
    flags: MemoryFlags,
) -> None:
    """Copy the gradients of step ``t`` of a chunk to the gradients of its row of operands.

    The gradients of cosine and sine have no part along the radius: only the gradient of the angle is defined.
    """
    values, keys, readers, decay = dchunk.values, dchunk.keys, dchunk.readers, dchunk.decay
    writes, width, depth = flags.writes, values.shape[1], keys.shape[1]
    set_row(
        kernels.flat_slice(drow, 0, writes * width),
        kernels.flat_slice(values, writes * t * width, writes * width),
    )
    start = writes * width
    if rotation is not None:
        for n in range(writes):
            dkey = kernels.flat_slice(drow, start + n * depth, depth)
            set_rotated_row(dkey, keys[writes * t + n], t, rotation, False)
    else:
        set_row(
            kernels.flat_slice(drow, start, writes * depth),
            kernels.flat_slice(keys, writes * t * depth, writes * depth),
        )
    start += writes * depth
    last = t - 1 if flags.query_first else t  # the last step whose angle rotates the query
    set_rotated_row(kernels.flat_slice(drow, start, depth), readers[first_query + t], last, rotation, False)
    start += depth
    if flags.has_decay_operand:
        set_row(kernels.flat_slice(drow, start, decay.shape[1]), decay[t])
        start += decay.shape[1]
    if dangles is not None:
        half = depth // 2
        cosine, sine = kernels.flat_slice(row, start, half), kernels.flat_slice(row, start + half, half)
        dcosine, dsine = kernels.flat_slice(drow, start, half), kernels.flat_slice(drow, start + half, half)
        angle_gradient(dcosine, dsine, cosine, sine, dangles[t])
        start += depth
    if flags.has_probe:
        set_rotated_row(kernels.flat_slice(drow, start, depth), readers[t], t - 1, rotation, False)
        set_row(kernels.flat_slice(drow, start + depth, width), dchunk.rates[t])


@njit(inline=True)
def _row_of_update(rows: Array, update: int, head_index: int, flags: MemoryFlags) -> Array:
    """The operands of an update of one head of one sequence, given those of all steps."""
    size = rows.shape[2] // (flags.heads * flags.updates)
    number = _row_number(update, head_index, rows.shape[1], flags.heads, flags.updates)
    return kernels.flat_slice(rows, number * size, size)


@njit(inline=True)
def load_chunk(
    rows: Array,
    factors: Array | None,
    start: int,
    count: int,
    head_index: int,
    first_query: int,
    chunk: ChunkArrays,
    rotation: Rotation | None,
    flags: MemoryFlags,
) -> None:
    """Copy the operands of the updates of a chunk to its arrays.

    Args:
        rows: The operands of all steps.
        factors: The fixed factors of each head; None if there are none.
        start: The first update.
        count: Number of updates.
        head_index: Index of the head, counted over all sequences.
        first_query: Row of the first query among the readers.
        chunk: The arrays.
        rotation: The sums of the angles up to each step, if the memory rotates. Receives them if the angles
            are operands.
        flags: The form of the memory.
    """
    for t in range(count):
        row = _row_of_update(rows, start + t, head_index, flags)
        own = row if factors is None else _factors_of_update(factors, t, head_index, flags)
        _load_operands(row, own, t, first_query, chunk, rotation, flags)


@njit(inline=True)
def prefetch_operands(rows: Array, start: int, count: int, head_index: int, flags: MemoryFlags) -> None:
    """Prefetch the operands of the updates of a chunk, see :func:`load_chunk`."""
    for t in range(count):
        prefetch(_row_of_update(rows, start + t, head_index, flags))


@njit(inline=True)
def store_chunk_gradients(
    drows: Array, rows: Array, start: int, count: int, head_index: int, first_query: int,
    dchunk: ChunkArrays, rotation: Rotation | None, dangles: Array | None, flags: MemoryFlags,
) -> None:  # fmt: skip
    """Copy the gradients of a chunk to the gradients of the operands; see :func:`load_chunk`.

    ``dangles`` has the gradients of the angles, if they are trained.
    """
    for t in range(count):
        drow = _row_of_update(drows, start + t, head_index, flags)
        row = _row_of_update(rows, start + t, head_index, flags)
        _store_gradients(drow, row, t, first_query, dchunk, rotation, dangles, flags)
