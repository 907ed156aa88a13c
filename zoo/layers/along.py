"""One layer along a course: the kernels run piece by piece, and what they give is laid together again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from zoo.layers.course import Course, go
from zoo.layers.layer import Array, Arrays, Layer, LayerTape
from zoo.layers.segments import Segment, cut, go_back

Weights = tuple[Array, ...]


class WayTape(NamedTuple):
    """What a layer's way back along a course needs.

    Args:
        x: What the layer read.
        inputs: What it was told beside x.
        segments: Each piece of the course; rows are counted from the first of the shard.
    """

    x: Array
    inputs: tuple[Array, ...]
    segments: list[Segment]


def along(
    layer: Layer,
    weights: Weights,
    x: Array,
    state: Mapping[str, Array],
    inputs: tuple[Array, ...],
    course: Course | None,
) -> tuple[Array, Arrays, WayTape | LayerTape]:
    """Outputs, zero behind the end of a row; the states of each row at its end; and the tape.

    Without a course, all steps of all rows are run at once.
    """
    if course is None:
        return layer.forward(weights, x, state, inputs)
    parts: list[Array] = []

    def run(segment: Segment) -> tuple[Arrays, LayerTape]:
        y, after, tape = _forward(layer, weights, x, inputs, segment)
        parts.append(y)
        return after, tape

    before = {name: state[name] for name in layer.states}
    found, last = go(course, slice(0, x.shape[1]), before, run)
    return _laid(parts, found, x), last, WayTape(x, inputs, found)


def back_along(
    layer: Layer, weights: Weights, way: WayTape | LayerTape, dy: Array, dlast: Mapping[str, Array]
) -> tuple[Array | None, Arrays, list[Array]]:
    """Gradients with respect to x (None for tokens), the first states, and the parameters in their order."""
    if isinstance(way, LayerTape):
        dx, dbefore, gradients = layer.backward(weights, way, np.ascontiguousarray(dy), dlast)
        return dx if way.x.ndim == 3 else None, dbefore, gradients
    parts: list[Array] = []

    def back(segment: Segment, dafter: Arrays) -> tuple[Arrays, list[Array]]:
        tape = segment.tape or _forward(layer, weights, way.x, way.inputs, segment)[2]
        dx, dbefore, gradients = layer.backward(weights, tape, cut(dy, segment.steps, segment.rows), dafter)
        parts.insert(0, dx)
        return dbefore, gradients

    dstate, gradients = go_back(way.segments, {name: dlast[name] for name in layer.states}, back)
    return _laid(parts, way.segments, way.x) if way.x.ndim == 3 else None, dstate, gradients


def _forward(
    layer: Layer, weights: Weights, x: Array, inputs: tuple[Array, ...], segment: Segment
) -> tuple[Array, Arrays, LayerTape]:
    where = segment.steps, segment.rows
    told = tuple([cut(each, *where) for each in inputs])
    return layer.forward(weights, cut(x, *where), segment.state, told)


def _laid(parts: list[Array], segments: list[Segment], x: Array) -> Array:
    """Each part at its steps and rows, and zeros elsewhere; the part itself if it is all there is."""
    if parts[0].shape[:2] == x.shape[:2]:
        return parts[0]
    whole = np.zeros((*x.shape[:2], parts[0].shape[2]), parts[0].dtype)
    for part, segment in zip(parts, segments, strict=True):
        whole[segment.steps, segment.rows] = part
    return whole
