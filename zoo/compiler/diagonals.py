"""NumPy's functions of diagonals and triangles of matrices, on symbolic arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.compiler import structure
from zoo.compiler.blame import TraceError
from zoo.compiler.dims import Dim, as_dim
from zoo.compiler.extents import as_length
from zoo.compiler.graph import Graph, text
from zoo.compiler.operands import guarded, normal_axis
from zoo.compiler.tracing import Traced

ZERO = as_dim(0)


def positions(graph: Graph, length: Dim) -> Traced:
    """``0, 1, 2, ...``, as numbers."""
    return Traced(structure.running_sum(graph.constant(1.0, (length,)), 0) - 1.0)


def _offsets(graph: Graph, rows: Dim, columns: Dim) -> Any:
    """``column - row`` of every entry of a matrix: the number of its diagonal."""
    return positions(graph, columns) - np.reshape(positions(graph, rows), (-1, 1))


def _diag(v: Any, k: Any = 0) -> Any:
    if v.ndim not in (1, 2):
        raise TraceError(f"np.diag takes a vector or a matrix; found an array of shape {text(v.dims)}")
    if v.ndim == 2:
        return _diagonal(v, k)
    number = as_length(k)
    (length,) = v.dims
    is_above, more = _above(number)
    zeros = [] if more == ZERO else [Traced(v.graph.constant(0.0, (more,)))]
    entries = np.concatenate([v, *zeros])
    whole = length + more
    entries = np.reshape(entries, (-1, 1)) if is_above else entries
    return np.where(_offsets(v.graph, whole, whole) == _as_number(v, number), entries, 0.0)


def _diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    if a.ndim < 2:
        raise TraceError(
            f"np.diagonal and np.trace take an array with at least two axes; found shape {text(a.dims)}"
        )
    first, second = normal_axis(axis1, a.ndim), normal_axis(axis2, a.ndim)
    if first == second:
        raise TraceError(f"a diagonal goes along two axes; found axis {first} twice")
    others = [axis for axis in range(a.ndim) if axis not in (first, second)]
    a = np.transpose(a, (*others, first, second))
    *lead, rows, columns = a.dims
    number = as_length(offset)
    is_above, more = _above(number)
    start = more if is_above else more * columns
    length = _shorter(rows, columns - more) if is_above else _shorter(rows - more, columns)
    flat = guarded(structure.reshape, a.node, (*lead, rows * columns))
    return guarded(structure.stride, flat.node, len(lead), start, columns + structure.ONE, length)


def _above(number: Dim) -> tuple[bool, Dim]:
    """Whether a diagonal is the main one or above it, and how far from it."""
    is_above = number.signs() != {-1}
    return is_above, number if is_above else ZERO - number


def _shorter(a: Dim, b: Dim) -> Dim:
    signs = (a - b).signs()
    if 1 not in signs:
        return a
    if -1 not in signs:
        return b
    raise TraceError(
        f"the length of a diagonal, {a} or {b}, depends on the sizes, and the equations are compiled once "
        "for every I and H; cut the matrix so that it is square"
    )


def _trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    return np.sum(_diagonal(a, offset, axis1, axis2), axis=-1)


def _as_number(a: Any, number: Dim) -> Any:
    return number.integer if number.integer is not None else Traced(a.graph.node("size", attr=number))


def _triangle(is_kept: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A matrix, or a stack of them, with zeros where the number of a diagonal is not kept."""

    def function(m: Any, k: Any = 0) -> Any:
        if m.ndim == 0:
            raise TraceError("np.tril and np.triu take at least one axis; found a scalar")
        rows, columns = m.dims[-2:] if m.ndim > 1 else m.dims * 2
        return np.where(is_kept(_offsets(m.graph, rows, columns), _as_number(m, as_length(k))), m, 0.0)

    return function


DIAGONALS: dict[Any, Callable[..., Any]] = {
    np.diag: _diag,
    np.diagonal: _diagonal,
    np.trace: _trace,
    np.tril: _triangle(lambda offsets, k: offsets <= k),
    np.triu: _triangle(lambda offsets, k: offsets >= k),
}
"""By NumPy's function, with the arguments of NumPy's that can be compiled, under the same names."""
