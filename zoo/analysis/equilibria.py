"""Fixed points of a layer under a constant input: states that a step leaves where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.analysis.descent import descend
from zoo.analysis.jacobians import eigenvalues, jacobians
from zoo.analysis.step_map import StepMap, Told
from zoo.analysis.subject import Subject, inputs_of
from zoo.analysis.trajectory import check_smooth, step_map, trajectory
from zoo.errors import UsageError
from zoo.layers.asking import prefix_of
from zoo.layers.boundary import as_floats
from zoo.layers.layer import Array

MOST_UNITS = 2**12
ROUNDING = 1e-9  # how near to the unit circle an eigenvalue lies on it

MOST_STEPS_BEFORE = 32
"""Steps that a random state takes before it is a start: on their way states come to where the cell works."""


@dataclass(frozen=True)
class FixedPoints:
    """Fixed points, those first that most starts lead to.

    Args:
        states: Every state of the layer by its full name, ``(N, ...)``.
        speed: How far one step takes each, ``|F(h) - h|``, ``(N,)``.
        eigenvalues: Of the Jacobian there, ``(N, S)``, those of the largest modulus first.
        count: From how many starts each was reached, ``(N,)``.
        starts: How many starts there were.
    """

    states: Mapping[str, Array]
    speed: Array
    eigenvalues: Array
    count: Array
    starts: int

    def __len__(self) -> int:
        return len(self.speed)

    @property
    def stable(self) -> Array:
        """Whether each draws in what is near: all its eigenvalues lie within the unit circle, ``(N,)``."""
        return np.asarray(np.abs(self.eigenvalues).max(axis=1, initial=0.0) < 1 - ROUNDING)

    @property
    def unstable_directions(self) -> Array:
        """How many eigenvalues of each lie outside of the unit circle, ``(N,)``: one or more for a saddle."""
        return np.asarray(np.sum(np.abs(self.eigenvalues) > 1 + ROUNDING, axis=1))

    def __repr__(self) -> str:
        return f"FixedPoints({len(self)} from {self.starts} starts, {int(self.stable.sum())} stable)"


def fixed_points(
    model: Subject,
    x: Any = None,
    layer: int | str = 0,
    starts: int | Mapping[str, Any] = 64,
    inputs: Any = None,
    tolerance: float = 1e-9,
    apart: float = 1e-4,
    most_steps: int = 200,
    seed: int = 0,
) -> FixedPoints:
    """Fixed points of one layer by itself, found from many states by minimising the speed ``|F(h) - h|^2``.

    The method of D. Sussillo & O. Barak 2013, https://doi.org/10.1162/NECO_a_00409, with damped Newton steps
    and the exact Jacobian. All states of a layer, h and c of an lstm, move together. With a larger tolerance
    slow points are found too, where the speed is small and cannot be made smaller nearby.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        x: The input that the layer reads at every step: ``(I,)`` numbers, a token, or for the first layer of
            a language model a symbol; zeros if None. Inputs beside x have their defaults.
        layer: Which layer, as a number or as ``"l0"``.
        starts: From how many states to start, or the states, ``{"l0.h": (N, ...), ...}``.
        inputs: Inputs of the model, as for the other functions: starts are then drawn from the states that
            they lead the layer through; without any, from those that random states go through under x.
        tolerance: A point counts if a step takes it no further than this.
        apart: Points nearer to each other than this, in the norm of all states, are one.
        most_steps: Newton steps from each start.
        seed: Of the starts.

    Returns:
        The points, those first that most starts lead to.

    Raises:
        UsageError: if an argument does not fit, if the cell counts steps in whole numbers, so that no step is
            like another, or if its derivative is a surrogate.
    """
    step = step_map(model, layer)
    _check(step)
    told = _constant(model, step, x)
    first = _starts(model, step, told, starts, inputs, seed)

    def residual(points: Array) -> Array:
        return step.step(_spread(told, len(points)), points) - points

    def slope(points: Array) -> Array:
        return jacobians(step, _spread(told, len(points)), points) - np.eye(step.size)

    points, speed = descend(first, residual, slope, min(tolerance, 1e-12), most_steps)
    order = np.argsort(speed, kind="stable")
    order = order[speed[order] <= tolerance]
    points, count = _distinct(points[order], apart)
    order = np.argsort(-count, kind="stable")
    points, count = points[order], count[order]
    states = {prefix_of(step.layer) + name: value for name, value in step.split(points).items()}
    found = jacobians(step, _spread(told, len(points)), points)
    speed = np.linalg.norm(residual(points), axis=1)
    return FixedPoints(states, speed, eigenvalues(found), count, len(first))


def _check(step: StepMap) -> None:
    check_smooth(step, "fixed_points")
    who = step.cell.label()
    whole = [name for name in step.cell.states if name not in step.shapes]
    if whole:
        raise UsageError(
            f"{who}: fixed_points takes cells whose step is the same at all times, and state {whole[0]!r} "
            f"counts in whole numbers; choose another cell."
        )
    if step.size > MOST_UNITS:
        raise UsageError(
            f"{who}: fixed_points solves for {step.size} numbers of state, more than {MOST_UNITS}; choose a "
            f"smaller layer."
        )


def _starts(model: Subject, step: StepMap, told: Told, starts: Any, inputs: Any, seed: int) -> Array:
    """Where to start, ``(N, S)``."""
    who = f"{step.cell.label()}: fixed_points"
    if isinstance(starts, Mapping):
        return _given(step, starts, who)
    if isinstance(starts, bool) or not isinstance(starts, (int, np.integer)) or starts < 1:
        raise UsageError(f"{who}: starts is {starts!r}; expected a positive integer, or states by name.")
    rng = np.random.default_rng(seed)
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
        moved = step.step(_spread(told, len(points)), points)
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


def _constant(model: Subject, step: StepMap, x: Any) -> Told:
    """What the layer is told at every step, as one row."""
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
        return np.eye(size)[[x]]
    values = np.zeros(size) if x is None else x
    return as_floats(values, (size,), np.dtype(np.float64), f"{who}: x")[None]


def _spread(told: Told, rows: int) -> Told:
    """The same for every row."""
    return told.map(lambda value: np.broadcast_to(value, (rows, *value.shape[1:])))


def _distinct(points: Array, apart: float) -> tuple[Array, Array]:
    """The points that lie apart, of those that do not the first, and how many it stands for."""
    kept, count = np.zeros(len(points), bool), np.zeros(len(points), int)
    for place, point in enumerate(points):
        near = np.flatnonzero(kept & (np.linalg.norm(points - point, axis=1) < apart))
        first = near[0] if near.size else place
        kept[first] = True
        count[first] += 1
    return points[kept], count[kept]
