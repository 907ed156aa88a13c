"""Traces: named values of ``step``, and their gradients, at every step of a sequence.

Kernels do not save them. A tracer reads the tape of each direction, and in the backward pass the gradients of
its results, and computes the requested values in NumPy for all rows and many steps at once. Without a request
there is no tracer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.arguments import short_repr
from zoo.array_types import Array
from zoo.base import Cell
from zoo.base.gates import GateSource
from zoo.base.names import did_you_mean
from zoo.compiler.frontend.trace_step import TraceableValue, traceable_values
from zoo.compiler.ir.dims import concrete_shape
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.autodiff import step_vjp
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.layers import replay
from zoo.layers.batch import BatchRun
from zoo.layers.direction import Direction, DirectionTape
from zoo.layers.replay import StepReplay, Values
from zoo.layers.sharding import Rows
from zoo.layers.states import full_name, shapes_by_name
from zoo.layers.time_chunks import reverse_time
from zoo.layers.validation import mask_padding
from zoo.modifiers.composite_cell import CompositeCell

TraceRequest = bool | str | Iterable[str] | None
"""Nothing, everything, or names: ``"f"`` in every layer, ``"l0.f"`` in one."""

_EXPECTED = "True for everything, a name, or several names"


class Traces(Mapping[str, Array]):
    """Traced arrays by name, as ``"l0.f"``, or ``"f"`` if there is one layer with one direction.

    Args:
        arrays: Name to array.
        call: The call that requests a trace, for the error.
    """

    def __init__(self, arrays: Mapping[str, Array], call: str) -> None:
        self._arrays, self._call = dict(arrays), call

    def __getitem__(self, name: str) -> Array:
        full = full_name(name, self._arrays)
        if full is None:
            there = f"there are {', '.join(self._arrays)}" if self._arrays else "nothing was"
            raise UnknownNameError(
                f"{name!r} was not traced ({there}); request it with {self._call}."
                f"{did_you_mean(str(name), self._arrays)}"
            )
        return self._arrays[full]

    def map(self, function: Callable[[Array], Array]) -> Traces:
        """Apply a function to every array."""
        return Traces({name: function(array) for name, array in self._arrays.items()}, self._call)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return shapes_by_name(self._arrays)


def value_traces(arrays: Mapping[str, Array]) -> Traces:
    """Traces of a forward pass."""
    return Traces(arrays, "forward(x, trace=[...])")


def gradient_traces(arrays: Mapping[str, Array]) -> Traces:
    """Traces of a backward pass."""
    return Traces(arrays, "backward(dy, trace_grads=[...])")


def cell_trace_values(cell: Cell) -> dict[str, TraceableValue | None]:
    """Values of a cell that can be traced; None stands for the states of a cell without a readable ``step``.

    Raises:
        DefinitionError: if its kernels are derived from a ``step`` that cannot be read.
    """
    if cell.has_step():
        try:
            return dict(traceable_values(cell))
        except DefinitionError:
            if cell.is_derived():
                raise  # the step of a cell with its own kernels need not be readable
    return dict.fromkeys(cell.states)


def cell_gates(cell: Cell) -> dict[str, GateSource]:
    """The gates of a cell: from a name that is the same for all cells to a value that can be traced.

    A modifier may have removed the value of a gate, for example with the input that it depends on.

    Raises:
        DefinitionError: if the cell declares a gate whose value ``step`` does not have.
    """
    values, gates = cell_trace_values(cell), cell.gates.sources()
    if isinstance(cell, CompositeCell) and any(source.value not in values for source in gates.values()):
        removed = set(cell_trace_values(cell.base_cell())) - set(values)
        gates = {name: source for name, source in gates.items() if source.value not in removed}
    for name, source in gates.items():
        if source.value not in values or name in values:
            problem = "step has a value of this name" if name in values else f"step has no {source.value!r}"
            raise DefinitionError(
                f"{cell.error_name()}: gates declares {name} as {source.value!r}, but {problem}; it has "
                f"{', '.join(values)}."
            )
    return gates


def cell_trace_names(cell: Cell) -> tuple[str, ...]:
    """Names of all values of a cell that can be traced: values of ``step``, then gates."""
    return (*cell_trace_values(cell), *cell_gates(cell))


def trace_names(directions: Sequence[Direction]) -> tuple[str, ...]:
    """Full names of all values that can be traced."""
    return tuple(
        direction.prefix + name for direction in directions for name in cell_trace_names(direction.cell)
    )


def requested_names(request: Any) -> bool | tuple[Any, ...]:
    """True for everything, or a tuple of items that should be names."""
    if request is True or request is False or request is None:
        return bool(request) or ()
    if isinstance(request, str):
        return (request,) if request else ()
    # An array without axes cannot be iterated.
    return (
        tuple(request)
        if isinstance(request, Iterable) and getattr(request, "shape", None) != ()
        else (request,)
    )


def resolve_trace_request(
    directions: Sequence[Direction], request: TraceRequest, argument: str, owner: str
) -> list[list[str]]:
    """The requested names of each direction.

    Args:
        directions: The directions.
        request: True for everything, or names.
        argument: Name of the argument, for messages.
        owner: Owner of the directions, for messages.

    Raises:
        UnknownNameError: if a name is unknown.
        UsageError: if the request is neither a name nor names.
    """
    names = requested_names(request)
    if isinstance(names, bool):
        return [list(cell_trace_names(direction.cell)) for direction in directions]
    for name in names:
        _check_name(directions, name, argument, owner)
    return [_names_in(direction, names) for direction in directions]


def _names_in(direction: Direction, names: Sequence[object]) -> list[str]:
    return [
        name for name in cell_trace_names(direction.cell) if name in names or direction.prefix + name in names
    ]


def _check_name(directions: Sequence[Direction], name: object, argument: str, owner: str) -> None:
    if not isinstance(name, str):
        raise UsageError(f"{owner}: {argument} asks for {short_repr(name)}; expected {_EXPECTED}.")
    full = trace_names(directions)
    short = tuple(
        dict.fromkeys(each for direction in directions for each in cell_trace_names(direction.cell))
    )
    if name not in full and name not in short:
        known = full if "." in name else short
        raise UnknownNameError(
            f"{owner}: {argument} asks for {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}"
        )


class _Collector:
    """Collects the requested arrays of one direction.

    Args:
        direction: The direction.
        arrays: Its parameters and buffers.
        names: The requested names: values of ``step``, or gates.
        time_batch: ``T`` and ``B`` of the whole sequence.
    """

    def __init__(
        self, direction: Direction, arrays: Sequence[Array], names: Sequence[str], time_batch: tuple[int, int]
    ) -> None:
        self.direction, self.arrays = direction, tuple(arrays)
        known, gates = cell_trace_values(direction.cell), cell_gates(direction.cell)
        self.requested = {name: gates.get(name, GateSource(name, False)) for name in names}
        self.names = list(dict.fromkeys(source.value for source in self.requested.values()))
        self.values = {name: value for name in self.names if (value := known[name]) is not None}
        self.replayer = StepReplay(direction, self.arrays) if self.values else None
        self.nodes = {name: self._nodes(name, value) for name, value in self.values.items()}
        self.buffers = {name: self._allocate(name, time_batch) for name in self.names}

    def _nodes(self, name: str, value: TraceableValue) -> tuple[Node, ...]:
        """The nodes that are computed for a value: real and imaginary part, if it is complex."""
        raise NotImplementedError

    def _allocate(self, name: str, time_batch: tuple[int, int]) -> Array:
        """An array ``(T, B, ...)`` for a value; one that depends on parameters alone is stored once."""
        dtype = self.arrays[0].dtype
        if self.replayer is None:
            return np.zeros((*time_batch, *self.direction.states[self.direction.prefix + name]), dtype)
        value, interpreter = self.values[name], self.replayer.interpreter
        planes = (2,) if len(value.nodes) > 1 else ()
        shape = (*time_batch, *planes, *concrete_shape(value.shape, interpreter.sizes))
        if value.varies:
            return np.zeros(shape, dtype)
        parts = interpreter.prepare(self.nodes[name], ())({})
        return np.broadcast_to(np.stack(parts) if planes else parts[0], shape)

    def complement(self, values: Array) -> Array:
        """The values of the gate ``1 - value``."""
        raise NotImplementedError

    def write(self, names: Sequence[str], values: Values, time_slice: slice, rows: Rows) -> None:
        """Write values, which come in blocks of steps; complex ones as two planes, as they are stored."""
        for chunk, arrays in values:
            time, parts = slice(time_slice.start + chunk.start, time_slice.start + chunk.stop), iter(arrays)
            for name in names:
                for plane in range(len(self.nodes[name])):
                    index = (time, rows, plane) if len(self.nodes[name]) > 1 else (time, rows)
                    self.buffers[name][index] = next(parts)


class _ValueCollector(_Collector):
    """Values, collected after the forward pass of the direction."""

    def _nodes(self, name: str, value: TraceableValue) -> tuple[Node, ...]:  # noqa: ARG002
        return value.nodes

    def complement(self, values: Array) -> Array:
        """The values of the gate ``1 - value``."""
        return 1 - values

    def collect(self, time_slice: slice, rows: Rows, tape: DirectionTape) -> None:
        """Collect some steps of some rows."""
        states = [name for name in self.names if name in self.direction.cell.states]
        others = [name for name, value in self.values.items() if name not in states and value.varies]
        if self.replayer is None:
            trajectories = replay.kernel_states(self.direction, self.arrays, tape)
        else:
            trajectories = self.replayer.new_states(states, tape)
        for name in states:
            self.buffers[name][time_slice, rows] = trajectories[name]
        if others and self.replayer is not None:
            nodes = [node for name in others for node in self.nodes[name]]
            self.write(others, self.replayer.values(nodes, tape), time_slice, rows)


class _GradientCollector(_Collector):
    """Gradients of values, collected before the backward pass of the direction."""

    def _nodes(self, name: str, value: TraceableValue) -> tuple[Node, ...]:
        cell = self.direction.cell
        back = step_vjp(cell)
        gradients = [back.gradient_of(node) for node in value.nodes]
        nodes = tuple(node for node in gradients if node is not None)
        if len(nodes) < len(gradients) or not value.varies:
            raise UsageError(
                f"{cell.label()}: trace_grads asks for {self.direction.prefix + name!r}, which has no "
                f"gradient at each step: it depends on parameters alone, counts in whole numbers, or reaches "
                f"no output. Leave it out."
            )
        return nodes

    def complement(self, values: Array) -> Array:
        """The gradients of the gate ``1 - value``."""
        return -values

    def collect(
        self, time_slice: slice, rows: Rows, tape: DirectionTape, dy: Array, dfinal: Mapping[str, Array]
    ) -> None:
        """Collect some steps of some rows."""
        final = [dfinal[name] for name in self.direction.states]
        if self.replayer is not None:
            nodes = [node for name in self.names for node in self.nodes[name]]
            self.write(self.names, self.replayer.gradients(nodes, tape, dy, final), time_slice, rows)
            return
        gradients = replay.kernel_state_gradients(self.direction, self.arrays, tape, dy, final)
        for name in self.names:
            self.buffers[name][time_slice, rows] = gradients[name]


class ValueTracer:
    """Collects requested values from tapes.

    Args:
        batch_run: The batch.
        request: The values to trace.

    Raises:
        UnknownNameError: if a name is unknown.
        UsageError: if the request is neither a name nor names.
    """

    def __init__(self, batch_run: BatchRun, request: TraceRequest) -> None:
        names = resolve_trace_request(batch_run.stack.directions, request, "trace", batch_run.stack.label())
        self._batch_run, self._collectors = batch_run, dict[str, _ValueCollector]()
        for direction, params, own_names in zip(
            batch_run.stack.directions, batch_run.params, names, strict=True
        ):
            if own_names:
                self._collectors[direction.prefix] = _ValueCollector(
                    direction, params.arrays, own_names, batch_run.x.shape[:2]
                )

    def collect(self, tapes: Iterable[tuple[Direction, slice, Rows, DirectionTape]]) -> None:
        """Collect from tapes: direction, steps, rows, and tape."""
        for direction, time_slice, rows, tape in tapes:
            if direction.prefix in self._collectors:
                self._collectors[direction.prefix].collect(time_slice, rows, tape)

    def traces(self) -> Traces:
        """The requested values, ``(T, B, ...)``, once all tapes are collected."""
        return value_traces(_traces_by_name(self._collectors, self._batch_run))


class GradientTracer:
    """Collects requested gradients during the backward pass.

    Args:
        batch_run: A batch after its forward pass.
        request: The values whose gradients to trace; True for all states.

    Raises:
        UnknownNameError: if a name is unknown.
        UsageError: if the request is neither a name nor names, or a value has no gradient.
    """

    def __init__(self, batch_run: BatchRun, request: TraceRequest) -> None:
        directions = batch_run.stack.directions
        names = [_differentiable_states(direction) for direction in directions]
        if request is not True:
            names = resolve_trace_request(directions, request, "trace_grads", batch_run.stack.label())
        self._batch_run, self._collectors = batch_run, dict[str, _GradientCollector]()
        for direction, params, own_names in zip(directions, batch_run.params, names, strict=True):
            if own_names:
                self._collectors[direction.prefix] = _GradientCollector(
                    direction, params.arrays, own_names, batch_run.x.shape[:2]
                )

    def on_backward(
        self,
        direction: Direction,
        time_slice: slice,
        rows: Rows,
        tape: DirectionTape,
        dy: Array,
        dfinal: Mapping[str, Array],
    ) -> None:
        """Collect from a direction before its backward pass over a chunk."""
        if direction.prefix in self._collectors:
            self._collectors[direction.prefix].collect(time_slice, rows, tape, dy, dfinal)

    def traces(self) -> Traces:
        """The requested gradients, ``(T, B, ...)``, after the backward pass."""
        return gradient_traces(_traces_by_name(self._collectors, self._batch_run))


def _differentiable_states(direction: Direction) -> list[str]:
    return [name for name, state in direction.cell.states.items() if not state.discrete]


def _traces_by_name(collectors: Mapping[str, _Collector], batch_run: BatchRun) -> dict[str, Array]:
    traces = dict[str, Array]()
    for prefix, collector in collectors.items():
        values = {
            name: _in_time_order(collector.direction, array, batch_run)
            for name, array in collector.buffers.items()
        }
        for name, (source, is_complement) in collector.requested.items():
            traces[prefix + name] = collector.complement(values[source]) if is_complement else values[source]
            if is_complement and batch_run.lengths is not None:
                traces[prefix + name] = mask_padding(traces[prefix + name], batch_run.lengths)
    return traces


def _in_time_order(direction: Direction, array: Array, batch_run: BatchRun) -> Array:
    """Reverse the array of a reverse direction; one that is constant in time needs no order."""
    return reverse_time(array, batch_run.lengths) if direction.reverse and array.flags.writeable else array
