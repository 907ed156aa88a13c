"""Linear systems and the matrix exponential on symbolic arrays, for matrices of parameters only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import SymbolBase, SymbolicArray, make_symbolic, nodes_of
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.graph import Level, Node, format_shape
from zoo.compiler.ir.structural_ops import EYE


def expm(a: SymbolBase) -> SymbolicArray:
    """Return the exponential of a matrix.

    Raises:
        TraceError: if it is not square, is complex, or depends on x or a state.
    """
    if not isinstance(a, SymbolicArray):
        raise TraceError("zoo.expm of complex numbers is not compiled; take their .real and .imag")
    _check_matrix("zoo.expm", a.node)
    return make_symbolic(ops.expm, a.node)


def _solve(a: Any, b: Any) -> Any:
    matrix, right = nodes_of((a, b))
    _check_matrix("np.linalg.solve", matrix)
    if right.level != Level.ONCE:
        raise TraceError(
            "np.linalg.solve is compiled for arrays that depend on parameters alone; where the right-hand "
            "side depends on x or a state, write np.linalg.inv(a) @ b"
        )
    if right.ndim not in (1, 2) or right.shape[0] != matrix.shape[0]:
        raise TraceError(
            f"np.linalg.solve: found arrays of shapes {format_shape(matrix.shape)} and "
            f"{format_shape(right.shape)}; expected "
            "a square matrix, and a vector or a matrix of as many rows"
        )
    columns = ops.reshape(right, (*right.shape, ONE)) if right.ndim == 1 else right
    return make_symbolic(ops.reshape, ops.solve(matrix, columns), right.shape)


def _inv(a: Any) -> Any:
    _check_matrix("np.linalg.inv", a.node)
    (length, _) = a.dims
    return make_symbolic(ops.solve, a.node, a.graph.node(EYE, attr=length, shape=(length, length)))


def _check_matrix(name: str, node: Node) -> None:
    if node.level != Level.ONCE:
        raise TraceError(
            f"{name} is compiled for a matrix that depends on parameters alone, and runs once per sequence; "
            "found one that depends on x or a state"
        )
    if node.ndim != 2 or node.shape[0] != node.shape[1]:
        hint = (
            f"; for a stack of matrices, write np.stack([{name}(a) for a in stack])" if node.ndim > 2 else ""
        )
        raise TraceError(
            f"{name} takes one square matrix; found an array of shape {format_shape(node.shape)}{hint}"
        )


LINEAR_ALGEBRA: dict[Any, Callable[..., Any]] = {np.linalg.inv: _inv, np.linalg.solve: _solve}
"""By NumPy's function, with those arguments of NumPy's that are compiled, under the same names."""
