"""How parameters start. Drawn in float64 and rounded, so that a seed means the same start in either dtype."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.contracts.declarations import Array as Declaration
from zoo.contracts.names import did_you_mean
from zoo.errors import UsageError

Shape = tuple[int, ...]
Vector = np.ndarray[Any, Any]


def zeros(rng: np.random.Generator, shape: Shape) -> Vector:  # noqa: ARG001 - as all initializers
    """All zero."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: Shape) -> Vector:  # noqa: ARG001 - as all initializers
    """All one."""
    return np.ones(shape)


def glorot_uniform(rng: np.random.Generator, shape: Shape) -> Vector:
    """Uniform with variance ``2 / (fan_in + fan_out)``.

    X. Glorot & Y. Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """
    limit = math.sqrt(6 / (shape[0] + shape[-1]))
    return rng.uniform(-limit, limit, shape)


def hidden_uniform(rng: np.random.Generator, shape: Shape) -> Vector:
    """Uniform within ``1 / sqrt(H)`` of zero, H the last dimension: PyTorch's start of recurrent layers."""
    limit = 1 / math.sqrt(shape[-1])
    return rng.uniform(-limit, limit, shape)


def fan_in_uniform(rng: np.random.Generator, shape: Shape) -> Vector:
    """Uniform within ``1 / sqrt(fan_in)`` of zero: PyTorch's start of linear layers."""
    limit = 1 / math.sqrt(shape[0])
    return rng.uniform(-limit, limit, shape)


def lecun_normal(rng: np.random.Generator, shape: Shape) -> Vector:
    """Normal with variance ``1 / fan_in`` (LeCun et al. 1998, Efficient BackProp)."""
    return rng.normal(0, math.sqrt(1 / shape[0]), shape)


def orthogonal(rng: np.random.Generator, shape: Shape) -> Vector:
    """Orthogonal rows or columns, whichever are fewer, block by block.

    A matrix that is a whole number of times wider than high, as stacked gates are, is made of that many
    square blocks. A. Saxe et al. 2014, https://arxiv.org/abs/1312.6120.
    """
    rows, columns = shape
    if columns > rows and columns % rows == 0:
        return np.concatenate([orthogonal(rng, (rows, rows)) for _ in range(columns // rows)], axis=1)
    q, r = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))
    q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
    return q if rows >= columns else q.T


NAMES: dict[str, Callable[[np.random.Generator, Shape], Vector]] = {
    "fan_in_uniform": fan_in_uniform,
    "glorot_uniform": glorot_uniform,
    "hidden_uniform": hidden_uniform,
    "lecun_normal": lecun_normal,
    "ones": ones,
    "orthogonal": orthogonal,
    "zeros": zeros,
}
_CONSTANT = ("ones", "zeros")


def initialize(declared: Declaration, shape: Shape, seed: int, place: tuple[int, ...], who: str) -> Vector:
    """The first value of one parameter, which depends on the seed and its place alone.

    Args:
        declared: The declaration, for its ``init`` and name.
        shape: Its shape in numbers.
        seed: Seed of the model.
        place: Layer and position among the parameters of the layer.
        who: Whose parameter it is, for errors.

    Returns:
        Finite numbers of the shape, float64 unless the cell's own initializer says otherwise.

    Raises:
        UsageError: for an unknown initializer, one that does not suit the shape, or one that returns another
            shape or anything but finite numbers.
    """
    who = f"{who}: parameter {declared.name!r}"
    init = declared.init
    if isinstance(init, str):
        init = _named(init, shape, who)
    value = np.asarray(init(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place)), shape))
    if value.shape != shape or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise UsageError(
            f"{who}: its initializer returned {value.dtype}{value.shape}; expected finite numbers of shape "
            f"{shape}."
        )
    return value


def _named(name: str, shape: Shape, who: str) -> Callable[[np.random.Generator, Shape], Vector]:
    """The initializer of a name, if it suits the shape."""
    if name not in NAMES:
        raise UsageError(
            f"{who} asks for the initializer {name!r}; known are {', '.join(NAMES)}, or give a function "
            f"(rng, shape) -> array.{did_you_mean(name, NAMES)}"
        )
    suits = len(shape) == 2 if name == "orthogonal" else shape or name in _CONSTANT
    if not suits:
        kind = "a matrix" if name == "orthogonal" else "at least one dimension"
        raise UsageError(f"{who} has shape {shape}; the initializer {name!r} needs {kind}.")
    return NAMES[name]
