"""Odds first: reproduce every other bit of a sequence, and then the rest.

The answer holds the bits number 1, 3, 5, ..., counted from zero, and then 0, 2, 4, ... Train on up to 40
bits, test on 41 to 500.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Odds First, and ``tasks/cs/odds_first.py`` of their code.
Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_queries


class OddsFirst(LengthGeneralisation):
    """The odd bits of a sequence and then the even ones, for sequences longer than in training.

    Inputs are tokens: two bits, and a query token for each bit of the answer.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Odds First, a context-sensitive task, with indices from zero, as in their code.",
        when_to_use="Use it to test a memory with another order of reading than of writing.",
    )
    input_size = 3
    output_size = 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        bits = rng.integers(0, 2, self.steps(rng, part), size)
        return with_queries(bits, np.concatenate([bits[1::2], bits[::2]]), 2)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(OddsFirst)
