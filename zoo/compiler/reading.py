"""Reading a cell: its ``step``, called with symbolic arrays, as a graph with named inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.compiler.blame import CHANGED, TraceError, blamed, definition, sentence
from zoo.compiler.complex_numbers import Complex
from zoo.compiler.dims import as_dim, dim_of, letter
from zoo.compiler.graph import Graph, Level, Node, Shape, ancestors, text
from zoo.compiler.naming import Call, Parts, Seen, watched
from zoo.compiler.operations import OPERATIONS
from zoo.compiler.returned import results
from zoo.compiler.tracing import Symbol, Traced
from zoo.contracts import Cell
from zoo.contracts.declarations import Array
from zoo.errors import DefinitionError


@dataclass(frozen=True)
class Equations:
    """The equations of one step.

    Args:
        cell: Whose they are.
        x: The input.
        params: Parameters by name.
        buffers: Buffers by name.
        states: States before the step by name.
        inputs: Inputs beside x by name.
        y: The output.
        after: States after the step by name.
        names: What the author called the values.
        calls: Values that a function of zoo or ``@`` made, as ``step`` was first read.
        bound: Every value that a name of the author's stood for, in order.
    """

    cell: Cell
    x: Node
    params: Mapping[str, Node]
    buffers: Mapping[str, Node]
    states: Mapping[str, Node]
    inputs: Mapping[str, Node]
    y: Node
    after: Mapping[str, Node]
    names: Mapping[Node, str]
    calls: Mapping[Node, Call]
    bound: Mapping[str, list[Parts]]

    @property
    def outputs(self) -> list[Node]:
        """Everything that a step makes."""
        return [self.y, *self.after.values()]


def read(cell: Cell) -> Equations:
    """The equations of a cell.

    ``step`` is called twice: what differs the second time, such as a random number, is nothing that the class
    says but what happened to be, and would be compiled in for good.

    Raises:
        DefinitionError: if what ``step`` does cannot be compiled, with the line and what to write instead.
    """
    graph = Graph(OPERATIONS)
    x = graph.node("x", attr="x", shape=(letter("I"),), level=Level.SEQUENCE)
    params = _leaves(cell, graph, "param", cell.params, Level.ONCE)
    buffers = _leaves(cell, graph, "buffer", cell.buffers, Level.ONCE)
    states = _leaves(cell, graph, "state", cell.states, Level.STEP)
    inputs = _leaves(cell, graph, "input", cell.inputs, Level.SEQUENCE)
    bound = cell.bound(_as_seen(cell, {**params, **buffers}))
    arguments = (Traced(x), *_as_seen(cell, {**states, **inputs}).values())
    y, after, seen = _run(bound, arguments, states)
    with graph.closed():
        if _run(bound, arguments, states)[:2] != (y, after):
            raise sentence(cell, definition(cell), CHANGED)
    equations = Equations(
        cell, x, params, buffers, states, inputs, y, after, seen.names, seen.calls, seen.bound
    )
    _check_used(equations)
    _check_not_empty(equations)
    return equations


def _leaves(
    cell: Cell, graph: Graph, kind: str, arrays: Mapping[str, Array], level: Level
) -> dict[str, Node]:
    return {
        name: graph.node(kind, attr=name, shape=_stored_shape(cell, array), level=level)
        for name, array in arrays.items()
    }


def _stored_shape(cell: Cell, array: Array) -> Shape:
    shape = [as_dim(2)] if array.complex else []
    for size in array.shape:
        dim = dim_of(size, cell.options)
        if dim is None:
            raise DefinitionError(
                f"{cell.who()}: size {size.text!r} of {array.kind} {array.name!r} cannot be compiled for "
                f"every I and H; divide by a number or an option only."
            )
        shape.append(dim)
    return tuple(shape)


def _as_seen(cell: Cell, nodes: Mapping[str, Node]) -> dict[str, Symbol]:
    """Arrays as ``step`` sees them: two stored planes are one complex array."""
    declared: dict[str, Array] = {**cell.params, **cell.buffers, **cell.states, **cell.inputs}
    return {
        name: Complex(Traced(node)[0], Traced(node)[1]) if declared[name].complex else Traced(node)
        for name, node in nodes.items()
    }


def _run(
    bound: Any, arguments: tuple[Symbol, ...], before: Mapping[str, Node]
) -> tuple[Node, dict[str, Node], Seen]:
    """Call ``step``: the output, the new states, and what was seen of it."""
    with watched(type(bound).step, *bound.inner_steps()) as seen:
        try:
            result = bound.step(*arguments)
        except Exception as error:
            cause = None if isinstance(error, TraceError) else error
            raise blamed(error, bound) from cause
    try:
        return *results(bound, before, result), seen
    except TraceError as error:
        where = definition(bound) if result is None else seen.returned or definition(bound)
        raise sentence(bound, where, str(error)) from None


def _check_used(equations: Equations) -> None:
    cell, used = equations.cell, set(ancestors(equations.outputs))
    for name, node in {**equations.params, **equations.buffers}.items():
        if node not in used:
            kind = "parameter" if name in equations.params else "buffer"
            raise sentence(
                cell,
                definition(cell),
                f"nothing that step returns depends on {kind} {name!r}; use self.{name}, or remove its "
                "declaration",
            )


def _check_not_empty(equations: Equations) -> None:
    for node in ancestors(equations.outputs):
        if any(1 not in dim.signs() for dim in node.shape):
            found = f"step has an array of shape {text(node.shape)}, which is empty; leave it out"
            raise sentence(equations.cell, definition(equations.cell), found)
