"""Parity: decide whether a sequence of bits has an odd number of ones.

Train on up to 40 bits, test on 41 to 500. A finite automaton of two states solves it. A network that stores
one bit exactly solves it, too, at any length.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Parity Check. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_query

QUERY = 2


class Parity(LengthGeneralisation):
    """Whether a sequence has an odd number of ones, for sequences longer than in training.

    Inputs are tokens: two bits and a query token.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Parity Check, a regular language.",
        when_to_use="Use it to test whether a cell can flip its state: linear recurrences whose eigenvalues "
        "are all positive, such as min_gru and mamba, cannot solve it in finite precision (Grazzi and "
        "others 2024, https://arxiv.org/abs/2411.12537). Recurrent networks with a nonlinearity, such as "
        "vanilla and lstm, can represent the solution. The test has longer sequences than training.",
    )
    input_size = 3
    output_size = 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        bits = rng.integers(0, 2, self.steps(rng, part), size)
        return with_query(bits, bits.sum(axis=0) % 2, QUERY)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Parity)
