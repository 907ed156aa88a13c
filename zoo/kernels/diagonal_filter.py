"""Diagonal filters: states whose elements each have fixed factors, for all steps of a sequence.

A state is a matrix ``S (K, D)`` of each head of each sequence, real or complex. Its elements do not mix, and
the matrices ``keep``, ``take`` and ``read`` are the same at every step::

    S' = keep * S + take * value          value (D) is the same in all rows
    o  = Re(sum over rows of read * S')

This is the recurrence of S4D, where the rows of a column are the poles of a channel. One row of S goes
through all steps of a chunk before the next row follows. As in a selective scan
(:mod:`zoo.kernels.selective_scan`), one state is stored for each chunk, and the backward pass repeats the
steps of a chunk.

The passes of the cell s4d of 128 units take 0.9 and 2.3 us a step. They took 3.5 and 5.7 with a loop over the
elements for each step, which stored the states of all steps (AMD EPYC with AVX-512, float32, one thread, 256
steps of 8 sequences).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import CHUNK
from zoo.kernels.row_loops import fill_row, set_row
from zoo.kernels.vector_loops import vector_loop

COLUMNS = 256
"""Columns that go through a chunk together. With 128, the backward pass of a selective scan with the same
loops took 1.2 times as long (AMD EPYC with AVX-512).
"""


class _Offsets(NamedTuple):
    """Indices of the first elements that a chunk of steps reads, for some columns of a row of S.

    Args:
        row: Index in rows, at the first step.
        step: Distance to the next step.
        factor: Index in the factors, in the first matrix.
        factor_size: Distance to the next matrix.
        state: Index in the states, in the first plane.
        state_size: Distance to the next plane.
    """

    row: int
    step: int
    factor: int
    factor_size: int
    state: int
    state_size: int


@vector_loop(2, 4)
def _real_step(state: Any, out: Any, value: Any, keep: Any, take: Any, read: Any) -> Any:
    new = keep * state + take * value
    return new, out + read * new


@vector_loop(1, 4)
def _recompute_real_step(_new: Any, state: Any, value: Any, keep: Any, take: Any) -> Any:
    return (keep * state + take * value,)


@vector_loop(5, 7)
def _real_step_gradient(
    g: Any, dvalue: Any, dkeep: Any, dtake: Any, dread: Any,
    dout: Any, state: Any, new: Any, value: Any, keep: Any, take: Any, read: Any,
) -> Any:  # fmt: skip
    """Backward pass of :func:`_real_step`; ``g`` is the gradient of the new state."""
    g = g + dout * read
    return g * keep, dvalue + g * take, dkeep + g * state, dtake + g * value, dread + dout * new


def _complex_state(re: Any, im: Any, value: Any, keep: Any, keep_im: Any, take: Any, take_im: Any) -> Any:
    return keep * re - keep_im * im + take * value, keep * im + keep_im * re + take_im * value


@vector_loop(3, 7)
def _complex_step(
    re: Any, im: Any, out: Any,
    value: Any, keep: Any, keep_im: Any, take: Any, take_im: Any, read: Any, read_im: Any,
) -> Any:  # fmt: skip
    re, im = _complex_state(re, im, value, keep, keep_im, take, take_im)
    return re, im, out + read * re - read_im * im


@vector_loop(2, 7)
def _recompute_complex_step(
    _new: Any, _new_im: Any,
    re: Any, im: Any, value: Any, keep: Any, keep_im: Any, take: Any, take_im: Any,
) -> Any:  # fmt: skip
    return _complex_state(re, im, value, keep, keep_im, take, take_im)


@vector_loop(9, 12)
def _complex_step_gradient(
    g: Any, g_im: Any, dvalue: Any,
    dkeep: Any, dkeep_im: Any, dtake: Any, dtake_im: Any, dread: Any, dread_im: Any,
    dout: Any, re: Any, im: Any, new: Any, new_im: Any,
    value: Any, keep: Any, keep_im: Any, take: Any, take_im: Any, read: Any, read_im: Any,
) -> Any:  # fmt: skip
    """Backward pass of :func:`_complex_step`; ``g`` and ``g_im`` are the gradient of the new state."""
    g, g_im = g + dout * read, g_im - dout * read_im
    return (
        g * keep + g_im * keep_im,
        g_im * keep - g * keep_im,
        dvalue + g * take + g_im * take_im,
        dkeep + g * re + g_im * im,
        dkeep_im + g_im * re - g * im,
        dtake + g * value,
        dtake_im + g_im * value,
        dread + dout * new,
        dread_im - dout * new_im,
    )


@njit(inline=True)
def filter_forward(
    rows: Array, factors: Array, first: int, state: Array, states: Array, out: Array, heads: int, planes: int
) -> None:
    """Run all steps, or a block of them.

    Args:
        rows: The values of each step of each sequence, ``(block steps, B, heads * D)``.
        factors: ``keep``, ``take`` and ``read``, ``(3 * planes * heads, K, D)``: of each the real part, then
            the imaginary part if states are complex.
        first: The first step of the block, at which a chunk begins.
        state: The states before the block, ``(B, heads * planes * K * D)``, replaced by those after it.
        states: Receives the states before each chunk (:func:`zoo.kernels.empty_memories`).
        out: Receives the outputs, ``(block steps, B, heads * D)``.
        heads: Heads of a sequence.
        planes: 2 if states are complex, otherwise 1.
    """
    _forward(rows, factors, first, state, states, out, 2 * heads + planes - 1)


@njit(shared=True)
def _forward(
    rows: Array, factors: Array, first: int, state: Array, states: Array, out: Array, flags: int
) -> None:
    heads, planes = flags // 2, flags % 2 + 1
    head_count, width = rows.shape[1] * heads, out.shape[2] // heads
    size = state.shape[1] // heads // planes  # of a plane
    for head_index in range(head_count):
        head_offset = head_index * planes * size
        for start in range(0, rows.shape[0], CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = ((first + start) // CHUNK * head_count + head_index) * planes * size
            set_row(
                kernels.flat_slice(states, index, planes * size),
                kernels.flat_slice(state, head_offset, planes * size),
            )
            for column in range(0, width, COLUMNS):
                columns = min(COLUMNS, width - column)
                for t in range(count):
                    row = ((start + t) * head_count + head_index) * width + column
                    fill_row(kernels.flat_slice(out, row, columns), out.dtype.type(0))
                for offset in range(column, size, width):  # the columns of one row of S after the other
                    factor_offset = head_index % heads * size + offset
                    re = kernels.flat_slice(state, head_offset + offset, columns)
                    keep = kernels.flat_slice(factors, factor_offset, columns)
                    take = kernels.flat_slice(factors, planes * heads * size + factor_offset, columns)
                    read = kernels.flat_slice(factors, 2 * planes * heads * size + factor_offset, columns)
                    if planes == 1:
                        for t in range(count):
                            row = ((start + t) * head_count + head_index) * width + column
                            value, y = (
                                kernels.flat_slice(rows, row, columns),
                                kernels.flat_slice(out, row, columns),
                            )
                            _real_step(re, y, value, keep, take, read)
                        continue
                    im = kernels.flat_slice(state, head_offset + size + offset, columns)
                    keep_im = kernels.flat_slice(factors, heads * size + factor_offset, columns)
                    take_im = kernels.flat_slice(factors, 3 * heads * size + factor_offset, columns)
                    read_im = kernels.flat_slice(factors, 5 * heads * size + factor_offset, columns)
                    for t in range(count):
                        row = ((start + t) * head_count + head_index) * width + column
                        value, y = (
                            kernels.flat_slice(rows, row, columns),
                            kernels.flat_slice(out, row, columns),
                        )
                        _complex_step(re, im, y, value, keep, keep_im, take, take_im, read, read_im)


@njit(inline=True)
def filter_backward(
    rows: Array, factors: Array, states: Array, first: int, dstate: Array, dout: Array, drows: Array,
    dfactors: Array, heads: int, planes: int,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The values of each step of the block, as in :func:`filter_forward`.
        factors: As in :func:`filter_forward`.
        states: The states before each chunk, of all steps.
        first: The first step of the block, at which a chunk begins.
        dstate: The gradients of the states after the block, replaced by those before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the values.
        dfactors: The gradients of the factors, to which the kernel adds the gradients of the block.
        heads: Heads of a sequence.
        planes: 2 if states are complex, otherwise 1.
    """
    _backward(rows, factors, states, first, dstate, dout, drows, dfactors, 2 * heads + planes - 1)


@njit(shared=True)
def _backward(
    rows: Array, factors: Array, states: Array, first: int, dstate: Array, dout: Array, drows: Array,
    dfactors: Array, flags: int,
) -> None:  # fmt: skip
    heads, planes = flags // 2, flags % 2 + 1
    head_count, width = rows.shape[1] * heads, dout.shape[2] // heads
    size = dstate.shape[1] // heads // planes
    history = kernels.empty((2, (CHUNK + 1) * COLUMNS), dstate)
    kernels.fill_zeros(drows)
    for head_index in range(head_count):
        head_offset = head_index * planes * size
        for start in range((rows.shape[0] - 1) // CHUNK * CHUNK, -1, -CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = ((first + start) // CHUNK * head_count + head_index) * planes * size
            for column in range(0, width, COLUMNS):
                columns = min(COLUMNS, width - column)
                for offset in range(column, size, width):
                    factor_offset = head_index % heads * size + offset
                    for part in range(planes):
                        set_row(
                            kernels.flat_slice(history, part * (CHUNK + 1) * COLUMNS, columns),
                            kernels.flat_slice(states, index + part * size + offset, columns),
                        )
                    row = (start * head_count + head_index) * width + column
                    offsets = _Offsets(
                        row, head_count * width, factor_offset, heads * size, head_offset + offset, size
                    )
                    if planes == 1:
                        _real_gradients(
                            rows, factors, dstate, dout, drows, dfactors, history, count, columns, offsets
                        )
                    else:
                        _complex_gradients(
                            rows, factors, dstate, dout, drows, dfactors, history, count, columns, offsets
                        )


@njit(inline=True)
def _real_gradients(
    rows: Array, factors: Array, dstate: Array, dout: Array, drows: Array, dfactors: Array, history: Array,
    count: int, columns: int, offsets: _Offsets,
) -> None:  # fmt: skip
    """The gradients of a chunk of steps for some columns of a row of S.

    Args:
        rows: As in :func:`filter_backward`, like the other arrays.
        factors: The factors.
        dstate: Gradients of the states.
        dout: Gradients of the outputs.
        drows: Gradients of the values.
        dfactors: Gradients of the factors.
        history: For each plane the state before the chunk, and space for the states after every step.
        count: Steps.
        columns: Columns.
        offsets: First elements.
    """
    row, step, factor, factor_size = offsets.row, offsets.step, offsets.factor, offsets.factor_size
    keep = kernels.flat_slice(factors, factor, columns)
    take = kernels.flat_slice(factors, factor + factor_size, columns)
    read = kernels.flat_slice(factors, factor + 2 * factor_size, columns)
    dkeep = kernels.flat_slice(dfactors, factor, columns)
    dtake = kernels.flat_slice(dfactors, factor + factor_size, columns)
    dread = kernels.flat_slice(dfactors, factor + 2 * factor_size, columns)
    for t in range(count):
        _recompute_real_step(
            kernels.flat_slice(history, (t + 1) * COLUMNS, columns),
            kernels.flat_slice(history, t * COLUMNS, columns),
            kernels.flat_slice(rows, row + t * step, columns), keep, take,
        )  # fmt: skip
    for t in range(count - 1, -1, -1):
        _real_step_gradient(
            kernels.flat_slice(dstate, offsets.state, columns),
            kernels.flat_slice(drows, row + t * step, columns), dkeep, dtake, dread,
            kernels.flat_slice(dout, row + t * step, columns),
            kernels.flat_slice(history, t * COLUMNS, columns),
            kernels.flat_slice(history, (t + 1) * COLUMNS, columns),
            kernels.flat_slice(rows, row + t * step, columns), keep, take, read,
        )  # fmt: skip


@njit(inline=True)
def _complex_gradients(
    rows: Array, factors: Array, dstate: Array, dout: Array, drows: Array, dfactors: Array, history: Array,
    count: int, columns: int, offsets: _Offsets,
) -> None:  # fmt: skip
    """As :func:`_real_gradients`, for complex states."""
    row, step, factor, factor_size = offsets.row, offsets.step, offsets.factor, offsets.factor_size
    keep = kernels.flat_slice(factors, factor, columns)
    keep_im = kernels.flat_slice(factors, factor + factor_size, columns)
    take = kernels.flat_slice(factors, factor + 2 * factor_size, columns)
    take_im = kernels.flat_slice(factors, factor + 3 * factor_size, columns)
    read = kernels.flat_slice(factors, factor + 4 * factor_size, columns)
    read_im = kernels.flat_slice(factors, factor + 5 * factor_size, columns)
    imaginary = (CHUNK + 1) * COLUMNS
    for t in range(count):
        _recompute_complex_step(
            kernels.flat_slice(history, (t + 1) * COLUMNS, columns),
            kernels.flat_slice(history, imaginary + (t + 1) * COLUMNS, columns),
            kernels.flat_slice(history, t * COLUMNS, columns),
            kernels.flat_slice(history, imaginary + t * COLUMNS, columns),
            kernels.flat_slice(rows, row + t * step, columns), keep, keep_im, take, take_im,
        )  # fmt: skip
    for t in range(count - 1, -1, -1):
        _complex_step_gradient(
            kernels.flat_slice(dstate, offsets.state, columns),
            kernels.flat_slice(dstate, offsets.state + offsets.state_size, columns),
            kernels.flat_slice(drows, row + t * step, columns),
            kernels.flat_slice(dfactors, factor, columns),
            kernels.flat_slice(dfactors, factor + factor_size, columns),
            kernels.flat_slice(dfactors, factor + 2 * factor_size, columns),
            kernels.flat_slice(dfactors, factor + 3 * factor_size, columns),
            kernels.flat_slice(dfactors, factor + 4 * factor_size, columns),
            kernels.flat_slice(dfactors, factor + 5 * factor_size, columns),
            kernels.flat_slice(dout, row + t * step, columns),
            kernels.flat_slice(history, t * COLUMNS, columns),
            kernels.flat_slice(history, imaginary + t * COLUMNS, columns),
            kernels.flat_slice(history, (t + 1) * COLUMNS, columns),
            kernels.flat_slice(history, imaginary + (t + 1) * COLUMNS, columns),
            kernels.flat_slice(rows, row + t * step, columns),
            keep, keep_im, take, take_im, read, read_im,
        )  # fmt: skip
