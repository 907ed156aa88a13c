"""np.einsum of symbolic arrays: diagonals, sums, and one product for each operand after the first."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.compiler.blame import TraceError
from zoo.compiler.graph import Level
from zoo.compiler.tracing import Symbol, Traced


class Term(NamedTuple):
    """An array, and a letter for each of its axes."""

    array: Any
    letters: str


def einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Any:  # noqa: ARG001 - as NumPy has it
    """NumPy's ``einsum`` with subscripts in letters: operands are multiplied from the left to the right.

    Raises:
        TraceError: if the subscripts do not fit.
    """
    inputs, result = _parsed(subscripts, operands)
    terms = [
        _without_repetition(Term(operand, letters)) for operand, letters in zip(operands, inputs, strict=True)
    ]
    for place in range(len(terms)):
        others = {*result, *(letter for i, term in enumerate(terms) if i != place for letter in term.letters)}
        terms[place] = _summed(terms[place], others)
    while len(terms) > 1:
        first, second, *rest = terms
        wanted = {*result, *(letter for term in rest for letter in term.letters)}
        terms = [_product(first, second, wanted), *rest]
    return _ordered(terms[0], result)


def _parsed(subscripts: Any, operands: Sequence[Any]) -> tuple[list[str], str]:
    """The letters of each operand, and those of the result."""
    if not isinstance(subscripts, str):
        raise TraceError("np.einsum is compiled with subscripts in one string, such as 'ij,j->i'")
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if "..." in left:
        raise TraceError("np.einsum is compiled without `...`; write a letter for each axis")
    if not all(letters.isalpha() or not letters for letters in (*inputs, result)):
        raise TraceError(f"np.einsum: the subscripts {subscripts!r} are not letters, commas and one '->'")
    if len(inputs) != len(operands):
        raise TraceError(
            f"np.einsum: the subscripts {subscripts!r} are for {len(inputs)} operands; found {len(operands)}"
        )
    if not arrow:
        result = "".join(sorted(each for each in set(left) - {","} if left.count(each) == 1))
    if len(set(result)) < len(result) or not set(result) <= set(left):
        raise TraceError(
            f"np.einsum: the result of {subscripts!r} repeats a letter or has one that no operand has"
        )
    _check_axes(subscripts, inputs, operands)
    return inputs, result


def _check_axes(subscripts: str, inputs: Iterable[str], operands: Iterable[Any]) -> None:
    """Check that each operand has a letter for every axis, and each letter one length."""
    lengths: dict[str, Any] = {}
    for letters, operand in zip(inputs, operands, strict=True):
        shape = np.shape(operand)
        if len(letters) != len(shape):
            raise TraceError(
                f"np.einsum: {letters!r} of {subscripts!r} is for {len(letters)} axes; found an array of "
                f"shape {_text(shape)}"
            )
        for letter, length in zip(letters, shape, strict=True):
            if str(lengths.setdefault(letter, length)) != str(length):
                raise TraceError(
                    f"np.einsum: {letter!r} of {subscripts!r} is {lengths[letter]} in one operand and "
                    f"{length} in another; expected one length"
                )


def _text(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _without_repetition(term: Term) -> Term:
    """A letter that occurs twice stands for a diagonal, which goes to the end."""
    array, letters = term
    twice = next((letter for letter in letters if letters.count(letter) > 1), None)
    if twice is None:
        return term
    first = letters.index(twice)
    second = letters.index(twice, first + 1)
    rest = "".join(letter for place, letter in enumerate(letters) if place not in (first, second))
    return _without_repetition(Term(np.diagonal(array, 0, first, second), rest + twice))


def _summed(term: Term, wanted: Iterable[str]) -> Term:
    """A sum over the letters that nothing else has."""
    kept = "".join(letter for letter in term.letters if letter in wanted)
    axes = tuple(place for place, letter in enumerate(term.letters) if letter not in kept)
    return Term(np.sum(term.array, axis=axes), kept) if axes else term


def _ordered(term: Term, letters: str) -> Any:
    order = tuple(term.letters.index(letter) for letter in letters)
    return term.array if order == tuple(range(len(order))) else np.transpose(term.array, order)


def _product(a: Term, b: Term, wanted: Iterable[str]) -> Term:
    """The product, summed over the letters that both have and nothing else wants."""
    if _is_shared(a.array) and not _is_shared(b.array):
        a, b = b, a  # parameters on the right, where a product of all rows has them
    both = [letter for letter in a.letters if letter in b.letters]
    inner = "".join(letter for letter in both if letter not in wanted)
    lead = "".join(letter for letter in both if letter in wanted)
    left = "".join(letter for letter in a.letters if letter not in both)
    right = "".join(letter for letter in b.letters if letter not in both)
    if inner and _is_shared(b.array):
        return _matrix_product(a, b, lead, inner, left, right)
    letters = lead + left + right + inner
    product = functools.reduce(lambda x, y: x * y, (_spread(each, letters) for each in (a, b)))
    axes = tuple(range(len(letters) - len(inner), len(letters)))
    return Term(np.sum(product, axis=axes) if inner else product, lead + left + right)


def _is_shared(array: Any) -> bool:
    """Whether all rows of the batch share an array: it is made of parameters, or of numbers."""
    if not isinstance(array, Symbol):
        return True
    parts = (array,) if isinstance(array, Traced) else (array.real, array.imag)
    return all(part.node.level == Level.ONCE for part in parts)


def _spread(term: Term, letters: str) -> Any:
    """An array with an axis for each of some letters, of length one where it has none."""
    array = _ordered(term, "".join(letter for letter in letters if letter in term.letters))
    lengths = dict(zip(term.letters, np.shape(term.array), strict=True))
    return np.reshape(array, tuple(lengths.get(letter, 1) for letter in letters))


def _matrix_product(a: Term, b: Term, lead: str, inner: str, left: str, right: str) -> Term:
    """One ``@`` over merged axes, so that the compiler recognises a matrix product."""
    lengths = dict(zip(a.letters + b.letters, (*np.shape(a.array), *np.shape(b.array)), strict=True))

    def size(letters: str) -> Any:
        return math.prod(lengths[letter] for letter in letters)

    heads = (size(lead),) if lead else ()
    rows = (size(left),) if left or lead else ()
    x = np.reshape(_ordered(a, lead + left + inner), (*heads, *rows, size(inner)))
    w = np.reshape(_ordered(b, lead + inner + right), (*heads, size(inner), size(right)))
    letters = lead + left + right
    return Term(np.reshape(x @ w, tuple(lengths[letter] for letter in letters)), letters)
