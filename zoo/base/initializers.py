"""Initializers of parameters and buffers.

Drawn in float64 and rounded, so that a seed means the same start in either dtype. An array with three or more
axes is a stack of matrices ``(fan_in, fan_out)``, which are its last two axes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from zoo.arguments import dtype_and_shape
from zoo.array_types import Vector
from zoo.base import Cell
from zoo.base.declarations import ArrayDeclaration
from zoo.base.names import did_you_mean
from zoo.errors import UsageError

Shape = tuple[int, ...]
NamedInitializer: TypeAlias = Callable[[np.random.Generator, Shape], Vector]


def zeros(rng: np.random.Generator, shape: Shape) -> Vector:  # noqa: ARG001 - as all initializers
    """All zero."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: Shape) -> Vector:  # noqa: ARG001 - as all initializers
    """All one."""
    return np.ones(shape)


def _fan_in(shape: Shape) -> int:
    """The rows of each matrix, or the length of a vector."""
    return shape[-2] if len(shape) > 1 else shape[0]


def glorot_uniform(rng: np.random.Generator, shape: Shape) -> Vector:
    """Uniform with variance ``2 / (fan_in + fan_out)``.

    X. Glorot & Y. Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """
    limit = math.sqrt(6 / (_fan_in(shape) + shape[-1]))
    return rng.uniform(-limit, limit, shape)


def hidden_uniform(rng: np.random.Generator, shape: Shape) -> Vector:
    """Uniform within ``1 / sqrt(H)`` of zero, H the last dimension: PyTorch's start of recurrent layers."""
    limit = 1 / math.sqrt(shape[-1])
    return rng.uniform(-limit, limit, shape)


def fan_in_uniform(rng: np.random.Generator, shape: Shape) -> Vector:
    """Uniform within ``1 / sqrt(fan_in)`` of zero: PyTorch's start of linear layers."""
    limit = 1 / math.sqrt(_fan_in(shape))
    return rng.uniform(-limit, limit, shape)


def lecun_normal(rng: np.random.Generator, shape: Shape) -> Vector:
    """Normal with variance ``1 / fan_in`` (LeCun et al. 1998, Efficient BackProp)."""
    return rng.normal(0, math.sqrt(1 / _fan_in(shape)), shape)


def orthogonal(rng: np.random.Generator, shape: Shape) -> Vector:
    """Orthogonal rows or columns, whichever are fewer, block by block.

    A matrix that is a whole number of times wider than high, as stacked gates are, is made of that many
    square blocks. A. Saxe et al. 2014, https://arxiv.org/abs/1312.6120.
    """
    *stack, rows, columns = shape
    if stack:
        matrices = [orthogonal(rng, (rows, columns)) for _ in range(math.prod(stack))]
        return np.stack(matrices).reshape(shape)
    if columns > rows and columns % rows == 0:
        return np.concatenate([orthogonal(rng, (rows, rows)) for _ in range(columns // rows)], axis=1)
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
    return q if rows >= columns else q.T


INITIALIZERS: dict[str, NamedInitializer] = {
    "fan_in_uniform": fan_in_uniform,
    "glorot_uniform": glorot_uniform,
    "hidden_uniform": hidden_uniform,
    "lecun_normal": lecun_normal,
    "ones": ones,
    "orthogonal": orthogonal,
    "zeros": zeros,
}
_CONSTANT = ("ones", "zeros")
_POSITIONAL_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def initialize(
    declared: ArrayDeclaration,
    shape: Shape,
    seed: int,
    position: tuple[int, ...],
    owner: str,
    cell: Cell | None = None,
) -> Vector:
    """The first value of one parameter or buffer, which depends on the seed and its position alone.

    A complex array is drawn as step sees it and stored as two planes of real numbers.

    Args:
        declared: The declaration, for its ``init`` and name.
        shape: Its shape in numbers, as it is stored.
        seed: Seed of the model.
        position: Layer, and number among the arrays of the layer.
        owner: The owner of the array, for errors.
        cell: The third argument of an initializer that has three.

    Returns:
        Finite real numbers of the shape, float64 unless the cell's own initializer says otherwise.

    Raises:
        UsageError: for an unknown initializer, one that does not suit the shape, or one that returns another
            shape or anything but finite numbers.
    """
    owner = f"{owner}: {declared.kind} {declared.name!r}"
    seen = shape[declared.complex :]  # without the axis of the two planes
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=position))
    value = np.asarray(_draw(declared, rng, seen, owner, cell))
    is_numeric = value.dtype.kind in ("fiuc" if declared.complex else "fiu")
    is_finite = is_numeric and bool(np.isfinite(value).all())
    if value.shape != seen or not is_finite:
        actual = "NaN or infinity" if is_numeric and not is_finite else dtype_and_shape(value)
        raise UsageError(
            f"{owner}: its initializer returned {actual}; expected finite numbers of shape {seen}."
        )
    return np.stack([value.real, value.imag]) if declared.complex else value


def initializer_of(declared: ArrayDeclaration) -> Callable[..., Any]:
    """The initializer of an array, for any shape: ``(rng, shape, cell) -> array``."""

    def initialize(rng: np.random.Generator, shape: Shape, cell: Cell) -> Any:
        return _draw(declared, rng, shape, f"{declared.kind} {declared.name!r}", cell)

    return initialize


def _draw(
    declared: ArrayDeclaration, rng: np.random.Generator, shape: Shape, owner: str, cell: Cell | None
) -> Any:
    """The values that the initializer draws."""
    init = declared.init
    if isinstance(init, str):
        named = _named(init, shape, owner)
        return _complex(init, named, rng, shape) if declared.complex else named(rng, shape)
    if not callable(init):
        return np.full(shape, init)
    arguments: tuple[Any, ...] = (rng, shape)
    try:
        signature = inspect.signature(init)
        arguments = (rng, shape, cell) if _takes_cell(signature) else arguments
        signature.bind(*arguments)
    except TypeError as error:
        raise UsageError(
            f"{owner}: its initializer cannot be called: {error}; expected a function (rng, shape) -> array, "
            f"or (rng, shape, cell) -> array."
        ) from None
    except ValueError:  # a function written in C may have no signature
        pass
    return init(*arguments)


def _complex(name: str, init: NamedInitializer, rng: np.random.Generator, shape: Shape) -> Vector:
    """A complex draw with the variance of a real one; a constant is real."""
    if name in _CONSTANT:
        return init(rng, shape)
    real, imaginary = init(rng, shape), init(rng, shape)
    return (real + 1j * imaginary) / math.sqrt(2)


def _takes_cell(signature: inspect.Signature) -> bool:
    """Whether an initializer asks for three arguments; one with a default is the author's own."""
    parameters = signature.parameters.values()
    return sum(each.kind in _POSITIONAL_KINDS and each.default is each.empty for each in parameters) == 3


def _named(name: str, shape: Shape, owner: str) -> NamedInitializer:
    """The initializer of a name, if it suits the shape."""
    if name not in INITIALIZERS:
        raise UsageError(
            f"{owner} asks for the initializer {name!r}; known are {', '.join(INITIALIZERS)}, or give a "
            f"function (rng, shape) -> array.{did_you_mean(name, INITIALIZERS)}"
        )
    suits = len(shape) > 1 if name == "orthogonal" else shape or name in _CONSTANT
    if not suits:
        kind = "at least two dimensions" if name == "orthogonal" else "at least one dimension"
        raise UsageError(f"{owner} has shape {shape}; the initializer {name!r} needs {kind}.")
    return INITIALIZERS[name]
