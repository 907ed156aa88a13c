"""Symbolic arrays: what ``step`` is called with, so that its equations can be read.

They answer to Python's operators, to NumPy's functions (through NumPy's own dispatch) and to ``zoo``'s, and
write down what is asked of them as a graph. Shapes are those of one row of the batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from zoo.compiler.blame import TraceError, UnknownAttributeError
from zoo.compiler.dims import product
from zoo.compiler.extents import Extent, extent, unknown_length
from zoo.compiler.graph import Graph, Node, Shape, ancestors, text
from zoo.contracts.names import did_you_mean

# Methods of NumPy's arrays, as the functions that they are; others stand in the class below.
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
_KNOWN = sorted([*_ATTRIBUTES, *_METHODS, "astype", "reshape", "transpose"])


class Symbol(NDArrayOperatorsMixin):
    """What real and complex symbolic arrays share: the manners of a NumPy array that has no numbers."""

    __slots__ = ()
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    @property
    def graph(self) -> Graph:
        """The graph being built."""
        raise NotImplementedError

    @property
    def dims(self) -> Shape:
        """Lengths of the axes in one row, as expressions."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int | Extent, ...]:
        """Lengths of the axes in one row."""
        return tuple(extent(self.graph, dim) for dim in self.dims)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.dims)

    @property
    def size(self) -> int | Extent:
        """How many numbers one row has."""
        return extent(self.graph, product(self.dims))

    @property
    def T(self) -> Any:
        """Axes in reverse order."""
        return self.transpose()

    def reshape(self, *shape: Any) -> Any:
        """The numbers in another shape."""
        return _call(np.reshape, self, _unpacked(shape))

    def transpose(self, *axes: Any) -> Any:
        """Axes in another order, reversed if none is given."""
        return _call(np.transpose, self, _unpacked(axes) or None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from zoo.compiler.ufuncs import call_ufunc

        return call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from zoo.compiler.numpy_functions import call_function

        return call_function(function, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return functools.partial(_METHODS[name], self)
        hint = did_you_mean(name, _KNOWN)
        raise UnknownAttributeError(
            f"an array in `step` has no {name!r}; it has {', '.join(_KNOWN)}{'.' if hint else ''}{hint}"
        )

    def __len__(self) -> int:
        if not self.dims:
            raise TraceError("a single number has no length and cannot be looped over")
        length = self.shape[0]
        if isinstance(length, Extent):
            raise TraceError(
                f"an array of shape {text(self.dims)} cannot be looped over or unpacked, since how long it "
                "is depends on the sizes; work on the whole array, or take it apart with zoo.split"
            )
        return length

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if all(node.op in ("size", "constant") for node in self._leaves()):
            raise unknown_length("what depends on lengths alone")
        raise TraceError(
            "the truth of an array is not known when the equations are read; write np.where(condition, a, b) "
            "in place of `if`, & | ~ in place of `and`, `or`, `not`, and np.minimum or np.maximum in place "
            "of `min` or `max`"
        )

    def _leaves(self) -> list[Node]:
        """What there was before anything was computed."""
        raise NotImplementedError

    def __contains__(self, value: Any) -> bool:
        return bool(self == value)

    def __float__(self) -> float:
        raise TraceError(
            "an array has no numbers yet when the equations are read; write the function of NumPy's in place "
            "of one of `math`, and leave out float(), int() and round()"
        )

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

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TraceError(
            "this needs the numbers of an array, and the equations are read before there are any; arrays are "
            "put together with np.stack or np.concatenate"
        )

    def __repr__(self) -> str:
        return f"<array {text(self.dims)}>"


class Traced(Symbol):
    """A symbolic array of real numbers, or of truth values.

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
    def real(self) -> Traced:
        """Itself."""
        return self

    @property
    def imag(self) -> Traced:
        """Zeros."""
        return Traced(self.graph.constant(0.0, self.dims))

    def __getitem__(self, key: Any) -> Any:
        from zoo.compiler.indexing import indexed

        return indexed(self, key)

    def _leaves(self) -> list[Node]:
        return [node for node in ancestors([self.node]) if not node.inputs]

    def astype(self, dtype: Any) -> Any:
        """Truth values as ones and zeros; a layer's numbers are of one dtype, which it chooses itself."""
        kind = np.dtype(dtype).kind
        if kind == "b":
            return self if self.node.truth else self != 0.0
        if kind != "f":
            raise TraceError(
                f"found astype to {np.dtype(dtype)}; the numbers of a step are real, np.floor cuts them"
            )
        return Traced(self.graph.number(self.node))


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """A function of NumPy's, which knows only its own arrays by type."""
    return function(*args)


def _unpacked(args: tuple[Any, ...]) -> Any:
    """What ``reshape(2, 3)`` and ``reshape((2, 3))`` both mean."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else args
