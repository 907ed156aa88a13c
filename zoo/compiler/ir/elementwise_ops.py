# ruff: noqa: ARG005 - every adjoint takes what adjoints take
"""The table of element-wise operations: what each means in NumPy, how it is emitted, and its adjoint.

A new operation is one row. Tests take every row of the table and compare its adjoint with finite differences
and its emitted code with its NumPy meaning, so a row that is wrong does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from zoo.compiler.ir.graph import Node

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Operation:
    """One row of the table.

    Args:
        meaning: The operation on NumPy arrays.
        code: The operation on scalars in a kernel; ``{0}`` and ``{1}`` are the operands.
        adjoint: ``(gradient, result, *operands) -> gradients of the operands``, in the terms of this table;
            None where the derivative is zero, or nobody asks for it.
        domain: Where tests try it: an interval for each operand.
        dear: Whether the result is worth keeping rather than computing again.
        truth: Whether the result is true or false.
        takes_truths: Whether operands may be true or false; otherwise those become one and zero.
        exact: Whether the adjoint is the derivative of the meaning.
    """

    numpy: Callable[..., Any]
    code: str
    vjp: Callable[..., tuple[Node | None, ...]] | None = None
    domain: tuple[Interval, ...] = ((-2.0, 2.0),)
    expensive: bool = False
    is_bool: bool = False
    accepts_bool: bool = False
    exact_gradient: bool = True


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(np.less(x, 0), e, 1) / (1 + e)


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _erf(x: Any) -> Any:
    """The error function, which NumPy lacks, in the dtype of its operand."""
    x = np.asarray(x)
    return _EACH_ERF(x).astype(x.dtype if x.dtype.kind == "f" else float)[()]


_EACH_ERF = np.vectorize(math.erf, otypes=[float])


def _where(condition: Node, a: Node | float, b: Node | float) -> Node:
    return condition.graph.apply("where", condition, a, b)


def _apply(name: str, x: Node, *others: Node | float) -> Node:
    return x.graph.apply(name, x, *others)


def _power_vjp(g: Node, y: Node, a: Node, b: Node) -> tuple[Node, Node | None]:
    """Where a factor vanishes so does the derivative, also if the other is infinite."""
    slope = b * _apply("power", a, b - 1.0)
    if b.value is not None:
        return g * slope, None
    vanishing = _where(_apply("equal", a, 0.0), 0.0, y * _apply("log", a))
    return g * _where(_apply("equal", b, 0.0), 0.0, slope), g * vanishing


_TWO = ((-2.0, 2.0), (-2.0, 2.0))
_POSITIVE = (0.3, 2.0)
_BOOL = (0.0, 1.0)

OPERATIONS: dict[str, Operation] = {
    # Arithmetic.
    "add": Operation(np.add, "{0} + {1}", lambda g, y, a, b: (g, g), _TWO),
    "subtract": Operation(np.subtract, "{0} - {1}", lambda g, y, a, b: (g, -g), _TWO),
    "multiply": Operation(np.multiply, "{0} * {1}", lambda g, y, a, b: (g * b, g * a), _TWO),
    "divide": Operation(
        np.divide, "{0} / {1}", lambda g, y, a, b: (g / b, -(g * y / b)), ((-2.0, 2.0), _POSITIVE)
    ),
    "negative": Operation(np.negative, "-{0}", lambda g, y, a: (-g,)),
    "power": Operation(np.power, "{0} ** {1}", _power_vjp, (_POSITIVE, (-2.0, 2.0)), expensive=True),
    "remainder": Operation(
        np.remainder,
        "{0} % {1}",
        lambda g, y, a, b: (g, -(g * _apply("floor", a / b))),
        ((-2.0, 2.0), _POSITIVE),
    ),
    "floor": Operation(np.floor, "np.floor({0})"),
    "sign": Operation(np.sign, "np.sign({0})"),
    # Functions.
    "exp": Operation(np.exp, "kernels.exp({0})", lambda g, y, a: (g * y,), expensive=True),
    "exp_diff": Operation(
        lambda a, b: np.exp(a - b),
        "kernels.exp_diff({0}, {1})",
        lambda g, y, a, b: (g * y, -(g * y)),
        _TWO,
        expensive=True,
    ),
    "expm1": Operation(np.expm1, "np.expm1({0})", lambda g, y, a: (g * (y + 1.0),), expensive=True),
    "log": Operation(np.log, "kernels.log({0})", lambda g, y, a: (g / a,), (_POSITIVE,), expensive=True),
    "log1p": Operation(
        np.log1p, "kernels.log1p({0})", lambda g, y, a: (g / (a + 1.0),), ((-0.6, 2.0),), expensive=True
    ),
    "sqrt": Operation(np.sqrt, "np.sqrt({0})", lambda g, y, a: (g * 0.5 / y,), (_POSITIVE,), expensive=True),
    "sin": Operation(np.sin, "np.sin({0})", lambda g, y, a: (g * _apply("cos", a),), expensive=True),
    "cos": Operation(np.cos, "np.cos({0})", lambda g, y, a: (-(g * _apply("sin", a)),), expensive=True),
    "arctan": Operation(np.arctan, "np.arctan({0})", lambda g, y, a: (g / (1.0 + a * a),), expensive=True),
    "sinh": Operation(np.sinh, "np.sinh({0})", lambda g, y, a: (g * _apply("cosh", a),), expensive=True),
    "cosh": Operation(np.cosh, "np.cosh({0})", lambda g, y, a: (g * _apply("sinh", a),), expensive=True),
    "tanh": Operation(np.tanh, "kernels.tanh({0})", lambda g, y, a: (g * (1.0 - y * y),), expensive=True),
    "sigmoid": Operation(
        _sigmoid, "kernels.sigmoid({0})", lambda g, y, a: (g * (y * (1.0 - y)),), expensive=True
    ),
    "softplus": Operation(
        _softplus, "kernels.softplus({0})", lambda g, y, a: (g * _apply("sigmoid", a),), expensive=True
    ),
    "erf": Operation(
        _erf,
        "kernels.erf({0})",
        lambda g, y, a: (g * (2.0 / math.sqrt(math.pi) * _apply("exp", -(a * a))),),
        expensive=True,
    ),
    # Pieces. A NaN in either operand comes out: it must reach the loss, not vanish in a rectifier.
    "absolute": Operation(np.absolute, "abs({0})", lambda g, y, a: (_where(a < 0.0, -g, g),)),
    "maximum": Operation(
        np.maximum,
        "kernels.maximum({0}, {1})",
        lambda g, y, a, b: (_where(a >= b, g, 0.0), _where(a >= b, 0.0, g)),
        _TWO,
    ),
    "minimum": Operation(
        np.minimum,
        "kernels.minimum({0}, {1})",
        lambda g, y, a, b: (_where(a <= b, g, 0.0), _where(a <= b, 0.0, g)),
        _TWO,
    ),
    "where": Operation(
        np.where,
        "kernels.select({0}, {1}, {2})",
        lambda g, y, c, a, b: (None, _where(c, g, 0.0), _where(c, 0.0, g)),
        (_BOOL, *_TWO),
        accepts_bool=True,
    ),
    # Comparisons.
    "less": Operation(np.less, "{0} < {1}", None, _TWO, is_bool=True),
    "less_equal": Operation(np.less_equal, "{0} <= {1}", None, _TWO, is_bool=True),
    "greater": Operation(np.greater, "{0} > {1}", None, _TWO, is_bool=True),
    "greater_equal": Operation(np.greater_equal, "{0} >= {1}", None, _TWO, is_bool=True),
    "equal": Operation(np.equal, "{0} == {1}", None, _TWO, is_bool=True),
    "not_equal": Operation(np.not_equal, "{0} != {1}", None, _TWO, is_bool=True),
    "logical_and": Operation(
        np.logical_and, "{0} & {1}", None, (_BOOL, _BOOL), is_bool=True, accepts_bool=True
    ),
    "logical_or": Operation(
        np.logical_or, "{0} | {1}", None, (_BOOL, _BOOL), is_bool=True, accepts_bool=True
    ),
    "logical_not": Operation(np.logical_not, "not {0}", None, (_BOOL,), is_bool=True, accepts_bool=True),
    "copy": Operation(np.positive, "{0}", lambda g, y, a: (g,)),
    # What only the derivative sees; both vanish from the graph once it has been taken (adjoint.py).
    "stop_gradient": Operation(np.positive, "{0}", None, exact_gradient=False),
    "with_derivative": Operation(
        lambda value, x, slope: np.positive(value),
        "{0}",
        lambda g, y, value, x, slope: (None, g * slope, None),
        (*_TWO, (-2.0, 2.0)),
        exact_gradient=False,
    ),
}
