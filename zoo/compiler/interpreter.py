"""NumPy interpreter of graphs: for one row, many rows, or all steps of a sequence.

A value of one row has the shape of its node. The same value for many rows, or for every step and row, has
these leading axes too; a value of parameters alone has none. Axes therefore count from the back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from zoo import kernels
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.dims import Dim
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.errors import UsageError

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
NumpyFunction: TypeAlias = Callable[..., Any]
Sizes: TypeAlias = Mapping[str, int]

# Largest array of a scan in elements: the next operation finds it in the processor's cache.
MAX_ELEMENTS = 2**18


def numpy_impl(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    """The NumPy function from the values of a node's inputs to its own.

    Args:
        node: Any node but a leaf that the caller provides: a parameter, state, input or gradient.
        sizes: ``I`` and ``H``.
        dtype: Data type of constants.
    """
    operation = node.graph.operations.get(node.op)
    if operation is not None:
        return operation.numpy
    return _STRUCTURAL[node.op](node, sizes, dtype)


def concrete_shape(shape: Iterable[Dim], sizes: Sizes | None = None) -> tuple[int, ...]:
    """A shape as integers."""
    return tuple(int(dim.evaluate(sizes or {})) for dim in shape)


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

    def compile(self, outputs: Sequence[Node], known: Iterable[Node]) -> CompiledExpr:
        """Prepare the evaluation of some values; those that depend on parameters alone are evaluated now.

        Args:
            outputs: The values.
            known: The values that each call provides.
        """
        _, nodes = self._split(outputs, known)
        read = {*outputs, *(operand for node in nodes for operand in node.inputs)}
        shared = {node: self._shared[node] for node in read if node in self._shared}
        return CompiledExpr(outputs, self._instructions(nodes, outputs), shared)

    def scan(
        self,
        outputs: Sequence[Node],
        known: Sequence[Node],
        carry: Mapping[Node, Node],
        reverse: bool = False,
    ) -> CompiledScan:
        """Prepare the evaluation of some values at every step of a sequence.

        Args:
            outputs: The values.
            known: The leaves whose values at all steps each call provides.
            carry: The leaves that a loop computes, and the value of each at the next step of the loop.
            reverse: Whether the loop runs from the last step to the first.
        """
        return CompiledScan(self, outputs, known, carry, reverse)

    def elements(self, node: Node) -> int:
        """The number of elements of a value in one row."""
        return int(np.prod(concrete_shape(node.shape, self.sizes), dtype=np.int64))

    def _split(self, outputs: Iterable[Node], known: Iterable[Node]) -> tuple[list[Node], list[Node]]:
        """The ancestors that depend on parameters alone, evaluated now, and those that each call computes."""
        known = set(known)
        of_rows = set(known)
        shared: list[Node] = []
        computed: list[Node] = []
        for node in ancestors(outputs, stop=lambda node: node in known):
            if node in known:
                continue
            if node in self._shared or (of_rows.isdisjoint(node.inputs) and _is_constant(node)):
                shared.append(node)
            else:
                of_rows.add(node)
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


class CompiledExpr:
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


class CompiledScan:
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
        self._before_loop = interpreter.compile(self._loop_inputs, known)
        self._loop = interpreter.compile(list(self._carry.values()), [*self._loop_inputs, *self._carry])
        self._after_loop = interpreter.compile(outputs, [*known, *self._carry])
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
    step_graph: StepGraph, x: Array, params: Arrays, states: Arrays, inputs: Arrays
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
    y, *new_states = interpreter.compile(step_graph.outputs, known)(known)
    return y, dict(zip(step_graph.new_states, new_states, strict=True))


def _hidden_size(step_graph: StepGraph, x: Array, arrays: Arrays) -> int:
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


# NumPy implementations of structural operations.


def _leading_axes(value: Any, inner: int) -> tuple[int, ...]:
    """The shape without the last ``inner`` axes."""
    shape = np.shape(value)
    return tuple(shape[: len(shape) - inner])


def _constant(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    number = dtype.type(node.attr)
    return lambda: number


def _array(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    numbers = np.array(node.attr, dtype).reshape(concrete_shape(node.shape, sizes))
    return lambda: numbers


def _size(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    number = dtype.type(concrete_shape((node.attr,), sizes)[0])
    return lambda: number


def _eye(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    matrix = np.eye(concrete_shape(node.shape, sizes)[0], dtype=dtype)
    return lambda: matrix


def _broadcast(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    inner, shape = node.inputs[0].ndim, concrete_shape(node.shape, sizes)
    ones = (1,) * (node.ndim - inner)

    def broadcast(value: Any) -> Any:
        leading, value = _leading_axes(value, inner), np.asarray(value)
        own = value.shape[len(leading) :]
        return np.broadcast_to(value.reshape(*leading, *ones, *own), (*leading, *shape))

    return broadcast


def _reshape(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    inner, shape = node.inputs[0].ndim, concrete_shape(node.shape, sizes)
    return lambda value: np.reshape(value, (*_leading_axes(value, inner), *shape))


def _slice(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    axis, *bounds = node.attr
    key = (..., slice(*concrete_shape(tuple(bounds), sizes)), *[slice(None)] * (node.ndim - 1 - axis))
    return lambda value: value[key]


def _stride(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    axis, *rest = node.attr
    start, step, length = concrete_shape(tuple(rest), sizes)
    stop = start + step * length
    # A negative end would count from the back.
    key = (..., slice(start, None if stop < 0 else stop, step), *[slice(None)] * (node.ndim - 1 - axis))
    return lambda value: value[key]


def _transpose(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    own = [axis - node.ndim for axis in node.attr]
    return lambda value: np.transpose(value, (*range(value.ndim - node.ndim), *own))


def _concat(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    axis, inner = node.attr - node.ndim, node.ndim

    def concatenate(*values: Any) -> Any:
        shapes = [_leading_axes(value, inner) for value in values]
        if len(set(shapes)) > 1:
            leading = np.broadcast_shapes(*shapes)
            values = tuple(np.broadcast_to(each, (*leading, *np.shape(each)[-inner:])) for each in values)
        return np.concatenate(values, axis)

    return concatenate


def _reduction(function: Callable[..., Any]) -> Callable[[Node, Sizes, np.dtype[Any]], NumpyFunction]:
    def impl(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
        axes = tuple(axis - node.inputs[0].ndim for axis in node.attr)
        return lambda value: function(value, axes)

    return impl


def _running_sum(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    (axis, reverse), inner = node.attr, node.ndim
    if reverse:
        return lambda value: np.flip(np.cumsum(np.flip(value, axis - inner), axis - inner), axis - inner)
    return lambda value: np.cumsum(value, axis - inner)


def _recurrence(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    (axis, reverse), inner = node.attr, node.ndim

    def run(a: Any, b: Any) -> Any:
        a, b = np.broadcast_arrays(a, b)
        a, y = np.moveaxis(a, axis - inner, 0), np.moveaxis(b, axis - inner, 0).copy()
        order = range(len(y) - 1, -1, -1) if reverse else range(len(y))
        for before, index in itertools.pairwise(order):
            y[index] += a[index] * y[before]
        return np.moveaxis(y, 0, axis - inner)

    return run


def _dot(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    def product(a: Any, w: Any) -> Any:
        if a.dtype.kind == "i":  # tokens stand for one-hot rows
            return w[a]
        return (a.reshape(-1, a.shape[-1]) @ w).reshape(*a.shape[:-1], w.shape[-1])

    return product


def _dot_heads(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    def product(a: Any, w: Any) -> Any:
        heads_first = a.reshape(-1, *a.shape[-2:]).swapaxes(0, 1) @ w
        return heads_first.swapaxes(0, 1).reshape(*a.shape[:-1], w.shape[-1])

    return product


def _matrix_function(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    shape = concrete_shape(node.shape, sizes)

    def call(*operands: Any) -> Any:
        out = np.empty(shape, dtype)
        with kernels.pure_python():
            getattr(kernels, node.op)(*operands, out)
        return out

    return call


def _row_sum(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    return lambda g: np.sum(g, axis=tuple(range(np.ndim(g) - node.ndim)))


def _outer(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    def outer(a: Any, g: Any) -> Any:
        a = np.broadcast_to(a, (*g.shape[:-1], a.shape[-1])).reshape(-1, a.shape[-1])
        return a.T @ g.reshape(-1, g.shape[-1])

    return outer


def _outer_heads(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    def outer(a: Any, g: Any) -> Any:
        a = np.broadcast_to(a, (*g.shape[:-1], a.shape[-1])).reshape(-1, *a.shape[-2:])
        return a.transpose(1, 2, 0) @ g.reshape(-1, *g.shape[-2:]).transpose(1, 0, 2)

    return outer


_STRUCTURAL: dict[str, Callable[[Node, Sizes, np.dtype[Any]], NumpyFunction]] = {
    "array": _array,
    "broadcast": _broadcast,
    "concat": _concat,
    "constant": _constant,
    "cumsum": _running_sum,
    "dot": _dot,
    "dot_heads": _dot_heads,
    "expm": _matrix_function,
    "expm_derivative": _matrix_function,
    "eye": _eye,
    "max": _reduction(np.max),
    "outer": _outer,
    "outer_heads": _outer_heads,
    "recurrence": _recurrence,
    "reshape": _reshape,
    "row_sum": _row_sum,
    "size": _size,
    "slice": _slice,
    "solve": _matrix_function,
    "stride": _stride,
    "sum": _reduction(np.sum),
    "transpose": _transpose,
}
