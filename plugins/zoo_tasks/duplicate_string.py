"""Duplicate string: reproduce a sequence of bits twice.

Train on up to 40 bits, test on 41 to 500. A queue solves it.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Duplicate String, and ``tasks/cs/duplicate_string.py`` of
their code. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_queries


class DuplicateString(LengthGeneralisation):
    """A sequence of bits, twice, for sequences longer than in training.

    Inputs are tokens: two bits, and a query token for each bit of the answer.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Duplicate String, a context-sensitive task.",
        when_to_use="Use it to test a memory that works as a queue and can be read again. The task copying "
        "has a fixed length.",
    )
    input_size = 3
    output_size = 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        bits = rng.integers(0, 2, self.steps(rng, part), size)
        return with_queries(bits, np.concatenate([bits, bits]), 2)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(DuplicateString)
