"""NumPy's functions of shapes, diagonals and joins on symbolic arrays, powers, and ``np.einsum``.

``np.einsum`` takes diagonals and sums, and makes one product for each operand after the first.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import (
    SymbolBase,
    SymbolicArray,
    SymbolicLength,
    as_index,
    as_length,
    as_node,
    graph_of,
    is_negative,
    make_symbolic,
    nodes_of,
    normal_axes,
    normal_axis,
    resolve_shape,
    unknown_length_error,
)
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, Dim, as_dim
from zoo.compiler.ir.graph import Graph, Level, format_shape
from zoo.compiler.ir.structural_ops import SIZE

ZERO = as_dim(0)


# Integer exponents up to this one become products.
LARGEST_POWER = 16


def literal_value(value: Any) -> float | None:
    """Return the number that an operand is; None if it is symbolic or an array."""
    if (
        isinstance(value, SymbolicArray | SymbolicLength)
        or np.ndim(value) > 0
        or np.asarray(value).dtype.kind not in "iuf"
    ):
        return None
    return float(value) if math.isfinite(value) else None


def integer_power(a: Any, exponent: Any) -> Any:
    """Return ``a ** exponent`` by repeated squaring, real or complex.

    Raises:
        TraceError: if the exponent is not a small integer.
    """
    number = literal_value(exponent)
    if number is None or number != int(number) or abs(number) > LARGEST_POWER:
        raise TraceError(
            f"powers of complex numbers are compiled for the exponents -{LARGEST_POWER} to {LARGEST_POWER}"
        )
    if number < 0:
        return 1.0 / integer_power(a, -number)
    if number < 2:
        return a if number else np.ones_like(a)
    half = integer_power(a, number // 2)
    return half * half * a if number % 2 else half * half


def safe_sqrt(square: Any) -> Any:
    """Return the square root of a sum of squares; where that is zero, its derivative is zero too."""
    is_zero = square == 0.0
    return np.where(is_zero, 0.0, np.sqrt(np.where(is_zero, 1.0, square)))


def arange(graph: Graph, length: Dim) -> SymbolicArray:
    """Return ``0, 1, 2, ...``."""
    return SymbolicArray(ops.cumsum(graph.constant(1.0, (length,)), 0) - 1.0)


def _diagonal_numbers(graph: Graph, rows: Dim, columns: Dim) -> Any:
    """``column - row`` of every entry of a matrix."""
    return arange(graph, columns) - np.reshape(arange(graph, rows), (-1, 1))


def _diag(v: Any, k: Any = 0) -> Any:
    if v.ndim not in (1, 2):
        raise TraceError(
            f"np.diag takes a vector or a matrix; found an array of shape {format_shape(v.dims)}"
        )
    if v.ndim == 2:
        return _diagonal(v, k)
    number = as_length(k)
    (length,) = v.dims
    is_above, distance = _diagonal_offset(number)
    zeros = [] if distance == ZERO else [SymbolicArray(v.graph.constant(0.0, (distance,)))]
    entries = np.concatenate([v, *zeros])
    whole = length + distance
    entries = np.reshape(entries, (-1, 1)) if is_above else entries
    return np.where(_diagonal_numbers(v.graph, whole, whole) == _as_scalar(v, number), entries, 0.0)


def _diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    if a.ndim < 2:
        raise TraceError(
            f"np.diagonal and np.trace take an array with at least two axes; found shape "
            f"{format_shape(a.dims)}"
        )
    first, second = normal_axis(axis1, a.ndim), normal_axis(axis2, a.ndim)
    if first == second:
        raise TraceError(f"a diagonal goes along two axes; found axis {first} twice")
    others = [axis for axis in range(a.ndim) if axis not in (first, second)]
    a = np.transpose(a, (*others, first, second))
    *lead, rows, columns = a.dims
    number = as_length(offset)
    is_above, distance = _diagonal_offset(number)
    start = distance if is_above else distance * columns
    length = _min_length(rows, columns - distance) if is_above else _min_length(rows - distance, columns)
    flat = make_symbolic(ops.reshape, a.node, (*lead, rows * columns))
    return make_symbolic(ops.strided_slice, flat.node, len(lead), start, columns + ONE, length)


def _diagonal_offset(number: Dim) -> tuple[bool, Dim]:
    """Whether a diagonal is the main one or above it, and its distance from the main one."""
    is_above = not is_negative(number)
    return is_above, number if is_above else ZERO - number


def _min_length(a: Dim, b: Dim) -> Dim:
    signs = (a - b).signs()
    if 1 not in signs:
        return a
    if -1 not in signs:
        return b
    raise TraceError(
        f"the length of a diagonal, {a} or {b}, depends on the sizes, and the equations are compiled once "
        "for every I and H; cut the matrix so that it is square"
    )


def _trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    return np.sum(_diagonal(a, offset, axis1, axis2), axis=-1)


def _as_scalar(a: Any, number: Dim) -> Any:
    return number.integer if number.integer is not None else SymbolicArray(a.graph.node(SIZE, attr=number))


def _triangle(is_kept: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A matrix, or a stack of matrices, with zeros on the diagonals that are not kept."""

    def function(m: Any, k: Any = 0) -> Any:
        if m.ndim == 0:
            raise TraceError("np.tril and np.triu take at least one axis; found a scalar")
        rows, columns = m.dims[-2:] if m.ndim > 1 else m.dims * 2
        return np.where(
            is_kept(_diagonal_numbers(m.graph, rows, columns), _as_scalar(m, as_length(k))), m, 0.0
        )

    return function


DIAGONAL_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.diag: _diag,
    np.diagonal: _diagonal,
    np.trace: _trace,
    np.tril: _triangle(lambda offsets, k: offsets <= k),
    np.triu: _triangle(lambda offsets, k: offsets >= k),
}
"""By NumPy's function, with those arguments of NumPy's that are compiled, under the same names."""


def _reshape(a: Any, shape: Any) -> Any:
    shape = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    return make_symbolic(lambda: ops.reshape(a.node, resolve_shape(a.node, shape)))


def _ravel(a: Any) -> Any:
    return _reshape(a, -1)


def _transpose(a: Any, axes: Any = None) -> Any:
    ndim = a.ndim
    order = tuple(reversed(range(ndim))) if axes is None else tuple(normal_axis(each, ndim) for each in axes)
    if sorted(order) != list(range(ndim)):
        raise TraceError(f"axes {axes!r} are no order of {ndim} axes")
    return make_symbolic(ops.transpose, a.node, order)


def _swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    order = list(range(a.ndim))
    i, j = normal_axis(axis1, a.ndim), normal_axis(axis2, a.ndim)
    order[i], order[j] = order[j], order[i]
    return make_symbolic(ops.transpose, a.node, tuple(order))


def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    moved = normal_axis(source, a.ndim)
    order = [axis for axis in range(a.ndim) if axis != moved]
    order.insert(normal_axis(destination, a.ndim), moved)
    return make_symbolic(ops.transpose, a.node, tuple(order))


def _expand_dims(a: Any, axis: Any) -> Any:
    new_axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(new_axes)
    return make_symbolic(ops.reshape, a.node, ops.with_ones(a.dims, normal_axes(tuple(new_axes), ndim)))


def _squeeze(a: Any, axis: Any = None) -> Any:
    axes = normal_axes(axis, a.ndim)
    if axis is None and any(_may_be_one(dim) for dim in a.dims):
        raise unknown_length_error(f"whether an axis of shape {format_shape(a.dims)} has length 1")
    if axis is not None and any(a.dims[each] != ONE for each in axes):
        raise TraceError(f"axis {axis} of an array of shape {format_shape(a.dims)} has not length 1")
    shape = tuple(dim for each, dim in enumerate(a.dims) if each not in axes or dim != ONE)
    return make_symbolic(ops.reshape, a.node, shape)


def _may_be_one(dim: Dim) -> bool:
    """Whether it depends on the values of options if a length is one."""
    return not dim.depends_on_layer and dim != ONE and 0 in (dim - ONE).signs()


def _broadcast_to(array: Any, shape: Any) -> Any:
    shape = shape if isinstance(shape, list | tuple) else (shape,)
    graph = graph_of((array, *shape))
    return make_symbolic(graph.broadcast, as_node(array, graph), tuple(as_length(each) for each in shape))


def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None and a.ndim > 1:
        return _reshape(_roll(_ravel(a), shift), a.shape)
    axis = normal_axis(0 if axis is None else axis, a.ndim)
    whole, moved = a.dims[axis], as_length(shift)
    if whole.integer is not None and moved.integer is not None:
        moved = as_dim(moved.integer % whole.integer)
    elif not whole.depends_on_layer and -1 in (whole - moved).signs() | (whole + moved).signs():
        raise unknown_length_error(f"{moved} % {whole}")
    cut = as_dim(0) - moved if is_negative(moved) else whole - moved
    back = ops.slice_axis(a.node, axis, cut, whole)
    front = ops.slice_axis(a.node, axis, as_dim(0), cut)
    return make_symbolic(ops.concatenate, [back, front], axis)


def _flip(m: Any, axis: Any = None) -> Any:
    for each in normal_axes(axis, m.ndim):
        m = make_symbolic(ops.flip, m.node, each)
    return m


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    a, axis = (_ravel(a), 0) if axis is None else (a, normal_axis(axis, a.ndim))
    return _repeat_axis(a, axis, axis + 1, as_length(repeats))


def _tile(A: Any, reps: Any) -> Any:
    reps = tuple(reps) if isinstance(reps, tuple | list) else (reps,)
    a = _reshape(A, (1,) * (len(reps) - A.ndim) + A.shape)
    for axis, times in enumerate((1,) * (a.ndim - len(reps)) + reps):
        a = _repeat_axis(a, axis, axis, as_length(times))
    return a


def _repeat_axis(a: Any, axis: int, new_axis: int, times: Dim) -> Any:
    """Repeat an axis: as a whole if the new axis is in front of it, each entry if behind."""
    if times == ONE:
        return a
    between = ops.with_ones(a.dims, (new_axis,))
    wide = tuple(times if axis == new_axis else dim for axis, dim in enumerate(between))
    copies = make_symbolic(a.graph.broadcast, ops.reshape(a.node, between), wide)
    return make_symbolic(
        ops.reshape, copies.node, (*a.dims[:axis], a.dims[axis] * times, *a.dims[axis + 1 :])
    )


def _concatenate(arrays: Sequence[Any], axis: Any = 0) -> Any:
    if axis is None:
        return _concatenate([np.ravel(each) for each in arrays])
    nodes = nodes_of(arrays)
    return make_symbolic(ops.concatenate, nodes, normal_axis(axis, nodes[0].ndim))


def _stack(arrays: Sequence[Any], axis: Any = 0) -> Any:
    nodes = nodes_of(arrays)
    shape = nodes[0].shape
    for node in nodes:
        if node.shape != shape:
            raise TraceError(
                f"arrays of shapes {format_shape(shape)} and {format_shape(node.shape)} cannot be stacked"
            )
    new_axis = normal_axis(axis, len(shape) + 1)
    wider = [ops.reshape(node, ops.with_ones(shape, (new_axis,))) for node in nodes]
    return make_symbolic(ops.concatenate, wider, new_axis)


def _hstack(tup: Sequence[Any]) -> Any:
    nodes = nodes_of(tup)
    arrays = [make_symbolic(ops.reshape, node, node.shape or (ONE,)) for node in nodes]
    return _concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1)


def _vstack(tup: Sequence[Any]) -> Any:
    rows = [
        node if node.ndim > 1 else ops.reshape(node, (ONE, *(node.shape or (ONE,)))) for node in nodes_of(tup)
    ]
    return _concatenate([SymbolicArray(row) for row in rows])


def _split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Any]:
    axis = normal_axis(axis, ary.ndim)
    points = _split_points(ary.dims[axis], indices_or_sections)
    return [make_symbolic(ops.slice_axis, ary.node, axis, *pair) for pair in itertools.pairwise(points)]


def _split_points(whole: Dim, parts: Any) -> list[Dim]:
    """The indices at which an axis is split, its ends included."""
    if isinstance(parts, list | tuple | np.ndarray):
        return [as_dim(0), *(as_index(each, whole) for each in parts), whole]
    count = as_length(parts).integer
    if count is None or count < 1:
        raise TraceError(f"found {parts!r} parts to split into; expected a positive integer")
    step = whole.divide(as_dim(count))
    assert step is not None  # a number divides every length
    if not step.letters and step.integer is None:
        raise TraceError(f"an axis of length {whole} cannot be split into {count} equal parts")
    return [step * as_dim(number) for number in range(count + 1)]


SHAPE_FUNCTIONS: dict[Any, Callable[..., Any]] = {
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
"""By NumPy's function, with those arguments of NumPy's that are compiled, under the same names."""


class Term(NamedTuple):
    """An operand of einsum, with a letter for each of its axes."""

    array: Any
    letters: str


def einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Any:  # noqa: ARG001 - NumPy's argument
    """NumPy's ``einsum`` with subscripts in letters. Operands are multiplied from left to right.

    Raises:
        TraceError: if the subscripts do not fit the operands.
    """
    inputs, result = _parse_subscripts(subscripts, operands)
    terms = [
        _take_diagonals(Term(operand, letters)) for operand, letters in zip(operands, inputs, strict=True)
    ]
    for index in range(len(terms)):
        others = {*result, *(letter for i, term in enumerate(terms) if i != index for letter in term.letters)}
        terms[index] = _sum_unused(terms[index], others)
    while len(terms) > 1:
        first, second, *rest = terms
        wanted = {*result, *(letter for term in rest for letter in term.letters)}
        terms = [_product(first, second, wanted), *rest]
    return _transpose_to(terms[0], result)


def _parse_subscripts(subscripts: Any, operands: Sequence[Any]) -> tuple[list[str], str]:
    """The letters of each operand and of the result."""
    if not isinstance(subscripts, str):
        raise TraceError("np.einsum is compiled with subscripts in one string, such as 'ij,j->i'")
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if "..." in left:
        raise TraceError("np.einsum is compiled without `...`; write a letter for each axis")
    if not all(letters.isalpha() or not letters for letters in (*inputs, result)):
        raise TraceError(f"np.einsum: the subscripts {subscripts!r} are not letters, commas and one '->'")
    if len(inputs) != len(operands):
        raise TraceError(
            f"np.einsum: the subscripts {subscripts!r} are for {len(inputs)} operands; found {len(operands)}"
        )
    if not arrow:
        result = "".join(sorted(each for each in set(left) - {","} if left.count(each) == 1))
    if len(set(result)) < len(result) or not set(result) <= set(left):
        raise TraceError(
            f"np.einsum: the result of {subscripts!r} repeats a letter or has one that no operand has"
        )
    _check_axes(subscripts, inputs, operands)
    return inputs, result


def _check_axes(subscripts: str, inputs: Iterable[str], operands: Iterable[Any]) -> None:
    """Check that each operand has a letter for every axis, and each letter one length."""
    lengths: dict[str, Any] = {}
    for letters, operand in zip(inputs, operands, strict=True):
        shape = np.shape(operand)
        if len(letters) != len(shape):
            raise TraceError(
                f"np.einsum: {letters!r} of {subscripts!r} is for {len(letters)} axes; found an array of "
                f"shape {format_shape(tuple(shape))}"
            )
        for letter, length in zip(letters, shape, strict=True):
            if str(lengths.setdefault(letter, length)) != str(length):
                raise TraceError(
                    f"np.einsum: {letter!r} of {subscripts!r} is {lengths[letter]} in one operand and "
                    f"{length} in another; expected one length"
                )


def _take_diagonals(term: Term) -> Term:
    """Replace the axes of a letter that occurs twice by a diagonal, at the end."""
    array, letters = term
    twice = next((letter for letter in letters if letters.count(letter) > 1), None)
    if twice is None:
        return term
    first = letters.index(twice)
    second = letters.index(twice, first + 1)
    rest = "".join(letter for axis, letter in enumerate(letters) if axis not in (first, second))
    return _take_diagonals(Term(np.diagonal(array, 0, first, second), rest + twice))


def _sum_unused(term: Term, wanted: Iterable[str]) -> Term:
    """Sum over the letters that nothing else has."""
    kept = "".join(letter for letter in term.letters if letter in wanted)
    axes = tuple(axis for axis, letter in enumerate(term.letters) if letter not in kept)
    return Term(np.sum(term.array, axis=axes), kept) if axes else term


def _transpose_to(term: Term, letters: str) -> Any:
    order = tuple(term.letters.index(letter) for letter in letters)
    return term.array if order == tuple(range(len(order))) else np.transpose(term.array, order)


def _product(a: Term, b: Term, wanted: Iterable[str]) -> Term:
    """The product, summed over the letters that both have and nothing else needs."""
    if _is_shared(a.array) and not _is_shared(b.array):
        a, b = b, a  # parameters on the right: one product of all sequences
    both = [letter for letter in a.letters if letter in b.letters]
    inner = "".join(letter for letter in both if letter not in wanted)
    lead = "".join(letter for letter in both if letter in wanted)
    left = "".join(letter for letter in a.letters if letter not in both)
    right = "".join(letter for letter in b.letters if letter not in both)
    if not left and not right:  # dot products, such as a sum over a window
        axes = tuple(axis for axis, letter in enumerate(a.letters) if letter in inner)
        product = a.array * _transpose_to(b, a.letters)
        letters = "".join(letter for letter in a.letters if letter in lead)
        return Term(np.sum(product, axis=axes) if axes else product, letters)
    if inner and _is_shared(b.array):
        return _matrix_product(a, b, lead, inner, left, right)
    letters = lead + left + right + inner
    product = functools.reduce(lambda x, y: x * y, (_broadcast_term(each, letters) for each in (a, b)))
    axes = tuple(range(len(letters) - len(inner), len(letters)))
    return Term(np.sum(product, axis=axes) if inner else product, lead + left + right)


def _is_shared(array: Any) -> bool:
    """Whether all sequences share an array: it depends on parameters and numbers only."""
    if not isinstance(array, SymbolBase):
        return True
    parts = (array,) if isinstance(array, SymbolicArray) else (array.real, array.imag)
    return all(part.node.level == Level.ONCE for part in parts)


def _broadcast_term(term: Term, letters: str) -> Any:
    """Transpose an array to some letters, with axes of length one for those that it lacks."""
    array = _transpose_to(term, "".join(letter for letter in letters if letter in term.letters))
    lengths = dict(zip(term.letters, np.shape(term.array), strict=True))
    return np.reshape(array, tuple(lengths.get(letter, 1) for letter in letters))


def _matrix_product(a: Term, b: Term, lead: str, inner: str, left: str, right: str) -> Term:
    """One ``@`` over merged axes, so that the compiler recognises a matrix product."""
    lengths = dict(zip(a.letters + b.letters, (*np.shape(a.array), *np.shape(b.array)), strict=True))

    def size(letters: str) -> Any:
        return math.prod(lengths[letter] for letter in letters)

    heads = (size(lead),) if lead else ()
    rows = (size(left),) if left or lead else ()
    x = np.reshape(_transpose_to(a, lead + left + inner), (*heads, *rows, size(inner)))
    w = np.reshape(_transpose_to(b, lead + inner + right), (*heads, size(inner), size(right)))
    letters = lead + left + right
    return Term(np.reshape(x @ w, tuple(lengths[letter] for letter in letters)), letters)
