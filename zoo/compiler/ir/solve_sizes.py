"""Solve the lengths of arrays for the letters in their sizes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from zoo.compiler.ir.dims import ZERO, Dim, Letters

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
    terms = [(letters, factor) for letters, factor in dim.terms if {letter, f"/{letter}"} & set(letters)]
    if len(terms) != 1:
        return None
    ((letters, factor),) = terms
    if letters.count(letter) + letters.count(f"/{letter}") != 1:
        return None
    rest = dim - Dim(tuple(terms))
    if rest.quotients:  # these follow the letters
        return None
    text = length if rest == ZERO else _difference(length, rest)
    others = tuple(each for each in letters if each.lstrip("/") != letter)
    up, down = _fraction(others, factor.numerator, factor.denominator)
    if letter in letters:
        text = " // ".join([" * ".join([text, *down]), *_parentheses(up)])
    else:
        text = f"{' * '.join(up)} // {_parentheses([text, *down])[0]}"
    return Solution(text, dim.letters - {letter})


def _difference(length: str, rest: Dim) -> str:
    if rest.signs() == {-1}:
        return f"({length} + {ZERO - rest})"
    return f"({length} - {rest})" if len(rest.terms) == 1 else f"({length} - ({rest}))"


def _fraction(letters: Letters, numerator: int, denominator: int) -> tuple[list[str], list[str]]:
    """The factors above and below the line of a fraction, without ones."""
    above, below = ([str(each)] if each != 1 else [] for each in (numerator, denominator))
    above += [each for each in letters if each[0] != "/"]
    below += [each[1:] for each in letters if each[0] == "/"]
    return above, below


def _parentheses(factors: list[str]) -> list[str]:
    """A product as one operand, or nothing for an empty product."""
    return [f"({' * '.join(factors)})" if len(factors) > 1 else factors[0]] if factors else []
