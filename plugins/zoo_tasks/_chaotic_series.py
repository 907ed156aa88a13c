"""Base class of tasks that forecast a chaotic series with free running.

Training predicts the next value from true values (teacher forcing). In validation and test a model reads a
context of true values, and from then on its own outputs. Trajectories are computed with fixed steps of
additions, multiplications and divisions, so they are the same on every machine.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]

TRAJECTORIES = 128  # of each part; windows of training begin anywhere in them
WASHOUT = 20  # steps at the beginning of a training window that do not count


class ChaoticSeries(zoo.Task, abstract=True):
    """Forecast a chaotic series from its own outputs.

    A subclass defines ``trajectories`` and ``weigh``.
    """

    family = "forecasting"
    loss = "squared_error"
    context = zoo.Option(100, help="steps of true values before the free run", low=1)
    length = zoo.Option(100, help="steps of a training window", low=WASHOUT + 1)
    noise = zoo.Option(0.0, help="standard deviation of the noise on training inputs", low=0.0)

    @property
    def input_size(self) -> int:
        """The number of observed variables."""
        return 1

    @property
    def output_size(self) -> int:
        """The number of observed variables."""
        return self.input_size

    @property
    def horizon(self) -> int:
        """The number of steps of the free run."""
        raise NotImplementedError

    def trajectories(self, rng: zoo.TaskRng, count: int, steps: int) -> Array:
        """Compute trajectories ``(steps, count, input_size)`` with mean 0 and variance 1."""
        raise NotImplementedError

    def weigh(self, weights: Array) -> None:
        """Set the weights ``(horizon, B)``, all zero, of the steps of the free run that count."""
        weights[:] = 1

    def make_batch(self, index: int, size: int, seed: int, part: str) -> zoo.Batch:
        """Windows of trajectories that belong to the part."""
        rng = zoo.TaskRng(self.name, seed, part, index)
        steps = self.length if part == "train" else self.context + self.horizon
        series = self._series(part)
        begin, which = rng.integers(0, len(series) - steps, size), rng.integers(0, TRAJECTORIES, size)
        window = series[begin + np.arange(steps + 1)[:, None], which]
        inputs, targets, weights = window[:-1].copy(), window[1:], np.zeros((steps, size), np.float32)
        if part == "train":
            if self.noise:
                inputs += self.noise * rng.approximate_normal(*inputs.shape)
            weights[WASHOUT:] = 1
            return zoo.Batch(inputs, targets, weights)
        inputs[self.context :] = 0  # replaced by outputs
        self.weigh(weights[self.context :])
        return zoo.Batch(inputs, targets, weights, context=self.context)

    def _series(self, part: str) -> Array:
        """The trajectories of a part, twice as long as a window of it."""
        return _trajectories(type(self)(**{**self.options, "noise": 0.0}), part)

    def baseline(self) -> float:
        """The score of the mean as a forecast."""
        batches = [self.batch(index, 32, 0, "test") for index in range(8)]
        return float(np.mean([self.score(np.zeros_like(batch.targets), batch) for batch in batches]))


@functools.cache  # one copy for all instances with the same options
def _trajectories(task: ChaoticSeries, part: str) -> Array:
    steps = 2 * max(task.length, task.context + task.horizon)
    series = task.trajectories(zoo.TaskRng(task.name, part), TRAJECTORIES, steps)
    series.flags.writeable = False
    return series
