"""Element-wise operations in ONNX: one row for each row of ``zoo.compiler.ir.elementwise_ops``.

Each takes the graph and the names of its operands, and returns the name of what it makes. What ONNX has no
operator for is put together so that it is as exact as the numbers are: ``exp(x) - 1`` as W. Kahan does
(quoted in https://hpmuseum.org/forum/showthread.php?tid=5508), and ``log(1 + x)`` likewise. What rounding
``exp(x)`` or ``1 + x`` loses is made good by a quotient in which it occurs twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from zoo.export.onnx.graph_builder import GraphBuilder

OperationEmitter: TypeAlias = Callable[..., str]


def _single_operator(op: str) -> OperationEmitter:
    """An operation of ONNX's own."""

    def write(nodes: GraphBuilder, *operands: str, name: str = "") -> str:
        return nodes.add(op, *operands, name=name)

    return write


def _exp_diff(nodes: GraphBuilder, a: str, b: str, name: str = "") -> str:
    return nodes.add("Exp", nodes.add("Sub", a, b), name=name)


def _not_equal(nodes: GraphBuilder, a: str, b: str, name: str = "") -> str:
    return nodes.add("Not", nodes.add("Equal", a, b), name=name)


def _remainder(nodes: GraphBuilder, a: str, b: str, name: str = "") -> str:
    """Python's remainder, with the sign of the divisor, from C's, with that of the dividend."""
    zero, rest = nodes.number(0.0), nodes.add("Mod", a, b, fmod=1)
    signs = nodes.add("Xor", nodes.add("Less", rest, zero), nodes.add("Less", b, zero))
    other = nodes.add("And", signs, _not_equal(nodes, rest, zero))
    return nodes.add("Where", other, nodes.add("Add", rest, b), rest, name=name)


def _expm1(nodes: GraphBuilder, x: str, name: str = "") -> str:
    """``(u - 1) x / log(u)`` for ``u = exp(x)``, and what that tends to where it is no number."""
    one, zero = nodes.number(1.0), nodes.number(0.0)
    u = nodes.add("Exp", x)
    less, log = nodes.add("Sub", u, one), nodes.add("Log", u)
    exact = nodes.add("Div", nodes.add("Mul", less, x), log)
    # u is so large or so small that 1 is nothing beside it, or 0 or infinity.
    large = nodes.add("Greater", nodes.add("Abs", x), nodes.number(20.0))
    found = nodes.add("Where", large, less, exact)
    return nodes.add("Where", nodes.add("Equal", log, zero), x, found, name=name)


def _log1p(nodes: GraphBuilder, x: str, name: str = "") -> str:
    """``log(u) x / (u - 1)`` for ``u = 1 + x``, and what that tends to where it is no number."""
    one, zero = nodes.number(1.0), nodes.number(0.0)
    u = nodes.add("Add", x, one)
    less, log = nodes.add("Sub", u, one), nodes.add("Log", u)
    exact = nodes.add("Div", nodes.add("Mul", log, x), less)
    found = nodes.add("Where", nodes.add("Greater", x, nodes.number(1e9)), log, exact)
    return nodes.add("Where", nodes.add("Equal", less, zero), x, found, name=name)


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
