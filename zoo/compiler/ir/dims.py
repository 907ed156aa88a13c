"""Sizes as polynomials in I and H: two sizes are equal exactly if they are equal for every I and H."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from zoo.base.size_expr import SizeExpr, Tree

# A product of letters, sorted: ("H", "H", "I"); the empty product is the constant term.
Letters = tuple[str, ...]
Sizes: TypeAlias = Mapping[str, int]


@dataclass(frozen=True)
class Dim:
    """A polynomial with rational coefficients, in canonical form.

    Args:
        terms: Pairs of letters and coefficient, sorted; no coefficient is zero.
    """

    terms: tuple[tuple[Letters, Fraction], ...]

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self.terms)  # of fractions, which compute it in Python

    def __reduce__(self) -> tuple[type[Dim], tuple[object]]:
        return Dim, (self.terms,)  # the hash of a string is another one in each process

    @property
    def integer(self) -> int | None:
        """The value, if it depends on no letter and is an integer."""
        if not self.terms:
            return 0
        (letters, factor), *others = self.terms
        return None if others or letters or factor.denominator != 1 else int(factor)

    @property
    def letters(self) -> frozenset[str]:
        """The letters that it depends on."""
        return frozenset(letter for letters, _ in self.terms for letter in letters)

    def __add__(self, other: Dim) -> Dim:
        return _sum(self, other)

    def __sub__(self, other: Dim) -> Dim:
        return self + other * as_dim(-1)

    def __mul__(self, other: Dim) -> Dim:
        return _product_of_two(self, other)

    def divide(self, other: Dim) -> Dim | None:
        """Return the quotient, if the divisor is one product and divides every term; otherwise None."""
        if len(other.terms) != 1:
            return as_dim(1) if self == other else None
        ((letters, factor),) = other.terms
        quotient = []
        for mine, value in self.terms:
            rest = list(mine)
            for letter in letters:
                if letter not in rest:
                    return None
                rest.remove(letter)
            quotient.append((tuple(rest), value / factor))
        return _canonical(quotient)

    def floor_divide(self, other: Dim) -> Dim | None:
        """Return Python's ``//``, if it is one polynomial; otherwise None.

        Fractions of letters are assumed to be integers. This is checked when the sizes are known.
        """
        quotient = self.divide(other)
        if quotient is None or not quotient.terms or quotient.terms[-1][0]:
            return quotient
        *rest, (_, constant) = quotient.terms
        even = all(factor.denominator == 1 for _, factor in rest)
        return _canonical([*rest, ((), Fraction(math.floor(constant)))]) if even else quotient

    def ceil_divide(self, divisor: int) -> Dim:
        """Return the quotient rounded up. Fractions of letters are assumed to be integers."""
        rest = [(letters, factor / divisor) for letters, factor in self.terms if letters]
        constant = sum(factor for letters, factor in self.terms if not letters)
        return _canonical([*rest, ((), Fraction(math.ceil(Fraction(constant) / divisor)))])

    def signs(self) -> set[int]:
        """Return the signs, of -1, 0 and 1, that are possible if all letters are at least one."""
        at_ones = sum(factor for _, factor in self.terms)
        growing = all(factor > 0 for letters, factor in self.terms if letters)
        falling = all(factor < 0 for letters, factor in self.terms if letters)
        low = at_ones if growing else -math.inf
        high = at_ones if falling else math.inf
        possible = {-1: low < 0, 0: low <= 0 <= high, 1: high > 0}
        return {sign for sign, may_be in possible.items() if may_be}

    def evaluate(self, env: Sizes) -> Fraction:
        """Return the value for some letters."""
        total = Fraction(0)
        for letters, factor in self.terms:
            for letter in letters:
                factor *= env[letter]
            total += factor
        return total

    def __str__(self) -> str:
        """Format as Python code, ``4 * H + 1``; fractions become one division at the end."""
        if not self.terms:
            return "0"
        common = 1
        for _, factor in self.terms:
            common *= factor.denominator // _gcd(common, factor.denominator)
        parts = [_product(letters, int(factor * common)) for letters, factor in self.terms]
        text = " + ".join(parts).replace("+ -", "- ")
        if common == 1:
            return text
        return f"({text}) // {common}" if len(parts) > 1 or "*" in text else f"{text} // {common}"

    def __repr__(self) -> str:
        return str(self)


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _product(letters: Letters, factor: int) -> str:
    if not letters:
        return str(factor)
    text = " * ".join(letters)
    return text if factor == 1 else f"-{text}" if factor == -1 else f"{factor} * {text}"


def _canonical(terms: Iterable[tuple[Letters, Fraction]]) -> Dim:
    total: dict[Letters, Fraction] = {}
    for letters, factor in terms:
        total[letters] = total.get(letters, Fraction(0)) + factor
    # Highest products first.
    ordered = sorted((item for item in total.items() if item[1]), key=lambda item: (-len(item[0]), item[0]))
    return Dim(tuple(ordered))


@functools.lru_cache(maxsize=4096)
def _sum(one: Dim, other: Dim) -> Dim:
    return _canonical([*one.terms, *other.terms])


@functools.lru_cache(maxsize=4096)
def _product_of_two(one: Dim, other: Dim) -> Dim:
    return _canonical((tuple(sorted(a + b)), x * y) for a, x in one.terms for b, y in other.terms)


def as_dim(value: int | Dim) -> Dim:
    """Return an integer as a size."""
    return value if isinstance(value, Dim) else _constant(value)


@functools.lru_cache(maxsize=4096)
def _constant(value: int) -> Dim:
    return _canonical([((), Fraction(value))])


def letter(name: str) -> Dim:
    """Return a letter as a size."""
    return _canonical([((name,), Fraction(1))])


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product of sizes; one for none."""
    return _product_of(tuple(dims))


@functools.lru_cache(maxsize=4096)
def _product_of(dims: tuple[Dim, ...]) -> Dim:
    total = as_dim(1)
    for dim in dims:
        total = total * dim
    return total


def dim_of(size: SizeExpr, options: Mapping[str, object]) -> Dim | None:
    """Return a declared size with the values of options; None where a division has a remainder."""
    return _dim_of(size.tree, options)


def _dim_of(tree: Tree, options: Mapping[str, object]) -> Dim | None:
    if isinstance(tree, int):
        return as_dim(tree)
    if isinstance(tree, str):
        value = options.get(tree)
        return as_dim(value) if isinstance(value, int) else letter(tree)
    left, right = _dim_of(tree[1], options), _dim_of(tree[2], options)
    if left is None or right is None:
        return None
    if tree[0] == "/":
        return left.divide(right)
    return {"+": left.__add__, "-": left.__sub__, "*": left.__mul__}[tree[0]](right)


def concrete_shape(shape: Iterable[Dim], sizes: Sizes | None = None) -> tuple[int, ...]:
    """Return a shape as integers, for some sizes unless it is constant."""
    return tuple(int(dim.evaluate(sizes or {})) for dim in shape)


ZERO, ONE = as_dim(0), as_dim(1)
GENERIC_SIZES = {"I": 7919, "H": 5040}
"""Sizes that decide which of two lengths is the longer; equality is decided exactly."""
