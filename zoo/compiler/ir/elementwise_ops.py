# ruff: noqa: ARG005 - all gradient rules have the same arguments
"""The element-wise rows of the table of operations.

Tests draw operands for every row. They compare its gradient with finite differences, and its code in kernels,
in C and in ONNX with NumPy.
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


def _softplus_vjp(g: Node, y: Node, a: Node) -> tuple[Node]:  # noqa: ARG001 - the arguments of all rules
    """The derivative ``1 - exp(-y)``, without cancellation. Only the result is saved for it."""
    t = _apply("tanh", y * 0.5)
    return (g * ((t + t) / (1.0 + t)),)


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
ADD = elementwise("add", np.add, "{0} + {1}", lambda g, y, a, b: (g, g), _TWO, onnx="Add")
SUBTRACT = elementwise("subtract", np.subtract, "{0} - {1}", lambda g, y, a, b: (g, -g), _TWO, onnx="Sub")
MULTIPLY = elementwise(
    "multiply", np.multiply, "{0} * {1}", lambda g, y, a, b: (g * b, g * a), _TWO, onnx="Mul"
)
DIVIDE = elementwise(
    "divide",
    np.divide,
    "{0} / {1}",
    lambda g, y, a, b: (g / b, -(g * y / b)),
    ((-2.0, 2.0), _POSITIVE),
    onnx="Div",
)
NEGATIVE = elementwise("negative", np.negative, "-{0}", lambda g, y, a: (-g,), onnx="Neg")
elementwise(
    "power",
    np.power,
    "{0} ** {1}",
    _power_vjp,
    (_POSITIVE, (-2.0, 2.0)),
    expensive=True,
    export="$pow({0}, {1})",
    onnx="Pow",
)
elementwise(
    "remainder",
    np.remainder,
    "{0} % {1}",
    lambda g, y, a, b: (g, -(g * _apply("floor", a / b))),
    ((-2.0, 2.0), _POSITIVE),
    export="$remainder_of({0}, {1})",
)
elementwise("floor", np.floor, "np.floor({0})", export="$floor({0})", onnx="Floor")
elementwise("sign", np.sign, "np.sign({0})", export="$sign({0})", onnx="Sign")
# Functions.
EXP = elementwise(
    "exp",
    np.exp,
    "kernels.exp({0})",
    lambda g, y, a: (g * y,),
    expensive=True,
    export="$exp({0})",
    onnx="Exp",
)
elementwise(
    "exp_diff",
    lambda a, b: np.exp(a - b),
    "kernels.exp_diff({0}, {1})",
    lambda g, y, a, b: (g * y, -(g * y)),
    _TWO,
    expensive=True,
    export="$exp(({0}) - ({1}))",
)
elementwise(
    "expm1", np.expm1, "np.expm1({0})", lambda g, y, a: (g * (y + 1.0),), expensive=True, export="$expm1({0})"
)
elementwise(
    "log",
    np.log,
    "kernels.log({0})",
    lambda g, y, a: (g / a,),
    (_POSITIVE,),
    expensive=True,
    export="$log({0})",
    onnx="Log",
)
elementwise(
    "log1p",
    np.log1p,
    "kernels.log1p({0})",
    lambda g, y, a: (g / (a + 1.0),),
    ((-0.6, 2.0),),
    expensive=True,
    export="$log1p({0})",
)
elementwise(
    "sqrt",
    np.sqrt,
    "np.sqrt({0})",
    lambda g, y, a: (g * 0.5 / y,),
    (_POSITIVE,),
    expensive=True,
    export="$sqrt({0})",
    onnx="Sqrt",
)
elementwise(
    "sin",
    np.sin,
    "np.sin({0})",
    lambda g, y, a: (g * _apply("cos", a),),
    expensive=True,
    export="$sin({0})",
    onnx="Sin",
)
elementwise(
    "cos",
    np.cos,
    "np.cos({0})",
    lambda g, y, a: (-(g * _apply("sin", a)),),
    expensive=True,
    export="$cos({0})",
    onnx="Cos",
)
elementwise(
    "arctan",
    np.arctan,
    "np.arctan({0})",
    lambda g, y, a: (g / (1.0 + a * a),),
    expensive=True,
    export="$atan({0})",
    onnx="Atan",
)
elementwise(
    "sinh",
    np.sinh,
    "np.sinh({0})",
    lambda g, y, a: (g * _apply("cosh", a),),
    expensive=True,
    export="$sinh({0})",
    onnx="Sinh",
)
elementwise(
    "cosh",
    np.cosh,
    "np.cosh({0})",
    lambda g, y, a: (g * _apply("sinh", a),),
    expensive=True,
    export="$cosh({0})",
    onnx="Cosh",
)
elementwise(
    "tanh",
    np.tanh,
    "kernels.tanh({0})",
    lambda g, y, a: (g * (1.0 - y * y),),
    expensive=True,
    export="$tanh({0})",
    onnx="Tanh",
)
elementwise(
    "sigmoid",
    _sigmoid,
    "kernels.sigmoid({0})",
    lambda g, y, a: (g * (y * (1.0 - y)),),
    expensive=True,
    export="$sigmoid({0})",
    onnx="Sigmoid",
)
elementwise(
    "softplus",
    _softplus,
    "kernels.softplus({0})",
    _softplus_vjp,
    expensive=True,
    export="$softplus({0})",
    onnx="Softplus",
)
elementwise(
    "erf",
    _erf,
    "kernels.erf({0})",
    lambda g, y, a: (g * (2.0 / math.sqrt(math.pi) * _apply("exp", -(a * a))),),
    expensive=True,
    export="$erf({0})",
    onnx="Erf",
)
# Pieces. A NaN in either operand comes out: it must reach the loss, not vanish in a rectifier.
ABSOLUTE = elementwise(
    "absolute",
    np.absolute,
    "abs({0})",
    lambda g, y, a: (_where(a < 0.0, -g, g),),
    export="$fabs({0})",
    onnx="Abs",
)
elementwise(
    "maximum",
    np.maximum,
    "kernels.maximum({0}, {1})",
    lambda g, y, a, b: (_where(a >= b, g, 0.0), _where(a >= b, 0.0, g)),
    _TWO,
    export="$larger({0}, {1})",
    onnx="Max",
)
elementwise(
    "minimum",
    np.minimum,
    "kernels.minimum({0}, {1})",
    lambda g, y, a, b: (_where(a <= b, g, 0.0), _where(a <= b, 0.0, g)),
    _TWO,
    export="$smaller({0}, {1})",
    onnx="Min",
)
WHERE = elementwise(
    "where",
    np.where,
    "kernels.select({0}, {1}, {2})",
    lambda g, y, c, a, b: (None, _where(c, g, 0.0), _where(c, 0.0, g)),
    (_BOOL, *_TWO),
    accepts_bool=True,
    export="(({0}) ? {1} : {2})",
    onnx="Where",
)
# Comparisons.
elementwise("less", np.less, "{0} < {1}", None, _TWO, is_bool=True, onnx="Less")
elementwise("less_equal", np.less_equal, "{0} <= {1}", None, _TWO, is_bool=True, onnx="LessOrEqual")
elementwise("greater", np.greater, "{0} > {1}", None, _TWO, is_bool=True, onnx="Greater")
elementwise("greater_equal", np.greater_equal, "{0} >= {1}", None, _TWO, is_bool=True, onnx="GreaterOrEqual")
elementwise("equal", np.equal, "{0} == {1}", None, _TWO, is_bool=True, onnx="Equal")
elementwise("not_equal", np.not_equal, "{0} != {1}", None, _TWO, is_bool=True)
elementwise(
    "logical_and",
    np.logical_and,
    "{0} & {1}",
    None,
    (_BOOL, _BOOL),
    is_bool=True,
    accepts_bool=True,
    export="{0} && {1}",
    onnx="And",
)
elementwise(
    "logical_or",
    np.logical_or,
    "{0} | {1}",
    None,
    (_BOOL, _BOOL),
    is_bool=True,
    accepts_bool=True,
    export="{0} || {1}",
    onnx="Or",
)
elementwise(
    "logical_not",
    np.logical_not,
    "not {0}",
    None,
    (_BOOL,),
    is_bool=True,
    accepts_bool=True,
    export="!{0}",
    onnx="Not",
)
COPY = elementwise("copy", np.positive, "{0}", lambda g, y, a: (g,), onnx="Identity")
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
