"""NumPy interpreter of graphs: for one sequence, many sequences, or all steps.

Traces, linearisation and modifiers compute values with it that kernels do not return. The reference
implementation is another: :mod:`zoo.testing.reference` runs ``step`` without a graph.

A value of one row has the shape of its node. The same value for many rows, or for every step and row, has
these leading axes too; a value of parameters alone has none. Axes therefore count from the back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from zoo.array_types import Array
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.dims import Sizes, concrete_shape
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.errors import UsageError

NumpyFunction: TypeAlias = Callable[..., Any]

# Largest array of a scan in elements: the next operation finds it in the processor's cache.
MAX_ELEMENTS = 2**18


def numpy_impl(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    """The NumPy function from the values of a node's inputs to its own.

    Args:
        node: Any node but a leaf that the caller provides: a parameter, state, input or gradient.
        sizes: ``I`` and ``H``.
        dtype: Data type of constants.
    """
    op = node.op
    function: NumpyFunction = op.numpy if op.numpy_for is None else op.numpy_for(node, sizes, dtype)
    return function


class GraphInterpreter:
    """Evaluates graphs with the parameters of one layer.

    Args:
        shared: Parameters and buffers as they are stored.
        sizes: ``I`` and ``H``.
        dtype: Data type of constants.
    """

    def __init__(self, shared: Mapping[Node, Array], sizes: Sizes, dtype: np.dtype[Any]) -> None:
        self.sizes, self.dtype = sizes, dtype
        self._shared: dict[Node, Any] = dict(shared)

    def fold(self, outputs: Iterable[Node]) -> dict[Node, Any]:
        """Evaluate the ancestors of some values that depend on parameters alone."""
        shared, _ = self._split(outputs, ())
        return {node: self._shared[node] for node in shared}

    def prepare(self, outputs: Sequence[Node], known: Iterable[Node]) -> PreparedExpression:
        """Prepare the evaluation of some values; those that depend on parameters alone are evaluated now.

        Args:
            outputs: The values.
            known: The values that each call provides.
        """
        _, nodes = self._split(outputs, known)
        read = {*outputs, *(operand for node in nodes for operand in node.inputs)}
        shared = {node: self._shared[node] for node in read if node in self._shared}
        return PreparedExpression(outputs, self._instructions(nodes, outputs), shared)

    def scan(
        self,
        outputs: Sequence[Node],
        known: Sequence[Node],
        carry: Mapping[Node, Node],
        reverse: bool = False,
    ) -> PreparedScan:
        """Prepare the evaluation of some values at every step of a sequence.

        Args:
            outputs: The values.
            known: The leaves whose values at all steps each call provides.
            carry: The leaves that a loop computes, and the value of each at the next step of the loop.
            reverse: Whether the loop runs from the last step to the first.
        """
        return PreparedScan(self, outputs, known, carry, reverse)

    def elements(self, node: Node) -> int:
        """The number of elements of a value in one row."""
        return int(np.prod(concrete_shape(node.shape, self.sizes), dtype=np.int64))

    def _split(self, outputs: Iterable[Node], known: Iterable[Node]) -> tuple[list[Node], list[Node]]:
        """The ancestors that depend on parameters alone, evaluated now, and those that each call computes."""
        known = set(known)
        row_values = set(known)
        shared: list[Node] = []
        computed: list[Node] = []
        for node in ancestors(outputs, stop=lambda node: node in known):
            if node in known:
                continue
            if node in self._shared or (row_values.isdisjoint(node.inputs) and _is_constant(node)):
                shared.append(node)
            else:
                row_values.add(node)
                computed.append(node)
        new = [node for node in shared if node not in self._shared]
        _evaluate(self._instructions(new, new), self._shared)
        return shared, computed

    def _instructions(self, nodes: list[Node], outputs: Iterable[Node]) -> list[Instruction]:
        """Instructions in order; each frees the values that it reads last."""
        temporary, last = set(nodes) - set(outputs), dict[Node, int]()
        for index, node in enumerate(nodes):
            last.update({operand: index for operand in node.inputs if operand in temporary})
        unused: list[list[Node]] = [[] for _ in nodes]
        for node, index in last.items():
            unused[index].append(node)
        functions = (numpy_impl(node, self.sizes, self.dtype) for node in nodes)
        return [
            (node, function, node.inputs, freed)
            for node, function, freed in zip(nodes, functions, unused, strict=True)
        ]


# A node, its function, its operands, and the values that nothing reads afterwards.
Instruction = tuple[Node, NumpyFunction, tuple[Node, ...], list[Node]]


def _is_constant(node: Node) -> bool:
    """Whether a node whose inputs depend on parameters alone does so too: it is not a leaf of rows."""
    return bool(node.inputs) or node.level == Level.ONCE


def _evaluate(instructions: Iterable[Instruction], values: dict[Node, Any]) -> None:
    """Run instructions on a dictionary of values."""
    # A kernel overflows without a warning, and so does this.
    with np.errstate(all="ignore"):
        for node, function, operands, unused in instructions:
            values[node] = function(*[values[operand] for operand in operands])
            for each in unused:
                del values[each]


class PreparedExpression:
    """Evaluates some values from others.

    Args:
        outputs: The values.
        instructions: The instructions, in order.
        shared: Values that all rows share.
    """

    def __init__(
        self, outputs: Sequence[Node], instructions: list[Instruction], shared: Mapping[Node, Any]
    ) -> None:
        self.outputs, self._instructions, self._shared = tuple(outputs), instructions, shared

    @property
    def nodes(self) -> list[Node]:
        """Every value that a call computes."""
        return [node for node, *_ in self._instructions]

    def __call__(self, known: Mapping[Node, Any]) -> list[Any]:
        """Evaluate the outputs.

        Args:
            known: The known values, with leading axes that are equal or that NumPy broadcasts.
        """
        values = {**self._shared, **known}
        _evaluate(self._instructions, values)
        return [values[node] for node in self.outputs]


class PreparedScan:
    """Evaluates some values at every step of a sequence; see :meth:`GraphInterpreter.scan`.

    Only the values between a carried value before a step and after it are computed in a loop. All others are
    computed for many steps at once.
    """

    def __init__(
        self,
        interpreter: GraphInterpreter,
        outputs: Sequence[Node],
        known: Sequence[Node],
        carry: Mapping[Node, Node],
        reverse: bool,
    ) -> None:
        self._carry, self._reverse = dict(carry), reverse
        loop = _loop_values(self._carry)
        read = {operand for node in loop for operand in node.inputs} | set(self._carry.values())
        before = [node for node in read - loop - set(self._carry) if node.level != Level.ONCE]
        self._loop_inputs = sorted(before, key=lambda node: node.index)
        self._before_loop = interpreter.prepare(self._loop_inputs, known)
        self._loop = interpreter.prepare(list(self._carry.values()), [*self._loop_inputs, *self._carry])
        self._after_loop = interpreter.prepare(outputs, [*known, *self._carry])
        nodes = [*self._before_loop.nodes, *self._after_loop.nodes, *known, *self._carry]
        self._width = max([interpreter.elements(node) for node in nodes], default=1)

    def __call__(
        self, known: Mapping[Node, Array], initial: Mapping[Node, Array], steps: int, batch: int
    ) -> Iterator[tuple[slice, list[Any]]]:
        """Evaluate chunks of steps: the range of each, and the outputs ``(steps, B, ...)``.

        Args:
            known: Values of the known leaves, ``(T, B, ...)``.
            initial: Values of the carried leaves, ``(B, ...)``, at the first step of the loop.
            steps: ``T``.
            batch: ``B``.
        """
        carried = dict(initial)
        length = max(1, MAX_ELEMENTS // (self._width * batch))
        chunks = [slice(first, min(first + length, steps)) for first in range(0, steps, length)]
        for chunk in reversed(chunks) if self._reverse else chunks:
            values = {node: value[chunk] for node, value in known.items()}
            values |= self._run_loop(values, carried, chunk.stop - chunk.start)
            yield chunk, self._after_loop(values)

    def _run_loop(
        self, values: Mapping[Node, Array], carried: dict[Node, Array], steps: int
    ) -> dict[Node, Array]:
        """The carried values at each step of a chunk; ``carried`` becomes those of the next chunk."""
        if not self._carry:
            return {}
        trajectories = {
            node: np.empty((steps, *np.shape(value)), value.dtype) for node, value in carried.items()
        }
        inputs = dict(zip(self._loop_inputs, self._before_loop(values), strict=True))
        for t in reversed(range(steps)) if self._reverse else range(steps):
            for node, trajectory in trajectories.items():
                trajectory[t] = carried[node]
            new = self._loop({**{node: value[t] for node, value in inputs.items()}, **carried})
            for (node, trajectory), value in zip(trajectories.items(), new, strict=True):
                carried[node] = np.broadcast_to(value, trajectory.shape[1:])
        return trajectories


def _loop_values(carry: Mapping[Node, Node]) -> set[Node]:
    """The values that depend on a carried value of the same step."""
    values = set(carry)
    for node in ancestors(carry.values()):
        if any(operand in values for operand in node.inputs):
            values.add(node)
    return values - set(carry)


def evaluate_step(
    step_graph: StepGraph,
    x: Array,
    params: Mapping[str, Array],
    states: Mapping[str, Array],
    inputs: Mapping[str, Array],
) -> tuple[Array, dict[str, Array]]:
    """Evaluate one step of one row: the output and the new states as they are stored.

    Args:
        step_graph: The step.
        x: ``(I,)``.
        params: Parameters and buffers as they are stored.
        states: States as they are stored.
        inputs: Auxiliary inputs.

    Raises:
        UsageError: if no hidden size fits the shapes.
    """
    sizes = {"I": len(x), "H": _hidden_size(step_graph, x, {**params, **states})}
    leaves = {**step_graph.params, **step_graph.buffers}
    known = {step_graph.states[name]: value for name, value in states.items()}
    known |= {step_graph.inputs[name]: value for name, value in inputs.items()} | {step_graph.x: x}
    interpreter = GraphInterpreter({leaves[name]: value for name, value in params.items()}, sizes, x.dtype)
    y, *new_states = interpreter.prepare(step_graph.outputs, known)(known)
    return y, dict(zip(step_graph.new_states, new_states, strict=True))


def _hidden_size(step_graph: StepGraph, x: Array, arrays: Mapping[str, Array]) -> int:
    """The first ``H`` for which all shapes fit."""
    leaves = {**step_graph.params, **step_graph.buffers, **step_graph.states}
    pairs = [(leaves[name].shape, np.shape(array)) for name, array in arrays.items()]
    for hidden in range(1, 1 + max([x.size, *(np.size(array) for array in arrays.values())])):
        sizes = {"I": len(x), "H": hidden}
        if all(tuple(dim.evaluate(sizes) for dim in dims) == shape for dims, shape in pairs):
            return hidden
    raise UsageError(
        f"{step_graph.cell.label()}: the arrays have shapes {[shape for _, shape in pairs]}, which are those "
        f"of no hidden size; expected those of param_shapes and state_shapes."
    )
