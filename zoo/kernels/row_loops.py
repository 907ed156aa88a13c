"""Loops over rows of one length, as vector instructions: copies, products and sums.

The row that a loop writes comes first. :mod:`zoo.kernels.vector_loops` makes the loops.
"""

from __future__ import annotations

from typing import Any

from zoo.kernels.vector_loops import vector_loop


@vector_loop(1, 1)
def set_row(_target: Any, source: Any) -> Any:
    """``target = source``."""
    return (source,)


@vector_loop(1, 0)
def fill_row(_target: Any, number: Any) -> Any:
    """``target = number``."""
    return (number,)


@vector_loop(1, 2)
def multiply_rows(_target: Any, a: Any, b: Any) -> Any:
    """``target = a * b``."""
    return (a * b,)


@vector_loop(1, 1)
def multiply_by_row(target: Any, a: Any) -> Any:
    """``target *= a``."""
    return (target * a,)


@vector_loop(1, 2)
def add_product(target: Any, a: Any, b: Any) -> Any:
    """``target += a * b``."""
    return (target + a * b,)


@vector_loop(1, 1)
def add_scaled(target: Any, source: Any, factor: Any) -> Any:
    """``target += factor * source``."""
    return (target + source * factor,)


@vector_loop(1, 0)
def scale_row(target: Any, factor: Any) -> Any:
    """``target *= factor``."""
    return (target * factor,)


@vector_loop(0, 2, sums=1)
def dot(a: Any, b: Any) -> Any:
    """``a @ b``."""
    return (a * b,)


@vector_loop(1, 1, sums=1)
def scale_and_dot(target: Any, other: Any, factor: Any) -> Any:
    """``target @ other``, then ``target *= factor``."""
    return target * factor, target * other


@vector_loop(1, 1)
def set_scaled(_target: Any, source: Any, factor: Any) -> Any:
    """``target = factor * source``."""
    return (source * factor,)


@vector_loop(2, 2)
def decay_gradient(g: Any, ddecay: Any, before: Any, decay: Any) -> Any:
    """Backward pass of ``after = decay * before``: ``ddecay += g * before``, then ``g *= decay``."""
    return g * decay, ddecay + g * before
