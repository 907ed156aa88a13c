"""Basic indexing: integers, slices of step one, None and the ellipsis."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.compiler import structure
from zoo.compiler.blame import TraceError
from zoo.compiler.dims import Dim, as_dim
from zoo.compiler.extents import Extent, as_length, kind_of
from zoo.compiler.graph import Node, Shape, text
from zoo.compiler.operands import guarded
from zoo.compiler.tracing import Traced


def indexed(array: Traced, key: Any) -> Traced:
    """``array[key]``.

    Raises:
        TraceError: if it is more than basic indexing, or beyond the array.
    """
    node = array.node
    keys = _with_ellipsis(list(key) if isinstance(key, tuple) else [key], node)
    place = next(i for i, each in enumerate(keys) if each is Ellipsis)
    rest = node.ndim - sum(each is not None for each in keys) + 1
    keys[place : place + 1] = [slice(None)] * rest
    axis, kept = 0, []
    for each in keys:
        if each is None:
            kept.append(structure.ONE)
            continue
        node, lengths = _taken(node, axis, each)
        kept += lengths
        axis += 1
    return guarded(structure.reshape, node, tuple(kept))


def _with_ellipsis(keys: list[Any], node: Node) -> list[Any]:
    """Keys with one ellipsis among them, at the end if there is none."""
    ellipses = sum(each is Ellipsis for each in keys)
    if ellipses > 1:
        raise TraceError("an index can have one `...` only")
    taken = sum(each is not None and each is not Ellipsis for each in keys)
    if taken > node.ndim:
        raise TraceError(
            f"{taken} indices into an array of shape {text(node.shape)}; a step sees one row, without the "
            "axes of time and batch"
        )
    return keys if ellipses else [*keys, Ellipsis]


def _taken(node: Node, axis: int, key: Any) -> tuple[Node, Shape]:
    """One axis indexed: the narrower node, and the lengths that remain of the axis."""
    whole = node.shape[axis]
    if isinstance(key, slice):
        node = structure.stride(node, axis, *_places(key, whole))
        return node, (node.shape[axis],)
    if isinstance(key, bool) or not isinstance(key, int | np.integer | Extent):
        raise TraceError(
            f"found {kind_of(key)} as an index; expected integers, slices, None or `...` (a choice made by "
            "numbers is written np.where)"
        )
    start = bound(key, whole)
    if start == whole:
        raise _beyond(key, whole)
    return structure.part(node, axis, start, start + structure.ONE), ()


def _places(key: slice, whole: Dim) -> tuple[Dim, Dim, Dim]:
    """Where a slice begins, its step, and how many entries it has."""
    step = 1 if key.step is None else key.step
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or not step:
        raise TraceError(f"the step of a slice is {step!r}; expected an integer other than zero")
    ends = (as_dim(0), whole) if step > 0 else (whole - structure.ONE, as_dim(-1))
    start, stop = (
        end if value is None else bound(value, whole)
        for value, end in zip((key.start, key.stop), ends, strict=True)
    )
    if step < 0 and start == whole:
        raise _beyond(key.start, whole)
    span = stop - start if step > 0 else start - stop
    if 1 not in span.signs() and stop != start:
        raise TraceError(f"the slice from {start} to {stop} of an axis of length {whole} is empty")
    return start, as_dim(int(step)), span.ceil_divide(abs(int(step)))


def bound(value: Any, whole: Dim) -> Dim:
    """A place along an axis, counted from the front; beyond the axis only if I and H decide.

    Raises:
        TraceError: if it lies beyond the axis for every I and H.
    """
    place = as_length(value)
    if place.signs() == {-1}:
        place = whole + place
    if place.signs() == {-1} or (whole - place).signs() == {-1}:
        raise _beyond(value, whole)
    return place


def _beyond(value: Any, whole: Dim) -> TraceError:
    return TraceError(f"index {value} lies beyond an axis of length {whole}")
