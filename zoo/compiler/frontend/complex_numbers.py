"""Complex symbolic arrays: pairs of real ones, so that the graph has no complex numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.compiler.frontend.shape_functions import einsum, integer_power, safe_sqrt
from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import (
    SymbolBase,
    SymbolicArray,
    SymbolicLength,
    as_node,
    function_name,
    graph_of,
    ufunc_name,
)
from zoo.compiler.ir.graph import Graph, Node, Shape, ancestors, format_shape


class Complex(SymbolBase):
    """A complex array: its real and imaginary parts, which have one shape.

    Args:
        real: The real part.
        imag: The imaginary part.
    """

    __array_priority__ = 2000.0
    __slots__ = ("_imag", "_real")

    def __init__(self, real: SymbolicArray, imag: SymbolicArray) -> None:
        self._real, self._imag = real, imag

    @property
    def graph(self) -> Graph:
        """The graph being built."""
        return self._real.graph

    @property
    def dims(self) -> Shape:
        """Lengths of the axes in one row, as expressions."""
        return self._real.dims

    @property
    def real(self) -> SymbolicArray:
        """The real part."""
        return self._real

    @property
    def imag(self) -> SymbolicArray:
        """The imaginary part."""
        return self._imag

    def __getitem__(self, key: Any) -> Complex:
        return Complex(self._real[key], self._imag[key])

    def _leaves(self) -> list[Node]:
        return [node for node in ancestors([self._real.node, self._imag.node]) if not node.inputs]

    def __repr__(self) -> str:
        return f"<complex array {format_shape(self.dims)}>"


def is_complex(value: Any) -> bool:
    """Return whether a value holds complex numbers."""
    return isinstance(value, Complex) or (
        not isinstance(value, SymbolicArray | SymbolicLength) and np.iscomplexobj(value)
    )


def parts_of(value: Any, graph: Graph) -> tuple[SymbolicArray, SymbolicArray]:
    """Return the real and the imaginary part of an operand of any kind."""
    if isinstance(value, Complex):
        return value.real, value.imag
    if isinstance(value, SymbolicArray | SymbolicLength):
        real = SymbolicArray(graph.as_number(as_node(value, graph)))
        return real, real.imag
    array = np.asarray(value)
    return SymbolicArray(as_node(array.real, graph)), SymbolicArray(as_node(array.imag, graph))


def planes_of(value: Any) -> tuple[Node, ...]:
    """The nodes of a symbolic array: one, or two for complex numbers; none for NumPy values."""
    if isinstance(value, Complex):
        return value.real.node, value.imag.node
    return (value.node,) if isinstance(value, SymbolicArray) else ()


def _is_zero(part: SymbolicArray) -> bool:
    return part.node.value == 0.0


def _broadcast_like(part: SymbolicArray, other: SymbolicArray) -> SymbolicArray:
    """Broadcast a part to the shape of its sum with a part that is zero."""
    return part if part.dims == other.dims else part + other


def _sum(a: SymbolicArray, b: SymbolicArray) -> Any:
    return _broadcast_like(b, a) if _is_zero(a) else _broadcast_like(a, b) if _is_zero(b) else a + b


def _difference(a: SymbolicArray, b: SymbolicArray) -> Any:
    return _broadcast_like(a, b) if _is_zero(b) else _broadcast_like(-b, a) if _is_zero(a) else a - b


def _part_product(product: Callable[[Any, Any], Any], a: SymbolicArray, b: SymbolicArray) -> SymbolicArray:
    """A product of parts: the constant zero if either is."""
    result: SymbolicArray = product(a, b)
    return result.imag if _is_zero(a) or _is_zero(b) else result


Pair = tuple[SymbolicArray, SymbolicArray]


def _bilinear(product: Callable[[Any, Any], Any]) -> Callable[[Pair, Pair], Complex]:
    """Make a product of complex arrays from one of real arrays."""

    def times(a: Pair, b: Pair) -> Complex:
        (ar, ai), (br, bi) = a, b
        real = _difference(_part_product(product, ar, br), _part_product(product, ai, bi))
        return Complex(real, _sum(_part_product(product, ar, bi), _part_product(product, ai, br)))

    return times


_multiply = _bilinear(lambda a, b: a * b)
_matmul = _bilinear(lambda a, b: a @ b)


def _divide(a: Pair, b: Pair) -> Complex:
    (ar, ai), (br, bi) = a, b
    if _is_zero(bi):
        return Complex(ar / br, _broadcast_like(ai, br) if _is_zero(ai) else ai / br)
    scaled = _multiply(a, (br, -bi))
    size = br * br + bi * bi
    return Complex(scaled.real / size, scaled.imag / size)


def _exp(a: Pair) -> Complex:
    real, imag = a
    size = _numpy(np.exp, real)
    return Complex(size * _numpy(np.cos, imag), size * _numpy(np.sin, imag))


_UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: lambda a, b: Complex(*(_sum(x, y) for x, y in zip(a, b, strict=True))),
    np.subtract: lambda a, b: Complex(*(_difference(x, y) for x, y in zip(a, b, strict=True))),
    np.multiply: _multiply,
    np.divide: _divide,
    np.matmul: _matmul,
    np.negative: lambda a: Complex(-a[0], -a[1]),
    np.positive: lambda a: Complex(*a),
    np.conjugate: lambda a: Complex(a[0], -a[1]),
    np.absolute: lambda a: safe_sqrt(a[0] * a[0] + a[1] * a[1]),
    np.exp: _exp,
    np.square: lambda a: _multiply(a, a),
    np.reciprocal: lambda a: _divide(parts_of(1.0, a[0].graph), a),
}


def call_complex_ufunc(ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    """Call a ufunc on operands, at least one of which is complex.

    Raises:
        TraceError: if it is not compiled for complex numbers.
    """
    if ufunc is np.power:
        return integer_power(*inputs)
    if ufunc not in _UFUNCS:
        known = sorted(each.__name__ for each in (np.power, *_UFUNCS))
        raise TraceError(
            f"{ufunc_name(ufunc)} of complex numbers is not compiled; take their .real and .imag, or use "
            f"{', '.join(known)}"
        )
    graph = graph_of(inputs)
    return _UFUNCS[ufunc](*(parts_of(each, graph) for each in inputs))


# Functions that join arrays, and functions that apply to each part alone.
_JOIN_FUNCTIONS = (np.concatenate, np.hstack, np.stack, np.vstack)
_PARTWISE_FUNCTIONS = (
    np.broadcast_to,
    np.copy,
    np.cumsum,
    np.diag,
    np.diagonal,
    np.expand_dims,
    np.flip,
    np.fliplr,
    np.flipud,
    np.mean,
    np.moveaxis,
    np.ravel,
    np.repeat,
    np.reshape,
    np.roll,
    np.squeeze,
    np.sum,
    np.swapaxes,
    np.tile,
    np.trace,
    np.transpose,
    np.tril,
    np.triu,
    np.zeros_like,
)


def _split(a: Complex, *args: Any, **kwargs: Any) -> list[Complex]:
    parts = (_numpy(np.split, part, *args, **kwargs) for part in (a.real, a.imag))
    return [Complex(real, imag) for real, imag in zip(*parts, strict=True)]


def _where(condition: Any, x: Any, y: Any) -> Complex:
    graph = graph_of((condition, x, y))
    (xr, xi), (yr, yi) = parts_of(x, graph), parts_of(y, graph)
    return Complex(*(_numpy(np.where, condition, a, b) for a, b in ((xr, yr), (xi, yi))))


def _numpy(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.dot: lambda a, b: a @ b,
    np.einsum: einsum,
    np.imag: lambda val: val.imag,
    np.linalg.norm: lambda x, **kwargs: np.linalg.norm(np.absolute(x), **kwargs),
    np.ndim: lambda a: a.ndim,
    np.ones_like: lambda a: Complex(_numpy(np.ones_like, a.real), a.real.imag),
    np.outer: lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)),
    np.real: lambda val: val.real,
    np.shape: lambda a: a.shape,
    np.size: lambda a: a.size,
    np.split: _split,
    np.where: _where,
}


def call_complex_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy on arrays, at least one of which is complex.

    Raises:
        TraceError: if it is not compiled for complex numbers.
    """
    if function in _FUNCTIONS:
        return _FUNCTIONS[function](*args, **kwargs)
    first, *others = args
    if function in _JOIN_FUNCTIONS:
        graph = graph_of(first)
        pairs = zip(*(parts_of(each, graph) for each in first), strict=True)
        return Complex(*(function(list(parts), *others, **kwargs) for parts in pairs))
    if function in _PARTWISE_FUNCTIONS:
        return Complex(*(function(part, *others, **kwargs) for part in (first.real, first.imag)))
    raise TraceError(
        f"{function_name(function)} of complex numbers is not compiled; take their .real and .imag"
    )
