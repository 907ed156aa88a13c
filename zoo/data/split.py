"""Parts for training, validation and test: of a text, of sequences with classes, and of groups."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_elements, short_repr
from zoo.arrays import as_array
from zoo.base.data_kinds import PARTS
from zoo.errors import UsageError
from zoo.field_repr import one_line_repr

Fractions = tuple[float, float, float]

_NUMBER = re.compile(r"\d{1,3}(\.\d{0,15})?|\.\d{1,15}", re.ASCII)
_EXAMPLE = "write it like '90,5,5', '0.9,0.05,0.05' or '90,10'"


@one_line_repr
class Split(NamedTuple):
    """Three contiguous views of one text's tokens, in the text's order.

    Attributes:
        train: For training.
        valid: For validation during training.
        test: For a final evaluation.
    """

    train: NDArray[Any]
    valid: NDArray[Any]
    test: NDArray[Any]


def parse_split(text: str) -> Fractions:
    """Parse a split as the command line takes it.

    Args:
        text: Training, validation and test shares, separated by commas, in per cent or as fractions;
            missing shares are zero: ``"90,5,5"``, ``"0.9,0.05,0.05"``, ``"90,10"``, ``"100"``.

    Returns:
        The fractions of (train, valid, test).

    Raises:
        UsageError: if the shares are not one to three numbers whose sum is exactly 100 or 1, or if the
            first is zero.
    """
    if not isinstance(text, str):
        raise UsageError(
            f"split is {short_repr(text)}; expected one to three numbers in a string; {_EXAMPLE}."
        )
    words = [word.strip() for word in text.split(",")]
    if len(words) > 3 or not all(_NUMBER.fullmatch(word) for word in words):
        raise UsageError(f"split is {short_repr(text)}; expected one to three numbers; {_EXAMPLE}.")
    shares = [Fraction(word) for word in words] + [Fraction(0)] * (3 - len(words))
    total = sum(shares, Fraction(0))
    if total not in (1, 100):
        raise UsageError(f"split is {text!r}, with the sum {float(total):g}; expected 100 or 1; {_EXAMPLE}.")
    if not shares[0]:
        raise UsageError(f"split is {text!r}; expected a first share above zero, to train on; {_EXAMPLE}.")
    train, valid, test = (float(share / total) for share in shares)
    return train, valid, test


def split(tokens: NDArray[Any], fractions: Fractions) -> Split:
    """Split a text into three parts, in order.

    With `N` tokens and fractions `a, b, c` the cuts are at ``floor(N a)`` and ``floor(N (a + b))``: train
    comes first, then valid, and test is the rest. The fractions are taken as the decimals that they print as
    and divided by their sum. So no rounding moves a cut (as a float, 0.29 times 100 is 28.999…), and a part
    of fraction zero is empty.

    Args:
        tokens: `(N,)`.
        fractions: Of (train, valid, test), summing to 1.

    Returns:
        Views, not copies.

    Raises:
        UsageError: if the fractions are not three numbers from 0 to 1 whose sum is 1.
    """
    train, valid, test = _exact(fractions)
    tokens = as_array(tokens, "tokens")
    if tokens.ndim != 1:
        raise UsageError(f"tokens are {short_repr(tokens)}; expected a vector (N,).")
    total = train + valid + test
    first = len(tokens) * train // total
    second = len(tokens) * (train + valid) // total
    return Split(tokens[:first], tokens[first:second], tokens[second:])


def split_items(codes: NDArray[Any], shares: Fractions, seed: int, stratify: bool) -> dict[str, NDArray[Any]]:
    """Divide items into parts at random.

    Args:
        codes: The class of each item, `(N,)`.
        shares: The shares of the parts.
        seed: Seed of the order.
        stratify: Whether to divide each class by the same shares; else all items at once.

    Returns:
        The numbers of the items of each part, ascending. A part with a share above zero gets an item (of each
        class) if there are enough: first training, then test, then validation.
    """
    rng = np.random.default_rng(seed)
    strata = (
        [np.flatnonzero(codes == code) for code in np.unique(codes)] if stratify else [np.arange(len(codes))]
    )
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in PARTS}
    for stratum in strata:
        order, first = rng.permutation(stratum), 0
        for name, count in zip(PARTS, _counts(len(stratum), shares), strict=True):
            parts[name].append(order[first : first + count])
            first += count
    return {name: np.sort(np.concatenate(chunks)) for name, chunks in parts.items()}


def split_groups(groups: NDArray[Any], shares: Fractions, seed: int) -> dict[str, NDArray[Any]]:
    """Divide items into parts so that all items of a group are in one part.

    Args:
        groups: The group of each item, `(N,)`.
        shares: The shares of the groups in each part.
        seed: Seed of the order.

    Returns:
        The numbers of the items of each part, ascending.
    """
    names = np.unique(groups)
    of_names = split_items(names, shares, seed, stratify=False)
    return {part: np.flatnonzero(np.isin(groups, names[numbers])) for part, numbers in of_names.items()}


def _counts(total: int, shares: Fractions) -> list[int]:
    """The items of each part, with the sum of all."""
    exact = [round(total * share, 9) for share in shares]
    counts = [int(each) for each in exact]
    by_remainder = sorted(range(3), key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: total - sum(counts)]:
        counts[part] += 1
    for part in (0, 2, 1):
        largest = int(np.argmax(counts))
        if shares[part] and not counts[part] and counts[largest] > 1:
            counts[part], counts[largest] = 1, counts[largest] - 1
    return counts


def _exact(fractions: Fractions) -> tuple[Fraction, Fraction, Fraction]:
    """The fractions as the decimals that they print as."""
    given = as_elements(fractions, "fractions", "those of (train, valid, test)")
    are_numbers = all(isinstance(fraction, Real) for fraction in given)
    numbers = [float(fraction) for fraction in given] if are_numbers else []
    if len(numbers) != 3 or not all(0 <= number <= 1 for number in numbers) or not _is_one(sum(numbers)):
        raise UsageError(
            f"fractions are {short_repr(fractions)}; expected three numbers from 0 to 1 that sum to 1."
        )
    train, valid, test = (Fraction(repr(number)) for number in numbers)
    return train, valid, test


def _is_one(total: float) -> bool:
    return math.isclose(total, 1, abs_tol=1e-9)
