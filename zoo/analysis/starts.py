"""States from which fixed points are looked for, and the constant input under which they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.analysis.step_map import StepMap, Told
from zoo.analysis.subject import Subject, inputs_of
from zoo.analysis.trajectory import trajectory
from zoo.arguments import short_repr
from zoo.errors import UsageError
from zoo.layers.boundary import as_floats
from zoo.layers.layer import Array
from zoo.seeds import check_seed

MOST_STEPS_BEFORE = 32
"""Steps that a random state takes before it is a start, to reach the region where the cell works."""
MOST_STARTS = 2**20
"""Largest number of starts."""


def starts_of(model: Subject, step: StepMap, told: Told, starts: Any, inputs: Any, seed: int) -> Array:
    """Where to start, ``(N, S)``: states that are given, or that the layer goes through.

    Raises:
        UsageError: if what is given does not fit.
    """
    who = f"{step.cell.label()}: fixed_points"
    if isinstance(starts, Mapping):
        return _given(step, starts, who)
    is_count = isinstance(starts, (int, np.integer)) and not isinstance(starts, bool)
    if not is_count or not 1 <= starts <= MOST_STARTS:
        raise UsageError(
            f"{who}: starts is {short_repr(starts)}; expected an integer from 1 to {MOST_STARTS}, or states "
            f"by name."
        )
    rng = np.random.default_rng(check_seed(seed))
    if inputs is None:
        return _settled(step, told, rng.standard_normal((int(starts), step.size)), rng)
    _, before = trajectory(model, step, inputs_of(model, inputs), None)
    visited = before.reshape(-1, step.size)
    if len(visited) == 0:
        raise UsageError(f"{who}: inputs have no steps, so there are no states to start from.")
    return visited[rng.integers(len(visited), size=int(starts))]


def _settled(step: StepMap, told: Told, points: Array, rng: np.random.Generator) -> Array:
    """Points after a few steps, of each a random number."""
    waiting = rng.integers(MOST_STEPS_BEFORE + 1, size=len(points))
    for taken in range(MOST_STEPS_BEFORE):
        moved = step.step(spread(told, len(points)), points)
        points = np.where((waiting > taken)[:, None] & np.isfinite(moved), moved, points)
    return points


def _given(step: StepMap, starts: Mapping[str, Any], who: str) -> Array:
    if set(starts) != set(step.places):
        raise UsageError(f"{who}: starts has the states {sorted(starts)}; expected {sorted(step.places)}.")
    rows = {len(np.atleast_1d(value)) for value in starts.values()}
    if len(rows) != 1:
        raise UsageError(
            f"{who}: starts has states of {sorted(rows)} rows; expected the same number of each."
        )
    count, dtype = rows.pop(), np.dtype(np.float64)
    states = [
        as_floats(starts[full], (count, *shape), dtype, f"{who}: state {full!r} of starts")
        for full, shape in zip(step.places, step.shapes.values(), strict=True)
    ]
    return step.join(states, (count,))


def constant(model: Subject, step: StepMap, x: Any) -> Told:
    """What the layer is told at every step, as one row.

    Raises:
        UsageError: if x does not fit.
    """
    layer, cell = step.layer, step.cell
    shapes = zip(cell.inputs.values(), layer.inputs.values(), strict=True)
    inputs = tuple(np.full((1, *shape), each.value(cell.options), np.float64) for each, shape in shapes)
    return Told(_input(model, step, x), inputs, {})


def _input(model: Subject, step: StepMap, x: Any) -> Array:
    """The input, ``(1, I)``."""
    size, who = step.layer.input_size, f"{step.cell.label()}: fixed_points"
    if isinstance(x, str) and step.layer.index == 0 and hasattr(model, "vocab"):
        tokens = model.vocab.encode([x] if model.vocab.level == "symbol" else x)
        x = int(tokens[0]) if len(tokens) == 1 else tokens
    if isinstance(x, (int, np.integer)) and not isinstance(x, bool):
        if not 0 <= x < size:
            raise UsageError(f"{who}: x is token {x}; expected one from 0 to {size - 1}.")
        return np.asarray(np.eye(size)[int(x)][None])
    values = np.zeros(size) if x is None else x
    return as_floats(values, (size,), np.dtype(np.float64), f"{who}: x")[None]


def spread(told: Told, rows: int) -> Told:
    """The same for every row."""
    return told.map(lambda value: np.broadcast_to(value, (rows, *value.shape[1:])))
