"""Short convolutions: weighted sums of the last values of a vector, for all steps of a sequence.

The state holds the values ``x (D)`` of the last ``width - 1`` steps, the oldest first::

    out[t] = sum over k of taps[k] * x[t - (width - 1) + k]

The tape needs the values, and the state before each chunk of steps, since the window of a step consists of
earlier values. With a window for every step, the tape of a convolution of four steps had four times as many
elements, and each step copied the values of three others.
"""

from __future__ import annotations

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit
from zoo.kernels.matrix_memory import CHUNK
from zoo.kernels.row_loops import add_product, fill_row, multiply_rows, set_row


@njit(inline=True)
def _value(state: Array, rows: Array, n: int, sequence: int, kept: int) -> Array:
    """Value ``n`` of a sequence: one of the state, or of the steps after it."""
    _, batch, size = rows.shape
    if n < kept:
        return kernels.flat_slice(state, (sequence * kept + n) * size, size)
    return kernels.flat_slice(rows, ((n - kept) * batch + sequence) * size, size)


@njit(inline=True)
def convolution_forward(
    rows: Array, taps: Array, first: int, state: Array, states: Array, out: Array, width: int
) -> None:
    """Run all steps, or a block of them.

    Args:
        rows: The values of each step of each sequence, ``(block steps, B, D)``.
        taps: The weights of the steps of a window, ``(width, D)``; the last row belongs to the step itself.
        first: The first step of the block, at which a chunk begins.
        state: The values of the ``width - 1`` steps before the block, ``(B, (width - 1) * D)``, replaced by
            the values of its last steps.
        states: Receives the state before each chunk (:func:`zoo.kernels.empty_memories`).
        out: Receives the sums, ``(block steps, B, D)``.
        width: Steps of a window.
    """
    _forward(rows, taps, first, state, states, out, width)


@njit(shared=True)
def _forward(
    rows: Array, taps: Array, first: int, state: Array, states: Array, out: Array, width: int
) -> None:
    steps, batch, size = rows.shape
    kept = width - 1
    for sequence in range(batch):
        for start in range(0, steps, CHUNK):
            chunk = (first + start) // CHUNK
            for k in range(kept):
                target = kernels.flat_slice(states, ((chunk * batch + sequence) * kept + k) * size, size)
                set_row(target, _value(state, rows, start + k, sequence, kept))
        for t in range(steps):
            target = kernels.flat_slice(out, (t * batch + sequence) * size, size)
            for k in range(width):
                tap = kernels.flat_slice(taps, k * size, size)
                value = _value(state, rows, t + k, sequence, kept)
                if k == 0:
                    multiply_rows(target, value, tap)
                else:
                    add_product(target, value, tap)
        for k in range(kept):  # later values are not overwritten yet
            target = kernels.flat_slice(state, (sequence * kept + k) * size, size)
            set_row(target, _value(state, rows, steps + k, sequence, kept))


@njit(inline=True)
def convolution_backward(
    rows: Array, taps: Array, states: Array, first: int, dstate: Array, dout: Array, drows: Array,
    dtaps: Array, width: int,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The values of each step of the block, as in :func:`convolution_forward`.
        taps: As in :func:`convolution_forward`.
        states: The states before each chunk, of all steps.
        first: The first step of the block.
        dstate: The gradients of the state after the block, replaced by the gradients of the state before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the values.
        dtaps: The gradients of the weights, to which the kernel adds the gradients of the block.
        width: Steps of a window.
    """
    _backward(rows, taps, states, first, dstate, dout, drows, dtaps, width)


@njit(shared=True)
def _backward(
    rows: Array, taps: Array, states: Array, first: int, dstate: Array, dout: Array, drows: Array,
    dtaps: Array, width: int,
) -> None:  # fmt: skip
    steps, batch, size = rows.shape
    kept = width - 1
    state = kernels.flat_slice(states, first // CHUNK * dstate.size, dstate.size)
    after = kernels.copy(dstate)
    for sequence in range(batch):
        # Value n is that of the state for n < kept, and of step n - kept otherwise. The state after the block
        # holds the values from n = steps on.
        for n in range(kept + steps):
            gradient = _value(dstate, drows, n, sequence, kept)
            if n < steps:
                fill_row(gradient, rows.dtype.type(0))
            else:
                set_row(gradient, kernels.flat_slice(after, (sequence * kept + n - steps) * size, size))
        for t in range(steps):
            dsum = kernels.flat_slice(dout, (t * batch + sequence) * size, size)
            for k in range(width):
                tap = kernels.flat_slice(taps, k * size, size)
                dtap = kernels.flat_slice(dtaps, k * size, size)
                add_product(_value(dstate, drows, t + k, sequence, kept), dsum, tap)
                add_product(dtap, dsum, _value(state, rows, t + k, sequence, kept))
