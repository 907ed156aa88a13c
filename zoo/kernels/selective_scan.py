"""Selective scans: states whose elements decay at rates of their own, for all steps of a sequence.

A state is a matrix ``S (K, D)`` of each head of each sequence. Each element has a rate, which is the same at
every step. A step takes one row of operands per head::

    S' = exp(rates * time) * S + outer(key, value)
    o  = query @ S'                       or query @ S, if the query reads before the update

The row holds, side by side, ``value (D)``, ``key (K)``, ``query (K)`` and ``time (D)``. This is the
recurrence of Mamba. There ``time`` is the time step of each channel.

A vector of columns of some rows of S goes through all steps of a chunk before the next one follows
(:mod:`zoo.kernels.scan_columns`). So it stays in registers, and only the results of the query are stored at
every step. The backward pass needs only the state before each chunk. It recomputes the steps of the chunk,
then computes their gradients. So decays are computed twice.

A state of 16 x 256 takes 1.9 us a step forward and 3.4 backward. It took 2.7 and 4.9 when one row of S after
the other went through the chunk with all its columns. The whole cell mamba of 128 units takes 5.4 and 9.1 us.
Both passes took twice as long with a loop over the elements for each step, which stored decays and states of
all steps (AMD EPYC, Zen 3, AVX2, float32, one thread, 256 steps of 8 sequences).
"""

from __future__ import annotations

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import CHUNK
from zoo.kernels.row_loops import set_row
from zoo.kernels.scan_columns import MAX_LANES, backward_columns, forward_columns


@njit(inline=True)
def scan_forward(
    rows: Array, rates: Array, first: int, state: Array, states: Array, out: Array,
    heads: int, query_first: bool,
) -> None:  # fmt: skip
    """Run all steps, or a block of them.

    Args:
        rows: The operands of each step of each sequence, ``(block steps, B, heads * (2 * D + 2 * K))``.
        rates: Rates of the elements, ``(heads, K, D)``.
        first: The first step of the block, at which a chunk begins.
        state: The states before the block, ``(B, heads * K * D)``, replaced by those after it.
        states: Receives the states before each chunk (:func:`zoo.kernels.empty_memories`).
        out: Receives what the queries read, ``(block steps, B, heads * D)``.
        heads: Heads of a sequence.
        query_first: Whether queries read the state before the update.
    """
    # One integer: Numba compiles again for other literals.
    _forward(rows, rates, first, state, states, out, 2 * heads + query_first)


@njit(shared=True)
def _forward(
    rows: Array, rates: Array, first: int, state: Array, states: Array, out: Array, flags: int
) -> None:
    heads, query_first = flags // 2, flags % 2 != 0
    head_count = rows.shape[1] * heads
    size, width = state.shape[1] // heads, out.shape[2] // heads
    depth, row_size = size // width, rows.shape[2] // heads
    for head_index in range(head_count):
        rates_start = head_index % heads * size
        for start in range(0, rows.shape[0], CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = (first + start) // CHUNK * head_count + head_index
            set_row(
                kernels.flat_slice(states, index * size, size),
                kernels.flat_slice(state, head_index * size, size),
            )
            row = start * head_count + head_index
            forward_columns(
                kernels.flat_slice(state, head_index * size, size),
                kernels.flat_slice(rates, rates_start, size),
                kernels.flat_slice(rows, row * row_size, rows.size - row * row_size),
                kernels.flat_slice(out, row * width, out.size - row * width),
                count, head_count * row_size, head_count * width, depth, width, query_first,
            )  # fmt: skip


@njit(inline=True)
def scan_backward(
    rows: Array, rates: Array, states: Array, first: int, dstate: Array, dout: Array, drows: Array,
    drates: Array, heads: int, query_first: bool,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The operands of each step of the block, as in :func:`scan_forward`.
        rates: Rates of the elements, ``(heads, K, D)``.
        states: The states before each chunk, of all steps.
        first: The first step of the block, at which a chunk begins.
        dstate: The gradients of the states after the block, replaced by those before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the operands.
        drates: The gradients of the rates, to which the kernel adds the gradients of the block.
        heads: Heads of a sequence.
        query_first: Whether queries read the state before the update.
    """
    # As in scan_forward.
    _backward(rows, rates, states, first, dstate, dout, drows, drates, 2 * heads + query_first)


@njit(shared=True)
def _backward(
    rows: Array, rates: Array, states: Array, first: int, dstate: Array, dout: Array, drows: Array,
    drates: Array, flags: int,
) -> None:  # fmt: skip
    heads, query_first = flags // 2, flags % 2 != 0
    head_count = rows.shape[1] * heads
    size, width = dstate.shape[1] // heads, dout.shape[2] // heads
    depth, row_size = size // width, rows.shape[2] // heads
    sums = kernels.empty((2 * CHUNK * depth * MAX_LANES,), dstate)
    for head_index in range(head_count):
        rates_start = head_index % heads * size
        for start in range((rows.shape[0] - 1) // CHUNK * CHUNK, -1, -CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = (first + start) // CHUNK * head_count + head_index
            row = start * head_count + head_index
            backward_columns(
                kernels.flat_slice(states, index * size, size),
                kernels.flat_slice(rates, rates_start, size),
                kernels.flat_slice(rows, row * row_size, rows.size - row * row_size),
                kernels.flat_slice(dstate, head_index * size, size),
                kernels.flat_slice(dout, row * width, dout.size - row * width),
                kernels.flat_slice(drows, row * row_size, drows.size - row * row_size),
                kernels.flat_slice(drates, rates_start, size),
                sums, count, head_count * row_size, head_count * width, depth, width, query_first,
            )  # fmt: skip
