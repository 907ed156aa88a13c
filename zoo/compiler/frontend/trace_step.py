"""Whether the shapes of a step come out for given sizes, as was taken for granted for every I and H.

What ``step`` returned, as nodes: an output and new states, of the number and shapes that are declared.

Reading a cell: its ``step``, called with symbolic arrays, as a graph with named inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import zoo.compiler.frontend.numpy_functions  # noqa: F401 - the functions of NumPy that a step calls
from zoo.base import Cell, Output
from zoo.base.declarations import Array, State
from zoo.compiler.frontend.complex_numbers import Complex, parts_of
from zoo.compiler.frontend.source_errors import (
    NOT_DETERMINISTIC,
    TraceError,
    definition_error,
    error_at,
    step_location,
)
from zoo.compiler.frontend.symbolic import SymbolBase, SymbolicArray, as_node
from zoo.compiler.frontend.symbolic_length import describe
from zoo.compiler.frontend.value_names import NamedCall, NameRecorder, ValueNodes, record_names
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import Dim, as_dim, dim_of, letter
from zoo.compiler.ir.elementwise_ops import OPERATIONS
from zoo.compiler.ir.graph import Graph, Level, Node, Shape, ancestors, format_shape
from zoo.compiler.ir.structural_ops import ONE
from zoo.errors import DefinitionError, UsageError


def check_shapes(equations: StepGraph, input_size: int, hidden_size: int) -> None:
    """Refuse sizes for which some array of a step would be empty, broken, or cut where it has no numbers.

    Kernels check nothing: beyond an array they would read whatever lies there.

    Raises:
        UsageError: naming the cell, the array and the sizes.
    """
    env = {"I": input_size, "H": hidden_size}
    for what, dim, least in _shape_conditions(equations):
        value = dim.evaluate(env)
        if value < least or value.denominator != 1:
            raise UsageError(
                f"{equations.cell.label()}: {what}, which does not come out for I={input_size}, "
                f"H={hidden_size}; choose other sizes."
            )


def _shape_conditions(equations: StepGraph) -> Iterator[tuple[str, Dim, int]]:
    """What must be a whole number, and at least so large."""
    for node in ancestors(equations.outputs):
        for dim in node.shape:
            yield f"step has an array of shape {format_shape(node.shape)}", dim, 0
        if node.op == "slice":
            axis, start, stop = node.attr
            whole = node.inputs[0].shape[axis]
            what = f"step cuts from {start} to {stop} of an axis of length {whole}"
            yield what, start, 0
            yield what, whole - stop, 0
        if node.op == "stride":
            axis, start, step, length = node.attr
            whole = node.inputs[0].shape[axis]
            for place in (start, start + step * (length - ONE)):
                what = f"step takes entry {place} of an axis of length {whole}"
                yield what, place, 0
                yield what, whole - place, 1


def unpack_outputs(cell: Cell, before: Mapping[str, Node], result: Any) -> tuple[Node, dict[str, Node]]:
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
    found = f"{len(states)} new states" if isinstance(result, tuple | Output) else describe(result)
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
        return _check_shape(declared, graph.as_number(_returned_node(value, declared, graph)), shape)
    if not isinstance(value, Complex):
        _returned_node(value, declared, graph)
    planes = (_check_shape(declared, part.node, shape[1:]) for part in parts_of(value, graph))
    return ops.concatenate([ops.reshape(plane, (ops.ONE, *shape[1:])) for plane in planes], 0)


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
    found = (
        f"{'complex numbers of' if isinstance(y, Complex) else 'an array of'} shape {format_shape(y.dims)}"
        if isinstance(y, SymbolBase)
        else describe(y)
    )
    raise TraceError(f"the output of step is {found}; expected a real vector")


@dataclass(frozen=True)
class StepGraph:
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
    new_states: Mapping[str, Node]
    names: Mapping[Node, str]
    calls: Mapping[Node, NamedCall]
    bound: Mapping[str, list[ValueNodes]]

    @property
    def outputs(self) -> list[Node]:
        """Everything that a step makes."""
        return [self.y, *self.new_states.values()]

    def map_nodes(self, new: Mapping[Node, Node]) -> StepGraph:
        """The same equations on the nodes that take the place of others; of two names the first stays."""
        names: dict[Node, str] = {}
        for node, name in self.names.items():
            names.setdefault(new.get(node, node), name)
        after = {name: new[node] for name, node in self.new_states.items()}
        return replace(self, y=new[self.y], new_states=after, names=names)


def trace_step(cell: Cell) -> StepGraph:
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
    bound = cell.with_arrays(_as_symbols(cell, {**params, **buffers}))
    arguments = (SymbolicArray(x), *_as_symbols(cell, {**states, **inputs}).values())
    y, after, seen = _call_step(bound, arguments, states)
    with graph.closed():
        if _call_step(bound, arguments, states)[:2] != (y, after):
            raise error_at(cell, step_location(cell), NOT_DETERMINISTIC)
    equations = StepGraph(
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
                f"{cell.error_name()}: size {size.text!r} of {array.kind} {array.name!r} cannot be compiled "
                f"for every I and H; divide by a number or an option only."
            )
        shape.append(dim)
    return tuple(shape)


def _as_symbols(cell: Cell, nodes: Mapping[str, Node]) -> dict[str, SymbolBase]:
    """Arrays as ``step`` sees them: two stored planes are one complex array."""
    declared: dict[str, Array] = {**cell.params, **cell.buffers, **cell.states, **cell.inputs}
    return {
        name: Complex(SymbolicArray(node)[0], SymbolicArray(node)[1])
        if declared[name].complex
        else SymbolicArray(node)
        for name, node in nodes.items()
    }


def _call_step(
    bound: Any, arguments: tuple[SymbolBase, ...], before: Mapping[str, Node]
) -> tuple[Node, dict[str, Node], NameRecorder]:
    """Call ``step``: the output, the new states, and what was seen of it."""
    with record_names(type(bound).step, *bound.named_functions()) as seen:
        try:
            result = bound.step(*arguments)
        except Exception as error:
            cause = None if isinstance(error, TraceError) else error
            raise definition_error(error, bound) from cause
    try:
        return *unpack_outputs(bound, before, result), seen
    except TraceError as error:
        where = step_location(bound) if result is None else seen.return_location or step_location(bound)
        raise error_at(bound, where, str(error)) from None


def _check_used(equations: StepGraph) -> None:
    cell, used = equations.cell, set(ancestors(equations.outputs))
    for name, node in {**equations.params, **equations.buffers}.items():
        if node not in used:
            kind = "parameter" if name in equations.params else "buffer"
            raise error_at(
                cell,
                step_location(cell),
                f"nothing that step returns depends on {kind} {name!r}; use self.{name}, or remove its "
                "declaration",
            )


def _check_not_empty(equations: StepGraph) -> None:
    for node in ancestors(equations.outputs):
        if any(1 not in dim.signs() for dim in node.shape):
            found = f"step has an array of shape {format_shape(node.shape)}, which is empty; leave it out"
            raise error_at(equations.cell, step_location(equations.cell), found)
