"""Matrix memories: states that decay, take in outer products and are read, for all steps of a sequence.

A memory is a matrix ``S (K, D)`` of each head of each sequence. A step takes one row of operands per head::

    u  = value + rate * (probe @ S)       u = value without probe
    S' = decay[:, None] * rotate(S) + outer(key, u)
    o  = query @ S'                       or query @ S, if the query reads before the update

A complex memory ``(K / 2, D)`` is a real one whose first rows are real parts, and whose last ones imaginary
parts. If o is the real part of a product, its query is ``[Re(query), -Im(query)]``. ``rotate`` multiplies
the memory by ``exp(i angle)``. Rows i and ``i + K / 2`` rotate by an angle of their own, and have the same
decay.

The row holds, side by side, ``value (D)``, ``key (K)`` and ``query (K)``. Then, if memories decay, there is
``decay``, ``(1)`` for the head or ``(K)`` for its rows. If they rotate, ``cosine (K / 2)`` and
``sine (K / 2)`` of the angles follow. If they are read before they are written to, ``probe (K)`` and
``rate (D)`` follow. :mod:`zoo.kernels.column_memory` computes memories with one decay for each column.

Decays and angles that are the same at every step and need no gradient, as in retnet, are not in the row. They
are fixed factors, a row for each head with ``decay``, ``cosine`` and ``sine``.

An update may add several outer products. All values then come before all keys, and the read of the probe
belongs to the last value. A step may have several updates, one after the other, each with a row of operands.
The query of the last one counts, or of the first one if queries read the memory before the step. Below, an
update is a step.

The steps of a chunk are computed together. With the memory ``S`` before the chunk and the products of decays
up to each step, ``b[t] = decay[0] * ... * decay[t]``::

    o[t] = (query[t] * b[t]) @ S + sum over s <= t of (query[t] @ k[t, s]) * u[s]     if the query reads S'
    u[t] = value[t] + rate[t] * r[t]
    r[t] = (probe[t] * b[t - 1]) @ S + sum over s < t of (probe[t] @ k[t - 1, s]) * u[s]
    S'   = b[-1][:, None] * S + sum over s of outer(k[-1, s], u[s])

where ``k[t, s] = key[s] * decay[s + 1] * ... * decay[t]`` is the rest of a key. The sums and the terms with S
are matrix products, and :mod:`zoo.kernels.memory_weights` computes the weights in the sums. All factors are
products of decays, and none is a quotient, so decays may be zero and products may underflow. Decays above one
may make products overflow, at most over one chunk: 16 decays of 256 in float32. An infinite product times
zero is NaN, also where each step alone would stay finite. The backward pass needs only the memory before each
chunk.

Within a chunk the memory does not rotate. Instead, keys, queries and probes rotate in the other direction, by
the sum of the angles up to their step, which leaves all products the same. The memory rotates once, after the
chunk.

With decays of rows, a memory of 128 x 128 takes 0.7 us a step forward and 1.7 backward, and with probe 1.1
and 2.7. One update after the other, in loops over four rows of S with all sums in registers, took 1.4 and
3.4, and 2.1 and 5.1 (AMD EPYC with AVX-512, float32, one thread).
"""

from __future__ import annotations

from typing import Any

from numba import literally  # type: ignore[attr-defined]  # not in __all__

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.chunk_products import (
    add_product_ta,
    panels_of,
    panels_of_transposed,
)
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import (
    CHUNK,
    FIXED_ROTATION,
    NO_DECAY,
    NO_ROTATION,
    ROW_DECAY,
    TRAINED_ROTATION,
    ChunkArrays,
    MemoryFlags,
    Rotation,
    packed_flags,
    unpacked_flags,
)
from zoo.kernels.memory_operands import (
    empty_chunk,
    load_chunk,
    load_fixed_angles,
    prefetch_operands,
    store_chunk_gradients,
)
from zoo.kernels.memory_rotation import (
    empty_rotation,
    memory_angle_gradient,
    operand_angles_gradient,
    rotate_memory,
    rotation_of_head,
)
from zoo.kernels.memory_weights import (
    head_decay_products,
    head_decay_products_gradient,
    head_decay_weights,
    head_decay_weights_gradient,
    row_decay_products,
    row_decay_products_gradient,
    row_decay_weights,
    row_decay_weights_gradient,
)
from zoo.kernels.prefetch import prefetch
from zoo.kernels.row_loops import add_product, add_scaled, multiply_rows, scale_and_dot, set_row, set_scaled
from zoo.kernels.vector_loops import vector_loop


@njit(inline=True)
def memory_block(steps: int, batch: int) -> int:
    """Steps of a block of the backward pass: whole chunks, or all steps.

    Args:
        steps: ``T``.
        batch: ``B``.
    """
    block = max(1, kernels.steps_per_gradient_block(steps, batch) // CHUNK) * CHUNK
    return max(1, min(steps, block))


@njit(inline=True)
def empty_memories(steps: int, batch: int, heads: int, elements: int, like: Array) -> Array:
    """An array for the memories before each chunk, ``(chunks, B, heads * elements)``."""
    return kernels.empty_sequence((steps + CHUNK - 1) // CHUNK, batch, heads * elements, like)


@njit(inline=True)
def transposed_memories(memories: Array, heads: int, rows: int, columns: int) -> Array:
    """Transpose memories ``(B, heads * columns * rows)`` to ``(B, heads * rows * columns)``."""
    made = kernels.empty((memories.shape[0], memories.shape[1]), memories)
    for head_index in range(memories.shape[0] * heads):
        source = kernels.flat_slice(memories, head_index * rows * columns, rows * columns)
        target = kernels.flat_slice(made, head_index * rows * columns, rows * columns)
        for i in range(rows):
            for j in range(columns):
                target[i * columns + j] = source[j * rows + i]
    return made


@njit(inline=True)
def exchanged_planes(memories: Array, planes: int, heads: int) -> Array:
    """Exchange the first two axes of memories ``(B, planes * heads * N)`` to ``(B, heads * planes * N)``."""
    made = kernels.empty((memories.shape[0], memories.shape[1]), memories)
    size = memories.shape[1] // (planes * heads)
    for row in range(memories.shape[0]):
        for plane in range(planes):
            for head in range(heads):
                source = kernels.flat_slice(memories, ((row * planes + plane) * heads + head) * size, size)
                set_row(
                    kernels.flat_slice(made, ((row * heads + head) * planes + plane) * size, size), source
                )
    return made


@vector_loop(1, 4)
def _add_scaled_four(target: Any, a: Any, b: Any, c: Any, d: Any, p: Any, q: Any, r: Any, s: Any) -> Any:
    return (target + a * p + b * q + c * r + d * s,)


@njit(shared=True)
def apply_probes(steps: int, chunk: ChunkArrays, writes: int) -> None:
    """Add the reads of the probes, times rates, to the last values that steps write."""
    chunk = kernels.unowned(chunk)
    values, reads, weights = chunk.values, chunk.reads, chunk.weights
    for t in range(steps):
        count = writes * t
        for n in range(0, count - 3, 4):
            _add_scaled_four(
                reads[t], values[n], values[n + 1], values[n + 2], values[n + 3],
                weights[t, n], weights[t, n + 1], weights[t, n + 2], weights[t, n + 3],
            )  # fmt: skip
        for n in range(count // 4 * 4, count):
            add_scaled(reads[t], values[n], weights[t, n])
        add_product(values[count + writes - 1], chunk.rates[t], reads[t])


@njit(inline=True)
def _set_decayed_memory(target: Array, memory: Array, decay: Array) -> None:
    """Set a memory to one times the products of the decays of a chunk, one for the head or for each row."""
    if decay.size == 1:
        set_scaled(kernels.flat(target), kernels.flat(memory), decay[0])
    else:
        for i in range(decay.size):
            set_scaled(target[i], memory[i], decay[i])


@njit(inline=True)
def memory_forward(
    rows: Array, factors: Array | None, first: int, state: Array, memories: Array, out: Array,
    heads: int, updates: int, writes: int, decays: int, rotations: int, has_fixed_decay: bool,
    has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """Run all steps, or a block of them.

    Args:
        rows: The operands of each step of each sequence, ``(block steps, B, updates * heads * ...)``.
        factors: The fixed factors of each update of each head, ``(updates * heads, ...)``; None for none.
        first: The first step of the block, at which a chunk begins.
        state: The memories before the block, ``(B, heads * K * D)``, replaced by those after it.
        memories: Receives the memories before each chunk (:func:`empty_memories`).
        out: Receives what the queries read, ``(block steps, B, heads * D)``.
        heads: Heads of a sequence.
        updates: Updates of a step, a divisor of ``CHUNK``.
        writes: Outer products of an update, at most four.
        decays: ``NO_DECAY``, ``HEAD_DECAY`` or ``ROW_DECAY`` of ``zoo.kernels.memory_chunk``, as a literal or
            an argument of your kernel: kernels are compiled for each.
        rotations: ``NO_ROTATION``, ``FIXED_ROTATION`` or ``TRAINED_ROTATION``, likewise.
        has_fixed_decay: Whether decays are fixed factors, as the angles of ``FIXED_ROTATION`` are.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """
    flags = MemoryFlags(
        heads, updates, writes, decays != NO_DECAY, decays != NO_DECAY and not has_fixed_decay,
        rotations == TRAINED_ROTATION, has_probe, query_first,
    )  # fmt: skip
    depth = state.shape[1] // (out.shape[2] // heads) // heads
    literally(decays)
    literally(rotations)
    # Arrays that a memory lacks are None, as the products of a head's decays if each row has decays. Numba
    # then does not compile the functions that use them: for delta_net, all kernels take 12.9 s of processor
    # time to compile instead of 15.6 (AMD EPYC, Zen 4).
    head_table = None if decays == ROW_DECAY else kernels.empty((CHUNK, writes * CHUNK), state)
    angle_heads = heads if rotations == FIXED_ROTATION else 1
    rotation = None if rotations == NO_ROTATION else empty_rotation(angle_heads, depth, state)
    _forward(rows, factors, first, state, memories, out, head_table, rotation, packed_flags(flags))


@njit(shared=True)
def _forward(
    rows: Array, factors: Array | None, first: int, state: Array, memories: Array, out: Array,
    head_table: Array | None, rotation: Rotation | None, packed: int,
) -> None:  # fmt: skip
    flags = unpacked_flags(packed)
    width = out.shape[2] // flags.heads
    depth = state.shape[1] // flags.heads // width
    chunk = empty_chunk(flags.writes, depth, width, depth if head_table is None else 1, state)
    # A function of its own, whose caller owns all arrays: counting references to views of them took four
    # fifths of the time.
    _forward_chunks(rows, factors, first, state, memories, out, chunk, head_table, rotation, packed)


@njit(shared=True)
def _forward_chunks(
    rows: Array, factors: Array | None, first: int, state: Array, memories: Array, out: Array,
    chunk: ChunkArrays, head_table: Array | None, rotation: Rotation | None, packed: int,
) -> None:  # fmt: skip
    rows, state, memories = kernels.unowned((rows, state, memories))
    out, chunk = kernels.unowned((out, chunk))
    # `factors` and `rotation` keep their names, since comparisons with None decide only if nothing else is
    # assigned to them.
    fixed, all_angles = kernels.unowned((factors, rotation))
    flags = unpacked_flags(packed)
    if factors is not None and rotation is not None and not flags.has_angle_operand:
        load_fixed_angles(fixed, all_angles, flags)
    heads, updates, writes, has_probe = flags.heads, flags.updates, flags.writes, flags.has_probe
    read_update = 0 if flags.query_first else updates - 1
    all_updates, batch = rows.shape[0] * updates, rows.shape[1]
    head_count = batch * heads
    size, width = state.shape[1] // heads, out.shape[2] // heads
    depth = size // width
    # All heads of a chunk before the next chunk: their operands are side by side. Chunk by chunk of each
    # head, retnet and gla took 1.03 and 1.05 times as long.
    for start in range(0, all_updates, CHUNK):
        for head_index in range(head_count):
            count = min(CHUNK, all_updates - start)
            first_query = count if has_probe else 0
            index = (first * updates + start) // CHUNK * head_count + head_index
            # Each chunk writes the memory after it to the tape, where the next one reads it. With a memory
            # that changes in place, and a copy of it before each chunk, gla took 1.01 times as long.
            flat = kernels.flat_slice(memories, index * size, size)
            flat_state = kernels.flat_slice(state, head_index * size, size)
            if start == 0:
                set_row(flat, flat_state)
            flat_after = flat_state
            if start + CHUNK < all_updates:
                flat_after = kernels.flat_slice(memories, (index + head_count) * size, size)
            memory = kernels.reshape(flat, (depth, width))
            after = kernels.reshape(flat_after, (depth, width))
            angles = rotation_of_head(all_angles, 0 if flags.has_angle_operand else head_index % heads)
            load_chunk(rows, fixed, start, count, head_index, first_query, chunk, angles, flags)
            _set_weights(count, chunk, head_table, flags)
            all_reads = kernels.slice_steps(chunk.reads, 0, first_query + count)
            kernels.set_matmul(
                kernels.slice_steps(chunk.decayed, 0, first_query + count),
                panels_of(memory, chunk.panels),
                all_reads,
            )
            if has_probe:
                apply_probes(count, chunk, writes)
            values = panels_of(kernels.slice_steps(chunk.values, 0, writes * count), chunk.panels)
            query_reads = kernels.slice_steps(chunk.reads, first_query, first_query + count)
            kernels.add_matmul(
                kernels.slice_steps(chunk.weights, first_query, first_query + count), values, query_reads
            )
            for t in range(read_update, count, updates):  # chunks begin where steps do
                row_of_out = ((start + t) // updates * head_count + head_index) * width
                set_row(kernels.flat_slice(out, row_of_out, width), query_reads[t])
            if flags.has_decay:
                _set_decayed_memory(after, memory, chunk.products[count - 1])
            else:
                set_row(flat_after, flat)
            add_product_ta(kernels.slice_steps(chunk.remaining_keys, 0, writes * count), values, after)
            if rotation is not None:
                rotate_memory(after, angles.cosines[count - 1], angles.sines[count - 1], False)


@njit(inline=True)
def _set_weights(steps: int, chunk: ChunkArrays, head_table: Array | None, flags: MemoryFlags) -> None:
    """Compute the products of readers and keys with decays, by the kind of decays."""
    if head_table is None:
        kernels.fill_zeros(chunk.weights)
        row_decay_products(steps, chunk, flags)
        row_decay_weights(steps, chunk, flags)
    else:
        head_decay_products(steps, chunk, flags)
        head_decay_weights(steps, chunk, head_table, flags)


@njit(inline=True)
def _update_gradient(
    remaining_keys: Array, written: Array, gradient: Array, dremaining_keys: Array, dwritten: Array,
    buffer: Array,
) -> None:  # fmt: skip
    """Backward pass of the sum of outer products in the memory after the chunk, whose gradient is given."""
    kernels.set_matmul(remaining_keys, panels_of(gradient, buffer), dwritten)
    kernels.set_matmul(written, panels_of_transposed(gradient, buffer), dremaining_keys)


@njit(shared=True)
def apply_probes_gradient(steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, writes: int) -> None:
    """Backward pass of :func:`apply_probes`: ``dchunk`` has the gradients of the written values."""
    chunk, dchunk = kernels.unowned((chunk, dchunk))
    dvalues, dreads = dchunk.values, dchunk.reads
    for t in range(steps - 1, -1, -1):
        count = writes * t
        multiply_rows(dchunk.rates[t], dvalues[count + writes - 1], chunk.reads[t])
        multiply_rows(dreads[t], dvalues[count + writes - 1], chunk.rates[t])
        for n in range(count):
            add_scaled(dvalues[n], dreads[t], chunk.weights[t, n])


@njit(inline=True)
def _memory_gradient(
    decayed: Array, dreads: Array, memory: Array, decay: Array, flags: MemoryFlags,
    gradient: Array, ddecayed: Array, ddecay: Array, buffer: Array,
) -> None:  # fmt: skip
    """Backward pass of reads of the memory before the chunk, and of its decay over the chunk.

    Args:
        decayed: Readers times products of decays.
        dreads: Gradients of the reads.
        memory: The memory before the chunk.
        decay: The product of all decays of the chunk.
        flags: The form of the memory.
        gradient: Gradient of the memory after the chunk, replaced by that of the memory before it.
        ddecayed: Receives the gradients of ``decayed``.
        ddecay: Receives the gradient of ``decay``, if decays are operands.
        buffer: For panels.
    """
    if flags.has_decay and not flags.has_decay_operand:
        _set_decayed_memory(gradient, gradient, decay)
    elif flags.has_decay and decay.size == 1:
        ddecay[0] = scale_and_dot(kernels.flat(gradient), kernels.flat(memory), decay[0])
    elif flags.has_decay:
        for i in range(memory.shape[0]):
            ddecay[i] = scale_and_dot(gradient[i], memory[i], decay[i])
    kernels.set_matmul(dreads, panels_of_transposed(memory, buffer), ddecayed)
    add_product_ta(decayed, panels_of(dreads, buffer), gradient)


@njit(inline=True)
def memory_backward(
    rows: Array, factors: Array | None, memories: Array, first: int, dstate: Array, dout: Array, drows: Array,
    heads: int, updates: int, writes: int, decays: int, rotations: int, has_fixed_decay: bool,
    has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The operands of each step of the block, as in :func:`memory_forward`.
        factors: As in :func:`memory_forward`.
        memories: The memories before each chunk, of all steps.
        first: The first step of the block, at which a chunk begins.
        dstate: The gradients of the memories after the block, replaced by those before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the operands.
        heads: Heads of a sequence.
        updates: As in :func:`memory_forward`.
        writes: As in :func:`memory_forward`.
        decays: As in :func:`memory_forward`.
        rotations: As in :func:`memory_forward`.
        has_fixed_decay: As in :func:`memory_forward`.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """
    flags = MemoryFlags(
        heads, updates, writes, decays != NO_DECAY, decays != NO_DECAY and not has_fixed_decay,
        rotations == TRAINED_ROTATION, has_probe, query_first,
    )  # fmt: skip
    depth = dstate.shape[1] // (dout.shape[2] // heads) // heads
    literally(decays)
    literally(rotations)
    head_table = None if decays == ROW_DECAY else kernels.empty((CHUNK, writes * CHUNK), dstate)
    dhead_table = None if decays == ROW_DECAY else kernels.empty((CHUNK, writes * CHUNK), dstate)
    angle_heads = heads if rotations == FIXED_ROTATION else 1
    rotation = None if rotations == NO_ROTATION else empty_rotation(angle_heads, depth, dstate)
    dangles = kernels.empty((CHUNK, depth // 2), dstate) if rotations == TRAINED_ROTATION else None
    packed = packed_flags(flags)
    _backward(
        rows,
        factors,
        memories,
        first,
        dstate,
        dout,
        drows,
        head_table,
        dhead_table,
        rotation,
        dangles,
        packed,
    )


@njit(shared=True)
def _backward(
    rows: Array, factors: Array | None, memories: Array, first: int, dstate: Array, dout: Array, drows: Array,
    head_table: Array | None, dhead_table: Array | None, rotation: Rotation | None, dangles: Array | None,
    packed: int,
) -> None:  # fmt: skip
    flags = unpacked_flags(packed)
    width = dout.shape[2] // flags.heads
    depth = dstate.shape[1] // flags.heads // width
    decay_size = depth if head_table is None else 1
    chunk = empty_chunk(flags.writes, depth, width, decay_size, dstate)
    dchunk = empty_chunk(flags.writes, depth, width, decay_size, dstate)
    _backward_chunks(
        rows,
        factors,
        memories,
        first,
        dstate,
        dout,
        drows,
        chunk,
        dchunk,
        head_table,
        dhead_table,
        rotation,
        dangles,
        packed,
    )


@njit(shared=True)
def _backward_chunks(
    rows: Array, factors: Array | None, memories: Array, first: int, dstate: Array, dout: Array, drows: Array,
    chunk: ChunkArrays, dchunk: ChunkArrays,
    head_table: Array | None, dhead_table: Array | None, rotation: Rotation | None, dangles: Array | None,
    packed: int,
) -> None:  # fmt: skip
    rows, memories, dstate, dout, drows = kernels.unowned((rows, memories, dstate, dout, drows))
    chunk, dchunk = kernels.unowned((chunk, dchunk))
    # As in the forward pass, `factors`, `rotation` and `dangles` keep their names.
    fixed, all_angles, angle_gradients = kernels.unowned((factors, rotation, dangles))
    flags = unpacked_flags(packed)
    if factors is not None and rotation is not None and not flags.has_angle_operand:
        load_fixed_angles(fixed, all_angles, flags)
    heads, updates, writes, has_probe = flags.heads, flags.updates, flags.writes, flags.has_probe
    read_update = 0 if flags.query_first else updates - 1
    all_updates, batch = rows.shape[0] * updates, rows.shape[1]
    head_count = batch * heads
    size, width = dstate.shape[1] // heads, dout.shape[2] // heads
    depth = size // width
    for start in range((all_updates - 1) // CHUNK * CHUNK, -1, -CHUNK):
        for head_index in range(head_count):
            gradient = kernels.reshape(kernels.flat_slice(dstate, head_index * size, size), (depth, width))
            count = min(CHUNK, all_updates - start)
            index = (first * updates + start) // CHUNK * head_count + head_index
            memory = kernels.reshape(kernels.flat_slice(memories, index * size, size), (depth, width))
            first_query = count if has_probe else 0
            total = first_query + count
            angles = rotation_of_head(all_angles, 0 if flags.has_angle_operand else head_index % heads)
            load_chunk(rows, fixed, start, count, head_index, first_query, chunk, angles, flags)
            # The tape comes from the third-level cache, in short pieces. Without prefetching, the backward
            # pass of retnet took 0.3 ms more, of 9 (AMD EPYC, Zen 4). In the forward pass, which has just
            # computed the operands, prefetching took 2 to 4 % more time.
            prefetch(memory)
            if head_index + 1 < head_count:
                prefetch_operands(rows, start, count, head_index + 1, flags)
            if updates > 1:
                kernels.fill_zeros(dchunk.reads)
            for t in range(read_update, count, updates):
                row_of_out = ((start + t) // updates * head_count + head_index) * width
                set_row(dchunk.reads[first_query + t], kernels.flat_slice(dout, row_of_out, width))
            if rotation is not None:
                rotate_memory(gradient, angles.cosines[count - 1], angles.sines[count - 1], True)
            _set_weights(count, chunk, head_table, flags)
            decayed = kernels.slice_steps(chunk.decayed, 0, total)
            if has_probe:
                kernels.set_matmul(
                    kernels.slice_steps(decayed, 0, count),
                    panels_of(memory, chunk.panels),
                    kernels.slice_steps(chunk.reads, 0, count),
                )
                apply_probes(count, chunk, writes)
            values = kernels.slice_steps(chunk.values, 0, writes * count)
            dvalues = kernels.slice_steps(dchunk.values, 0, writes * count)
            remaining_keys = kernels.slice_steps(chunk.remaining_keys, 0, writes * count)
            dremaining_keys = kernels.slice_steps(dchunk.remaining_keys, 0, writes * count)
            _update_gradient(remaining_keys, values, gradient, dremaining_keys, dvalues, chunk.panels)
            if dangles is not None:
                kernels.fill_zeros(angle_gradients)
                memory_angle_gradient(
                    memory, gradient, chunk.products[count - 1], remaining_keys, dremaining_keys,
                    angle_gradients[count - 1],
                )  # fmt: skip
            add_product_ta(
                kernels.slice_steps(chunk.weights, first_query, total),
                panels_of(kernels.slice_steps(dchunk.reads, first_query, total), chunk.panels),
                dvalues,
            )
            if has_probe:
                apply_probes_gradient(count, chunk, dchunk, writes)
            dreads = kernels.slice_steps(dchunk.reads, 0, total)
            if count < CHUNK:
                kernels.fill_zeros(dchunk.weights)
            panels = panels_of_transposed(values, chunk.panels)
            kernels.set_matmul_offset(
                dreads, 0, panels, kernels.slice_steps(dchunk.weights, 0, total), 0, writes * count
            )
            _memory_gradient(
                decayed, dreads, memory, chunk.products[count - 1], flags,
                gradient, kernels.slice_steps(dchunk.decayed, 0, total), dchunk.products[0],
                chunk.panels,
            )  # fmt: skip
            if head_table is None or dhead_table is None:
                row_decay_products_gradient(count, chunk, dchunk, flags)
                row_decay_weights_gradient(count, chunk, dchunk, flags)
            else:
                head_decay_products_gradient(count, chunk, dchunk, flags)
                head_decay_weights_gradient(count, chunk, dchunk, head_table, dhead_table, flags)
            if dangles is not None:
                operand_angles_gradient(count, chunk, dchunk, angle_gradients, flags)
            store_chunk_gradients(
                drows, rows, start, count, head_index, first_query, dchunk, angles, angle_gradients, flags
            )
