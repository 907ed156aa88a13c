"""Base class of tasks that train on short sequences and test on longer ones.

The setup is that of G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, sections 4 and A.4, and of the code they published
(https://github.com/google-deepmind/neural_networks_chomsky_hierarchy). All sequences of a batch have the same
length, drawn from 1 to 40 in training and from 41 to 500 in the test. The score is the mean accuracy over the
test batches. Query tokens follow the input, one for each symbol of the answer, and the targets are there.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]

REFERENCE: dict[str, Any] = {
    "title": "Neural Networks and the Chomsky Hierarchy",
    "authors": "Grégoire Delétang, Anian Ruoss, Jordi Grau-Moya, Tim Genewein, Li Kevin Wenliang, "
    "Elliot Catt, Chris Cundy, Marcus Hutter, Shane Legg, Joel Veness, Pedro A. Ortega",
    "year": 2023,
    "url": "https://arxiv.org/abs/2207.02098",
    "deviations": "Validation, too, is on lengths that training does not have, with other sequences than the "
    "test. The score is the mean over as many lengths as there are batches, where the paper has every "
    "length once.",
}


class LengthGeneralisation(zoo.Task, abstract=True):
    """A task with longer sequences in validation and test than in training."""

    family = "automata"
    metric = "accuracy"
    threshold = 0.9
    threshold_source = "a mean accuracy of 90 % over unseen lengths, the score of Delétang et al. 2023"
    # Training differs by length; validation and test differ by the hash of a sequence.
    split_ranges = MappingProxyType({"train": (0.0, 1.0), "valid": (0.0, 0.5), "test": (0.5, 1.0)})
    longest = zoo.Option(40, help="longest sequence of training", low=1)
    tested = zoo.Option(500, help="longest sequence of validation and test", low=2)

    def steps(self, rng: zoo.TaskRng, part: str, low: int = 1, every: int = 1) -> int:
        """Draw a length: ``low`` plus a multiple of ``every``.

        Raises:
            zoo.UsageError: if no sequence is longer than those of training.
        """
        if part == "train":
            first, last = low, self.longest
        else:
            first, last = low + every * (max(self.longest - low, -1) // every + 1), self.tested
        if last < first:
            raise zoo.UsageError(
                f"{self.label()}: longest={self.longest}, tested={self.tested}; the shortest sequence has "
                f"{low} steps, and the longest of the test has to be longer than any of training."
            )
        return first + every * rng.integer(0, (last - first) // every + 1)


def with_query(inputs: Array, answers: Array, query: int) -> zoo.Batch:
    """Append a query token to sequences ``(T, B)``; their answers ``(B,)`` are the targets at that step."""
    return with_queries(inputs, answers[None], query)


def with_queries(inputs: Array, answers: Array, query: int, last: Array | None = None) -> zoo.Batch:
    """Append a query token for each step of answers ``(N, B)``, which are the targets there.

    Args:
        inputs: Sequences ``(T, B)``.
        answers: Their answers.
        query: The query token.
        last: The last step of each answer that counts, ``(B,)``; None if all do.
    """
    whole = np.concatenate([inputs, np.full(answers.shape, query)]).astype(np.int32)
    targets, weights = np.zeros_like(whole), np.zeros(whole.shape, np.float32)
    targets[len(inputs) :] = answers
    weights[len(inputs) :] = True if last is None else np.arange(len(answers))[:, None] <= last
    return zoo.Batch(whole, targets, weights)


def constant_baseline(task: zoo.Task) -> float:
    """The accuracy of the most frequent answer in test batches, for answers with unequal frequencies."""
    batches = [task.batch(index, 32, 0, "test") for index in range(16)]
    shares = [
        np.bincount(batch.targets.ravel(), batch.weights.ravel(), task.output_size) / batch.weights.sum()
        for batch in batches
    ]
    return float(np.mean(shares, axis=0).max())
