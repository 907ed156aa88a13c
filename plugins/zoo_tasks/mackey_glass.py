"""Mackey-Glass: forecast a series with delayed feedback from its own outputs.

The series obeys dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t), computed with Euler steps of 0.1 and
read once per unit of time. The score is the squared error of the forecast 84 steps ahead, for a series of
variance 1. Its root is the NRMSE84 of the literature.

Reference: H. Jaeger & H. Haas, *Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in
Wireless Communication*, Science 304(5667), 2004, https://doi.org/10.1126/science.1091277. The equation is
from M. C. Mackey & L. Glass, *Oscillation and Chaos in Physiological Control Systems*, Science 197(4300),
1977, https://doi.org/10.1126/science.267326.

Memoryless baseline: the mean, whose squared error is the variance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_tasks._chaotic_series import ChaoticSeries

Array = np.ndarray[Any, Any]

STEP, SUBSTEPS = 0.1, 10
TRANSIENT = 300  # steps until trajectories are on the attractor
AHEAD = 84
MEAN, DEVIATION = 0.930, 0.226  # of 20 million Euler steps


class MackeyGlass(ChaoticSeries):
    """The value of the Mackey-Glass series 84 steps ahead, from its own outputs.

    Inputs and targets are one number with mean 0 and variance 1. In validation and test, inputs after the
    context are the outputs of the step before.
    """

    card = zoo.Card(
        title="Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless "
        "Communication",
        authors="Herbert Jaeger and Harald Haas",
        year=2004,
        url="https://doi.org/10.1126/science.1091277",
        variant="The delay is 17, and the forecast is 84 steps ahead.",
        deviations="They train the readout of an echo state network on one series. Here windows of 128 "
        "series with mean 0 and variance 1 are drawn without end. The score is the square of NRMSE84.",
        when_to_use="Use it to compare gradient descent with reservoirs on a standard forecast. A model "
        "needs a memory of 17 steps and precise dynamics of its own.",
    )
    metric = "squared_error"
    threshold = 0.01
    threshold_source = "set here: an NRMSE84 of 0.1"
    delay = zoo.Option(17, help="delay of the feedback, in units of time", low=1)

    @property
    def horizon(self) -> int:
        """The steps of the free run: the first forecast is made before it."""
        return AHEAD - 1

    def trajectories(self, rng: zoo.TaskRng, count: int, steps: int) -> Array:
        """Trajectories on the attractor, ``(steps, count, 1)``."""
        past = np.empty(
            (SUBSTEPS * self.delay, count)
        )  # the values of the last `delay`, at their step modulo it
        past[:] = x = 0.5 + rng.uniform(count)
        series = np.empty((TRANSIENT + steps, count))
        for step in range(SUBSTEPS * len(series)):
            now = past[step % len(past)]
            square = now * now
            fourth = square * square
            change = 0.2 * now / (1 + fourth * fourth * square) - 0.1 * x
            now[:] = x
            x = x + STEP * change
            if step % SUBSTEPS == SUBSTEPS - 1:
                series[step // SUBSTEPS] = x
        return np.ascontiguousarray((series[TRANSIENT:, :, None] - MEAN) / DEVIATION)

    def weigh(self, weights: Array) -> None:
        """Select the last step."""
        weights[-1] = 1


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(MackeyGlass)
