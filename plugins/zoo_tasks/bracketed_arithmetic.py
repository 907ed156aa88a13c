"""Bracketed arithmetic: the value of an expression with brackets, modulo five.

An expression is a number, -n, (n), (-n), or two expressions in brackets with plus, minus or times between
them. Train on up to 40 tokens, test on 41 to 500. A stack solves it.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Modular Arithmetic, and
``tasks/dcf/modular_arithmetic_brackets.py`` of their code, with multiplication as in
``experiments/constants.py``. Memoryless baseline: the most frequent value, zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._bracketed_expressions import BracketedExpressions, draw_expression
from zoo_tasks._length_generalisation import REFERENCE, constant_baseline, with_query

SIGNS = "+-*()"  # their tokens follow the numbers


class BracketedArithmetic(BracketedExpressions):
    """The value of an expression with brackets modulo five, for expressions longer than in training.

    Inputs are tokens: the numbers, plus, minus, times, two brackets, and a query token.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Modular Arithmetic with brackets, a deterministic context-free task.",
        when_to_use="Use it next to modular_arithmetic, which has no brackets and needs no stack.",
    )
    signs = SIGNS

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        steps = self.steps(rng, part)
        expressions, answers = np.empty((steps, size), np.int64), np.empty(size, np.int64)
        for row, uniform in enumerate(rng.uniform(size, steps + 1).tolist()):
            expressions[:, row], answers[row] = draw_expression(steps, self.modulus, SIGNS, iter(uniform))
        return with_query(expressions, answers, self.input_size - 1)

    def baseline(self) -> float:
        """The most frequent value."""
        return constant_baseline(self)


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(BracketedArithmetic)
