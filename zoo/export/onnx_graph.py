"""Construction of ONNX graphs: nodes, names, constants, and operations composed of several operators.

The onnx package is imported when it is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from zoo.array_types import Array
from zoo.compiler.ir.op_table import Op
from zoo.errors import UsageError
from zoo.installation import install_hint


def require_onnx() -> None:
    """Check that the package onnx is installed.

    Raises:
        UsageError: if it is not.
    """
    if importlib.util.find_spec("onnx") is None:
        raise UsageError(f"export: ONNX needs the package onnx; {install_hint('onnx')} brings it.")


@cache
def onnx_package() -> Any:
    """The package onnx with its submodules checker, helper and numpy_helper."""
    for name in ("checker", "helper", "numpy_helper"):
        importlib.import_module(f"onnx.{name}")
    return importlib.import_module("onnx")


class GraphBuilder:
    """The nodes of one graph, in order; its subgraphs share its names and constants.

    Args:
        dtype: Data type of the model.
        outer: The graph that contains this one.

    Attributes:
        nodes: The nodes.
        constants: Constant tensors of the outermost graph.
    """

    def __init__(self, dtype: np.dtype[Any], outer: GraphBuilder | None = None) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = [] if outer is None else outer.constants
        self._taken: set[str] = set() if outer is None else outer._taken
        self._names_by_key: dict[Any, str] = {} if outer is None else outer._names_by_key

    def inner(self) -> GraphBuilder:
        """A subgraph."""
        return GraphBuilder(self.dtype, self)

    def fresh(self, preferred: str) -> str:
        """The preferred name, or the first numbered one that is free."""
        name, number = preferred, 2
        while name in self._taken:
            name, number = f"{preferred}_{number}", number + 1
        self._taken.add(name)
        return name

    def add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Write a node with one output.

        Args:
            op: ONNX's name of the operation.
            *inputs: Names of tensors; an empty name is an omitted input.
            name: Preferred name of the output; by default the name of the operation.
            **attributes: Attributes of the node.

        Returns:
            The name of the output.
        """
        return self.add_many(op, inputs, [name or op.lower()], attributes)[0]

    def add_many(
        self, op: str, inputs: Sequence[str], preferred: Sequence[str], attributes: Mapping[str, Any]
    ) -> list[str]:
        """Write a node with several outputs; their names."""
        names = [self.fresh(name) for name in preferred]
        self.nodes.append(onnx_package().helper.make_node(op, inputs, names, name=names[0], **attributes))
        return names

    def constant(self, value: Array, name: str) -> str:
        """Add a constant tensor; its name."""
        name = self.fresh(name)
        self.constants.append(onnx_package().numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def number(self, value: float) -> str:
        """A number of the model's dtype; equal numbers share a constant."""
        return self._shared(("number", repr(value)), np.array(value, self.dtype), f"number_{value:g}")

    def integers(self, *values: int) -> str:
        """A vector of integers, for shapes and axes; equal vectors share a constant."""
        preferred = "integers_" + "_".join(map(str, values)) if len(values) < 8 else "integers"
        return self._shared(("integers", values), np.array(values, np.int64), preferred)

    def integer(self, value: int) -> str:
        """One integer; equal integers share a constant."""
        return self._shared(("integer", value), np.array(value, np.int64), f"integer_{value}")

    def _shared(self, key: Any, value: Array, preferred: str) -> str:
        if key not in self._names_by_key:
            self._names_by_key[key] = self.constant(value, preferred)
        return self._names_by_key[key]


OperationEmitter: TypeAlias = Callable[..., str]


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


# Operations without an ONNX operator are composed so that they are as exact as the dtype allows: exp(x) - 1
# as W. Kahan does (quoted in https://hpmuseum.org/forum/showthread.php?tid=5508), and log(1 + x) likewise. A
# quotient in which the rounding error of exp(x) or 1 + x occurs twice cancels it.


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


COMPOSED: Mapping[str, OperationEmitter] = {
    "exp_diff": _exp_diff,
    "expm1": _expm1,
    "log1p": _log1p,
    "not_equal": _not_equal,
    "remainder": _remainder,
}
"""The element-wise operations without an operator in the table of operations. Each takes the graph and the
names of its operands, and returns the name of its output."""


def emit_elementwise(builder: GraphBuilder, op: Op, *operands: str, name: str = "") -> str:
    """Add the nodes of an element-wise operation; the name of its output."""
    compose = COMPOSED.get(op)
    return compose(builder, *operands, name=name) if compose else builder.add(op.onnx, *operands, name=name)
