"""What every operation of the graph means in NumPy, for arrays with any axes in front of a row's.

A value of one row has the shape that its node says. The same value for many rows, or for every step and row,
has those axes in front; what depends on parameters alone has none. Axes are therefore counted from the back.

Graphs worked out in NumPy: for one row, for many, or for every row of many steps at once.

The equations of a step worked out on the NumPy arrays of one row: what they mean, whatever is compiled.

A step worked out in NumPy for every step of a sequence, some steps at once and all rows together.

What a step needs of the step before it, its states, is either known for all steps, because a kernel kept it,
or carried through a loop. Only what lies between a carried value before the step and after it is worked out
step by step; all else is a few calls of NumPy for many steps. The way back goes the other way, carrying
gradients.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from zoo import kernels
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Level, Node, Shape, ancestors
from zoo.errors import UsageError

Array = np.ndarray[Any, Any]

NumpyFunction: TypeAlias = Callable[..., Any]

Sizes: TypeAlias = Mapping[str, int]


def numpy_impl(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    """The function from the values of a node's inputs to its own.

    Args:
        node: No leaf that the caller brings: a parameter, a state, an input, a gradient.
        sizes: What ``I`` and ``H`` are.
        dtype: Of numbers that stand in the equations.
    """
    operation = node.graph.operations.get(node.op)
    if operation is not None:
        return operation.numpy
    return _STRUCTURAL[node.op](node, sizes, dtype)


def concrete_shape(shape: Shape, sizes: Sizes) -> tuple[int, ...]:
    """A shape in numbers."""
    return tuple(int(dim.evaluate(sizes)) for dim in shape)


def _leading_axes(value: Any, inner: int) -> tuple[int, ...]:
    """The axes that a value has in front of so many of its own."""
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

    def spread(value: Any) -> Any:
        front, value = _leading_axes(value, inner), np.asarray(value)
        own = value.shape[len(front) :]
        return np.broadcast_to(value.reshape(*front, *ones, *own), (*front, *shape))

    return spread


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
    # A negative end would count from the back, where the front is meant.
    key = (..., slice(start, None if stop < 0 else stop, step), *[slice(None)] * (node.ndim - 1 - axis))
    return lambda value: value[key]


def _transpose(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    own = [axis - node.ndim for axis in node.attr]
    return lambda value: np.transpose(value, (*range(value.ndim - node.ndim), *own))


def _concat(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
    axis, inner = node.attr - node.ndim, node.ndim

    def joined(*values: Any) -> Any:
        fronts = [_leading_axes(value, inner) for value in values]
        if len(set(fronts)) > 1:
            front = np.broadcast_shapes(*fronts)
            values = tuple(np.broadcast_to(each, (*front, *np.shape(each)[-inner:])) for each in values)
        return np.concatenate(values, axis)

    return joined


def _reduction(function: Callable[..., Any]) -> Callable[[Node, Sizes, np.dtype[Any]], NumpyFunction]:
    def made(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:  # noqa: ARG001
        axes = tuple(axis - node.inputs[0].ndim for axis in node.attr)
        return lambda value: function(value, axes)

    return made


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
        for before, place in itertools.pairwise(order):
            y[place] += a[place] * y[before]
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

    def made(*operands: Any) -> Any:
        out = np.empty(shape, dtype)
        with kernels.pure_python():
            getattr(kernels, node.op)(*operands, out)
        return out

    return made


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
    "recurrence": _recurrence,
    "reshape": _reshape,
    "size": _size,
    "slice": _slice,
    "solve": _matrix_function,
    "stride": _stride,
    "sum": _reduction(np.sum),
    "transpose": _transpose,
}

Instruction = tuple[Node, Callable[..., Any], tuple[Node, ...], list[Node]]

"""A value, its function, what that is applied to, and the values that nobody needs afterwards."""


class GraphInterpreter:
    """The numbers of one layer, for the graph of its step.

    Args:
        shared: Parameters and buffers, as they are stored.
        sizes: What ``I`` and ``H`` are.
        dtype: Of numbers that stand in the equations.
    """

    def __init__(self, shared: Mapping[Node, Array], sizes: Sizes, dtype: np.dtype[Any]) -> None:
        self.sizes, self.dtype = sizes, dtype
        self._shared: dict[Node, Any] = dict(shared)

    def work(self, outputs: Sequence[Node], given: Iterable[Node]) -> CompiledExpr:
        """How to get from some values to others; what depends on parameters alone is worked out here."""
        known = set(given)
        reached = ancestors(outputs, stop=lambda node: node in known or node.level == Level.ONCE)
        for node in reached:
            if node.level == Level.ONCE and node not in known:
                self._share(node)
        rows = [node for node in reached if node.level != Level.ONCE and node not in known]
        functions = [numpy_impl(node, self.sizes, self.dtype) for node in rows]
        read = {*outputs, *(each for node in rows for each in node.inputs)}
        shared = {node: self._shared[node] for node in read if node in self._shared}
        return CompiledExpr(outputs, _instructions(rows, functions, outputs), shared)

    def length(self, node: Node) -> int:
        """How many numbers a value has in one row."""
        return int(np.prod(concrete_shape(node.shape, self.sizes), dtype=np.int64))

    def _share(self, output: Node) -> None:
        for node in ancestors([output], stop=lambda node: node in self._shared):
            if node not in self._shared:
                operands = [self._shared[each] for each in node.inputs]
                with np.errstate(all="ignore"):
                    self._shared[node] = numpy_impl(node, self.sizes, self.dtype)(*operands)


class CompiledExpr:
    """From the values that are given to those that are wanted.

    Args:
        outputs: What is wanted.
        parts: What is done, in order.
        shared: Values that all rows share.
    """

    def __init__(self, outputs: Sequence[Node], parts: list[Instruction], shared: Mapping[Node, Any]) -> None:
        self.outputs, self._parts, self._shared = tuple(outputs), parts, shared

    @property
    def nodes(self) -> list[Node]:
        """Every value that is made."""
        return [node for node, *_ in self._parts]

    def __call__(self, given: Mapping[Node, Any]) -> list[Any]:
        """The values that are wanted.

        Args:
            given: Values that are there, with any axes in front of a row's, the same for all or such that
                NumPy broadcasts them.
        """
        found = {**self._shared, **given}
        # What overflows in a kernel overflows here: in silence.
        with np.errstate(all="ignore"):
            for node, function, operands, done in self._parts:
                found[node] = function(*[found[each] for each in operands])
                for each in done:
                    del found[each]
        return [found[node] for node in self.outputs]


def _instructions(
    rows: list[Node], functions: list[Callable[..., Any]], outputs: Iterable[Node]
) -> list[Instruction]:
    """The parts in order; a value goes once it has been read for the last time."""
    made, last = set(rows) - set(outputs), dict[Node, int]()
    for place, node in enumerate(rows):
        last.update({each: place for each in node.inputs if each in made})
    done: list[list[Node]] = [[] for _ in rows]
    for node, place in last.items():
        done[place].append(node)
    return [
        (node, each, node.inputs, done[i]) for i, (node, each) in enumerate(zip(rows, functions, strict=True))
    ]


Values = Mapping[str, Array]


def evaluate_step(
    equations: StepGraph, x: Array, params: Values, states: Values, inputs: Values
) -> tuple[Array, dict[str, Array]]:
    """One step of one row: the output, and the new states as they are stored.

    Args:
        equations: What is worked out.
        x: ``(I,)``.
        params: Parameters and buffers as they are stored.
        states: States as they are stored.
        inputs: Inputs beside x.

    Raises:
        UsageError: if the arrays fit no hidden size.
    """
    sizes = {"I": len(x), "H": _hidden_size(equations, x, {**params, **states})}
    leaves = {**equations.params, **equations.buffers}
    given = {equations.states[name]: value for name, value in states.items()}
    given |= {equations.inputs[name]: value for name, value in inputs.items()} | {equations.x: x}
    numbers = GraphInterpreter({leaves[name]: value for name, value in params.items()}, sizes, x.dtype)
    y, *after = numbers.work(equations.outputs, given)(given)
    return y, dict(zip(equations.new_states, after, strict=True))


def _hidden_size(equations: StepGraph, x: Array, arrays: Values) -> int:
    """``H``, which no array says by itself: the first size at which all shapes come out."""
    leaves = {**equations.params, **equations.buffers, **equations.states}
    pairs = [(leaves[name].shape, np.shape(array)) for name, array in arrays.items()]
    for hidden in range(1, 1 + max([x.size, *(np.size(array) for array in arrays.values())])):
        sizes = {"I": len(x), "H": hidden}
        if all(tuple(dim.evaluate(sizes) for dim in dims) == shape for dims, shape in pairs):
            return hidden
    raise UsageError(
        f"{equations.cell.label()}: the arrays have shapes {[shape for _, shape in pairs]}, which are those "
        f"of no hidden size; expected those of param_shapes and state_shapes."
    )


# Numbers of the largest array that is worked out at once: what follows finds it in a processor's cache.
MAX_ELEMENTS = 2**18


class ScanInterpreter:
    """Values of a step over a sequence.

    Args:
        numbers: The layer's.
        outputs: What is wanted of every step.
        known: Leaves whose values are known for all steps.
        carried: Leaves whose values are not, and what each is in the next step that is worked out.
        reverse: Whether that is the step before.
    """

    def __init__(
        self,
        numbers: GraphInterpreter,
        outputs: Sequence[Node],
        known: Sequence[Node],
        carried: Mapping[Node, Node],
        reverse: bool = False,
    ) -> None:
        self.carried, self.reverse = dict(carried), reverse
        loop = _loop_values(self.carried)
        bounds = {each for node in loop for each in node.inputs} | set(self.carried.values())
        early = [each for each in bounds - loop - set(self.carried) if each.level != Level.ONCE]
        self._early = sorted(early, key=lambda node: node.index)
        self._before = numbers.work(self._early, known)
        self._step = numbers.work(list(self.carried.values()), [*self._early, *self.carried])
        self._rest = numbers.work(outputs, [*known, *self.carried])
        every = [*self._before.nodes, *self._rest.nodes, *known, *self.carried]
        self._width = max([numbers.length(node) for node in every], default=1)

    def __call__(
        self, given: Mapping[Node, Array], start: Mapping[Node, Array], steps: int, batch: int
    ) -> Iterator[tuple[slice, list[Any]]]:
        """Some steps at a time, which they are and what was wanted of them, ``(steps, B, ...)``.

        Args:
            given: Values of the leaves that are known, ``(T, B, ...)``.
            start: Values of those that are carried, ``(B, ...)``, at the first step that is worked out.
            steps: ``T``.
            batch: ``B``.
        """
        now = dict(start)
        length = max(1, MAX_ELEMENTS // (self._width * batch))
        parts = [slice(first, min(first + length, steps)) for first in range(0, steps, length)]
        for part in reversed(parts) if self.reverse else parts:
            found = {node: value[part] for node, value in given.items()}
            found |= self._course(found, now, part.stop - part.start)
            yield part, self._rest(found)

    def _course(self, found: Mapping[Node, Array], now: dict[Node, Array], steps: int) -> dict[Node, Array]:
        """What is carried, at each of some steps; now becomes what it is at the next."""
        if not self.carried:
            return {}
        courses = {node: np.empty((steps, *np.shape(value)), value.dtype) for node, value in now.items()}
        early = dict(zip(self._early, self._before(found), strict=True))
        for t in reversed(range(steps)) if self.reverse else range(steps):
            for node, course in courses.items():
                course[t] = now[node]
            values = self._step({**{node: value[t] for node, value in early.items()}, **now})
            for (node, course), value in zip(courses.items(), values, strict=True):
                now[node] = np.broadcast_to(value, course.shape[1:])
        return courses


def _loop_values(carried: Mapping[Node, Node]) -> set[Node]:
    """What has to be worked out step by step."""
    found = set(carried)
    for node in ancestors(carried.values()):
        if any(each in found for each in node.inputs):
            found.add(node)
    return found - set(carried)
