"""Element-wise operations in ONNX: one function for each row of ``zoo.compiler.ir.elementwise_ops``.

Each takes the graph and the names of its operands, and returns the name of its output. Operations without an
ONNX operator are composed so that they are as exact as the dtype allows: ``exp(x) - 1`` as W. Kahan does
(quoted in https://hpmuseum.org/forum/showthread.php?tid=5508), and ``log(1 + x)`` likewise. A quotient in
which the rounding error of ``exp(x)`` or ``1 + x`` occurs twice cancels it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from zoo.export.onnx.graph_builder import GraphBuilder

OperationEmitter: TypeAlias = Callable[..., str]


def _single_operator(op: str) -> OperationEmitter:
    """An operation that is one ONNX operator."""

    def write(builder: GraphBuilder, *operands: str, name: str = "") -> str:
        return builder.add(op, *operands, name=name)

    return write


def _exp_diff(builder: GraphBuilder, a: str, b: str, name: str = "") -> str:
    return builder.add("Exp", builder.add("Sub", a, b), name=name)


def _not_equal(builder: GraphBuilder, a: str, b: str, name: str = "") -> str:
    return builder.add("Not", builder.add("Equal", a, b), name=name)


def _remainder(builder: GraphBuilder, a: str, b: str, name: str = "") -> str:
    """Python's remainder, with the sign of the divisor, from C's, with that of the dividend."""
    zero, rest = builder.number(0.0), builder.add("Mod", a, b, fmod=1)
    signs = builder.add("Xor", builder.add("Less", rest, zero), builder.add("Less", b, zero))
    other = builder.add("And", signs, _not_equal(builder, rest, zero))
    return builder.add("Where", other, builder.add("Add", rest, b), rest, name=name)


def _expm1(builder: GraphBuilder, x: str, name: str = "") -> str:
    """``(u - 1) x / log(u)`` for ``u = exp(x)``, and its limit where that is NaN."""
    one, zero = builder.number(1.0), builder.number(0.0)
    u = builder.add("Exp", x)
    less, log = builder.add("Sub", u, one), builder.add("Log", u)
    exact = builder.add("Div", builder.add("Mul", less, x), log)
    # u is 0, infinity, or so large or small that adding 1 does not change it.
    large = builder.add("Greater", builder.add("Abs", x), builder.number(20.0))
    value = builder.add("Where", large, less, exact)
    return builder.add("Where", builder.add("Equal", log, zero), x, value, name=name)


def _log1p(builder: GraphBuilder, x: str, name: str = "") -> str:
    """``log(u) x / (u - 1)`` for ``u = 1 + x``, and its limit where that is NaN."""
    one, zero = builder.number(1.0), builder.number(0.0)
    u = builder.add("Add", x, one)
    less, log = builder.add("Sub", u, one), builder.add("Log", u)
    exact = builder.add("Div", builder.add("Mul", log, x), less)
    value = builder.add("Where", builder.add("Greater", x, builder.number(1e9)), log, exact)
    return builder.add("Where", builder.add("Equal", less, zero), x, value, name=name)


OPERATIONS: Mapping[str, OperationEmitter] = {
    "add": _single_operator("Add"),
    "subtract": _single_operator("Sub"),
    "multiply": _single_operator("Mul"),
    "divide": _single_operator("Div"),
    "negative": _single_operator("Neg"),
    "power": _single_operator("Pow"),
    "remainder": _remainder,
    "floor": _single_operator("Floor"),
    "sign": _single_operator("Sign"),
    "exp": _single_operator("Exp"),
    "exp_diff": _exp_diff,
    "erf": _single_operator("Erf"),
    "expm1": _expm1,
    "log": _single_operator("Log"),
    "log1p": _log1p,
    "sqrt": _single_operator("Sqrt"),
    "sin": _single_operator("Sin"),
    "cos": _single_operator("Cos"),
    "arctan": _single_operator("Atan"),
    "sinh": _single_operator("Sinh"),
    "cosh": _single_operator("Cosh"),
    "tanh": _single_operator("Tanh"),
    "sigmoid": _single_operator("Sigmoid"),
    "softplus": _single_operator("Softplus"),
    "absolute": _single_operator("Abs"),
    "maximum": _single_operator("Max"),
    "minimum": _single_operator("Min"),
    "where": _single_operator("Where"),
    "less": _single_operator("Less"),
    "less_equal": _single_operator("LessOrEqual"),
    "greater": _single_operator("Greater"),
    "greater_equal": _single_operator("GreaterOrEqual"),
    "equal": _single_operator("Equal"),
    "not_equal": _not_equal,
    "logical_and": _single_operator("And"),
    "logical_or": _single_operator("Or"),
    "logical_not": _single_operator("Not"),
    "copy": _single_operator("Identity"),
}
