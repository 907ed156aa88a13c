"""Base classes of cognitive tasks in which the answer is a direction on a ring.

G. R. Yang, M. R. Joglekar, H. F. Song, W. T. Newsome & X.-J. Wang, *Task representations in neural networks
trained to perform many cognitive tasks*, Nature Neuroscience 22, 2019,
https://doi.org/10.1038/s41593-018-0310-2, and the code they published (https://github.com/gyyang/multitask,
``task.py``, and ``get_perf`` in ``network.py``).

Inputs are a fixation signal and two rings of units, one for each modality. A stimulus is a bump of activity
on a ring. Outputs are a fixation unit and one ring. A network fixates until the response, and then moves to a
direction. A trial is right if the network fixates at the last step when it should, and otherwise does not
fixate and points to within 36 degrees of the right direction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

import zoo

Array = np.ndarray[Any, Any]

LOW, HIGH = 0.05, 0.8  # activity of outputs; bumps of inputs have the height HIGH
WIDTH = np.pi / 8  # of bumps
RESPONSE, GRACE = 500, 100  # ms of a response, and of its beginning, which does not count
TOLERANCE = 0.2 * np.pi
RESPONSE_WEIGHT = 5.0
TAU = 100  # ms, the time constant to which the noise belongs

REFERENCE: dict[str, Any] = {
    "title": "Task representations in neural networks trained to perform many cognitive tasks",
    "authors": "Guangyu Robert Yang and Madhura R. Joglekar and H. Francis Song and William T. Newsome and "
    "Xiao-Jing Wang",
    "year": 2019,
    "url": "https://doi.org/10.1038/s41593-018-0310-2",
    "deviations": "A step is 100 ms and a ring has 16 units by default, and theirs are 20 ms and 32 units. A "
    "network learns one task, so there are no rule inputs. Outputs are linear, the fixation output has the "
    "weight of the others, and recurrent noise is a matter of the cell.",
}


@dataclass
class Trials:
    """Trials of one batch, which share their times, in steps.

    Attributes:
        go: The first step of the response.
        fixation: The number of steps with the fixation input.
        steps: The number of steps.
        response: The right direction of each trial, ``(B,)``.
        responds: Whether each trial has a response, ``(B,)``; otherwise the network keeps fixating.
        stimuli: For each stimulus: modality, directions ``(B,)``, first and last step, strengths.
    """

    go: int
    fixation: int
    steps: int
    response: Array
    responds: Array
    stimuli: list[tuple[int, Array, int, int, Any]] = field(default_factory=list)


class YangTask(zoo.Task, abstract=True):
    """A task with directions on a ring; a subclass defines ``draw_trials``."""

    family = "neuroscience"
    loss = "squared_error"
    metric = "accuracy"
    threshold: ClassVar[float | None] = 0.95
    threshold_source = "set here: 95 % of trials right"
    # Noise makes all examples different.
    split_ranges = MappingProxyType(dict.fromkeys(("train", "valid", "test"), (0.0, 1.0)))
    step = zoo.Option(100, help="milliseconds of a step", low=1, high=100)
    units = zoo.Option(16, help="units of a ring", low=8)
    noise = zoo.Option(0.01, help="standard deviation of the input noise, for a step of 200 ms", low=1e-4)

    @property
    def input_size(self) -> int:
        """Fixation and two rings."""
        return 1 + 2 * self.units

    @property
    def output_size(self) -> int:
        """Fixation and a ring."""
        return 1 + self.units

    def draw_trials(self, rng: zoo.TaskRng, size: int) -> Trials:
        """Draw the times, stimuli and responses of a batch."""
        raise NotImplementedError

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        trials = self.draw_trials(rng, size)
        noise = self.noise * (2 * TAU / self.step) ** 0.5
        inputs = noise * rng.approximate_normal(trials.steps, size, self.input_size)
        inputs[: trials.fixation, :, 0] += 1
        for modality, directions, first, last, strengths in trials.stimuli:
            ring = slice(1 + modality * self.units, 1 + (modality + 1) * self.units)
            inputs[first:last, :, ring] += np.asarray(strengths)[..., None] * self._bumps(directions)
        targets = np.full((trials.steps, size, self.output_size), LOW)
        fixates = (np.arange(trials.steps)[:, None] < trials.go) | ~trials.responds
        targets[..., 0] = np.where(fixates, HIGH, LOW)
        targets[..., 1:] += np.where(fixates[..., None], 0, self._bumps(trials.response))
        weights = np.zeros((trials.steps, size), np.float32)
        weights[self.steps_of(GRACE) : trials.go] = 1
        weights[trials.go + self.steps_of(GRACE) :] = RESPONSE_WEIGHT
        return zoo.Batch(inputs, targets, weights)

    def score(self, outputs: Array, batch: zoo.Batch) -> float:
        """The fraction of trials that are right at the last step."""
        fixates, directions = self._read(outputs[-1])
        should_fixate, right = self._read(batch.targets[-1])
        distance = np.abs((directions - right + np.pi) % (2 * np.pi) - np.pi)
        return float(np.where(should_fixate, fixates, ~fixates & (distance < TOLERANCE)).mean())

    def steps_of(self, milliseconds: float) -> int:
        """A time in steps."""
        return max(1, int(milliseconds / self.step))

    def steps_among(self, rng: zoo.TaskRng, *milliseconds: int) -> int:
        """One of some times, in steps."""
        return self.steps_of(milliseconds[rng.integer(0, len(milliseconds))])

    def steps_between(self, rng: zoo.TaskRng, low: int, high: int) -> int:
        """A time between two, in steps."""
        return self.steps_of(low + (high - low) * float(rng.uniform(1)[0]))

    def _angles(self) -> Array:
        return 2 * np.pi * np.arange(self.units) / self.units

    def _bumps(self, directions: Array) -> Array:
        """The activity ``(B, units)`` of a ring for directions ``(B,)``."""
        distance = np.abs((directions[:, None] - self._angles() + np.pi) % (2 * np.pi) - np.pi)
        bumps: Array = HIGH * np.exp(-((distance / WIDTH) ** 2) / 2)
        return bumps

    def _read(self, outputs: Array) -> tuple[Array, Array]:
        """Whether outputs ``(B, V)`` fixate, and their directions by the population vector."""
        ring, angles = outputs[:, 1:], self._angles()
        return outputs[:, 0] > 0.5, np.arctan2(ring @ np.sin(angles), ring @ np.cos(angles))


def draw_directions(rng: zoo.TaskRng, size: int) -> Array:
    """Uniform directions, ``(B,)``."""
    return 2 * np.pi * rng.uniform(size)


def draw_signs(rng: zoo.TaskRng, size: int) -> Array:
    """Minus one or one, ``(B,)``."""
    return 2 * rng.integers(0, 2, size) - 1


class GoTask(YangTask, abstract=True):
    """Respond to one stimulus, in its direction or in the opposite one.

    Without ``delayed``, the stimulus stays until the end of the trial.
    """

    anti = False
    delayed = False

    def draw_trials(self, rng: zoo.TaskRng, size: int) -> Trials:
        """Draw the times, stimuli and responses of a batch."""
        directions, modality = draw_directions(rng, size), rng.integer(0, 2)
        if self.delayed:
            on = self.steps_among(rng, 300, 500, 700)
            off = on + self.steps_among(rng, 200, 400, 600)
            go = off + self.steps_among(rng, 200, 400, 800, 1600)
            steps = go + self.steps_of(RESPONSE)
        else:
            on = self.steps_between(rng, 300, 700)
            go = on + self.steps_between(rng, 500, 1500)
            off = steps = go + self.steps_of(RESPONSE)
        response = directions + np.pi if self.anti else directions
        return Trials(go, go, steps, response, np.ones(size, bool), [(modality, directions, on, off, 1.0)])


class DecisionTask(YangTask, abstract=True):
    """Respond to the stronger of two stimuli.

    ``weights`` are those of both modalities. A modality without weight has stimuli of other strengths if
    ``distracts``, and none otherwise. An observer who knows the two directions and averages over time is
    right in 99.6 % of trials or more, with the default noise and units.
    """

    weights = (1, 0)
    distracts = False

    def draw_trials(self, rng: zoo.TaskRng, size: int) -> Trials:
        """Draw the times, stimuli and responses of a batch."""
        on = self.steps_between(rng, 100, 400)
        off = on + self.steps_among(rng, 400, 800, 1600)
        first = draw_directions(rng, size)
        second = first + np.pi * (0.5 + rng.uniform(size)) * draw_signs(rng, size)
        strengths = self._draw_strengths(rng, size)
        evidence = np.tensordot(self.weights, strengths, 1)
        stimuli: list[tuple[int, Array, int, int, Any]] = [
            (modality, directions, on, off, strengths[modality, place])
            for modality in range(2)
            if self.weights[modality] or self.distracts
            for place, directions in enumerate((first, second))
        ]
        response = np.where(evidence[0] > evidence[1], first, second)
        steps = off + self.steps_of(RESPONSE)
        return Trials(off, off, steps, response, np.ones(size, bool), stimuli)

    def _draw_strengths(self, rng: zoo.TaskRng, size: int) -> Array:
        """The strengths ``(2, 2, B)`` of both stimuli in both modalities."""
        mean = 0.8 + 0.4 * rng.uniform(2, size)
        difference = 0.01 * 2 ** rng.integers(0, 4, 2, size) * (2 * rng.integers(0, 2, 2, size) - 1)
        if all(self.weights):  # one pair of strengths, divided unequally over the modalities
            pair = np.stack([mean[0] + difference[0], mean[0] - difference[0]])
            share = pair * (0.2 + 0.6 * rng.uniform(2, size)) * (2 * rng.integers(0, 2, 2, size) - 1) / 2
            return np.stack([pair + share, pair - share])
        return np.stack([mean + difference, mean - difference], axis=1)


class MatchTask(YangTask, abstract=True):
    """Respond to the second of two stimuli, if it is the same as the first, or if it is not."""

    responds_to_match = True

    def draw_trials(self, rng: zoo.TaskRng, size: int) -> Trials:
        """Draw the times, stimuli and responses of a batch."""
        on = self.steps_among(rng, 200, 400, 600)
        off = on + self.steps_among(rng, 200, 400, 600)
        test = off + self.steps_among(rng, 200, 400, 800, 1600)
        steps = test + self.steps_of(RESPONSE)
        modalities, matches = rng.integers(0, 2, 2), rng.integers(0, 2, size) == 1
        first = draw_directions(rng, size)
        distance = np.pi * (1 + 16 * rng.uniform(size)) / 9 * draw_signs(rng, size)
        second = np.where(matches, first, first + distance)
        stimuli: list[tuple[int, Array, int, int, Any]] = [
            (int(modalities[0]), first, on, off, 1.0),
            (int(modalities[1]), second, test, steps, 1.0),
        ]
        return Trials(test, steps, steps, second, matches == self.responds_to_match, stimuli)
