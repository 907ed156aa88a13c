"""A cell and a modifier put together: what the two declare, and the step that they make."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.base import Cell, Modifier, Output, Param
from zoo.base.cell_editor import Now, Parts, Stepped
from zoo.compiler.frontend.complex_numbers import Complex
from zoo.compiler.frontend.matmul_hook import Handler, matmul_hook
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.ir.dims import as_dim, dim_of
from zoo.compiler.ir.graph import Graph, Level, Node, ancestors
from zoo.compiler.ir.structural_ops import VIEWS
from zoo.errors import UsageError
from zoo.layers.initializers import start_of
from zoo.modifiers.input_state_sums import find_sums
from zoo.modifiers.matmuls import STAND_IN, Found, find_products, parameter_product, texts


@dataclass(frozen=True)
class Built:
    """A cell, a modifier, and what they declare together.

    Args:
        cell: The cell, with its options chosen.
        modifier: The modifier, with its options chosen.
        parts: What the modified cell has.
    """

    cell: Cell
    modifier: Modifier
    parts: Parts

    def step(self, arrays: Mapping[str, Any], x: Any, states: Mapping[str, Any]) -> Any:
        """One step on symbolic arrays.

        Args:
            arrays: Parameters, buffers and inputs beside x by name.
            x: The input.
            states: States before the step by name.
        """
        now = Now(arrays, self.parts)

        def run(x: Any, states: Mapping[str, Any], others: Mapping[str, Any] | None = None) -> Stepped:
            return self._inner(now, x, states, arrays if others is None else others)

        found = self.modifier.step(now, run, x, states)
        after = tuple(found.states[name] for name in self.parts.states)
        return after if found.y is None else Output(found.y, *after)

    def _inner(self, now: Now, x: Any, states: Mapping[str, Any], arrays: Mapping[str, Any]) -> Stepped:
        """A step of the cell, whose products the modifier answers for."""
        cell = self.cell
        known = {name: arrays[name] for name in (*cell.params, *cell.buffers) if name in arrays}
        missing = {
            name: _stand_in(cell, param, x.graph) for name, param in cell.params.items() if name not in known
        }
        before = [states[name] for name in cell.states]
        with matmul_hook(self._answering(now)):
            result = cell.bound({**known, **missing}).step(
                x, *before, *(arrays[name] for name in cell.inputs)
            )
        return _stepped(cell, result)

    def _answering(self, now: Now) -> Handler:
        """What answers for the products of one step, which come in the order in which they were found."""
        products = iter(self.parts.products)

        def answer(a: Any, b: Any) -> Any:
            found = parameter_product(a, b)
            if found is None:
                return a @ b
            return self.modifier.product(now, next(products), *found[:2])

        return answer


@functools.lru_cache(maxsize=256)
def build(cell: Cell, modifier: Modifier) -> Built:
    """Put a cell and a modifier together.

    Raises:
        UsageError: if the modifier makes no sense for the cell.
        DefinitionError: if the equations of the cell cannot be read.
    """
    if not cell.has_step():
        raise UsageError(
            f"modifier {modifier.name!r} does not suit {cell.label()}: it brings its kernels and states no "
            f"step; a modifier works on the equations."
        )
    equations, found = find_products(cell)
    parts = Parts(
        cell,
        modifier.name,
        dict(cell.params),
        dict(cell.buffers),
        dict(cell.states),
        dict(cell.inputs),
        tuple(each.product for each in found),
        find_sums(equations, found),
        texts(equations.y.shape)[0],
        _loose(equations.outputs, found),
        start_of,
    )
    modifier.declare(parts)
    return Built(cell, modifier, parts)


def _loose(outputs: Any, products: list[Found]) -> frozenset[str]:
    """Parameters that are used otherwise than as, or as one of a stack of, the matrices of products."""
    whole = [each for each in products if each.product.param]
    ends = {_base(node) for each in whole for node in each.result}
    begins = [*outputs, *(node for each in whole for node in each.operand)]
    reached = ancestors(begins, stop=lambda node: node in ends)
    return frozenset(node.attr for node in reached if node.op == "param")


def _base(node: Node) -> Node:
    """What holds the numbers of a view: a view of a view is one of it."""
    while node.op in VIEWS:
        node = node.inputs[0]
    return node


def _stand_in(cell: Cell, param: Param, graph: Graph) -> Any:
    """Something with the shape of a parameter that is no more."""
    dims = tuple(dim_of(size, cell.options) for size in param.shape)
    planes = (as_dim(2),) if param.complex else ()
    node = graph.node(STAND_IN, attr=param.name, shape=(*planes, *dims), level=Level.ONCE)  # type: ignore[arg-type]
    return Complex(SymbolicArray(node)[0], SymbolicArray(node)[1]) if param.complex else SymbolicArray(node)


def _stepped(cell: Cell, result: Any) -> Stepped:
    """What the step of a cell returned, by name."""
    if isinstance(result, Output):
        return Stepped(result.y, dict(zip(cell.states, result.states, strict=True)))
    states = result if isinstance(result, tuple) else (result,)
    return Stepped(None, dict(zip(cell.states, states, strict=True)))
