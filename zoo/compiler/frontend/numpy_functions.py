"""NumPy's functions on symbolic arrays: ufuncs, reductions, linear algebra, and the dispatch of all others.

A ufunc is a row of the table of operations, or composed of rows. A modifier may handle ``a @ b``, and return
another value than the product (:func:`matmul_hook`).
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from zoo.base.names import did_you_mean
from zoo.compiler.frontend.complex_numbers import call_complex_function, call_complex_ufunc, is_complex
from zoo.compiler.frontend.shape_functions import (
    DIAGONAL_FUNCTIONS,
    LARGEST_POWER,
    SHAPE_FUNCTIONS,
    einsum,
    integer_power,
    literal_value,
    safe_sqrt,
)
from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import (
    NumpyDispatch,
    SymbolBase,
    SymbolicArray,
    apply_elementwise,
    as_node,
    function_name,
    make_symbolic,
    nodes_of,
    normal_axes,
    normal_axis,
    set_numpy_dispatch,
    symbolic_length,
    ufunc_name,
)
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, as_dim
from zoo.compiler.ir.graph import Level, Node, format_shape
from zoo.compiler.ir.op_table import OPS, Kind, elementwise_rows
from zoo.compiler.ir.structural_ops import EYE

Handler = Callable[[Any, Any], Any]

_handlers: ContextVar[tuple[Handler, ...]] = ContextVar("zoo_matmul_hooks", default=())


@contextmanager
def matmul_hook(handler: Handler) -> Iterator[None]:
    """Within the block, ``a @ b`` of symbolic arrays returns ``handler(a, b)``.

    A product within a handler goes to the handlers around it: a modifier does not handle its own products,
    the modifiers around it do.
    """
    token = _handlers.set((*_handlers.get(), handler))
    try:
        yield
    finally:
        _handlers.reset(token)


def dispatch_matmul(a: Any, b: Any, default: Handler) -> Any:
    """Return ``a @ b``: the result of the innermost handler, or of ``default`` if there is none."""
    handlers = _handlers.get()
    if not handlers:
        return default(a, b)
    token = _handlers.set(handlers[:-1])
    try:
        return handlers[-1](a, b)
    finally:
        _handlers.reset(token)


def expm(a: SymbolBase) -> SymbolicArray:
    """Return the exponential of a matrix.

    Raises:
        TraceError: if it is not square, is complex, or depends on x or a state.
    """
    if not isinstance(a, SymbolicArray):
        raise TraceError("zoo.expm of complex numbers is not compiled; take their .real and .imag")
    _check_matrix("zoo.expm", a.node)
    return make_symbolic(ops.expm, a.node)


def _solve(a: Any, b: Any) -> Any:
    matrix, right = nodes_of((a, b))
    _check_matrix("np.linalg.solve", matrix)
    if right.level != Level.ONCE:
        raise TraceError(
            "np.linalg.solve is compiled for arrays that depend on parameters alone; where the right-hand "
            "side depends on x or a state, write np.linalg.inv(a) @ b"
        )
    if right.ndim not in (1, 2) or right.shape[0] != matrix.shape[0]:
        raise TraceError(
            f"np.linalg.solve: found arrays of shapes {format_shape(matrix.shape)} and "
            f"{format_shape(right.shape)}; expected "
            "a square matrix, and a vector or a matrix of as many rows"
        )
    columns = ops.reshape(right, (*right.shape, ONE)) if right.ndim == 1 else right
    return make_symbolic(ops.reshape, ops.solve(matrix, columns), right.shape)


def _inv(a: Any) -> Any:
    _check_matrix("np.linalg.inv", a.node)
    (length, _) = a.dims
    return make_symbolic(ops.solve, a.node, a.graph.node(EYE, attr=length, shape=(length, length)))


def _check_matrix(name: str, node: Node) -> None:
    if node.level != Level.ONCE:
        raise TraceError(
            f"{name} is compiled for a matrix that depends on parameters alone, and runs once for a batch; "
            "found one that depends on x, on a state, or on an argument that zoo.grad differentiates"
        )
    if node.ndim != 2 or node.shape[0] != node.shape[1]:
        hint = (
            f"; for a stack of matrices, write np.stack([{name}(a) for a in stack])" if node.ndim > 2 else ""
        )
        raise TraceError(
            f"{name} takes one square matrix; found an array of shape {format_shape(node.shape)}{hint}"
        )


LINEAR_ALGEBRA: dict[Any, Callable[..., Any]] = {np.linalg.inv: _inv, np.linalg.solve: _solve}
"""By NumPy's function, with those arguments of NumPy's that are compiled, under the same names."""


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a ufunc on operands, at least one of which is symbolic.

    Raises:
        TraceError: if it cannot be compiled.
    """
    _check_ufunc_call(ufunc, method, kwargs)
    if ufunc is np.matmul:
        left, right = inputs
        return dispatch_matmul(left, right, lambda a, b: _dispatch_ufunc(ufunc, (a, b)))
    return _dispatch_ufunc(ufunc, inputs)


def _dispatch_ufunc(ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    name = ufunc.__name__
    if any(map(is_complex, inputs)):
        return call_complex_ufunc(ufunc, inputs)
    if name in _COMPOSED_UFUNCS:
        return _COMPOSED_UFUNCS[name](*inputs)
    if name in OPS and OPS[name].kind is Kind.ELEMENTWISE:
        return apply_elementwise(name, *inputs)
    raise TraceError(f"{ufunc_name(ufunc)} is not compiled; {_ufunc_advice(name)}")


def _check_ufunc_call(ufunc: Any, method: str, kwargs: dict[str, Any]) -> None:
    if "out" in kwargs:
        raise TraceError("arrays cannot be written to; write `a = a + b` in place of `a += b`, and no out=")
    if method != "__call__":
        raise TraceError(
            f"{ufunc_name(ufunc)}.{method} is not compiled; write np.sum, np.max, np.cumsum or np.outer"
        )
    if kwargs:
        raise TraceError(f"{ufunc_name(ufunc)} is compiled without {', '.join(kwargs)}; leave it out")


def compiled_ufuncs() -> list[str]:
    """The names of the elementwise functions of NumPy that are compiled, and of matmul."""
    names = {*_COMPOSED_UFUNCS, *elementwise_rows()}
    return sorted(each for each in names if isinstance(getattr(np, each, None), np.ufunc))


def _ufunc_advice(name: str) -> str:
    """The replacement of a ufunc that is not compiled."""
    if name in _UFUNC_ADVICE:
        return f"write {_UFUNC_ADVICE[name]}"
    known = compiled_ufuncs()
    hint = did_you_mean(name, known)
    return f"these are: {', '.join(known)}, and zoo's own{'.' if hint else ''}{hint}"


class Replacement(NamedTuple):
    """An expression in place of a function that is not compiled.

    Args:
        expression: An expression of the operands a and b.
        note: Where it differs from the function, or has no finite gradient; a clause without its subject.
    """

    expression: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.expression}, which {self.note}" if self.note else self.expression


_ROUND = Replacement("np.floor(a + 0.5)", "rounds halves up; NumPy rounds them to the even integer")
_TRUNCATE = Replacement("np.sign(a) * np.floor(np.abs(a))")

_NEGATIVE_ZERO = "takes -0.0 as positive"
_NAN = "is NaN where a or b is NaN"

_UFUNC_ADVICE = {
    "arccos": Replacement("2 * np.arctan(np.sqrt((1 - a) / (1 + a)))", "has no finite gradient at -1 and 1"),
    "arccosh": Replacement("np.log1p(a - 1 + np.sqrt((a - 1) * (a + 1)))", "has no finite gradient at 1"),
    "arcsin": Replacement("np.arctan(a / np.sqrt((1 - a) * (1 + a)))", "has no finite gradient at -1 and 1"),
    "arcsinh": Replacement(
        "np.sign(a) * np.log1p(np.abs(a) + a * a / (1 + np.sqrt(a * a + 1)))", "has the gradient 0 at 0"
    ),
    "arctan2": Replacement(
        "np.arctan(a / b) + np.where(b < 0, np.where(a < 0, -np.pi, np.pi), 0.0)",
        "is NaN where a and b are 0, and has no finite gradient where b is 0",
    ),
    "arctanh": Replacement("0.5 * (np.log1p(a) - np.log1p(-a))"),
    "bitwise_xor": Replacement("a != b"),
    "cbrt": Replacement("np.sign(a) * np.abs(a) ** (1 / 3)", "has no finite gradient at 0"),
    "copysign": Replacement("np.where(b < 0, -np.abs(a), np.abs(a))", _NEGATIVE_ZERO),
    "deg2rad": Replacement("a * (np.pi / 180)"),
    "degrees": Replacement("a * (180 / np.pi)"),
    "divmod": Replacement("(np.floor(a / b), a % b)"),
    "expit": Replacement("zoo.sigmoid(a)"),
    "floor_divide": Replacement("np.floor(a / b)"),
    "fmax": Replacement("np.maximum(a, b)", _NAN),
    "fmin": Replacement("np.minimum(a, b)", _NAN),
    "fmod": Replacement("np.sign(a) * (np.abs(a) % np.abs(b))"),
    "isinf": Replacement("np.abs(a) == np.inf"),
    "ldexp": Replacement("a * 2**b"),
    "log_expit": Replacement("zoo.log_sigmoid(a)"),
    "logaddexp2": Replacement("np.logaddexp(a * np.log(2), b * np.log(2)) / np.log(2)"),
    "logical_xor": Replacement("(a != 0) != (b != 0)", "is a != b for booleans"),
    "matvec": Replacement("a @ b"),
    "rad2deg": Replacement("a * (180 / np.pi)"),
    "radians": Replacement("a * (np.pi / 180)"),
    "rint": _ROUND,
    "signbit": Replacement("a < 0", _NEGATIVE_ZERO),
    "tan": Replacement("np.sin(a) / np.cos(a)"),
    "trunc": _TRUNCATE,
    "vecdot": Replacement("np.sum(a * b, axis=-1)"),
    "vecmat": Replacement("a @ b"),
}


def _matmul(a: Any, b: Any) -> SymbolicArray:
    return make_symbolic(ops.matmul, *nodes_of((a, b)))


def is_bool(value: Any) -> bool:
    """Return whether a value is boolean."""
    return value.node.is_bool if isinstance(value, SymbolicArray) else np.asarray(value).dtype.kind == "b"


def _bool_arithmetic(name: str, otherwise: str | None) -> Callable[..., Any]:
    """Arithmetic with another meaning in NumPy, or none, where all operands are boolean."""

    def function(*operands: Any) -> Any:
        if not all(map(is_bool, operands)):
            return apply_elementwise(name, *operands)
        if otherwise is None:
            raise TraceError(f"np.{name} of booleans has no meaning; write ~a, or a != b")
        return apply_elementwise(otherwise, *operands)

    return function


def _bool_only(name: str, sign: str) -> Callable[..., Any]:
    def function(*operands: Any) -> Any:
        if not all(map(is_bool, operands)):
            raise TraceError(f"`{sign}` takes booleans such as h > 0; found numbers")
        return apply_elementwise(name, *operands)

    return function


def _power(a: Any, b: Any) -> Any:
    """A power with a constant exponent or base is a cheaper operation, which accepts a negative base too."""
    exponent, base = literal_value(b), literal_value(a)
    if exponent is not None and exponent == int(exponent) and abs(exponent) <= LARGEST_POWER:
        return integer_power(a, int(exponent))
    if exponent is not None and abs(exponent) == 0.5:
        return np.sqrt(a) if exponent > 0 else 1.0 / np.sqrt(a)
    if base is not None and base > 0.0:
        return np.exp(b * math.log(base))
    return apply_elementwise("power", a, b)


_COMPOSED_UFUNCS: dict[str, Callable[..., Any]] = {
    "matmul": _matmul,
    "power": _power,
    "float_power": _power,
    "positive": lambda a: a,
    "conjugate": lambda a: a,
    "square": lambda a: a * a,
    "reciprocal": lambda a: 1.0 / a,
    "exp2": lambda a: np.exp(a * math.log(2.0)),
    "log2": lambda a: np.log(a) / math.log(2.0),
    "log10": lambda a: np.log(a) / math.log(10.0),
    "fabs": np.absolute,
    "ceil": lambda a: -np.floor(-a),
    "hypot": lambda a, b: safe_sqrt(a * a + b * b),
    "logaddexp": lambda a, b: np.maximum(a, b) + np.log1p(np.exp(-np.absolute(a - b))),
    "heaviside": lambda a, b: np.where(a == 0, b, 0.5 * (np.sign(a) + 1.0)),
    "isnan": lambda a: a != a,
    "isfinite": lambda a: np.absolute(a) < math.inf,
    # Booleans.
    "add": _bool_arithmetic("add", "logical_or"),
    "multiply": _bool_arithmetic("multiply", "logical_and"),
    "maximum": _bool_arithmetic("maximum", "logical_or"),
    "minimum": _bool_arithmetic("minimum", "logical_and"),
    "subtract": _bool_arithmetic("subtract", None),
    "negative": _bool_arithmetic("negative", None),
    "bitwise_and": _bool_only("logical_and", "&"),
    "bitwise_or": _bool_only("logical_or", "|"),
    "invert": _bool_only("logical_not", "~"),
}


def _reduce(constructor: Callable[..., Node], a: Any, axis: Any, keepdims: bool) -> Any:
    axes = normal_axes(axis, a.ndim)
    result = constructor(a.node, axes)
    return SymbolicArray(ops.reshape(result, ops.with_ones(result.shape, axes)) if keepdims else result)


def _sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _reduce(ops.reduce_sum, a, axis, keepdims)


def _max(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _reduce(ops.reduce_max, a, axis, keepdims)


def _min(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return -_max(SymbolicArray(-a.graph.as_number(a.node)), axis, keepdims)


def _any(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _max(a != 0, axis, keepdims) > 0


def _all(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _max(a == 0, axis, keepdims) == 0


def _mean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    counted = [symbolic_length(a.graph, a.dims[each]) for each in normal_axes(axis, a.ndim)]
    return _sum(a, axis, keepdims) / math.prod(counted)


def _var(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    centred = a - _mean(a, axis, True)
    return _mean(centred * centred, axis, keepdims)


def _std(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return safe_sqrt(_var(a, axis, keepdims))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    is_vectors = x.ndim == 1 or isinstance(axis, int)
    if ord is not None and not (ord == 2 and is_vectors):
        raise TraceError(
            "np.linalg.norm is compiled for the Euclidean norm only; write np.sum(np.abs(x)) and the like"
        )
    return safe_sqrt(_sum(x * x, axis, keepdims))


def _prod(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    for each in reversed(normal_axes(axis, a.ndim)):
        length = a.dims[each].integer
        if length is None:
            product = _last(_cumprod(a, each), each)
        else:
            parts = [
                SymbolicArray(ops.slice_axis(a.node, each, as_dim(i), as_dim(i + 1))) for i in range(length)
            ]
            product = functools.reduce(operator.mul, parts)
        a = product if keepdims else np.squeeze(product, each)
    return a


def _last(a: Any, axis: int) -> Any:
    """The last entry along an axis, which keeps length 1."""
    length = a.dims[axis]
    return SymbolicArray(ops.slice_axis(a.node, axis, length - ONE, length))


def _cumsum(a: Any, axis: Any = None) -> Any:
    a, axis = (np.ravel(a), 0) if axis is None else (a, normal_axis(axis, a.ndim))
    return make_symbolic(ops.cumsum, a.node, axis)


def _cumprod(a: Any, axis: Any = None) -> Any:
    """A recurrence from the first entry. It contains no division, so that zeros have their derivative."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, normal_axis(axis, a.ndim))
    node = a.graph.as_number(a.node)
    shape, length = node.shape, node.shape[axis]
    if length == ONE:
        return SymbolicArray(node)
    zeros = a.graph.constant(0.0, (*shape[:axis], length - ONE, *shape[axis + 1 :]))
    first = ops.slice_axis(node, axis, as_dim(0), ONE)
    return make_symbolic(ops.recurrence, node, ops.concatenate([first, zeros], axis), axis)


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


REDUCTION_FUNCTIONS: dict[Any, Callable[..., Any]] = {
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
"""By NumPy's function, with those arguments of NumPy's that are compiled, under the same names."""


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy on arguments, at least one of which is symbolic.

    Raises:
        TraceError: if it cannot be compiled.
    """
    if function not in _FUNCTIONS:
        raise TraceError(f"{function_name(function)} is not compiled; {_function_advice(function)}")
    operands = [*args, *kwargs.values(), *(args[0] if args and isinstance(args[0], list | tuple) else ())]
    if any(is_complex(each) for each in operands if not isinstance(each, list | tuple)):
        return call_complex_function(function, args, kwargs)
    implementation = _FUNCTIONS[function]
    signature = inspect.signature(implementation)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TraceError(
            f"{function_name(function)} is compiled as "
            f"{function.__name__}{_without_annotations(signature)}: {error}"
        ) from None
    return implementation(*args, **kwargs)


def _without_annotations(signature: inspect.Signature) -> inspect.Signature:
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return inspect.Signature(bare)


def _function_advice(function: Any) -> str:
    """The replacement of a function that is not compiled."""
    name = function_name(function)
    if name in _FUNCTION_ADVICE:
        return f"write {_FUNCTION_ADVICE[name]}"
    known = sorted({function_name(each).removeprefix("np.") for each in _FUNCTIONS})
    hint = did_you_mean(name.removeprefix("np."), known)
    listed = f"{', '.join(known)}{'.' if hint else ''}{hint}"
    return f"elementwise functions such as np.exp are, and these: {listed}"


_LARGEST = "a * zoo.top_k(a, k), which keeps the k largest elements; an order of values has no gradient"
_BY_RANK = "np.sum(a * zoo.top_k(a, k + 1)) - np.sum(a * zoo.top_k(a, k)), the element with k larger ones"
_FOURIER = "a product with a matrix of cosines and one of sines, which are a zoo.Buffer"
_CONVOLVE = "zoo.short_convolution for a convolution over time, or a sum of products with slices"
_DIFFERENCES = "a[1:] - a[:-1]"
_SPLIT = "np.split or zoo.split with an axis"

_FUNCTION_ADVICE: dict[str, str | Replacement] = {
    "np.append": "np.concatenate",
    **dict.fromkeys(("np.argpartition", "np.argsort", "np.partition", "np.sort"), _LARGEST),
    **dict.fromkeys(("np.median", "np.percentile", "np.quantile"), _BY_RANK),
    **dict.fromkeys(("np.fft.fft", "np.fft.ifft", "np.fft.irfft", "np.fft.rfft"), _FOURIER),
    "np.apply_along_axis": "the function of the whole array",
    "np.argmax": "zoo.top_k(a, 1), a mask of the largest element",
    "np.argmin": "zoo.top_k(-a, 1), a mask of the smallest element",
    "np.around": _ROUND,
    "np.array_equal": "np.all(a == b)",
    "np.array_split": "np.split with the indices at which to divide",
    "np.average": "np.sum(a * weights)",
    "np.column_stack": "np.stack with axis=1",
    "np.convolve": _CONVOLVE,
    "np.correlate": _CONVOLVE,
    "np.count_nonzero": "np.sum(np.where(a != 0, 1.0, 0.0))",
    "np.cumulative_prod": "np.cumprod",
    "np.cumulative_sum": "np.cumsum",
    "np.diff": _DIFFERENCES,
    "np.ediff1d": _DIFFERENCES,
    "np.empty_like": "np.zeros_like",
    "np.fix": _TRUNCATE,
    "np.hsplit": _SPLIT,
    "np.isclose": "np.abs(a - b) < tolerance",
    "np.kron": "a[:, None] * b[None, :] and reshape",
    "np.linalg.matrix_power": "a @ a",
    "np.linalg.multi_dot": "a @ b @ c",
    "np.nan_to_num": "np.where(np.isnan(a), 0.0, a)",
    "np.nansum": "np.sum(np.where(np.isnan(a), 0.0, a))",
    "np.pad": "np.concatenate with np.zeros_like",
    "np.piecewise": "np.where(condition, a, b)",
    "np.ptp": "np.max(a) - np.min(a)",
    "np.round": _ROUND,
    "np.searchsorted": "np.sum(np.where(a < b, 1.0, 0.0))",
    "np.select": "np.where(first, a, np.where(second, b, c))",
    "np.sinc": "np.sin(np.pi * a) / (np.pi * a)",
    "np.take": "a[i]",
    "np.take_along_axis": "np.sum(a * mask), with a mask such as zoo.top_k(b, 1)",
    "np.tensordot": "it with @, reshape and swapaxes",
    "np.vdot": "np.sum(a * b)",
    "np.vsplit": _SPLIT,
}


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if a_min is not None else min, a_max if a_max is not None else max
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _where(condition: Any, x: Any, y: Any) -> Any:
    if is_bool(x) and is_bool(y):
        return np.logical_and(condition, x) | np.logical_and(np.logical_not(condition), y)
    return apply_elementwise("where", condition, x, y)


def _full_like(a: Any, fill_value: Any) -> Any:
    return make_symbolic(a.graph.broadcast, as_node(fill_value, a.graph), a.dims)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **SHAPE_FUNCTIONS,
    **DIAGONAL_FUNCTIONS,
    **LINEAR_ALGEBRA,
    **REDUCTION_FUNCTIONS,
    np.clip: _clip,
    np.einsum: einsum,
    np.full_like: _full_like,
    np.imag: lambda val: val.imag,
    np.ndim: lambda a: a.ndim,
    np.ones_like: lambda a: _full_like(a, 1.0),
    np.real: lambda val: val.real,
    np.shape: lambda a: a.shape,
    np.size: lambda a: a.size,
    np.where: _where,
    np.zeros_like: lambda a: _full_like(a, 0.0),
}

set_numpy_dispatch(NumpyDispatch(call_ufunc, call_function))
