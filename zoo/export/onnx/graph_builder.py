"""Construction of ONNX graphs: nodes, names and constants; the onnx package is imported when it is needed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from zoo.errors import UsageError
from zoo.installation import install_hint

Array = np.ndarray[Any, Any]


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
            name: Preferred name of the output; by default that of the operation.
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
        self.constants.append(onnx_package().numpy_helper.from_array(np.ascontiguousarray(value), name))
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
