"""Flip-flop: hold the sign of the last pulse of each of several inputs.

The inputs are independent channels. At each step a channel has a pulse of plus or minus one with a
probability, and every channel has one at the first step. The target of a channel is its last pulse.

Reference: D. Sussillo & O. Barak, *Opening the Black Box: Low-Dimensional Dynamics in High-Dimensional
Recurrent Neural Networks*, Neural Computation 25(3), 2013, https://doi.org/10.1162/NECO_a_00409. The settings
are those of M. D. Golub & D. Sussillo, https://github.com/mattgolub/fixed-point-finder,
``examples/helper/FlipFlopData.py``: three channels, 64 steps, a probability of 0.5.

Memoryless baseline: the pulse, or zero without one, whose squared error is 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


class FlipFlop(zoo.Task):
    """The last pulse of each of several channels.

    Inputs are minus one, zero or one in each channel. Targets are minus one or one at every step.
    """

    family = "neuroscience"
    loss = "squared_error"
    card = zoo.Card(
        title="Opening the Black Box: Low-Dimensional Dynamics in High-Dimensional Recurrent Neural Networks",
        authors="David Sussillo and Omri Barak",
        year=2013,
        url="https://doi.org/10.1162/NECO_a_00409",
        variant="The settings come from the fixed point finder of Golub and Sussillo.",
        when_to_use="Use it to learn the analysis of fixed points: a trained network has a stable fixed "
        "point for each state, eight for three channels, with saddles between them. Lower rate to test "
        "longer memory.",
    )
    metric = "squared_error"
    threshold = 0.01
    threshold_source = "set here: an error of 0.1 of targets of size 1"
    channels = zoo.Option(3, help="number of channels", low=1)
    length = zoo.Option(64, help="steps of a sequence", low=2)
    rate = zoo.Option(0.5, help="probability of a pulse at a step", low=0.001, high=0.999)

    @property
    def input_size(self) -> int:
        """The number of channels."""
        return self.channels

    @property
    def output_size(self) -> int:
        """The number of channels."""
        return self.channels

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        shape = (self.length, size, self.channels)
        signs, pulses = 2.0 * rng.integers(0, 2, *shape) - 1, rng.uniform(*shape) < self.rate
        pulses[0] = True
        time = np.arange(self.length)[:, None, None]
        last = np.maximum.accumulate(np.where(pulses, time, 0), axis=0)
        targets = np.take_along_axis(signs, last, axis=0)
        return zoo.Batch(signs * pulses, targets, np.ones(shape[:2], np.float32))

    def baseline(self) -> float:
        """The fraction of steps without a pulse."""
        return (1 - self.rate) * (self.length - 1) / self.length


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(FlipFlop)
