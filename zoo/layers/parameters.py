"""Parameters as named views into one flat vector, for optimizers, checkpoints and other frameworks."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np

from zoo.arguments import as_bool, as_mapping, as_path, dtype_and_shape
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.base.block import BLOCK_PREFIX
from zoo.base.names import did_you_mean
from zoo.errors import UnknownNameError, UsageError
from zoo.layers.states import full_name
from zoo.layers.validation import as_floats
from zoo.storage import Checkpoint
from zoo.storage import save as save_file

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

MAX_PARAMETERS = 2**40
_MOST_ROWS = 40  # of a table for a notebook


@dataclass(frozen=True)
class ParameterLayout:
    """Names and shapes of the arrays in a flat vector, in order.

    Args:
        shapes: Shape of each named array.
    """

    shapes: Shapes

    @cached_property
    def size(self) -> int:
        """``P``, the length of the vector."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def slots(self) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
        """Name, slice of the vector, and shape of each array."""
        start = 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            yield name, slice(start, stop), shape
            start = stop

    def views(self, vector: Array) -> dict[str, Array]:
        """The named arrays as views: writing to one writes to the vector ``(P,)``."""
        return {name: vector[slot].reshape(shape) for name, slot, shape in self.slots()}


_NO_NUMBERS = "cOSUMm"
"""Kinds of dtypes that NumPy would convert to floats with a loss, or not at all."""


class ArrayViews(Mapping[str, Array]):
    """A mapping of views; assignment copies into the view: ``params["Why"] = 0``.

    Replacing the view would silently separate the entry from the flat vector. If there is one layer with one
    direction, ``"l0.Wxh"`` is also found as ``"Wxh"``.
    """

    def __init__(self, views: Mapping[str, Array]) -> None:
        self._views = dict(views)

    def __getitem__(self, name: str) -> Array:
        view = self._views.get(name)  # every forward pass reads these; full_name takes longer
        if view is not None:
            return view
        full = full_name(name, self._views)
        if full is None:
            known = f"there are {', '.join(self._views)}.{did_you_mean(str(name), self._views)}"
            raise UnknownNameError(f"unknown array {name!r}; {known}")
        return self._views[full]

    def __setitem__(self, name: str, value: Any) -> None:
        view = self[name]
        if not view.flags.writeable:
            raise UsageError(
                f"array {name!r} is a read-only buffer; give its values by name to fill({{...}})."
            )
        array = as_array(value, f"array {name!r}")
        if array.dtype.kind not in _NO_NUMBERS:
            with contextlib.suppress(TypeError, ValueError):
                view[...] = array
                return
        raise UsageError(
            f"array {name!r}: found {dtype_and_shape(array)}; expected real numbers of the shape "
            f"{view.shape}."
        )

    def __contains__(self, name: object) -> bool:
        return full_name(name, self._views) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: {view.shape}" for name, view in self._views.items()) + "}"


class FlatParameters:
    """Parameters, their gradient and buffers: flat vectors, and views of them by name.

    Copies and pickles hold the settings and the vectors. :meth:`_rebuild_views` makes everything else
    again: views that were copied one by one would not be views of the vectors, and compiled functions exist
    in one process only.

    Args:
        shapes: Shape of each parameter.
        dtype: Of all arrays.
        buffers: Shape of each buffer.

    Raises:
        UsageError: if there are more parameters than any machine can hold.
    """

    kind: ClassVar[str]
    """Its name in messages and in checkpoints."""
    params: ArrayViews
    grads: ArrayViews
    buffers: ArrayViews
    _assignable: ClassVar[Mapping[str, Callable[[Any], Any] | None]] = {
        "theta": None,
        "grad": None,
    }
    """Attributes that users may change, and the checks of their values."""
    _fixed: ClassVar[Mapping[str, str]] = {
        "params": "Write into its arrays, params['Wh'] = values, or give values by name to fill({...}).",
        "grads": "Write into its arrays, grads['Wh'] = values, or assign the vector grad.",
        "buffers": "Give values by name to fill({...}).",
        **dict.fromkeys(("layout", "dtype"), ""),
    }
    """Attributes that are made with the object, with advice; also for subclasses of users."""
    _not_pickled: ClassVar[tuple[str, ...]] = ("params", "grads", "buffers", "_arrays")

    def __init__(self, shapes: Shapes, dtype: np.dtype[Any], buffers: Shapes | None = None) -> None:
        self.layout = ParameterLayout(shapes)
        self._buffer_layout = ParameterLayout(buffers or {})
        self.dtype = dtype
        if self.layout.size + self._buffer_layout.size > MAX_PARAMETERS:
            raise UsageError(f"that makes more than {MAX_PARAMETERS:,} parameters; choose smaller sizes.")
        size = self.layout.size
        self._rebuild_views(
            np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(self._buffer_layout.size, dtype)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and "_buffer_vector" in vars(self):  # it has been made
            value = self._check_assignment(name, value)
        object.__setattr__(self, name, value)

    def _check_assignment(self, name: str, value: Any) -> Any:
        """The value to store, or an error for an attribute whose change would have no effect.

        A class of a user may have other attributes.
        """
        if name in self._assignable:
            check = self._assignable[name]
            return value if check is None else check(value)
        cls = type(self)
        if name in self._fixed:
            advice = self._fixed[name] or f"Make another {self.kind}."
            raise UsageError(f"{self.kind}: {name} cannot be replaced. {advice}")
        is_method = callable(getattr(cls, name, None)) and callable(value)
        if is_method or not cls.__module__.startswith("zoo."):
            return value
        arguments = inspect.signature(cls).parameters
        if name in arguments or hasattr(cls, name):
            given = f" with {name}=VALUE" if name in arguments else ""
            raise UsageError(f"{self.kind}: {name} cannot be changed. Make another {self.kind}{given}.")
        known = [*self._assignable, *arguments]
        raise UsageError(
            f"{self.kind}: no attribute {name!r}; you may change {', '.join(self._public_assignable())}."
            f"{did_you_mean(name, known)}"
        )

    @classmethod
    def _public_assignable(cls) -> list[str]:
        return [name for name, check in cls._assignable.items() if check or name in ("theta", "grad")]

    def fill(self, arrays: Mapping[str, Any], *, strict: bool = False) -> None:
        """Copy values into parameters and buffers, by name.

        Args:
            arrays: Values by name; arrays without a value stay as they are.
            strict: Whether every array must have a value, for example if all weights come from another
                library.

        Raises:
            UnknownNameError: if an array is unknown.
            UsageError: if a value does not fit its array, or with ``strict`` if one is missing.
        """
        given = {full_name(name, self._arrays) for name in as_mapping(arrays, "arrays")}
        missing = [name for name in self._arrays if name not in given]
        if as_bool(strict, "fill: strict") and missing:
            raise UsageError(
                f"fill: strict is True and there is no value for {', '.join(missing)}; give values for all "
                f"arrays, or leave out `strict` to keep the others."
            )
        for name, value in arrays.items():
            self.arrays[name] = value

    @property
    def theta(self) -> Array:
        """All parameters, ``(P,)``. Assigning copies, so that :attr:`params` stay views of it."""
        return self._theta

    @theta.setter
    def theta(self, value: Any) -> None:
        self._theta[...] = as_floats(value, self._theta.shape, self.dtype, "theta")

    @property
    def grad(self) -> Array:
        """The gradient, ``(P,)``. Assigning copies, so that :attr:`grads` stay views of it."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        self._grad[...] = as_floats(value, self._grad.shape, self.dtype, "grad")

    @property
    def arrays(self) -> ArrayViews:
        """Parameters and buffers by name, as kernels take them."""
        return ArrayViews(self._arrays)

    def _repr_html_(self) -> str:
        """A table of the parameters for notebooks."""
        from zoo.tables import TextTable

        rows = [(name, str(shape), f"{math.prod(shape):,}") for name, shape in self.layout.shapes.items()]
        if len(rows) > _MOST_ROWS:
            rows[_MOST_ROWS:] = [(f"and {len(rows) - _MOST_ROWS} more", "", "")]
        rows.append(("in all", "", f"{self.layout.size:,}"))
        return TextTable(repr(self), ("parameter", "shape", "elements"), tuple(rows), right=(2,)).html()

    def metadata(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON in a checkpoint."""
        raise NotImplementedError

    def to_checkpoint(self) -> Checkpoint:
        """The arrays by their names in a file, and everything else as metadata."""
        arrays = {f"{_PARAMS}{name}": value for name, value in self.params.items()}
        arrays |= {f"{_BUFFERS}{name}": value for name, value in self.buffers.items()}
        return Checkpoint(arrays, {"kind": self.kind, "model": self.metadata()})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, buffers and metadata to a safetensors file, whole or not at all.

        ``zoo.load`` reads it.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        save_file(as_path(path, f"{self.kind}: path"), self.to_checkpoint())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self._not_pickled}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # Arrays that are mapped from a file, as those of joblib are, cannot be passed to kernels.
        vectors = (state[name] for name in ("_theta", "_grad", "_buffer_vector"))
        self._rebuild_views(*(as_floats(vector, vector.shape, self.dtype, "vector") for vector in vectors))

    def __deepcopy__(self, memo: dict[int, Any]) -> FlatParameters:
        """A copy with its own vectors and the same settings."""
        duplicate = copy.copy(self)
        memo[id(self)] = duplicate
        duplicate._rebuild_views(self._theta.copy(), self._grad.copy(), self._buffer_vector.copy())
        return duplicate

    def _rebuild_views(self, theta: Array, grad: Array, buffers: Array) -> None:
        self._theta, self._grad, self._buffer_vector = theta, grad, buffers
        vars(self).update(
            params=ArrayViews(self.layout.views(theta)),
            grads=ArrayViews(self.layout.views(grad)),
            buffers=ArrayViews(_read_only(self._buffer_layout.views(buffers))),
        )
        # Writable views for kernels: to Numba, read-only arrays have another type.
        self._arrays = {**self.params, **self._buffer_layout.views(buffers)}


# Prefixes of the names of arrays in a checkpoint.
_PARAMS = "params."
_BUFFERS = "buffers."


def array_shapes(params: Shapes, buffers: Shapes) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in a checkpoint."""
    shapes = {f"{_PARAMS}{name}": shape for name, shape in params.items()}
    return shapes | {f"{_BUFFERS}{name}": shape for name, shape in buffers.items()}


def parameter_part(name: str) -> str:
    """The part of a model that a parameter belongs to: ``cell``, ``block``, ``readout`` or ``embedding``."""
    *_, dot, own = name.removesuffix(".initial").rpartition(".")
    if not dot:
        return "embedding" if name == "embedding" else "readout"
    return "block" if own.startswith(BLOCK_PREFIX) else "cell"


def strip_prefixes(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Parameters and buffers of a checkpoint by their own names; other arrays are left out."""
    return {
        name.removeprefix(kind): value
        for name, value in arrays.items()
        for kind in (_PARAMS, _BUFFERS)
        if name.startswith(kind)
    }


def _read_only(views: dict[str, Array]) -> dict[str, Array]:
    for view in views.values():
        view.flags.writeable = False
    return views


def flatten(arrays: list[Array], out: Array) -> None:
    """Write arrays one after the other into a flat vector."""
    np.concatenate([array.reshape(-1) for array in arrays], out=out)


_SUM_BLOCK = 2**15
"""Elements of the sum that are computed at a time, so that they stay in the second-level cache."""


def sum_flattened(gradients: Sequence[Sequence[Array]], out: Array, adds: bool) -> None:
    """Write the sum of gradients, each a list of arrays, to a flat vector, in their order.

    Args:
        gradients: The arrays of each gradient, one after the other in the vector.
        out: The vector.
        adds: Whether the values of the vector are the first term of the sum.
    """
    start = 0
    for arrays in zip(*gradients, strict=True):
        parts = [array.reshape(-1) for array in arrays]
        for first in range(0, parts[0].size, _SUM_BLOCK):
            _sum([part[first : first + _SUM_BLOCK] for part in parts], out[start + first :], adds)
        start += parts[0].size


def _sum(terms: list[Array], out: Array, adds: bool) -> None:
    out = out[: terms[0].size]
    if not adds and len(terms) == 1:
        np.copyto(out, terms[0])
        return
    first, *others = [out, *terms] if adds else terms
    np.add(first, others[0], out=out)  # not a copy and an addition, which would write twice
    for term in others[1:]:
        out += term
