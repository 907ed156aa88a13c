"""Lorenz: forecast a chaotic system with three variables from its own outputs.

A step is 0.025 units of time, about 1/44 of the Lyapunov time of 1.104. The score is the valid time of the
free run: the time until the error first exceeds 0.4 standard deviations, in Lyapunov times.

Reference: E. N. Lorenz, *Deterministic Nonperiodic Flow*, Journal of the Atmospheric Sciences 20(2), 1963,
https://doi.org/10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2. Step and Lyapunov time are those of D. J.
Gauthier, E. Bollt, A. Griffith & W. A. S. Barbosa, *Next generation reservoir computing*, Nature
Communications 12, 2021, https://doi.org/10.1038/s41467-021-25801-2, and of the code they published
(https://github.com/quantinfo/ng-rc-paper-code).

Memoryless baseline: the mean, whose error exceeds the limit after a few steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_tasks._chaotic_series import ChaoticSeries

Array = np.ndarray[Any, Any]

SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
STEP, LYAPUNOV_STEPS = 0.025, 44
SUBSTEPS = 2
TRANSIENT = 400  # steps until trajectories are on the attractor
MEAN, DEVIATION = np.array([0.0, 0.0, 23.56]), np.array([7.93, 9.01, 8.61])  # of six million steps


class Lorenz(ChaoticSeries):
    """The future of the Lorenz system, from its own outputs.

    Inputs and targets are the variable x, or all three, with mean 0 and variance 1. In validation and test,
    inputs after the context are the outputs of the step before.
    """

    card = zoo.Card(
        title="Deterministic Nonperiodic Flow",
        authors="Edward N. Lorenz",
        year=1963,
        url="https://doi.org/10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2",
        variant="The step of 0.025 and the Lyapunov time are those of Gauthier and others 2021.",
        deviations="Only x is observed by default, so that a forecast needs memory, and Gauthier and others "
        "observe all three variables. They train on 400 steps of one trajectory, and here windows of 128 "
        "trajectories are drawn without end. Trajectories are computed with fixed Runge-Kutta steps of order "
        "four.",
        when_to_use="Use it to test how precisely a cell reconstructs a state from observations: in a "
        "chaotic system an error grows by a factor of 2.7 in each Lyapunov time. A small noise on the inputs "
        "of training can make the free run more stable.",
    )
    metric = "valid_time"
    threshold = 2.0
    threshold_source = "set here: two Lyapunov times from x alone"
    observed = zoo.Option("x", help="the variables that are observed", choices=("x", "xyz"))
    times = zoo.Option(5, help="steps of the free run, in Lyapunov times", low=1)

    @property
    def input_size(self) -> int:
        """One variable or three."""
        return len(self.observed)

    @property
    def horizon(self) -> int:
        """The number of steps of the free run."""
        return LYAPUNOV_STEPS * self.times

    def trajectories(self, rng: zoo.TaskRng, count: int, steps: int) -> Array:
        """Trajectories on the attractor, ``(steps, count, input_size)``."""
        state = 20 * rng.uniform(3, count) - 10 + MEAN[:, None]
        series = np.empty((TRANSIENT + steps, 3, count))
        for values in series:
            for _ in range(SUBSTEPS):
                state = _runge_kutta(state, STEP / SUBSTEPS)
            values[:] = state
        scaled = (series[TRANSIENT:].swapaxes(1, 2) - MEAN) / DEVIATION
        return np.ascontiguousarray(scaled[..., : self.input_size])

    def score(self, outputs: Array, batch: zoo.Batch) -> float:
        """The valid time of the free run in Lyapunov times, at most ``times``."""
        return super().score(outputs, batch) * self.times


def _runge_kutta(state: Array, step: float) -> Array:
    """The state after a step of the method of order four."""
    first = _velocity(state)
    second = _velocity(state + step / 2 * first)
    third = _velocity(state + step / 2 * second)
    result: Array = state + step / 6 * (first + 2 * (second + third) + _velocity(state + step * third))
    return result


def _velocity(state: Array) -> Array:
    """The derivative of states ``(3, N)`` with respect to time."""
    x, y, z = state
    return np.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z])


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Lorenz)
