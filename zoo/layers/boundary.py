"""Where arrays enter zoo: checked, and made what kernels take. Behind this boundary nothing is checked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.errors import UsageError

Array = np.ndarray[Any, Any]


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """float32 or float64.

    Raises:
        UsageError: for anything else.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise UsageError(f"dtype is {dtype!r}; expected 'float32' or 'float64'.")
    return found


def as_inputs(x: Any, input_size: int, dtype: np.dtype[Any], who: str) -> Array:
    """Inputs as kernels take them: ``(T, B, I)`` of the dtype, or int32 tokens ``(T, B)``, C-contiguous.

    Raises:
        UsageError: if x is neither.
    """
    x = np.asarray(x)
    if x.ndim == 2 and x.dtype.kind in "iu":
        return as_tokens(x, input_size, f"{who}: inputs")
    if x.ndim == 3 and x.dtype.kind == "f" and x.shape[2] == input_size and x.shape[1] > 0:
        return np.ascontiguousarray(x, dtype)
    raise UsageError(
        f"{who}: inputs are {x.dtype}{x.shape}; expected floats (T, B, {input_size}) or integer tokens (T, B), time "
        f"first, with at least one row in the batch."
    )


def as_tokens(tokens: Any, symbols: int, who: str) -> Array:
    """Tokens as kernels take them: int32 ``(T, B)``, C-contiguous, each a number below ``symbols``.

    Raises:
        UsageError: if they are not.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or tokens.shape[1] == 0:
        raise UsageError(f"{who} are {tokens.dtype}{tokens.shape}; expected integer tokens (T, B), time first.")
    if tokens.size and not (0 <= tokens.min() and tokens.max() < symbols):
        raise UsageError(f"{who} run from {tokens.min()} to {tokens.max()}; expected tokens from 0 to {symbols - 1}.")
    return np.ascontiguousarray(tokens, np.int32)


def as_state(
    state: Mapping[str, Any] | None, shapes: Mapping[str, tuple[int, ...]], batch: int, dtype: np.dtype[Any], who: str
) -> dict[str, Array]:
    """States (or their gradients) with the batch in front; zeros for None.

    Raises:
        UsageError: if a name is missing or unknown, or a shape does not fit.
    """
    if state is None:
        return {name: np.zeros((batch, *shape), dtype) for name, shape in shapes.items()}
    if set(state) != set(shapes):
        raise UsageError(f"{who}: the state holds {sorted(state)}; expected {sorted(shapes)}.")
    given = {name: np.asarray(state[name]) for name in shapes}
    for name, shape in shapes.items():
        if given[name].shape != (batch, *shape):
            raise UsageError(f"{who}: state {name!r} has shape {given[name].shape}; expected {(batch, *shape)}.")
    return {name: np.ascontiguousarray(value, dtype) for name, value in given.items()}


def as_vector(vector: Any, size: int, dtype: np.dtype[Any], who: str) -> Array:
    """A flat parameter vector ``(P,)``.

    Raises:
        UsageError: if it has another shape.
    """
    vector = np.ascontiguousarray(vector, dtype)
    if vector.shape != (size,):
        raise UsageError(f"{who}: the parameter vector has shape {vector.shape}; expected {(size,)}.")
    return vector
