"""Modular arithmetic: the value of an expression without brackets, modulo five.

An expression alternates numbers from 0 to 4 with plus, minus or times. Multiplication binds more tightly, as
in 1 + 2 * 3 = 2. Train on expressions of up to 40 tokens, test on 41 to 500. Lengths are odd. A finite
automaton solves it: its state is the sum of the previous terms and the product of the current factors.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Modular Arithmetic (Simple). Memoryless
baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_query

Array = np.ndarray[Any, Any]

PLUS, MINUS, TIMES = range(3)


class ModularArithmetic(LengthGeneralisation):
    """The value of an expression modulo five, for expressions longer than in training.

    Inputs are tokens: the numbers, then plus, minus and times, and a query token.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Modular Arithmetic (Simple), a regular language.",
        when_to_use="Use it to test state tracking with two values at once, a sum and a product. The state "
        "of the automaton is larger than in parity and cycle. The test has longer expressions than training.",
    )
    modulus = zoo.Option(5, help="numbers run from 0 to one below it", low=2)

    @property
    def input_size(self) -> int:
        """The numbers, three operators, and the query."""
        return self.modulus + 4

    @property
    def output_size(self) -> int:
        """The numbers."""
        return self.modulus

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one odd length."""
        steps = self.steps(rng, part, low=1, every=2)
        numbers = rng.integers(0, self.modulus, steps // 2 + 1, size)
        operators = rng.integers(0, 3, steps // 2, size)
        tokens = np.empty((steps, size), np.int64)
        tokens[::2], tokens[1::2] = numbers, operators + self.modulus
        return with_query(tokens, value(numbers, operators, self.modulus), self.modulus + 3)

    def baseline(self) -> float:
        """A uniform guess: almost every expression of the test has a term of one number."""
        return 1 / self.modulus


def value(numbers: Array, operators: Array, modulus: int) -> Array:
    """The value of each expression, ``(B,)``, from numbers ``(N + 1, B)`` and operators ``(N, B)``."""
    total, term = np.zeros_like(numbers[0]), numbers[0]
    for operator, number in zip(operators, numbers[1:], strict=True):
        times = operator == TIMES
        total = np.where(times, total, total + term) % modulus
        signed = np.where(operator == MINUS, -number, number)
        term = np.where(times, term * number, signed) % modulus
    result: Array = (total + term) % modulus
    return result


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(ModularArithmetic)
