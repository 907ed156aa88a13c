"""Ready-set-go: measure the interval between two pulses, and produce it again.

A fixation signal ends with the second pulse, "set". The network answers when as much time has passed after it
as between "ready" and "set". The target is zero until then and one from then on, up to twice the interval.
The time of the answer is the first step with a positive output. It is right if it differs from the interval
by at most 20 % of it and 25 ms.

Reference: M. Jazayeri & M. N. Shadlen, *Temporal context calibrates interval timing*, Nature Neuroscience
13, 2010, https://doi.org/10.1038/nn.2590, with the times and the margin of NeuroGym
(https://github.com/neurogym/neurogym, ``readysetgo.py``): intervals from 0.8 to 1.5 s.

Memoryless baseline: after "set" all inputs are zero, so a network answers at once or never, which is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

import zoo

SHORTEST, LONGEST = 800, 1500  # ms
MARGIN, SLACK = 0.2, 25  # of an interval, and ms


class ReadySetGo(zoo.Task):
    """The time when an interval has passed that is as long as the one between two pulses.

    Inputs are a fixation signal and two pulses, the heights of which vary. The output is the logit of the
    probability that the interval has passed.
    """

    family = "neuroscience"
    loss = "binary"
    card = zoo.Card(
        title="Temporal context calibrates interval timing",
        authors="Mehrdad Jazayeri and Michael N. Shadlen",
        year=2010,
        url="https://doi.org/10.1038/nn.2590",
        variant="Times and margin are those of ReadySetGo of NeuroGym, with a gain of one.",
        deviations="A step is 50 ms, and 80 ms in NeuroGym. A pulse is one step. The target stays at one "
        "after the interval, where NeuroGym asks for one step. Before ready there are 2 to 5 steps.",
        when_to_use="Use it to study timing: a network has to measure time and then to run through the same "
        "states at a speed that depends on it. Lower step for finer timing and longer sequences.",
    )
    metric = "accuracy"
    threshold = 0.95
    threshold_source = "set here: 95 % of intervals within the margin of NeuroGym"
    # The heights of the pulses make all examples different.
    split_ranges = MappingProxyType(dict.fromkeys(("train", "valid", "test"), (0.0, 1.0)))
    step = zoo.Option(50, help="milliseconds of a step", low=1, high=200)
    noise = zoo.Option(0.1, help="standard deviation of the height of a pulse", low=1e-4)

    input_size = 3
    output_size = 1

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        rows, time = np.arange(size), np.arange(5 + 3 * (LONGEST // self.step))[:, None]
        interval = rng.integers(-(-SHORTEST // self.step), LONGEST // self.step + 1, size)
        ready = rng.integers(2, 6, size)
        started = ready + interval
        inputs = np.zeros((len(time), size, 3))
        inputs[..., 0] = time < started
        heights = 1 + self.noise * rng.approximate_normal(2, size)
        inputs[ready, rows, 1], inputs[started, rows, 2] = heights
        targets = (time >= started + interval)[..., None].astype(np.float32)
        weights = (time >= started) & (time < started + 2 * interval)
        return zoo.Batch(inputs, targets, weights.astype(np.float32))

    def score(self, outputs: np.ndarray, batch: zoo.Batch) -> float:
        """The fraction of trials with an answer within the margin."""
        counts = batch.weights > 0
        interval = (counts & (batch.targets[..., 0] == 0)).sum(axis=0)
        answers = counts & (outputs[..., 0] > 0)
        waited = answers.argmax(axis=0) - counts.argmax(axis=0)
        margin = MARGIN * interval + SLACK / self.step
        return float((answers.any(axis=0) & (np.abs(waited - interval) <= margin)).mean())

    def baseline(self) -> float:
        """An answer at once, or never."""
        return 0.0


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(ReadySetGo)
