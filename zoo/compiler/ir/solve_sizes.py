"""Solve the lengths of arrays for the letters in their sizes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from zoo.compiler.ir.dims import ZERO, Dim, factors_of

Length: TypeAlias = tuple[str, Dim]
"""Expression for the length of an axis, and its size in letters."""


class Solution(NamedTuple):
    """The value of a letter.

    Args:
        text: Expression.
        needs: Other letters in it.
    """

    text: str
    needs: frozenset[str]


def solve_sizes(letters: Iterable[str], lengths: Sequence[Length]) -> dict[str, Solution]:
    """Return the value of every letter that some lengths determine, after the letters that it contains.

    A letter that a length determines alone has that value, even if an earlier length has it too.
    """
    known: dict[str, Solution] = {}
    while True:
        new = {
            letter: solution
            for letter in letters
            if letter not in known
            and (solution := _first_solution(letter, lengths, known.keys())) is not None
        }
        if not new:
            return known
        known |= new


def _first_solution(letter: str, lengths: Sequence[Length], known: Collection[str]) -> Solution | None:
    solutions = (_solve(dim, letter, length) for length, dim in lengths)
    return next((each for each in solutions if each is not None and each.needs <= set(known)), None)


def _solve(dim: Dim, letter: str, length: str) -> Solution | None:
    """The value of a letter given a length that has it once, as a factor or as a divisor."""
    terms = [(monomial, factor) for monomial, factor in dim.terms if letter in dict(monomial)]
    if len(terms) != 1:
        return None
    ((monomial, factor),) = terms
    exponent = dict(monomial)[letter]
    if abs(exponent) != 1:
        return None
    rest = dim - Dim(tuple(terms))
    if rest.quotients:  # these follow the letters
        return None
    text = length if rest == ZERO else _difference(length, rest)
    up, down = factors_of(tuple(each for each in monomial if each[0] != letter))
    up, down = _with_number(factor.numerator, up), _with_number(factor.denominator, down)
    if exponent > 0:
        text = " // ".join([" * ".join([text, *down]), *_parentheses(up)])
    else:
        text = f"{' * '.join(up)} // {_parentheses([text, *down])[0]}"
    return Solution(text, dim.letters - {letter})


def _difference(length: str, rest: Dim) -> str:
    if rest.signs() == {-1}:
        return f"({length} + {ZERO - rest})"
    return f"({length} - {rest})" if len(rest.terms) == 1 else f"({length} - ({rest}))"


def _with_number(number: int, letters: list[str]) -> list[str]:
    return letters if number == 1 else [str(number), *letters]


def _parentheses(factors: list[str]) -> list[str]:
    """A product as one operand, or nothing for an empty product."""
    return [f"({' * '.join(factors)})" if len(factors) > 1 else factors[0]] if factors else []
