"""Symbolic arrays and lengths: the arguments of ``step`` while it is traced, and their shapes.

They support Python's operators, NumPy's functions (through NumPy's dispatch) and the functions of
``zoo``, and record each call as a node of a graph. Shapes describe one sequence of the batch, at one step.

NumPy's functions are implemented in :mod:`zoo.compiler.frontend.numpy_functions`, which registers itself here
(:func:`set_numpy_dispatch`), since it makes symbolic arrays itself.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from zoo.base.declarations import ArrayDeclaration, Option
from zoo.base.names import did_you_mean
from zoo.compiler.frontend.source_errors import TraceError, UnknownAttributeError
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, Dim, as_dim, divides, product
from zoo.compiler.ir.graph import Graph, Node, Shape, ShapeError, ancestors, format_shape
from zoo.compiler.ir.structural_ops import ARRAY, CONSTANT, SIZE


@dataclass
class ActiveTrace:
    """The reading of a step, or of a function.

    Attributes:
        graph: The graph that it makes.
        gradients: The number of gradients of functions so far.
    """

    graph: Graph
    gradients: int = 0


_trace: ContextVar[ActiveTrace | None] = ContextVar("zoo_trace", default=None)


@contextmanager
def trace_into(graph: Graph) -> Iterator[ActiveTrace]:
    """Within the block, a step is traced into a graph."""
    trace = ActiveTrace(graph)
    token = _trace.set(trace)
    try:
        yield trace
    finally:
        _trace.reset(token)


def current_trace() -> ActiveTrace | None:
    """The trace of the step that is read now; None outside of a step."""
    return _trace.get()


class SymbolicLength(NDArrayOperatorsMixin):
    """The length of an axis where it depends on I or H, or an option that is a size.

    Sums, differences, products and integer quotients of lengths are lengths, for slices and ``reshape``. Any
    other operation converts it to a symbolic array. A comparison is valid if its result is the same for all I
    and H. An operation on options that needs more than a size raises an error: then the step is traced with
    the values of the options.

    Args:
        graph: The graph being built.
        dim: The length.
    """

    __array_priority__ = 1000.0

    def __init__(self, graph: Graph, dim: Dim) -> None:
        self.graph, self.dim = graph, dim

    def as_array(self) -> Any:
        """Return the length as a symbolic array.

        Raises:
            TraceError: if it depends on options alone. As a number in Python, such a value has 64 bits.
        """
        if not self.dim.depends_on_layer:
            raise unknown_length_error(str(self.dim))
        return SymbolicArray(self.graph.node(SIZE, attr=self.dim))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = _RULES.get(ufunc.__name__)
        if rule is not None and method == "__call__" and not kwargs and all(map(_is_length, inputs)):
            result = rule(*map(as_length, inputs))
            return symbolic_length(self.graph, result) if isinstance(result, Dim) else result
        arrays = [each.as_array() if isinstance(each, SymbolicLength) else each for each in inputs]
        return getattr(ufunc, method)(*arrays, **kwargs)

    def __hash__(self) -> int:
        if not self.dim.depends_on_layer:  # a dictionary may have its value as a key
            raise unknown_length_error(str(self.dim))
        return hash(self.dim)

    def __index__(self) -> int:
        raise unknown_length_error(str(self.dim))

    __int__ = __index__
    __float__ = __index__
    __bool__ = __index__

    def __repr__(self) -> str:
        return str(self.dim)


def _is_length(value: Any) -> bool:
    return isinstance(value, SymbolicLength | int | np.integer) and not isinstance(value, bool)


def _quotient(a: Dim, b: Dim) -> Dim:
    quotient = a.floor_divide(b)
    if quotient is None:
        raise TraceError(f"{a} cannot be divided by {b} for every I and H; make one of them an option")
    return check_option_terms(quotient)


def check_option_terms(rounded: Dim) -> Dim:
    """Return a rounded quotient, if its terms of options are integers for all values: it is exact.

    Raises:
        TraceError: for another one, such as ``order // 2``.
    """
    for monomial, factor in rounded.terms:
        term = Dim(((monomial, factor),))
        is_integer = factor.denominator == 1 and not divides(monomial)
        if monomial and not term.depends_on_layer and not is_integer:
            raise unknown_length_error(str(term))
    return rounded


def _comparison(symbol: str, compare: Callable[[int, int], bool]) -> Callable[[Dim, Dim], bool]:
    def holds(a: Dim, b: Dim) -> bool:
        results = {compare(sign, 0) for sign in (a - b).signs()}
        if len(results) > 1:
            raise TraceError(
                f"whether {a} {symbol} {b} depends on the sizes, and the equations are compiled once for "
                "every I and H; make the choice an option, and remove an assertion"
            )
        return results.pop()

    return holds


_RULES: dict[str, Callable[..., Any]] = {
    "add": Dim.__add__,
    "subtract": Dim.__sub__,
    "multiply": Dim.__mul__,
    "floor_divide": _quotient,
    "negative": lambda a: as_dim(0) - a,
    "positive": lambda a: a,
    "equal": _comparison("==", operator.eq),
    "not_equal": _comparison("!=", operator.ne),
    "less": _comparison("<", operator.lt),
    "less_equal": _comparison("<=", operator.le),
    "greater": _comparison(">", operator.gt),
    "greater_equal": _comparison(">=", operator.ge),
}


def unknown_length_error(what: str) -> TraceError:
    """Return the error for a length that is used as a plain number."""
    return TraceError(
        f"{what} has no value when zoo reads the equations, because one pair of kernels serves every I and "
        "H; use it in slices, reshape, arithmetic, np.sqrt(n), np.zeros_like(h) and zoo.eye(n), write a loop "
        "over it as operations on whole arrays, declare fixed numbers of this length as a zoo.Buffer, and a "
        "size that must be known as an option"
    )


def symbolic_length(graph: Graph, dim: Dim) -> int | SymbolicLength:
    """Return a length for ``step``: an integer where it is constant."""
    return dim.integer if dim.integer is not None else SymbolicLength(graph, dim)


def as_length(value: Any) -> Dim:
    """Return an argument of ``step``'s as a length.

    Raises:
        TraceError: if it is not a length.
    """
    if isinstance(value, SymbolicLength):
        return value.dim
    if isinstance(value, int | np.integer):
        return as_dim(operator.index(value))
    raise TraceError(
        f"found {describe(value)} where a length is expected; a quotient of lengths is written with //"
    )


def describe(value: Any) -> str:
    """Describe the type of a value in an error: ``None``, ``a list``, ``an array``."""
    if value is None:
        return "None"
    name = "array" if hasattr(value, "__array_function__") else type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


# Methods of NumPy's arrays that are functions of NumPy; SymbolBase defines the others.
_METHODS: dict[str, Callable[..., Any]] = {
    "all": np.all,
    "any": np.any,
    "clip": np.clip,
    "conj": np.conjugate,
    "conjugate": np.conjugate,
    "copy": np.copy,
    "cumprod": np.cumprod,
    "cumsum": np.cumsum,
    "diagonal": np.diagonal,
    "dot": np.dot,
    "flatten": np.ravel,
    "max": np.max,
    "mean": np.mean,
    "min": np.min,
    "prod": np.prod,
    "ravel": np.ravel,
    "repeat": np.repeat,
    "squeeze": np.squeeze,
    "std": np.std,
    "sum": np.sum,
    "swapaxes": np.swapaxes,
    "trace": np.trace,
    "var": np.var,
}

_ATTRIBUTES = ("T", "imag", "ndim", "real", "shape", "size")

_ATTRIBUTE_NAMES = sorted([*_ATTRIBUTES, *_METHODS, "astype", "reshape", "transpose"])


class NumpyDispatch(NamedTuple):
    """The implementation of NumPy's functions on symbolic arrays.

    Args:
        call_ufunc: ``(ufunc, method, inputs, kwargs)`` to the result.
        call_function: ``(function, args, kwargs)`` to the result.
    """

    call_ufunc: Callable[[Any, str, tuple[Any, ...], dict[str, Any]], Any]
    call_function: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


_numpy_dispatch: NumpyDispatch


def set_numpy_dispatch(dispatch: NumpyDispatch) -> None:
    """Register the implementation of NumPy's functions."""
    global _numpy_dispatch
    _numpy_dispatch = dispatch


class SymbolBase(NDArrayOperatorsMixin):
    """The common part of real and complex symbolic arrays: NumPy's interface without elements."""

    __slots__ = ()
    __array_priority__ = 1000.0

    @property
    def graph(self) -> Graph:
        """The graph being built."""
        raise NotImplementedError

    @property
    def dims(self) -> Shape:
        """Lengths of the axes in one row, as expressions."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int | SymbolicLength, ...]:
        """Lengths of the axes in one row."""
        return tuple(symbolic_length(self.graph, dim) for dim in self.dims)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.dims)

    @property
    def size(self) -> int | SymbolicLength:
        """Number of elements in one row."""
        return symbolic_length(self.graph, product(self.dims))

    @property
    def T(self) -> Any:
        """Axes in reverse order."""
        return self.transpose()

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """The elements in another shape."""
        if options and options != {"order": "C"}:
            raise TraceError(
                f"reshape is compiled without {next(iter(options))}; leave it out, and write "
                f"a.T.reshape(...) to read columns first"
            )
        return _call(np.reshape, self, _unpack_args(shape))

    def transpose(self, *axes: Any) -> Any:
        """Axes in another order, reversed if none is given."""
        return _call(np.transpose, self, _unpack_args(axes) or None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _numpy_dispatch.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _numpy_dispatch.call_function(function, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return functools.partial(_METHODS[name], self)
        hint = did_you_mean(name, _ATTRIBUTE_NAMES)
        raise UnknownAttributeError(
            f"an array in `step` has no {name!r}; it has "
            f"{', '.join(_ATTRIBUTE_NAMES)}{'.' if hint else ''}{hint}"
        )

    def __len__(self) -> int:
        if not self.dims:
            raise TraceError("a single number has no length and cannot be looped over")
        length = self.shape[0]
        if isinstance(length, SymbolicLength):
            raise TraceError(
                f"the length of an array of shape {format_shape(self.dims)} depends on the sizes, and len() "
                f"returns an integer; write h.shape[0], an expression of I and H"
            )
        return length

    def __iter__(self) -> Iterator[Any]:
        if self.dims and self.dims[0].integer is None:
            raise TraceError(
                f"an array of shape {format_shape(self.dims)} cannot be looped over or unpacked, since its "
                f"length depends on the sizes; work on the whole array, as np.sum and np.stack do, or divide "
                f"it with zoo.split"
            )
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if all(node.op in (SIZE, CONSTANT) for node in self._leaves()):
            raise unknown_length_error("an expression of lengths alone")
        raise TraceError(
            "step cannot branch on an array, which has no value when zoo reads the equations; write "
            "np.where(condition, a, b) in place of `if`, & | ~ in place of `and`, `or`, `not`, and "
            "np.minimum or np.maximum in place of `min` or `max`"
        )

    def _leaves(self) -> list[Node]:
        """The leaves of the graph that the array depends on."""
        raise NotImplementedError

    def __contains__(self, value: Any) -> bool:
        return bool(self == value)

    def __float__(self) -> float:
        raise TraceError(
            "an array has no numbers yet when the equations are read; write functions of NumPy in place of "
            "functions of `math`, and leave out float(), int() and round()"
        )

    def __hash__(self) -> int:
        raise TraceError(
            "an array has no numbers yet when the equations are read, so it cannot be a key of a dictionary "
            "or a cache; call the function without functools.lru_cache or functools.cache"
        )

    def __format__(self, spec: str) -> str:
        if spec:
            raise TraceError(
                f"an array has no numbers yet when the equations are read, so the format {spec!r} cannot "
                f"print them; print the array without a format, which shows its shape, or run step on NumPy "
                f"arrays"
            )
        return repr(self)

    def __int__(self) -> int:
        return int(float(self))

    def __index__(self) -> int:
        return int(float(self))

    def __complex__(self) -> complex:
        return complex(float(self))

    def __round__(self, ndigits: int | None = None) -> Any:
        return float(self)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TraceError("arrays cannot be written to; make a new one with np.concatenate or np.where")

    def __delitem__(self, key: Any) -> None:
        self[key] = None

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TraceError(
            "this needs the numbers of an array, and the equations are read before there are any; arrays are "
            "put together with np.stack or np.concatenate"
        )

    def __repr__(self) -> str:
        return f"<array {format_shape(self.dims)}>"


class SymbolicArray(SymbolBase):
    """A symbolic array of real numbers or of booleans.

    Args:
        node: The value in the graph.
    """

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def graph(self) -> Graph:
        """The graph being built."""
        return self.node.graph

    @property
    def dims(self) -> Shape:
        """Lengths of the axes in one row, as expressions."""
        return self.node.shape

    @property
    def real(self) -> SymbolicArray:
        """Itself."""
        return self

    @property
    def imag(self) -> SymbolicArray:
        """Zeros."""
        return SymbolicArray(self.graph.constant(0.0, self.dims))

    def __getitem__(self, key: Any) -> Any:
        return index_array(self, key)

    def _leaves(self) -> list[Node]:
        return [node for node in ancestors([self.node]) if not node.inputs]

    def astype(self, dtype: Any) -> Any:
        """Booleans as ones and zeros. All numbers have the dtype of the layer."""
        kind = np.dtype(dtype).kind
        if kind == "b":
            return self if self.node.is_bool else self != 0.0
        if kind != "f":
            raise TraceError(
                f"found astype to {np.dtype(dtype)}; the numbers of a step are real, np.floor cuts them"
            )
        return SymbolicArray(self.graph.as_number(self.node))


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of NumPy, whose type hints exclude symbolic arrays."""
    return function(*args)


def _unpack_args(args: tuple[Any, ...]) -> Any:
    """``(2, 3)`` for both ``reshape(2, 3)`` and ``reshape((2, 3))``."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else args


def ufunc_name(ufunc: Any) -> str:
    """Return the name of a ufunc as users write it."""
    name: str = ufunc.__name__
    return f"np.{name}" if getattr(np, name, None) is ufunc else name


def function_name(function: Any) -> str:
    """Return the name of a function of NumPy as users write it."""
    return f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"


def graph_of(operands: Iterable[Any]) -> Graph:
    """Return the graph of operands, at least one of which is symbolic."""
    return next(each.graph for each in operands if isinstance(each, SymbolBase | SymbolicLength))


def make_symbolic(make: Callable[..., Node], *args: Any) -> SymbolicArray:
    """Call a constructor of nodes and wrap its result.

    Raises:
        TraceError: in place of a ShapeError.
    """
    try:
        return SymbolicArray(make(*args))
    except ShapeError as error:
        raise TraceError(str(error)) from None


def apply_elementwise(name: str, *operands: Any) -> SymbolicArray:
    """Apply an element-wise operation of the table to operands, at least one of which is symbolic."""
    graph = graph_of(operands)
    return make_symbolic(graph.apply, name, *(as_node(operand, graph) for operand in operands))


def nodes_of(operands: Sequence[Any]) -> list[Node]:
    """Return operands as nodes; at least one of them is symbolic."""
    graph = graph_of(operands)
    return [as_node(each, graph) for each in operands]


def as_node(value: Any, graph: Graph) -> Node:
    """Return an operand as a node: a symbolic array, a number, or a small array of numbers.

    Raises:
        TraceError: if it is none of these.
    """
    if isinstance(value, SymbolicLength):
        value = value.as_array()
    if isinstance(value, SymbolicArray):
        if value.graph is not graph:
            raise TraceError(
                "an array of an earlier reading of the equations is used; keep no arrays outside of `step`"
            )
        return value.node
    array = _literal(value, graph.max_literal)
    if array.ndim == 0:
        return graph.constant(float(array))
    shape = tuple(as_dim(length) for length in array.shape)
    if (array == array.flat[0]).all():
        return graph.constant(float(array.flat[0]), shape)
    return graph.node(ARRAY, attr=tuple(array.astype(float).ravel().tolist()), shape=shape)


def _literal(value: Any, max_elements: int) -> np.ndarray[Any, Any]:
    """A number or a small array that the source of a cell contains."""
    if isinstance(value, ArrayDeclaration | Option):
        raise TraceError(
            f"the declaration of {value.name!r} is used in place of its value; a state or input is the "
            f"argument of this name, and anything else is self.{value.name}"
        )
    array = np.asarray(value)
    if array.dtype.kind == "c":
        raise TraceError("complex numbers are used where real ones are expected; take their .real or .imag")
    if array.dtype.kind not in "bfiu":
        hint = "; write `is None` in place of `== None`" if value is None else ""
        raise TraceError(f"found {describe(value)} where an array or a number is expected{hint}")
    if not 0 < array.size <= max_elements:
        raise TraceError(
            f"an array of {array.size} numbers is in the equations, which may have up to "
            f"{max_elements}; declare it as a zoo.Buffer"
        )
    return array


def normal_axis(axis: Any, ndim: int) -> int:
    """Return the index of an axis, counted from the front.

    Raises:
        TraceError: if there is no such axis.
    """
    if not isinstance(axis, int | np.integer):
        raise TraceError(f"the axis is {describe(axis)}; expected an integer")
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise TraceError(
            f"found axis {number} of an array with {ndim} ax{'i' if ndim == 1 else 'e'}s; a step sees one "
            "row, without the axes of time and batch"
        )
    return number % ndim


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the indices of axes, counted from the front; all of them for None.

    Raises:
        TraceError: if there is no such axis.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(sorted({normal_axis(each, ndim) for each in axes}))


def resolve_shape(node: Node, shape: Sequence[Any]) -> Shape:
    """Replace the ``-1`` in an argument of reshape.

    Raises:
        ShapeError: if the elements do not fill the other axes evenly.
    """
    unknown = [axis for axis, each in enumerate(shape) if isinstance(each, int | np.integer) and each == -1]
    dims = [as_dim(1) if axis in unknown else as_length(each) for axis, each in enumerate(shape)]
    if len(unknown) > 1:
        raise ShapeError(
            f"{format_shape(node.shape)} cannot be reshaped to {tuple(shape)!r}: only one length can be -1"
        )
    if unknown:
        rest = product(node.shape).divide(product(dims))
        if rest is None:
            raise ShapeError(
                f"{format_shape(node.shape)} cannot be reshaped to {tuple(shape)!r} for every I and H"
            )
        dims[unknown[0]] = rest
    return tuple(dims)


def index_array(array: SymbolicArray, key: Any) -> SymbolicArray:
    """Return ``array[key]``, for basic indexing: integers, slices, None and the ellipsis.

    Raises:
        TraceError: if the key is something else, or out of range.
    """
    node = array.node
    keys = _insert_ellipsis(list(key) if isinstance(key, tuple) else [key], node)
    ellipsis = next(i for i, each in enumerate(keys) if each is Ellipsis)
    rest = node.ndim - sum(each is not None for each in keys) + 1
    keys[ellipsis : ellipsis + 1] = [slice(None)] * rest
    axis, shape = 0, []
    for each in keys:
        if each is None:
            shape.append(ONE)
            continue
        node, lengths = _index_axis(node, axis, each)
        shape += lengths
        axis += 1
    return make_symbolic(ops.reshape, node, tuple(shape))


def _insert_ellipsis(keys: list[Any], node: Node) -> list[Any]:
    """Append an ellipsis if there is none."""
    ellipses = sum(each is Ellipsis for each in keys)
    if ellipses > 1:
        raise TraceError("an index can have one `...` only")
    indices = sum(each is not None and each is not Ellipsis for each in keys)
    if indices > node.ndim:
        raise TraceError(
            f"{indices} indices into an array of shape {format_shape(node.shape)}; a step sees one row, "
            "without the "
            "axes of time and batch"
        )
    return keys if ellipses else [*keys, Ellipsis]


def _index_axis(node: Node, axis: int, key: Any) -> tuple[Node, Shape]:
    """Index one axis: the narrower node, and the length of the axis unless it vanishes."""
    whole = node.shape[axis]
    if isinstance(key, slice):
        node = ops.strided_slice(node, axis, *_slice_bounds(key, whole))
        return node, (node.shape[axis],)
    if isinstance(key, bool) or not isinstance(key, int | np.integer | SymbolicLength):
        raise TraceError(
            f"found {describe(key)} as an index; expected integers, slices, None or `...` (write a choice by "
            "numbers with np.where, or as np.sum(a * mask), with a mask such as zoo.top_k(b, 1))"
        )
    start = as_index(key, whole)
    if start == whole:
        raise _out_of_range(key, whole)
    return ops.slice_axis(node, axis, start, start + ONE), ()


def _slice_bounds(key: slice, whole: Dim) -> tuple[Dim, Dim, Dim]:
    """The start, the step and the length of a slice."""
    step = 1 if key.step is None else key.step
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or not step:
        raise TraceError(f"the step of a slice is {step!r}; expected an integer other than zero")
    ends = (as_dim(0), whole) if step > 0 else (whole - ONE, as_dim(-1))
    start, stop = (
        end if value is None else as_index(value, whole)
        for value, end in zip((key.start, key.stop), ends, strict=True)
    )
    if step < 0 and start == whole:
        raise _out_of_range(key.start, whole)
    span = stop - start if step > 0 else start - stop
    if 1 not in span.signs() and stop != start:
        raise TraceError(f"the slice from {start} to {stop} of an axis of length {whole} is empty")
    return start, as_dim(int(step)), _ceil_divide(span, abs(int(step)))


def _ceil_divide(span: Dim, step: int) -> Dim:
    return span if step == 1 else check_option_terms(span.ceil_divide(step))


def as_index(value: Any, whole: Dim) -> Dim:
    """Return an index along an axis, counted from the front. It may be out of range for some I and H.

    Raises:
        TraceError: if it is out of range for every I and H.
    """
    index = as_length(value)
    if is_negative(index):
        index = whole + index
    if index.signs() == {-1} or (whole - index).signs() == {-1}:
        raise _out_of_range(value, whole)
    return index


def is_negative(number: Dim) -> bool:
    """Return whether a number is negative for all sizes of a layer.

    Raises:
        TraceError: if that depends on the values of options.
    """
    signs = number.signs()
    if not number.depends_on_layer and signs > {-1}:
        raise unknown_length_error(f"whether {number} is negative")
    return signs == {-1}


def _out_of_range(value: Any, whole: Dim) -> TraceError:
    return TraceError(f"index {value} lies beyond an axis of length {whole}")
