"""Least squares with an exact Jacobian, from many starts at once: damped Newton steps.

Levenberg and Marquardt's method (J. J. Moré 1978, "The Levenberg-Marquardt Algorithm: Implementation and
Theory", https://doi.org/10.1007/BFb0067700), in plain NumPy: SciPy's would take one start at a time.

States from which fixed points are looked for, and the constant input under which they are.

Fixed points of a layer under a constant input: states that a step leaves where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.analysis.jacobians import eigenvalues, jacobians
from zoo.analysis.state_map import StepMap, Told, check_smooth, step_map, trajectory
from zoo.analysis.target import Subject, inputs_of
from zoo.arguments import check_seed, short_repr
from zoo.errors import UsageError
from zoo.layers.direction import Array
from zoo.layers.validation import as_floats

Residual = Callable[[Array], Array]

"""From points ``(N, S)`` to what should be zero there, ``(N, S)``."""

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-12, 1e12

EASED, HARDENED = 0.2, 4.0


def descend(
    points: Array, residual: Residual, jacobian: Callable[[Array], Array], tolerance: float, most_steps: int
) -> tuple[Array, Array]:
    """Minimise ``sum(residual ** 2)`` from each of some points.

    A point is done when the norm of its residual is within the tolerance, or when no step makes it smaller:
    at a minimum that is no zero.

    Args:
        points: Where to start, ``(N, S)``.
        residual: What should be zero.
        jacobian: Its derivative, ``(N, S, S)``.
        tolerance: Norm of the residual that is small enough.
        most_steps: Most steps of any point.

    Returns:
        The points and the norms of their residuals, ``(N, S)`` and ``(N,)``; infinite where a start was no
        good.
    """
    points = points.copy()
    found = residual(points)
    norms = _norms(found)
    damping = np.full(len(points), FIRST_DAMPING)
    for _ in range(most_steps):
        active = np.flatnonzero((norms > tolerance) & np.isfinite(norms) & (damping < MOST_DAMPING))
        if active.size == 0:
            break
        tried = points[active] + _steps(jacobian(points[active]), found[active], damping[active])
        values = residual(tried)
        is_better = _norms(values) < norms[active]
        better, worse = active[is_better], active[~is_better]
        points[better], found[better] = tried[is_better], values[is_better]
        norms[better] = _norms(found[better])
        damping[better] = np.maximum(damping[better] * EASED, LEAST_DAMPING)
        damping[worse] *= HARDENED
    return points, norms


def _norms(values: Array) -> Array:
    norms = np.linalg.norm(values, axis=1)
    return np.where(np.isfinite(norms), norms, np.inf)


def _steps(jacobians: Array, values: Array, damping: Array) -> Array:
    """Steps ``-(J'J + damping I)^-1 J' r``, where damping is relative to the size of J."""
    transposed = np.swapaxes(jacobians, 1, 2)
    squares = transposed @ jacobians
    scale = np.trace(squares, axis1=1, axis2=2) / squares.shape[1]
    squares += (damping * np.maximum(scale, 1e-300))[:, None, None] * np.eye(squares.shape[1])
    downhill = (transposed @ values[..., None])[..., 0]
    is_good = np.isfinite(squares).all(axis=(1, 2)) & np.isfinite(downhill).all(axis=1)
    steps = np.full_like(values, np.nan)
    steps[is_good] = -np.linalg.solve(squares[is_good], downhill[is_good][..., None])[..., 0]
    return steps


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


MOST_UNITS = 2**12

AT_ONCE = 2**24  # numbers in the Jacobians of all descents at once

STILL = 1e-12  # a descent goes on until a step moves no further than this

ROUNDING = 1e-9  # how near to the unit circle an eigenvalue lies on it


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
    _check_positive(tolerance=tolerance, apart=apart, most_steps=most_steps)
    step = step_map(model, layer)
    _check(step)
    flow = _Flow(step, constant(model, step, x))
    first = starts_of(model, step, flow.told, starts, inputs, seed)
    points, speed = flow.still(first, min(tolerance, STILL), int(min(most_steps, 2**31)))
    is_still = speed <= tolerance
    points, count = _distinct(points[is_still], speed[is_still], apart)
    return FixedPoints(
        {step.layer.prefix + name: value for name, value in step.split(points).items()},
        np.linalg.norm(flow.moved(points), axis=1),
        eigenvalues(flow.jacobians(points)),
        count,
        len(first),
    )


class _Flow:
    """How a step under a constant input moves states: ``F(h) - h``.

    Args:
        step: The map F.
        told: What it is told at every step, one row.
    """

    def __init__(self, step: StepMap, told: Told) -> None:
        self.step, self.told = step, told

    def moved(self, points: Array) -> Array:
        """From points ``(N, S)`` to where a step moves each."""
        return self.step.step(spread(self.told, len(points)), points) - points

    def jacobians(self, points: Array) -> Array:
        """The derivative of F, ``(N, S, S)``."""
        return jacobians(self.step, spread(self.told, len(points)), points)

    def still(self, starts: Array, tolerance: float, most_steps: int) -> tuple[Array, Array]:
        """Where descents from some starts end, and the speed there; as many at once as fit in memory."""
        rows = max(1, AT_ONCE // self.step.size**2)
        found = [
            descend(starts[first : first + rows], self.moved, self._slope, tolerance, most_steps)
            for first in range(0, len(starts), rows)
        ]
        points, speed = zip(*found, strict=True)
        return np.concatenate(points), np.concatenate(speed)

    def _slope(self, points: Array) -> Array:
        """The derivative of what :meth:`moved` gives."""
        return self.jacobians(points) - np.eye(self.step.size)


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value > 0:
            raise UsageError(f"fixed_points: {name} is {short_repr(value)}; expected a positive number.")


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


def _distinct(points: Array, speed: Array, apart: float) -> tuple[Array, Array]:
    """Of points that do not lie apart the stillest, and how many there were, the largest number first."""
    kept, count = np.zeros(len(points), bool), np.zeros(len(points), int)
    for place in np.argsort(speed, kind="stable"):
        near = np.flatnonzero(kept & (np.linalg.norm(points - points[place], axis=1) < apart))
        first = near[0] if near.size else place
        kept[first] = True
        count[first] += 1
    order = np.argsort(-count, kind="stable")[: kept.sum()]
    return points[order], count[order]
