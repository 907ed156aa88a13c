"""What ``step`` returned, as nodes: an output and new states, of the number and shapes that are declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.compiler import structure
from zoo.compiler.blame import TraceError
from zoo.compiler.complex_numbers import Complex, parts_of
from zoo.compiler.extents import kind_of
from zoo.compiler.graph import Graph, Node, Shape, text
from zoo.compiler.operands import as_node
from zoo.compiler.tracing import Symbol
from zoo.contracts import Cell, Output
from zoo.contracts.declarations import State


def results(cell: Cell, before: Mapping[str, Node], result: Any) -> tuple[Node, dict[str, Node]]:
    """The output and the new states.

    Raises:
        TraceError: if they are not what the class declares.
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
    expected = f"zoo.Output(y, {names})" if isinstance(result, Output) else names
    found = f"{len(states)} new states" if isinstance(result, tuple | Output) else kind_of(result)
    raise TraceError(
        f"step returns {found}; expected `return {expected}`, the new states in the order of declaration"
    )


def _new_state(declared: State, before: Node, value: Any) -> Node:
    """A new state as it is stored."""
    graph, shape = before.graph, before.shape
    if not declared.complex:
        if isinstance(value, Complex):
            raise TraceError(
                f"step returns complex numbers for state {declared.name!r}; declare it with complex=True, or "
                "return their real part"
            )
        return _fitting(declared, graph.number(_returned(value, declared, graph)), shape)
    if not isinstance(value, Complex):
        _returned(value, declared, graph)
    planes = (_fitting(declared, part.node, shape[1:]) for part in parts_of(value, graph))
    return structure.concatenate(
        [structure.reshape(plane, (structure.ONE, *shape[1:])) for plane in planes], 0
    )


def _returned(value: Any, declared: State, graph: Graph) -> Node:
    try:
        return as_node(value, graph)
    except TraceError:
        raise TraceError(
            f"step returns {kind_of(value)} as state {declared.name!r}; expected an array"
        ) from None


def _fitting(declared: State, node: Node, shape: Shape) -> Node:
    if node.shape != shape:
        raise TraceError(
            f"step returns state {declared.name!r} with shape {text(node.shape)}; expected {text(shape)}, as "
            "it is declared"
        )
    return node


def _output(y: Any, graph: Graph) -> Node:
    if isinstance(y, Symbol) and not isinstance(y, Complex) and y.ndim == 1:
        return graph.number(as_node(y, graph))
    found = (
        f"{'complex numbers of' if isinstance(y, Complex) else 'an array of'} shape {text(y.dims)}"
        if isinstance(y, Symbol)
        else kind_of(y)
    )
    raise TraceError(f"the output of step is {found}; expected a real vector")
