"""A layer's step as a map from states to states, and its derivative.

States are vectors here: the numbers of all states of a layer, one after the other in the order of
declaration, in float64. States that only hold whole numbers are left out; the map is told them.

The map of a layer whose cell brings kernels and states no step: sequences of one step, both ways.

The states that a layer goes through when inputs drive it, and the map from each to the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.analysis.target import Subject, arrays_of, layer_of, run
from zoo.compiler import kernels_of
from zoo.compiler.frontend.traceable_values import step_graph_of
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.passes.autodiff import step_vjp
from zoo.errors import UsageError
from zoo.layers.direction import Array, Arrays, Direction, DirectionTape
from zoo.layers.replay import input_as_needed
from zoo.layers.tracing import cell_trace_values


@dataclass(frozen=True)
class Told:
    """What a step is told beside the states that the map is about, each with the same axes in front.

    Args:
        x: Floats ``(..., I)`` or tokens ``(...)``.
        inputs: Inputs beside x.
        whole: States of whole numbers, by name.
    """

    x: Array
    inputs: tuple[Array, ...]
    whole: Mapping[str, Array]

    def map(self, function: Callable[[Array], Array]) -> Told:
        """The same with a function applied to every array."""
        whole = {name: function(value) for name, value in self.whole.items()}
        return Told(function(self.x), tuple(map(function, self.inputs)), whole)


class StepMap:
    """The map of one layer.

    Args:
        subject: A ``zoo.Recurrent`` or a model.
        layer: Which layer.

    Attributes:
        places: Where each state lies in a vector, by its full name.
        size: ``S``, the length of a vector.

    Raises:
        UsageError: if all states of the layer are discrete.
    """

    def __init__(self, subject: Subject, layer: Direction) -> None:
        self.layer, self.cell = layer, layer.cell
        self.arrays = tuple(np.asarray(each, np.float64) for each in arrays_of(subject, layer))
        shapes = dict(zip(self.cell.states, layer.states.values(), strict=True))
        self.shapes = {name: shape for name, shape in shapes.items() if not self.cell.states[name].discrete}
        if not self.shapes:
            raise UsageError(
                f"{self.cell.label()} has discrete states only, which have no derivative; analyse a layer "
                "with a continuous state."
            )
        self.places, self.size = dict[str, slice](), 0
        for name, shape in self.shapes.items():
            self.places[layer.prefix + name] = slice(self.size, self.size + math.prod(shape))
            self.size += math.prod(shape)

    def split(self, vectors: Array) -> dict[str, Array]:
        """The states in vectors ``(..., S)``, by the names that the cell has for them."""
        parts = zip(self.shapes.items(), self.places.values(), strict=True)
        return {
            name: vectors[..., place].reshape(*vectors.shape[:-1], *shape) for (name, shape), place in parts
        }

    def join(self, states: Sequence[Array], front: tuple[int, ...]) -> Array:
        """States as vectors ``(*front, S)``."""
        spread = [
            np.broadcast_to(state, (*front, *shape)).reshape(*front, math.prod(shape))
            for state, shape in zip(states, self.shapes.values(), strict=True)
        ]
        return np.concatenate(spread, axis=-1)

    def step(self, told: Told, vectors: Array) -> Array:
        """States after a step, ``(..., S)``."""
        raise NotImplementedError

    def pull_back(self, told: Told, vectors: Array, seeds: Array) -> Array:
        """Products of seeds ``(K, ..., S)`` and the derivative ``d after / d before``, ``(K, ..., S)``."""
        raise NotImplementedError

    def jacobian(self, told: Told, vectors: Array) -> Array:
        """``d after / d before``, ``(..., S, S)``: what becomes of each state (rows) by each (columns)."""
        front = vectors.shape[:-1]
        units = np.eye(self.size).reshape(self.size, *[1] * len(front), self.size)
        return np.moveaxis(self.pull_back(told, vectors, units), 0, -2)


class StatedMap(StepMap):
    """The map of a layer whose cell states its step."""

    def __init__(self, subject: Subject, layer: Direction) -> None:
        super().__init__(subject, layer)
        self.step_graph, self.back = step_graph_of(self.cell), step_vjp(self.cell, with_output=False)
        leaves = (*self.step_graph.params.values(), *self.step_graph.buffers.values())
        sizes = {"I": layer.input_size, "H": layer.hidden_size}
        self.numbers = GraphInterpreter(
            dict(zip(leaves, self.arrays, strict=True)), sizes, np.dtype(np.float64)
        )
        self._after = [self.step_graph.new_states[name] for name in self.shapes]
        self._before = [self.back.dstate_in[name] for name in self.shapes]
        seeds = [self.back.dstate_out[name] for name in self.shapes]
        known = [self.step_graph.x, *self.step_graph.inputs.values(), *self.step_graph.states.values()]
        self._forward = self.numbers.compile(self._after, known)
        self._backward = self.numbers.compile(self._before, [*known, *seeds])

    def step(self, told: Told, vectors: Array) -> Array:
        """As declared."""
        return self.join(self._forward(self._given(told, vectors, self._after)), vectors.shape[:-1])

    def pull_back(self, told: Told, vectors: Array, seeds: Array) -> Array:
        """As declared."""
        leaves = {self.back.dstate_out[name]: value for name, value in self.split(seeds).items()}
        found = self._backward(self._given(told, vectors, self._before) | leaves)
        return self.join(found, (len(seeds), *vectors.shape[:-1]))

    def _given(self, told: Told, vectors: Array, nodes: Sequence[Any]) -> dict[Any, Array]:
        states = {**self.split(vectors), **told.whole}
        given = {self.step_graph.states[name]: value for name, value in states.items()}
        given |= dict(zip(self.step_graph.inputs.values(), told.inputs, strict=True))
        return given | {self.step_graph.x: input_as_needed(self.step_graph, nodes, told.x, self.numbers)}


class KernelMap(StepMap):
    """The map of such a layer."""

    def step(self, told: Told, vectors: Array) -> Array:
        """As declared."""
        _, after, _ = self._run(told, vectors.reshape(-1, self.size))
        return self._joined(after, vectors.shape)

    def pull_back(self, told: Told, vectors: Array, seeds: Array) -> Array:
        """As declared."""
        shape = (len(seeds), *vectors.shape)
        spread = told.map(lambda value: np.broadcast_to(value, (len(seeds), *value.shape)))
        y, after, tape = self._run(spread, np.broadcast_to(vectors, shape).reshape(-1, self.size))
        parts = self.split(np.broadcast_to(seeds, shape).reshape(-1, self.size))
        dlast = {
            full: np.ascontiguousarray(parts[name]) if name in parts else np.zeros_like(after[full])
            for name, full in zip(self.cell.states, self.layer.states, strict=True)
        }
        _, dbefore, _ = self.layer.backward(self.arrays, tape, np.zeros_like(y), dlast)
        return self._joined(dbefore, shape)

    def _joined(self, states: Arrays, shape: tuple[int, ...]) -> Array:
        """The states that the map is about, as vectors."""
        own = [states[name] for name in self.places]
        return self.join(own, (len(own[0]),)).reshape(shape)

    def _run(self, told: Told, vectors: Array) -> tuple[Array, Arrays, DirectionTape]:
        """One step of many rows: outputs, states after it, and the tape."""
        rows, layer, own = len(vectors), self.layer, self.split(vectors)
        width = () if told.x.dtype.kind == "i" else (layer.input_size,)
        before = {
            full: np.ascontiguousarray(own[name] if name in own else told.whole[name].reshape(rows, *shape))
            for name, (full, shape) in zip(self.cell.states, layer.states.items(), strict=True)
        }
        inputs = tuple(
            np.ascontiguousarray(each.reshape(1, rows, *shape))
            for each, shape in zip(told.inputs, layer.inputs.values(), strict=True)
        )
        x = np.ascontiguousarray(told.x.reshape(1, rows, *width))
        return layer.forward(self.arrays, x, before, inputs)


def step_map(subject: Subject, layer: int | str) -> StepMap:
    """The map of a layer.

    Raises:
        UsageError: if there is no such layer.
    """
    found = layer_of(subject, layer)
    is_stated = None not in cell_trace_values(found.cell).values()
    return StatedMap(subject, found) if is_stated else KernelMap(subject, found)


def trajectory(
    subject: Subject, step: StepMap, x: Array, state: Mapping[str, Any] | None
) -> tuple[Told, Array]:
    """What a layer is told at every step, and its states before it, ``(T, B, S)``, in its own order of time.

    Args:
        subject: A ``zoo.Recurrent`` or a model.
        step: The map of the layer.
        x: Inputs of the first layer.
        state: States before the first step; zeros if None.
    """
    layer = step.layer
    done = run(subject, x, state, list(layer.states))
    tape = done.tape_of(layer)
    after = [done.traces[name][::-1] if layer.reverse else done.traces[name] for name in layer.states]
    before = {
        name: np.concatenate([first[None], course])[: len(x)].astype(np.float64)
        for name, first, course in zip(layer.cell.states, tape.state, after, strict=True)
    }
    whole = {name: value for name, value in before.items() if name not in step.shapes}
    told = Told(_as_float64(tape.x), tuple(each.astype(np.float64) for each in tape.inputs), whole)
    return told, step.join([before[name] for name in step.shapes], x.shape[:2])


def check_smooth(step: StepMap, who: str) -> None:
    """Refuse a layer whose derivative, on purpose, is not that of its step.

    Raises:
        UsageError: if it is such a layer.
    """
    if kernels_of(step.cell).surrogate:
        raise UsageError(
            f"{step.cell.label()}: {who} needs the derivative of the step, and this cell trains by a "
            f"surrogate of it; choose another cell."
        )


def _as_float64(x: Array) -> Array:
    return x if x.dtype.kind == "i" else x.astype(np.float64)
