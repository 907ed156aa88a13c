"""Solve equation: the unknown number of an equation with brackets, modulo five.

An equation is an expression as in bracketed_arithmetic, without multiplication, an equals sign, and the value
of the expression. One number of the expression is hidden behind an x. Since every number enters with a plus
or a minus, one number solves the equation. Train on up to 40 tokens, test on 41 to 500. A stack solves it.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Solve Equation, and ``tasks/dcf/solve_equation.py`` of their
code. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._bracketed_expressions import BracketedExpressions, draw_expression
from zoo_tasks._length_generalisation import REFERENCE, with_query

SIGNS = "+-()x="  # their tokens follow the numbers


class SolveEquation(BracketedExpressions):
    """The unknown number of an equation with brackets modulo five, for equations longer than in training.

    Inputs are tokens: the numbers, plus, minus, two brackets, the unknown, equals, and a query token.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Solve Equation, a deterministic context-free task, without multiplication, as in "
        "the code.",
        when_to_use="Use it next to bracketed_arithmetic: a stack solves both, and here the value that "
        "decides the answer comes last.",
    )
    signs = SIGNS

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        steps = self.steps(rng, part, low=3)
        equations, answers = np.empty((steps, size), np.int64), np.empty(size, np.int64)
        for row, uniform in enumerate(rng.uniform(size, steps).tolist()):
            numbers = iter(uniform)
            expression, value = draw_expression(steps - 2, self.modulus, SIGNS, numbers)
            index = int(next(numbers) * len(expression))
            while expression[index] >= self.modulus:  # the next number, as in the code
                index = (index + 1) % len(expression)
            answers[row] = expression[index]
            unknown, equals = (self.modulus + SIGNS.index(sign) for sign in "x=")
            expression[index] = unknown
            equations[:, row] = [*expression, equals, value]
        return with_query(equations, answers, self.input_size - 1)

    def baseline(self) -> float:
        """A uniform guess: the hidden number is uniform."""
        return 1 / self.modulus


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(SolveEquation)
