"""Random expressions with brackets modulo a number, for two tasks of Delétang et al. 2023.

See ``tasks/dcf/modular_arithmetic_brackets.py`` of
https://github.com/google-deepmind/neural_networks_chomsky_hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import zoo
from zoo_tasks._length_generalisation import LengthGeneralisation

OPERATORS = "+-*"


class BracketedExpressions(LengthGeneralisation, abstract=True):
    """A task whose inputs are numbers, signs and a query, and whose answer is a number."""

    signs: ClassVar[str]
    """The signs, whose tokens follow the numbers."""
    modulus = zoo.Option(5, help="numbers run from 0 to one below it", low=2)

    @property
    def input_size(self) -> int:
        """The numbers, the signs, and the query."""
        return self.modulus + len(self.signs) + 1

    @property
    def output_size(self) -> int:
        """The numbers."""
        return self.modulus


def draw_expression(length: int, modulus: int, signs: str, uniform: Iterator[float]) -> tuple[list[int], int]:
    """An expression as tokens, and its value.

    An expression is a number, -n, (n), (-n), or two expressions in brackets with an operator between them.

    Args:
        length: Number of tokens, at least one.
        modulus: Numbers run from 0 to one below it, and are their own tokens.
        signs: The signs whose tokens follow the numbers: the operators, the first two or all three of
            ``OPERATORS``, and then others, with both brackets among them.
        uniform: Uniform numbers in [0, 1), of which it takes at most ``length``.
    """
    minus, opening, closing = (modulus + signs.index(sign) for sign in "-()")
    if length < 5:
        number = int(next(uniform) * modulus)
        tokens = [minus, number] if length in (2, 4) else [number]
        value = -number % modulus if length in (2, 4) else number
        return [opening, *tokens, closing] if length > 2 else tokens, value
    split = 1 + int(next(uniform) * (length - 4))
    operator = int(next(uniform) * sum(sign in OPERATORS for sign in signs))
    left, first = draw_expression(split, modulus, signs, uniform)
    right, second = draw_expression(length - 3 - split, modulus, signs, uniform)
    value = (first + second, first - second, first * second)[operator] % modulus
    return [opening, *left, modulus + operator, *right, closing], value
