"""Missing duplicate: find the missing bit of a sequence that is shown twice.

The input is a sequence of bits, twice, in which one bit is hidden. Train on up to 40 steps, test on 42 to
500. Lengths are even.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Missing Duplicate, and
``tasks/cs/missing_duplicate_string.py`` of their code. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_query


class MissingDuplicate(LengthGeneralisation):
    """The hidden bit in a repeated sequence, for sequences longer than in training.

    Inputs are tokens: two bits, the token of the hidden bit, and a query token.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Missing Duplicate, a context-sensitive task, for even lengths only.",
        when_to_use="Use it to test the comparison of two sequences: the network has to find the bit at the "
        "same place of the other copy.",
    )
    input_size = 4
    output_size = 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one even length."""
        bits = rng.integers(0, 2, self.steps(rng, part, low=2, every=2) // 2, size)
        tokens, rows = np.concatenate([bits, bits]), np.arange(size)
        hidden = rng.integers(0, len(tokens), size)
        answers = tokens[hidden, rows]
        tokens[hidden, rows] = 2
        return with_query(tokens, answers, 3)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(MissingDuplicate)
