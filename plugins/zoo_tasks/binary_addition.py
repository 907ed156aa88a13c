"""Binary addition: the sum of two binary numbers, the lowest bit first.

See :mod:`zoo_tasks._binary_arithmetic` for inputs and outputs.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Binary Addition, and ``tasks/cs/binary_addition.py`` of their
code. Memoryless baseline: the most frequent bit.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._binary_arithmetic import REFERENCE, BinaryArithmetic


class BinaryAddition(BinaryArithmetic):
    """The sum of two binary numbers, for numbers longer than in training.

    Inputs are tokens: two bits, plus, and query tokens for the answer.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Binary Addition, a context-sensitive task.",
        when_to_use="Use it to test algorithms on stored sequences: the second number has to be aligned with "
        "the first.",
    )

    def operate(self, first: int, second: int) -> int:
        """The sum."""
        return first + second


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(BinaryAddition)
