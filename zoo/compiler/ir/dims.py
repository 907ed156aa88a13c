"""Sizes as polynomials in I, H and options: two sizes are equal exactly if they are so for all values.

An option that is a size, such as ``heads``, is a letter like I and H, and may divide: ``H // heads``. Its
value is at least two, because the kernels for one head have fewer axes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from zoo.base.size_expr import SizeExpr, Tree

LAYER_LETTERS = ("I", "H")
"""The letters that are sizes of a layer. All others are options."""


class Quotient(NamedTuple):
    """The quotient of a letter of the layer and an option, which kernels compute once.

    Args:
        dividend: ``I`` or ``H``.
        option: Name of the option.
    """

    dividend: str
    option: str

    @property
    def name(self) -> str:
        """The variable of a kernel that holds it."""
        return f"{self.dividend}_per_{self.option}"


def quotients_of(options: Iterable[str]) -> Iterator[Quotient]:
    """All quotients of letters of the layer and some options."""
    return (Quotient(letter, option) for option in options for letter in LAYER_LETTERS)


Monomial: TypeAlias = tuple[tuple[str, int], ...]
"""Letters with their exponents, sorted: ``(("H", 2), ("heads", -1))``. The constant term has none."""
Sizes: TypeAlias = Mapping[str, int]


@dataclass(frozen=True)
class Dim:
    """A polynomial with rational coefficients, in canonical form. Options may have negative powers.

    Args:
        terms: Pairs of monomial and coefficient, sorted; no coefficient is zero.
    """

    terms: tuple[tuple[Monomial, Fraction], ...]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        # Equal hashes are rare among different sizes, and Python code compares fractions.
        return isinstance(other, Dim) and self._hash == other._hash and self.terms == other.terms

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
        (monomial, factor), *others = self.terms
        return None if others or monomial or factor.denominator != 1 else int(factor)

    @property
    def letters(self) -> frozenset[str]:
        """The letters that it depends on."""
        return frozenset(letter for monomial, _ in self.terms for letter, _ in monomial)

    @property
    def depends_on_layer(self) -> bool:
        """Whether it depends on I or H."""
        return not self.letters.isdisjoint(LAYER_LETTERS)

    @property
    def quotients(self) -> frozenset[Quotient] | None:
        """The quotients in its text; None if an option divides neither I nor H."""
        pairs = [_pair(monomial) for monomial, _ in self.terms]
        if any(rest for _, _, rest in pairs):
            return None
        return frozenset(quotient for _, quotients, _ in pairs for quotient in quotients)

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
        ((divisor, factor),) = other.terms
        inverse = tuple((letter, -exponent) for letter, exponent in divisor)
        quotient = [(_times(monomial, inverse), value / factor) for monomial, value in self.terms]
        if any(exponent < 0 for monomial, _ in quotient for _, exponent in _layer_factors(monomial)):
            return None
        return _canonical(quotient)

    def floor_divide(self, other: Dim) -> Dim | None:
        """Return Python's ``//``, if it is one polynomial; otherwise None.

        Fractions of letters are assumed to be integers. This is checked when the sizes are known.
        """
        quotient = self.divide(other)
        if quotient is None or not quotient.terms or quotient.terms[-1][0]:
            return quotient
        *rest, (_, constant) = quotient.terms
        even = all(factor.denominator == 1 and not divides(monomial) for monomial, factor in rest)
        return _canonical([*rest, ((), Fraction(math.floor(constant)))]) if even else quotient

    def ceil_divide(self, divisor: int) -> Dim:
        """Return the quotient rounded up. Fractions of letters are assumed to be integers."""
        rest = [(monomial, factor / divisor) for monomial, factor in self.terms if monomial]
        constant = sum(factor for monomial, factor in self.terms if not monomial)
        return _canonical([*rest, ((), Fraction(math.ceil(Fraction(constant) / divisor)))])

    def signs(self) -> frozenset[int]:
        """Return the signs, of -1, 0 and 1, that are possible for I and H from one and options from two."""
        return self._signs

    @functools.cached_property
    def _signs(self) -> frozenset[int]:
        at_least = sum(factor * _least(monomial) for monomial, factor in self.terms)
        growing = all(factor > 0 for monomial, factor in self.terms if monomial)
        falling = all(factor < 0 for monomial, factor in self.terms if monomial)
        low = at_least if growing else -math.inf
        high = at_least if falling else math.inf
        possible = {-1: low < 0, 0: low <= 0 <= high, 1: high > 0}
        return frozenset(sign for sign, may_be in possible.items() if may_be)

    def substitute(self, values: Sizes) -> Dim:
        """Return the size with the values of some letters."""
        terms = []
        for monomial, factor in self.terms:
            known = tuple(each for each in monomial if each[0] in values)
            rest = tuple(each for each in monomial if each[0] not in values)
            terms.append((rest, factor * _power_product(known, values)))
        return _canonical(terms)

    def evaluate(self, env: Sizes) -> Fraction:
        """Return the value for some letters."""
        numerator, denominator = 0, 1
        for monomial, factor in self.terms:
            above, below = factor.numerator, factor.denominator
            for letter, exponent in monomial:
                if exponent > 0:
                    above *= env[letter] ** exponent
                else:
                    below *= env[letter] ** -exponent
            numerator, denominator = numerator * below + above * denominator, denominator * below
        return Fraction(numerator, denominator)

    def __str__(self) -> str:
        """Format as Python code, ``4 * H + 1``; fractions become one division at the end.

        A quotient of two letters is a variable, ``4 * H_per_heads + 1``.
        """
        return self._text

    @functools.cached_property
    def _text(self) -> str:
        if not self.terms:
            return "0"
        common = math.lcm(*(factor.denominator for _, factor in self.terms))
        parts = [_product(monomial, int(factor * common)) for monomial, factor in self.terms]
        text = " + ".join(parts).replace("+ -", "- ")
        if common == 1:
            return text
        return f"({text}) // {common}" if len(parts) > 1 or "*" in text else f"{text} // {common}"

    def __repr__(self) -> str:
        return str(self)


# An integer option is below this.
_OPTION_BOUND = 2**63


def _least(monomial: Monomial) -> Fraction:
    """A lower bound of a product of letters."""
    least = Fraction(1)
    for letter, exponent in monomial:
        if letter not in LAYER_LETTERS:
            least *= Fraction(_OPTION_BOUND if exponent < 0 else 2) ** exponent
    return least


def _power_product(monomial: Monomial, env: Sizes) -> Fraction:
    """The value of a monomial."""
    above, below = factors_of(monomial)
    return Fraction(math.prod(env[letter] for letter in above), math.prod(env[letter] for letter in below))


def factors_of(monomial: Monomial) -> tuple[list[str], list[str]]:
    """The letters above and below the line of a fraction, each as often as its exponent says."""
    above = [letter for letter, exponent in monomial for _ in range(exponent)]
    below = [letter for letter, exponent in monomial for _ in range(-exponent)]
    return above, below


def divides(monomial: Monomial) -> bool:
    """Whether an exponent is negative."""
    return any(exponent < 0 for _, exponent in monomial)


def _layer_factors(monomial: Monomial) -> Iterator[tuple[str, int]]:
    """The letters of the layer, and their exponents."""
    return ((letter, exponent) for letter, exponent in monomial if letter in LAYER_LETTERS)


def _pair(monomial: Monomial) -> tuple[list[str], list[Quotient], list[str]]:
    """Pair each option that divides with I or H: the other factors, the pairs, and options without one."""
    factors, options = factors_of(monomial)
    quotients, rest = [], []
    for option in options:
        dividend = next((each for each in factors if each in LAYER_LETTERS), None)
        if dividend is None:
            rest.append(option)
        else:
            factors.remove(dividend)
            quotients.append(Quotient(dividend, option))
    return factors, quotients, rest


def _product(monomial: Monomial, factor: int) -> str:
    factors, quotients, rest = _pair(monomial)
    text = " * ".join(sorted([*factors, *(each.name for each in quotients)]))
    if not text or rest:  # kernels with a fraction as a size fail, and do not round it
        return " / ".join([" * ".join(filter(None, [str(factor), text])), *rest])
    return text if factor == 1 else f"-{text}" if factor == -1 else f"{factor} * {text}"


def _canonical(terms: Iterable[tuple[Monomial, Fraction]]) -> Dim:
    total: dict[Monomial, Fraction] = {}
    for monomial, factor in terms:
        total[monomial] = total[monomial] + factor if monomial in total else factor
    return _dim(tuple(sorted((item for item in total.items() if item[1]), key=_order)))


# Equal sizes are mostly one object: fractions of others are compared in Python, a twentieth of all planning.
_dim = functools.lru_cache(maxsize=4096)(Dim)


def _order(term: tuple[Monomial, Fraction]) -> tuple[int, list[tuple[str, int]]]:
    """The position of a term: highest products first."""
    monomial, _ = term
    return -sum(abs(exponent) for _, exponent in monomial), [(letter, -power) for letter, power in monomial]


@functools.lru_cache(maxsize=4096)
def _sum(one: Dim, other: Dim) -> Dim:
    return _canonical([*one.terms, *other.terms])


@functools.lru_cache(maxsize=4096)
def _product_of_two(one: Dim, other: Dim) -> Dim:
    return _canonical((_times(a, b), x * y) for a, x in one.terms for b, y in other.terms)


def _times(one: Monomial, other: Monomial) -> Monomial:
    """The product of two monomials."""
    if not one or not other:
        return one or other
    exponents = dict(one)
    for letter, exponent in other:
        exponents[letter] = exponents.get(letter, 0) + exponent
    return tuple(sorted(item for item in exponents.items() if item[1]))


def as_dim(value: int | Dim) -> Dim:
    """Return an integer as a size."""
    return value if isinstance(value, Dim) else _constant(value)


@functools.lru_cache(maxsize=4096)
def _constant(value: int) -> Dim:
    return _canonical([((), Fraction(value))])


def letter(name: str) -> Dim:
    """Return a letter as a size."""
    return _canonical([(((name, 1),), Fraction(1))])


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
    """Return a declared size; options without a value are letters. None where a division has a remainder."""
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


class _GenericSizes(dict[str, int]):
    """I and H of a layer. All options have one value."""

    def __missing__(self, option: str) -> int:
        return 12  # divides 5040, so that H / heads is an integer


GENERIC_SIZES: Sizes = _GenericSizes({"I": 7919, "H": 5040})
"""Sizes that decide which of two lengths is the longer; equality is decided exactly."""
