"""NumPy's functions that move, repeat, join and split numbers, on symbolic arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.compiler import structure
from zoo.compiler.blame import TraceError
from zoo.compiler.dims import Dim, as_dim
from zoo.compiler.extents import as_length
from zoo.compiler.graph import text
from zoo.compiler.indexing import bound
from zoo.compiler.operands import (
    as_node,
    graph_of,
    guarded,
    nodes_of,
    normal_axes,
    normal_axis,
    resolve_shape,
)
from zoo.compiler.tracing import Traced


def _reshape(a: Any, shape: Any) -> Any:
    shape = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    return guarded(lambda: structure.reshape(a.node, resolve_shape(a.node, shape)))


def _ravel(a: Any) -> Any:
    return _reshape(a, -1)


def _transpose(a: Any, axes: Any = None) -> Any:
    ndim = a.ndim
    order = tuple(reversed(range(ndim))) if axes is None else tuple(normal_axis(each, ndim) for each in axes)
    if sorted(order) != list(range(ndim)):
        raise TraceError(f"axes {axes!r} are no order of {ndim} axes")
    return guarded(structure.transpose, a.node, order)


def _swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    order = list(range(a.ndim))
    i, j = normal_axis(axis1, a.ndim), normal_axis(axis2, a.ndim)
    order[i], order[j] = order[j], order[i]
    return guarded(structure.transpose, a.node, tuple(order))


def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    moved = normal_axis(source, a.ndim)
    order = [axis for axis in range(a.ndim) if axis != moved]
    order.insert(normal_axis(destination, a.ndim), moved)
    return guarded(structure.transpose, a.node, tuple(order))


def _expand_dims(a: Any, axis: Any) -> Any:
    places = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(places)
    return guarded(structure.reshape, a.node, structure.with_ones(a.dims, normal_axes(tuple(places), ndim)))


def _squeeze(a: Any, axis: Any = None) -> Any:
    axes = normal_axes(axis, a.ndim)
    if axis is not None and any(a.dims[each] != structure.ONE for each in axes):
        raise TraceError(f"axis {axis} of an array of shape {text(a.dims)} has not length 1")
    kept = tuple(dim for place, dim in enumerate(a.dims) if place not in axes or dim != structure.ONE)
    return guarded(structure.reshape, a.node, kept)


def _broadcast_to(array: Any, shape: Any) -> Any:
    shape = shape if isinstance(shape, list | tuple) else (shape,)
    graph = graph_of((array, *shape))
    return guarded(graph.broadcast, as_node(array, graph), tuple(as_length(each) for each in shape))


def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None and a.ndim > 1:
        return _reshape(_roll(_ravel(a), shift), a.shape)
    axis = normal_axis(0 if axis is None else axis, a.ndim)
    whole, moved = a.dims[axis], as_length(shift)
    if whole.integer is not None and moved.integer is not None:
        moved = as_dim(moved.integer % whole.integer)
    cut = as_dim(0) - moved if moved.signs() == {-1} else whole - moved
    back = structure.part(a.node, axis, cut, whole)
    front = structure.part(a.node, axis, as_dim(0), cut)
    return guarded(structure.concatenate, [back, front], axis)


def _flip(m: Any, axis: Any = None) -> Any:
    for each in normal_axes(axis, m.ndim):
        m = guarded(structure.flip, m.node, each)
    return m


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    a, axis = (_ravel(a), 0) if axis is None else (a, normal_axis(axis, a.ndim))
    return _spread(a, axis, axis + 1, as_length(repeats))


def _tile(A: Any, reps: Any) -> Any:
    reps = tuple(reps) if isinstance(reps, tuple | list) else (reps,)
    a = _reshape(A, (1,) * (len(reps) - A.ndim) + A.shape)
    for axis, times in enumerate((1,) * (a.ndim - len(reps)) + reps):
        a = _spread(a, axis, axis, as_length(times))
    return a


def _spread(a: Any, axis: int, place: int, times: Dim) -> Any:
    """An axis repeated: all of it if the copies get an axis in front, each entry if behind."""
    if times == structure.ONE:
        return a
    between = structure.with_ones(a.dims, (place,))
    wide = tuple(times if axis == place else dim for axis, dim in enumerate(between))
    copies = guarded(a.graph.broadcast, structure.reshape(a.node, between), wide)
    return guarded(
        structure.reshape, copies.node, (*a.dims[:axis], a.dims[axis] * times, *a.dims[axis + 1 :])
    )


# What joins and splits.


def _concatenate(arrays: Sequence[Any], axis: Any = 0) -> Any:
    if axis is None:
        return _concatenate([np.ravel(each) for each in arrays])
    nodes = nodes_of(arrays)
    return guarded(structure.concatenate, nodes, normal_axis(axis, nodes[0].ndim))


def _stack(arrays: Sequence[Any], axis: Any = 0) -> Any:
    nodes = nodes_of(arrays)
    shape = nodes[0].shape
    for node in nodes:
        if node.shape != shape:
            raise TraceError(f"arrays of shapes {text(shape)} and {text(node.shape)} cannot be stacked")
    place = normal_axis(axis, len(shape) + 1)
    wider = [structure.reshape(node, structure.with_ones(shape, (place,))) for node in nodes]
    return guarded(structure.concatenate, wider, place)


def _hstack(tup: Sequence[Any]) -> Any:
    nodes = nodes_of(tup)
    arrays = [guarded(structure.reshape, node, node.shape or (structure.ONE,)) for node in nodes]
    return _concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1)


def _vstack(tup: Sequence[Any]) -> Any:
    rows = [
        node if node.ndim > 1 else structure.reshape(node, (structure.ONE, *(node.shape or (structure.ONE,))))
        for node in nodes_of(tup)
    ]
    return _concatenate([Traced(row) for row in rows])


def _split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Any]:
    axis = normal_axis(axis, ary.ndim)
    places = _cuts(ary.dims[axis], indices_or_sections)
    return [guarded(structure.part, ary.node, axis, *pair) for pair in itertools.pairwise(places)]


def _cuts(whole: Dim, parts: Any) -> list[Dim]:
    """The places where an axis is cut, its ends included."""
    if isinstance(parts, list | tuple | np.ndarray):
        return [as_dim(0), *(bound(each, whole) for each in parts), whole]
    count = as_length(parts).integer
    if count is None or count < 1:
        raise TraceError(f"found {parts!r} parts to split into; expected a positive integer")
    step = whole.divide(as_dim(count))
    assert step is not None  # a number divides every length
    if not step.letters and step.integer is None:
        raise TraceError(f"an axis of length {whole} cannot be split into {count} equal parts")
    return [step * as_dim(number) for number in range(count + 1)]


ARRANGING: dict[Any, Callable[..., Any]] = {
    np.broadcast_to: _broadcast_to,
    np.concatenate: _concatenate,
    np.copy: lambda a: a,
    np.expand_dims: _expand_dims,
    np.flip: _flip,
    np.fliplr: lambda m: _flip(m, 1),
    np.flipud: lambda m: _flip(m, 0),
    np.hstack: _hstack,
    np.moveaxis: _moveaxis,
    np.ravel: _ravel,
    np.repeat: _repeat,
    np.reshape: _reshape,
    np.roll: _roll,
    np.split: _split,
    np.squeeze: _squeeze,
    np.stack: _stack,
    np.swapaxes: _swapaxes,
    np.tile: _tile,
    np.transpose: _transpose,
    np.vstack: _vstack,
}
"""By NumPy's function, with the arguments of NumPy's that can be compiled, under the same names."""
