"""Short convolutions: weighted sums of the last values of a vector, for all steps of a sequence.

The state holds the values ``x (D)`` of the last ``window - 1`` steps, the oldest first::

    out[t] = sum over k of taps[k] * x[t - (window - 1) + k]

The tape holds the values, and the state before each chunk of steps, so a block can start at any chunk. When
the tape held the window of every step instead, it had four times as many elements for a convolution of four
steps, and each step copied the values of three others.
"""

from __future__ import annotations

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import CHUNK
from zoo.kernels.row_loops import add_product, fill_row, multiply_rows, set_row


@njit(inline=True)
def _value_row(state: Array, values: Array, n: int, sequence: int, past_steps: int) -> Array:
    """Value ``n`` of a sequence: one of the state for ``n < past_steps``, otherwise of a later step."""
    _, batch, features = values.shape
    if n < past_steps:
        return kernels.flat_slice(state, (sequence * past_steps + n) * features, features)
    return kernels.flat_slice(values, ((n - past_steps) * batch + sequence) * features, features)


@njit(shared=True)
def convolution_forward(
    values: Array, taps: Array, first: int, state: Array, states: Array, out: Array, window: int
) -> None:
    """Run a short convolution for a block of steps.

    Args:
        values: The values of each step of each sequence, ``(block steps, B, D)``.
        taps: The weights of the steps of a window, ``(window, D)``; the last row belongs to the step itself.
        first: Index of the first step of the block, a multiple of 16.
        state: The values of the ``window - 1`` steps before the block, ``(B, (window - 1) * D)``, replaced by
            the values of its last steps.
        states: Receives the state before each chunk of 16 steps (:func:`zoo.kernels.empty_memories`).
        out: Receives the sums, ``(block steps, B, D)``.
        window: Steps of a window.
    """
    steps, batch, features = values.shape
    past_steps = window - 1
    for sequence in range(batch):
        for start in range(0, steps, CHUNK):
            saved = ((first + start) // CHUNK * batch + sequence) * past_steps
            for k in range(past_steps):
                target = kernels.flat_slice(states, (saved + k) * features, features)
                set_row(target, _value_row(state, values, start + k, sequence, past_steps))
        for t in range(steps):
            target = kernels.flat_slice(out, (t * batch + sequence) * features, features)
            for k in range(window):
                tap = kernels.flat_slice(taps, k * features, features)
                value = _value_row(state, values, t + k, sequence, past_steps)
                if k == 0:
                    multiply_rows(target, value, tap)
                else:
                    add_product(target, value, tap)
        for k in range(past_steps):  # later values are not overwritten yet
            target = kernels.flat_slice(state, (sequence * past_steps + k) * features, features)
            set_row(target, _value_row(state, values, steps + k, sequence, past_steps))


@njit(shared=True)
def convolution_backward(
    values: Array, taps: Array, states: Array, first: int, dstate: Array, dout: Array, dvalues: Array,
    dtaps: Array, window: int,
) -> None:  # fmt: skip
    """Gradients of a short convolution for a block of steps.

    Args:
        values: The values of each step of the block, as in :func:`convolution_forward`.
        taps: As in :func:`convolution_forward`.
        states: The states before each chunk, of all steps.
        first: Index of the first step of the block, a multiple of 16.
        dstate: The gradients of the state after the block, replaced by the gradients of the state before it.
        dout: The gradients of ``out``.
        dvalues: Receives the gradients of the values.
        dtaps: The gradients of the weights, to which the kernel adds the gradients of the block.
        window: Steps of a window.
    """
    steps, batch, features = values.shape
    past_steps = window - 1
    state = kernels.flat_slice(states, first // CHUNK * dstate.size, dstate.size)
    dstate_after = kernels.copy(dstate)
    for sequence in range(batch):
        for n in range(past_steps + steps):  # the state after the block holds the values from n = steps on
            gradient = _value_row(dstate, dvalues, n, sequence, past_steps)
            if n < steps:
                fill_row(gradient, values.dtype.type(0))
            else:
                row = (sequence * past_steps + n - steps) * features
                set_row(gradient, kernels.flat_slice(dstate_after, row, features))
        for t in range(steps):
            dsum = kernels.flat_slice(dout, (t * batch + sequence) * features, features)
            for k in range(window):
                tap = kernels.flat_slice(taps, k * features, features)
                dtap = kernels.flat_slice(dtaps, k * features, features)
                add_product(_value_row(dstate, dvalues, t + k, sequence, past_steps), dsum, tap)
                add_product(dtap, dsum, _value_row(state, values, t + k, sequence, past_steps))
