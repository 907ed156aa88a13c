"""Fixed points of a layer under a constant input: states that a step leaves where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.analysis.descent import descend
from zoo.analysis.jacobians import eigenvalues, jacobians
from zoo.analysis.starts import constant, spread, starts_of
from zoo.analysis.step_map import StepMap, Told
from zoo.analysis.subject import Subject
from zoo.analysis.trajectory import check_smooth, step_map
from zoo.arguments import short_repr
from zoo.errors import UsageError
from zoo.layers.layer import Array

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
