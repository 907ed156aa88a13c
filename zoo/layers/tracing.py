"""What can be traced, what a caller asks for, and what comes of it: names and arrays.

Traces: named values of ``step``, and gradients, at every step of a sequence.

Kernels do not keep them. A tracer sees what each layer was told, what its kernels kept, and on the way back
the gradients that they are given; and works out in NumPy what was asked for, for all rows and many steps at
once. A pass that nothing is asked of has no tracer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.arguments import short_repr
from zoo.base import Cell
from zoo.base.names import did_you_mean
from zoo.compiler.frontend.traceable_values import TraceableValue, traceable_values
from zoo.compiler.ir.dims import concrete_shape
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.autodiff import step_vjp
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.layers import replay
from zoo.layers.batch import BatchRun
from zoo.layers.direction import Array, Direction, DirectionTape
from zoo.layers.padding import reverse_time
from zoo.layers.replay import StepReplay, Values
from zoo.layers.sharding import Rows

TraceRequest = bool | str | Iterable[str] | None

"""Nothing, everything, or names: ``"f"`` in every layer, ``"l0.f"`` in one."""

_EXPECTED = "True for everything, a name, or several names"


class Traces(Mapping[str, Array]):
    """What was traced, by name; says what there is where a name is missing.

    Args:
        arrays: Name to array.
        how: How one asks for it.
    """

    def __init__(self, arrays: Mapping[str, Array], how: str) -> None:
        self._arrays, self._how = dict(arrays), how

    def __getitem__(self, name: str) -> Array:
        try:
            return self._arrays[name]
        except KeyError:
            there = f"there are {', '.join(self._arrays)}" if self._arrays else "nothing was"
            raise UnknownNameError(
                f"{name!r} was not traced ({there}); ask for it with {self._how}."
                f"{did_you_mean(str(name), self._arrays)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: {value.shape}" for name, value in self._arrays.items()) + "}"


def value_traces(arrays: Mapping[str, Array]) -> Traces:
    """Traces of a forward pass."""
    return Traces(arrays, "forward(x, trace=[...])")


def gradient_traces(arrays: Mapping[str, Array]) -> Traces:
    """Traces of the way back."""
    return Traces(arrays, "backward(dy, trace_grads=[...])")


def cell_trace_values(cell: Cell) -> dict[str, TraceableValue | None]:
    """What can be traced of a cell; without a ``step`` that can be read its states, and no more is known.

    Raises:
        DefinitionError: if its kernels are derived from a ``step`` that cannot be read.
    """
    if cell.has_step():
        try:
            return dict(traceable_values(cell))
        except DefinitionError:
            if cell.is_derived():
                raise  # beside kernels of its own, a step need only run
    return dict.fromkeys(cell.states)


def trace_names(layers: Sequence[Direction]) -> tuple[str, ...]:
    """The full names of all that can be traced."""
    return tuple(layer.prefix + name for layer in layers for name in cell_trace_values(layer.cell))


def requested_names(asked: Any) -> bool | tuple[Any, ...]:
    """True for everything, or what should be names, none if nothing is asked for."""
    if asked is True or asked is False or asked is None:
        return bool(asked) or ()
    if isinstance(asked, str):
        return (asked,) if asked else ()
    # An array without axes can be looped over as little as a number.
    return tuple(asked) if isinstance(asked, Iterable) and getattr(asked, "shape", None) != () else (asked,)


def resolve_trace_request(
    layers: Sequence[Direction], asked: TraceRequest, argument: str, who: str
) -> list[list[str]]:
    """Of each layer the names that are asked for.

    Args:
        layers: The layers.
        asked: What for; True for everything.
        argument: What the caller called it.
        who: Whose layers they are.

    Raises:
        UnknownNameError: if there is no such value.
        UsageError: if what is asked for is neither a name nor names.
    """
    names = requested_names(asked)
    if isinstance(names, bool):
        return [list(cell_trace_values(layer.cell)) for layer in layers]
    for name in names:
        _check_name(layers, name, argument, who)
    return [_names_in(layer, names) for layer in layers]


def _names_in(layer: Direction, names: Sequence[object]) -> list[str]:
    return [name for name in cell_trace_values(layer.cell) if name in names or layer.prefix + name in names]


def _check_name(layers: Sequence[Direction], name: object, argument: str, who: str) -> None:
    if not isinstance(name, str):
        raise UsageError(f"{who}: {argument} asks for {short_repr(name)}; expected {_EXPECTED}.")
    full = trace_names(layers)
    short = tuple(dict.fromkeys(each for layer in layers for each in cell_trace_values(layer.cell)))
    if name not in full and name not in short:
        known = full if "." in name else short
        raise UnknownNameError(
            f"{who}: {argument} asks for {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}"
        )


class _Collector:
    """What is asked of one layer.

    Args:
        layer: The layer.
        arrays: Its parameters and buffers.
        names: What is asked for.
        front: ``T`` and ``B`` of the whole sequence.
    """

    def __init__(
        self, layer: Direction, arrays: Sequence[Array], names: Sequence[str], front: tuple[int, int]
    ) -> None:
        self.layer, self.arrays, self.names = layer, tuple(arrays), names
        known = cell_trace_values(layer.cell)
        self.values = {name: value for name in names if (value := known[name]) is not None}
        self.unrolled = StepReplay(layer, self.arrays) if self.values else None
        self.nodes = {name: self._nodes(name, value) for name, value in self.values.items()}
        self.found = {name: self._allocate(name, front) for name in names}

    def _nodes(self, name: str, value: TraceableValue) -> tuple[Node, ...]:
        """What stands for a value; of complex numbers for either part."""
        raise NotImplementedError

    def _allocate(self, name: str, front: tuple[int, int]) -> Array:
        """Where a value goes, ``(T, B, ...)``; one that depends on parameters alone is stored once."""
        dtype = self.arrays[0].dtype
        if self.unrolled is None:
            return np.zeros((*front, *self.layer.states[self.layer.prefix + name]), dtype)
        value, numbers = self.values[name], self.unrolled.numbers
        planes = (2,) if len(value.nodes) > 1 else ()
        shape = (*front, *planes, *concrete_shape(value.shape, numbers.sizes))
        if value.varies:
            return np.zeros(shape, dtype)
        parts = numbers.compile(self.nodes[name], ())({})
        return np.broadcast_to(np.stack(parts) if planes else parts[0], shape)

    def write(self, names: Sequence[str], values: Values, steps: slice, rows: Rows) -> None:
        """Write values, which come some steps at a time; complex ones as two planes, as they are stored."""
        for inner, arrays in values:
            when, waiting = slice(steps.start + inner.start, steps.start + inner.stop), iter(arrays)
            for name in names:
                for plane in range(len(self.nodes[name])):
                    place = (when, rows, plane) if len(self.nodes[name]) > 1 else (when, rows)
                    self.found[name][place] = next(waiting)


class _ValueCollector(_Collector):
    """Values, taken up after the layer's forward pass."""

    def _nodes(self, name: str, value: TraceableValue) -> tuple[Node, ...]:  # noqa: ARG002
        return value.nodes

    def collect(self, steps: slice, rows: Rows, tape: DirectionTape) -> None:
        """Take up some steps of some rows."""
        states = [name for name in self.names if name in self.layer.cell.states]
        others = [name for name, value in self.values.items() if name not in states and value.varies]
        if self.unrolled is None:
            courses = replay.kernel_states(self.layer, self.arrays, tape)
        else:
            courses = self.unrolled.new_states(states, tape)
        for name in states:
            self.found[name][steps, rows] = courses[name]
        if others and self.unrolled is not None:
            nodes = [node for name in others for node in self.nodes[name]]
            self.write(others, self.unrolled.values(nodes, tape), steps, rows)


class _GradientCollector(_Collector):
    """Gradients of values, taken up before the layer's backward pass."""

    def _nodes(self, name: str, value: TraceableValue) -> tuple[Node, ...]:
        back = step_vjp(self.layer.cell)
        found = [back.gradient_of(each) for each in value.nodes]
        nodes = tuple(node for node in found if node is not None)
        if len(nodes) < len(found) or not value.varies:
            raise UsageError(
                f"{self.layer.cell.label()}: trace_grads asks for {self.layer.prefix + name!r}, which has no "
                f"gradient at each step: it depends on parameters alone, counts in whole numbers, or reaches "
                f"no output. Leave it out."
            )
        return nodes

    def collect(
        self, steps: slice, rows: Rows, tape: DirectionTape, dy: Array, dafter: Mapping[str, Array]
    ) -> None:
        """Take up some steps of some rows."""
        dlast = [dafter[name] for name in self.layer.states]
        if self.unrolled is not None:
            nodes = [node for name in self.names for node in self.nodes[name]]
            self.write(self.names, self.unrolled.gradients(nodes, tape, dy, dlast), steps, rows)
            return
        gradients = replay.kernel_state_gradients(self.layer, self.arrays, tape, dy, dlast)
        for name in self.names:
            self.found[name][steps, rows] = gradients[name]


class ValueTracer:
    """Takes up the values that are asked for from what the layers went through.

    Args:
        passage: A batch on its way.
        asked: What to trace.

    Raises:
        UnknownNameError: if there is no such value.
        UsageError: if what is asked for is neither a name nor names.
    """

    def __init__(self, passage: BatchRun, asked: TraceRequest) -> None:
        names = resolve_trace_request(passage.stack.directions, asked, "trace", passage.stack.label())
        self._passage, self._traced = passage, dict[str, _ValueCollector]()
        for layer, arrays, each in zip(passage.stack.directions, passage.weights, names, strict=True):
            if each:
                self._traced[layer.prefix] = _ValueCollector(layer, arrays, each, passage.x.shape[:2])

    def collect(self, pieces: Iterable[tuple[Direction, slice, Rows, DirectionTape]]) -> None:
        """Take up pieces: a layer, some steps and rows, and what its kernels were given and kept."""
        for layer, steps, rows, tape in pieces:
            if layer.prefix in self._traced:
                self._traced[layer.prefix].collect(steps, rows, tape)

    def traces(self) -> Traces:
        """What was asked for, ``(T, B, ...)``, once all pieces are taken up."""
        return value_traces(_traces_by_name(self._traced, self._passage))


class GradientTracer:
    """Takes up the gradients that are asked for while the layers go back.

    Args:
        passage: A batch that went through.
        asked: Of what to trace the gradients; True for all states.

    Raises:
        UnknownNameError: if there is no such value.
        UsageError: if what is asked for is neither a name nor names, or has no gradient.
    """

    def __init__(self, passage: BatchRun, asked: TraceRequest) -> None:
        layers = passage.stack.directions
        names = [_differentiable_states(layer) for layer in layers]
        if asked is not True:
            names = resolve_trace_request(layers, asked, "trace_grads", passage.stack.label())
        self._passage, self._traced = passage, dict[str, _GradientCollector]()
        for layer, arrays, each in zip(layers, passage.weights, names, strict=True):
            if each:
                self._traced[layer.prefix] = _GradientCollector(layer, arrays, each, passage.x.shape[:2])

    def on_backward(
        self,
        layer: Direction,
        steps: slice,
        rows: Rows,
        tape: DirectionTape,
        dy: Array,
        dafter: Mapping[str, Array],
    ) -> None:
        """See a layer go back through some steps of some rows."""
        if layer.prefix in self._traced:
            self._traced[layer.prefix].collect(steps, rows, tape, dy, dafter)

    def traces(self) -> Traces:
        """What was asked for, ``(T, B, ...)``, once the layers went back all the way."""
        return gradient_traces(_traces_by_name(self._traced, self._passage))


def _differentiable_states(layer: Direction) -> list[str]:
    """The states that have a gradient."""
    return [name for name, state in layer.cell.states.items() if not state.discrete]


def _traces_by_name(traced: Mapping[str, _Collector], passage: BatchRun) -> dict[str, Array]:
    """What was found, by name, in the order of time."""
    return {
        prefix + name: _in_time_order(each.layer, array, passage)
        for prefix, each in traced.items()
        for name, array in each.found.items()
    }


def _in_time_order(layer: Direction, array: Array, passage: BatchRun) -> Array:
    """What a layer that reads backwards found in its own order; what is the same at every step is in any."""
    return reverse_time(array, passage.lengths) if layer.reverse and array.flags.writeable else array
