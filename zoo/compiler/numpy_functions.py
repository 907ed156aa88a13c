"""NumPy's other functions on symbolic arrays: what moves, joins and sums numbers.

Each takes the arguments of NumPy's that it can compile, under the same names.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.compiler import structure
from zoo.compiler.blame import TraceError
from zoo.compiler.dims import Dim, as_dim
from zoo.compiler.extents import as_length, extent
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
    trace,
)
from zoo.compiler.tracing import Traced
from zoo.compiler.ufuncs import is_complex, is_truth, root
from zoo.contracts.names import did_you_mean


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy's on arguments of which one at least is symbolic.

    Raises:
        TraceError: if it is none that can be compiled.
    """
    if function not in _FUNCTIONS:
        raise TraceError(f"{called(function)} is not compiled; {_instead(function)}")
    operands = [*args, *kwargs.values(), *(args[0] if args and isinstance(args[0], list | tuple) else ())]
    if any(is_complex(each) for each in operands if not isinstance(each, list | tuple)):
        from zoo.compiler.complex_numbers import call_complex_function

        return call_complex_function(function, args, kwargs)
    implementation = _FUNCTIONS[function]
    signature = inspect.signature(implementation)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TraceError(
            f"{called(function)} is compiled as {function.__name__}{_plain(signature)}: {error}"
        ) from None
    return implementation(*args, **kwargs)


def called(function: Any) -> str:
    """How one writes a function of NumPy's."""
    return f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"


def _plain(signature: inspect.Signature) -> inspect.Signature:
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return inspect.Signature(bare)


def _instead(function: Any) -> str:
    """What to write in place of a function that is not compiled."""
    name = called(function)
    if name in _INSTEAD:
        return f"write {_INSTEAD[name]}"
    known = sorted({called(each).removeprefix("np.") for each in _FUNCTIONS})
    hint = did_you_mean(name.removeprefix("np."), known)
    return f"these are: {', '.join(known)}{'.' if hint else ''}{hint}"


_INSTEAD = {
    "np.append": "np.concatenate",
    "np.array_split": "np.split with the places to cut at",
    "np.average": "np.sum(a * weights)",
    "np.column_stack": "np.stack with axis=1",
    "np.cumprod": "np.exp(np.cumsum(np.log(a)))",
    "np.diag": "zoo.eye(n) * a",
    "np.diff": "a[1:] - a[:-1]",
    "np.einsum": "it with @, *, reshape and np.sum",
    "np.flip": "the entries in the other order when the parameters are made, or np.concatenate",
    "np.kron": "a[:, None] * b[None, :] and reshape",
    "np.linalg.inv": "the inverse as a zoo.Buffer made by its init",
    "np.pad": "np.concatenate with np.zeros_like",
    "np.round": "np.floor(a + 0.5)",
    "np.take": "a[i]",
    "np.tensordot": "it with @, reshape and swapaxes",
    "np.trace": "np.sum(a * zoo.eye(n))",
}


# What moves numbers.


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


# What sums, and what looks for the largest.


def _reduced(name: str, a: Any, axis: Any, keepdims: bool) -> Any:
    axes = normal_axes(axis, a.ndim)
    result = structure.reduce(a.node, name, axes)
    return Traced(structure.reshape(result, structure.with_ones(result.shape, axes)) if keepdims else result)


def _sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _reduced("sum", a, axis, keepdims)


def _max(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _reduced("max", a, axis, keepdims)


def _min(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return -_max(Traced(-a.graph.number(a.node)), axis, keepdims)


def _any(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _max(a != 0, axis, keepdims) > 0


def _all(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _max(a == 0, axis, keepdims) == 0


def _mean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    counted = [extent(a.graph, a.dims[each]) for each in normal_axes(axis, a.ndim)]
    return _sum(a, axis, keepdims) / math.prod(counted)


def _var(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    centred = a - _mean(a, axis, True)
    return _mean(centred * centred, axis, keepdims)


def _std(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return root(_var(a, axis, keepdims))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    is_vectors = x.ndim == 1 or isinstance(axis, int)
    if ord is not None and not (ord == 2 and is_vectors):
        raise TraceError(
            "np.linalg.norm is compiled for the Euclidean norm only; write np.sum(np.abs(x)) and the like"
        )
    return root(_sum(x * x, axis, keepdims))


def _prod(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    for each in reversed(normal_axes(axis, a.ndim)):
        length = a.dims[each].integer
        if length is None:
            raise TraceError(
                f"np.prod along an axis of length {a.dims[each]} is not compiled; write "
                "np.exp(np.sum(np.log(a)))"
            )
        parts = [Traced(structure.part(a.node, each, as_dim(i), as_dim(i + 1))) for i in range(length)]
        product = functools.reduce(operator.mul, parts)
        a = product if keepdims else _squeeze(product, each)
    return a


def _cumsum(a: Any, axis: Any = None) -> Any:
    a, axis = (_ravel(a), 0) if axis is None else (a, normal_axis(axis, a.ndim))
    return guarded(structure.running_sum, a.node, axis)


# The rest.


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if a_min is not None else min, a_max if a_max is not None else max
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _where(condition: Any, x: Any, y: Any) -> Any:
    if is_truth(x) and is_truth(y):
        return np.logical_and(condition, x) | np.logical_and(np.logical_not(condition), y)
    return trace("where", condition, x, y)


def _full_like(a: Any, fill_value: Any) -> Any:
    return guarded(a.graph.broadcast, as_node(fill_value, a.graph), a.dims)


def _dot(a: Any, b: Any) -> Any:
    if 0 in (np.ndim(a), np.ndim(b)):
        return a * b
    if np.ndim(b) > 2:
        raise TraceError("np.dot with an array of more than two axes is not compiled; write @")
    return a @ b


def _inner(a: Any, b: Any) -> Any:
    if (np.ndim(a), np.ndim(b)) != (1, 1):
        raise TraceError("np.inner is compiled for vectors; write a @ b.T")
    return a @ b


def _outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.all: _all,
    np.any: _any,
    np.broadcast_to: _broadcast_to,
    np.clip: _clip,
    np.concatenate: _concatenate,
    np.copy: lambda a: a,
    np.cumsum: _cumsum,
    np.dot: _dot,
    np.expand_dims: _expand_dims,
    np.full_like: _full_like,
    np.hstack: _hstack,
    np.imag: lambda val: val.imag,
    np.inner: _inner,
    np.linalg.norm: _norm,
    np.amax: _max,
    np.amin: _min,
    np.max: _max,
    np.mean: _mean,
    np.min: _min,
    np.moveaxis: _moveaxis,
    np.ndim: lambda a: a.ndim,
    np.ones_like: lambda a: _full_like(a, 1.0),
    np.outer: _outer,
    np.prod: _prod,
    np.ravel: _ravel,
    np.real: lambda val: val.real,
    np.repeat: _repeat,
    np.reshape: _reshape,
    np.roll: _roll,
    np.shape: lambda a: a.shape,
    np.size: lambda a: a.size,
    np.split: _split,
    np.squeeze: _squeeze,
    np.stack: _stack,
    np.std: _std,
    np.sum: _sum,
    np.swapaxes: _swapaxes,
    np.tile: _tile,
    np.transpose: _transpose,
    np.var: _var,
    np.vstack: _vstack,
    np.where: _where,
    np.zeros_like: lambda a: _full_like(a, 0.0),
}
"""By NumPy's function; ``np.where`` and the like reach them through ``__array_function__``."""
