"""NumPy's functions that sum numbers or look for the largest, on symbolic arrays."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.compiler import structure
from zoo.compiler.blame import TraceError
from zoo.compiler.dims import as_dim
from zoo.compiler.extents import extent
from zoo.compiler.operands import guarded, normal_axes, normal_axis
from zoo.compiler.tracing import Traced
from zoo.compiler.ufuncs import root


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
            product = _last(_cumprod(a, each), each)
        else:
            parts = [Traced(structure.part(a.node, each, as_dim(i), as_dim(i + 1))) for i in range(length)]
            product = functools.reduce(operator.mul, parts)
        a = product if keepdims else np.squeeze(product, each)
    return a


def _last(a: Any, axis: int) -> Any:
    """The last entry along an axis, which stays."""
    length = a.dims[axis]
    return Traced(structure.part(a.node, axis, length - structure.ONE, length))


def _cumsum(a: Any, axis: Any = None) -> Any:
    a, axis = (np.ravel(a), 0) if axis is None else (a, normal_axis(axis, a.ndim))
    return guarded(structure.running_sum, a.node, axis)


def _cumprod(a: Any, axis: Any = None) -> Any:
    """A recurrence from the first entry: it divides by nothing, so that zeros have their derivative."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, normal_axis(axis, a.ndim))
    node = a.graph.number(a.node)
    shape, length = node.shape, node.shape[axis]
    if length == structure.ONE:
        return Traced(node)
    zeros = a.graph.constant(0.0, (*shape[:axis], length - structure.ONE, *shape[axis + 1 :]))
    first = structure.part(node, axis, as_dim(0), structure.ONE)
    return guarded(structure.recurrence, node, structure.concatenate([first, zeros], axis), axis)


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


REDUCING: dict[Any, Callable[..., Any]] = {
    np.all: _all,
    np.amax: _max,
    np.amin: _min,
    np.any: _any,
    np.cumprod: _cumprod,
    np.cumsum: _cumsum,
    np.dot: _dot,
    np.inner: _inner,
    np.linalg.norm: _norm,
    np.max: _max,
    np.mean: _mean,
    np.min: _min,
    np.outer: _outer,
    np.prod: _prod,
    np.std: _std,
    np.sum: _sum,
    np.var: _var,
}
"""By NumPy's function, with the arguments of NumPy's that can be compiled, under the same names."""
