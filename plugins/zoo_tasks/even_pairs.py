"""Even pairs: decide whether the number of changes between neighbouring bits is odd.

The answer is also whether the first bit differs from the last one. Train on up to 40 bits, test on 41 to
500.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Even Pairs, and ``tasks/regular/even_pairs.py`` of their
code. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_query


class EvenPairs(LengthGeneralisation):
    """Whether the number of changes in a sequence of bits is odd, for sequences longer than in training.

    Inputs are tokens: two bits and a query token.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Even Pairs, a regular language.",
        when_to_use="Use it as an easy neighbour of parity: it is enough to keep the first bit and to "
        "compare it with the last one.",
    )
    input_size = 3
    output_size = 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        bits = rng.integers(0, 2, self.steps(rng, part), size)
        return with_query(bits, (bits[1:] != bits[:-1]).sum(axis=0) % 2, 2)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(EvenPairs)
