"""The step of a direction as a map from states to states, its derivative, and its trajectories.

A state vector holds the elements of all states in the order of declaration, in float64. Discrete states are
not part of it: they are inputs of the map. For a cell with kernels and no step, the map calls the kernels
with sequences of one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.analysis.target import AnalysisTarget, arrays_of, layer_of, run
from zoo.array_types import Array, Arrays
from zoo.compiler import kernels_of
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.passes.autodiff import step_vjp
from zoo.errors import UsageError
from zoo.layers.direction import Direction, DirectionParams, DirectionTape
from zoo.layers.replay import input_as_needed
from zoo.layers.states import GivenState
from zoo.layers.tracing import cell_trace_values


@dataclass(frozen=True)
class StepInputs:
    """The inputs of a step that are held fixed. All share the leading axes.

    Args:
        x: Floats ``(..., I)`` or tokens ``(...)``.
        inputs: Auxiliary inputs.
        discrete: Discrete states by name.
    """

    x: Array
    inputs: tuple[Array, ...]
    discrete: Mapping[str, Array]

    def map(self, function: Callable[[Array], Array]) -> StepInputs:
        """Apply a function to every array."""
        discrete = {name: function(value) for name, value in self.discrete.items()}
        return StepInputs(function(self.x), tuple(map(function, self.inputs)), discrete)


class StateMap:
    """The map of one direction.

    Args:
        target: A ``zoo.Recurrent`` or a model.
        layer: The direction.

    Attributes:
        slices: Slice of the vector of each state, by its full name.
        size: ``S``, the length of a vector.

    Raises:
        UsageError: if all states of the layer are discrete.
    """

    def __init__(self, target: AnalysisTarget, layer: Direction) -> None:
        self.layer, self.cell = layer, layer.cell
        self.arrays = tuple(np.asarray(each, np.float64) for each in arrays_of(target, layer))
        shapes = dict(zip(self.cell.states, layer.states.values(), strict=True))
        self.shapes = {name: shape for name, shape in shapes.items() if not self.cell.states[name].discrete}
        if not self.shapes:
            raise UsageError(
                f"{self.cell.label()} has discrete states only, which have no derivative; analyse a layer "
                "with a continuous state."
            )
        self.slices, self.size = dict[str, slice](), 0
        for name, shape in self.shapes.items():
            self.slices[layer.prefix + name] = slice(self.size, self.size + math.prod(shape))
            self.size += math.prod(shape)

    def split(self, vectors: Array) -> dict[str, Array]:
        """States in vectors ``(..., S)``, by the names of the cell."""
        parts = zip(self.shapes.items(), self.slices.values(), strict=True)
        return {
            name: vectors[..., index].reshape(*vectors.shape[:-1], *shape) for (name, shape), index in parts
        }

    def join(self, states: Sequence[Array], leading: tuple[int, ...]) -> Array:
        """Vectors ``(*leading, S)`` of states."""
        spread = [
            np.broadcast_to(state, (*leading, *shape)).reshape(*leading, math.prod(shape))
            for state, shape in zip(states, self.shapes.values(), strict=True)
        ]
        return np.concatenate(spread, axis=-1)

    def step(self, step_inputs: StepInputs, vectors: Array) -> Array:
        """States after a step, ``(..., S)``."""
        raise NotImplementedError

    def vjp(self, step_inputs: StepInputs, vectors: Array, seeds: Array) -> Array:
        """Products of vectors ``(K, ..., S)`` and the Jacobian ``d after / d before``, ``(K, ..., S)``."""
        raise NotImplementedError

    def jacobian(self, step_inputs: StepInputs, vectors: Array) -> Array:
        """``d after / d before``, ``(..., S, S)``: rows are states after the step, columns states before."""
        leading = vectors.shape[:-1]
        units = np.eye(self.size).reshape(self.size, *[1] * len(leading), self.size)
        return np.moveaxis(self.vjp(step_inputs, vectors, units), 0, -2)


class EquationStateMap(StateMap):
    """The map of a cell with a ``step``."""

    def __init__(self, target: AnalysisTarget, layer: Direction) -> None:
        super().__init__(target, layer)
        self.step_graph, self.vjp_graph = step_graph_of(self.cell), step_vjp(self.cell, with_output=False)
        leaves = (*self.step_graph.params.values(), *self.step_graph.buffers.values())
        sizes = {"I": layer.input_size, "H": layer.hidden_size}
        self.interpreter = GraphInterpreter(
            dict(zip(leaves, self.arrays, strict=True)), sizes, np.dtype(np.float64)
        )
        self._after = [self.step_graph.new_states[name] for name in self.shapes]
        self._before = [self.vjp_graph.dstate_in[name] for name in self.shapes]
        seeds = [self.vjp_graph.dstate_out[name] for name in self.shapes]
        known = [self.step_graph.x, *self.step_graph.inputs.values(), *self.step_graph.states.values()]
        self._forward = self.interpreter.prepare(self._after, known)
        self._backward = self.interpreter.prepare(self._before, [*known, *seeds])

    def step(self, step_inputs: StepInputs, vectors: Array) -> Array:
        """As in :class:`StateMap`."""
        return self.join(
            self._forward(self._leaf_values(step_inputs, vectors, self._after)), vectors.shape[:-1]
        )

    def vjp(self, step_inputs: StepInputs, vectors: Array, seeds: Array) -> Array:
        """As in :class:`StateMap`."""
        leaves = {self.vjp_graph.dstate_out[name]: value for name, value in self.split(seeds).items()}
        gradients = self._backward(self._leaf_values(step_inputs, vectors, self._before) | leaves)
        return self.join(gradients, (len(seeds), *vectors.shape[:-1]))

    def _leaf_values(self, step_inputs: StepInputs, vectors: Array, nodes: Sequence[Any]) -> dict[Any, Array]:
        states = {**self.split(vectors), **step_inputs.discrete}
        values = {self.step_graph.states[name]: value for name, value in states.items()}
        values |= dict(zip(self.step_graph.inputs.values(), step_inputs.inputs, strict=True))
        return values | {
            self.step_graph.x: input_as_needed(self.step_graph, nodes, step_inputs.x, self.interpreter)
        }


class KernelStateMap(StateMap):
    """The map of a cell with kernels and no ``step``."""

    def step(self, step_inputs: StepInputs, vectors: Array) -> Array:
        """As in :class:`StateMap`."""
        _, after, _ = self._run(step_inputs, vectors.reshape(-1, self.size))
        return self._joined(after, vectors.shape)

    def vjp(self, step_inputs: StepInputs, vectors: Array, seeds: Array) -> Array:
        """As in :class:`StateMap`."""
        shape = (len(seeds), *vectors.shape)
        spread = step_inputs.map(lambda value: np.broadcast_to(value, (len(seeds), *value.shape)))
        y, after, tape = self._run(spread, np.broadcast_to(vectors, shape).reshape(-1, self.size))
        parts = self.split(np.broadcast_to(seeds, shape).reshape(-1, self.size))
        dfinal = {
            full: np.ascontiguousarray(parts[name]) if name in parts else np.zeros_like(after[full])
            for name, full in zip(self.cell.states, self.layer.states, strict=True)
        }
        _, dinitial, _ = self.layer.backward(
            DirectionParams(self.arrays), tape, np.zeros_like(y), dfinal, needs_dx=False
        )
        return self._joined(dinitial, shape)

    def _joined(self, states: Arrays, shape: tuple[int, ...]) -> Array:
        """The differentiable states, as vectors."""
        own = [states[name] for name in self.slices]
        return self.join(own, (len(own[0]),)).reshape(shape)

    def _run(self, step_inputs: StepInputs, vectors: Array) -> tuple[Array, Arrays, DirectionTape]:
        """One step of many rows: outputs, states after it, and the tape."""
        rows, layer, own = len(vectors), self.layer, self.split(vectors)
        width = () if step_inputs.x.dtype.kind == "i" else (layer.input_size,)
        before = {
            full: np.ascontiguousarray(
                own[name] if name in own else step_inputs.discrete[name].reshape(rows, *shape)
            )
            for name, (full, shape) in zip(self.cell.states, layer.states.items(), strict=True)
        }
        inputs = tuple(
            np.ascontiguousarray(each.reshape(1, rows, *shape))
            for each, shape in zip(step_inputs.inputs, layer.inputs.values(), strict=True)
        )
        x = np.ascontiguousarray(step_inputs.x.reshape(1, rows, *width))
        return layer.forward(DirectionParams(self.arrays), x, before, inputs)


def state_map_of(target: AnalysisTarget, layer: int | str) -> StateMap:
    """The map of a layer.

    Raises:
        UsageError: if there is no such layer.
    """
    direction = layer_of(target, layer)
    has_step = None not in cell_trace_values(direction.cell).values()
    return EquationStateMap(target, direction) if has_step else KernelStateMap(target, direction)


def trajectory(
    target: AnalysisTarget,
    step: StateMap,
    x: Array,
    state: GivenState | None,
    aux: Mapping[str, ArrayLike] = MappingProxyType({}),
) -> tuple[StepInputs, Array]:
    """The inputs of every step and the states before it, ``(T, B, S)``, in the direction's order of time.

    Args:
        target: A ``zoo.Recurrent`` or a model.
        step: The map of the layer.
        x: Inputs of the first layer.
        state: States before the first step; zeros if None.
        aux: Auxiliary inputs by name.
    """
    layer = step.layer
    run_result = run(target, x, state, list(layer.states), aux)
    tape = run_result.tape_of(layer)
    after = [
        run_result.traces[name][::-1] if layer.reverse else run_result.traces[name] for name in layer.states
    ]
    before = {
        name: np.concatenate([first[None], values])[: len(x)].astype(np.float64)
        for name, first, values in zip(layer.cell.states, tape.state, after, strict=True)
    }
    discrete = {name: value for name, value in before.items() if name not in step.shapes}
    step_inputs = StepInputs(
        _as_float64(tape.x), tuple(each.astype(np.float64) for each in tape.inputs), discrete
    )
    return step_inputs, step.join([before[name] for name in step.shapes], x.shape[:2])


def check_smooth(step: StateMap, owner: str) -> None:
    """Check that the derivative of a cell is not a surrogate.

    Raises:
        UsageError: if it is.
    """
    if kernels_of(step.cell).surrogate:
        raise UsageError(
            f"{step.cell.label()}: {owner} needs the derivative of the step, and this cell trains by a "
            f"surrogate of it; choose another cell."
        )


def _as_float64(x: Array) -> Array:
    return x if x.dtype.kind == "i" else x.astype(np.float64)
