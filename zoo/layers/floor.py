"""One floor of a stack: a layer or two, and how what is below comes in and what is above gets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zoo.contracts import Cell
from zoo.layers.along import WayTape, Weights, along, back_along
from zoo.layers.course import Course
from zoo.layers.layer import Array, Arrays, Layer, LayerTape
from zoo.layers.lengths import turned


class Told(NamedTuple):
    """What a floor is told beside its input.

    Args:
        inputs: For each layer the inputs that its cell declares, in the order of declaration.
        mask: What the input is multiplied by, ``(T, B, ·)``; None to leave it as it is.
    """

    inputs: list[tuple[Array, ...]]
    mask: Array | None = None


class FloorTape(NamedTuple):
    """What the way back through a floor needs.

    Args:
        course: How the time of each layer was cut, if it was.
        mask: What the input was multiplied by, if by anything.
        ways: The tape of each layer.
    """

    course: Course | None
    mask: Array | None
    ways: list[WayTape | LayerTape]


@dataclass(frozen=True)
class Floor:
    """A layer, or one for each direction of time: ``y = layer(mask x)``, or ``y = x + layer(mask x)``.

    Args:
        layers: The layer, and the one that reads backwards if there is one.
        is_residual: Whether the input is added to the output.
    """

    layers: tuple[Layer, ...]
    is_residual: bool

    @property
    def index(self) -> int:
        """Place in the stack, from 0."""
        return self.layers[0].index

    @property
    def input_size(self) -> int:
        """Features of the input."""
        return self.layers[0].input_size

    @property
    def output_size(self) -> int:
        """Features of the output: those of each layer, one behind the other."""
        return sum(layer.output_size for layer in self.layers)

    def forward(
        self, weights: list[Weights], x: Array, state: Mapping[str, Array], told: Told, course: Course | None
    ) -> tuple[Array, Arrays, FloorTape]:
        """Outputs ``(T, B, ·)``, the states of each row at its end, and the tape."""
        lengths = course.lengths if course else None
        seen = x if told.mask is None else x * told.mask
        outputs, ways = [], []
        last: Arrays = {}
        for layer, arrays, inputs in zip(self.layers, weights, told.inputs, strict=True):
            given = turned(seen, lengths) if layer.reverse else seen
            y, after, way = along(layer, arrays, given, state, inputs, course)
            outputs.append(turned(y, lengths) if layer.reverse else y)
            ways.append(way)
            last |= after
        y = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
        return _sum(x, y) if self.is_residual else y, last, FloorTape(course, told.mask, ways)

    def backward(
        self, weights: list[Weights], tape: FloorTape, dy: Array, dlast: Mapping[str, Array]
    ) -> tuple[Array | None, Arrays, list[Array]]:
        """Gradients with respect to x (None for tokens), the first states, and the parameters."""
        lengths, parts = tape.course.lengths if tape.course else None, []
        dstate: Arrays = {}
        gradients: list[Array] = []
        for layer, arrays, way, dway in zip(self.layers, weights, tape.ways, self._split(dy), strict=True):
            given = turned(dway, lengths) if layer.reverse else dway
            dx, dbefore, found = back_along(layer, arrays, way, given, dlast)
            if dx is not None:
                parts.append(turned(dx, lengths) if layer.reverse else dx)
            dstate |= dbefore
            gradients += found
        return self._below(parts, tape.mask, dy), dstate, gradients

    def _split(self, dy: Array) -> list[Array]:
        """The part of each layer in the gradient of the output."""
        if len(self.layers) == 1:
            return [dy]
        return np.split(dy, [self.layers[0].output_size], axis=2)

    def _below(self, parts: list[Array], mask: Array | None, dy: Array) -> Array | None:
        """The gradient of the input, from what each layer adds to it; None for tokens."""
        if not parts:
            return None
        dx = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if mask is not None:
            dx = dx * mask
        return dx + dy if self.is_residual else dx


def build(
    cells: Sequence[Cell], input_size: int, hidden_size: int, bidirectional: bool, residual: bool
) -> list[Floor]:
    """Floors of these cells, each of which reads the output of the one below."""
    floors, size = [], input_size
    for index, cell in enumerate(cells):
        directions = (False, True) if bidirectional else (False,)
        layers = tuple([Layer(index, cell, size, hidden_size, reverse) for reverse in directions])
        output_size = sum(layer.output_size for layer in layers)
        floors.append(Floor(layers, residual and size == output_size))
        size = output_size
    return floors


def _sum(x: Array, y: Array) -> Array:
    """Both in a new array; tokens are one-hot rows, and rows of zeros behind their end, where they are -1."""
    return y + (x if x.ndim == 3 else x[..., np.newaxis] == np.arange(y.shape[2]))
