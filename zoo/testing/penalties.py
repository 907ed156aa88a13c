"""The laws of a penalty: each ``check_x(penalty)`` raises AssertionError if its docstring does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from unittest import SkipTest

import numpy as np
from hypothesis import strategies as st

from zoo.array_types import Array
from zoo.base import Penalty
from zoo.testing.assertions import is_close, require, require_docs, try_examples

Check: TypeAlias = Callable[[Penalty], None]
Value: TypeAlias = Callable[[Array], tuple[float, Array]]

_STEP = 1e-6
_TOLERANCE = 1e-6  # of a derivative by central differences, for numbers near 1
_SIZES = st.tuples(st.integers(2, 6), st.integers(1, 4), st.integers(1, 5))  # T, B, H
_SEEDS = st.integers(0, 2**32 - 1)


def check_card(penalty: Penalty) -> None:
    """The card names its variant, and every option has a help text."""
    require_docs(penalty, penalty.declared_options)


def check_gradient_of_activity(penalty: Penalty) -> None:
    """The gradient of the activity agrees with finite differences, also with padding."""

    def law(size: tuple[int, int, int], seed: int) -> None:
        y, lengths = _activity(size, seed)
        _require_derivative(penalty, lambda values: penalty.of_activity(values), _draw(y.shape, seed))
        direction = _draw(y.shape, seed + 1) * (y != 0)
        _require_derivative(penalty, lambda values: penalty.of_activity(values, lengths), y, direction)

    try_examples(law, _SIZES, _SEEDS, count=20)


def check_gradient_of_parameter(penalty: Penalty) -> None:
    """The gradient of a vector and of a matrix agrees with finite differences, unless ``activity_only``."""
    if penalty.activity_only:
        raise SkipTest("the penalty applies to the activity only")

    def law(size: tuple[int, int, int], seed: int) -> None:
        _require_derivative(penalty, penalty.of_parameter, _draw(size[:1], seed))
        _require_derivative(penalty, penalty.of_parameter, _draw(size[1:], seed))

    try_examples(law, _SIZES, _SEEDS, count=20)


def check_padding(penalty: Penalty) -> None:
    """Padding changes neither the value nor the gradient, which is zero there."""

    def law(size: tuple[int, int, int], seed: int) -> None:
        y = _draw(size, seed)
        value, gradient = penalty.of_activity(y)
        padded = np.concatenate([y, np.zeros_like(y[:2])])
        padded_value, padded_gradient = penalty.of_activity(padded, np.full(size[1], size[0]))
        expected = np.concatenate([gradient, np.zeros_like(y[:2])])
        same = np.isclose(value, padded_value, rtol=1e-12) and is_close(padded_gradient, expected, 1e-12)
        require(
            penalty, same, f"the value {padded_value} with two steps of padding", f"{value} and its gradient"
        )

    try_examples(law, _SIZES, _SEEDS, count=20)


def check_inputs_unchanged(penalty: Penalty) -> None:
    """The penalty does not write to its arguments."""

    def law(size: tuple[int, int, int], seed: int) -> None:
        y = _draw(size, seed)
        before = y.tobytes()
        penalty.of_activity(y)
        require(penalty, y.tobytes() == before, "that it wrote to the activity", "unchanged arguments")

    try_examples(law, _SIZES, _SEEDS, count=5)


def check_float32(penalty: Penalty) -> None:
    """Activity in float32 gives a gradient in float32, close to the one in float64."""

    def law(size: tuple[int, int, int], seed: int) -> None:
        y = _draw(size, seed).astype(np.float32)
        _, gradient = penalty.of_activity(y)
        _, expected = penalty.of_activity(y.astype(np.float64))
        same = gradient.dtype == np.float32 and is_close(gradient.astype(np.float64), expected, 1e-5)
        require(penalty, same, f"{gradient.dtype} {gradient}", f"float32 {expected}")

    try_examples(law, _SIZES, _SEEDS, count=5)


def _require_derivative(penalty: Penalty, value: Value, x: Array, direction: Array | None = None) -> None:
    """Compare the derivative along a direction with central differences."""
    direction = _draw(x.shape, 7) if direction is None else direction
    # Relative to the slope of the whole penalty: an option such as `factor` may make all numbers small.
    actual = float((value(x)[1] * direction).sum())
    expected = (value(x + _STEP * direction)[0] - value(x - _STEP * direction)[0]) / (2 * _STEP)
    scale = max(abs(expected), abs(value(x)[0]), 1e-12)
    holds = abs(actual - expected) <= _TOLERANCE * scale * max(1, x.size)
    require(
        penalty,
        holds,
        f"the derivative {actual:.8g}",
        f"{expected:.8g}, by finite differences",
        "gradient",
        "Correct the gradient that value_and_grad returns.",
    )


def _draw(shape: tuple[int, ...], seed: int) -> Array:
    """Numbers of size one, none of them near zero, where many penalties have a kink."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 1.0, shape))


def _activity(size: tuple[int, int, int], seed: int) -> tuple[Array, Array]:
    """Activity with zeros in the padding, and the lengths."""
    lengths = np.random.default_rng(seed).integers(0, size[0] + 1, size[1])
    valid = np.arange(size[0])[:, None] < lengths
    return _draw(size, seed) * valid[..., None], lengths


PENALTY_CHECKS: tuple[Check, ...] = (
    *(check_inputs_unchanged, check_gradient_of_activity, check_gradient_of_parameter),
    *(check_padding, check_float32, check_card),
)
"""All laws; the others depend on the first."""
