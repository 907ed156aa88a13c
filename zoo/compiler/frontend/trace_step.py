"""Trace the ``step`` of a cell with symbolic arrays into a graph with named inputs and outputs.

Its traceable values are the new states, the output, all values that the author of ``step`` named, and the
results and arguments of named functions (:mod:`zoo.compiler.frontend.value_names`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import zoo.compiler.frontend.numpy_functions  # noqa: F401 - the functions of NumPy that a step calls
from zoo.base import Cell
from zoo.base.component import bound_copy, fixed_options
from zoo.base.declarations import ArrayDeclaration
from zoo.base.size_expr import SizeExpr
from zoo.compiler.frontend.complex_numbers import Complex
from zoo.compiler.frontend.random_numbers import IS_RANDOM, random_location
from zoo.compiler.frontend.source_errors import (
    NOT_DETERMINISTIC,
    TraceError,
    definition_error,
    error_at,
    recorded_errors,
    step_location,
)
from zoo.compiler.frontend.step_results import unpack_outputs
from zoo.compiler.frontend.symbolic import SymbolBase, SymbolicArray, SymbolicLength, trace_into
from zoo.compiler.frontend.value_names import (
    NamedCall,
    NameRecorder,
    StepNamer,
    ValueNames,
    ValueNodes,
    record_names,
)
from zoo.compiler.ir.dims import Dim, as_dim, dim_of, letter
from zoo.compiler.ir.graph import Graph, Level, Node, Shape, ancestors, format_shape
from zoo.compiler.ir.op_table import Kind, Op
from zoo.compiler.ir.structural_ops import (
    ARRAY,
    BUFFER,
    CONSTANT,
    INPUT,
    PARAM,
    STATE,
    VARIABLE,
    X,
)
from zoo.errors import DefinitionError


@dataclass(frozen=True, eq=False, kw_only=True)  # values belong to one graph: equal ones are no substitute
class StepGraph:
    """The graph of one step.

    Args:
        cell: The cell.
        x: The input.
        params: Parameters by name.
        buffers: Buffers by name.
        states: States before the step by name.
        inputs: Auxiliary inputs by name.
        y: The output.
        new_states: States after the step by name.
        names: Names of the values that the author named.
        default_names: Names of new states, the output, and results and arguments of functions.
        calls: Results of functions of zoo and of ``@``, with the function and its operands.
        bindings: All values that a name of the author's was bound to, in order.
        memories: Results of the queries of states that kernels compute for all steps, by state
            (:mod:`zoo.compiler.passes.sequence_states`). ``new_states`` lacks these states.
        size_options: Options that are letters in the sizes, so that the graph is the same for all values.
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
    default_names: Mapping[Node, str]
    calls: Mapping[Node, NamedCall]
    bindings: Mapping[str, list[ValueNodes]]
    memories: Mapping[str, Node] = field(default_factory=dict)
    size_options: tuple[str, ...] = ()

    @property
    def outputs(self) -> list[Node]:
        """The output and the new states."""
        return [self.y, *self.new_states.values()]

    def value_names(self, gradients: Mapping[Node, str] | None = None) -> ValueNames:
        """The names of all values, with names of leaves and results of a backward pass."""
        leaves = {"x": self.x, **self.params, **self.buffers, **self.states, **self.inputs}
        return ValueNames(leaves, self.new_states, self.names, self.default_names, gradients or {})

    def map_nodes(self, new: Mapping[Node, Node]) -> StepGraph:
        """Replace nodes by others. Of two names of one node the first stays."""
        names, default_names = dict[Node, str](), dict[Node, str]()
        for mapped, old in ((names, self.names), (default_names, self.default_names)):
            for node, name in old.items():
                mapped.setdefault(new.get(node, node), name)
        after = {name: new[node] for name, node in self.new_states.items()}
        memories = {name: new[node] for name, node in self.memories.items()}
        return replace(
            self, y=new[self.y], new_states=after, names=names, default_names=default_names, memories=memories
        )


def trace_step(
    cell: Cell,
    *,
    allow_unused: bool = False,
    graph: Graph | None = None,
    size_options: tuple[str, ...] = (),
) -> StepGraph:
    """Trace the ``step`` of a cell.

    Without letters for options, ``step`` is called twice. A value that differs the second time, such as a
    random number, would become a constant of the kernels.

    Args:
        cell: The cell.
        allow_unused: Whether there may be parameters that the outputs do not depend on.
        graph: The graph to add to; by default a new one.
        size_options: Options that are letters in the sizes.

    Raises:
        DefinitionError: if ``step`` cannot be compiled or differs the second time.
    """
    graph = Graph() if graph is None else graph
    x = graph.node(X, attr="x", shape=(_x_dim(cell),), level=Level.SEQUENCE)
    values = fixed_options(cell.options, size_options)
    params = _leaves(cell, values, graph, PARAM, cell.params, Level.ONCE)
    buffers = _leaves(cell, values, graph, BUFFER, cell.buffers, Level.ONCE)
    states = _leaves(cell, values, graph, STATE, cell.states, Level.STEP)
    inputs = _leaves(cell, values, graph, INPUT, cell.inputs, Level.SEQUENCE)
    lengths = {name: SymbolicLength(graph, letter(name)) for name in size_options}
    bound = bound_copy(cell, lengths, _as_symbols(cell, {**params, **buffers}))
    arguments = (SymbolicArray(x), *_as_symbols(cell, {**states, **inputs}).values())
    arrays = dict(vars(bound))
    y, new_states, recorder = _call_step(bound, arguments, states)
    for name in (*params, *buffers):
        if vars(bound)[name] is not arrays[name]:
            kind = "parameter" if name in params else "buffer"
            problem = f"step assigns to {kind} {name!r}; use a local variable, `{name} = ...`"
            raise error_at(cell, step_location(cell), problem)
    if not size_options:  # a graph with letters is compared with the one with values
        with graph.closed():
            if _call_step(bound, arguments, states)[:2] != (y, new_states):
                raise error_at(cell, step_location(cell), NOT_DETERMINISTIC)
    calls, bindings = recorder.calls, recorder.bindings
    names, default_names = StepNamer(y, new_states, calls, bindings).node_names(recorder.names)
    step_graph = StepGraph(
        cell=cell,
        x=x,
        params=params,
        buffers=buffers,
        states=states,
        inputs=inputs,
        y=y,
        new_states=new_states,
        names=names,
        default_names=default_names,
        calls=calls,
        bindings=bindings,
        size_options=size_options,
    )
    if any(node.op == VARIABLE for node in ancestors(step_graph.outputs)):
        raise error_at(cell, step_location(cell), _VARIABLE_KEPT)
    if not allow_unused:
        _check_used(step_graph)
    _check_not_empty(step_graph)
    _check_discrete(step_graph, recorder.return_location or step_location(cell))
    return step_graph


def _x_dim(cell: Cell) -> Dim:
    dim = dim_of(SizeExpr(cell.x_size), {})
    assert dim is not None  # one letter
    return dim


def _leaves(
    cell: Cell,
    values: Mapping[str, Any],
    graph: Graph,
    op: Op,
    arrays: Mapping[str, ArrayDeclaration],
    level: Level,
) -> dict[str, Node]:
    return {
        name: graph.node(op, attr=name, shape=_stored_shape(cell, values, array), level=level)
        for name, array in arrays.items()
    }


def _stored_shape(cell: Cell, values: Mapping[str, Any], array: ArrayDeclaration) -> Shape:
    shape = [as_dim(2)] if array.complex else []
    for size in array.shape:
        dim = dim_of(size, values)
        if dim is None:
            raise DefinitionError(
                f"{cell.error_name()}: size {size.text!r} of {array.kind} {array.name!r} cannot be compiled "
                f"for every I and H; divide by a number or an option only."
            )
        shape.append(dim)
    return tuple(shape)


def _as_symbols(cell: Cell, nodes: Mapping[str, Node]) -> dict[str, SymbolBase]:
    """Symbolic arrays for ``step``: two stored planes are one complex array."""
    declared: dict[str, ArrayDeclaration] = {**cell.params, **cell.buffers, **cell.states, **cell.inputs}
    return {
        name: Complex(SymbolicArray(node)[0], SymbolicArray(node)[1])
        if declared[name].complex
        else SymbolicArray(node)
        for name, node in nodes.items()
    }


# Operations that return fractions of fractions, but for chance.
_KEEPS_INTEGERS = (
    "absolute",
    "add",
    "copy",
    "maximum",
    "minimum",
    "negative",
    "stop_gradient",
    "subtract",
    "where",
)

_VARIABLE_KEPT = (
    "step uses an array of a function that zoo.grad differentiates, which exists only inside that function; "
    "let it return one number, and compute other results outside of it"
)

_CAUGHT = "; remove the `try` in step, which catches this error"


def _call_step(
    bound: Any, arguments: tuple[SymbolBase, ...], before: Mapping[str, Node]
) -> tuple[Node, dict[str, Node], NameRecorder]:
    """Call ``step``: the output, the new states and the recorded names."""
    names = record_names(type(bound).step, bound.named_functions())
    graph = next(iter(before.values())).graph
    with names as recorder, recorded_errors() as errors, trace_into(graph):
        try:
            result = bound.step(*arguments)
        except Exception as error:
            _check_not_random(bound, recorder)
            cause = None if isinstance(error, TraceError) else error
            raise definition_error(error, bound) from cause
    _check_not_random(bound, recorder)
    if errors:
        raise definition_error(errors[0], bound, _CAUGHT) from None
    try:
        return *unpack_outputs(bound, before, result), recorder
    except TraceError as error:
        where = step_location(bound) if result is None else recorder.return_location or step_location(bound)
        raise error_at(bound, where, str(error)) from None


def _check_not_random(cell: Cell, recorder: NameRecorder) -> None:
    if (where := random_location([*recorder.frames.values()])) is not None:
        raise error_at(cell, where, IS_RANDOM) from None


def _check_used(step_graph: StepGraph) -> None:
    cell, used = step_graph.cell, set(ancestors(step_graph.outputs))
    for name, node in {**step_graph.params, **step_graph.buffers}.items():
        if node not in used:
            kind = "parameter" if name in step_graph.params else "buffer"
            raise error_at(
                cell,
                step_location(cell),
                f"nothing that step returns depends on {kind} {name!r}; use self.{name}, or remove its "
                f"declaration, in a subclass with {name} = None",
            )


def _check_not_empty(step_graph: StepGraph) -> None:
    for node in ancestors(step_graph.outputs):
        if _is_empty(node):
            problem = f"step has an array of shape {format_shape(node.shape)}, which is empty; leave it out"
            raise error_at(step_graph.cell, location_of(step_graph.cell, _is_empty), problem)


def _is_empty(node: Node) -> bool:
    return any(1 not in dim.signs() for dim in node.shape)


def _check_discrete(step_graph: StepGraph, where: str) -> None:
    for name, node in step_graph.new_states.items():
        if not step_graph.cell.states[name].discrete:
            continue
        if (reason := fraction_in(node, step_graph)) is not None:
            raise error_at(
                step_graph.cell,
                where,
                f"state {name!r} is declared with discrete=True, but its new value {reason}; round it with "
                f"np.floor, select integers with np.where, or remove discrete=True",
            )


def fraction_in(node: Node, step_graph: StepGraph) -> str | None:
    """The reason for which a value is certainly not an integer; None if it may be one.

    Inputs and buffers may hold integers, and a product with a fraction may be one.
    """
    op = node.op
    if op in (CONSTANT, ARRAY):
        numbers = [node.attr] if op == CONSTANT else node.attr
        fraction = next((each for each in numbers if not float(each).is_integer()), None)
        return None if fraction is None else f"contains {fraction:g}, which is not an integer"
    if op == PARAM or (op == STATE and not step_graph.cell.states[node.attr].discrete):
        return f"depends on {'parameter' if op == PARAM else 'state'} {node.attr!r}, which holds real numbers"
    if op.kind in (Kind.VIEW, Kind.CONCAT) or op in _KEEPS_INTEGERS:
        reasons = (fraction_in(each, step_graph) for each in node.inputs if not each.is_bool)
        return next((reason for reason in reasons if reason is not None), None)
    return None


class _CheckedGraph(Graph):
    """A graph that raises an error at the first node of a kind, so that the error has its source location."""

    def __init__(self, is_wrong: Callable[[Node], Any]) -> None:
        super().__init__()
        self._is_wrong = is_wrong

    def node(self, *args: Any, **kwargs: Any) -> Node:
        node = super().node(*args, **kwargs)
        if self._is_wrong(node):
            raise TraceError(_WRONG_NODE)
        return node


_WRONG_NODE = "wrong"


def location_of(cell: Cell, is_wrong: Callable[[Node], Any]) -> str:
    """The source location in ``step`` at which the first node of a kind is made."""
    try:
        trace_step(cell, allow_unused=True, graph=_CheckedGraph(is_wrong))
    except DefinitionError as error:
        before, end = f"{cell.error_name()}: ", f": {_WRONG_NODE}."
        if str(error).endswith(end):
            return str(error).removeprefix(before).removesuffix(end)
    except TraceError:  # a node of the leaves
        pass
    return step_location(cell)


@dataclass(frozen=True)
class TraceableValue:
    """A value of a step.

    Args:
        nodes: Its node; for complex numbers the nodes of the real and the imaginary part.
        function: The function that returned it, if it is one of ``NAMED_FUNCTIONS``.
        is_state: Whether it is a new state.
    """

    nodes: ValueNodes
    function: str = ""
    is_state: bool = False

    @property
    def shape(self) -> Shape:
        """The shape in one row; for complex numbers the shape of each part."""
        return self.nodes[0].shape

    @property
    def varies(self) -> bool:
        """Whether it may differ between steps. A new state may, even if it depends on parameters alone."""
        return self.is_state or any(node.level != Level.ONCE for node in self.nodes)


@functools.lru_cache(maxsize=1024)  # as plan_kernels, whose plans hold the graphs
def step_graph_of(cell: Cell) -> StepGraph:
    """Return the graph of a cell's step; it is traced once.

    Raises:
        DefinitionError: if the ``step`` cannot be traced.
    """
    return trace_step(cell)


def traceable_values(cell: Cell) -> dict[str, TraceableValue]:
    """Return the traceable values of a cell that has a ``step``, in the order of their computation.

    Raises:
        DefinitionError: if the ``step`` cannot be traced.
    """
    return _values_of_graph(step_graph_of(cell))


@functools.lru_cache(maxsize=256)  # by the graph, whose nodes the values are
def _values_of_graph(graph: StepGraph) -> dict[str, TraceableValue]:
    namer = StepNamer(graph.y, graph.new_states, graph.calls, graph.bindings)
    last = {name: max(node.index for node in nodes) for name, nodes in namer.nodes.items()}
    return {
        name: TraceableValue(namer.nodes[name], namer.function(name), name in graph.new_states)
        for name in sorted(namer.nodes, key=lambda name: last[name])
    }
