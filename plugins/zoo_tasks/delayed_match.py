"""Delayed match to sample: decide whether two stimuli with a delay between them are the same.

One of eight stimuli is shown, then nothing during a delay, then a second stimulus. When the fixation input
becomes zero, the network decides whether the two were the same. A stimulus is a direction, encoded by eight
units on a ring with a tuning of 0.5 + 0.5 cos and noise. Half of the trials are matches.

Reference: E. K. Miller, C. A. Erickson & R. Desimone, *Neural Mechanisms of Visual Working Memory in
Prefrontal Cortex of the Macaque*, Journal of Neuroscience 16(16), 1996,
https://doi.org/10.1523/JNEUROSCI.16-16-05154.1996, in the form that NeuroGym gives it
(https://github.com/neurogym/neurogym, ``delaymatchsample.py``): 100 ms a step, 0.3 s of fixation, 0.5 s of
sample, 1 s of delay, 0.5 s of test, 0.9 s to decide, noise of 0.1.

Memoryless baseline: the inputs of the decision steps hold no stimulus, so a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]

FIXATION, SAMPLE, TEST, DECISION = 3, 5, 5, 9  # steps


class DelayedMatch(zoo.Task):
    """Whether a stimulus is the same as the one before a delay.

    Inputs are nine numbers: a fixation input, which is zero during the decision, and eight units that encode
    stimuli with noise. The target at every step of the decision is match or no match.
    """

    family = "neuroscience"
    card = zoo.Card(
        title="Neural Mechanisms of Visual Working Memory in Prefrontal Cortex of the Macaque",
        authors="Earl K. Miller and Cynthia A. Erickson and Robert Desimone",
        year=1996,
        url="https://doi.org/10.1523/JNEUROSCI.16-16-05154.1996",
        variant="This is DelayMatchSample of NeuroGym, with steps of 100 ms.",
        deviations="There are eight directions, where NeuroGym has two by default. A test stimulus that "
        "does not match is any other direction. Only the decision counts, and there is no answer for "
        "holding fixation.",
        when_to_use="Use it to study working memory in a rate network: the state of the delay can be read "
        "with a decoder or as fixed points. The cells leaky_rnn and ctrnn are the usual models. Raise delay "
        "or noise to make it harder.",
    )
    threshold = 0.95
    threshold_source = (
        "set here: higher than the accuracy to which animals are trained, lower than the noise permits"
    )
    delay = zoo.Option(10, help="steps between the stimuli", low=0)
    stimuli = zoo.Option(8, help="directions, and units that encode them", low=2)
    noise = zoo.Option(0.1, help="standard deviation of the noise on stimuli", low=1e-3)

    output_size = 2

    @property
    def input_size(self) -> int:
        """The fixation input and the units."""
        return 1 + self.stimuli

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        sample, matches = rng.integers(0, self.stimuli, size), rng.integers(0, 2, size)
        test = (sample + (1 - matches) * rng.integers(1, self.stimuli, size)) % self.stimuli
        begin = FIXATION + SAMPLE + self.delay  # of the test
        steps = begin + TEST + DECISION
        inputs = np.zeros((steps, size, 1 + self.stimuli))
        inputs[: begin + TEST, :, 0] = 1
        for first, length, seen in ((FIXATION, SAMPLE, sample), (begin, TEST, test)):
            noise = self.noise * rng.approximate_normal(length, size, self.stimuli)
            inputs[first : first + length, :, 1:] = self._tuning(seen) + noise
        targets, weights = np.zeros((steps, size), np.int32), np.zeros((steps, size), np.float32)
        targets[-DECISION:], weights[-DECISION:] = matches, 1
        return zoo.Batch(inputs, targets, weights)

    def _tuning(self, seen: Array) -> Array:
        """The responses of the units to stimuli ``(B,)``, without noise."""
        angles = 2 * np.pi * np.arange(self.stimuli) / self.stimuli
        responses: Array = 0.5 + 0.5 * np.cos(angles - angles[seen][:, None])
        return responses

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(DelayedMatch)
