"""Base class of tasks that compute with two binary numbers.

The input holds two numbers with their lowest bits first, and the sign of the operation between them. The
answer holds the lowest bit of the result first, no leading zeros, and then an end token. The numbers
together have up to 39 bits in training, and 40 to 499 in the test. See
:mod:`zoo_tasks._length_generalisation` for the source.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import zoo
from zoo_tasks._length_generalisation import REFERENCE as PAPER
from zoo_tasks._length_generalisation import LengthGeneralisation, constant_baseline, with_queries

REFERENCE: dict[str, Any] = {
    **PAPER,
    "deviations": f"{PAPER['deviations']} Inputs have three steps or more, and a number may be zero.",
}

SIGN, QUERY, END = 2, 3, 2


class BinaryArithmetic(LengthGeneralisation, abstract=True):
    """An operation on two binary numbers."""

    input_size = 4
    output_size = 3

    def operate(self, first: int, second: int) -> int:
        """The result."""
        raise NotImplementedError

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        steps = self.steps(rng, part, low=3)
        tokens, signs = rng.integers(0, 2, steps, size), rng.integers(1, steps - 1, size)
        tokens[signs, np.arange(size)] = SIGN
        answers, last = np.zeros((steps + 1, size), np.int64), np.empty(size, np.int64)
        for row, (sign, digits) in enumerate(zip(signs.tolist(), tokens.T.tolist(), strict=True)):
            result = self.operate(number(digits[:sign]), number(digits[sign + 1 :]))
            bits = [int(bit) for bit in reversed(f"{result:b}")]
            answers[: len(bits) + 1, row], last[row] = [*bits, END], len(bits)
        return with_queries(tokens, answers, QUERY, last)

    def baseline(self) -> float:
        """The most frequent bit."""
        return constant_baseline(self)


def number(digits: list[int]) -> int:
    """The number with these bits, the lowest one first."""
    return int("".join(map(str, reversed(digits))), 2)
