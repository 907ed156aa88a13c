"""Evidence accumulation: decide which side had more clicks.

The inputs are two trains of clicks at random times, one on each side. The sum of their rates is fixed. Their
difference is drawn for each trial and determines the difficulty. At the end the network decides which side
had more clicks. Counting solves the task without error.

Reference: B. W. Brunton, M. M. Botvinick & C. D. Brody, *Rats and Humans Can Optimally Accumulate Evidence
for Decision-Making*, Science 340(6128), 2013, https://doi.org/10.1126/science.1233912.

Memoryless baseline: the last step has no clicks, so a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]


class Evidence(zoo.Task):
    """The side with more clicks.

    Inputs are three numbers: a click on the left, a click on the right, and a signal at the last step, where
    the target is.
    """

    family = "neuroscience"
    card = zoo.Card(
        title="Rats and Humans Can Optimally Accumulate Evidence for Decision-Making",
        authors="Bingni W. Brunton and Matthew M. Botvinick and Carlos D. Brody",
        year=2013,
        url="https://doi.org/10.1126/science.1233912",
        variant="There are two trains of clicks whose rates add up to the same in every trial.",
        deviations="There is at most one click on a side in a step. The ratio of the rates is at most 1 to "
        "9. Where both sides have the same number of clicks, the last step decides.",
        when_to_use="Use it to study integration and decisions: the solution is a line attractor, which "
        "analysis of a trained leaky_rnn or ctrnn shows. The guide to neuroscience does so with a network "
        "of rank two. Raise length to require longer integration.",
    )
    threshold = 0.95
    threshold_source = "set here: 95 % right, which requires distinguishing counts that differ by one or two"
    length = zoo.Option(50, help="steps with clicks", low=1)
    rate = zoo.Option(0.8, help="clicks at a step, on both sides together, on average", low=0.01, high=1.0)

    input_size = 3
    output_size = 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        right = 0.1 + 0.8 * rng.uniform(size)  # fraction of the rate
        clicks = rng.uniform(2, self.length, size) < self.rate * np.stack([1 - right, right])[:, None]
        balance = _break_ties(clicks, rng.integers(0, 2, size))
        inputs = np.zeros((self.length + 1, size, 3))
        inputs[:-1, :, 0], inputs[:-1, :, 1], inputs[-1, :, 2] = clicks[0], clicks[1], 1
        targets, weights = (
            np.zeros((self.length + 1, size), np.int32),
            np.zeros((self.length + 1, size), np.float32),
        )
        targets[-1], weights[-1] = balance > 0, 1
        return zoo.Batch(inputs, targets, weights)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / 2


def _break_ties(clicks: Array, sides: Array) -> Array:
    """The number of clicks on the right minus the left, never zero: change the last step of a tie.

    Args:
        clicks: ``(2, T, B)``. In a tie, a click of the last step goes to the other side, and where there is
            none, or one on each side, one is left, on the side drawn.
        sides: Those drawn, 0 for left, 1 for right.
    """
    balance: Array = clicks[1].sum(axis=0) - clicks[0].sum(axis=0)
    tie, last = balance == 0, clicks[:, -1]
    side = np.where(last[0] == last[1], sides, last[0])  # the other side of a lone click
    last[:] = np.where(tie, np.stack([side == 0, side == 1]), last)
    without_ties: Array = clicks[1].sum(axis=0) - clicks[0].sum(axis=0)
    return without_ties


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Evidence)
