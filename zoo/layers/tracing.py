"""Traces: named values of ``step``, and gradients, at every step of a sequence.

Kernels do not keep them. A tracer stands beside a pass over a stack of layers, sees what each layer was told
and what it made, and works out in NumPy what was asked for, for all rows and many steps at once. A pass that
nothing is asked of has no tracer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from zoo.compiler.graph import Node
from zoo.compiler.intermediates import Intermediate
from zoo.compiler.meanings import lengths
from zoo.compiler.step_back import step_back
from zoo.errors import UsageError
from zoo.layers import stepwise
from zoo.layers.asking import Asked, Traces, chosen, gradients_traced, prefix_of, traceable, values_traced
from zoo.layers.layer import Array, Layer, LayerTape
from zoo.layers.stack import Weights
from zoo.layers.unrolled import Unrolled, Values

Part = tuple[slice, slice]
"""Some steps and some rows."""


class _Traced:
    """What is asked of one layer.

    Args:
        layer: The layer.
        arrays: Its parameters and buffers.
        names: What is asked for.
        front: ``T`` and ``B`` of the whole sequence.
    """

    def __init__(
        self, layer: Layer, arrays: Sequence[Array], names: Sequence[str], front: tuple[int, int]
    ) -> None:
        self.layer, self.arrays, self.names = layer, tuple(arrays), names
        known = traceable(layer.cell)
        self.values = {name: value for name in names if (value := known[name]) is not None}
        self.unrolled = Unrolled(layer, arrays) if self.values else None
        self.nodes = {name: self._nodes(name, value) for name, value in self.values.items()}
        self.found = {name: self._allocate(name, front) for name in names}

    def _nodes(self, name: str, value: Intermediate) -> tuple[Node, ...]:
        """What stands for a value; of complex numbers for either part."""
        raise NotImplementedError

    def _allocate(self, name: str, front: tuple[int, int]) -> Array:
        """Where a value goes, ``(T, B, ...)``; one that depends on parameters alone is stored once."""
        dtype = self.arrays[0].dtype
        if self.unrolled is None:
            return np.empty((*front, *self.layer.states[prefix_of(self.layer) + name]), dtype)
        value, numbers = self.values[name], self.unrolled.numbers
        planes = (2,) if len(value.parts) > 1 else ()
        shape = (*front, *planes, *lengths(value.shape, numbers.sizes))
        if value.varies:
            return np.empty(shape, dtype)
        parts = numbers.work(self.nodes[name], ())({})
        return np.broadcast_to(np.stack(parts) if planes else parts[0], shape)

    def _write(self, names: Sequence[str], values: Values, part: Part) -> None:
        """Write values, which come some steps at a time; complex ones as two planes, as they are stored."""
        for inner, arrays in values:
            when, waiting = slice(part[0].start + inner.start, part[0].start + inner.stop), iter(arrays)
            for name in names:
                out, planes = self.found[name][when, part[1]], len(self.nodes[name])
                for plane in range(planes):
                    (out[:, :, plane] if planes > 1 else out)[...] = next(waiting)


class _Values(_Traced):
    """Values, taken up after the layer's forward pass."""

    def _nodes(self, name: str, value: Intermediate) -> tuple[Node, ...]:  # noqa: ARG002
        return value.parts

    def take(self, tape: LayerTape, y: Array, part: Part) -> None:
        """Take up some steps of some rows."""
        states = [name for name in self.names if name in self.layer.cell.states]
        others = [name for name, value in self.values.items() if name not in states and value.varies]
        if self.unrolled is None:
            courses = stepwise.states_after(self.layer, self.arrays, tape)
        else:
            courses = self.unrolled.after(states, tape, y)
        for name in states:
            self.found[name][part] = courses[name]
        if others and self.unrolled is not None:
            nodes = [node for name in others for node in self.nodes[name]]
            self._write(others, self.unrolled.values(nodes, tape, y), part)


class _Gradients(_Traced):
    """Gradients of values, taken up before the layer's backward pass."""

    def _nodes(self, name: str, value: Intermediate) -> tuple[Node, ...]:
        back = step_back(self.layer.cell)
        found = [back.of(each) for each in value.parts]
        nodes = tuple(node for node in found if node is not None)
        if len(nodes) < len(found) or not value.varies:
            raise UsageError(
                f"{self.layer.cell.label()}: trace_grads asks for {prefix_of(self.layer) + name!r}, which "
                f"has no gradient at each step: it depends on parameters alone, counts in whole numbers, or "
                f"reaches no output. Leave it out."
            )
        return nodes

    def take(self, tape: LayerTape, dy: Array, dlast: Sequence[Array], part: Part) -> None:
        """Take up some steps of some rows."""
        if self.unrolled is not None:
            nodes = [node for name in self.names for node in self.nodes[name]]
            self._write(self.names, self.unrolled.gradients(nodes, tape, dy, dlast), part)
            return
        gradients = stepwise.gradients_after(self.layer, self.arrays, tape, dy, dlast)
        for name in self.names:
            self.found[name][part] = gradients[name]


class ValueTracer:
    """Takes up the values that are asked for while the layers go through parts of the batch.

    Args:
        layers: The layers.
        weights: The arrays of each.
        asked: What to trace.
        front: ``T`` and ``B`` of the whole sequence.

    Raises:
        UnknownNameError: if there is no such value.
        UsageError: if what is asked for is neither a name nor names.
    """

    def __init__(
        self, layers: Sequence[Layer], weights: Weights, asked: Asked, front: tuple[int, int]
    ) -> None:
        each = zip(layers, weights, chosen(layers, asked, "trace"), strict=True)
        self._traced = {
            prefix_of(layer): _Values(layer, arrays, names, front) for layer, arrays, names in each if names
        }

    def watch(self, steps: slice, rows: slice) -> Callable[[Layer, LayerTape, Array], None]:
        """What sees the layers go through some steps of some rows."""

        def see(layer: Layer, tape: LayerTape, y: Array) -> None:
            if (traced := self._traced.get(prefix_of(layer))) is not None:
                traced.take(tape, y, (steps, rows))

        return see

    def traces(self) -> Traces:
        """What was asked for, ``(T, B, ...)``, once the pass is through."""
        return values_traced(_named(self._traced))


class GradientTracer:
    """Takes up the gradients that are asked for while the layers go back through parts of the batch.

    Args:
        layers: The layers.
        weights: The arrays of each.
        asked: Of what to trace the gradients; True for all states.
        front: ``T`` and ``B`` of the whole sequence.

    Raises:
        UnknownNameError: if there is no such value.
        UsageError: if what is asked for is neither a name nor names, or has no gradient.
    """

    def __init__(
        self, layers: Sequence[Layer], weights: Weights, asked: Asked, front: tuple[int, int]
    ) -> None:
        names = (
            [_states(layer) for layer in layers] if asked is True else chosen(layers, asked, "trace_grads")
        )
        self._traced = {
            prefix_of(layer): _Gradients(layer, arrays, each, front)
            for layer, arrays, each in zip(layers, weights, names, strict=True)
            if each
        }

    def watch(self, steps: slice, rows: slice) -> Callable[[Layer, LayerTape, Array, Sequence[Array]], None]:
        """What sees the layers go back through some steps of some rows."""

        def see(layer: Layer, tape: LayerTape, dy: Array, dlast: Sequence[Array]) -> None:
            if (traced := self._traced.get(prefix_of(layer))) is not None:
                traced.take(tape, dy, dlast, (steps, rows))

        return see

    def traces(self) -> Traces:
        """What was asked for, ``(T, B, ...)``, once the pass is through."""
        return gradients_traced(_named(self._traced))


def _states(layer: Layer) -> list[str]:
    """The states that have a gradient."""
    return [name for name, state in layer.cell.states.items() if not state.discrete]


def _named(traced: Mapping[str, _Traced]) -> dict[str, Array]:
    return {prefix + name: found for prefix, each in traced.items() for name, found in each.found.items()}
