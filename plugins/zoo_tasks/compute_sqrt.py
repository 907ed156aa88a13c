"""Square root: the integer part of the square root of a binary number, the highest bit first.

The answer has half as many bits as the number, rounded up. Train on up to 40 bits, test on 41 to 500.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Compute Sqrt, and ``tasks/cs/compute_sqrt.py`` of their code.
Memoryless baseline: the most frequent bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._binary_arithmetic import number
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, constant_baseline, with_queries


class ComputeSqrt(LengthGeneralisation):
    """The integer part of the square root of a binary number, for numbers longer than in training.

    Inputs are tokens: two bits, and a query token for each bit of the answer.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Compute Sqrt, a context-sensitive task.",
        when_to_use="Use it next to binary_addition to test a longer computation on a stored number.",
    )
    input_size = 3
    output_size = 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        bits = rng.integers(0, 2, self.steps(rng, part), size)
        width = -(-len(bits) // 2)
        squares = map(number, bits[::-1].T.tolist())
        roots = [list(map(int, f"{math.isqrt(square):0{width}b}")) for square in squares]
        return with_queries(bits, np.array(roots).T, 2)

    def baseline(self) -> float:
        """The most frequent bit."""
        return constant_baseline(self)


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(ComputeSqrt)
