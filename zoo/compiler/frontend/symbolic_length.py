"""Symbolic lengths of axes: polynomials in I and H, since one pair of kernels serves all sizes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.graph import Graph
from zoo.compiler.ir.structural_ops import SIZE


class SymbolicLength(NDArrayOperatorsMixin):
    """The length of an axis where it depends on I or H.

    Sums, differences, products and integer quotients of lengths are lengths, for slices and ``reshape``. Any
    other operation converts it to a symbolic array. A comparison is valid if its result is the same for all I
    and H.

    Args:
        graph: The graph being built.
        dim: The length.
    """

    __array_priority__ = 1000.0

    def __init__(self, graph: Graph, dim: Dim) -> None:
        self.graph, self.dim = graph, dim

    def as_array(self) -> Any:
        """Return the length as a symbolic array."""
        from zoo.compiler.frontend.symbolic import SymbolicArray

        return SymbolicArray(self.graph.node(SIZE, attr=self.dim))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = _RULES.get(ufunc.__name__)
        if rule is not None and method == "__call__" and not kwargs and all(map(_is_length, inputs)):
            result = rule(*map(as_length, inputs))
            return symbolic_length(self.graph, result) if isinstance(result, Dim) else result
        arrays = [each.as_array() if isinstance(each, SymbolicLength) else each for each in inputs]
        return getattr(ufunc, method)(*arrays, **kwargs)

    def __hash__(self) -> int:
        return hash(self.dim)

    def __index__(self) -> int:
        raise unknown_length_error(str(self.dim))

    __int__ = __index__
    __float__ = __index__
    __bool__ = __index__

    def __repr__(self) -> str:
        return str(self.dim)


def _is_length(value: Any) -> bool:
    return isinstance(value, SymbolicLength | int | np.integer) and not isinstance(value, bool)


def _quotient(a: Dim, b: Dim) -> Dim:
    quotient = a.floor_divide(b)
    if quotient is None:
        raise TraceError(f"{a} cannot be divided by {b} for every I and H; make one of them an option")
    return quotient


def _comparison(symbol: str, compare: Callable[[int, int], bool]) -> Callable[[Dim, Dim], bool]:
    def holds(a: Dim, b: Dim) -> bool:
        results = {compare(sign, 0) for sign in (a - b).signs()}
        if len(results) > 1:
            raise TraceError(
                f"whether {a} {symbol} {b} depends on the sizes, and the equations are compiled once for "
                "every I and H; make the choice an option"
            )
        return results.pop()

    return holds


_RULES: dict[str, Callable[..., Any]] = {
    "add": Dim.__add__,
    "subtract": Dim.__sub__,
    "multiply": Dim.__mul__,
    "floor_divide": _quotient,
    "negative": lambda a: as_dim(0) - a,
    "positive": lambda a: a,
    "equal": _comparison("==", operator.eq),
    "not_equal": _comparison("!=", operator.ne),
    "less": _comparison("<", operator.lt),
    "less_equal": _comparison("<=", operator.le),
    "greater": _comparison(">", operator.gt),
    "greater_equal": _comparison(">=", operator.ge),
}


def unknown_length_error(what: str) -> TraceError:
    """Return the error for a length that is used as a plain number."""
    return TraceError(
        f"{what} is not known when the equations are read, which are compiled once for every I and H; "
        "slices, reshape, arithmetic and np.zeros_like(h) take it as it is, a loop over it is written on "
        "whole arrays, and what must be known is an option"
    )


def symbolic_length(graph: Graph, dim: Dim) -> int | SymbolicLength:
    """Return a length for ``step``: an integer where it is constant."""
    return dim.integer if dim.integer is not None else SymbolicLength(graph, dim)


def as_length(value: Any) -> Dim:
    """Return an argument of ``step``'s as a length.

    Raises:
        TraceError: if it is not a length.
    """
    if isinstance(value, SymbolicLength):
        return value.dim
    if isinstance(value, int | np.integer):
        return as_dim(operator.index(value))
    raise TraceError(
        f"found {describe(value)} where a length is expected; a quotient of lengths is written with //"
    )


def describe(value: Any) -> str:
    """Describe the type of a value in an error: ``None``, ``a list``, ``an array``."""
    if value is None:
        return "None"
    name = "array" if hasattr(value, "__array_function__") else type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
