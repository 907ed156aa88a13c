"""Binary multiplication: the product of two binary numbers, the lowest bit first.

See :mod:`zoo_tasks._binary_arithmetic` for inputs and outputs.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Binary Multiplication, and
``tasks/cs/binary_multiplication.py`` of their code. Memoryless baseline: the most frequent bit.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._binary_arithmetic import REFERENCE, BinaryArithmetic


class BinaryMultiplication(BinaryArithmetic):
    """The product of two binary numbers, for numbers longer than in training.

    Inputs are tokens: two bits, times, and query tokens for the answer.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Binary Multiplication, a context-sensitive task.",
        when_to_use="Use it next to binary_addition, as a task that needs many passes over the input.",
    )

    def operate(self, first: int, second: int) -> int:
        """The product."""
        return first * second


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(BinaryMultiplication)
