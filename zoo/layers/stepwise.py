"""Layers whose cell brings kernels and states no step: what can be traced is its states, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.compiler import passes
from zoo.layers.layer import Array, Layer, LayerTape


def states_after(layer: Layer, arrays: Sequence[Array], tape: LayerTape) -> dict[str, Array]:
    """States after every step, ``(T, B, ...)``: one call of the forward pass for each."""
    run, now = passes(layer.cell), tape.state
    found = [np.empty((len(tape.x), *state.shape), state.dtype) for state in now]
    for t in range(len(tape.x)):
        x, beside = _at(layer, tape, t)
        _, now, _ = run.forward(tuple(arrays), x, now, *beside, *run.options)
        for course, state in zip(found, now, strict=True):
            course[t] = state
    return dict(zip(layer.cell.states, found, strict=True))


def gradients_after(
    layer: Layer, arrays: Sequence[Array], tape: LayerTape, dy: Array, dlast: Sequence[Array]
) -> dict[str, Array]:
    """Gradients of the states after every step: one call of both passes for each.

    What reads a state within the step that makes it is not known, but that the first is the output.
    """
    run, after = passes(layer.cell), states_after(layer, arrays, tape)
    before = [
        np.concatenate([first[None], course])
        for first, course in zip(tape.state, after.values(), strict=True)
    ]
    found, now = {name: np.empty_like(course) for name, course in after.items()}, tuple(dlast)
    for t in reversed(range(len(tape.x))):
        for course, gradient in zip(found.values(), now, strict=True):
            course[t] = gradient
        x, beside = _at(layer, tape, t)
        state = tuple(np.ascontiguousarray(course[t]) for course in before)
        *_, kept = run.forward(tuple(arrays), x, state, *beside, *run.options)
        seen = tuple(arrays), x, state, *beside
        _, now, _ = run.backward(*seen, kept, np.ascontiguousarray(dy[t : t + 1]), now, *run.options)
    next(iter(found.values()))[...] += dy
    return found


def _at(layer: Layer, tape: LayerTape, t: int) -> tuple[Array, tuple[tuple[Array, ...], ...]]:
    """What a layer is told at one step: x, and the argument for what is beside it, if there is one."""
    inputs = tuple(np.ascontiguousarray(each[t : t + 1]) for each in tape.inputs)
    return np.ascontiguousarray(tape.x[t : t + 1]), (inputs,) if layer.cell.inputs else ()
