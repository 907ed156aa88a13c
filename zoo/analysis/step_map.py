"""A layer's step as a map from states to states, and its derivative.

States are vectors here: the numbers of all states of a layer, one after the other in the order of
declaration, in float64. States that only hold whole numbers are left out; the map is told them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.analysis.subject import Subject, arrays_of
from zoo.compiler.intermediates import equations_of
from zoo.compiler.numbers import Numbers
from zoo.compiler.step_back import step_back
from zoo.errors import UsageError
from zoo.layers.layer import Array, Layer
from zoo.layers.unrolled import as_read


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

    def __init__(self, subject: Subject, layer: Layer) -> None:
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

    def __init__(self, subject: Subject, layer: Layer) -> None:
        super().__init__(subject, layer)
        self.equations, self.back = equations_of(self.cell), step_back(self.cell, with_output=False)
        leaves = (*self.equations.params.values(), *self.equations.buffers.values())
        sizes = {"I": layer.input_size, "H": layer.hidden_size}
        self.numbers = Numbers(dict(zip(leaves, self.arrays, strict=True)), sizes, np.dtype(np.float64))
        self._after = [self.equations.after[name] for name in self.shapes]
        self._before = [self.back.dbefore[name] for name in self.shapes]
        seeds = [self.back.dafter[name] for name in self.shapes]
        known = [self.equations.x, *self.equations.inputs.values(), *self.equations.states.values()]
        self._forward = self.numbers.work(self._after, known)
        self._backward = self.numbers.work(self._before, [*known, *seeds])

    def step(self, told: Told, vectors: Array) -> Array:
        """As declared."""
        return self.join(self._forward(self._given(told, vectors, self._after)), vectors.shape[:-1])

    def pull_back(self, told: Told, vectors: Array, seeds: Array) -> Array:
        """As declared."""
        leaves = {self.back.dafter[name]: value for name, value in self.split(seeds).items()}
        found = self._backward(self._given(told, vectors, self._before) | leaves)
        return self.join(found, (len(seeds), *vectors.shape[:-1]))

    def _given(self, told: Told, vectors: Array, nodes: Sequence[Any]) -> dict[Any, Array]:
        states = {**self.split(vectors), **told.whole}
        given = {self.equations.states[name]: value for name, value in states.items()}
        given |= dict(zip(self.equations.inputs.values(), told.inputs, strict=True))
        return given | {self.equations.x: as_read(self.equations, nodes, told.x, self.numbers)}
