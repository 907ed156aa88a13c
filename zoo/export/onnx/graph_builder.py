"""The onnx package, imported when something is exported and not before.

An ONNX graph while it is written: nodes, names, and the constants of the model.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from zoo.errors import UsageError


def require_onnx() -> None:
    """Refuse to begin without it.

    Raises:
        UsageError: if it is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("export: ONNX needs the package onnx; pip install 'recurrent-zoo[onnx]' brings it.")


@cache
def onnx_package() -> Any:
    """The package, with its checker, helper and conversions of arrays."""
    for room in ("checker", "helper", "numpy_helper"):
        importlib.import_module(f"onnx.{room}")
    return importlib.import_module("onnx")


Array = np.ndarray[Any, Any]


class GraphBuilder:
    """The nodes of one graph, in order; graphs within it share its names and its constants.

    Args:
        dtype: Of all numbers.
        outer: The graph that this one is the body of.

    Attributes:
        found: The nodes.
        constants: Tensors that never change, of the outermost graph.
    """

    def __init__(self, dtype: np.dtype[Any], outer: GraphBuilder | None = None) -> None:
        self.dtype = dtype
        self.found: list[Any] = []
        self.constants: list[Any] = [] if outer is None else outer.constants
        self._taken: set[str] = set() if outer is None else outer._taken
        self._known: dict[Any, str] = {} if outer is None else outer._known

    def inner(self) -> GraphBuilder:
        """A graph within this one."""
        return GraphBuilder(self.dtype, self)

    def fresh(self, wish: str) -> str:
        """The name wished for, or the nearest one that is free."""
        name, number = wish, 2
        while name in self._taken:
            name, number = f"{wish}_{number}", number + 1
        self._taken.add(name)
        return name

    def add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Write a node of one output; its name.

        Args:
            op: ONNX's name of the operation.
            *inputs: Names of tensors; an empty one is an input left out.
            name: What the output is to be called; after the operation if nothing is said.
            **attributes: Of the node.
        """
        return self.add_many(op, inputs, [name or op.lower()], attributes)[0]

    def add_many(
        self, op: str, inputs: Sequence[str], wishes: Sequence[str], attributes: Mapping[str, Any]
    ) -> list[str]:
        """Write a node of several outputs; their names."""
        names = [self.fresh(wish) for wish in wishes]
        self.found.append(onnx_package().helper.make_node(op, inputs, names, name=names[0], **attributes))
        return names

    def constant(self, value: Array, name: str) -> str:
        """A tensor that never changes."""
        name = self.fresh(name)
        self.constants.append(onnx_package().numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, value: float) -> str:
        """A number of the graph's dtype, each once."""
        return self._once(("number", repr(value)), np.array(value, self.dtype), f"number_{value:g}")

    def integers(self, *values: int) -> str:
        """A vector of integers, for shapes and axes, each once."""
        wish = "integers_" + "_".join(map(str, values)) if len(values) < 8 else "integers"
        return self._once(("integers", values), np.array(values, np.int64), wish)

    def integer(self, value: int) -> str:
        """One integer, each once."""
        return self._once(("integer", value), np.array(value, np.int64), f"integer_{value}")

    def _once(self, key: Any, value: Array, wish: str) -> str:
        if key not in self._known:
            self._known[key] = self.constant(value, wish)
        return self._known[key]
