"""Stack manipulation: the content of a stack after some instructions.

The input holds the bits of a stack from the bottom to the top, and then instructions: pop, push zero, push
one. A pop of an empty stack has no effect. The answer is the final stack from the top to the bottom, and
then an end token. Train on up to 40 steps, test on 41 to 500.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Stack Manipulation, and ``tasks/dcf/stack_manipulation.py``
of their code. Memoryless baseline: the most frequent bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, constant_baseline, with_queries

POP, PUSH_0, QUERY = 2, 3, 5
END = 2


class StackManipulation(LengthGeneralisation):
    """The content of a stack after instructions, for sequences longer than in training.

    Inputs are tokens: two bits, pop, push zero, push one, and query tokens for the answer.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Stack Manipulation, a deterministic context-free task.",
        when_to_use="Use it to test a memory that works as a stack. A state of fixed size cannot hold a deep "
        "stack exactly.",
    )
    input_size = 6
    output_size = 3

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        steps = self.steps(rng, part)
        given = 1 + rng.integers(0, max(steps - 1, 1), size)  # bits of the stack before the instructions
        bits, instructions = rng.integers(0, 2, steps, size), rng.integers(POP, QUERY, steps, size)
        tokens = np.where(np.arange(steps)[:, None] < given, bits, instructions)
        stack, height, rows = np.zeros((steps + 1, size), np.int64), np.zeros(size, np.int64), np.arange(size)
        for token in tokens:
            stack[height, rows] = np.where(token > POP, token - PUSH_0, token)  # of a pop, it is never read
            height = np.maximum(height + np.where(token == POP, -1, 1), 0)
        places = height - 1 - np.arange(steps + 1)[:, None]
        answers = np.take_along_axis(stack, np.maximum(places, 0), axis=0)
        answers = np.where(places >= 0, answers, np.where(places == -1, END, 0))
        return with_queries(tokens, answers, QUERY, height)

    def baseline(self) -> float:
        """The most frequent bit."""
        return constant_baseline(self)


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(StackManipulation)
