# ruff: noqa: ARG005 - all gradient rules have the same arguments
"""The element-wise rows of the table of operations.

Tests draw operands for every row, and compare its gradient with finite differences and its code with NumPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.op_table import elementwise


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
    """The derivative is zero where a factor is zero, even if the other is infinite."""
    slope = b * _apply("power", a, b - 1.0)
    if b.value is not None:
        return g * slope, None
    vanishing = _where(_apply("equal", a, 0.0), 0.0, y * _apply("log", a))
    return g * _where(_apply("equal", b, 0.0), 0.0, slope), g * vanishing


_TWO = ((-2.0, 2.0), (-2.0, 2.0))
_POSITIVE = (0.3, 2.0)
_BOOL = (0.0, 1.0)

# Arithmetic.
ADD = elementwise("add", np.add, "{0} + {1}", lambda g, y, a, b: (g, g), _TWO)
elementwise("subtract", np.subtract, "{0} - {1}", lambda g, y, a, b: (g, -g), _TWO)
elementwise("multiply", np.multiply, "{0} * {1}", lambda g, y, a, b: (g * b, g * a), _TWO)
elementwise(
    "divide", np.divide, "{0} / {1}", lambda g, y, a, b: (g / b, -(g * y / b)), ((-2.0, 2.0), _POSITIVE)
)
NEGATIVE = elementwise("negative", np.negative, "-{0}", lambda g, y, a: (-g,))
elementwise("power", np.power, "{0} ** {1}", _power_vjp, (_POSITIVE, (-2.0, 2.0)), expensive=True)
elementwise(
    "remainder",
    np.remainder,
    "{0} % {1}",
    lambda g, y, a, b: (g, -(g * _apply("floor", a / b))),
    ((-2.0, 2.0), _POSITIVE),
)
elementwise("floor", np.floor, "np.floor({0})")
elementwise("sign", np.sign, "np.sign({0})")
# Functions.
elementwise("exp", np.exp, "kernels.exp({0})", lambda g, y, a: (g * y,), expensive=True)
elementwise(
    "exp_diff",
    lambda a, b: np.exp(a - b),
    "kernels.exp_diff({0}, {1})",
    lambda g, y, a, b: (g * y, -(g * y)),
    _TWO,
    expensive=True,
)
elementwise("expm1", np.expm1, "np.expm1({0})", lambda g, y, a: (g * (y + 1.0),), expensive=True)
elementwise("log", np.log, "kernels.log({0})", lambda g, y, a: (g / a,), (_POSITIVE,), expensive=True)
elementwise(
    "log1p", np.log1p, "kernels.log1p({0})", lambda g, y, a: (g / (a + 1.0),), ((-0.6, 2.0),), expensive=True
)
elementwise("sqrt", np.sqrt, "np.sqrt({0})", lambda g, y, a: (g * 0.5 / y,), (_POSITIVE,), expensive=True)
elementwise("sin", np.sin, "np.sin({0})", lambda g, y, a: (g * _apply("cos", a),), expensive=True)
elementwise("cos", np.cos, "np.cos({0})", lambda g, y, a: (-(g * _apply("sin", a)),), expensive=True)
elementwise("arctan", np.arctan, "np.arctan({0})", lambda g, y, a: (g / (1.0 + a * a),), expensive=True)
elementwise("sinh", np.sinh, "np.sinh({0})", lambda g, y, a: (g * _apply("cosh", a),), expensive=True)
elementwise("cosh", np.cosh, "np.cosh({0})", lambda g, y, a: (g * _apply("sinh", a),), expensive=True)
elementwise("tanh", np.tanh, "kernels.tanh({0})", lambda g, y, a: (g * (1.0 - y * y),), expensive=True)
elementwise(
    "sigmoid", _sigmoid, "kernels.sigmoid({0})", lambda g, y, a: (g * (y * (1.0 - y)),), expensive=True
)
elementwise(
    "softplus",
    _softplus,
    "kernels.softplus({0})",
    lambda g, y, a: (g * _apply("sigmoid", a),),
    expensive=True,
)
elementwise(
    "erf",
    _erf,
    "kernels.erf({0})",
    lambda g, y, a: (g * (2.0 / math.sqrt(math.pi) * _apply("exp", -(a * a))),),
    expensive=True,
)
# Pieces. A NaN in either operand comes out: it must reach the loss, not vanish in a rectifier.
ABSOLUTE = elementwise("absolute", np.absolute, "abs({0})", lambda g, y, a: (_where(a < 0.0, -g, g),))
elementwise(
    "maximum",
    np.maximum,
    "kernels.maximum({0}, {1})",
    lambda g, y, a, b: (_where(a >= b, g, 0.0), _where(a >= b, 0.0, g)),
    _TWO,
)
elementwise(
    "minimum",
    np.minimum,
    "kernels.minimum({0}, {1})",
    lambda g, y, a, b: (_where(a <= b, g, 0.0), _where(a <= b, 0.0, g)),
    _TWO,
)
WHERE = elementwise(
    "where",
    np.where,
    "kernels.select({0}, {1}, {2})",
    lambda g, y, c, a, b: (None, _where(c, g, 0.0), _where(c, 0.0, g)),
    (_BOOL, *_TWO),
    accepts_bool=True,
)
# Comparisons.
elementwise("less", np.less, "{0} < {1}", None, _TWO, is_bool=True)
elementwise("less_equal", np.less_equal, "{0} <= {1}", None, _TWO, is_bool=True)
elementwise("greater", np.greater, "{0} > {1}", None, _TWO, is_bool=True)
elementwise("greater_equal", np.greater_equal, "{0} >= {1}", None, _TWO, is_bool=True)
elementwise("equal", np.equal, "{0} == {1}", None, _TWO, is_bool=True)
elementwise("not_equal", np.not_equal, "{0} != {1}", None, _TWO, is_bool=True)
elementwise("logical_and", np.logical_and, "{0} & {1}", None, (_BOOL, _BOOL), is_bool=True, accepts_bool=True)
elementwise("logical_or", np.logical_or, "{0} | {1}", None, (_BOOL, _BOOL), is_bool=True, accepts_bool=True)
elementwise("logical_not", np.logical_not, "not {0}", None, (_BOOL,), is_bool=True, accepts_bool=True)
COPY = elementwise("copy", np.positive, "{0}", lambda g, y, a: (g,))
# What only the derivative sees; both vanish from the graph once it has been taken (autodiff.py).
STOP_GRADIENT = elementwise("stop_gradient", np.positive, "{0}", None, exact_gradient=False)
SHIFT = "shift"
"""Attribute of a ``stop_gradient`` that changes no derivative: the maximum that a softmax subtracts."""
WITH_DERIVATIVE = elementwise(
    "with_derivative",
    lambda value, x, slope: np.positive(value),
    "{0}",
    lambda g, y, value, x, slope: (None, g * slope, None),
    (*_TWO, (-2.0, 2.0)),
    exact_gradient=False,
)
