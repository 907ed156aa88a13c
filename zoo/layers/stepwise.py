"""Layers whose cell brings kernels and states no step: what can be traced is its states, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.layers.layer import Array, Arrays, Layer, LayerTape


def states_after(layer: Layer, arrays: tuple[Array, ...], tape: LayerTape) -> Arrays:
    """States after every step, ``(T, B, ...)``: one call of the forward pass for each."""
    now = dict(zip(layer.states, tape.state, strict=True))
    found = {name: np.empty((len(tape.x), *state.shape), state.dtype) for name, state in now.items()}
    for t in range(len(tape.x)):
        _, now, _ = layer.forward(arrays, _at(tape.x, t), now, tuple([_at(each, t) for each in tape.inputs]))
        for name, course in found.items():
            course[t] = now[name]
    return dict(zip(layer.cell.states, found.values(), strict=True))


def gradients_after(
    layer: Layer, arrays: tuple[Array, ...], tape: LayerTape, dy: Array, dlast: Sequence[Array]
) -> Arrays:
    """Gradients of the states after every step: one call of both passes for each.

    What reads a state within the step that makes it is not known, but that the first is the output.
    """
    after = states_after(layer, arrays, tape)
    before = {
        name: np.concatenate([first[None], course])
        for name, first, course in zip(layer.states, tape.state, after.values(), strict=True)
    }
    found = {name: np.empty_like(course) for name, course in after.items()}
    now = dict(zip(layer.states, dlast, strict=True))
    for t in reversed(range(len(tape.x))):
        for course, gradient in zip(found.values(), now.values(), strict=True):
            course[t] = gradient
        state = {name: np.ascontiguousarray(course[t]) for name, course in before.items()}
        told = tuple([_at(each, t) for each in tape.inputs])
        *_, kept = layer.forward(arrays, _at(tape.x, t), state, told)
        _, now, _ = layer.backward(arrays, kept, _at(dy, t), now)
    next(iter(found.values()))[...] += dy
    return found


def _at(array: Array, t: int) -> Array:
    """One step of a sequence, as a sequence."""
    return np.ascontiguousarray(array[t : t + 1])
