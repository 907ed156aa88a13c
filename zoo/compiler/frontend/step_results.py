"""Results of ``step``: the output and the new states, with the shapes that the class declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.base import Cell, Output
from zoo.base.declarations import State
from zoo.compiler.frontend.complex_numbers import Complex, parts_of
from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import SymbolBase, as_node, describe
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.graph import Graph, Node, Shape, format_shape


def unpack_outputs(cell: Cell, before: Mapping[str, Node], result: Any) -> tuple[Node, dict[str, Node]]:
    """Return the nodes of the output and of the new states.

    Raises:
        TraceError: if their number or shapes are not those that the class declares.
    """
    new = {
        name: _new_state(cell.states[name], before[name], value)
        for name, value in zip(cell.states, _new_states(cell, result), strict=True)
    }
    if isinstance(result, Output):
        return _output(result.y, next(iter(before.values())).graph), new
    first = next(iter(cell.states.values()))
    if len(first.shape) != 1 or first.complex:
        raise TraceError(
            f"the first state {first.name!r} would be the output, and it is no real vector but {first!r}"
            f"{' of complex numbers' if first.complex else ''}; return "
            f"zoo.Output(y, {', '.join(cell.states)})"
        )
    return new[first.name], new


def _new_states(cell: Cell, result: Any) -> tuple[Any, ...]:
    states = (
        result.states if isinstance(result, Output) else result if isinstance(result, tuple) else (result,)
    )
    if len(states) == len(cell.states) and not isinstance(result, list | None):
        return states
    names = ", ".join(cell.states)
    has_one_more = isinstance(result, tuple) and len(result) == len(cell.states) + 1
    expected = f"zoo.Output(y, {names})" if isinstance(result, Output) or has_one_more else names
    kind = "values" if isinstance(result, tuple) else "new states"
    returned = f"{len(states)} {kind}" if isinstance(result, tuple | Output) else describe(result)
    order = "an output and then the new states" if has_one_more else "the new states"
    raise TraceError(
        f"step returns {returned}; expected `return {expected}`, {order} in the order of declaration"
    )


def _new_state(declared: State, before: Node, value: Any) -> Node:
    """The stored form of a new state."""
    graph, shape = before.graph, before.shape
    if not declared.complex:
        if isinstance(value, Complex):
            raise TraceError(
                f"step returns complex numbers for state {declared.name!r}; declare it with complex=True, or "
                "return their real part"
            )
        return _check_shape(declared, graph.as_number(_returned_node(value, declared, graph)), shape)
    if not isinstance(value, Complex):
        _returned_node(value, declared, graph)
    planes = (_check_shape(declared, part.node, shape[1:]) for part in parts_of(value, graph))
    return ops.concatenate([ops.reshape(plane, (ONE, *shape[1:])) for plane in planes], 0)


def _returned_node(value: Any, declared: State, graph: Graph) -> Node:
    try:
        return as_node(value, graph)
    except TraceError:
        raise TraceError(
            f"step returns {describe(value)} as state {declared.name!r}; expected an array"
        ) from None


def _check_shape(declared: State, node: Node, shape: Shape) -> Node:
    if node.shape != shape:
        raise TraceError(
            f"step returns state {declared.name!r} with shape {format_shape(node.shape)}; expected "
            f"{format_shape(shape)}, as "
            "it is declared"
        )
    return node


def _output(y: Any, graph: Graph) -> Node:
    if isinstance(y, SymbolBase) and not isinstance(y, Complex) and y.ndim == 1:
        return graph.as_number(as_node(y, graph))
    description = (
        f"{'complex numbers of' if isinstance(y, Complex) else 'an array of'} shape {format_shape(y.dims)}"
        if isinstance(y, SymbolBase)
        else describe(y)
    )
    raise TraceError(f"the output of step is {description}; expected a real vector")
