"""Matrix memories with momentum, for all steps of a sequence.

A memory ``M`` and its momentum ``P`` are matrices ``(K, D)`` of each head of each sequence. A step takes one
row of operands per head::

    u  = value + rate * (probe @ M)       u = value without probe
    P' = keep * P + outer(key, u)
    M' = decay * M + gain * P'
    o  = query @ M'                       or query @ M, if the query reads before the update

``decay``, ``keep`` and ``gain`` are numbers. The row holds, side by side, ``value (D)``, ``key (K)``,
``query (K)``, ``decay (1)``, ``keep (1)`` and ``gain (1)``. If the memory is read before it is written to,
``probe (K)`` and ``rate (D)`` follow.

The steps of a chunk are computed together. M after a step is a sum with scalar factors: of M and P before the
chunk, and of the outer products of the steps so far. Two tables of factors, for M and for P, have a row for
the time before the chunk and for the time after each step, and a column for each term. A row follows from the
row before it::

    p[t + 1] = keep[t] * p[t], and 1 for the outer product of step t
    m[t + 1] = decay[t] * m[t] + gain[t] * p[t + 1]

Matrix products then compute the reads and the matrices after the chunk, as in
:mod:`zoo.kernels.matrix_memory`.

``titans`` takes 6.1 us a token forward and 12.5 backward. With updates step by step, it took 22 and 16
(T=256, B=8, H=128, float32, one thread of an AMD EPYC, Zen 3).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.chunk_products import add_product_ta, panels_of, panels_of_transposed
from zoo.kernels.jit import njit
from zoo.kernels.matrix_memory import apply_probes, apply_probes_gradient
from zoo.kernels.memory_chunk import (
    CHUNK,
    ChunkArrays,
    MemoryFlags,
    packed_flags,
    unpacked_flags,
)
from zoo.kernels.memory_operands import empty_chunk, load_chunk, store_chunk_gradients
from zoo.kernels.row_loops import add_product, add_scaled, dot, multiply_rows, scale_row, set_row, set_scaled
from zoo.kernels.vector_loops import vector_loop

_FACTORS_OF_STEP = 3
"""Numbers of a step: decay, keep and gain."""


class MomentumArrays(NamedTuple):
    """Values of a chunk that :class:`.ChunkArrays` lacks, or their gradients.

    Args:
        memory_factors: Factors of the terms of M, ``(CHUNK + 1, CHUNK + 2)``. The last two columns belong to
            M and P before the chunk, and the others to the outer products.
        momentum_factors: Factors of the terms of P.
        decayed: Readers times the factor of P before the chunk, ``(2 * CHUNK, K)``.
        remaining_keys: Keys times their factors in P after the chunk, ``(CHUNK, K)``.
    """

    memory_factors: Array
    momentum_factors: Array
    decayed: Array
    remaining_keys: Array


@vector_loop(1, 2)
def _add_two(_target: Any, a: Any, b: Any, p: Any, q: Any) -> Any:
    return (a * p + b * q,)


@njit(inline=True)
def _empty_momentum_arrays(depth: int, like: Array) -> MomentumArrays:
    return MomentumArrays(
        kernels.empty((CHUNK + 1, CHUNK + 2), like),
        kernels.empty((CHUNK + 1, CHUNK + 2), like),
        kernels.empty((2 * CHUNK, depth), like),
        kernels.empty((CHUNK, depth), like),
    )


@njit(inline=True)
def _row_of_reader(reader: int, steps: int, flags: MemoryFlags) -> int:
    """Row of the table with the factors of M that a reader reads; probes come before queries."""
    if flags.has_probe and reader < steps:
        return reader
    return reader % steps + (0 if flags.query_first else 1)


@njit(inline=True)
def _set_factors(steps: int, decay: Array, memory_factors: Array, momentum_factors: Array) -> None:
    """Set both tables."""
    kernels.fill_zeros(memory_factors)
    kernels.fill_zeros(momentum_factors)
    memory_factors[0, CHUNK] = 1
    momentum_factors[0, CHUNK + 1] = 1
    for t in range(steps):
        set_scaled(momentum_factors[t + 1], momentum_factors[t], decay[t, 1])
        momentum_factors[t + 1, t] = 1
        _add_two(memory_factors[t + 1], memory_factors[t], momentum_factors[t + 1], decay[t, 0], decay[t, 2])


@njit(inline=True)
def _set_weights(
    steps: int, total: int, chunk: ChunkArrays, extra: MomentumArrays, flags: MemoryFlags
) -> None:
    """Set both tables, ``dots``, ``decayed``, ``remaining_keys`` and ``weights``, the weights of values."""
    _set_factors(steps, chunk.decay, extra.memory_factors, extra.momentum_factors)
    dots, readers = kernels.slice_steps(chunk.dots, 0, total), kernels.slice_steps(chunk.readers, 0, total)
    if steps < CHUNK:
        kernels.fill_zeros(dots)
    panels = panels_of_transposed(kernels.slice_steps(chunk.keys, 0, steps), chunk.panels)
    kernels.set_matmul_offset(readers, 0, panels, dots, 0, steps)
    for r in range(total):
        factors = extra.memory_factors[_row_of_reader(r, steps, flags)]
        multiply_rows(chunk.weights[r], chunk.dots[r], kernels.flat_slice(factors, 0, CHUNK))
        set_scaled(chunk.decayed[r], chunk.readers[r], factors[CHUNK])
        set_scaled(extra.decayed[r], chunk.readers[r], factors[CHUNK + 1])
    for n in range(steps):
        set_scaled(chunk.remaining_keys[n], chunk.keys[n], extra.memory_factors[steps, n])
        set_scaled(extra.remaining_keys[n], chunk.keys[n], extra.momentum_factors[steps, n])


@njit(inline=True)
def _read_memories(
    count: int, chunk: ChunkArrays, extra: MomentumArrays, memory: Array, momentum: Array
) -> None:
    """Set the parts of the first reads with the memory and the momentum before the chunk."""
    reads = kernels.slice_steps(chunk.reads, 0, count)
    decayed = kernels.slice_steps(chunk.decayed, 0, count)
    kernels.set_matmul(decayed, panels_of(memory, chunk.panels), reads)
    decayed = kernels.slice_steps(extra.decayed, 0, count)
    kernels.add_matmul(decayed, panels_of(momentum, chunk.panels), reads)


@njit(inline=True)
def momentum_memory_forward(
    rows: Array, first: int, state: Array, momentum: Array, memories: Array, momenta: Array, out: Array,
    heads: int, has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """Run all steps, or a block of them.

    Args:
        rows: The operands of each step of each sequence, ``(block steps, B, heads * ...)``.
        first: The first step of the block, at which a chunk begins.
        state: The memories before the block, ``(B, heads * K * D)``, replaced by those after it.
        momentum: The momenta before the block, replaced by those after it.
        memories: Receives the memories before each chunk (:func:`zoo.kernels.empty_memories`).
        momenta: Receives the momenta before each chunk.
        out: Receives what the queries read, ``(block steps, B, heads * D)``.
        heads: Heads of a sequence.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """
    # With decays, load_chunk copies the three factors of a step.
    flags = packed_flags(
        MemoryFlags(
            heads,
            updates=1,
            writes=1,
            has_decay=True,
            has_decay_operand=True,
            has_angle_operand=False,
            has_probe=has_probe,
            query_first=query_first,
        )
    )
    _forward(rows, first, state, momentum, memories, momenta, out, flags)


@njit(shared=True)
def _forward(
    rows: Array, first: int, state: Array, momentum: Array, memories: Array, momenta: Array, out: Array,
    packed: int,
) -> None:  # fmt: skip
    flags = unpacked_flags(packed)
    width = out.shape[2] // flags.heads
    depth = state.shape[1] // flags.heads // width
    chunk, extra = empty_chunk(1, depth, width, _FACTORS_OF_STEP, state), _empty_momentum_arrays(depth, state)
    _forward_chunks(rows, first, state, momentum, memories, momenta, out, chunk, extra, packed)


@njit(shared=True)
def _forward_chunks(
    rows: Array, first: int, state: Array, momentum: Array, memories: Array, momenta: Array, out: Array,
    chunk: ChunkArrays, extra: MomentumArrays, packed: int,
) -> None:  # fmt: skip
    rows, state, momentum, out = kernels.unowned((rows, state, momentum, out))
    memories, momenta, chunk, extra = kernels.unowned((memories, momenta, chunk, extra))
    flags = unpacked_flags(packed)
    steps, batch = rows.shape[0], rows.shape[1]
    heads, head_count = flags.heads, batch * flags.heads
    size, width = state.shape[1] // heads, out.shape[2] // heads
    depth = size // width
    for head_index in range(head_count):
        flat_memory = kernels.flat_slice(state, head_index * size, size)
        flat_momentum = kernels.flat_slice(momentum, head_index * size, size)
        M = kernels.reshape(flat_memory, (depth, width))
        P = kernels.reshape(flat_momentum, (depth, width))
        for start in range(0, steps, CHUNK):
            count = min(CHUNK, steps - start)
            first_query = count if flags.has_probe else 0  # the first row of the queries
            index = (first + start) // CHUNK * head_count + head_index
            set_row(kernels.flat_slice(memories, index * size, size), flat_memory)
            set_row(kernels.flat_slice(momenta, index * size, size), flat_momentum)
            load_chunk(rows, None, start, count, head_index, first_query, chunk, None, flags)
            _set_weights(count, first_query + count, chunk, extra, flags)
            _read_memories(first_query + count, chunk, extra, M, P)
            if flags.has_probe:
                apply_probes(count, chunk, 1)
            values = panels_of(kernels.slice_steps(chunk.values, 0, count), chunk.panels)
            query_reads = kernels.slice_steps(chunk.reads, first_query, first_query + count)
            weights = kernels.slice_steps(chunk.weights, first_query, first_query + count)
            kernels.add_matmul(weights, values, query_reads)
            for t in range(count):
                row_of_out = ((start + t) * head_count + head_index) * width
                set_row(kernels.flat_slice(out, row_of_out, width), query_reads[t])
            last = extra.memory_factors[count]
            scale_row(flat_memory, last[CHUNK])
            add_scaled(flat_memory, flat_momentum, last[CHUNK + 1])
            scale_row(flat_momentum, extra.momentum_factors[count, CHUNK + 1])
            add_product_ta(kernels.slice_steps(chunk.remaining_keys, 0, count), values, M)
            add_product_ta(kernels.slice_steps(extra.remaining_keys, 0, count), values, P)


@njit(inline=True)
def momentum_memory_backward(
    rows: Array, memories: Array, momenta: Array, first: int, dstate: Array, dmomentum: Array,
    dout: Array, drows: Array, heads: int, has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The operands of each step of the block, as in :func:`momentum_memory_forward`.
        memories: The memories before each chunk, of all steps.
        momenta: The momenta before each chunk, of all steps.
        first: The first step of the block, at which a chunk begins.
        dstate: The gradients of the memories after the block, replaced by those before it.
        dmomentum: The gradients of the momenta after the block, replaced by those before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the operands.
        heads: Heads of a sequence.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """
    # As in the forward pass: a function for both changed the machine code of titans.
    flags = packed_flags(
        MemoryFlags(
            heads,
            updates=1,
            writes=1,
            has_decay=True,
            has_decay_operand=True,
            has_angle_operand=False,
            has_probe=has_probe,
            query_first=query_first,
        )
    )
    _backward(rows, memories, momenta, first, dstate, dmomentum, dout, drows, flags)


@njit(shared=True)
def _backward(
    rows: Array, memories: Array, momenta: Array, first: int, dstate: Array, dmomentum: Array,
    dout: Array, drows: Array, packed: int,
) -> None:  # fmt: skip
    flags = unpacked_flags(packed)
    width = dout.shape[2] // flags.heads
    depth = dstate.shape[1] // flags.heads // width
    chunk, extra = (
        empty_chunk(1, depth, width, _FACTORS_OF_STEP, dstate),
        _empty_momentum_arrays(depth, dstate),
    )
    dchunk, dextra = (
        empty_chunk(1, depth, width, _FACTORS_OF_STEP, dstate),
        _empty_momentum_arrays(depth, dstate),
    )
    _backward_chunks(
        rows, memories, momenta, first, dstate, dmomentum, dout, drows, chunk, extra, dchunk, dextra, packed
    )


@njit(shared=True)
def _backward_chunks(
    rows: Array, memories: Array, momenta: Array, first: int, dstate: Array, dmomentum: Array,
    dout: Array, drows: Array, chunk: ChunkArrays, extra: MomentumArrays, dchunk: ChunkArrays,
    dextra: MomentumArrays, packed: int,
) -> None:  # fmt: skip
    rows, memories, momenta, dstate = kernels.unowned((rows, memories, momenta, dstate))
    dmomentum, dout, drows = kernels.unowned((dmomentum, dout, drows))
    chunk, extra, dchunk, dextra = kernels.unowned((chunk, extra, dchunk, dextra))
    flags = unpacked_flags(packed)
    steps, batch = rows.shape[0], rows.shape[1]
    heads, head_count = flags.heads, batch * flags.heads
    size, width = dstate.shape[1] // heads, dout.shape[2] // heads
    depth = size // width
    for head_index in range(head_count):
        dM = kernels.reshape(kernels.flat_slice(dstate, head_index * size, size), (depth, width))
        dP = kernels.reshape(kernels.flat_slice(dmomentum, head_index * size, size), (depth, width))
        for start in range((steps - 1) // CHUNK * CHUNK, -1, -CHUNK):
            count = min(CHUNK, steps - start)
            first_query = count if flags.has_probe else 0
            total = first_query + count
            index = (first + start) // CHUNK * head_count + head_index
            M = kernels.reshape(kernels.flat_slice(memories, index * size, size), (depth, width))
            P = kernels.reshape(kernels.flat_slice(momenta, index * size, size), (depth, width))
            load_chunk(rows, None, start, count, head_index, first_query, chunk, None, flags)
            for t in range(count):
                row_of_out = ((start + t) * head_count + head_index) * width
                set_row(dchunk.reads[first_query + t], kernels.flat_slice(dout, row_of_out, width))
            _set_weights(count, total, chunk, extra, flags)
            if flags.has_probe:
                _read_memories(count, chunk, extra, M, P)
                apply_probes(count, chunk, 1)
            kernels.fill_zeros(dextra.memory_factors)
            kernels.fill_zeros(dextra.momentum_factors)
            _update_gradient(count, chunk, extra, dchunk, dextra, dM, dP)
            add_product_ta(
                kernels.slice_steps(chunk.weights, first_query, total),
                panels_of(kernels.slice_steps(dchunk.reads, first_query, total), chunk.panels),
                kernels.slice_steps(dchunk.values, 0, count),
            )
            if flags.has_probe:
                apply_probes_gradient(count, chunk, dchunk, 1)
            _read_gradient(count, total, chunk, extra, dchunk, dextra, M, P, dM, dP, flags)
            _factors_gradient(count, chunk.decay, extra, dextra, dchunk.decay)
            store_chunk_gradients(
                drows, rows, start, count, head_index, first_query, dchunk, None, None, flags
            )


@njit(inline=True)
def _update_gradient(
    steps: int, chunk: ChunkArrays, extra: MomentumArrays, dchunk: ChunkArrays, dextra: MomentumArrays,
    dM: Array, dP: Array,
) -> None:  # fmt: skip
    """Backward pass of the outer products in both matrices after the chunk, whose gradients are given.

    It sets the gradients of keys and values, and adds to those of factors.
    """
    values, dvalues = (
        kernels.slice_steps(chunk.values, 0, steps),
        kernels.slice_steps(dchunk.values, 0, steps),
    )
    dkeys_of_memory = kernels.slice_steps(dchunk.remaining_keys, 0, steps)
    dkeys_of_momentum = kernels.slice_steps(dextra.remaining_keys, 0, steps)
    panels = chunk.panels
    kernels.set_matmul(kernels.slice_steps(chunk.remaining_keys, 0, steps), panels_of(dM, panels), dvalues)
    kernels.add_matmul(kernels.slice_steps(extra.remaining_keys, 0, steps), panels_of(dP, panels), dvalues)
    kernels.set_matmul(values, panels_of_transposed(dM, panels), dkeys_of_memory)
    kernels.set_matmul(values, panels_of_transposed(dP, panels), dkeys_of_momentum)
    last, last_of_momentum = extra.memory_factors[steps], extra.momentum_factors[steps]
    for n in range(steps):
        dextra.memory_factors[steps, n] += dot(dkeys_of_memory[n], chunk.keys[n])
        dextra.momentum_factors[steps, n] += dot(dkeys_of_momentum[n], chunk.keys[n])
        _add_two(dchunk.keys[n], dkeys_of_memory[n], dkeys_of_momentum[n], last[n], last_of_momentum[n])


@njit(inline=True)
def _read_gradient(
    steps: int, total: int, chunk: ChunkArrays, extra: MomentumArrays, dchunk: ChunkArrays,
    dextra: MomentumArrays, M: Array, P: Array, dM: Array, dP: Array, flags: MemoryFlags,
) -> None:  # fmt: skip
    """Backward pass of all reads, and of the matrices before the chunk in those after it.

    It sets the gradients of readers, adds to those of keys and factors, and replaces those of both matrices.
    """
    dreads, dweights = (
        kernels.slice_steps(dchunk.reads, 0, total),
        kernels.slice_steps(dchunk.weights, 0, total),
    )
    ddecayed, ddecayed_of_momentum = (
        kernels.slice_steps(dchunk.decayed, 0, total),
        kernels.slice_steps(dextra.decayed, 0, total),
    )
    if steps < CHUNK:
        kernels.fill_zeros(dweights)
    panels = panels_of_transposed(kernels.slice_steps(chunk.values, 0, steps), chunk.panels)
    kernels.set_matmul_offset(dreads, 0, panels, dweights, 0, steps)
    kernels.set_matmul(dreads, panels_of_transposed(M, chunk.panels), ddecayed)
    kernels.set_matmul(dreads, panels_of_transposed(P, chunk.panels), ddecayed_of_momentum)
    for r in range(total):
        row = _row_of_reader(r, steps, flags)
        factors, dfactors = extra.memory_factors[row], dextra.memory_factors[row]
        add_product(kernels.flat_slice(dfactors, 0, CHUNK), dchunk.weights[r], chunk.dots[r])
        multiply_rows(dchunk.weights[r], dchunk.weights[r], kernels.flat_slice(factors, 0, CHUNK))
        dfactors[CHUNK] += dot(ddecayed[r], chunk.readers[r])
        dfactors[CHUNK + 1] += dot(ddecayed_of_momentum[r], chunk.readers[r])
        _add_two(dchunk.readers[r], ddecayed[r], ddecayed_of_momentum[r], factors[CHUNK], factors[CHUNK + 1])
    keys, readers = kernels.slice_steps(chunk.keys, 0, steps), kernels.slice_steps(chunk.readers, 0, total)
    kernels.add_matmul(dweights, panels_of(keys, chunk.panels), kernels.slice_steps(dchunk.readers, 0, total))
    add_product_ta(dweights, panels_of(readers, chunk.panels), kernels.slice_steps(dchunk.keys, 0, steps))
    last, product_of_keeps = extra.memory_factors[steps], extra.momentum_factors[steps, CHUNK + 1]
    flat_dM, flat_dP = kernels.flat(dM), kernels.flat(dP)
    dextra.memory_factors[steps, CHUNK] += dot(flat_dM, kernels.flat(M))
    dextra.memory_factors[steps, CHUNK + 1] += dot(flat_dM, kernels.flat(P))
    dextra.momentum_factors[steps, CHUNK + 1] += dot(flat_dP, kernels.flat(P))
    scale_row(flat_dP, product_of_keeps)
    add_scaled(flat_dP, flat_dM, last[CHUNK + 1])
    scale_row(flat_dM, last[CHUNK])
    panels = panels_of(dreads, chunk.panels)
    add_product_ta(kernels.slice_steps(chunk.decayed, 0, total), panels, dM)
    add_product_ta(kernels.slice_steps(extra.decayed, 0, total), panels, dP)


@njit(inline=True)
def _factors_gradient(
    steps: int, decay: Array, extra: MomentumArrays, dextra: MomentumArrays, ddecay: Array
) -> None:
    """Backward pass of :func:`_set_factors`; it overwrites the gradients of the tables."""
    memory_factors, momentum_factors = extra.memory_factors, extra.momentum_factors
    dmemory_factors, dmomentum_factors = dextra.memory_factors, dextra.momentum_factors
    for t in range(steps - 1, -1, -1):
        ddecay[t, 0] = dot(dmemory_factors[t + 1], memory_factors[t])
        ddecay[t, 2] = dot(dmemory_factors[t + 1], momentum_factors[t + 1])
        add_scaled(dmomentum_factors[t + 1], dmemory_factors[t + 1], decay[t, 2])
        add_scaled(dmemory_factors[t], dmemory_factors[t + 1], decay[t, 0])
        ddecay[t, 1] = dot(dmomentum_factors[t + 1], momentum_factors[t])
        add_scaled(dmomentum_factors[t], dmomentum_factors[t + 1], decay[t, 1])
