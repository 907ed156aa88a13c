"""Fixed points of a layer under a constant input: states that a step leaves unchanged.

They are found by nonlinear least squares with the exact Jacobian, with the method of Levenberg and Marquardt
(J. J. Moré 1978, "The Levenberg-Marquardt Algorithm: Implementation and Theory",
https://doi.org/10.1007/BFb0067700) from many starts at once: SciPy takes one start at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.analysis.jacobians import eigenvalues, jacobians
from zoo.analysis.state_map import StateMap, StepInputs, check_smooth, state_map_of, trajectory
from zoo.analysis.target import AnalysisTarget, inputs_of, takes_inputs_by_name
from zoo.arguments import check_seed, short_repr
from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.layers.validation import as_aux_inputs, as_floats
from zoo.model import SequenceModel
from zoo.model.model import Model

Residual = Callable[[Array], Array]
"""From points ``(N, S)`` to residuals ``(N, S)``."""

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-12, 1e12

DAMPING_DECREASE, DAMPING_INCREASE = 0.2, 4.0


def levenberg_marquardt(
    points: Array, residual: Residual, jacobian: Callable[[Array], Array], tolerance: float, most_steps: int
) -> tuple[Array, Array]:
    """Minimise ``sum(residual ** 2)`` from each of some points.

    A point stops when the norm of its residual is within the tolerance, or when no step makes it smaller, at
    a minimum that is not zero.

    Args:
        points: Initial points, ``(N, S)``.
        residual: The function whose zeros are sought.
        jacobian: Its derivative, ``(N, S, S)``.
        tolerance: Largest norm of the residual of a zero.
        most_steps: Largest number of steps of a point.

    Returns:
        The points and the norms of their residuals, ``(N, S)`` and ``(N,)``; infinite for an
        invalid start.
    """
    points = points.copy()
    residuals = residual(points)
    norms = _norms(residuals)
    damping = np.full(len(points), FIRST_DAMPING)
    for _ in range(most_steps):
        active = np.flatnonzero((norms > tolerance) & np.isfinite(norms) & (damping < MOST_DAMPING))
        if active.size == 0:
            break
        tried = points[active] + _steps(jacobian(points[active]), residuals[active], damping[active])
        values = residual(tried)
        is_better = _norms(values) < norms[active]
        better, worse = active[is_better], active[~is_better]
        points[better], residuals[better] = tried[is_better], values[is_better]
        norms[better] = _norms(residuals[better])
        damping[better] = np.maximum(damping[better] * DAMPING_DECREASE, LEAST_DAMPING)
        damping[worse] *= DAMPING_INCREASE
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


MAX_STEPS_BEFORE = 32
"""Largest number of steps from a random state to a start, to reach the region of usual states."""

MAX_STARTS = 2**20
"""Largest number of starts."""


def initial_points(
    model: AnalysisTarget,
    step: StateMap,
    step_inputs: StepInputs,
    starts: Any,
    inputs: Any,
    seed: int,
    aux: Mapping[str, ArrayLike],
) -> Array:
    """Initial points, ``(N, S)``: given states, or states on trajectories of the layer.

    Raises:
        UsageError: if the starts or inputs do not fit.
    """
    owner = f"{step.cell.label()}: fixed_points"
    if isinstance(starts, Mapping):
        return _given_starts(step, starts, owner)
    is_count = isinstance(starts, (int, np.integer)) and not isinstance(starts, bool)
    if not is_count or not 1 <= starts <= MAX_STARTS:
        raise UsageError(
            f"{owner}: starts is {short_repr(starts)}; expected an integer from 1 to {MAX_STARTS}, or states "
            f"by name."
        )
    rng = np.random.default_rng(check_seed(seed))
    if inputs is None:
        return _visited_points(step, step_inputs, rng.standard_normal((int(starts), step.size)), rng)
    x = inputs_of(model, inputs)
    constant = {name: np.broadcast_to(value, (*x.shape[:2], *np.shape(value))) for name, value in aux.items()}
    _, before = trajectory(model, step, x, None, constant)
    visited = before.reshape(-1, step.size)
    if len(visited) == 0:
        raise UsageError(f"{owner}: inputs have no steps, so there are no states to start from.")
    return visited[rng.integers(len(visited), size=int(starts))]


def _visited_points(
    step: StateMap, step_inputs: StepInputs, points: Array, rng: np.random.Generator
) -> Array:
    """Points after a random number of steps each."""
    waiting = rng.integers(MAX_STEPS_BEFORE + 1, size=len(points))
    for taken in range(MAX_STEPS_BEFORE):
        moved = step.step(repeat_rows(step_inputs, len(points)), points)
        points = np.where((waiting > taken)[:, None] & np.isfinite(moved), moved, points)
    return points


def _given_starts(step: StateMap, starts: Mapping[str, Any], owner: str) -> Array:
    if set(starts) != set(step.slices):
        raise UsageError(f"{owner}: starts has the states {sorted(starts)}; expected {sorted(step.slices)}.")
    rows = {len(np.atleast_1d(value)) for value in starts.values()}
    if len(rows) != 1:
        raise UsageError(
            f"{owner}: starts has states of {sorted(rows)} rows; expected the same number of each."
        )
    count, dtype = rows.pop(), np.dtype(np.float64)
    states = [
        as_floats(starts[full], (count, *shape), dtype, f"{owner}: state {full!r} of starts")
        for full, shape in zip(step.slices, step.shapes.values(), strict=True)
    ]
    return step.join(states, (count,))


def constant_inputs(
    model: AnalysisTarget, step: StateMap, x: Any, aux: Mapping[str, ArrayLike]
) -> StepInputs:
    """The inputs of every step, as one row.

    Raises:
        UsageError: if x or an auxiliary input does not fit.
    """
    layer, cell = step.layer, step.cell
    rows = {name: np.asarray(value)[None, None] for name, value in aux.items()}
    owner = f"{cell.label()}: fixed_points"
    given = as_aux_inputs(rows, cell.inputs, layer.inputs, (1, 1), np.dtype(np.float64), owner)
    defaults = {name: each.value(cell.options) for name, each in cell.inputs.items()}
    inputs = tuple(
        given[name][0] if name in given else np.full((1, *shape), defaults[name], float)
        for name, shape in layer.inputs.items()
    )
    return StepInputs(_input(model, step, x), inputs, {})


def _input(model: AnalysisTarget, step: StateMap, x: Any) -> Array:
    size, owner = step.layer.input_size, f"{step.cell.label()}: fixed_points"
    if isinstance(x, str) and step.layer.index == 0 and hasattr(model, "vocab"):
        tokens = model.vocab.encode([x] if model.vocab.level in ("symbol", "word") else x)
        x = int(tokens[0]) if len(tokens) == 1 else tokens
    if isinstance(x, (int, np.integer)) and not isinstance(x, bool):
        has_rows = step.layer.index == 0 and isinstance(model, Model) and model.embedding
        embedding = model.params["embedding"] if has_rows else None
        count = size if embedding is None else len(embedding)
        if not 0 <= x < count:
            raise UsageError(f"{owner}: x is token {x}; expected one from 0 to {count - 1}.")
        if embedding is not None:
            return np.asarray(embedding[int(x)][None], np.float64)
        return np.asarray(np.eye(size)[int(x)][None])
    categories = model.categories if isinstance(model, SequenceModel) and step.layer.index == 0 else None
    size = size if categories is None else categories.input_size
    values = as_floats(np.zeros(size) if x is None else x, (size,), np.dtype(np.float64), f"{owner}: x")[None]
    return values if categories is None else categories.embed(values, model.params["embedding"])


def repeat_rows(step_inputs: StepInputs, rows: int) -> StepInputs:
    """Repeat one row."""
    return step_inputs.map(lambda value: np.broadcast_to(value, (rows, *value.shape[1:])))


MAX_UNITS = 2**12

CHUNK_ELEMENTS = 2**24  # of the Jacobians of all descents at once

SPEED_TOLERANCE = 1e-12  # descents stop at this speed

ROUNDING = 1e-9  # distance at which an eigenvalue counts as on the unit circle


@dataclass(frozen=True)
class FixedPoints:
    """Fixed points, sorted by the number of starts that lead to them.

    Args:
        states: Every state of the layer by its full name, ``(N, ...)``.
        speed: Length of one step, ``|F(h) - h|``, ``(N,)``.
        eigenvalues: Eigenvalues of the Jacobian, ``(N, S)``, sorted by modulus, the largest first.
        count: Number of starts that led to each, ``(N,)``.
        starts: Number of starts.
        smallest_speed: The smallest speed to which a start led, also if it is no fixed point.
    """

    states: Mapping[str, Array]
    speed: Array
    eigenvalues: Array
    count: Array
    starts: int
    smallest_speed: float

    def __len__(self) -> int:
        return len(self.speed)

    @property
    def stable(self) -> Array:
        """Whether each attracts nearby states: all eigenvalues are within the unit circle, ``(N,)``."""
        return np.asarray(np.abs(self.eigenvalues).max(axis=1, initial=0.0) < 1 - ROUNDING)

    @property
    def unstable_directions(self) -> Array:
        """Number of eigenvalues of each outside the unit circle, ``(N,)``: one or more for a saddle."""
        return np.asarray(np.sum(np.abs(self.eigenvalues) > 1 + ROUNDING, axis=1))

    def __repr__(self) -> str:
        if not len(self):
            return f"FixedPoints(0 from {self.starts} starts, smallest speed {self.smallest_speed:.2g})"
        return f"FixedPoints({len(self)} from {self.starts} starts, {int(self.stable.sum())} stable)"


@takes_inputs_by_name
def fixed_points(
    model: AnalysisTarget,
    x: ArrayLike | None = None,
    layer: int | str = 0,
    *,
    starts: int | Mapping[str, ArrayLike] = 64,
    inputs: ArrayLike | None = None,
    tolerance: float = 1e-9,
    apart: float = 1e-4,
    most_steps: int = 200,
    seed: int = 0,
    **aux: ArrayLike,
) -> FixedPoints:
    """Fixed points of one layer by itself, found from many states by minimising the speed ``|F(h) - h|^2``.

    The method of D. Sussillo & O. Barak 2013, https://doi.org/10.1162/NECO_a_00409, with damped Newton steps
    and the exact Jacobian. All states of a layer, h and c of an lstm, move together. A larger tolerance also
    finds slow points, local minima of the speed that are not zero.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        x: The input that the layer reads at every step: ``(I,)`` numbers, a token, or for the first layer of
            a language model a symbol; zeros if None.
        layer: Index of the layer, or ``"l0"``.
        starts: Number of states to start from, or the states, ``{"l0.h": (N, ...), ...}``.
        inputs: Inputs of the model, from whose trajectory the starts are drawn. If None, they are drawn from
            the trajectories of random states under x.
        tolerance: Largest length of a step from a fixed point.
        apart: Smallest distance between two fixed points, in the norm of all states.
        most_steps: Largest number of Newton steps from each start.
        seed: Seed of the starts.
        **aux: Auxiliary inputs of the layer at every step, by name, for example ``dt=0.5``; defaults if left
            out.

    Returns:
        The points, sorted by the number of starts that lead to them, the largest first.

    Raises:
        UsageError: if an argument does not fit, if a state of the cell counts steps, so that no state is
            fixed, or if the derivative of the cell is a surrogate.
    """
    _check_positive(tolerance=tolerance, apart=apart, most_steps=most_steps)
    step = state_map_of(model, layer)
    _check(step)
    motion = _StateMotion(step, constant_inputs(model, step, x, aux))
    first = initial_points(model, step, motion.step_inputs, starts, inputs, seed, aux)
    points, speed = motion.find_still_points(
        first, min(tolerance, SPEED_TOLERANCE), int(min(most_steps, 2**31))
    )
    is_still, smallest_speed = speed <= tolerance, float(speed.min(initial=np.inf))
    points, count = _distinct(points[is_still], speed[is_still], apart)
    return FixedPoints(
        {step.layer.prefix + name: value for name, value in step.split(points).items()},
        np.linalg.norm(motion.motion(points), axis=1),
        eigenvalues(motion.jacobians(points)),
        count,
        len(first),
        smallest_speed,
    )


class _StateMotion:
    """The motion of states in a step under a constant input: ``F(h) - h``.

    Args:
        step: The map F.
        step_inputs: Its inputs at every step, one row.
    """

    def __init__(self, step: StateMap, step_inputs: StepInputs) -> None:
        self.step, self.step_inputs = step, step_inputs

    def motion(self, points: Array) -> Array:
        """Motion of points ``(N, S)``."""
        return self.step.step(repeat_rows(self.step_inputs, len(points)), points) - points

    def jacobians(self, points: Array) -> Array:
        """The derivative of F, ``(N, S, S)``."""
        return jacobians(self.step, repeat_rows(self.step_inputs, len(points)), points)

    def find_still_points(self, starts: Array, tolerance: float, most_steps: int) -> tuple[Array, Array]:
        """End points of descents, and the speed there; the chunks of starts fit into memory."""
        rows = max(1, CHUNK_ELEMENTS // self.step.size**2)
        results = [
            levenberg_marquardt(starts[first : first + rows], self.motion, self._slope, tolerance, most_steps)
            for first in range(0, len(starts), rows)
        ]
        points, speed = zip(*results, strict=True)
        return np.concatenate(points), np.concatenate(speed)

    def _slope(self, points: Array) -> Array:
        return self.jacobians(points) - np.eye(self.step.size)


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value > 0:
            raise UsageError(f"fixed_points: {name} is {short_repr(value)}; expected a positive number.")


def _check(step: StateMap) -> None:
    check_smooth(step, "fixed_points")
    owner = step.cell.label()
    whole = [name for name in step.cell.states if name not in step.shapes]
    if whole:
        raise UsageError(
            f"{owner}: fixed_points takes cells whose step is the same at all times, and state {whole[0]!r} "
            f"counts in whole numbers; choose another cell."
        )
    if step.size > MAX_UNITS:
        raise UsageError(
            f"{owner}: the state size is {step.size}, and fixed_points takes at most {MAX_UNITS}; choose a "
            f"smaller layer."
        )


def _distinct(points: Array, speed: Array, apart: float) -> tuple[Array, Array]:
    """Merge nearby points into the slowest, and count them, the largest count first."""
    kept, count = np.zeros(len(points), bool), np.zeros(len(points), int)
    for index in np.argsort(speed, kind="stable"):
        near = np.flatnonzero(kept & (np.linalg.norm(points - points[index], axis=1) < apart))
        first = near[0] if near.size else index
        kept[first] = True
        count[first] += 1
    order = np.argsort(-count, kind="stable")[: kept.sum()]
    return points[order], count[order]
